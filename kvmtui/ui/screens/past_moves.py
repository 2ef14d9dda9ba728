"""The moves of a recording: as they were at the time, with nothing to be done about them."""

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content

from kvmtui.engine.recording.replay import Replay
from kvmtui.model.migration import Migration
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.keymap import REPLAY_KEYS
from kvmtui.ui.moves import Moves
from kvmtui.ui.screens.cockpit import CockpitScreen
from kvmtui.ui.screens.replaying import REFUSAL
from kvmtui.ui.widgets.migration_lines import HostName


class PastMovesScreen(CockpitScreen):
    """Lists the moves that there were; the keys that move through time work here, too."""

    NOTHING: ClassVar[str] = "Nothing had been migrated by then."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.key, f"replay({number})", show=False) for number, key in enumerate(REPLAY_KEYS)
    ]

    def __init__(
        self,
        replay: Replay,
        moves: Moves,
        host_name: HostName,
        glyphs: Glyphs,
        looked_at: Callable[[], None],
    ) -> None:
        super().__init__(replay, moves, host_name, glyphs, None, looked_at)
        self._replay = replay

    async def action_replay(self, number: int) -> None:
        """Move through time, as on the screen below."""
        below = self.app.screen_stack[-2]
        await below.run_action(REPLAY_KEYS[number].action)

    def action_steer(self, key: str) -> None:
        """Refuse."""
        self._say(REFUSAL, "$text-warning")

    def action_repair(self, number: int) -> None:
        """Refuse."""
        self._say(REFUSAL, "$text-warning")

    def let_note_go(self, now_s: float) -> None:
        """Keep it: the clock is the recording's, not that of whoever reads."""

    def offered(self, move: Migration | None) -> list[tuple[str, str]]:
        """Return the keys that move through time, the most wanted first."""
        return [(key.written, key.label) for key in REPLAY_KEYS if key.footer]

    def headline(self) -> Content:
        """Say at which time this was."""
        return Content(" · ").join([super().headline(), Content(f"at {self._replay.time:%H:%M:%S}")])
