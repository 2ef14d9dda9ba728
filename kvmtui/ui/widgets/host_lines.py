"""The lines of the host list as runs of text: pure functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvmtui.model.format import age, duration, part, percent, round_trip
from kvmtui.model.host import Host, Link
from kvmtui.ui.columns import quantity
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.paint import Run, Tone, fit, fit_runs, runs_width
from kvmtui.ui.widgets.graph import meter, mini

_GAP = 2
_SIGN = 2
"""Cells left of the name: the sign of a problem."""
_BUSY_WARNING = 0.9
_MEMORY_WARNING, _MEMORY_ERROR = 0.9, 0.97
_PRESSURE_WARNING = 0.10
# A tenth of the time with some task waiting is where a host's users begin to notice.


@dataclass(frozen=True, slots=True)
class HostRow:
    """What a line is drawn from."""

    host: Host
    now_s: float
    glyphs: Glyphs
    read_only: bool = False
    """Whether nothing can be done here that can be done on other hosts."""
    emptied: bool = False
    """Whether it is being emptied, or was, and takes no VMs."""

    @property
    def trouble(self) -> bool:
        """Whether the host is not as it should be."""
        return self.host.link is Link.DOWN or bool(self.host.problem)

    @property
    def stale(self) -> bool:
        """Whether there are figures, and they are old."""
        return self.host.sampled_at_s is not None and self.host.stale(self.now_s)


@dataclass(frozen=True, slots=True)
class HostColumn:
    """One column: how narrow and how wide it may be, and what it says in a given width."""

    title: str
    width: int
    widest: int
    cell: Callable[[HostRow, int], list[Run]]
    right: bool = False


def _cpu(row: HostRow, width: int) -> list[Run]:
    figures, facts = row.host.figures, row.host.facts
    busy = figures.cpu_busy_fraction
    tone = Tone.WARNING if (busy or 0.0) >= _BUSY_WARNING else Tone.TEXT
    number = quantity(percent(busy), row.glyphs, tone)
    of = f" of {facts.cpus}" if facts and busy is not None else ""
    graph = mini(figures.cpu_recent, width - 14, 1.0, row.glyphs)
    return [(graph, Tone.GRAPH), *fit_runs(number, 7, right=True), (of, Tone.MUTED)]


def _memory(row: HostRow, width: int) -> list[Run]:
    figures = row.host.figures
    used, total = figures.memory_used_bytes, figures.memory_total_bytes
    share = used / total if used is not None and total else None
    tone = _level(share, _MEMORY_WARNING, _MEMORY_ERROR)
    full, empty = meter(share, width - 14, row.glyphs)
    bar = Tone.GRAPH if tone is Tone.TEXT else tone
    figure = part(used, total)
    if used is None:
        return [(" " * (width - 14), Tone.MUTED), (f" {row.glyphs.unknown:>4}", Tone.MUTED)]
    return [
        (full, bar),
        (empty, Tone.MUTED),
        (f" {figure.part:>4}", tone),
        (f" of {figure.whole} {figure.unit}", Tone.MUTED),
    ]


def _vms(row: HostRow, width: int) -> list[Run]:
    host = row.host
    return [(str(host.running), Tone.TEXT), (f"/{len(host.vms)}", Tone.MUTED)]


def _link(row: HostRow, width: int) -> list[Run]:
    return quantity(round_trip(row.host.round_trip_s), row.glyphs, unit_width=2)


def _pressure(row: HostRow, width: int) -> list[Run]:
    pressure = row.host.figures.pressure
    if pressure is None:
        return [(row.glyphs.unknown, Tone.MUTED)]
    parts: tuple[tuple[str, float], ...] = (("cpu", pressure.cpu), ("mem", pressure.memory), ("io", pressure.io))
    if width < 30:
        # Where there is room for one, the worst.
        parts = (max(parts, key=lambda named: named[1]),)
    runs: list[Run] = []
    for name, value in parts:
        tone = Tone.WARNING if value >= _PRESSURE_WARNING else Tone.TEXT if value >= 0.005 else Tone.MUTED
        runs += [
            (f"{'  ' if runs else ''}{name}", Tone.MUTED),
            (f"{percent(value).number:>3}", tone),
            (" %", Tone.MUTED),
        ]
    return runs


COLUMNS: tuple[HostColumn, ...] = (
    HostColumn("CPU", 22, 30, _cpu),
    HostColumn("MEMORY", 20, 28, _memory),
    HostColumn("VMS", 7, 7, _vms, right=True),
    HostColumn("LINK", 7, 7, _link, right=True),
    HostColumn("PRESSURE", 9, 32, _pressure),
)


@dataclass(frozen=True, slots=True)
class HostLayout:
    """The columns that are shown and how wide each is."""

    width: int
    name: int
    columns: tuple[tuple[HostColumn, int], ...]


def lay_out_hosts(width: int, name_width: int) -> HostLayout:
    """Return the columns that fit, the last of them cut first; what is left over goes to graphs, bars and pressure."""
    room = width - _SIGN - name_width
    shown: list[HostColumn] = []
    for column in COLUMNS:
        if room < column.width + _GAP:
            break
        room -= column.width + _GAP
        shown.append(column)
    widths = []
    for column in sorted(shown, key=lambda column: column.title != "PRESSURE"):
        more = min(room, column.widest - column.width)
        room -= more
        widths.append((column, column.width + more))
    return HostLayout(width, name_width, tuple(sorted(widths, key=lambda pair: COLUMNS.index(pair[0]))))


def header_runs(layout: HostLayout, more: str) -> list[Run]:
    """Return the line of titles, with a note about hosts that are not in view as far right as there is room."""
    runs: list[Run] = [("  ", Tone.TITLE), (fit("HOST", layout.name), Tone.TITLE)]
    for column, width in layout.columns:
        runs += [(" " * _GAP, Tone.TITLE), (fit(column.title, width, right=column.right), Tone.TITLE)]
    if more:
        titles = "".join(text for text, _ in runs).ljust(layout.width)[: layout.width]
        at = titles.rfind(" " * (len(more) + 1))
        if at < 0:
            # Those hosts are worth more than the titles.
            return [(more[: layout.width].rjust(layout.width), Tone.SORTED)]
        runs = [(titles[: at + 1], Tone.TITLE), (more, Tone.SORTED), (titles[at + 1 + len(more) :], Tone.TITLE)]
    return runs


def seen(row: HostRow) -> tuple[object, ...]:
    """Return what the line of a host is drawn from, as far as it can be seen."""
    host = row.host
    # Only where something is amiss does the line tell a time.
    notes = _notes(row) if row.trouble or row.stale or not _has_figures(host) else ()
    figures = (host.figures, len(host.vms), host.running, round_trip(host.round_trip_s))
    pace = (host.interval_s, host.bulk_cpu, row.read_only, row.emptied)
    return (host.name, host.link, host.facts, figures, pace, row.stale, notes)


def host_runs(row: HostRow, layout: HostLayout) -> list[Run]:
    """Return the line of one host; what is wrong with it takes the place of as many figures as it needs."""
    sign = (f"{row.glyphs.problem} ", Tone.ERROR if row.host.link is Link.DOWN else Tone.WARNING)
    runs: list[Run] = [
        sign if row.trouble else ("  ", Tone.TEXT),
        (fit(row.host.name, layout.name, row.glyphs.ellipsis), Tone.ERROR if row.host.link is Link.DOWN else Tone.TEXT),
    ]
    columns: Sequence[tuple[HostColumn, int]] = layout.columns if _has_figures(row.host) else ()
    notes = _notes(row) or _pace(row, columns, layout)
    if notes:
        columns = _make_room(columns, layout, runs_width(notes))
    for column, width in columns:
        cell = fit_runs(column.cell(row, width), width, row.glyphs.ellipsis, right=column.right)
        runs.append((" " * _GAP, Tone.TEXT))
        runs += [(text, Tone.STALE) for text, _ in cell] if row.stale else cell
    if notes:
        room = layout.width - _used(columns, layout) - _GAP
        runs += [(" " * _GAP, Tone.TEXT), *fit_runs(notes, max(1, room), row.glyphs.ellipsis)]
    return runs


def _used(columns: Sequence[tuple[HostColumn, int]], layout: HostLayout) -> int:
    return _SIGN + layout.name + sum(width + _GAP for _, width in columns)


def _make_room(
    columns: Sequence[tuple[HostColumn, int]], layout: HostLayout, width: int
) -> Sequence[tuple[HostColumn, int]]:
    """Return as many of the columns as leave `width` cells, the first to go is the last."""
    columns = [pair for pair in columns if pair[0].title != "PRESSURE"]
    while columns and _used(columns, layout) + _GAP + width > layout.width:
        columns = columns[:-1]
    return columns


def _pace(row: HostRow, columns: Sequence[tuple[HostColumn, int]], layout: HostLayout) -> list[Run]:
    """Return what is not as usual with a host that is well, as far as there is room.

    Only that it takes no VMs is worth a figure.
    """
    host = row.host
    emptied: list[Run] = [("takes no VMs", Tone.WARNING)] if row.emptied else []
    first = [*emptied, *([(f"every {host.interval_s:.0f} s", Tone.BUSY)] if host.interval_s > 1.5 else [])]
    rest = [(word, Tone.MUTED) for word, holds in (("read-only", row.read_only), ("bulk", host.bulk_cpu)) if holds]
    figures = [pair for pair in columns if pair[0].title != "PRESSURE"]
    room = layout.width - _used(figures, layout) - _GAP
    pressure: list[Run] = []
    if any(pair[0].title == "PRESSURE" for pair in columns) and host.figures.pressure is not None:
        pressure = [*_pressure(row, 0), ("  ", Tone.TEXT)]
    said = _apart([*first, *rest])
    tried = ([*pressure, *said], said, _apart(first))
    return next((runs for runs in tried if said and runs_width(runs) <= room), emptied)


def _apart(words: Sequence[Run]) -> list[Run]:
    return [(f"{'  ' if at else ''}{text}", tone) for at, (text, tone) in enumerate(words)]


def _has_figures(host: Host) -> bool:
    return host.link is Link.UP and host.sampled_at_s is not None


def _notes(row: HostRow) -> list[Run]:
    """Return what is wrong with a host in words, the gravest only."""
    host, glyphs = row.host, row.glyphs
    dots = "..." if glyphs.ascii else glyphs.ellipsis
    if host.link is Link.CONNECTING:
        return [(f"connecting{dots}", Tone.BUSY), (f"  {host.problem}" if host.problem else "", Tone.MUTED)]
    if host.link is Link.DOWN:
        notes: list[Run] = []
        if host.next_try_at_s is not None:
            left = host.next_try_at_s - row.now_s
            when = f"next try in {duration(left)}" if left >= 1 else "trying again now"
            notes += [(when, Tone.BUSY), (f"  {glyphs.dot}  ", Tone.MUTED)]
        # The time first: it is short, and a long reason is cut at its end.
        return [("down  ", Tone.ERROR), *notes, (host.problem or "no reason given", Tone.ERROR)]
    if host.problem:
        old = f"; last figures {age(row.now_s - host.sampled_at_s)}" if row.stale and host.sampled_at_s else ""
        return [(f"{host.problem}{old}", Tone.WARNING)]
    if host.sampled_at_s is None:
        return [(f"first sample{dots}", Tone.BUSY)]
    if row.stale:
        return [(f"no answer, last figures {age(row.now_s - host.sampled_at_s)}", Tone.WARNING)]
    return []


def _level(value: float | None, warning: float, error: float) -> Tone:
    if value is None or value < warning:
        return Tone.TEXT
    return Tone.ERROR if value >= error else Tone.WARNING
