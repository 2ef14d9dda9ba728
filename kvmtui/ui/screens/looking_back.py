"""Looking back while it is recorded: the recording so far, over the screen that goes on."""

import math
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from textual.binding import Binding

from kvmtui.engine.recording.file import RecordingError
from kvmtui.engine.recording.replay import Replay
from kvmtui.model.vm import VmKey
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.screens.replaying import ReplayScreen
from kvmtui.ui.widgets.bars import KeyBar

if TYPE_CHECKING:
    from kvmtui.ui.screens.main import MainScreen


def look_back(main: "MainScreen", file: Path, glyphs: Glyphs, vm: VmKey | None) -> None:
    """Open what was recorded, at its end and with the cursor on a VM."""

    def show(replay: Replay) -> None:
        main.app.push_screen(LookBackScreen(replay, glyphs, vm))

    def read() -> None:
        try:
            replay = Replay(file)
        except RecordingError as error:
            if main.app.is_running:
                main.app.call_from_thread(main.note, str(error), "$text-warning")
            return
        if main.app.is_running:
            main.app.call_from_thread(show, replay)
        else:
            replay.leave()

    # The file may be on a disk that hangs.
    threading.Thread(target=read, name="look back", daemon=True).start()


class LookBackScreen(ReplayScreen):
    """A recording that is left for the present."""

    BINDINGS = [Binding("q", "to_present", show=False)]
    PLAYS_AT_ONCE = False

    def __init__(self, replay: Replay, glyphs: Glyphs, vm: VmKey | None) -> None:
        super().__init__(replay, glyphs, wall_clock=lambda: replay.time)
        self._vm = vm

    def on_mount(self) -> None:
        """Begin with what was last."""
        self._replay.skip(math.inf)
        if self._vm is not None:
            self.call_after_refresh(self._table.select, self._vm)

    def on_unmount(self) -> None:
        """Let the recording go."""
        self._replay.leave()

    def show_keys(self) -> None:
        """Show the way back, too."""
        super().show_keys()
        bar = self.query_one(KeyBar)
        bar.keys = (("q", "back to now"), *bar.keys)

    def action_to_present(self) -> None:
        """Return."""
        self.dismiss()
