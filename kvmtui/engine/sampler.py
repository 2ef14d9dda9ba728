"""From samples to VMs: keeps the last samples of one host and derives rates, ages and history from them.

Everything that comes every second is reckoned by column, for all VMs at once; NaN stands for what cannot be said.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan
from operator import sub
from typing import Any

from kvmtui.engine.deep_figures import DeepRuns
from kvmtui.hypervisor.samples import DeepVm, Flags, LightColumns, LightSample, NodeSample
from kvmtui.model.history import History
from kvmtui.model.host import HostFigures
from kvmtui.model.host_vms import HostVms
from kvmtui.model.rates import devices_rates, rates
from kvmtui.model.vm import Job

_RECENT = 20
# An event brings a sample early. Over so short a time a rate would say little, so only states are taken from it.
_EARLY_SHARE = 0.5
_NS_PER_S = 1e-9
_SETTLED = 2
_MEAN_S, _MEAN_STEP_S = 300.0, 10.0
"""Over how long the host's CPU is averaged, and how far apart the samples are that this is reckoned from."""

Column = Sequence[float]


@dataclass(frozen=True, slots=True)
class Counters:
    """What a host has counted, as it was told last."""

    light: LightColumns
    deep: Mapping[str, DeepVm]
    """By uuid, of those whose QEMU answers and that were looked at in the last minutes, over this connection."""
    node: NodeSample | None


