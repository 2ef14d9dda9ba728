"""The columns of the VM table as data, and which of them fit a width."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvmtui.model.format import UNKNOWN, Quantity, duration, part, percent, size
from kvmtui.model.vm import ARRIVING, MemorySource, Vm, VmState
from kvmtui.ui.glyphs import UNICODE, Glyphs
from kvmtui.ui.paint import Run, Tone, fit
from kvmtui.ui.widgets.graph import mini

GUTTER = 2
"""Cells left of the first column: the cursor and the mark."""
_GAP, _WIDEST_GAP = 2, 4
"""Cells between columns."""

_HOT_FRACTION = 0.9
_SWITCH_S = 2.0
"""What is left of a move when its guest stands still for the last moment of it: nobody paused it."""
_READY_WARNING, _READY_ERROR = 0.05, 0.10
# A guest whose vCPUs wait a tenth of their time is visibly slow; VMware's advice draws the line at 5 and 10 %.


@dataclass(frozen=True, slots=True)
class Row:
    """What a row is drawn from."""

    vm: Vm
    host_name: str
    pending: str = ""
    stale: bool = False
    now_s: float = 0.0
    glyphs: Glyphs = UNICODE


Cell = Callable[[Row, int], list[Run]]


@dataclass(frozen=True, slots=True)
class Column:
    """One row of the table of columns."""

    id: str
    title: str
    width: int
    """The fewest cells it can be read in."""
    right: bool
    rank: int
    """Where there is no room, columns of the highest rank vanish first, all of one rank together."""
    cell: Cell
    """Gives the runs of a row; they are cut or padded to the width."""
    title_left: bool = False
    """Whether the title stands at the left although the figures are at the right: over the graph."""


def quantity(value: Quantity, glyphs: Glyphs, tone: Tone = Tone.TEXT, unit_width: int = 1) -> list[Run]:
    """Return a quantity with its unit dimmed and in a column of its own, so that digits stand under digits."""
    number, unit = value
    if number == UNKNOWN:
        return [(glyphs.unknown, Tone.MUTED), (" " * (unit_width + 1), Tone.MUTED)]
    if number == "0":
        tone = Tone.MUTED
    return [(number, tone), (f" {unit:<{unit_width}}", Tone.MUTED)]


def _name(row: Row, width: int) -> list[Run]:
    return [(row.vm.name, Tone.TEXT if row.vm.state.active else Tone.MUTED)]


def _host(row: Row, width: int) -> list[Run]:
    return [(row.host_name, Tone.MUTED)]


_STATE_TONES = {
    VmState.RUNNING: Tone.GOOD,
    VmState.BLOCKED: Tone.GOOD,
    VmState.PAUSED: Tone.WARNING,
    VmState.SHUTTING_DOWN: Tone.BUSY,
    VmState.SHUT_OFF: Tone.MUTED,
    VmState.CRASHED: Tone.ERROR,
    VmState.SUSPENDED: Tone.WARNING,
    VmState.NO_STATE: Tone.WARNING,
}
# Reasons of a pause or an end that nobody asked for.
_BAD_REASONS = frozenset(
    {
        "I/O error",
        "watchdog",
        "guest crashed",
        "crashed",
        "post-copy failed",
        "API error",
        "failed to start",
        "panicked",
    }
)


def state_texts(row: Row) -> tuple[Tone, tuple[str, ...]]:
    """Return what to say of a VM's state, the fullest text first, and in which tone."""
    vm, dots = row.vm, row.glyphs.ellipsis if not row.glyphs.ascii else "..."
    if row.stale:
        asked = (f"{row.pending}, was {vm.state}",) if row.pending else ()
        return Tone.STALE, (*asked, f"was {vm.state}", "was off" if vm.state is VmState.SHUT_OFF else vm.state)
    silent_since_s = vm.monitor_silent_since_s
    job_verb = "" if vm.job is None else {"migration": "migrating"}.get(vm.job.operation, vm.job.operation)
    # How far a job is says more than that it was asked for.
    if row.pending and row.pending != job_verb and silent_since_s is None:
        return Tone.BUSY, (row.pending + dots,)
    if silent_since_s is not None:
        span = duration(row.now_s - silent_since_s)
        if row.pending:
            # Why it takes so long.
            return Tone.ERROR, (f"{row.pending}, monitor silent {span}", f"{row.pending}, silent", f"silent {span}")
        return Tone.ERROR, (f"monitor silent {span}", f"silent {span}", "silent")
    if vm.job is not None:
        if vm.job.progress is None:
            return Tone.BUSY, (job_verb + dots,)
        done = str(percent(vm.job.progress))
        if vm.job.operation == ARRIVING:
            return Tone.BUSY, (f"{job_verb} {done}", job_verb)
        switching = vm.job.eta_s is not None and vm.job.eta_s < _SWITCH_S
        if vm.state is VmState.PAUSED and job_verb == "migrating" and vm.reason != "post-copy" and not switching:
            return Tone.WARNING, (f"{job_verb} {done}, paused", f"{job_verb[:4]}. {done}, paused", f"{done} paused")
        return Tone.BUSY, (f"{job_verb} {done}", f"{job_verb[:4]}. {done}")
    tone = Tone.ERROR if vm.reason in _BAD_REASONS else _STATE_TONES[vm.state]
    if vm.reason:
        # Where both do not fit, the reason says more than the state.
        return tone, (f"{vm.state}, {vm.reason}", vm.reason if tone is Tone.ERROR else vm.state)
    return tone, (vm.state,)


def _state(row: Row, width: int) -> list[Run]:
    tone, texts = state_texts(row)
    text = next((text for text in texts if len(text) <= width), texts[-1])
    return [(fit(text, width, row.glyphs.ellipsis), tone)]


