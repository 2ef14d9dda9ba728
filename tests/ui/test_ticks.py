"""What a key and a tick make the screen do, counted."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from textual.message import Message
from textual.widget import Widget

from kvmtui.model.vm import VmConfig, VmKey
from kvmtui.ui.messages import FleetChanged
from kvmtui.ui.screens import main
from kvmtui.ui.screens.main import MainScreen
from kvmtui.ui.widgets.host_list import HostList
from kvmtui.ui.widgets.row_painter import RowPainter
from kvmtui.ui.widgets.vm_detail import VmDetail
from kvmtui.ui.widgets.vm_table import VmTable
from tests.deep_answers import let_deep_answers_in
from tests.ui.stage import Stage, dashboard


@pytest.fixture(autouse=True)
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happens but what a test does."""
    monkeypatch.setattr(main, "_TICK_S", 1000.0)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[type[Any], str], list[Any]]]:
    """Have the calls of a method counted from now on: gives a list of who was called."""

    def counted(owner: type[Any], name: str) -> list[Any]:
        calls: list[Any] = []
        original = getattr(owner, name)

        def method(self: Any, *arguments: Any, **options: Any) -> Any:
            calls.append(self)
            return original(self, *arguments, **options)

        monkeypatch.setattr(owner, name, method)
        return calls

    yield counted


def asked(stage: Stage) -> list[VmKey]:
    """Have the questions for definitions counted."""
    questions: list[VmKey] = []
    original = stage.engine.read_config

    def read_config(key: VmKey) -> "Future[VmConfig]":
        questions.append(key)
        return original(key)

    stage.engine.read_config = read_config  # type: ignore[method-assign]
    return questions


async def test_a_cursor_move_draws_two_lines(count: Callable[..., list[Any]]) -> None:
    async with dashboard() as stage:
        drawn = count(RowPainter, "row")
        await stage.press("j")
        assert len(drawn) == 2


async def test_a_tick_repaints_each_widget_once(count: Callable[..., list[Any]]) -> None:
    async with dashboard() as stage:
        assert stage.pilot is not None
        await stage.pilot.pause()
        repaints = [count(owner, "_repaint") for owner in (HostList, VmTable, VmDetail)]
        await stage.look()
        await stage.pilot.pause()
        assert [len(calls) for calls in repaints] == [1, 1, 1]


async def test_many_hosts_tell_once(count: Callable[..., list[Any]]) -> None:
    async with dashboard() as stage:
        taken = count(MainScreen, "_hand_down")
        messages: list[object] = []
        original = stage.main.post_message

        def post_message(message: Message) -> bool:
            messages.append(message)
            return original(message)

        stage.main.post_message = post_message  # type: ignore[method-assign]
        for _ in range(30):
            stage.engine.listeners.fleet_changed()
        await stage.until(lambda: taken)
        await stage.until(lambda: not stage.main._told)
        assert sum(isinstance(message, FleetChanged) for message in messages) == 1
        assert len(taken) == 1
        # And again when there is news again.
        await stage.look()
        assert len(taken) == 2


async def test_nothing_is_drawn_when_nothing_has_changed(count: Callable[..., list[Any]]) -> None:
    async with dashboard() as stage:
        # A second look, for the definition of the VM under the cursor.
        await stage.look()
        let_deep_answers_in(stage.engine)
        await stage.look()
        assert stage.pilot is not None
        await stage.pilot.pause()
        refreshed = count(Widget, "refresh")
        for host in tuple(stage.engine.fleet.hosts.values()):
            stage.engine._store.publish(host)
        await stage.until(lambda: stage.main.fleet is stage.engine.fleet)
        await stage.pilot.pause()
        assert refreshed == []


async def test_of_the_vms_that_the_cursor_passes_no_definition_is_asked() -> None:
    async with dashboard() as stage:
        await stage.let_cursor_rest()
        questions = asked(stage)
        await stage.press("j", "j", "j")
        await stage.look(0.1)
        # The tick brings the detail along, and asks nothing.
        assert stage.main.query_one(VmDetail).key == stage.table.selected
        await stage.press("j", "j")
        assert questions == []
        await stage.let_cursor_rest()
        assert questions == [stage.table.selected]


async def test_the_detail_tells_of_one_vm_and_follows_when_the_cursor_rests() -> None:
    async with dashboard() as stage:
        before = stage.selected
        await stage.press("G")
        assert stage.selected == "win1"
        assert stage.line(f"{before} on "), "it shows still the VM that it names"
        await stage.until(lambda: stage.main.query_one(VmDetail).key == stage.table.selected)
        assert await stage.see("win1 on ")


async def test_a_key_that_reads_the_graphs_reads_those_of_the_vm_under_the_cursor() -> None:
    async with dashboard() as stage:
        await stage.press("G", "left")
        assert stage.main.query_one(VmDetail).key == stage.table.selected


async def test_the_engine_hears_what_is_seen_once_the_cursor_has_settled() -> None:
    async with dashboard(vms=60) as stage:
        told: list[VmKey | None] = []
        stage.engine.show_interest = lambda selected, visible: told.append(selected)  # type: ignore[method-assign]
        await stage.until(lambda: stage.main._settle_due is None)
        told.clear()
        stage.type_at_once(*"jjjj")
        last = stage.table.shown_keys[4]
        await stage.until(lambda: told)
        assert told == [last]
