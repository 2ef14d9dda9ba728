"""How a VM is moved: libvirt's options, which of them exclude each other, and the virsh flags that say the same."""

from dataclasses import dataclass
from enum import StrEnum


class DiskMove(StrEnum):
    """What becomes of the disks."""

    SHARED = "shared"
    """Both hosts see the same storage: nothing is copied."""
    COPY = "copy"
    """Every writable disk is copied whole (VIR_MIGRATE_NON_SHARED_DISK)."""
    COPY_CHANGES = "copy changes"
    """Only what lies over a backing file that the destination has, too (VIR_MIGRATE_NON_SHARED_INC)."""


@dataclass(frozen=True, slots=True)
class MigrationOptions:
    """How a VM is moved; None: libvirt's own default."""

    disks: DiskMove = DiskMove.SHARED
    peer_to_peer: bool | None = None
    """Whether the source's daemon carries it, or this client; None: the source's, and this client where that fails."""
    tls: bool = False
    auto_converge: bool = True
    """Slow the guest down step by step where it writes its memory faster than it can be sent."""
    post_copy: bool = False
    """Make it possible to switch to post-copy while it runs."""
    connections: int | None = None
    """Send over so many connections side by side (VIR_MIGRATE_PARALLEL)."""
    bandwidth_mib_per_s: int | None = None
    downtime_ms: int | None = None
    """How long the guest may stand still at the end; QEMU's default is 300 ms."""
    persist: bool = True
    """Keep its definition at the destination."""
    undefine_source: bool = True
    """Remove its definition from the source."""
    offline: bool = False
    """Move the definition of a VM that is off; no storage is copied."""
    unsafe: bool = False
    """Go on where libvirt cannot tell that the disks are safely shared (VIR_MIGRATE_UNSAFE)."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A combination that libvirt refuses."""

    option: str
    """The field of `MigrationOptions` that cannot be as it is."""
    why: str


def conflicts(options: MigrationOptions, *, active: bool) -> tuple[Conflict, ...]:
    """Return what libvirt would refuse of these options for a VM that runs, or does not."""
    raise NotImplementedError


def virsh_flags(options: MigrationOptions, *, persistent: bool, peer_to_peer: bool) -> tuple[str, ...]:
    """Return the arguments of `virsh migrate` that ask for the same."""
    raise NotImplementedError
