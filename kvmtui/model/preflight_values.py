"""What a move is judged by: what the VM asks for, what the destination has, and how a check came out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

from kvmtui.model.sharing import Mark

_NOTHING: Mapping[str, str] = MappingProxyType({})
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")


class Grade(IntEnum):
    """How a check came out; the higher the worse."""

    PASS = 0
    UNKNOWN = 1
    """It could not be made; libvirt will decide."""
    WARN = 2
    FAIL = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One check."""

    id: str
    title: str
    """What is looked at, in a word or two: "machine type", "CPU", "memory"."""
    grade: Grade
    evidence: str
    """What was found, with its figures: "needs 4.0 GiB, 12 GiB free"; cleaned."""
    advice: str = ""
    """What to do about it; empty where it passed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; its texts are not cleaned yet."""

    grade: Grade
    evidence: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class HostCpu:
    """A host's processor as its capabilities describe it."""

    model: str
    vendor: str
    microcode: str
    features: frozenset[str]


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """Which host it is, and what runs there."""

    name: str
    uuid: str = ""
    """The UUID that libvirt compares; empty where it is not told."""
    libvirt_version: int | None = None
    """Major x 1,000,000 + minor x 1,000 + release."""
    hypervisor_version: int | None = None
    cpu: HostCpu | None = None


@dataclass(frozen=True, slots=True)
class Pool:
    """A storage pool."""

    name: str
    kind: str
    """"dir", "netfs", "rbd"..."""
    active: bool
    path: str = ""
    """Where its volumes are found on the host."""
    source: str = ""
    """Which storage elsewhere it shows; empty where it is the host's own."""
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NeededDisk:
    """A disk, CD-ROM or floppy of the VM that has something in it."""

    target: str
    device: str = "disk"
    kind: str = "file"
    """libvirt's disk type: "file", "block", "network", "volume"..."""
    path: str | None = None
    """The file or device on the host; for looking up only."""
    pool: str = ""
    volume: str = ""
    """Pool and volume of a disk that is named by them; for looking up only."""
    format: str = ""
    cache: str = ""
    startup_policy: str = ""
    writable: bool = True
    """Whether copying brings it along: neither read-only nor shareable."""
    transient: bool = False
    backing: str | None = None
    """The image that it lies over."""
    capacity_bytes: int | None = None
    allocated_bytes: int | None = None
    mark: Mark | None = None
    """What its volume can be known by; None where it is in no pool."""

    @property
    def place(self) -> str | None:
        """What it is looked up by among `HostOffers.volumes`; None for what is no volume of a pool."""
        return f"{self.pool}:{self.volume}" if self.pool else self.path

    @property
    def removable(self) -> bool:
        """Whether it is a medium that can be ejected."""
        return self.device in ("cdrom", "floppy")


@dataclass(frozen=True, slots=True)
class NeededInterface:
    """A network device of the VM."""

    kind: str
    """libvirt's interface type: "network", "bridge", "direct", "user"..."""
    source: str = ""
    """The network, bridge or device that it is plugged into."""
    replaceable: bool = False
    """Whether the guest has another one that it is teamed with."""


@dataclass(frozen=True, slots=True)
class NeededDevice:
    """A device that may tie the VM to its host."""

    kind: str
    """Host devices: "usb", "pci", "mdev"...; shared memory: its role; file systems: their driver."""
    name: str = ""
    replaceable: bool = False


@dataclass(frozen=True, slots=True)
class Pin:
    """The host CPUs that something is bound to."""

    what: str
    cpus: frozenset[int]


