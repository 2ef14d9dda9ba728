"""What the status line says, and for how long."""

import pytest

from kvmtui.ui.screens.cockpit import CockpitScreen
from kvmtui.ui.widgets.bars import StatusLine
from tests.ui.played_moves import running
from tests.ui.stage import Stage, dashboard

_LOOKS = 10
"""Of a second each: longer than an outcome stays."""


async def _look(stage: Stage) -> None:
    for _ in range(_LOOKS):
        await stage.look()


async def test_an_outcome_goes_by_itself_and_the_next_of_the_same_words_has_its_own_time() -> None:
    async with dashboard() as stage:
        for _ in range(2):
            await stage.press("ctrl+r")
            await stage.look()
            await stage.look(5)
        await stage.says("looking again")
        await _look(stage)
        assert stage.status == ""


@pytest.mark.parametrize(("keys", "stays"), [(("p",), False), (("X",), True)])
async def test_what_went_wrong_stays(keys: tuple[str, ...], *, stays: bool) -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press(*keys)
        await stage.says("web1")
        said = stage.status
        await _look(stage)
        assert stage.status == (said if stays else "")


async def test_what_nobody_could_read_stays_until_it_was_in_sight() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("p")
        await stage.says("done")
        await stage.press("question_mark")
        await _look(stage)
        assert "done" in stage.status
        await stage.press("escape")
        await _look(stage)
        assert stage.status == ""


async def test_in_w_it_goes_too() -> None:
    async with dashboard() as stage:
        stage.engine.play(running("web1", stage.clock()))
        await stage.press("w")
        screen = stage.app.screen
        assert isinstance(screen, CockpitScreen)
        screen.action_copy()
        line = screen.query_one(StatusLine)
        assert "copied" in line.note.text
        stage.clock.advance(1)
        screen._show()
        stage.clock.advance(10)
        screen._show()
        assert line.note.text == ""
