"""The VMs of one host at one moment, kept by column: a `Vm` is made only when somebody looks at it.

A host has hundreds of VMs, of which a screen shows some forty. What is reckoned or sorted over all of them is a
column, in which NaN stands for what is not known.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan

from kvmtui.model.vm import Job, Memory, Vm, VmKey, VmState


@dataclass(frozen=True, slots=True)
class DeepFigures:
    """What only QEMU can tell of a VM; unknown is None."""

    taken_at_s: float
    memory: Memory | None = None
    ready_fraction: float | None = None
    disk_read_bytes_per_s: float | None = None
    disk_write_bytes_per_s: float | None = None
    rss_bytes: int | None = None
    """What the QEMU process holds of the host's memory."""


@dataclass(frozen=True, slots=True, eq=False)
class HostVms(Mapping[str, Vm]):
    """All VMs of a host by uuid. Columns are as long as there are VMs, and never change once they are here."""

    host: str = ""
    index: Mapping[str, int] = field(default_factory=dict)
    """Where in the columns a VM is, by uuid; in the order of the columns."""
    names: Sequence[str] = ()
    ids: Sequence[int] = ()
    states: Sequence[VmState] = ()
    reasons: Sequence[str] = ()
    vcpus: Sequence[int] = ()
    memory_allocated_bytes: Sequence[int] = ()
    started_at_s: Sequence[float | None] = ()
    cpu_cores: Sequence[float] = ()
    net_in_bytes_per_s: Sequence[float] = ()
    net_out_bytes_per_s: Sequence[float] = ()
    cpu_recent: Sequence[Sequence[float]] = ()
    """The last columns of `cpu_cores`, oldest first."""
    deep: Mapping[str, DeepFigures] = field(default_factory=dict)
    """By uuid, of those that have been looked at."""
    persistent: frozenset[str] | None = None
    autostart: frozenset[str] | None = None
    saved: frozenset[str] | None = None
    silent: Mapping[str, float] = field(default_factory=dict)
    """Since when (monotonic) the QEMU of a VM does not answer."""
    jobs: Mapping[str, Job] = field(default_factory=dict)
    running: int = 0
    """How many execute."""
    _made: dict[str, Vm] = field(default_factory=dict)
    """Those somebody has looked at; making one twice from the same columns gives the same, so threads need no lock."""

    @classmethod
    def of(cls, vms: Iterable[Vm]) -> "HostVms":
        """Return VMs that are there already."""
        made = {vm.key.uuid: vm for vm in vms}
        rows = tuple(made.values())
        return cls(
            host=rows[0].key.host if rows else "",
            index={uuid: number for number, uuid in enumerate(made)},
            names=[vm.name for vm in rows],
            ids=[vm.id for vm in rows],
            states=[vm.state for vm in rows],
            reasons=[vm.reason for vm in rows],
            vcpus=[vm.vcpus for vm in rows],
            memory_allocated_bytes=[vm.memory_allocated_bytes for vm in rows],
            started_at_s=[vm.started_at_s for vm in rows],
            cpu_cores=[_or_nan(vm.cpu_cores) for vm in rows],
            net_in_bytes_per_s=[_or_nan(vm.net_in_bytes_per_s) for vm in rows],
            net_out_bytes_per_s=[_or_nan(vm.net_out_bytes_per_s) for vm in rows],
            deep={vm.key.uuid: _deep_of(vm) for vm in rows},
            running=sum(vm.state.executing for vm in rows),
            _made=made,
        )

    def __getitem__(self, uuid: str) -> Vm:
        vm = self._made.get(uuid)
        if vm is None:
            vm = self._made[uuid] = self._make(uuid, self.index[uuid])
        return vm

    def __iter__(self) -> Iterator[str]:
        return iter(self.index)

    def __len__(self) -> int:
        return len(self.index)

    def __contains__(self, uuid: object) -> bool:
        return uuid in self.index

    def deep_column(self, name: str) -> list[float]:
        """Return a rate of `DeepFigures` as a column."""
        column = [nan] * len(self.index)
        for uuid, figures in self.deep.items():
            column[self.index[uuid]] = _or_nan(getattr(figures, name))
        return column

    def memory_used_column(self) -> list[float]:
        """Return the memory that VMs use, in bytes, as a column."""
        column = [nan] * len(self.index)
        for uuid, figures in self.deep.items():
            if figures.memory is not None:
                column[self.index[uuid]] = figures.memory.used_bytes
        return column

    def _make(self, uuid: str, at: int) -> Vm:
        deep = self.deep.get(uuid)
        return Vm(
            key=VmKey(self.host, uuid),
            name=self.names[at],
            id=self.ids[at],
            state=self.states[at],
            reason=self.reasons[at],
            persistent=None if self.persistent is None else uuid in self.persistent,
            autostart=None if self.autostart is None else uuid in self.autostart,
            saved=None if self.saved is None else uuid in self.saved,
            vcpus=self.vcpus[at],
            memory_allocated_bytes=self.memory_allocated_bytes[at],
            cpu_cores=_or_none(self.cpu_cores[at]),
            cpu_recent=tuple([_or_none(column[at]) for column in self.cpu_recent]),
            ready_fraction=None if deep is None else deep.ready_fraction,
            memory=None if deep is None else deep.memory,
            disk_read_bytes_per_s=None if deep is None else deep.disk_read_bytes_per_s,
            disk_write_bytes_per_s=None if deep is None else deep.disk_write_bytes_per_s,
            net_in_bytes_per_s=_or_none(self.net_in_bytes_per_s[at]),
            net_out_bytes_per_s=_or_none(self.net_out_bytes_per_s[at]),
            started_at_s=self.started_at_s[at],
            deep_at_s=None if deep is None else deep.taken_at_s,
            monitor_silent_since_s=self.silent.get(uuid),
            job=self.jobs.get(uuid),
        )


def _or_none(value: float) -> float | None:
    return None if isnan(value) else value


def _or_nan(value: float | None) -> float:
    return nan if value is None else value


def _deep_of(vm: Vm) -> DeepFigures:
    return DeepFigures(
        vm.deep_at_s or 0.0, vm.memory, vm.ready_fraction, vm.disk_read_bytes_per_s, vm.disk_write_bytes_per_s
    )
