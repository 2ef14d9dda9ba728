"""What one look at a host brings back: counters and states as they were read, in base units."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import nan
from types import MappingProxyType
from typing import Any, NamedTuple

from kvmtui.model.host import Pressure
from kvmtui.model.vm import VmState

NOT_TOLD: Mapping[str, float] = MappingProxyType({"": nan})
"""The counters of interfaces by name, where not even is told which there are."""


class LightVm(NamedTuple):
    """One VM in a light sample: what the host knows without asking QEMU."""

    uuid: str
    name: str
    """Cleaned."""
    id: int
    state: VmState
    reason: str
    vcpus: int
    """0: not asked yet, on a far host."""
    memory_allocated_bytes: int
    """0: not asked yet."""
    cpu_time_ns: float
    """CPU time used since the QEMU process started; NaN where it was not told."""
    cpu_at_s: float
    """Monotonic time of `cpu_time_ns`."""
    net_names: tuple[str, ...] = tuple(NOT_TOLD)
    """The interfaces that the counters are of."""
    net_in_bytes: tuple[float, ...] = tuple(NOT_TOLD.values())
    """Bytes the guest received, by interface; NaN where they were not told."""
    net_out_bytes: tuple[float, ...] = tuple(NOT_TOLD.values())
    started_at_s: float | None = None
    """Monotonic time at which the QEMU process started, where that can be known."""


class LightColumns(NamedTuple):
    """The same of many VMs, figure by figure: a thousand VMs are reckoned with by column, never one by one."""

    uuid: tuple[str, ...] = ()
    name: tuple[str, ...] = ()
    id: tuple[int, ...] = ()
    state: tuple[VmState, ...] = ()
    reason: tuple[str, ...] = ()
    vcpus: tuple[int, ...] = ()
    memory_allocated_bytes: tuple[int, ...] = ()
    cpu_time_ns: tuple[float, ...] = ()
    cpu_at_s: tuple[float, ...] = ()
    net_names: tuple[tuple[str, ...], ...] = ()
    net_in_bytes: tuple[tuple[float, ...], ...] = ()
    net_out_bytes: tuple[tuple[float, ...], ...] = ()
    started_at_s: tuple[float | None, ...] = ()

    @classmethod
    def of(cls, vms: Iterable[tuple[Any, ...]]) -> "LightColumns":
        """Return the columns of these rows, each a `LightVm` or as long as one."""
        return cls(*zip(*vms, strict=True))


@dataclass(frozen=True, slots=True)
class LightSample:
    """All VMs of a host at one moment."""

    taken_at_s: float
    """Monotonic time before the call."""
    round_trip_s: float
    bulk_cpu: bool
    """Whether CPU times came in the bulk call because the host is too far for a round trip per VM."""
    columns: LightColumns

    @property
    def vms(self) -> tuple[LightVm, ...]:
        """The rows, for looking at single VMs."""
        return tuple(map(LightVm._make, zip(*self.columns, strict=True)))


@dataclass(frozen=True, slots=True)
class Flags:
    """Slow-changing properties of all VMs of a host: the uuids for which each holds."""

    persistent: frozenset[str]
    autostart: frozenset[str]
    saved: frozenset[str]


@dataclass(frozen=True, slots=True)
class DeepVm:
    """One VM in a deep sample: what only its QEMU or its threads can tell; None where they did not."""

    uuid: str
    taken_at_s: float
    """Monotonic time before the call."""
    ready_ns: int | None
    """Time its vCPUs waited in the host's run queue, summed over `vcpus`."""
    vcpus: int
    memory_used_bytes: int | None
    """Guest total minus guest available, by the balloon driver."""
    memory_age_s: float | None
    """How long ago the guest reported it."""
    rss_bytes: int | None
    disk_read_bytes: Mapping[str, int] | None
    disk_write_bytes: Mapping[str, int] | None
    id: int | None = None
    """The run it was taken of; None: the present one, whichever that is."""


@dataclass(frozen=True, slots=True)
class NodeSample:
    """The host itself: counters and amounts; unknown is None."""

    taken_at_s: float
    cpu_total_ns: int | None
    cpu_idle_ns: int | None
    """Idle and iowait together."""
    memory_total_bytes: int | None
    memory_used_bytes: int | None
    """Total minus what could be had without swapping."""
    pressure: Pressure | None


@dataclass(frozen=True, slots=True)
class Identity:
    """What a VM is at this instant, read just before a write."""

    id: int
    state: VmState
    persistent: bool
    autostart: bool
    reason: str = ""
    """Why it is in that state, in the words of a light sample."""
