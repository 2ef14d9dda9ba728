"""The main screen: hosts, VMs and the selected VM, from top to bottom."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.message import Message
from textual.reactive import var

from kvmtui.engine.engine import Engine
from kvmtui.model.clean import clean
from kvmtui.model.filter import Filter
from kvmtui.model.fleet import Fleet
from kvmtui.model.vm import VmKey
from kvmtui.ui import acting
from kvmtui.ui.changed_cells import terminal_busy
from kvmtui.ui.console_keys import CONSOLE_FOOTER
from kvmtui.ui.console_layout import Layout
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.keymap import VIEW_KEYS, ViewKey, bindings
from kvmtui.ui.messages import (
    ActionFinished,
    CursorSettled,
    FleetChanged,
    HealthChanged,
    MigrationChanged,
    PlansChanged,
    TimePassed,
    TroubleCame,
)
from kvmtui.ui.screens.consoles_screen import ConsolesScreen
from kvmtui.ui.screens.moving import MovingScreen
from kvmtui.ui.screens.planning import PlanningScreen
from kvmtui.ui.widgets.bars import KeyBar, Note, StatusLine, TitleBar
from kvmtui.ui.widgets.detail_lines import PRESENT
from kvmtui.ui.widgets.filter_field import FilterField
from kvmtui.ui.widgets.host_list import HostList
from kvmtui.ui.widgets.vm_detail import VmDetail
from kvmtui.ui.widgets.vm_table import VmTable

if TYPE_CHECKING:
    from kvmtui.ui.screens.health import HealthOnScreen

_log = logging.getLogger(__name__)
_TICK_S, _SLOW_TICK_S = 1.05, 5.0
"""How long nothing may come from the hosts before ages and the clock are brought up to date all the same; and on a slow
link, where there are no graphs."""
_MOMENT_S = 0.05
"""The hosts tell one after the other: what comes within a moment is drawn at once."""
_SETTLED_S = 0.3
"""How long after the last of its keys the cursor is at rest, and what depends on it follows."""
_FIXED_LINES = 5
"""Title, status, keys, and the empty lines around the table."""
_TABLE_LEAST = 3
_DETAIL_LEAST, _DETAIL_MOST = 5, 28


class MainScreen(PlanningScreen, MovingScreen, ConsolesScreen):
    """Everything at a glance; owns what is shown and hands it down."""

    BINDINGS = [*bindings()]

    fleet: var[Fleet] = var(Fleet)
    now_s: var[float] = var(0.0)

    def __init__(self, engine: Engine, glyphs: Glyphs, *, wall_clock: Callable[[], datetime] = datetime.now) -> None:
        super().__init__(engine, VmTable(glyphs=glyphs), glyphs, wall_clock=wall_clock)
        self._glyphs = glyphs
        self._hosts = HostList(glyphs=glyphs)
        self._detail = VmDetail(engine.history, glyphs=glyphs)
        self._health_shown: HealthOnScreen | None = None
        self._trouble = ""
        self._told = False
        """Whether a fleet was published that is not taken yet."""
        self._divided: tuple[int, ...] = ()
        """What the height was divided for."""
        self._tick_due: asyncio.TimerHandle | None = None
        self._settle_due: asyncio.TimerHandle | None = None

    def compose(self) -> ComposeResult:
        """Lay the screen out."""
        yield TitleBar().data_bind(MainScreen.fleet)
        yield self._hosts.data_bind(MainScreen.fleet, MainScreen.now_s)
        yield self._table.data_bind(MainScreen.fleet, MainScreen.now_s)
        yield self._detail.data_bind(MainScreen.fleet, MainScreen.now_s)
        yield self._consoles
        yield FilterField(self._filter_changed, self.focus_table)
        yield StatusLine()
        yield KeyBar()

    def on_mount(self) -> None:
        """Start watching."""
        listeners = self._engine.listeners
        listeners.fleet_changed = partial(self._fleet_published, asyncio.get_running_loop())
        listeners.action_finished = lambda result: self._tell(ActionFinished(result))
        listeners.migration_changed = lambda migration: self._tell(MigrationChanged(migration))
        listeners.trouble = lambda text: self._tell(TroubleCame(text))
        listeners.plans_changed = lambda: self._tell(PlansChanged())
        listeners.health_changed = lambda: self._tell(HealthChanged())
        self.show_mode()
        self.focus_table()
        self._tick()
        # Hosts that answered while Textual was being imported are in the first picture, which waits for no other.
        self._hand_down(self._engine.fleet)
        self.call_after_refresh(self._engine.start)

    def on_unmount(self) -> None:
        """Let nothing come any more."""
        for due in (self._tick_due, self._settle_due):
            if due is not None:
                due.cancel()

    def _tell(self, message: Message) -> None:
        """Post a message from a foreign thread; after the end of the app there is nobody to tell."""
        if self.is_running:
            self.post_message(message)

    def _fleet_published(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the fleet taken in a moment, called from a foreign thread; one message will do for all hosts."""
        if not self._told and self.is_running:
            self._told = True
            # The hosts tell one after the other, and what comes within a moment is drawn at once; but nobody is to
            # look at an empty table.
            moment_s = _MOMENT_S if any(host.vms for host in self.fleet.hosts.values()) else 0.0
            # The loop is closed when the app has ended meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(loop.call_later, moment_s, self.post_message, FleetChanged())

    def _post_in(self, seconds: float, message: Message) -> asyncio.TimerHandle:
        """Post a message in a while; Textual's timers have a task each, which costs more than what is done here."""
        return asyncio.get_running_loop().call_later(seconds, self.post_message, message)

    # What comes from the engine

    @on(FleetChanged)
    def _take_fleet(self) -> None:
        if terminal_busy(self.app):
            # A slow link: what would be drawn now would be old before it is there, and keys would wait behind it.
            self._post_in(_MOMENT_S, FleetChanged())
            return
        self._told = False
        table = self._table
        selected, before = table.selected, self.selected
        self._hand_down(self._engine.fleet)
        # A VM that migrated leaves its old host before the migration is known to have ended: the cursor goes along.
        twin = self._twin(selected) if selected is not None and self.fleet.vm(selected) is None else None
        if twin is not None:
            table.select(twin)
        self.follow_arrived()
        if before is not None and table.selected not in (selected, twin):
            self.cursor_lost(before.name)
        self._bring_up_to_date()
        self.show_keys()

    def _hand_down(self, fleet: Fleet) -> None:
        """Give the widgets the fleet and the time, in such a way that each repaints once."""
        now_s = self._engine.clock()
        if fleet is self.fleet:
            self.now_s = now_s
            return
        self.set_reactive(MainScreen.now_s, now_s)
        self._hosts.set_reactive(HostList.now_s, now_s)
        self._table.set_reactive(VmTable.now_s, now_s)
        self._detail.set_reactive(VmDetail.now_s, now_s)
        self.fleet = fleet
        self._count_shown()
        self.tell_question(fleet)
        hosts = fleet.hosts.values()
        if (divided := (len(hosts), sum(len(host.vms) for host in hosts))) != self._divided:
            self._divided = divided
            self.divide_height()

    def _count_shown(self) -> None:
        self.query_one(TitleBar).shown = None if self._table.filter is None else self._table.shown_count

    @on(ActionFinished)
    def _action_finished(self, message: ActionFinished) -> None:
        result = message.result
        text, tone = acting.result_words(result, self.fleet)
        self.note(text, tone, result.command)
        self._configs.forget(result.request.key)

    @property
    def _health(self) -> "HealthOnScreen":
        if self._health_shown is None:
            from kvmtui.ui.screens.health import HealthOnScreen

            self._health_shown = HealthOnScreen(self._engine, self, self._table)
        return self._health_shown

    @on(HealthChanged)
    def _health_changed(self) -> None:
        self._health.follow()

    @on(TroubleCame)
    def _trouble_came(self, message: TroubleCame) -> None:
        self.note(message.text, "$text-warning")
        # The next outcome takes the status line.
        self._trouble = "trouble: see J"
        self.show_mode()

    def show_mode(self) -> None:
        """Say in the title what is special about this run."""
        recorder = self._engine.recording
        lost = f", {recorder.dropped} looks lost: the disk is slow" if recorder is not None and recorder.dropped else ""
        recording = "" if recorder is None else f"recording{lost}"
        modes = (self._read_only_words, recording, self._trouble)
        self.query_one(TitleBar).mode = " · ".join(filter(None, modes))

    @property
    def _read_only_words(self) -> str:
        """Whether nothing can be done anywhere; where some hosts are read-only, their lines say it."""
        return "read-only" if all(host.read_only for host in self._engine.fleet.hosts.values()) else ""

    def _twin(self, key: VmKey) -> VmKey | None:
        """Return the same VM on another host, or None."""
        return next((VmKey(host.key, key.uuid) for host in self.fleet.hosts.values() if key.uuid in host.vms), None)

    @on(TimePassed)
    def _tick(self) -> None:
        self._hand_down(self.fleet)
        self._bring_up_to_date()

    def _bring_up_to_date(self) -> None:
        """Let the clock and the selected VM's figures follow; what else changes anyway is sent along with them."""
        self.query_one(TitleBar).tick(self._wall_clock(), seconds=self._glyphs.graphs)
        self.let_note_go()
        self.show_mode()
        self._follow_cursor(rests=self._settle_due is None)
        self._consoles.bring_up_to_date()
        if self._tick_due is not None:
            self._tick_due.cancel()
        self._tick_due = self._post_in(_TICK_S if self._glyphs.graphs else _SLOW_TICK_S, TimePassed())

    def let_note_go(self) -> None:
        """Clear the line at the bottom of what has been there long enough."""
        self.query_one(StatusLine).tick(self.now_s)

    def _follow_cursor(self, *, rests: bool) -> None:
        """Show the VM under the cursor in detail; its definition is asked for only when the cursor has come to rest."""
        detail, key = self._detail, self._table.selected
        detail.key = key
        detail.vm_config = self._configs.get(self.fleet.vm(key), self.now_s, ask=rests)

    # What the widgets tell

    @on(VmTable.CursorMoved)
    @on(VmTable.VisibleChanged)
    def _settle_soon(self) -> None:
        # The cursor is painted first, and of many keys only where they lead to counts.
        if self._settle_due is not None:
            self._settle_due.cancel()
        self._settle_due = self._post_in(_SETTLED_S, CursorSettled())

    @on(CursorSettled)
    def _settle(self) -> None:
        if self._settle_due is not None:
            self._settle_due.cancel()
            self._settle_due = None
        self._follow_cursor(rests=True)
        self._engine.show_interest(self._table.selected, self._table.visible_keys)
        self.show_keys()

    def on_resize(self) -> None:
        """Divide the screen anew."""
        self._console_changed()

    def divide_height(self) -> None:
        """Give the table what its rows need, and the graphs the rest."""
        filtering = self.query_one(FilterField).display
        consoles = self._consoles.display and not self._consoles.in_sight
        free = self.size.height - self._hosts.lines - _FIXED_LINES - filtering - consoles
        rows = max(_TABLE_LEAST, 1 + sum(len(host.vms) for host in self.fleet.hosts.values()))
        detail = self._detail
        detail.styles.height = height = max(free * 35 // 100, min(free - rows, _DETAIL_MOST), _DETAIL_LEAST)
        covered = self._consoles.in_sight and self._consoles.layout_now is not Layout.BESIDE
        detail.display = free - height >= _TABLE_LEAST and not covered

    @on(VmTable.MarksChanged)
    def _marks_changed(self) -> None:
        self.show_keys()

    # Keys that change what is seen

    def action_mark(self) -> None:
        """Mark the selected VM."""
        self._table.toggle_mark()

    def action_mark_all(self) -> None:
        """Mark all VMs shown."""
        self._table.mark_shown()

    def action_unmark(self) -> None:
        """Clear all marks."""
        self._table.clear_marks()

    def action_sort_next(self, step: int) -> None:
        """Sort by another column."""
        self._table.sort_next(step)

    def action_sort_invert(self) -> None:
        """Turn the order round."""
        table = self._table
        table.sort_reversed = not table.sort_reversed

    def action_sort_by(self, column: str) -> None:
        """Sort by a column."""
        self._table.sort_by(column)

    def action_health(self) -> None:
        """List what is wrong."""
        self._health.open_list()

    def action_filter(self) -> None:
        """Type a filter."""
        self.query_one(FilterField).open()
        self.divide_height()

    def action_clear_filter(self) -> None:
        """Show all VMs again, and the present."""
        self.query_one(FilterField).action_drop()
        self._detail.marked = PRESENT

    def _filter_changed(self, wanted: Filter | None, problem: str) -> None:
        self.query_one(StatusLine).note = Note(problem, "$text-error") if problem else Note("")
        if wanted != self._table.filter:
            # Who typed a name knows where the cursor is.
            self._gone = None
        self._table.filter = wanted
        self._count_shown()

    def focus_table(self) -> None:
        """Give the keys to the table."""
        # At once, not at the next turn of the loop: the key after this one is meant for the table.
        self.set_focus(self._table)
        self.divide_height()

    def action_zoom(self, steps: int) -> None:
        """Show more or less of the past in the graphs."""
        self._follow_cursor(rests=self._settle_due is None)
        self._detail.zoom(steps)

    def action_read_past(self, columns: int) -> None:
        """Read the graphs at an earlier or later time."""
        self._follow_cursor(rests=self._settle_due is None)
        self._detail.mark(columns)

    def action_change_interval(self, factor: float) -> None:
        """Look more or less often."""
        interval_s = self._engine.change_interval(factor)
        self.query_one(StatusLine).note = Note(f"looking every {interval_s:g} s")

    @property
    def view_keys(self) -> tuple[ViewKey, ...]:
        """The keys that change what is seen."""
        return VIEW_KEYS

    @property
    def record_label(self) -> str:
        """What the palette calls `record`; empty: there is nothing to record."""
        return "Record to a file…" if self._engine.recording is None else "Stop recording"

    def record(self) -> None:
        """Ask for a file, and record to it; or record no more."""
        if self._engine.recording is None:
            from kvmtui.ui.screens.recording import ask_and_record

            ask_and_record(self, self._engine)
        else:
            self.note(f"recorded to {clean(str(self._engine.recording.file))}")
            self._engine.stop_recording()
            self.show_mode()

    def action_look_back(self) -> None:
        """Show what was recorded, over what is now."""
        recorder = self._engine.recording
        if recorder is None:
            why = "nothing is recorded: begin with --record FILE, or with : and Record to a file"
            self.show_note(Note(why, "$text-warning"))
        else:
            from kvmtui.ui.screens.looking_back import look_back

            look_back(self, recorder.file, self._glyphs, self._table.selected)

    def action_help(self) -> None:
        """Show all keys."""
        from kvmtui.ui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen())

    def action_refresh(self) -> None:
        """Look at all hosts now."""
        self._engine.refresh()
        self.query_one(StatusLine).note = Note("looking again")

    def action_redraw(self) -> None:
        """Draw everything again."""
        self.app.refresh(layout=True)

    def show_keys(self) -> None:
        """Show the keys that apply now."""
        bar = self.query_one(KeyBar)
        if self._consoles.has_keys:
            bar.keys, bar.pinned = CONSOLE_FOOTER, ()
            return
        marked = len(self._table.marked)
        offered = self.offered
        keys = [(f"{marked} marked", "")] if marked else []
        bar.keys = tuple(keys + [(action.key, action.label) for action in offered])
        bar.pinned = tuple((view.written, view.label) for view in VIEW_KEYS if view.footer)
