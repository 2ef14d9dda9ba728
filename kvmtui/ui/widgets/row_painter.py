"""Strips of the VM table's lines, drawn again only when something they show has changed."""

from collections.abc import Sequence
from typing import NamedTuple

from textual.strip import Strip
from textual.widget import Widget

from kvmtui.model.fleet import Fleet
from kvmtui.model.vm import Vm, VmKey
from kvmtui.ui.columns import Layout, Row, lay_out
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.paint import Palette, Run
from kvmtui.ui.widgets.vm_lines import header_runs, row_runs, volatile

_SPARE = 100
"""How many strips are kept besides those on the screen, for scrolling back and forth."""


class Look(NamedTuple):
    """What a line shows besides its VM."""

    cursor: bool
    marked: bool
    thumb: bool


class RowPainter:
    """Draws and remembers lines in the styles of one widget."""

    def __init__(self, widget: Widget, glyphs: Glyphs) -> None:
        self.layout: Layout = lay_out(80, 4, single_host=True)
        self._widget = widget
        self._glyphs = glyphs
        self._palette: Palette | None = None
        self._rows: dict[tuple[VmKey, bool], tuple[Vm, object, Strip]] = {}
        """Strips by VM, with and without the cursor."""
        self._header: tuple[object, Strip] | None = None

    def __len__(self) -> int:
        return len(self._rows)

    def forget(self) -> None:
        """Forget all strips and styles: theme, focus or layout have changed."""
        self._palette = None
        self._rows.clear()
        self._header = None

    def keep(self, keys: Sequence[VmKey]) -> None:
        """Forget the strips of VMs that are not on the screen, when they have become many."""
        if len(self._rows) > 4 * len(keys) + _SPARE:
            kept = set(keys)
            self._rows = {line: drawn for line, drawn in self._rows.items() if line[0] in kept}

    def plain(self, runs: Sequence[Run]) -> Strip:
        """Return a line of text."""
        return self._styles.strip(runs, self.layout.width)

    def header(self, sort_column: str, reverse: bool) -> Strip:
        """Return the line of titles."""
        if self._header is None or self._header[0] != (sort_column, reverse):
            runs = header_runs(self.layout, sort_column, reverse, self._glyphs)
            self._header = ((sort_column, reverse), self.plain(runs))
        return self._header[1]

    def row(self, fleet: Fleet, key: VmKey, look: Look, now_s: float) -> Strip:
        """Return the line of a VM."""
        host = fleet.hosts[key.host]
        vm = host.vms[key.uuid]
        stale, pending = host.stale(now_s), fleet.pending.get(key, "")
        seen = (look, pending, stale, volatile(vm, now_s))
        cached = self._rows.get((key, look.cursor))
        # Two looks at a VM that does nothing may give two VMs that are equal.
        if cached is not None and cached[1] == seen and (cached[0] is vm or cached[0] == vm):
            return cached[2]
        row = Row(vm, host.name, pending, stale, now_s, self._glyphs)
        runs = row_runs(row, self.layout, look.cursor, look.marked, look.thumb)
        strip = self._styles.strip(runs, self.layout.width, cursor=look.cursor, stale=stale)
        self._rows[key, look.cursor] = (vm, seen, strip)
        return strip

    @property
    def _styles(self) -> Palette:
        if self._palette is None:
            self._palette = Palette(self._widget, self._glyphs)
        return self._palette
