"""The main screen: hosts, VMs and the selected VM, from top to bottom."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.css.query import NoMatches
from textual.reactive import var
from textual.timer import Timer

from kvmtui.engine.engine import Engine
from kvmtui.model.filter import Filter
from kvmtui.model.fleet import Fleet
from kvmtui.model.migration import Migration, Phase
from kvmtui.model.vm import VmKey
from kvmtui.ui import acting
from kvmtui.ui.changed_cells import terminal_busy
from kvmtui.ui.config_reader import ConfigReader
from kvmtui.ui.console_keys import CONSOLE_FOOTER
from kvmtui.ui.console_layout import Layout
from kvmtui.ui.emulator import EmulatorUnavailable, load_emulator
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.keymap import VIEW_KEYS, bindings
from kvmtui.ui.messages import ActionFinished, ConsoleWoke, FleetChanged, MigrationChanged
from kvmtui.ui.screens.acting_screen import ActingScreen
from kvmtui.ui.screens.device import DeviceScreen
from kvmtui.ui.screens.help import HelpScreen
from kvmtui.ui.virsh_console import run_virsh_console
from kvmtui.ui.widgets.bars import KeyBar, Note, StatusLine, TitleBar
from kvmtui.ui.widgets.console_panel import ConsolePanel
from kvmtui.ui.widgets.detail_lines import PRESENT
from kvmtui.ui.widgets.filter_field import FilterField
from kvmtui.ui.widgets.host_list import HostList
from kvmtui.ui.widgets.vm_detail import VmDetail
from kvmtui.ui.widgets.vm_table import VmTable

_log = logging.getLogger(__name__)
_JOURNAL = 500
_SLOW_TICK_S = 5.0
"""How often ages are brought up to date on a slow link, where there are no graphs."""
_MOMENT_S = 0.05
_FIXED_LINES = 5
"""Title, status, keys, and the empty lines around the table."""
_TABLE_LEAST = 3
_DETAIL_LEAST, _DETAIL_MOST = 5, 28


class MainScreen(ActingScreen):
    """Everything at a glance; owns what is shown and hands it down."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings()]

    fleet: var[Fleet] = var(Fleet)
    now_s: var[float] = var(0.0)

    def __init__(self, engine: Engine, glyphs: Glyphs, *, wall_clock: Callable[[], datetime] = datetime.now) -> None:
        super().__init__(engine, wall_clock=wall_clock)
        self._glyphs = glyphs
        self._follow: VmKey | None = None
        """A VM that moved while it was selected: where it will appear."""
        self._configs = ConfigReader(engine)
        self._due: Timer | None = None

    def compose(self) -> ComposeResult:
        """Lay the screen out."""
        yield TitleBar().data_bind(MainScreen.fleet)
        yield HostList(glyphs=self._glyphs).data_bind(MainScreen.fleet, MainScreen.now_s)
        yield VmTable(glyphs=self._glyphs).data_bind(MainScreen.fleet, MainScreen.now_s)
        yield VmDetail(self._engine.history, glyphs=self._glyphs).data_bind(MainScreen.fleet, MainScreen.now_s)
        yield ConsolePanel(
            self._engine.open_console,
            lambda name, host: acting.where(name, host, self.fleet),
            self._focus_table,
            self._console_changed,
            self._glyphs,
        )
        yield FilterField(self._filter_changed, self._focus_table)
        yield StatusLine()
        yield KeyBar()

    def on_mount(self) -> None:
        """Start watching."""
        listeners = self._engine.listeners
        listeners.fleet_changed = lambda: self._tell(FleetChanged())
        listeners.action_finished = lambda result: self._tell(ActionFinished(result))
        listeners.migration_changed = lambda migration: self._tell(MigrationChanged(migration))
        self.query_one(TitleBar).mode = "read-only" if self._engine.read_only else ""
        self._focus_table()
        self.set_interval(1.0 if self._glyphs.graphs else _SLOW_TICK_S, self._tick)
        self._tick()
        self._engine.start()

    def _tell(self, message: FleetChanged | ActionFinished | MigrationChanged) -> None:
        """Post a message from a foreign thread; after the end of the app there is nobody to tell."""
        if self.is_running:
            self.post_message(message)

    # What comes from the engine

    @on(FleetChanged)
    def _fleet_changed(self) -> None:
        # The hosts tell one after the other: what comes within a moment is drawn at once.
        if self._due is None:
            self._due = self.set_timer(_MOMENT_S, self._take_fleet)

    def _take_fleet(self) -> None:
        self._due = None
        if terminal_busy(self.app):
            # A slow link: what would be drawn now would be old before it is there, and keys would wait behind it.
            self._fleet_changed()
            return
        table = self.query_one(VmTable)
        selected, before = table.selected, self.selected
        self.now_s = self._engine.clock()
        self.fleet = self._engine.fleet
        # A VM that migrated leaves its old host before the migration is known to have ended: the cursor goes along.
        if selected is not None and self.fleet.vm(selected) is None:
            twin = self._twin(selected)
            if twin is not None:
                table.select(twin)
            elif before is not None:
                self.cursor_lost(before.name)
        if self._follow is not None and self.fleet.vm(self._follow) is not None:
            table.select(self._follow)
            self._follow = None
        self._read_config()
        # The host list takes its lines, one for each host, with the next layout.
        self.call_after_refresh(self._divide_height)
        self._show_keys()

    @on(ActionFinished)
    def _action_finished(self, message: ActionFinished) -> None:
        result = message.result
        text, tone = acting.result_words(result, self.fleet)
        self.note(text, tone, result.command)
        self._configs.forget(result.request.key)

    @on(MigrationChanged)
    def _migration_changed(self, message: MigrationChanged) -> None:
        migration = message.migration
        text, tone = acting.migration_words(migration, self.fleet)
        if migration.phase.ended:
            self.note(text, tone, migration.command)
            self._follow_moved(migration)
        elif migration.message:
            self.query_one(StatusLine).note = Note(text, tone)

    def _twin(self, key: VmKey) -> VmKey | None:
        """Return the same VM on another host, or None."""
        return next((VmKey(host.key, key.uuid) for host in self.fleet.hosts.values() if key.uuid in host.vms), None)

    def _follow_moved(self, migration: Migration) -> None:
        request = migration.request
        table = self.query_one(VmTable)
        moved = VmKey(request.destination, request.key.uuid)
        if migration.phase is not Phase.DONE or table.selected not in (request.key, moved):
            return
        if self.fleet.vm(moved) is not None:
            table.select(moved)
        else:
            self._follow = moved

    def _tick(self) -> None:
        self.now_s = self._engine.clock()
        self.query_one(TitleBar).tick(self._wall_clock(), seconds=self._glyphs.graphs)
        self._read_config()

    # What the widgets tell

    @on(VmTable.CursorMoved)
    def _cursor_moved(self, message: VmTable.CursorMoved) -> None:
        detail = self.query_one(VmDetail)
        detail.key = message.key
        self._read_config()
        self._show_interest()
        self._show_keys()

    @on(VmTable.VisibleChanged)
    def _visible_changed(self) -> None:
        self._show_interest()

    def on_resize(self) -> None:
        """Divide the screen anew."""
        self._console_changed()

    def _divide_height(self) -> None:
        """Give the table what its rows need, and the graphs the rest."""
        filtering = self.query_one(FilterField).display
        panel = self.query_one(ConsolePanel)
        consoles = panel.display and not panel.in_sight
        free = self.size.height - self.query_one(HostList).size.height - _FIXED_LINES - filtering - consoles
        rows = max(_TABLE_LEAST, 1 + sum(len(host.vms) for host in self.fleet.hosts.values()))
        detail = self.query_one(VmDetail)
        detail.styles.height = height = max(free * 35 // 100, min(free - rows, _DETAIL_MOST), _DETAIL_LEAST)
        detail.display = free - height >= _TABLE_LEAST and not (
            panel.in_sight and panel.layout_now is not Layout.BESIDE
        )

    @on(VmTable.MarksChanged)
    def _marks_changed(self) -> None:
        self._show_keys()

    def _show_interest(self) -> None:
        table = self.query_one(VmTable)
        self._engine.show_interest(table.selected, table.visible_keys)

    def _read_config(self) -> None:
        try:
            detail = self.query_one(VmDetail)
        except NoMatches:
            return
        detail.vm_config = self._configs.get(self.fleet.vm(detail.key), self.now_s)

    # Console

    def open_console(self, key: VmKey, name: str) -> None:
        """Show a VM's console and give it the keys."""
        where = acting.where(name, key.host, self.fleet)
        try:
            load_emulator()
        except EmulatorUnavailable as error:
            self.note(run_virsh_console(self.app, key.host, key.uuid, where, str(error)), "$text-warning")
            return
        panel = self.query_one(ConsolePanel)
        config = self._configs.get(self.fleet.vm(key), self.now_s)
        devices = [device for device in config.consoles if device] if config is not None else []
        if len(devices) < 2:
            panel.open(key, name)
            return

        def chosen(device: str | None) -> None:
            if device is not None:
                panel.open(key, name, device)

        self.app.push_screen(DeviceScreen(where, devices), chosen)

    def _console_changed(self) -> None:
        panel = self.query_one(ConsolePanel)
        for layout in Layout:
            self.set_class(panel.in_sight and panel.layout_now is layout, f"console-{layout}")
        self._divide_height()
        self._show_keys()

    @on(ConsoleWoke)
    def _console_woke(self) -> None:
        self.query_one(ConsolePanel).wake()

    # Keys that change what is seen

    def action_mark(self) -> None:
        """Mark the selected VM."""
        self.query_one(VmTable).toggle_mark()

    def action_mark_all(self) -> None:
        """Mark all VMs shown."""
        self.query_one(VmTable).mark_shown()

    def action_unmark(self) -> None:
        """Clear all marks."""
        self.query_one(VmTable).clear_marks()

    def action_sort_next(self, step: int) -> None:
        """Sort by another column."""
        self.query_one(VmTable).sort_next(step)

    def action_sort_invert(self) -> None:
        """Turn the order round."""
        table = self.query_one(VmTable)
        table.sort_reversed = not table.sort_reversed

    def action_sort_by(self, column: str) -> None:
        """Sort by a column."""
        self.query_one(VmTable).sort_by(column)

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one(FilterField).open()
        self._divide_height()

    def action_clear_filter(self) -> None:
        """Show all VMs again, and the present."""
        self.query_one(FilterField).action_drop()
        self.query_one(VmDetail).marked = PRESENT

    def _filter_changed(self, wanted: Filter | None, problem: str) -> None:
        if problem:
            self.query_one(StatusLine).note = Note(problem, "$text-error")
            return
        self.query_one(StatusLine).note = Note("")
        self.query_one(VmTable).filter = wanted

    def _focus_table(self) -> None:
        # At once, not at the next turn of the loop: the key after this one is meant for the table.
        self.set_focus(self.query_one(VmTable))
        self._console_changed()

    def action_zoom(self, steps: int) -> None:
        """Show more or less of the past in the graphs."""
        self.query_one(VmDetail).zoom(steps)

    def action_read_past(self, columns: int) -> None:
        """Read the graphs at an earlier or later time."""
        self.query_one(VmDetail).mark(columns)

    def action_change_interval(self, factor: float) -> None:
        """Look more or less often."""
        interval_s = self._engine.change_interval(factor)
        self.query_one(StatusLine).note = Note(f"looking every {interval_s:g} s")

    def action_help(self) -> None:
        """Show all keys."""
        self.app.push_screen(HelpScreen())

    def action_refresh(self) -> None:
        """Look at all hosts now."""
        self._engine.refresh()
        self.query_one(StatusLine).note = Note("looking again")

    def action_redraw(self) -> None:
        """Draw everything again."""
        self.app.refresh(layout=True)

    def _show_keys(self) -> None:
        bar = self.query_one(KeyBar)
        if self.query_one(ConsolePanel).has_keys:
            bar.keys, bar.pinned = CONSOLE_FOOTER, ()
            return
        marked = len(self.query_one(VmTable).marked)
        offered = self.offered
        keys = [(f"{marked} marked", "")] if marked else []
        bar.keys = tuple(keys + [(action.key, action.label) for action in offered])
        bar.pinned = tuple((view.written, view.label) for view in VIEW_KEYS if view.footer)