@dataclass(frozen=True, slots=True)
class GuestNeeds:
    """What a VM asks of a destination: from its definition and its host.

    What could not be read is None, and `unread` says why.
    """

    name: str
    """As it was written: for looking up only."""
    uuid: str
    source: HostIdentity
    active: bool = True
    persistent: bool = True
    saved: bool = False
    """Whether a managed save image waits."""
    io_error: bool = False
    """Whether it is paused because a disk failed."""
    virt_type: str = "kvm"
    """"kvm", or "qemu" for a VM that is emulated (TCG)."""
    arch: str = ""
    machine: str = ""
    emulator: str = ""
    cpu_mode: str = ""
    """"custom", "host-model", "host-passthrough", "maximum"; empty: QEMU's default."""
    cpu_xml: str | None = None
    """The <cpu> element that would be sent."""
    invariant_tsc_unbound: bool = False
    """Whether the guest sees invtsc without a TSC frequency being set."""
    memory_bytes: int = 0
    """All it may use."""
    current_memory_bytes: int = 0
    """What the balloon leaves it now."""
    hugepage_kib: tuple[int, ...] = ()
    """Page sizes it is backed by; 0 is the host's default size."""
    vcpus: int = 1
    pins: tuple[Pin, ...] = ()
    numa_nodes: frozenset[int] = frozenset()
    numa_strict: bool = True
    disks: tuple[NeededDisk, ...] = ()
    pools: tuple[Pool, ...] = ()
    """Those of its own host that hold its disks."""
    interfaces: tuple[NeededInterface, ...] = ()
    host_devices: tuple[NeededDevice, ...] = ()
    shared_memory: tuple[NeededDevice, ...] = ()
    file_systems: tuple[NeededDevice, ...] = ()
    tpm: str = ""
    """The backend: "emulator", "passthrough", "external"; empty: it has none."""
    nvram: str = ""
    loader: str = ""
    """The firmware image."""
    host_files: tuple[str, ...] = ()
    """Other files of its host that QEMU opens: kernel, initial RAM disk, ROMs."""
    own_arguments: bool = False
    """Whether the definition gives QEMU arguments of its own."""
    launch_security: str = ""
    secrets: tuple[str, ...] = ()
    """UUIDs, or "type:usage"."""
    snapshots: int | None = 0
    block_jobs: tuple[str, ...] | None = ()
    """Disks with a block job."""
    job: str | None = ""
    """The job that runs; empty: none."""
    unread: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Why a field could not be read, by its name."""

    @property
    def emulated(self) -> bool:
        """Whether it runs without KVM."""
        return self.virt_type == "qemu"


@dataclass(frozen=True, slots=True)
class Namesake:
    """A VM at the destination that has the name or the UUID of the one to come."""

    name: str
    uuid: str
    active: bool
    persistent: bool = True


@dataclass(frozen=True, slots=True)
class Emulation:
    """What the destination's QEMU says to the VM's emulator, architecture and machine type."""

    refusal: str = ""
    """Why it cannot run such a machine."""
    max_vcpus: int | None = None
    tpm_backends: frozenset[str] = frozenset()
    loaders: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HostOffers:
    """What a destination can give to one VM; what could not be read is None, and `unread` says why."""

    host: HostIdentity
    round_trip_s: float | None = None
    namesakes: tuple[Namesake, ...] | None = ()
    emulation: Emulation | None = None
    cpu_refusal: str | None = None
    """Why its CPU cannot run the guest; empty: it can."""
    networks: Mapping[str, bool] | None = None
    """Of the networks the VM needs, those that are defined there, and whether they are active."""
    links: frozenset[str] | None = None
    """Network devices and bridges of the host."""
    volumes: Mapping[str, int | None] | None = None
    """Of the disks' places, and the images they lie over, those in a pool's list, with their capacity in bytes."""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """What those volumes can be known by."""
    old_copies: frozenset[str] = frozenset()
    """Places where a move of this run has left a disk that the VM uses no more."""
    pools: tuple[Pool, ...] | None = None
    memory_total_bytes: int | None = None
    memory_free_bytes: int | None = None
    """What could be had without swapping."""
    free_hugepages: Mapping[int, int] | None = None
    """Free pages by their size in KiB."""
    cpus: frozenset[int] | None = None
    """Numbers of the host's CPUs."""
    numa_nodes: frozenset[int] | None = None
    secrets: frozenset[str] | None = None
    """Of the secrets the VM needs, those it has."""
    unread: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """Why a field could not be read, by its name."""


def amount(size_bytes: float) -> str:
    """Return an amount of bytes in words: "4.0 GiB"."""
    value, unit = float(size_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(value) < 1000 or unit == "PiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.5 else f"{value:.1f} {unit}"


def listed(names: Sequence[str], most: int = 4) -> str:
    """Return names as a list of which only the first are told."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def worst(findings: Sequence[Finding]) -> Finding | None:
    """Return one finding for many: of the worst grade, with the evidence of all that share it."""
    if not findings:
        return None
    grade = max(finding.grade for finding in findings)
    same = [finding for finding in findings if finding.grade is grade]
    evidence = tuple(dict.fromkeys(finding.evidence for finding in same))
    advice = next((finding.advice for finding in same if finding.advice), "")
    more = f"; and {len(evidence) - 3} more" if len(evidence) > 3 else ""
    return Finding(grade, "; ".join(evidence[:3]) + more, advice)


def safe_name(name: str, uuid: str) -> str:
    """Return how a command names a VM: by its UUID where a shell could misread the name."""
    return name if _PLAIN.fullmatch(name) else uuid


def why(read: GuestNeeds | HostOffers, what: str) -> str:
    """Return why a field could not be read."""
    return read.unread.get(what, "it was not told")
