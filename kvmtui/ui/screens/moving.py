"""What the main screen has to do with moves: counts and shows them, and follows the selected VM to where it went."""

from functools import cached_property
from typing import TYPE_CHECKING

from textual import on

from kvmtui.model.migration import Migration, Phase
from kvmtui.model.vm import VmKey
from kvmtui.ui import acting
from kvmtui.ui.messages import MigrationChanged
from kvmtui.ui.moves import Moves
from kvmtui.ui.screens.acting_screen import ActingScreen
from kvmtui.ui.widgets.bars import Note, TitleBar

if TYPE_CHECKING:
    from kvmtui.ui.screens.cockpit import CockpitScreen
    from kvmtui.ui.widgets.migration_lines import HostName


class MovingScreen(ActingScreen):
    """Follows the moves of this run."""

    _cockpit: "CockpitScreen | None" = None
    _follow: tuple[VmKey, VmKey] | None = None
    """A VM that was migrated while it was selected: where it was, and where it will appear."""

    @cached_property
    def _moves(self) -> Moves:
        return Moves(lambda: self._engine.migrations)

    def action_moves(self) -> None:
        """Show the moves of this run."""
        self._open_cockpit(None)

    def show_move(self, key: VmKey) -> bool:
        """Show how the move of a VM fares; return whether it is on its way."""
        move = self._moves.of(key)
        if move is not None:
            self._open_cockpit(move)
        return move is not None

    def show_note(self, note: Note) -> None:
        """Say something in the line at the bottom, also of the moves where they are in sight instead."""
        super().show_note(note)
        if self._cockpit is not None:
            self._cockpit.hear(note)

    @on(MigrationChanged)
    def _migration_changed(self, message: MigrationChanged) -> None:
        migration = message.migration
        news = self._moves.take(migration)
        self.show_moves_in_title()
        text, tone = acting.migration_words(migration, self.shown_fleet)
        if migration.phase.ended and news:
            self.note(text, tone, migration.command)
            self._follow_moved(migration)
        elif migration.message and news:
            self.show_note(Note(text, tone))

    def follow_arrived(self) -> None:
        """Select the VM that was migrated while it was selected, once it is there; not if another was chosen since."""
        if self._follow is None:
            return
        left, moved = self._follow
        if self._table.chosen not in (left, None):
            self._follow = None
        elif self.shown_fleet.vm(moved) is not None:
            self._table.select(moved)
            self._follow = None

    def _follow_moved(self, migration: Migration) -> None:
        request = migration.request
        table = self._table
        moved = VmKey(request.destination, request.key.uuid)
        if migration.phase is not Phase.DONE or table.selected not in (request.key, moved):
            return
        if self.shown_fleet.vm(moved) is not None:
            table.select(moved)
        else:
            self._follow = request.key, moved

    def _open_cockpit(self, first: Migration | None) -> None:
        def host_name(host: str) -> str:
            return acting.host_name(host, self.shown_fleet)

        def closed(_: None) -> None:
            self._cockpit = None

        self._cockpit = self.cockpit(self._moves, host_name, first)
        self.app.push_screen(self._cockpit, closed)

    def cockpit(self, moves: Moves, host_name: "HostName", first: Migration | None) -> "CockpitScreen":
        """Return the screen that shows moves."""
        from kvmtui.ui.screens.cockpit import CockpitScreen

        return CockpitScreen(self._engine, moves, host_name, self._glyphs, first, self.show_moves_in_title)

    def show_moves_in_title(self) -> None:
        """Say how many there are, and how many need somebody."""
        self.query_one(TitleBar).moves = acting.moves_words(self._moves.under_way, self._moves.calling)
