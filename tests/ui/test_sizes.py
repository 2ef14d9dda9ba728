"""Terminals of every size: nothing breaks, and no question can be answered that cannot be read."""

import pytest
from textual.screen import Screen

from kvmtui.ui.screens.ask import ConfirmScreen
from kvmtui.ui.screens.destination import DestinationScreen
from kvmtui.ui.screens.plan import PlanScreen
from kvmtui.ui.screens.too_small import LEAST, TooSmallScreen
from tests.ui.stage import Stage, dashboard

SIZES = [(1, 1), (2, 1), (1, 60), (300, 1), (20, 5), (39, 10), (40, 9), (40, 10), (60, 20), (80, 24), (500, 200)]
DIALOGS = ("K", "m", "enter", "?", "J", "A", "B", "w", "/", "colon", "c")


def flat(stage: Stage) -> str:
    """The words on the screen, whatever line they are on."""
    return " ".join(stage.text.replace("│", " ").split())


async def resize(stage: Stage, size: tuple[int, int]) -> None:
    assert stage.pilot is not None
    await stage.pilot.resize_terminal(*size)


@pytest.mark.parametrize("key", DIALOGS)
async def test_nothing_breaks_at_any_size(key: str) -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        # It opens where there is no room, and stays through every size.
        await resize(stage, (1, 1))
        await stage.press(key)
        for size in ((300, 1), (39, 60), (500, 200)):
            await resize(stage, size)
        await resize(stage, (120, 40))
        await stage.press("escape", "escape")
        await stage.until(lambda: stage.app.screen is stage.main)
        await stage.see("web1", "running")
        assert stage.engine.submitted == []


@pytest.mark.parametrize("size", SIZES)
async def test_a_question_can_be_read_or_cannot_be_answered(size: tuple[int, int]) -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await resize(stage, size)
        await stage.press("K")
        if size[0] < LEAST[0] or size[1] < LEAST[1]:
            assert isinstance(stage.app.screen, TooSmallScreen)
            await stage.press("y")
            await resize(stage, (120, 40))
            await stage.until(lambda: stage.app.screen is stage.main)
            assert stage.engine.submitted == []
        else:
            assert isinstance(stage.app.screen, ConfirmScreen)
            words = flat(stage)
            assert "Force off web1 on h1?" in words
            assert "unwritten data is lost." in words
            assert "No Yes" in words
            await stage.press("y")
            await stage.until(lambda: stage.engine.submitted == ["force_off web1"])


async def test_a_question_is_covered_while_the_terminal_is_too_small() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("K")
        await resize(stage, (30, 8))
        await stage.until(lambda: "30x8 is too small: this needs 40x10" in flat(stage))
        await stage.press("y", "enter")
        await resize(stage, (120, 40))
        await stage.see("Force off web1 on h1?")
        assert stage.engine.submitted == []
        await stage.press("y")
        await stage.until(lambda: stage.engine.submitted == ["force_off web1"])


@pytest.mark.parametrize(("key", "screen"), [("m", DestinationScreen), ("B", PlanScreen)])
async def test_what_needs_more_room_says_how_much_and_can_be_left(key: str, screen: type[Screen[None]]) -> None:
    async with dashboard(size=(50, 14)) as stage:
        await stage.put_cursor_on("web1")
        await stage.press(key)
        await stage.until(lambda: "50x14 is too small: this needs 60x20" in flat(stage))
        await stage.press("enter")
        assert stage.count(screen) == 1
        await stage.press("escape")
        await stage.until(lambda: stage.app.screen is stage.main)
        assert stage.engine.submitted == []


async def test_a_covered_question_that_runs_out_is_gone_when_it_is_uncovered(monkeypatch: pytest.MonkeyPatch) -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("K")
        await resize(stage, (30, 8))
        await stage.until(lambda: isinstance(stage.app.screen, TooSmallScreen))
        question = next(screen for screen in stage.app.screen_stack if isinstance(screen, ConfirmScreen))
        question.action_cancel()
        monkeypatch.setattr("kvmtui.ui.screens.ask._EXPIRES_S", -1.0)
        await resize(stage, (120, 40))
        await stage.says("nothing was done")
        assert stage.app.screen is stage.main
        assert stage.engine.submitted == []


@pytest.mark.parametrize("width", range(50, 84, 3))
async def test_a_question_is_whole_at_any_width(width: int) -> None:
    words = [f"word{number}" for number in range(24)]
    async with dashboard(size=(width, 40)) as stage:
        await stage.app.push_screen(
            ConfirmScreen(" ".join(words[:12]) + "?", [" ".join(words[:11])], " ".join(words), destructive=False)
        )
        await stage.see("y yes")
        question, subject = (" ".join(words[:count]) for count in (12, 11))
        await stage.until(lambda: f"{question}? {subject} {' '.join(words)} No" in flat(stage))
