"""What a look at a host's health brings, besides what is sampled all the time; what could not be read is None."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

MACHINE, OFFER, POOLS, NETWORKS, VMS = "machine", "host", "pools", "networks", "VMs"
"""The parts of a look."""


@dataclass(frozen=True, slots=True)
class Temperature:
    """One sensor."""

    name: str
    celsius: float
    high_celsius: float | None = None
    """From where on its maker calls it too hot."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine kvmtui runs on, by its /proc and /sys."""

    virtualisation: str | None = None
    """What its processor has: "VT-x", "AMD-V"; empty: nothing. None: another kind of processor."""
    kvm_device: str | None = None
    """What is wrong with /dev/kvm; empty: nothing."""
    nested: bool | None = None
    """Whether guests may have guests; None: the module does not say."""
    vhost_net: bool | None = None
    tun: bool | None = None
    cgroups: Mapping[str, bool] | None = None
    """Which controllers there are, by the names that libvirt has for them."""
    iommu_table: bool | None = None
    """Whether the firmware tells of an IOMMU; None: it is not known where to look."""
    iommu_groups: bool = False
    """Whether the kernel uses one."""
    secure_guests: bool | None = None
    """Whether memory of guests can be encrypted (AMD SEV)."""
    pressure: Mapping[str, float] | None = None
    """The share of the last minute in which some task waited for "cpu", "memory" or "io", 0 to 1."""
    swap_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    swapped_pages: int | None = None
    """Pages brought in from swap since boot."""
    load_15: float | None = None
    cpus: int | None = None
    steal_fraction: float | None = None
    """The share of CPU time since boot that another host's hypervisor took."""
    temperatures: tuple[Temperature, ...] | None = None
    clock_synchronised: bool | None = None


@dataclass(frozen=True, slots=True)
class HugePages:
    """Huge pages of one size."""

    kib: int
    total: int
    free: int


@dataclass(frozen=True, slots=True)
class NumaCell:
    """The memory of one NUMA node."""

    number: int
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class HostOffer:
    """What libvirt tells of the host itself."""

    kvm: bool | None = None
    """Whether its QEMU can use KVM."""
    ksm_running: bool | None = None
    ksm_saved_bytes: int | None = None
    huge_pages: tuple[HugePages, ...] | None = None
    cells: tuple[NumaCell, ...] | None = None


@dataclass(frozen=True, slots=True)
class PoolHealth:
    """A storage pool."""

    name: str
    active: bool
    autostart: bool
    capacity_bytes: int | None = None
    free_bytes: int | None = None
    fresh: bool = False
    """Whether free space was asked of the file system; otherwise it is of the pool's last refresh."""
    promised_bytes: int | None = None
    """What its volumes may grow to, all together."""


@dataclass(frozen=True, slots=True)
class NetworkHealth:
    """A virtual network."""

    name: str
    active: bool
    autostart: bool


@dataclass(frozen=True, slots=True)
class VmHealth:
    """What is looked at of a VM once in a while."""

    run: int = -1
    """The hypervisor's id of the run that was looked at; -1: it did not run."""
    emulated: bool | None = None
    """Whether it runs without KVM."""
    agent: bool | None = None
    """Whether its guest agent is connected; None: it has no channel for one, or does not run."""
    messages: tuple[str, ...] | None = None
    """What libvirt says of it: why it is tainted, what of it is deprecated; cleaned."""
    waiting: tuple[str, ...] = ()
    """What of its configuration waits for a restart."""
    balloon_period_s: int | None = None
    snapshots: int | None = None
    oldest_snapshot_at_s: float | None = None
    """When its oldest snapshot was made (epoch)."""
    owed_s: float | None = None
    """For how long its QEMU has owed libvirt an answer; None: it owes none."""
    process: str = ""
    """The state of its QEMU process where that is not an ordinary one: "stopped", "waits for a disk"."""
    disk_errors: tuple[str, ...] = ()
    """Disks on which QEMU told of an I/O error within the last hour."""
    packets: int | None = None
    """Packets that its interfaces handled, both ways, since it started."""
    lost_packets: int | None = None
    """Packets that were dropped or broken."""


@dataclass(frozen=True, slots=True)
class HostHealth:
    """One look at one host. A part that is not in `unread` was read."""

    taken_at_s: float
    """Monotonic."""
    wall_s: float
    """The same moment as seconds since the epoch."""
    machine: Machine | None = None
    offer: HostOffer | None = None
    pools: tuple[PoolHealth, ...] = ()
    networks: tuple[NetworkHealth, ...] = ()
    vms: Mapping[str, VmHealth] = field(default_factory=lambda: MappingProxyType({}))
    """By uuid."""
    listened_s: float | None = None
    """For how long QEMUs had been listened to for I/O errors; None: they were not."""
    silent: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """What did not answer when it was asked ("pool nfs1"), and for how many seconds it was waited for."""
    unread: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Why a part could not be read."""
