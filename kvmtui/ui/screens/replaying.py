"""The main screen over a recording: the same picture, with keys that move through time in the place of actions."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from textual.binding import Binding

from kvmtui.engine.recording.replay import Replay
from kvmtui.model.actions import Action
from kvmtui.model.migration import Migration
from kvmtui.model.vm import Vm
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.keymap import REPLAY_KEYS, VIEW_KEYS, ViewKey
from kvmtui.ui.messages import RecordingSaid
from kvmtui.ui.moves import Moves
from kvmtui.ui.past_moves import PastMoves
from kvmtui.ui.screens.main import MainScreen
from kvmtui.ui.widgets.bars import KeyBar, Note, TitleBar

if TYPE_CHECKING:
    from kvmtui.ui.screens.cockpit import CockpitScreen
    from kvmtui.ui.widgets.migration_lines import HostName

REFUSAL = "not possible: this is a recording"
_TONES = {"critical": "$text-error", "warning": "$text-warning", "fine": "$text-success"}
_WIDE = 100
"""From this many cells on the title has room for a date."""
_ELSEWHERE = frozenset({"mark", "mark_all", "unmark", "menu", "balance", "evacuate", "refresh", "look_back"})
"""What the main screen has keys for and a recording has not."""


class ReplayScreen(MainScreen):
    """Plays a recording; whatever would act on a VM is refused."""

    BINDINGS = [Binding(key.key, key.action, key.label, show=False) for key in REPLAY_KEYS]
    PLAYS_AT_ONCE = True

    def __init__(self, replay: Replay, glyphs: Glyphs, *, wall_clock: Callable[[], datetime]) -> None:
        super().__init__(replay, glyphs, wall_clock=wall_clock)
        self._replay = replay
        self._moves = PastMoves(replay)

    def on_mount(self) -> None:
        """Hear of what happens in the recording, and begin."""
        self._replay.said = lambda text, tone, vm: self._tell(RecordingSaid(text, tone, vm))
        self._replay.play(playing=self.PLAYS_AT_ONCE)

    def on_recording_said(self, message: RecordingSaid) -> None:
        """Show it, and the VM that it happened to."""
        if message.vm is not None:
            self._table.select(message.vm)
        self.show_note(Note(message.text, _TONES.get(message.tone, "")))

    @property
    def view_keys(self) -> tuple[ViewKey, ...]:
        """The keys that mean something here."""
        taken = {key.key for key in REPLAY_KEYS}
        return (
            *REPLAY_KEYS,
            *(key for key in VIEW_KEYS if key.key not in taken and key.action.split("(")[0] not in _ELSEWHERE),
        )

    @property
    def offered(self) -> list[Action]:
        """Nothing can be done to what was."""
        return []

    @property
    def record_label(self) -> str:
        """It is one already."""
        return ""

    def show_mode(self) -> None:
        """Say in the title which time it is there."""
        replay = self._replay
        when = "%Y-%m-%d %H:%M:%S" if self.size.width >= _WIDE else "%a %H:%M:%S"
        pace = f"{replay.speed}×" if self._glyphs.graphs and not self._glyphs.ascii else f"{replay.speed}x"
        how = pace if replay.playing else "paused"
        if replay.at_end:
            how = "end"
        self.show_moves_in_title()
        self._moves.changed()
        self.query_one(TitleBar).mode = f"recorded {replay.time.strftime(when)} · {how}"

    def let_note_go(self) -> None:
        """Keep it: it says what happened at the time that is shown."""

    def show_keys(self) -> None:
        """Show the keys that move through time."""
        bar = self.query_one(KeyBar)
        bar.keys = tuple((key.written, key.label) for key in REPLAY_KEYS if key.footer)
        bar.pinned = tuple((view.written, view.label) for view in VIEW_KEYS if view.footer)

    def action_play(self) -> None:
        """Play, or stand still."""
        self._replay.play(playing=not self._replay.playing)

    def action_skip(self, seconds: float) -> None:
        """Go on or back."""
        if abs(seconds) <= 1:
            self._replay.play(playing=False)
        self._replay.skip(seconds)

    def action_event(self, step: int) -> None:
        """Go to what happened next or last."""
        self._replay.go_to_event(later=step > 0)

    def action_speed(self, steps: int) -> None:
        """Play faster or slower."""
        self.show_note(Note(f"{self._replay.change_speed(steps)} times as fast as it was"))

    def action_go_to_time(self) -> None:
        """Ask for a time of day."""
        from kvmtui.ui.screens.line import LineScreen

        here = self._replay.time
        self.app.push_screen(
            LineScreen(
                "Go to which time?",
                f"A time of day such as 03:12, or with its date: {here:%Y-%m-%d %H:%M}",
                check=self._replay.go_to_time,
            )
        )

    def action_journal(self) -> None:
        """Show what had happened until then."""
        from kvmtui.ui.screens.journal import Entry, JournalScreen

        events = self._replay.events()
        entries = [Entry(at, each.text, _TONES.get(each.tone, ""), "") for at, each in events]
        self.app.push_screen(JournalScreen(entries))

    @property
    def audit_title(self) -> str:
        """The recording has what was audited while it was made."""
        return f"What had been done by {self._replay.time:%H:%M:%S}, as recorded"

    def cockpit(self, moves: Moves, host_name: "HostName", first: Migration | None) -> "CockpitScreen":
        """Return the screen that shows the moves of the time."""
        from kvmtui.ui.screens.past_moves import PastMovesScreen

        return PastMovesScreen(self._replay, moves, host_name, self._glyphs, self.show_moves_in_title)

    def quit(self) -> None:
        """Quit: whatever is under way was so when it was recorded."""
        self.app.exit()

    # What is not possible

    def _begin(self, actions: Sequence[Action], vms: Sequence[Vm]) -> None:
        self._refuse()

    def _refuse(self) -> None:
        self.show_note(Note(REFUSAL, "$text-warning"))

    action_menu = action_balance = action_evacuate = action_mark_all = action_refresh = _refuse
