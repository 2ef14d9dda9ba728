"""What is wrong, on the screen: counted, marked, announced once, listed with what to do, and silenced."""

from collections.abc import Iterator

import pytest

from kvmtui.engine import health_round
from kvmtui.hypervisor.demo.clock import ManualClock
from kvmtui.model.actions import Verb
from kvmtui.model.findings import Severity
from kvmtui.ui.paint import Tone
from kvmtui.ui.screens.findings import SILENCE_S, FindingsScreen
from kvmtui.ui.widgets.bars import TitleBar
from tests.ui.stage import H2, Stage, dashboard


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(health_round, "ITEM_S", 0.1)
    yield


def wrong(stage: Stage) -> str:
    return stage.main.query_one(TitleBar).wrong[0]


async def looked_at(stage: Stage) -> None:
    """Look until both hosts' health is known, and QEMU has told of ready times."""
    assert isinstance(stage.clock, ManualClock)
    assert stage.engine.health.standing.findings == ()
    await stage.look_until(lambda: wrong(stage) == "2 wrong: !", 1.0)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_is_wrong_is_counted_listed_and_explained(size: tuple[int, int]) -> None:
    async with dashboard(size=size) as stage:
        await looked_at(stage)
        await stage.see("kvmtui", "2 wrong: !")
        await stage.press("exclamation_mark")
        await stage.see("What is wrong: 2 warnings")
        await stage.see("warning", "h2: pool backup", "pool full: 93%")
        # Notes come below, and what is fine not at all.
        await stage.see("note", "web2 on h1", "restart needed")
        assert not stage.line("fine ")
        await stage.see("rule ")
        await stage.see("→ ", "virsh vol-list backup" if "pool" in stage.line("rule ") else "")
        await stage.press("v")
        await stage.see("All that is looked at")
        await stage.press("G")
        await stage.see("fine ")
        await stage.press("escape")
        assert stage.count(FindingsScreen) == 0


async def test_a_row_carries_its_mark_and_enter_goes_there() -> None:
    async with dashboard() as stage:
        await looked_at(stage)
        db1 = stage.key("db1")
        assert stage.table.wrong == {db1: Tone.WARNING}
        assert stage.line("db1", "h1").startswith(" ▲db1")
        await stage.put_cursor_on("mail")
        await stage.press("exclamation_mark")
        await stage.see("db1 on h1")
        await stage.until(lambda: isinstance(stage.app.screen, FindingsScreen) and stage.app.screen.highlighted)
        screen = stage.app.screen
        assert isinstance(screen, FindingsScreen)
        while screen.highlighted is None or screen.highlighted.vm != db1:
            await stage.press("j")
        await stage.press("enter")
        await stage.until(lambda: stage.selected == "db1")
        # Of a host there is a VM to go to.
        await stage.press("exclamation_mark")
        screen = stage.app.screen
        assert isinstance(screen, FindingsScreen)
        await stage.until(lambda: screen.highlighted)
        while screen.highlighted is None or screen.highlighted.subject != "pool backup":
            await stage.press("j" if screen.highlighted is None or screen.highlighted.vm == db1 else "k")
        await stage.press("enter")
        await stage.until(lambda: stage.main.selected is not None and stage.main.selected.key.host == H2)


async def test_what_is_bad_and_new_is_announced_once() -> None:
    async with dashboard() as stage:
        await looked_at(stage)
        for _ in range(16):
            await stage.look()
        stage.backend.hang_item(H2, "pool shared")
        try:
            stage.engine.health.look()
            await stage.look_until(lambda: "h2: pool shared" in stage.status, 1.0)
            await stage.says("it did not answer for", "! says what to do")
            stage.main.note("something else", "$text-warning")
            # It goes on.
            for _ in range(70):
                await stage.look(5.0)
                assert stage.engine.health.standing.loud[0].subject == "pool shared"
            assert stage.status == "something else"
        finally:
            stage.backend.hang_item(H2, "pool shared", hangs=False)


async def test_what_was_there_at_the_start_is_counted_and_not_announced() -> None:
    async with dashboard() as stage:
        stage.backend.hang_item(H2, "pool shared")
        try:
            stage.main.note("something else", "$text-warning")
            assert stage.engine.health.standing.findings == ()
            loud = stage.engine.health.standing.loud
            while not loud or loud[0].severity is not Severity.CRITICAL:
                await stage.look(0.1)
                loud = stage.engine.health.standing.loud
            await stage.until(lambda: wrong(stage))
            assert stage.status == "something else"
        finally:
            stage.backend.hang_item(H2, "pool shared", hangs=False)


async def test_a_finding_is_silenced_for_an_hour() -> None:
    async with dashboard() as stage:
        await looked_at(stage)
        await stage.press("exclamation_mark")
        screen = stage.app.screen
        assert isinstance(screen, FindingsScreen)
        await stage.until(lambda: screen.highlighted)
        first = screen.highlighted
        assert first is not None
        await stage.press("z")
        await stage.see("What is wrong: 1 warning", "1 silenced")
        await stage.see("silenced", first.title)
        await stage.press("escape")
        await stage.see("kvmtui", "1 wrong: !")
        await stage.look(SILENCE_S)
        await stage.look_until(lambda: wrong(stage) == "2 wrong: !", 1.0)


async def test_what_is_mended_goes_from_the_list_under_ones_eyes() -> None:
    async with dashboard() as stage:
        connection = stage.backend.open(H2, read_only=False)
        connection.perform(Verb.AUTOSTART_ON, stage.backend.uuid("old"))
        assert stage.engine.health.standing.findings == ()
        await stage.look_until(lambda: wrong(stage) == "3 wrong: !", 1.0)
        await stage.press("exclamation_mark")
        await stage.see("warning", "old on h2", "autostart")
        connection.perform(Verb.START, stage.backend.uuid("old"))
        await stage.look_until(lambda: not stage.line("old on h2", "autostart"), 1.0)


async def test_before_anything_is_known_the_list_says_so() -> None:
    async with dashboard() as stage:
        await stage.press("exclamation_mark")
        await stage.see("nothing is known to be wrong")
        await stage.press("z", "enter", "escape")
        assert stage.count(FindingsScreen) == 0
