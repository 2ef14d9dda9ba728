"""What one look at a host brings back: counters and states as they were read, in base units."""

from collections.abc import Mapping
from dataclasses import dataclass

from kvmtui.model.host import Pressure
from kvmtui.model.vm import VmState


@dataclass(frozen=True, slots=True)
class LightVm:
    """One VM in a light sample: what the host knows without asking QEMU."""

    uuid: str
    name: str
    id: int
    state: VmState
    reason: str
    vcpus: int
    memory_allocated_bytes: int
    cpu_time_ns: int | None
    """CPU time used since the QEMU process started."""
    net_in_bytes: Mapping[str, int] | None
    """Bytes the guest received, by interface name; None while it is not active."""
    net_out_bytes: Mapping[str, int] | None
    cpu_at_s: float | None = None
    """Monotonic time of `cpu_time_ns`; None: that of the whole sample."""
    started_at_s: float | None = None
    """Monotonic time at which the QEMU process started, where that can be known."""


@dataclass(frozen=True, slots=True)
class LightSample:
    """All VMs of a host at one moment."""

    taken_at_s: float
    """Monotonic time before the call."""
    round_trip_s: float
    bulk_cpu: bool
    """Whether CPU times came in the bulk call because the host is too far for a round trip per VM."""
    vms: tuple[LightVm, ...]


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
