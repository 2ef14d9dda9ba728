"""Live migration of one libvirt domain."""

from typing import Any

from kvmtui.hypervisor.library import libvirt
from kvmtui.model.migration import MigrationOptions


def flags(options: MigrationOptions, *, persistent: bool, peer_to_peer: bool) -> int:
    """Return virDomainMigrateFlags for moving a VM wholly: its definition goes where it goes."""
    module = libvirt()
    value = module.VIR_MIGRATE_LIVE
    if persistent:
        value |= module.VIR_MIGRATE_PERSIST_DEST | module.VIR_MIGRATE_UNDEFINE_SOURCE
    if peer_to_peer:
        value |= module.VIR_MIGRATE_PEER2PEER
    if options.copy_disks:
        value |= module.VIR_MIGRATE_NON_SHARED_DISK
    return int(value)


def to_uri(domain: Any, uri: str, options: MigrationOptions) -> None:
    """Migrate peer to peer: the source's daemon connects to `uri` and drives; it survives the end of kvmtui."""
    domain.migrateToURI3(uri, {}, flags(options, persistent=bool(domain.isPersistent()), peer_to_peer=True))


def to_connection(domain: Any, destination: Any, options: MigrationOptions) -> None:
    """Migrate managed by this client, for hosts whose daemons cannot reach each other."""
    value = flags(options, persistent=bool(domain.isPersistent()), peer_to_peer=False)
    domain.migrate3(destination, {}, value)
