"""A recording on the screen: the same cells as when it was recorded, and keys that move through it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from kvmtui.engine.replay import Replay
from kvmtui.model.vm import VmKey
from kvmtui.ui.app import Dashboard
from kvmtui.ui.glyphs import UNICODE
from kvmtui.ui.screens.replaying import ReplayScreen
from tests.ui.stage import Stage, dashboard


class Player(Stage):
    """A dashboard over a recording."""

    def __init__(self, file: Path) -> None:
        self.replay = Replay(file)
        self.engine = self.replay  # type: ignore[assignment]
        self.app = Dashboard(self.replay, glyphs=UNICODE, wall_clock=lambda: self.replay.time, main=ReplayScreen)
        self.pilot = None

    async def go_to(self, at_s: float) -> None:
        """Show a moment, and return when the screen has all of it."""
        self.replay._do(lambda: self.replay._move(at_s))
        await self.until(lambda: self.replay.clock() == at_s and self.main.fleet is self.replay.fleet)
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
            await player.until(lambda: not player.replay.playing)
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
            live.let_deep_answers_in()
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
