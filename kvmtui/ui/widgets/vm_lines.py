"""The lines of the VM table as runs of text: pure functions."""

from operator import attrgetter

from kvmtui.model.filter import Filter
from kvmtui.model.fleet import Fleet
from kvmtui.model.format import duration
from kvmtui.model.host import Link
from kvmtui.model.vm import Vm
from kvmtui.ui.columns import Layout, Row
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.paint import Run, Tone, fit, fit_runs


def header_runs(layout: Layout, sort_column: str, reverse: bool, glyphs: Glyphs) -> list[Run]:
    """Return the line of titles; the arrow stands in the gap, so that no title moves."""
    runs: list[Run] = [("  ", Tone.TITLE)]
    gap = 0
    arrow = glyphs.down if reverse else glyphs.up
    for column, width in layout.columns:
        is_sorted = column.id == sort_column
        title = column.title
        left = column.title_left or not column.right
        if is_sorted:
            title = title + arrow if left else arrow + title
        tone = Tone.SORTED if is_sorted else Tone.TITLE
        if left:
            # The arrow may stand in the gap to the right, or, below, to the left.
            more = int(is_sorted)
            runs += [(" " * gap, Tone.TITLE), (fit(title, width + more), tone)]
            gap = layout.gap - more
        else:
            runs.append((fit(title, width + gap, right=True), tone))
            gap = layout.gap
    return runs


def row_runs(row: Row, layout: Layout, cursor: bool, marked: bool, thumb: bool, wrong: Tone | None = None) -> list[Run]:
    """Return the line of one VM; with a sign in the tone `wrong` where something is."""
    glyphs = row.glyphs
    sign = (glyphs.marked, Tone.MARKED) if marked else (" ", Tone.MARKED) if wrong is None else (glyphs.problem, wrong)
    runs: list[Run] = [(glyphs.cursor if cursor else " ", Tone.TEXT), sign]
    used = 2
    gap = ""
    for column, width in layout.columns:
        if gap:
            runs.append((gap, Tone.TEXT))
        cell = fit_runs(column.cell(row, width), width, glyphs.ellipsis, right=column.right)
        if marked and column.id == "name":
            cell = [(text, Tone.MARKED) for text, _ in cell]
        runs += cell
        used += width + len(gap)
        gap = " " * layout.gap
    if thumb:
        runs += [(" " * (layout.width - used - 1), Tone.TEXT), (glyphs.thumb, Tone.MUTED)]
    return runs


def volatile(vm: Vm, now_s: float) -> tuple[object, ...]:
    """Return what of a row changes with time alone, as it is drawn."""
    up = None if vm.started_at_s is None else duration(now_s - vm.started_at_s)
    silent = None if vm.monitor_silent_since_s is None else duration(now_s - vm.monitor_silent_since_s)
    return up, silent


_FIELDS = attrgetter(
    *("name", "state", "reason", "vcpus", "memory_allocated_bytes", "cpu_cores", "ready_fraction", "job"),
    *("disk_read_bytes_per_s", "disk_write_bytes_per_s", "net_in_bytes_per_s", "net_out_bytes_per_s"),
)
_MOST_RECENT = 30
"""Values that the widest small graph of a row shows."""


def seen(vm: Vm) -> tuple[object, ...]:
    """Return what of a VM its row shows, besides what changes with time alone."""
    memory = vm.memory
    used = None if memory is None else (memory.used_bytes, memory.source)
    return (used, vm.cpu_recent[-_MOST_RECENT:], *_FIELDS(vm))


def empty_text(fleet: Fleet, wanted: Filter | None, glyphs: Glyphs) -> list[Run]:
    """Return what stands in the place of VMs where there is none to show, and what to do about it."""
    dots = "..." if glyphs.ascii else glyphs.ellipsis
    if any(host.vms for host in fleet.hosts.values()):
        text = wanted.text if wanted else ""
        return [("  No VM matches ", Tone.TEXT), (text, Tone.TITLE), (".  Esc clears the filter.", Tone.TEXT)]
    links = {host.link for host in fleet.hosts.values()}
    if not links:
        return [("  No hosts yet.", Tone.MUTED)]
    if Link.UP in links:
        text = "  No VMs yet.  What is defined with virsh, virt-install or virt-manager appears here by itself."
        return [(text, Tone.TEXT)]
    if Link.CONNECTING in links:
        return [(f"  Connecting{dots}", Tone.BUSY)]
    return [("  No host answers; it is tried again by itself.  The reasons stand above.", Tone.TEXT)]