_CPU_NUMBER = 7
"""Cells of " 6400 %"."""


def _cpu(row: Row, width: int) -> list[Run]:
    vm = row.vm
    graph_width = width - _CPU_NUMBER
    hot = (vm.cpu_fraction or 0.0) >= _HOT_FRACTION
    number = quantity(percent(vm.cpu_cores), row.glyphs, Tone.WARNING if hot else Tone.TEXT)
    graph = mini(vm.cpu_recent, graph_width, vm.vcpus or 1, row.glyphs) if vm.state.active else " " * graph_width
    room = _CPU_NUMBER - sum(len(text) for text, _ in number)
    return [(graph, Tone.GRAPH), (" " * room, Tone.TEXT), *number]


def _ready(row: Row, width: int) -> list[Run]:
    value = row.vm.ready_fraction or 0.0
    tone = Tone.ERROR if value >= _READY_ERROR else Tone.WARNING if value >= _READY_WARNING else Tone.TEXT
    return quantity(percent(row.vm.ready_fraction, decimals=1), row.glyphs, tone if value >= 0.0005 else Tone.MUTED)


_MEMORY_WHOLE = 6
"""Cells of " 4.0 G" after the "of"."""


def _memory(row: Row, width: int) -> list[Run]:
    vm, tone = row.vm, Tone.TEXT if row.vm.state.active else Tone.MUTED
    used = vm.memory if vm.state.active else None
    share = part(used.used_bytes if used else None, vm.memory_allocated_bytes or None)
    whole: list[Run] = [(f"{share.whole:>4}", Tone.MUTED), (f" {share.unit:<1}", Tone.MUTED)]
    if used is None:
        return whole
    if used.source is MemorySource.RSS:
        return [("~", Tone.WARNING), (f"{share.part}", tone), (" of", Tone.MUTED), *whole]
    hot = vm.memory_allocated_bytes and used.used_bytes >= 0.95 * vm.memory_allocated_bytes
    return [(share.part, Tone.WARNING if hot else tone), (" of", Tone.MUTED), *whole]


def _rate_column(
    id: str,
    title: str,
    width: int,
    rank: int,
    read: Callable[[Vm], float | None],
) -> Column:
    def cell(row: Row, width: int) -> list[Run]:
        return quantity(size(read(row.vm)), row.glyphs)

    return Column(id, title, width, True, rank, cell)


def _up(row: Row, width: int) -> list[Run]:
    vm = row.vm
    known = vm.started_at_s is not None and vm.state.active and not row.stale
    up_s = row.now_s - vm.started_at_s if known and vm.started_at_s is not None else None
    return quantity(duration(up_s), row.glyphs)


COLUMNS: tuple[Column, ...] = (
    Column("name", "NAME", 11, False, 0, _name),
    Column("host", "HOST", 4, False, 4, _host),
    Column("state", "STATE", 11, False, 1, _state),
    Column("cpu", "CPU", 15, True, 2, _cpu, title_left=True),
    Column("ready", "READY", 6, True, 6, _ready),
    Column("memory", "MEMORY", 13, True, 3, _memory),
    _rate_column("disk_r", "DISK R", 6, 7, lambda vm: vm.disk_read_bytes_per_s),
    _rate_column("disk_w", "W", 5, 7, lambda vm: vm.disk_write_bytes_per_s),
    _rate_column("net_in", "NET IN", 6, 5, lambda vm: vm.net_in_bytes_per_s),
    _rate_column("net_out", "OUT", 5, 5, lambda vm: vm.net_out_bytes_per_s),
    Column("up", "UP", 6, True, 8, _up),
)
"""What each is sorted by is in `kvmtui.model.order`, by its id."""

_GROWTH = (("name", 16), ("state", 14), ("name", 24), ("cpu", 23), ("state", 20), ("name", 30), ("cpu", 37))
"""Who gets the room that is left over, step by step: the width a column grows to."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns that are shown and how wide each is."""

    columns: tuple[tuple[Column, int], ...]
    width: int
    gap: int = _GAP


def lay_out(width: int, host_width: int, single_host: bool, columns: Sequence[Column] = COLUMNS) -> Layout:
    """Return the columns that fit `width` cells; what is left over goes to those that can use it, then to the name."""
    if single_host:
        # The list of hosts says which it is; the names need the room.
        columns = [column for column in columns if column.id != "host"]

    def least(column: Column) -> int:
        return max(column.width, host_width) if column.id == "host" else column.width

    # One cell at the right edge is for the scroll position.
    room = width - GUTTER - 1
    chosen: set[str] = set()
    for level in sorted({column.rank for column in columns}):
        group = [column for column in columns if column.rank == level]
        need = sum(least(column) + (_GAP if chosen or column is not group[0] else 0) for column in group)
        if need <= room or not chosen:
            chosen |= {column.id for column in group}
            room -= need
    shown = [column for column in columns if column.id in chosen]
    widths = {column.id: least(column) for column in shown}
    room = max(0, room)
    for column_id, wanted in _GROWTH:
        if column_id in widths:
            more = min(room, max(0, wanted - widths[column_id]))
            widths[column_id] += more
            room -= more
    # A very wide screen: space between all columns keeps the eye on its line better than one hole after the name.
    wider = min(_WIDEST_GAP - _GAP, room // max(1, len(shown) - 1))
    widths["name"] += room - wider * (len(shown) - 1)
    # Too narrow even for the name.
    widths["name"] = max(1, min(widths["name"], width - GUTTER - 1))
    return Layout(tuple((column, widths[column.id]) for column in shown), width, _GAP + wider)
