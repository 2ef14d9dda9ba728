"""Live migration of one libvirt domain: starting it, steering it, and mending what is left when it went wrong."""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection
from pathlib import PurePosixPath
from typing import Any

from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.hypervisor.library import libvirt
from kvmtui.model.clean import clean
from kvmtui.model.migration import RepairKind, Steer
from kvmtui.model.migration_options import DiskMove, MigrationOptions

_NO_LIMIT_MIB_PER_S = (2**63 - 1) // 1024**2
"""What libvirt itself sets where no limit is asked for (QEMU_DOMAIN_MIG_BANDWIDTH_MAX)."""


def flags(options: MigrationOptions, *, persistent: bool, peer_to_peer: bool) -> int:
    """Return virDomainMigrateFlags; a definition that does not exist is neither kept nor removed."""
    module = libvirt()
    wanted = {
        "LIVE": not options.offline,
        "OFFLINE": options.offline,
        "PERSIST_DEST": persistent and options.persist,
        "UNDEFINE_SOURCE": persistent and options.undefine_source,
        "PEER2PEER": peer_to_peer,
        "NON_SHARED_DISK": options.disks is DiskMove.COPY,
        "NON_SHARED_INC": options.disks is DiskMove.COPY_CHANGES,
        "TLS": options.tls,
        "AUTO_CONVERGE": options.auto_converge and not options.offline,
        "POSTCOPY": options.post_copy,
        "PARALLEL": options.connections is not None,
        "UNSAFE": options.unsafe,
    }
    return sum(getattr(module, f"VIR_MIGRATE_{name}") for name, is_wanted in wanted.items() if is_wanted)


def parameters(options: MigrationOptions) -> dict[str, Any]:
    """Return the typed parameters of a migration; the downtime is none of them."""
    module = libvirt()
    found = {
        module.VIR_MIGRATE_PARAM_BANDWIDTH: options.bandwidth_mib_per_s,
        module.VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS: options.connections,
    }
    return {name: value for name, value in found.items() if value is not None}


def to_uri(domain: Any, uri: str, options: MigrationOptions) -> None:
    """Migrate peer to peer: the source's daemon connects to `uri` and drives; it survives the end of kvmtui."""
    value = flags(options, persistent=bool(domain.isPersistent()), peer_to_peer=True)
    domain.migrateToURI3(uri, parameters(options), value)


def to_connection(domain: Any, destination: Any, options: MigrationOptions) -> None:
    """Migrate managed by this client, for hosts whose daemons cannot reach each other."""
    value = flags(options, persistent=bool(domain.isPersistent()), peer_to_peer=False)
    domain.migrate3(destination, parameters(options), value)


def steer(domain: Any, what: Steer, value: int | None) -> None:
    """Change a migration that is under way."""
    _STEERS[what](domain, value or 0)


_STEERS: dict[Steer, Callable[[Any, int], Any]] = {
    Steer.DOWNTIME: lambda domain, value: domain.migrateSetMaxDowntime(value, 0),
    Steer.BANDWIDTH: lambda domain, value: domain.migrateSetMaxSpeed(value or _NO_LIMIT_MIB_PER_S, 0),
    Steer.POST_COPY: lambda domain, _: domain.migrateStartPostCopy(0),
    Steer.PAUSE_GUEST: lambda domain, _: domain.suspend(),
    Steer.ABORT: lambda domain, _: domain.abortJob(),
}


def repair(domain: Any, kind: RepairKind, destination: str) -> None:
    """Mend what a migration left; what becomes of disks is `delete_volumes`."""
    module = libvirt()
    if kind in (RepairKind.RESUME_SOURCE, RepairKind.RESUME_DESTINATION):
        domain.resume()
    elif kind is RepairKind.DEFINE_DESTINATION:
        xml = domain.XMLDesc(module.VIR_DOMAIN_XML_MIGRATABLE | module.VIR_DOMAIN_XML_SECURE)
        domain.connect().defineXML(xml)
    elif kind is RepairKind.UNDEFINE_SOURCE:
        domain.undefineFlags(module.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)
    elif kind is RepairKind.RECOVER_POST_COPY:
        value = flags(MigrationOptions(auto_converge=False, post_copy=True), persistent=False, peer_to_peer=True)
        domain.migrateToURI3(destination, {}, value | module.VIR_MIGRATE_POSTCOPY_RESUME)
    elif kind is RepairKind.ABORT_JOB:
        domain.abortJob()


def absent_volumes(connection: Any, paths: Collection[str]) -> frozenset[str]:
    """Return those of `paths` that were proven not to exist: their pool's folder was read, and they are not in it."""
    module = libvirt()
    folders = {str(PurePosixPath(path).parent) for path in paths}
    read: set[str] = set()
    for pool in connection.listAllStoragePools(module.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        folder = _parsed(pool.XMLDesc(0)).findtext("target/path") or ""
        if folder in folders:
            # It knows of no file that was put there by other hands since it was read last.
            pool.refresh(0)
            read.add(folder)
    known = (path for path in paths if str(PurePosixPath(path).parent) in read)
    return frozenset(path for path in known if not _holds(connection, path))


def _holds(connection: Any, path: str) -> bool:
    module = libvirt()
    try:
        connection.storageVolLookupByPath(path)
    except module.libvirtError as error:
        if error.get_error_code() == module.VIR_ERR_NO_STORAGE_VOL:
            return False
        raise
    return True


def delete_volumes(connection: Any, paths: Collection[str]) -> None:
    """Delete these volumes, provided that no domain here uses any of them, now or when it starts."""
    inactive = libvirt().VIR_DOMAIN_XML_INACTIVE
    for domain in connection.listAllDomains(0):
        for way in (0, inactive) if domain.isPersistent() else (0,):
            # Also what lies under a disk, or is being copied to.
            used = {value for source in _parsed(domain.XMLDesc(way)).iter("source") for value in source.attrib.values()}
            if taken := used.intersection(paths):
                raise HypervisorError(f"{clean(domain.name())} uses {clean(min(taken))}: nothing is deleted")
    for path in paths:
        connection.storageVolLookupByPath(path).delete(0)


def _parsed(xml: str) -> ET.Element:
    try:
        return ET.fromstring(xml)  # noqa: S314 - from the daemon, whose own parser (libxml2) wrote it
    except ET.ParseError as error:
        raise HypervisorError(f"what the host tells cannot be read: {clean(str(error))}") from error