class HostSampler:
    """The samples of one host; used by its poller only, but for `jobs` and `counters`."""

    def __init__(self, host: str, history: History) -> None:
        self._host = host
        self._history = history
        self._now = LightColumns()
        self._base = LightColumns()
        """What the next rates are reckoned from, in the order of `_now`."""
        self._net_at_s: list[float] = []
        """When the network counters of `_base` were read; CPU times have their own times."""
        self._bulk_cpu = False
        self._counted_at_s = -inf
        self._still = 0
        """For how many samples no counter has moved."""
        self._index: dict[str, int] = {}
        self._active: list[str] = []
        self._cpu: Column = ()
        self._net_in: Column = ()
        self._net_out: Column = ()
        self._recent: deque[Column] = deque(maxlen=_RECENT)
        self._deep = DeepRuns()
        self._flags: Flags | None = None
        self._node: NodeSample | None = None
        self._nodes: deque[NodeSample] = deque()
        """Older ones, some seconds apart."""
        self._figures = HostFigures()
        self._remembered_at_s = -inf
        self._told = HostVms(host)
        self._changed = False
        """Whether something is different from what was told."""
        self.silent: dict[str, float] = {}
        """VMs whose QEMU does not answer, with the monotonic time since when."""
        self.unread: Collection[str] = ()
        """VMs that several looks in a row could not read."""
        self.jobs: dict[str, Job] = {}

    def light(self, sample: LightSample, interval_s: float) -> None:
        """Take in a light sample; `interval_s` is the tick at which they come."""
        self._place(sample)
        if sample.taken_at_s - self._counted_at_s >= _EARLY_SHARE * interval_s:
            self._count(sample, interval_s)
            self._counted_at_s = sample.taken_at_s
        if self._deep.lapse(sample.taken_at_s, {*self.silent, *self.unread}):
            self._changed = True
        self._remember(sample.taken_at_s, interval_s)

    def _place(self, sample: LightSample) -> None:
        """Take names and states; where VMs came or went, bring what is kept into the new order."""
        new, old = sample.columns, self._now
        if new.uuid != old.uuid or new.id != old.id:
            self._align(old, new, sample.taken_at_s)
        # The very objects are kept as long as they say the same, so that what is compared is compared at once.
        same: dict[str, Any] = {
            name: before
            for name, before, after in zip(new._fields, old, new, strict=True)
            if name in _SHOWN and before == after
        }
        self._changed = self._changed or len(same) < len(_SHOWN)
        self._now = new._replace(**same)

    def _align(self, old: LightColumns, new: LightColumns, taken_at_s: float) -> None:
        if new.uuid != old.uuid:
            self._index = {uuid: at for at, uuid in enumerate(new.uuid)}
        self._still = 0
        self._active = [uuid for uuid, number in zip(new.uuid, new.id, strict=True) if number != -1]
        places = {uuid: at for at, uuid in enumerate(old.uuid)}
        before = [places.get(uuid, -1) for uuid in new.uuid]
        # The same run of the same VM; -1 stands for none, and picks the NaN that is put at the end of each column.
        run = [at if at >= 0 and old.id[at] == number != -1 else -1 for at, number in zip(before, new.id, strict=True)]
        self._recent = deque((_picked(column, before) for column in self._recent), maxlen=_RECENT)
        self._cpu, self._net_in, self._net_out = (
            _picked(column, run) for column in (self._cpu, self._net_in, self._net_out)
        )
        rows = tuple(zip(*self._base, strict=True))
        self._base = LightColumns.of(
            rows[at] if at >= 0 else row for at, row in zip(run, zip(*new, strict=True), strict=True)
        )
        self._net_at_s = [self._net_at_s[at] if at >= 0 else taken_at_s for at in run]
        self._deep.align(new.uuid, {uuid for uuid, at in zip(new.uuid, run, strict=True) if at >= 0})
        for uuid in [*self.silent, *self.jobs]:
            if uuid not in self._index:
                self.silent.pop(uuid, None)
                self.jobs.pop(uuid, None)

    def _count(self, sample: LightSample, interval_s: float) -> None:
        """Reckon the rates since the last sample but for those that came early."""
        old, new, at_s, gap_s = self._base, self._now, sample.taken_at_s, 3 * interval_s + 1
        if sample.bulk_cpu is not self._bulk_cpu:
            # One may be of the control group and the other of the process: nothing can be said across them.
            self._bulk_cpu = sample.bulk_cpu
            old = old._replace(cpu_time_ns=(nan,) * len(old.cpu_time_ns))
        counters = (new.cpu_time_ns, new.net_in_bytes, new.net_out_bytes, new.net_names)
        still = counters == (old.cpu_time_ns, old.net_in_bytes, old.net_out_bytes, old.net_names)
        self._still = self._still + 1 if still and at_s - self._counted_at_s <= gap_s else 0
        # By then all rates are of two samples that stood still, and the same as those to come.
        if self._still <= _SETTLED:
            self._reckon(old, new, at_s, (_EARLY_SHARE * interval_s, gap_s))
        self._base, self._net_at_s = new, [at_s] * len(new.uuid)
        if len(self._recent) < _RECENT or any(column is not self._cpu for column in self._recent):
            self._changed = True
        self._recent.append(self._cpu)

    def _reckon(self, old: LightColumns, new: LightColumns, at_s: float, limits_s: tuple[float, float]) -> None:
        """Reckon rates over times within limits; a VM that came with an early sample has to wait for its first."""
        least_s, most_s = limits_s
        cpu_s = [seconds if least_s <= seconds <= most_s else nan for seconds in map(sub, new.cpu_at_s, old.cpu_at_s)]
        cpu = rates(old.cpu_time_ns, new.cpu_time_ns, cpu_s, _NS_PER_S)
        # Not known since when means over a lost link, where the CPU's time is not known either.
        elapsed_s = [at_s - since_s if least_s <= at_s - since_s <= most_s else nan for since_s in self._net_at_s]
        names = old.net_names, new.net_names
        net_in = devices_rates(*names, old.net_in_bytes, new.net_in_bytes, elapsed_s)
        net_out = devices_rates(*names, old.net_out_bytes, new.net_out_bytes, elapsed_s)
        # A host where all is as it was a tick ago needs not be told, sorted or drawn again.
        self._cpu, self._net_in, self._net_out = (
            self._unless_same(before, after)
            for before, after in ((self._cpu, cpu), (self._net_in, net_in), (self._net_out, net_out))
        )

    def _unless_same(self, before: Column, after: Column) -> Column:
        """Return the older object where both say the same."""
        if before == after:
            return before
        self._changed = True
        return after

    def _remember(self, taken_at_s: float, interval_s: float) -> None:
        """Write the figures into the history: a rate holds for the time that it was measured over."""
        since_s, gap_s = self._remembered_at_s, 3 * interval_s + 1
        if taken_at_s - since_s < _EARLY_SHARE * interval_s:
            return
        if taken_at_s - since_s <= gap_s:
            deep = self._deep
            columns = (self._cpu, deep.memory_bytes, deep.disk_read, deep.disk_write, self._net_in, self._net_out)
            self._history.commit(self._now.uuid, columns, since_s, taken_at_s)
        self._remembered_at_s = taken_at_s

    def deep(self, samples: Iterable[DeepVm]) -> None:
        """Take in what a deep sample brought."""
        ids = self._now.id
        # An answer that comes late may be of a run that has ended meanwhile.
        known = [
            new
            for new in samples
            if (at := self._index.get(new.uuid)) is not None and ids[at] != -1 and new.id in (None, ids[at])
        ]
        if self._deep.take(known, self._index):
            self._changed = True

    def flags(self, flags: Flags) -> None:
        """Take in persistence, autostart and managed save."""
        if flags != self._flags:
            self._flags = flags
            self._changed = True

    def node(self, new: NodeSample, interval_s: float) -> None:
        """Take in how the host itself fares."""
        old = self._node
        if old is not None and new.taken_at_s - old.taken_at_s < _EARLY_SHARE * interval_s:
            return
        self._node = new
        busy = _busy_fraction(old, new)
        base = self._mean_base(new)
        self._figures = HostFigures(
            cpu_busy_fraction=busy,
            memory_total_bytes=new.memory_total_bytes,
            memory_used_bytes=new.memory_used_bytes,
            pressure=new.pressure,
            cpu_recent=(*self._figures.cpu_recent, busy)[-_RECENT:],
            cpu_mean_fraction=_busy_fraction(base, new),
            cpu_mean_s=0.0 if base is None else new.taken_at_s - base.taken_at_s,
        )

    def _mean_base(self, new: NodeSample) -> NodeSample | None:
        """Return the sample that the mean is reckoned from: counters need only their first and last to be kept."""
        kept = self._nodes
        if not kept or new.taken_at_s - kept[-1].taken_at_s >= _MEAN_STEP_S:
            kept.append(new)
        while len(kept) > 1 and new.taken_at_s - kept[1].taken_at_s >= _MEAN_S:
            kept.popleft()
        return None if kept[0] is new else kept[0]

    def gap(self) -> None:
        """Forget counters: after a lost link nothing can be said of the time between."""
        self._base = self._base._replace(cpu_at_s=(nan,) * len(self._base.cpu_at_s))
        self._net_at_s = [nan] * len(self._net_at_s)
        self._counted_at_s = self._remembered_at_s = -inf
        self._deep.gap()
        self._node = None
        self._nodes.clear()
        self.silent.clear()

    @property
    def figures(self) -> HostFigures:
        """How the host itself fares."""
        return self._figures

    @property
    def counters(self) -> Counters:
        """What rates are reckoned from; any thread may ask."""
        light = self._now
        ids = dict(zip(light.uuid, light.id, strict=True))
        deep = {
            uuid: sample
            for uuid, sample in self._deep.samples().items()
            if uuid in ids and sample.id in (None, ids[uuid])
        }
        return Counters(light, deep, self._node)

    @property
    def light_columns(self) -> LightColumns:
        """What the last light sample told."""
        return self._now

    @property
    def active(self) -> Sequence[str]:
        """The uuids of the VMs that have a QEMU process; the same object as long as they are the same."""
        return self._active

    def deep_at_s(self, uuid: str) -> float | None:
        """Return when the VM was last looked at deeply in this run and on this link, or None."""
        return self._deep.looked_at_s(uuid)

    def vms(self) -> HostVms:
        """Return all VMs by uuid; the same object as long as nothing about them has changed."""
        told, now = self._told, self._now
        # Whoever follows a job writes it down from another thread: what is looked at twice must be one copy.
        silent, jobs = dict(self.silent), dict(self.jobs)
        if not self._changed and silent == told.silent and jobs == told.jobs:
            return told
        flags = self._flags
        self._told = HostVms(
            host=self._host,
            index=self._index,
            names=now.name,
            ids=now.id,
            states=now.state,
            reasons=now.reason,
            vcpus=now.vcpus,
            memory_allocated_bytes=now.memory_allocated_bytes,
            started_at_s=now.started_at_s,
            cpu_cores=self._cpu,
            net_in_bytes_per_s=self._net_in,
            net_out_bytes_per_s=self._net_out,
            cpu_recent=tuple(self._recent),
            deep=self._deep.figures,
            persistent=None if flags is None else flags.persistent,
            autostart=None if flags is None else flags.autostart,
            saved=None if flags is None else flags.saved,
            silent=silent,
            jobs=jobs,
            running=told.running if now.state is told.states else sum([state.executing for state in now.state]),
        )
        self._changed = False
        return self._told


_COUNTED = frozenset({"cpu_time_ns", "net_names", "net_in_bytes", "net_out_bytes"})
_SHOWN = frozenset(LightColumns._fields) - _COUNTED - {"cpu_at_s"} | {"net_names"}


def _picked(column: Column, places: Sequence[int]) -> list[float]:
    """Return the values at these places; at -1 is what is not known."""
    values = [*column, nan]
    return [values[at] for at in places]


def _busy_fraction(old: NodeSample | None, new: NodeSample) -> float | None:
    if old is None or None in (old.cpu_total_ns, old.cpu_idle_ns, new.cpu_total_ns, new.cpu_idle_ns):
        return None
    total = (new.cpu_total_ns or 0) - (old.cpu_total_ns or 0)
    idle = (new.cpu_idle_ns or 0) - (old.cpu_idle_ns or 0)
    # Idle and iowait of a CPU may step back by a tick (proc(5)); then nothing is said.
    return (total - idle) / total if total > 0 and 0 <= idle <= total else None
