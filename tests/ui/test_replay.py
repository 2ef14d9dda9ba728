"""A recording on the screen: the same cells as when it was recorded, and keys that move through it."""

import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kvmtui.engine.recording.replay import Replay
from kvmtui.engine.recording.tape import Tape
from kvmtui.model.migration import Migration, MigrationRequest, Phase
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.vm import VmKey
from kvmtui.ui.app import Dashboard
from kvmtui.ui.glyphs import UNICODE
from kvmtui.ui.screens.cockpit import CockpitScreen
from kvmtui.ui.screens.replaying import ReplayScreen
from kvmtui.ui.widgets.bars import Note, StatusLine
from tests.deep_answers import let_deep_answers_in
from tests.ui.stage import H2, Stage, dashboard
from tests.unit.recordings import Recorded


class Player(Stage):
    """A dashboard over a recording."""

    def __init__(self, file: Path) -> None:
        self.replay = Replay(file)
        self.engine = self.replay  # type: ignore[assignment]
        self.app = Dashboard(self.replay, glyphs=UNICODE, wall_clock=lambda: self.replay.time, main=ReplayScreen)
        self.pilot = None

    async def go_to(self, at_s: float) -> None:
        """Show a moment, and return when the screen has all of it."""
        gone = threading.Event()
        self.replay._do(lambda: self.replay._move(at_s))
        self.replay._do(gone.set)
        await self.until(lambda: gone.is_set() and self.main.fleet is self.replay.fleet)
        assert self.pilot is not None
        await self.pilot.pause()
        await self.let_cursor_rest()
        await self.pilot.pause()

    def key(self, name: str) -> VmKey:
        """Return where a VM is, by the recording."""
        return next(vm.key for vm in self.main.fleet.vms() if vm.name == name)

    def end(self) -> None:
        """Let its thread end."""
        self.replay.stop()


@asynccontextmanager
async def replayed(file: Path, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Player]:
    """Open a recording that stands still."""
    player = Player(file)
    try:
        async with player.app.run_test(size=size) as pilot:
            player.pilot = pilot
            player.replay.play(playing=False)
            await player.see("recorded", " · paused")
            yield player
    finally:
        player.end()


def cells(stage: Stage) -> list[str]:
    """Return the lines between the title and the last two, which tell of the program and not of the hosts."""
    return stage.text.splitlines()[1:-2]


