"""The table of VMs: draws only the lines that are visible, and of those only the ones that changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textual import events
from textual.actions import parse
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from kvmtui.model.filter import Filter
from kvmtui.model.fleet import Fleet
from kvmtui.model.host import Link
from kvmtui.model.order import TEXTS, RowOrder
from kvmtui.model.vm import VmKey
from kvmtui.ui.bare_lines import BareLines
from kvmtui.ui.columns import GUTTER, lay_out
from kvmtui.ui.glyphs import UNICODE, Glyphs
from kvmtui.ui.key_order import TakesKeys
from kvmtui.ui.keymap import MOVE_KEYS, move_bindings
from kvmtui.ui.paint import TONE_CLASSES, Tone
from kvmtui.ui.widgets.row_painter import Look, RowPainter
from kvmtui.ui.widgets.vm_lines import empty_text

_HEADER = 1
_HOST_WIDTH = (4, 12)
_MOVES: dict[str, tuple[str, tuple[Any, ...]]] = {
    key: parse(action)[1:] for move in MOVE_KEYS for keys, action in move.actions for key in keys.split(",")
}


class VmTable(TakesKeys, ScrollView, BareLines, can_focus=True, inherit_bindings=False):
    """All VMs, one line each; the cursor and the marks belong to VMs, not to lines."""

    COMPONENT_CLASSES = TONE_CLASSES

    BINDINGS = [*move_bindings()]

    fleet: reactive[Fleet] = reactive(Fleet, repaint=False)
    now_s: reactive[float] = reactive(0.0, repaint=False)
    sort_column: reactive[str] = reactive("name", repaint=False)
    sort_reversed: reactive[bool] = reactive(False, repaint=False)
    filter: reactive[Filter | None] = reactive(None, repaint=False)
    marked: reactive[frozenset[VmKey]] = reactive(frozenset(), repaint=False)
    wrong: reactive[Mapping[VmKey, Tone]] = reactive(dict, repaint=False)
    """Of the VMs with which something is wrong, how bad it is."""

    @dataclass
    class CursorMoved(Message):
        """The cursor is on another VM, or on none."""

        key: VmKey | None

    @dataclass
    class MarksChanged(Message):
        """Other VMs are marked than before."""

        marked: frozenset[VmKey]

    @dataclass
    class VisibleChanged(Message):
        """Other VMs are on the screen than before, or in another order."""

        keys: tuple[VmKey, ...]

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self._glyphs = glyphs
        self._rows = RowOrder()
        self._painter = RowPainter(self, glyphs)
        self._cursor: VmKey | None = None
        self._cursor_row = 0
        self._chosen: VmKey | None = None
        """The VM the user put the cursor on; a filter may hide it for a while. None: the cursor was never moved."""
        self._filling = True
        """Whether hosts are still to tell of their VMs for the first time, and the cursor waits for them at the top."""
        self._painted: dict[int, Strip] = {}
        """What each line of the screen shows."""
        self._visible: tuple[VmKey, ...] = ()

    @property
    def selected(self) -> VmKey | None:
        """The VM the cursor is on."""
        return self._cursor

    @property
    def chosen(self) -> VmKey | None:
        """The VM the user put the cursor on, while there is one; None where the cursor came to be by itself."""
        return self._chosen

    @property
    def visible_keys(self) -> tuple[VmKey, ...]:
        """The VMs on the screen, top to bottom."""
        top = round(self.scroll_y)
        return tuple(self._rows.keys[top : top + self._page])

    @property
    def shown_count(self) -> int:
        """How many VMs the filter lets through."""
        return len(self._rows.keys)

    @property
    def shown_keys(self) -> tuple[VmKey, ...]:
        """All VMs the filter lets through, in the order of the table."""
        return tuple(self._rows.keys)

    def select(self, key: VmKey) -> None:
        """Put the cursor on a VM and bring it into view; a VM that is not shown is ignored."""
        row = self._rows.index.get(key)
        if row is None:
            return
        self._chosen, self._filling = key, False
        before, top = self._cursor_row, self.scroll_y
        self._put_cursor(key)
        self._reveal_cursor()
        if self.scroll_y == top and self.is_mounted:
            first = _HEADER - round(top)
            lines = sorted({first + before, first + row})
            self._refresh_lines([y for y in lines if _HEADER <= y < self.size.height])

    def sort_by(self, column_id: str) -> None:
        """Sort by a column, its interesting end first; by the same column again: turn the order round."""
        if column_id == self.sort_column:
            self.sort_reversed = not self.sort_reversed
            return
        descending = column_id not in TEXTS
        self.set_reactive(VmTable.sort_reversed, descending)
        self.sort_column = column_id

    def sort_next(self, step: int) -> None:
        """Sort by the next column to the right (1) or to the left (-1) of those that are shown."""
        shown = [column.id for column, _ in self._painter.layout.columns]
        here = shown.index(self.sort_column) if self.sort_column in shown else 0
        self.sort_by(shown[(here + step) % len(shown)])

    def toggle_mark(self) -> None:
        """Mark or unmark the VM under the cursor and go to the next."""
        if self._cursor is not None:
            self.marked = self.marked ^ {self._cursor}
            self.action_move(1)

    def mark_shown(self) -> None:
        """Mark all VMs that the filter lets through, and no other."""
        self.marked = frozenset(self._rows.keys)

    def clear_marks(self) -> None:
        """Unmark all VMs."""
        self.marked = frozenset()

    # The state that comes down

    def watch_fleet(self) -> None:
        """Follow the fleet: order, cursor, marks, and the lines that look different now."""
        if not self.is_mounted:
            return
        self._reorder()
        gone = {key for key in self.marked if self.fleet.vm(key) is None}
        if gone:
            self.marked = self.marked - gone

    def watch_now_s(self) -> None:
        """Let ages grow."""
        self._repaint()

    def watch_sort_column(self) -> None:
        """Sort by another column."""
        self._resort()

    def watch_sort_reversed(self) -> None:
        """Sort the other way round."""
        self._resort()

    def watch_filter(self) -> None:
        """Show other VMs."""
        self._reorder()

    def watch_marked(self, marked: frozenset[VmKey]) -> None:
        """Draw the marks."""
        if self.is_mounted:
            self.post_message(self.MarksChanged(marked))
            self._repaint()

    def watch_wrong(self) -> None:
        """Draw the signs."""
        self._repaint()

    def notify_style_update(self) -> None:
        """Forget what was drawn in the styles of before."""
        self._forget()
        super().notify_style_update()

    def on_mount(self) -> None:
        """Draw what was set before the widget had a screen."""
        self._reorder()

    def on_resize(self) -> None:
        """Lay the columns out anew, with the cursor in view."""
        self._forget()
        self._reorder()
        self._reveal_cursor()

    # Movement

    def take_key(self, key: str) -> bool:
        """Move the cursor, if that is what the key does."""
        name, arguments = _MOVES.get(key, ("", ()))
        if name:
            getattr(self, f"action_{name}")(*arguments)
        return bool(name)

    def action_move(self, lines: int) -> None:
        """Move the cursor by lines."""
        if self._rows.keys:
            row = max(0, min(len(self._rows.keys) - 1, self._cursor_row + lines))
            self.select(self._rows.keys[row])

    def action_page(self, halves: int) -> None:
        """Move the cursor by half pages; the view moves along, so that a page is a page."""
        lines = (max(1, self._page - 1) if abs(halves) == 2 else max(1, self._page // 2)) * (1 if halves > 0 else -1)
        self.scroll_to(y=self.scroll_y + lines, animate=False)
        self.action_move(lines)

    def action_first(self) -> None:
        """Go to the first VM."""
        self.action_move(-len(self._rows.keys))

    def action_last(self) -> None:
        """Go to the last VM."""
        self.action_move(len(self._rows.keys))

    def on_click(self, event: events.Click) -> None:
        """Select the VM that was clicked, or sort by the title that was clicked."""
        row = event.y - _HEADER + round(self.scroll_y)
        if event.y >= _HEADER:
            if row < len(self._rows.keys):
                self.select(self._rows.keys[row])
            return
        right = GUTTER
        for column, width in self._painter.layout.columns:
            right += width + self._painter.layout.gap
            if event.x < right:
                self.sort_by(column.id)
                return

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Draw the lines that are on other VMs now."""
        if round(old_value) != round(new_value):
            self._repaint()

    # Drawing

    @property
    def _page(self) -> int:
        return max(0, self.size.height - _HEADER)

    def _forget(self) -> None:
        self._painter.forget()
        self._painted.clear()

    def _reorder(self) -> None:
        """Take rows and order from the fleet, and keep the cursor on its VM."""
        if not self.is_mounted:
            return
        in_view = self._row_in_view(self._cursor_row)
        self._rows.update(self.fleet, self.sort_column, self.sort_reversed, self.filter)
        self._lay_out()
        self.virtual_size = Size(self.size.width, len(self._rows.keys) + _HEADER)
        if self._chosen is not None and self.fleet.vm(self._chosen) is None:
            self._chosen = None
        rows = self._rows
        if self._chosen in rows.index:
            self._put_cursor(self._chosen)
        elif self._cursor in rows.index and not self._filling:
            self._put_cursor(self._cursor)
        else:
            nearest = min(self._cursor_row, len(rows.keys) - 1)
            self._put_cursor(rows.keys[nearest] if rows.keys else None)
        if in_view:
            self._reveal_cursor()
        self._repaint()
        if self._filling:
            # Not sooner: the VMs of the last of them, too, may come to stand above.
            hosts = self.fleet.hosts.values()
            untold = any(host.sampled_at_s is None and host.link is not Link.DOWN for host in hosts)
            self._filling = untold or not hosts

    def _resort(self) -> None:
        """Show another order: from its top, unless the user has chosen a VM, which the view then follows."""
        if self._chosen is None:
            self._cursor = None
            self._cursor_row = 0
        self._reorder()

    def _lay_out(self) -> None:
        hosts = self.fleet.hosts.values()
        host_width = max(_HOST_WIDTH[0], min(_HOST_WIDTH[1], max((len(host.name) for host in hosts), default=0)))
        layout = lay_out(self.size.width or 80, host_width, len(self.fleet.hosts) < 2)
        if layout != self._painter.layout:
            self._forget()
            self._painter.layout = layout

    def _put_cursor(self, key: VmKey | None) -> None:
        self._cursor_row = self._rows.index.get(key, 0) if key else 0
        if key != self._cursor:
            self._cursor = key
            self.post_message(self.CursorMoved(key))

    def _row_in_view(self, row: int) -> bool:
        return 0 <= row - round(self.scroll_y) < max(1, self._page)

    def _reveal_cursor(self) -> None:
        """Scroll as little as brings the cursor into view."""
        top, row = round(self.scroll_y), self._cursor_row
        if row < top:
            self.scroll_to(y=row, animate=False)
        elif row >= top + self._page > 0:
            self.scroll_to(y=row - self._page + 1, animate=False)

    def _repaint(self) -> None:
        """Refresh the lines of the screen that look different from what they show."""
        if not self.is_mounted or not self.size:
            return
        self._refresh_lines(range(self.size.height))
        visible = self.visible_keys
        if visible != self._visible:
            self._visible = visible
            self._painter.keep(visible)
            self.post_message(self.VisibleChanged(visible))

    def _refresh_lines(self, lines: Sequence[int]) -> None:
        width = self.size.width
        changed = []
        for y, strip in zip(lines, self._lines(lines), strict=True):
            painted = self._painted.get(y)
            if painted is not strip and painted != strip:
                changed.append(Region(0, y, width, 1))
            self._painted[y] = strip
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the screen."""
        strip = self._painted.get(y)
        if strip is None:
            strip = self._painted[y] = self._lines((y,))[0]
        return strip

    def _lines(self, lines: Sequence[int]) -> list[Strip]:
        # Asked for some thirty lines a tick: what is the same for all is looked up once.
        fleet, now_s, marked, painter, keys = self.fleet, self.now_s, self.marked, self._painter, self._rows.keys
        stale = {key: host.stale(now_s) for key, host in fleet.hosts.items()}
        thumb, top, wrong = self._thumb(), round(self.scroll_y) - _HEADER, self.wrong
        strips = []
        for y in lines:
            if y < _HEADER:
                strips.append(painter.header(self.sort_column, self.sort_reversed))
            elif y + top < len(keys):
                key = keys[y + top]
                host = fleet.hosts[key.host]
                look = Look(key == self._cursor, key in marked, y in thumb, wrong.get(key))
                pending = fleet.pending.get(key, "")
                strips.append(painter.row(host.vms[key.uuid], host.name, pending, stale[key.host], now_s, look))
            else:
                says = y == _HEADER + 1 and not keys
                strips.append(painter.plain(empty_text(fleet, self.filter, self._glyphs) if says else []))
        return strips

    def _thumb(self) -> range:
        """Return the lines that the scroll position is drawn on."""
        page, rows = self._page, len(self._rows.keys)
        if rows <= page or page <= 0:
            return range(0)
        length = max(1, page * page // rows)
        top = _HEADER + round((page - length) * self.scroll_y / (rows - page))
        return range(top, top + length)
