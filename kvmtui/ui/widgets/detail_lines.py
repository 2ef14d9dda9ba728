"""What the detail of a VM says, as runs of text and as plots: pure functions."""

from collections.abc import Callable
from dataclasses import dataclass, field

from kvmtui.model.actions import BY_ID
from kvmtui.model.format import UNKNOWN, Quantity, age, duration, part, percent, rate, size
from kvmtui.model.history import COARSE_STEP_S, FINE, Metric
from kvmtui.model.vm import Job, MemorySource, Vm, VmConfig, VmKey
from kvmtui.ui.columns import Row, state_texts
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.paint import Run, Tone, cells, fit
from kvmtui.ui.widgets.graph import Plot, Series, columns_per_cell, meter, nice_maximum

_HOT = 0.9
"""From this share of what its vCPUs could use on, a VM's CPU figure is a warning."""

ReadSeries = Callable[[VmKey, Metric, int, int, float], list[float | None]]
"""Gives the past of a metric of a VM: so many means over so many seconds each, oldest first, up to a time."""


def title_runs(row: Row, config: VmConfig | None, width: int) -> list[Run]:
    """Return the line that says which VM this is and how it stands; a long name leaves half of `width` to the rest."""
    vm = row.vm
    tone, texts = state_texts(row)
    runs: list[Run] = [
        (vm.name if cells(vm.name) <= width // 2 else fit(vm.name, width // 2, row.glyphs.ellipsis), Tone.SORTED),
        (" on ", Tone.MUTED),
        (row.host_name, Tone.TEXT),
    ]
    facts: list[Run] = [(texts[0], tone)]
    if vm.started_at_s is not None and vm.state.active:
        facts.append((f"up {duration(row.now_s - vm.started_at_s)}", Tone.TEXT))
    if config is not None:
        facts += [(address, Tone.TEXT) for address in config.addresses[:2]]
        if len(config.addresses) > 2:
            facts.append((f"+{len(config.addresses) - 2}", Tone.MUTED))
    facts += [(flag, Tone.MUTED) for flag in _flags(vm)]
    if config is not None and config.emulated:
        facts.append(("emulated, no KVM", Tone.WARNING))
    for fact in facts:
        runs += [(f"  {row.glyphs.dot}  ", Tone.MUTED), fact]
    return runs


def _flags(vm: Vm) -> list[str]:
    flags = []
    if vm.autostart:
        flags.append("autostart")
    if vm.persistent is False:
        flags.append("transient")
    if vm.saved:
        flags.append("saved")
    return flags


def job_runs(job: Job, width: int, glyphs: Glyphs) -> list[Run]:
    """Return the line that says how far a migration or a save is."""
    sent = None if job.total_bytes is None or job.remaining_bytes is None else job.total_bytes - job.remaining_bytes
    full, empty = meter(job.progress, max(8, min(30, width // 4)), glyphs)
    runs: list[Run] = [
        (f"{job.operation}  ", Tone.BUSY),
        (full, Tone.BUSY),
        (empty, Tone.MUTED),
        (f" {percent(job.progress).number:>3} %", Tone.TEXT),
    ]
    facts = []
    if job.total_bytes is not None:
        facts.append(str(part(sent, job.total_bytes)))
    if job.bytes_per_s is not None:
        facts.append(str(rate(job.bytes_per_s)))
    if job.iteration:
        facts.append(f"round {job.iteration}")
    left_s = job.eta_s
    if job.done_fraction is None and job.bytes_per_s and job.remaining_bytes is not None:
        left_s = job.remaining_bytes / job.bytes_per_s
    if left_s is not None:
        facts.append(f"about {duration(left_s)} left")
    elif job.elapsed_s is not None:
        facts.append(f"for {duration(job.elapsed_s)}")
    return [*runs, *((f"   {fact}", Tone.TEXT) for fact in facts)]


def off_lines(vm: Vm, config: VmConfig | None, *, stale: bool) -> list[list[Run]]:
    """Return what there is to say of a VM that is off: how to start it, and what it is; `stale`: its host is silent."""
    key = BY_ID["start"].key
    does = "resumes it from its saved memory" if vm.saved else "starts it"
    starts: list[Run] = [(".  ", Tone.MUTED), (key, Tone.SORTED), (f" {does}.", Tone.MUTED)]
    lines: list[list[Run]] = [
        [
            ("It was " if stale else "It is ", Tone.MUTED),
            (vm.state, Tone.TEXT),
            *([(" when its host answered last.", Tone.MUTED)] if stale else starts),
        ],
        [("vCPUs ", Tone.MUTED), (str(vm.vcpus or UNKNOWN), Tone.TEXT), ("   memory ", Tone.MUTED)],
    ]
    lines[1].append((str(size(vm.memory_allocated_bytes or None)), Tone.TEXT))
    if config is None:
        return lines
    disks = [f"{disk.target} {disk.shown_path or '(empty)'}" for disk in config.disks] or ["none"]
    networks = [f"{interface.source} ({interface.model}, {interface.mac})" for interface in config.interfaces]
    lines.append([("disks ", Tone.MUTED), (", ".join(disks), Tone.TEXT)])
    lines.append([("networks ", Tone.MUTED), (", ".join(networks or ["none"]), Tone.TEXT)])
    return lines


@dataclass(slots=True)
class Scales:
    """The scales of the rate graphs, which keep still while they can."""

    disk: float = 0.0
    net: float = 0.0


PRESENT = -1
"""Of the columns of a graph that can be read: none, the present is."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of the past the graphs show."""

    cells: int
    """The width of one graph."""
    span_s: int
    """How far back they go, or a little more or less, so that a column is a whole number of seconds."""
    until_s: float
    """The time of the newest value."""
    now_s: float
    glyphs: Glyphs
    marked: int = PRESENT
    """The column that is read, counted from the newest."""

    @property
    def columns(self) -> int:
        """How many values fit."""
        return max(1, self.cells * columns_per_cell(self.glyphs))

    @property
    def step_s(self) -> int:
        """How many seconds one column of dots stands for."""
        if self.span_s <= FINE:
            return max(1, min(round(self.span_s / self.columns), FINE // self.columns))
        return max(1, round(self.span_s / self.columns / COARSE_STEP_S)) * COARSE_STEP_S

    @property
    def oldest(self) -> int:
        """The oldest column that can be read: where two share a cell, the newest may have one alone."""
        return self.columns - columns_per_cell(self.glyphs)

    @property
    def newest(self) -> int:
        """The number of the newest column, counted as the history counts its steps."""
        return -(-int(self.until_s) // self.step_s)

    @property
    def label(self) -> str:
        """How far back they go, or which time is read, as text."""
        if self.marked != PRESENT:
            return f"{duration(self.marked * self.step_s)} ago"
        seconds = self.columns * self.step_s
        return f"last {seconds} s" if seconds < 100 else f"last {round(seconds / 60)} min"


@dataclass(slots=True)
class Plots:
    """Makes the four plots of a VM from its history."""

    read_series: ReadSeries
    scales: Scales = field(default_factory=Scales)

    def make(self, vm: Vm, window: Window) -> tuple[Plot, Plot, Plot, Plot]:
        """Return CPU, memory, disk and network of a VM."""
        return (self._cpu(vm, window), self._memory(vm, window), self._disk(vm, window), self._net(vm, window))

    def _at(self, values: list[float | None], now: float | None, window: Window) -> float | None:
        """Return the value to write beside a graph: that of the marked time, or of now."""
        return now if window.marked == PRESENT else values[-1 - window.marked]

    def _read(self, vm: Vm, metric: Metric, window: Window) -> list[float | None]:
        return self.read_series(vm.key, metric, window.step_s, window.columns, window.until_s)

    def _cpu(self, vm: Vm, window: Window) -> Plot:
        values = self._read(vm, Metric.CPU_CORES, window)
        cores = self._at(values, vm.cpu_cores, window)
        note = f"ready {percent(vm.ready_fraction, decimals=1)}" if vm.ready_fraction is not None else ""
        return Plot(
            "CPU",
            (Series(values, Quantity(percent(cores).number, f"of {vm.vcpus * 100} %" if vm.vcpus else "%")),),
            vm.vcpus or 1,
            note="" if window.marked != PRESENT else note,
            warning=(cores or 0.0) >= _HOT * (vm.vcpus or 1),
            absolute=True,
            marked=window.marked,
            newest=window.newest,
        )

    def _memory(self, vm: Vm, window: Window) -> Plot:
        values = self._read(vm, Metric.MEMORY_BYTES, window)
        used = self._at(values, vm.memory.used_bytes if vm.memory else None, window)
        share = part(used, vm.memory_allocated_bytes or None)
        note, about = "not known", ""
        if vm.memory is not None:
            rss = vm.memory.source is MemorySource.RSS
            note = f"{'RSS of QEMU' if rss else 'balloon'}, {age(window.now_s - vm.memory.taken_at_s)}"
            about = "~" if rss else ""
        return Plot(
            "MEMORY",
            (Series(values, Quantity(about + share.part, f"of {share.whole} {share.unit}")),),
            vm.memory_allocated_bytes or 1,
            note="" if window.marked != PRESENT else note,
            absolute=True,
            marked=window.marked,
            newest=window.newest,
        )

    def _disk(self, vm: Vm, window: Window) -> Plot:
        read, write = self._read(vm, Metric.DISK_READ, window), self._read(vm, Metric.DISK_WRITE, window)
        self.scales.disk = nice_maximum(_peak(read, write), self.scales.disk)
        return Plot(
            "DISK",
            (
                Series(read, rate(self._at(read, vm.disk_read_bytes_per_s, window)), "read"),
                Series(write, rate(self._at(write, vm.disk_write_bytes_per_s, window)), "write"),
            ),
            self.scales.disk,
            f"of {rate(self.scales.disk)}",
            marked=window.marked,
            newest=window.newest,
        )

    def _net(self, vm: Vm, window: Window) -> Plot:
        into, out = self._read(vm, Metric.NET_IN, window), self._read(vm, Metric.NET_OUT, window)
        self.scales.net = nice_maximum(_peak(into, out), self.scales.net)
        return Plot(
            "NET",
            (
                Series(into, rate(self._at(into, vm.net_in_bytes_per_s, window)), "in"),
                Series(out, rate(self._at(out, vm.net_out_bytes_per_s, window)), "out"),
            ),
            self.scales.net,
            f"of {rate(self.scales.net)}",
            marked=window.marked,
            newest=window.newest,
        )


def _peak(*series: list[float | None]) -> float:
    return max((value for values in series for value in values if value is not None), default=0.0)