async def test_the_same_cells_as_on_the_screen_that_was_recorded(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    async with dashboard(record=file) as live:
        await live.put_cursor_on("web1")
        seen = {}
        for number in range(75):
            await live.look()
            let_deep_answers_in(live.engine)
            if number in (40, 63, 74):
                await live.look(0)
                await live.look_until(lambda: live.main._detail.vm_config is not None, seconds=0)
                await live.let_cursor_rest()
                assert live.pilot is not None
                await live.pilot.pause()
                seen[live.clock()] = cells(live)
        assert live.engine.recording is not None
        assert live.engine.recording.flush(30)
    async with replayed(file) as player:
        await player.put_cursor_on("web1")
        for at_s, lines in seen.items():
            await player.go_to(at_s)
            assert cells(player) == lines


async def test_moves_are_as_they_were_on_the_screen_that_was_recorded(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    seen: list[tuple[float, VmKey, list[str], list[str]]] = []
    async with dashboard(record=file) as live:
        live.watch_for(3)
        await live.look()
        await live.put_cursor_on("web1")

        async def keep() -> None:
            await live.look()
            await live.look_until(lambda: live.main._detail.vm_config is not None, seconds=0)
            await live.let_cursor_rest()
            assert live.pilot is not None
            await live.pilot.pause()
            rows = cells(live)
            await live.press("w")
            assert live.table.selected is not None
            seen.append((live.clock(), live.table.selected, rows, cells(live)))
            await live.press("escape")

        vm = live.vm("web1")
        options = MigrationOptions(bandwidth_mib_per_s=300)
        live.engine.migrate(MigrationRequest(vm.key, vm.name, vm.id, H2, options))
        await live.look_until(lambda: live.engine.migrations[0].job is not None, seconds=1)
        for seconds in (2, 3):
            live.watch_for(seconds)
            await keep()
        await live.look_until(lambda: live.vm("web1").key.host == H2 and not live.main._moves.under_way, seconds=1)
        await keep()
        assert live.engine.recording is not None
        assert live.engine.recording.flush(30)
    assert [[word in "".join(moves) for *_, moves in seen] for word in ("round ", "migrated in ")] == [
        [True, True, False],
        [False, False, True],
    ]
    async with replayed(file) as player:
        await player.press("w")
        await player.see("Nothing had been migrated by then.")
        await player.press("escape")
        # On and back, as one does.
        for at_s, selected, rows, moves in (*seen, seen[1]):
            await player.go_to(at_s)
            player.table.select(selected)
            await player.until(lambda key=selected: player.table.selected == key)  # type: ignore[misc]
            await player.let_cursor_rest()
            assert player.pilot is not None
            await player.pilot.pause()
            assert cells(player) == rows
            await player.press("w")
            assert cells(player) == moves
            await player.press("X")
            await player.see("not possible: this is a recording")
            await player.press("escape")
        assert "1 migrating: w" in player.line("kvmtui")
        await player.press("w", "enter")
        await player.see("not possible: this is a recording")
        await player.press("full_stop")
        await player.until(lambda: player.replay.clock() == at_s + 1)
        await player.press("escape")
        await player.go_to(at_s)
        await player.see("kvmtui", "1 migrating: w")
        # What was under way then asks for nothing now.
        player.type_at_once("q")
        await player.until(lambda: player.app._exit)


async def test_no_move_of_a_recording_needs_somebody(recording: Path) -> None:
    async with replayed(recording) as player:
        request = MigrationRequest(player.key("web1"), "web1", 1, H2, MigrationOptions())
        move = Migration(request, Phase.UNKNOWN, player.replay.clock())
        player.replay._moved = (move,)
        assert not player.main._moves.calls(move)
        await player.press("w")
        await player.see("1 ended")
        assert "need" not in player.line("migrations")


async def test_a_note_stays_however_fast_it_is_played(recording: Path) -> None:
    async with replayed(recording) as player:
        await player.press("w")
        screen = player.app.screen
        assert isinstance(screen, CockpitScreen)
        screen.hear(Note("300 times as fast"))
        screen._show()
        player.replay._set(player.replay.clock() + 100)
        screen._show()
        assert screen.query_one(StatusLine).note.text == "300 times as fast"


async def test_what_was_done_by_then_is_in_its_audit(recording: Path) -> None:
    async with replayed(recording) as player:
        await player.press("A")
        await player.see("What had been done by 03:10:02, as recorded")
        await player.see("Nothing yet.")
        await player.press("escape", "right_parenthesis")
        await player.until(lambda: player.replay.time.minute == 11)
        await player.press("A")
        await player.see("suspend db2: done after")
        await player.see("h2 · ")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three minutes from 03:10 on, after one of which db2 is paused; and a minute an hour later."""
    file = tmp_path_factory.mktemp("recording") / "a.rec"
    recorded = Recorded(file)
    recorded.look(60)
    recorded.act("pause", "db2")
    recorded.look(120)
    recorded.end()
    later = Recorded(file, began_s=recorded.clock() + 3600)
    later.look(60)
    later.end()
    return file


async def test_it_plays_from_the_beginning_and_stands_still_at_space(recording: Path) -> None:
    async with replayed(recording) as player:
        assert "recorded 2026-03-14 03:10:02 · paused" in await player.see("recorded")
        await player.press("space")
        await player.until(lambda: player.replay.playing)
        await player.see("recorded", "· 1×")
        await player.press("plus", "plus", "plus", "plus", "plus", "plus")
        assert player.replay.change_speed(0) == 300
        # At three hundred times its speed it gets over the hour in which nothing was recorded, and to the end.
        await player.see("recorded 2026-03-14 04:", "end")
        await player.press("space")
        await player.until(lambda: not player.replay.playing)


async def test_steps_and_jumps(recording: Path) -> None:
    async with replayed(recording) as player:
        for key, time in (("full_stop", "03:10:03"), ("right_parenthesis", "03:11:03"), ("comma", "03:11:02")):
            await player.press(key)
            await player.see(f"recorded 2026-03-14 {time} · paused")
        await player.press("left_parenthesis", "left_parenthesis")
        await player.see("recorded 2026-03-14 03:10:00")
        for _ in range(4):
            await player.press("right_parenthesis")
        await player.see("recorded 2026-03-14 04:1")
        await player.says("nothing was recorded from", "to")
        await player.press("left_parenthesis")
        await player.see("recorded 2026-03-14 03:13:")


async def test_the_next_event_is_gone_to_with_its_vm(recording: Path) -> None:
    async with replayed(recording) as player:
        await player.put_cursor_on("web1")
        before = ""
        while "db2 on h2: paused" not in before:
            await player.press("right_curly_bracket")
            await player.until(lambda before=before: player.status != before)  # type: ignore[misc]
            before = player.status
        assert player.selected == "db2"
        await player.see("db2 ", "h2", "paused ")
        event = player.status
        await player.press("right_curly_bracket")
        await player.until(lambda: player.status != event)
        await player.press("left_curly_bracket")
        await player.until(lambda: player.status == event)
        await player.press("J")
        await player.see("pause db2: done")


async def test_a_journal_that_cannot_be_read_is_told_of(tmp_path: Path, recording: Path) -> None:
    file = tmp_path / "b.rec"
    shutil.copy(recording, file)
    with sqlite3.connect(file) as rows:
        rows.execute("DROP TABLE event")
    rows.close()
    async with replayed(file) as player:
        await player.press("J", "escape")
        await player.says("it is damaged: no such table: event")


async def test_a_time_of_day_is_gone_to(recording: Path) -> None:
    async with replayed(recording) as player:
        for typed, shown in (("03:12", "03:12:00"), ("2026-03-14 04:13:20", "04:13:20"), ("03:11:07", "03:11:07")):
            await player.press("t", *(("space" if each == " " else each) for each in typed), "enter")
            await player.see(f"recorded 2026-03-14 {shown}")
        await player.press("t", *"03:45", "enter")
        await player.says("nothing was recorded at Sat 03:45:00", "the nearest is")
        await player.press("t", *"noon", "enter")
        await player.see('write a time such as "03:12"')


async def test_nothing_can_be_done_in_a_recording(recording: Path) -> None:
    async with replayed(recording) as player:
        await player.put_cursor_on("web1")
        for key in (
            "s",
            "S",
            "K",
            "m",
            "c",
            "p",
            "X",
            "r",
            "R",
            "z",
            "a",
            "x",
            "enter",
            "B",
            "E",
            "asterisk",
        ):
            player.main.show_note(Note(""))
            await player.press(key)
            await player.says("not possible: this is a recording")
            assert len(player.app.screen_stack) == 1
        assert "space play" in player.text


async def test_findings_are_those_of_the_time(recording: Path) -> None:
    async with replayed(recording) as player:
        await player.press("right_parenthesis")
        assert "wrong: !" in await player.see("wrong")
        await player.press("exclamation_mark")
        await player.see("What is wrong: 1 ")
        await player.see("warning", "h2: ")


async def test_it_goes_on_where_a_recording_is_still_written(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    recorded = Recorded(file)
    recorded.look(20)
    recorded.flush()
    async with replayed(file) as player:
        await player.press("right_parenthesis")
        await player.see("recorded 2026-03-14 03:10:20 · end")
        recorded.look(5)
        recorded.flush()
        await player.press("plus", "plus", "plus", "space")
        await player.see("recorded 2026-03-14 03:10:25 · end")
    recorded.end()


async def test_recording_is_begun_and_ended_by_the_palette(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    async with dashboard() as live:
        for typed in (str(tmp_path), str(file)):
            await live.press("colon", *"record to", "enter")
            await live.see("Record to which file?")
            await live.press("ctrl+u", *typed, "enter")
            await live.says("not recorded" if typed == str(tmp_path) else "recording to")
        await live.look()
        assert " recording " in live.line("kvmtui")
        await live.press("colon", *"stop record", "enter")
        await live.says("recorded to")
        assert " recording " not in live.line("kvmtui")
        recorder = live.engine.recording
        assert recorder is None
    await live.until(lambda: Tape(file).sessions)


async def test_while_it_is_recorded_one_looks_back_and_returns(tmp_path: Path) -> None:
    async with dashboard(record=tmp_path / "a.rec") as live:
        for _ in range(10):
            await live.look()
        await live.put_cursor_on("web1")
        assert live.engine.recording is not None
        assert live.engine.recording.flush(30)
        await live.press("t")
        await live.see("recorded ", "· end")
        await live.see("▸", "web1")
        await live.see("q back to now")
        await live.press("K")
        await live.see("not possible: this is a recording")
        await live.press("q")
        await live.until(lambda: live.app.screen is live.main)
        await live.see("recording")
        assert live.engine.submitted == []
        await live.until(lambda: not any(thread.name == "replay" for thread in threading.enumerate()))


async def test_there_is_nothing_to_look_back_at_where_nothing_is_recorded() -> None:
    async with dashboard() as live:
        await live.press("t")
        await live.says("nothing is recorded: begin with --record FILE")
        assert live.app.screen is live.main
