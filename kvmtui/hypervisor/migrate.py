"""Live migration of one libvirt domain: starting it, steering it, and mending what is left when it went wrong."""

from collections.abc import Callable, Collection, Mapping
from pathlib import PurePosixPath
from typing import Any

from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.hypervisor.library import libvirt
from kvmtui.hypervisor.xml_reader import read_xml
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
        module.VIR_MIGRATE_PARAM_MIGRATE_DISKS: list(options.copied_disks) or None,
    }
    return {name: value for name, value in found.items() if value is not None}


POST_COPY = MigrationOptions(auto_converge=False, post_copy=True, persist=False, undefine_source=False)
"""With what a post-copy that broke off is begun again; libvirt keeps the rest from the first time."""


def to_uri(domain: Any, uri: str, options: MigrationOptions, *, again: bool = False) -> None:
    """Migrate peer to peer: the source's daemon connects to `uri` and drives; it survives the end of kvmtui."""
    value = flags(options, persistent=bool(domain.isPersistent()), peer_to_peer=True)
    domain.migrateToURI3(uri, parameters(options), value | _resumed(again=again))


def to_connection(domain: Any, destination: Any, options: MigrationOptions, *, again: bool = False) -> None:
    """Migrate managed by this client, for hosts whose daemons cannot reach each other."""
    value = flags(options, persistent=bool(domain.isPersistent()), peer_to_peer=False)
    domain.migrate3(destination, parameters(options), value | _resumed(again=again))


def _resumed(*, again: bool) -> int:
    return libvirt().VIR_MIGRATE_POSTCOPY_RESUME if again else 0


def steer(domain: Any, what: Steer, value: int | None) -> None:
    """Change a migration that is under way."""
    _STEERS[what](domain, value or 0)


def _limit_bandwidth(domain: Any, mib_per_s: int) -> None:
    module = libvirt()
    # Post-copy has a limit of its own, of which 0 is none.
    if tuple(domain.state()) == (module.VIR_DOMAIN_PAUSED, module.VIR_DOMAIN_PAUSED_POSTCOPY):
        domain.migrateSetMaxSpeed(mib_per_s, module.VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY)
    else:
        domain.migrateSetMaxSpeed(mib_per_s or _NO_LIMIT_MIB_PER_S, 0)


_STEERS: dict[Steer, Callable[[Any, int], Any]] = {
    Steer.DOWNTIME: lambda domain, value: domain.migrateSetMaxDowntime(value, 0),
    Steer.BANDWIDTH: _limit_bandwidth,
    Steer.POST_COPY: lambda domain, _: domain.migrateStartPostCopy(0),
    Steer.PAUSE_GUEST: lambda domain, _: domain.suspend(),
    Steer.ABORT: lambda domain, _: domain.abortJob(),
}


def repair(domain: Any, kind: RepairKind) -> None:
    """Mend what a migration left; disks are the business of `delete_volumes`, post-copy that of the functions above."""
    module = libvirt()
    if kind in (RepairKind.RESUME_SOURCE, RepairKind.RESUME_DESTINATION):
        domain.resume()
    elif kind is RepairKind.DEFINE_DESTINATION:
        xml = domain.XMLDesc(module.VIR_DOMAIN_XML_MIGRATABLE | module.VIR_DOMAIN_XML_SECURE)
        domain.connect().defineXML(xml)
    elif kind is RepairKind.UNDEFINE_SOURCE:
        domain.undefineFlags(module.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)
    elif kind is RepairKind.ABORT_JOB:
        domain.abortJob()


def absent_volumes(connection: Any, paths: Collection[str]) -> Mapping[str, int]:
    """Return those of `paths` that were proven not to exist: their pool's folder was read, and they are not in it.

    With each the size in bytes of the file system that the folder is on, by which `delete_volumes` knows it again.
    """
    module = libvirt()
    folders = {str(PurePosixPath(path).parent) for path in paths}
    read: dict[str, int] = {}
    for pool in connection.listAllStoragePools(module.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        folder = read_xml(pool.XMLDesc(0), "a storage pool").findtext("target/path") or ""
        if folder in folders:
            read[folder] = _size_now(pool)
    known = {path: read[folder] for path in paths if (folder := str(PurePosixPath(path).parent)) in read}
    return {path: size for path, size in known.items() if not _holds(connection, path)}


def _size_now(pool: Any) -> int:
    """Read a pool's folder, where other hands may have put files or mounted another file system; return its size."""
    pool.refresh(0)
    return int(pool.info()[1])


def _holds(connection: Any, path: str) -> bool:
    module = libvirt()
    try:
        connection.storageVolLookupByPath(path)
    except module.libvirtError as error:
        if error.get_error_code() == module.VIR_ERR_NO_STORAGE_VOL:
            return False
        raise
    return True


def delete_volumes(connection: Any, volumes: Mapping[str, int]) -> None:
    """Delete the volumes at these paths, provided that no domain here uses any of them, now or when it starts.

    And provided that their file systems are still of the sizes given: what was mounted over a folder since a volume
    was proven absent from it may be shared, and the volume there the very disk that a guest runs from elsewhere.
    """
    named: dict[tuple[str | None, ...], str] = {}
    for path, size in volumes.items():
        volume = connection.storageVolLookupByPath(path)
        pool = volume.storagePoolLookupByVolume()
        if _size_now(pool) != size:
            words = f"the file system of {clean(path)} is not the one, or not of the size, that it was before"
            raise HypervisorError(f"{words}: nothing is deleted; look there, and delete it by hand")
        named[pool.name(), volume.name()] = path
    inactive = libvirt().VIR_DOMAIN_XML_INACTIVE
    for domain in connection.listAllDomains(0):
        for way in (0, inactive) if domain.isPersistent() else (0,):
            # Also what lies under a disk, or is being copied to.
            for source in read_xml(domain.XMLDesc(way), "a definition").iter("source"):
                by_name = named.get((source.get("pool"), source.get("volume")), "")
                if taken := {by_name, *source.attrib.values()}.intersection(volumes):
                    raise HypervisorError(f"{clean(domain.name())} uses {clean(min(taken))}: nothing is deleted")
    for path in volumes:
        connection.storageVolLookupByPath(path).delete(0)
