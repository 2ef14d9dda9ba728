"""One VM as the dashboard shows it: what it is, how it fares, and how sure that is."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from kvmtui.model.clean import clean


class VmKey(NamedTuple):
    """The identity of a VM: during a migration one uuid is on two hosts."""

    host: str
    """The key of the host: its connection URI."""
    uuid: str
    """The domain's UUID in lower-case text form."""


class VmState(StrEnum):
    """A domain's state in virsh's words."""

    NO_STATE = "no state"
    RUNNING = "running"
    BLOCKED = "idle"
    PAUSED = "paused"
    SHUTTING_DOWN = "in shutdown"
    SHUT_OFF = "shut off"
    CRASHED = "crashed"
    SUSPENDED = "pmsuspended"

    @property
    def active(self) -> bool:
        """Whether a QEMU process stands behind the VM."""
        return self not in (VmState.SHUT_OFF, VmState.CRASHED)

    @property
    def executing(self) -> bool:
        """Whether the guest's CPUs run."""
        return self in (VmState.RUNNING, VmState.BLOCKED, VmState.SHUTTING_DOWN)


class MemorySource(StrEnum):
    """Where a memory figure comes from."""

    BALLOON = "balloon"
    """The guest's own total minus what it could give away (balloon driver statistics)."""
    RSS = "RSS"
    """What the QEMU process holds of the host's memory; the guest's own use is not known."""


@dataclass(frozen=True, slots=True)
class Memory:
    """A VM's memory use with its provenance."""

    used_bytes: int
    source: MemorySource
    taken_at_s: float
    """Monotonic time of the figure: when the guest last reported it, or when the host was asked."""


ARRIVING = "arriving"
"""The operation that a VM is shown with at the host that it is being moved to."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a long-running libvirt job has done so far; unknown figures are None."""

    operation: str
    """What runs: "migration", "saving", `ARRIVING`."""
    elapsed_s: float | None = None
    total_bytes: int | None = None
    remaining_bytes: int | None = None
    bytes_per_s: float | None = None
    iteration: int | None = None
    memory_total_bytes: int | None = None
    memory_remaining_bytes: int | None = None
    disk_total_bytes: int | None = None
    disk_remaining_bytes: int | None = None
    dirty_bytes_per_s: float | None = None
    """How fast the guest writes to its memory: libvirt's memory_dirty_rate times memory_page_size."""
    expected_downtime_s: float | None = None
    throttle_fraction: float | None = None
    """By how much auto-converge slows the guest down."""
    post_copy_requests: int | None = None
    sent_bytes: int | None = None
    """What went over so far, what had to be sent again included."""
    done_fraction: float | None = None
    """Its share that is done, where more is known of it than these figures tell."""
    eta_s: float | None = None
    """Seconds that are left, where `done_fraction` is known; None: not known."""

    @property
    def progress(self) -> float | None:
        """The share of data that needs no more sending, 0 to 1; it can fall while a guest dirties its memory."""
        if self.done_fraction is not None:
            return self.done_fraction
        if not self.total_bytes or self.remaining_bytes is None:
            return None
        return max(0.0, min(1.0, 1 - self.remaining_bytes / self.total_bytes))


@dataclass(frozen=True, slots=True)
class Disk:
    """A block device of a VM."""

    target: str
    path: str | None
    """The file or device on the host; None where the disk is empty or not a path (network storage)."""
    writable: bool
    """Whether a migration has to bring it along: neither read-only nor shareable, and not a CD-ROM or floppy."""
    kind: str = "file"
    """libvirt's disk type: "file", "block", "network", "volume"..."""

    @property
    def shown_path(self) -> str:
        """The path as it may be drawn; `path` is only for looking it up."""
        return clean(self.path or "")


@dataclass(frozen=True, slots=True)
class Interface:
    """A network device of a VM."""

    mac: str
    source: str
    """The network or bridge it is plugged into."""
    model: str


@dataclass(frozen=True, slots=True)
class VmConfig:
    """What the definition says; read when a VM is looked at, not every tick."""

    disks: tuple[Disk, ...]
    interfaces: tuple[Interface, ...]
    consoles: tuple[str, ...]
    """Aliases or target names of the serial and console devices."""
    addresses: tuple[str, ...]
    """IP addresses by the host's DHCP leases."""
    balloon_period_s: int | None
    """How often the guest reports its memory; None or 0: never."""
    emulated: bool
    """Whether it runs without KVM (domain type qemu: TCG)."""
    taken_at_s: float
    pinned: bool = False
    """Whether it shall stay on its host, by the tag in its metadata."""
    apart: tuple[str, ...] = ()
    """Names of groups whose VMs shall be on different hosts, by the same tag."""


@dataclass(frozen=True, slots=True)
class Vm:
    """One VM at one moment; every figure that is not known is None."""

    key: VmKey
    name: str
    """Cleaned; for showing only."""
    id: int
    """The hypervisor's id of this run; -1 while it is not active."""
    state: VmState
    reason: str = ""
    persistent: bool | None = None
    """Whether its definition outlives its run."""
    autostart: bool | None = None
    saved: bool | None = None
    """Whether a managed save image waits, from which the next start resumes."""
    vcpus: int = 0
    """0: not known yet."""
    memory_allocated_bytes: int = 0
    """0: not known yet."""
    cpu_cores: float | None = None
    """CPU time used per time: 1.5 is one and a half host CPUs."""
    cpu_recent: tuple[float | None, ...] = ()
    """The last values of `cpu_cores`, oldest first."""
    ready_fraction: float | None = None
    """Share of time its vCPUs waited for a host CPU, over all vCPUs (the guest sees it as steal)."""
    memory: Memory | None = None
    disk_read_bytes_per_s: float | None = None
    disk_write_bytes_per_s: float | None = None
    net_in_bytes_per_s: float | None = None
    net_out_bytes_per_s: float | None = None
    started_at_s: float | None = None
    """Monotonic time at which its QEMU process started, where that can be known."""
    deep_at_s: float | None = None
    """When disk, ready and memory figures were taken."""
    monitor_silent_since_s: float | None = None
    """Since when QEMU does not answer libvirt; None: it does, as far as is known."""
    job: Job | None = None

    @property
    def cpu_fraction(self) -> float | None:
        """CPU use as a share of what its vCPUs could use."""
        return None if self.cpu_cores is None or not self.vcpus else self.cpu_cores / self.vcpus
