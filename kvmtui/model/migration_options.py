"""How a VM is moved: libvirt's options, which of them exclude each other, and the virsh flags that say the same."""

from collections.abc import Callable
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
class PartCopy:
    """Which of the disks that can be written to are copied and which are shared, by their targets."""

    copied: tuple[str, ...]
    shared: tuple[str, ...]

    def __str__(self) -> str:
        """Return what the audit says of it."""
        return f"{','.join(self.copied)} copied, {','.join(self.shared)} shared"


@dataclass(frozen=True, slots=True)
class MigrationOptions:
    """How a VM is moved; None: libvirt's own default."""

    disks: DiskMove = DiskMove.SHARED
    partly: PartCopy | None = None
    """Which disks are copied where only some are; None: all."""
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

    @property
    def copied_disks(self) -> tuple[str, ...]:
        """Which disks are copied, by their targets, where not all are."""
        return () if self.partly is None or self.disks is DiskMove.SHARED else self.partly.copied

    def copies(self, target: str) -> bool:
        """Return whether the disk of this target is copied if it can be written to."""
        return self.disks is not DiskMove.SHARED and (self.partly is None or target in self.partly.copied)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A combination that libvirt refuses."""

    option: str
    """The field of `MigrationOptions` that cannot be as it is."""
    why: str


_MAX_CONNECTIONS = 255
_MAX_DOWNTIME_MS = 2_000_000
"""QEMU's own limit (MAX_MIGRATE_DOWNTIME, migration/options.h)."""

# Source: qemuMigrationSrcBeginPhase in libvirt's src/qemu/qemu_migration.c, virDomainMigrate3 in src/libvirt-domain.c.
_CONFLICTS: tuple[tuple[str, Callable[[MigrationOptions, bool], bool], str], ...] = (
    ("offline", lambda o, active: o.offline and active, "it is running: only a VM that is off is migrated offline"),
    (
        "offline",
        lambda o, active: not o.offline and not active,
        "it is off: its definition alone can migrate, offline",
    ),
    ("disks", lambda o, _: o.offline and o.disks is not DiskMove.SHARED, "an offline migration copies no disks"),
    (
        "persist",
        lambda o, _: o.offline and not o.persist,
        "an offline migration leaves nothing but the definition",
    ),
    ("post_copy", lambda o, _: o.post_copy and o.offline, "only a running VM can go on at the destination"),
    (
        "post_copy",
        lambda o, _: o.post_copy and o.connections is not None,
        "QEMU before 10.1 refuses it with parallel connections",
    ),
    (
        "connections",
        lambda o, _: o.connections is not None and not 1 <= o.connections <= _MAX_CONNECTIONS,
        f"choose 1 to {_MAX_CONNECTIONS}",
    ),
    (
        "bandwidth_mib_per_s",
        lambda o, _: o.bandwidth_mib_per_s is not None and o.bandwidth_mib_per_s < 1,
        "choose at least 1 MiB/s, or no limit",
    ),
    (
        "downtime_ms",
        lambda o, _: o.downtime_ms is not None and not 1 <= o.downtime_ms <= _MAX_DOWNTIME_MS,
        f"choose 1 to {_MAX_DOWNTIME_MS} ms",
    ),
)


def conflicts(options: MigrationOptions, *, active: bool) -> tuple[Conflict, ...]:
    """Return what libvirt would refuse of these options for a VM that runs, or does not."""
    return tuple(Conflict(option, why) for option, refused, why in _CONFLICTS if refused(options, active))


def virsh_flags(options: MigrationOptions, *, persistent: bool, peer_to_peer: bool) -> tuple[str, ...]:
    """Return the arguments of `virsh migrate` that ask for the same; it has none for the downtime."""
    copies = {DiskMove.COPY: "--copy-storage-all", DiskMove.COPY_CHANGES: "--copy-storage-inc"}
    flags = [
        "--offline" if options.offline else "--live",
        "--persistent" if persistent and options.persist else "",
        "--undefinesource" if persistent and options.undefine_source else "",
        "--p2p" if peer_to_peer else "",
        copies.get(options.disks, ""),
        "--tls" if options.tls else "",
        "--auto-converge" if options.auto_converge and not options.offline else "",
        "--postcopy" if options.post_copy else "",
        "--unsafe" if options.unsafe else "",
    ]
    if options.copied_disks:
        flags += ["--migrate-disks", ",".join(options.copied_disks)]
    if options.connections is not None:
        flags += ["--parallel", "--parallel-connections", str(options.connections)]
    if options.bandwidth_mib_per_s is not None:
        flags += ["--bandwidth", str(options.bandwidth_mib_per_s)]
    return tuple(flag for flag in flags if flag)
