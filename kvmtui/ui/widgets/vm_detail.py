"""The selected VM: what it is, how it stands, and four graphs."""

from dataclasses import replace

from textual.reactive import reactive

from kvmtui.model.fleet import Fleet
from kvmtui.model.format import age
from kvmtui.model.vm import VmConfig, VmKey
from kvmtui.ui.bare_lines import RunLines
from kvmtui.ui.columns import Row
from kvmtui.ui.glyphs import UNICODE, Glyphs
from kvmtui.ui.paint import Run, Tone, fit_runs, runs_width
from kvmtui.ui.widgets.detail_lines import PRESENT, Plots, ReadSeries, Window, job_runs, off_lines, title_runs
from kvmtui.ui.widgets.graph import plot_lines
from kvmtui.ui.widgets.vm_lines import volatile

_MARGIN = 2
_BETWEEN = 3
"""Cells between the two graphs of a row."""
_AIRY = 9
"""From this many lines for graphs on, one is left empty between the two rows of them."""
_TWO_COLUMNS = 60
_SPANS_S = (60, 600, 3600)

Line = list[Run]


class VmDetail(RunLines):
    """The VM under the cursor, from a few lines to a whole screen."""

    fleet: reactive[Fleet] = reactive(Fleet, repaint=False)
    now_s: reactive[float] = reactive(0.0, repaint=False)
    key: reactive[VmKey | None] = reactive(None, repaint=False)
    vm_config: reactive[VmConfig | None] = reactive(None, repaint=False)
    span_s: reactive[int] = reactive(60, repaint=False)
    """About how far back the graphs go, in seconds; never less than a dot for each second needs."""
    marked: reactive[int] = reactive(PRESENT, repaint=False)
    """The column of the graphs that is read, counted from the newest."""

    def __init__(self, read_series: ReadSeries, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(glyphs=glyphs, id=id)
        self._plots = Plots(read_series)
        self._seen: tuple[object, ...] = ()
        """What the lines were made from."""
        self._due = False

    def watch_fleet(self) -> None:
        """Draw the new figures."""
        self._repaint_soon()

    def watch_now_s(self) -> None:
        """Move the graphs on."""
        self._repaint_soon()

    def watch_key(self) -> None:
        """Show another VM, with scales of its own."""
        self._plots = Plots(self._plots.read_series)
        self._repaint_soon()

    def watch_vm_config(self) -> None:
        """Show what is known of the definition."""
        self._repaint_soon()

    def watch_span_s(self) -> None:
        """Show more or less of the past."""
        self.marked = PRESENT
        self._repaint_soon()

    def watch_marked(self) -> None:
        """Read another time."""
        self._repaint_soon()

    def mark(self, columns: int) -> None:
        """Read a time further back (more than 0) or later; beyond the newest is the present."""
        _, window = self._window(self._graphs_width(self.size.width))
        self.marked = max(PRESENT, min(self.marked + columns, window.oldest))

    def zoom(self, steps: int) -> None:
        """Show the next longer (1) or shorter (-1) part of the past."""
        here = _SPANS_S.index(self.span_s) if self.span_s in _SPANS_S else 0
        self.span_s = _SPANS_S[max(0, min(len(_SPANS_S) - 1, here + steps))]

    def on_resize(self) -> None:
        """Lay everything out anew."""
        self._repaint_soon()

    def forget(self) -> None:
        """Make all lines anew when they are next asked for."""
        self._seen = ()
        super().forget()

    def _repaint_soon(self) -> None:
        """Repaint once, however many reactives the same tick has set."""
        if self.is_mounted and not self._due:
            self._due = True
            self.call_next(self._repaint)

    def _repaint(self) -> None:
        self._due = False
        if not self.display or not self.outer_size:
            self.forget()
            return
        seen = self._inputs()
        if seen != self._seen:
            self._seen = seen
            self.redraw()

    def _inputs(self) -> tuple[object, ...]:
        """Return all that the lines are made from; of the time only what can be read of it."""
        vm = self.fleet.vm(self.key)
        if vm is None:
            return (self.outer_size,)
        host = self.fleet.hosts[vm.key.host]
        memory_age = None if vm.memory is None else age(self.now_s - vm.memory.taken_at_s)
        pending = self.fleet.pending.get(vm.key, "")
        ages = (*volatile(vm, self.now_s), memory_age)
        _, window = self._window(self._graphs_width(self.outer_size.width))
        # Between two seconds nothing new is in the history.
        window = replace(window, until_s=int(window.until_s), now_s=0.0)
        return vm, host.name, host.stale(self.now_s), pending, self.vm_config, self.outer_size, window, ages

    def draw(self, width: int, height: int) -> tuple[bool, list[Line]]:
        """Return whether what is shown is old, and all lines."""
        stale, lines = self._all_lines(self._graphs_width(width), height)
        return stale, [[(" " * _MARGIN, Tone.TEXT), *line] if line else [] for line in lines]

    def _graphs_width(self, width: int) -> int:
        return width - _MARGIN - 1

    def _all_lines(self, width: int, height: int) -> tuple[bool, list[Line]]:
        """Return whether what is shown is old, and the lines."""
        vm = self.fleet.vm(self.key)
        if vm is None or width < 10:
            return False, [[("No VM selected.", Tone.MUTED)]]
        host = self.fleet.hosts[vm.key.host]
        stale = host.stale(self.now_s)
        row = Row(vm, host.name, self.fleet.pending.get(vm.key, ""), stale, self.now_s, self._glyphs)
        columns, window = self._window(width)
        title = title_runs(row, self.vm_config, width)
        if not vm.state.active:
            body = off_lines(vm, self.vm_config, stale=stale)
            return stale, [fit_runs(line, width, self._glyphs.ellipsis) for line in (title, *body)]
        label = f"  {window.label}"
        if runs_width(title) + len(label) <= width:
            title = [*fit_runs(title, width - len(label)), (label, Tone.MUTED)]
        lines = [fit_runs(title, width, self._glyphs.ellipsis)]
        if vm.job is not None and not stale:
            lines.append(fit_runs(job_runs(vm.job, width, self._glyphs), width, self._glyphs.ellipsis))
        return stale, lines + self._graphs(window, columns, height - len(lines))

    def _window(self, width: int) -> tuple[int, Window]:
        """Return how many graphs stand side by side, and what each shows."""
        columns = 2 if width >= _TWO_COLUMNS else 1
        cells = (width - _BETWEEN * (columns - 1)) // columns
        host = self.fleet.hosts.get(self.key.host) if self.key else None
        # The graphs move when there is something new to see; those of a host that is silent go on without it.
        sampled_at_s = None if host is None or host.stale(self.now_s) else host.sampled_at_s
        until_s = self.now_s if sampled_at_s is None else sampled_at_s
        return columns, Window(cells, self.span_s, until_s, self.now_s, self._glyphs, self.marked)

    def _graphs(self, window: Window, columns: int, height: int) -> list[Line]:
        vm = self.fleet.vm(self.key)
        if vm is None or height <= 0:
            return []
        plots = self._plots.make(vm, window)
        rows = len(plots) // columns
        gap = 1 if height >= _AIRY and columns == 2 else 0
        each = max(1, (height - gap) // rows) if self._glyphs.graphs else 1
        lines: list[Line] = []
        for start in range(0, len(plots), columns):
            blocks = [plot_lines(plot, window.cells, each, window.glyphs) for plot in plots[start : start + columns]]
            for parts in zip(*blocks, strict=True):
                line = fit_runs(parts[0], window.cells)
                for part in parts[1:]:
                    line += [(" " * _BETWEEN, Tone.TEXT), *part]
                lines.append(line)
            if gap and not start:
                lines.append([])
        return lines
