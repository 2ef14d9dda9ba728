"""From samples to VMs: keeps the last samples of one host and derives rates, ages and history from them."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import nan
from types import MappingProxyType

from kvmtui.hypervisor.samples import DeepVm, Flags, LightSample, LightVm, NodeSample
from kvmtui.model.history import History, Metric
from kvmtui.model.host import HostFigures
from kvmtui.model.rates import devices_rate, rate
from kvmtui.model.vm import Job, Memory, MemorySource, Vm, VmKey

_RECENT = 20
_DEEP_GAP_S = 60.0
# An event brings a sample early. Over so short a time a rate would say little, so only states are taken from it.
_EARLY_SHARE = 0.5


@dataclass(slots=True, eq=False)
class _Run:
    """What is known of one VM, for one run of it."""

    light: LightVm
    since_s: float
    """When the counters of `light` were read."""
    cpu_cores: float | None = None
    net_in: float | None = None
    net_out: float | None = None
    recent: deque[float | None] = field(default_factory=lambda: deque(maxlen=_RECENT))
    deep: DeepVm | None = None
    """The last that came, shown until a newer one comes."""
    deep_base: DeepVm | None = None
    """What the next rates are reckoned from; None after a gap."""
    ready: float | None = None
    disk_read: float | None = None
    disk_write: float | None = None
    vm: Vm | None = None
    """As it was told last; None: something has changed since."""


class HostSampler:
    """The samples of one host; used by its poller only."""

    def __init__(self, host: str, history: History) -> None:
        self._host = host
        self._history = history
        self._runs: dict[str, _Run] = {}
        self._flags: Flags | None = None
        self._node: NodeSample | None = None
        self._figures = HostFigures()
        self._remembered_at_s = float("-inf")
        self._told: set[str] = set()
        """The VMs that were last told of with a job, or as silent."""
        self.silent: dict[str, float] = {}
        """VMs whose QEMU does not answer, with the monotonic time since when."""
        self.jobs: dict[str, Job] = {}

    def light(self, sample: LightSample, interval_s: float) -> None:
        """Take in a light sample; `interval_s` is the tick at which they come."""
        runs: dict[str, _Run] = {}
        for vm in sample.vms:
            at_s = sample.taken_at_s if vm.cpu_at_s is None else vm.cpu_at_s
            old = self._runs.get(vm.uuid)
            if old is None or old.light.id != vm.id or vm.id == -1:
                runs[vm.uuid] = _Run(vm, at_s, recent=old.recent if old else deque(maxlen=_RECENT))
                runs[vm.uuid].recent.append(None)
            else:
                runs[vm.uuid] = old
                self._advance(old, vm, at_s, interval_s)
                if old.deep is not None and (vm.uuid in self.silent or not _fresh(old.deep_base, sample.taken_at_s)):
                    # The last rates are shown while the host is lost, but not once it tells again.
                    old.ready = old.disk_read = old.disk_write = None
                    old.vm = None
        self._runs = runs
        self._remember(sample.taken_at_s, interval_s)
        self.silent = {uuid: since for uuid, since in self.silent.items() if uuid in runs}
        self.jobs = {uuid: job for uuid, job in self.jobs.items() if uuid in runs}

    def _remember(self, taken_at_s: float, interval_s: float) -> None:
        """Write the figures into the history: a rate holds for the time that it was measured over."""
        since_s, gap_s = self._remembered_at_s, 3 * interval_s + 1
        if taken_at_s - since_s < _EARLY_SHARE * interval_s:
            return
        for uuid, run in self._runs.items():
            figures = [run.cpu_cores, None, None, None, run.net_in, run.net_out]
            if run.deep is not None and run.deep_base is not None and uuid not in self.silent:
                figures[Metric.DISK_READ], figures[Metric.DISK_WRITE] = run.disk_read, run.disk_write
                figures[Metric.MEMORY_BYTES] = _used_bytes(run.deep)
            self._history.hold(uuid, [nan if figure is None else figure for figure in figures])
        self._history.keep(set(self._runs))
        if taken_at_s - since_s <= gap_s:
            self._history.commit(since_s, taken_at_s)
        self._remembered_at_s = taken_at_s

    def _advance(self, run: _Run, vm: LightVm, at_s: float, interval_s: float) -> None:
        elapsed_s = at_s - run.since_s
        if elapsed_s < _EARLY_SHARE * interval_s:
            old = run.light
            run.vm = None
            run.light = replace(
                vm,
                cpu_time_ns=old.cpu_time_ns,
                net_in_bytes=old.net_in_bytes,
                net_out_bytes=old.net_out_bytes,
            )
            return
        gap_s = 3 * interval_s + 1
        old, before = run.light, (run.cpu_cores, run.net_in, run.net_out)
        cpu_ns_per_s = rate(old.cpu_time_ns, vm.cpu_time_ns, elapsed_s, gap_s)
        run.cpu_cores = None if cpu_ns_per_s is None else cpu_ns_per_s / 1e9
        run.net_in = devices_rate(old.net_in_bytes, vm.net_in_bytes, elapsed_s, gap_s)
        run.net_out = devices_rate(old.net_out_bytes, vm.net_out_bytes, elapsed_s, gap_s)
        run.recent.append(run.cpu_cores)
        run.light, run.since_s = vm, at_s
        # Most VMs of a big fleet idle: what is the same as a second ago needs not be made, sorted or drawn again.
        steady = run.recent.count(run.cpu_cores) == len(run.recent)
        if not steady or before != (run.cpu_cores, run.net_in, run.net_out) or not _alike(old, vm):
            run.vm = None

    def deep(self, samples: Iterable[DeepVm]) -> None:
        """Take in what a deep sample brought."""
        for new in samples:
            run = self._runs.get(new.uuid)
            if run is None or run.light.id == -1:
                continue
            old = run.deep_base
            if run.deep is not None and run.deep.taken_at_s >= new.taken_at_s:
                continue
            run.deep = run.deep_base = new
            run.vm = None
            if old is None:
                run.ready = run.disk_read = run.disk_write = None
                continue
            elapsed_s = new.taken_at_s - old.taken_at_s
            waited = rate(old.ready_ns, new.ready_ns, elapsed_s, _DEEP_GAP_S) if old.vcpus == new.vcpus else None
            run.ready = None if waited is None or not new.vcpus else waited / 1e9 / new.vcpus
            run.disk_read = devices_rate(old.disk_read_bytes, new.disk_read_bytes, elapsed_s, _DEEP_GAP_S)
            run.disk_write = devices_rate(old.disk_write_bytes, new.disk_write_bytes, elapsed_s, _DEEP_GAP_S)

    def flags(self, flags: Flags) -> None:
        """Take in persistence, autostart and managed save."""
        if flags != self._flags:
            self._flags = flags
            self._forget_told()

    def node(self, new: NodeSample, interval_s: float) -> None:
        """Take in how the host itself fares."""
        old = self._node
        if old is not None and new.taken_at_s - old.taken_at_s < _EARLY_SHARE * interval_s:
            return
        self._node = new
        busy = _busy_fraction(old, new)
        self._figures = HostFigures(
            cpu_busy_fraction=busy,
            memory_total_bytes=new.memory_total_bytes,
            memory_used_bytes=new.memory_used_bytes,
            pressure=new.pressure,
            cpu_recent=(*self._figures.cpu_recent, busy)[-_RECENT:],
        )

    def gap(self) -> None:
        """Forget counters: after a lost link nothing can be said of the time between."""
        for run in self._runs.values():
            run.since_s = float("-inf")
            run.deep_base = None
        self._node = None
        self._remembered_at_s = float("-inf")
        self.silent.clear()

    @property
    def figures(self) -> HostFigures:
        """How the host itself fares."""
        return self._figures

    @property
    def active(self) -> list[str]:
        """The uuids of the VMs that have a QEMU process."""
        return [uuid for uuid, run in self._runs.items() if run.light.id != -1]

    def deep_at_s(self, uuid: str) -> float | None:
        """Return when the VM was last looked at deeply in this run and on this link, or None."""
        run = self._runs.get(uuid)
        return None if run is None or run.deep_base is None else run.deep_base.taken_at_s

    def vms(self) -> Mapping[str, Vm]:
        """Return all VMs by uuid."""
        told = self.silent.keys() | self.jobs.keys()
        for uuid in told | self._told:
            if uuid in self._runs:
                self._runs[uuid].vm = None
        self._told = told
        for uuid, run in self._runs.items():
            if run.vm is None:
                run.vm = self._vm(uuid, run)
        return MappingProxyType({uuid: run.vm for uuid, run in self._runs.items() if run.vm is not None})

    def _forget_told(self) -> None:
        for run in self._runs.values():
            run.vm = None

    def _vm(self, uuid: str, run: _Run) -> Vm:
        light, flags = run.light, self._flags
        return Vm(
            key=VmKey(self._host, uuid),
            name=light.name,
            id=light.id,
            state=light.state,
            reason=light.reason,
            persistent=None if flags is None else uuid in flags.persistent,
            autostart=None if flags is None else uuid in flags.autostart,
            saved=None if flags is None else uuid in flags.saved,
            vcpus=light.vcpus,
            memory_allocated_bytes=light.memory_allocated_bytes,
            cpu_cores=run.cpu_cores,
            cpu_recent=tuple(run.recent),
            ready_fraction=run.ready,
            memory=None if run.deep is None else _memory(run.deep),
            disk_read_bytes_per_s=run.disk_read,
            disk_write_bytes_per_s=run.disk_write,
            net_in_bytes_per_s=run.net_in,
            net_out_bytes_per_s=run.net_out,
            started_at_s=light.started_at_s,
            deep_at_s=None if run.deep is None else run.deep.taken_at_s,
            monitor_silent_since_s=self.silent.get(uuid),
            job=self.jobs.get(uuid),
        )


def _alike(old: LightVm, new: LightVm) -> bool:
    """Return whether all that is shown as it is, and not as a rate, is the same."""
    return (
        old.state is new.state
        and old.vcpus == new.vcpus
        and old.memory_allocated_bytes == new.memory_allocated_bytes
        and old.started_at_s == new.started_at_s
        and old.reason == new.reason
        and old.name == new.name
    )


def _fresh(deep: DeepVm | None, now_s: float) -> bool:
    return deep is not None and now_s - deep.taken_at_s <= _DEEP_GAP_S


def _used_bytes(deep: DeepVm) -> int | None:
    return deep.rss_bytes if deep.memory_used_bytes is None else deep.memory_used_bytes


def _memory(deep: DeepVm) -> Memory | None:
    if deep.memory_used_bytes is not None:
        return Memory(deep.memory_used_bytes, MemorySource.BALLOON, deep.taken_at_s - (deep.memory_age_s or 0.0))
    if deep.rss_bytes is not None:
        return Memory(deep.rss_bytes, MemorySource.RSS, deep.taken_at_s)
    return None


def _busy_fraction(old: NodeSample | None, new: NodeSample) -> float | None:
    if old is None or None in (old.cpu_total_ns, old.cpu_idle_ns, new.cpu_total_ns, new.cpu_idle_ns):
        return None
    total = (new.cpu_total_ns or 0) - (old.cpu_total_ns or 0)
    idle = (new.cpu_idle_ns or 0) - (old.cpu_idle_ns or 0)
    # Idle and iowait of a CPU may step back by a tick (proc(5)); then nothing is said.
    return (total - idle) / total if total > 0 and 0 <= idle <= total else None
