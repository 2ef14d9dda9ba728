"""One host as the dashboard shows it."""

from dataclasses import dataclass, field
from enum import StrEnum

from kvmtui.model.host_vms import HostVms


class Link(StrEnum):
    """How the connection to a host stands."""

    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What does not change while a connection lasts."""

    hostname: str
    uuid: str
    """The host UUID libvirt compares before a migration; empty where it is not told."""
    cpus: int
    memory_bytes: int
    libvirt_version: str
    hypervisor_version: str
    local: bool
    """Whether it is the machine kvmtui runs on, so that psutil and /proc speak of it."""


@dataclass(frozen=True, slots=True)
class Pressure:
    """Pressure stall information: share of the last 10 s in which some task waited, 0 to 1.

    Source: /proc/pressure/{cpu,memory,io}, the `some avg10` field (kernel Documentation/accounting/psi.rst).
    """

    cpu: float
    memory: float
    io: float


@dataclass(frozen=True, slots=True)
class HostFigures:
    """How the host itself fares; unknown is None."""

    cpu_busy_fraction: float | None = None
    memory_total_bytes: int | None = None
    memory_used_bytes: int | None = None
    pressure: Pressure | None = None
    cpu_recent: tuple[float | None, ...] = ()
    cpu_mean_fraction: float | None = None
    """The mean of the CPU's use over `cpu_mean_s`."""
    cpu_mean_s: float = 0.0
    """Five minutes, or less where it has not been watched for so long."""


@dataclass(frozen=True, slots=True)
class Host:
    """One host with its VMs at one moment."""

    key: str
    """The connection URI: the identity of the host in every VmKey."""
    name: str
    """What it is called on screen; cleaned."""
    link: Link
    facts: HostFacts | None = None
    figures: HostFigures = field(default_factory=HostFigures)
    vms: HostVms = field(default_factory=HostVms)
    """VMs by uuid, the same object as long as nothing about them changes; the last good ones while the link is down."""
    sampled_at_s: float | None = None
    """Monotonic time of the last light sample."""
    round_trip_s: float | None = None
    interval_s: float = 1.0
    """The tick as it is kept, which is longer than asked for when the host cannot keep up."""
    bulk_cpu: bool = False
    """Whether CPU times come in the bulk call because a round trip per VM would take too long."""
    problem: str = ""
    """Why the link is not up, or what is degraded; cleaned, one line."""
    next_try_at_s: float | None = None
    """Monotonic time of the next attempt to connect."""
    read_only: bool = False

    def stale(self, now_s: float) -> bool:
        """Return whether the figures are too old to be taken for the present."""
        if self.sampled_at_s is None:
            return True
        return self.link is not Link.UP or now_s - self.sampled_at_s > 3 * self.interval_s

    @property
    def running(self) -> int:
        """How many VMs execute."""
        return self.vms.running
