"""Strips of the VM table's lines, drawn again only when something they show has changed."""

from collections.abc import Sequence
from typing import NamedTuple

from textual.strip import Strip
from textual.widget import Widget

from kvmtui.model.vm import Vm, VmKey
from kvmtui.ui.columns import Layout, Row, lay_out
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.paint import Palette, Run, Tone
from kvmtui.ui.widgets.vm_lines import header_runs, row_runs, seen, volatile

_SPARE = 100
"""How many strips are kept besides those on the screen, for scrolling back and forth."""


class Look(NamedTuple):
    """What a line shows besides its VM."""

    cursor: bool
    marked: bool
    thumb: bool
    wrong: Tone | None = None
    """How bad it is what is wrong with the VM; None: nothing is."""


class _Drawn(NamedTuple):
    """A line, and what it was drawn from."""

    vm: Vm
    around: object
    shown: object
    strip: Strip


class RowPainter:
    """Draws and remembers lines in the styles of one widget."""

    def __init__(self, widget: Widget, glyphs: Glyphs) -> None:
        self.layout: Layout = lay_out(80, 4, single_host=True)
        self._widget = widget
        self._glyphs = glyphs
        self._palette: Palette | None = None
        self._rows: dict[tuple[VmKey, bool], _Drawn] = {}
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

    def row(self, vm: Vm, host_name: str, pending: str, stale: bool, now_s: float, look: Look) -> Strip:
        """Return the line of a VM."""
        around = (look, host_name, pending, stale, volatile(vm, now_s))
        drawn = self._rows.get((vm.key, look.cursor))
        if drawn is not None and drawn.vm is vm and drawn.around == around:
            return drawn.strip
        # Two looks at a VM that does nothing give two VMs that look the same.
        shown = seen(vm)
        if drawn is not None and drawn.shown == shown and drawn.around == around:
            strip = drawn.strip
        else:
            runs = row_runs(Row(vm, host_name, pending, stale, now_s, self._glyphs), self.layout, *look)
            strip = self._styles.strip(runs, self.layout.width, cursor=look.cursor, stale=stale)
        self._rows[vm.key, look.cursor] = _Drawn(vm, around, shown, strip)
        return strip

    @property
    def _styles(self) -> Palette:
        if self._palette is None:
            self._palette = Palette(self._widget, self._glyphs)
        return self._palette
