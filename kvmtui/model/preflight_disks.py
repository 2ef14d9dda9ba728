"""The checks of the disks: seen from there, shared, or copied."""

import posixpath
from shlex import quote

from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.preflight_values import (
    Finding,
    Grade,
    GuestNeeds,
    HostOffers,
    NeededDisk,
    Pool,
    amount,
    listed,
    safe_name,
    why,
    worst,
)

_DROPS_CACHE = 4_000_000
"""From this QEMU on a migration drops what the host has cached of an image (libvirt: migration-file-drop-cache)."""

_DEVICE_POOLS = ("logical", "disk", "scsi", "mpath", "zfs")
_NAMED_BY_THE_DEVICE = tuple(f"/dev/disk/by-id/{kind}" for kind in ("wwn-", "nvme-eui.", "dm-uuid-mpath-"))
"""Links that are made of what a device says of itself, which no other says."""


def default_disks(needs: GuestNeeds, offers: HostOffers) -> DiskMove:
    """Return the sound way for the disks: copied where the destination's pools do not list one of them."""
    if not needs.active or offers.volumes is None:
        return DiskMove.SHARED
    away = any(disk.writable and disk.place and disk.place not in offers.volumes for disk in needs.disks)
    return DiskMove.COPY if away else DiskMove.SHARED


def visible(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    """Whether the destination has the disks that are not copied."""
    copying = options.disks is not DiskMove.SHARED
    stay = [disk for disk in needs.disks if not disk.removable and not (copying and disk.writable)]
    if not stay:
        return Finding(Grade.PASS, "all are copied" if needs.disks and copying else "it has none to bring along")
    found = [_visible(disk, offers) for disk in stay]
    return worst(found) or found[0]


def _visible(disk: NeededDisk, offers: HostOffers) -> Finding:
    where = offers.host.name
    if disk.pool and (there := _pool(disk, offers)).grade is not Grade.PASS:
        return there
    if disk.place is None:
        return Finding(Grade.PASS, f"{disk.target} is {disk.kind} storage, not a file of the host")
    if offers.volumes is None:
        return Finding(
            Grade.UNKNOWN, f"{disk.target}: the pools of {where} could not be asked: {why(offers, 'volumes')}"
        )
    if disk.place in offers.volumes:
        return Finding(Grade.PASS, f"{where} has {disk.place}")
    pool = _holds(disk, offers)
    if pool is None:
        # No pool need know of storage that both hosts mount.
        advice = f"see for yourself: ls -l {quote(disk.place)} on both; if it is missing, choose to copy the disks"
        return Finding(Grade.UNKNOWN, f"{disk.target}: no active pool of {where} holds {_folder(disk.place)}", advice)
    advice = f"choose to copy the disks; or, if it is there, on {where}: virsh pool-refresh {quote(pool.name)}"
    return Finding(Grade.WARN, f"{disk.target}: {where} does not list {disk.place} in its pool {pool.name}", advice)


def shared(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether what both hosts have at one path is one and the same storage."""
    if options.disks is not DiskMove.SHARED:
        return None
    found = [_shared(disk, needs, offers, options) for disk in needs.disks if disk.writable and disk.place]
    return worst(found)


def _shared(disk: NeededDisk, needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    where, folder = offers.host.name, _folder(disk.path or "")
    ours = next((pool for pool in needs.pools if pool.path == folder and pool.source), None)
    theirs = next((pool for pool in offers.pools or () if pool.path == folder and pool.active and pool.source), None)
    if ours is not None and theirs is not None and (ours.kind, ours.source) == (theirs.kind, theirs.source):
        return Finding(Grade.PASS, f"{folder} is {ours.source} on both hosts")
    if (disk.path or "").startswith(_NAMED_BY_THE_DEVICE):
        return Finding(Grade.PASS, f"{disk.target}: {disk.path} names one device on both hosts")
    if options.unsafe:
        evidence = f"{disk.target}: unsafe is set, so nobody checks that {disk.place} is one file and not two"
        return Finding(Grade.WARN, evidence, "choose unsafe only where you know that the storage is shared")
    if _is_device(disk, offers):
        return Finding(
            Grade.WARN,
            f"{disk.target}: whether {disk.place} is one device on both hosts or two, nobody checks: "
            "libvirt takes every device for shared, and the guest would go on with another's data",
            "compare it on both hosts: lsblk -o NAME,SIZE,WWN,SERIAL; if they are two, copy the disks",
        )
    return Finding(
        Grade.UNKNOWN,
        f"{disk.target}: whether {disk.place} is one file on both or two cannot be seen",
        f"make sure that {where} has mounted the same storage; libvirt looks only whether {needs.source.name}'s "
        "is local, and then refuses: copy the disks",
    )


def _is_device(disk: NeededDisk, offers: HostOffers) -> bool:
    """Return whether libvirt does not even look whether the disk is shared (qemuMigrationSrcIsSafe)."""
    pool = next((pool for pool in offers.pools or () if pool.name == disk.pool), None)
    return disk.kind == "block" or (pool is not None and pool.kind in _DEVICE_POOLS)


def copies(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether the destination can take the copies."""
    if options.disks is DiskMove.SHARED:
        return None
    copied = [disk for disk in needs.disks if disk.writable]
    found = [_copied(disk, offers, options.disks) for disk in copied]
    found += _room(copied, offers)
    return worst(found) or Finding(Grade.PASS, "it has no disk to copy")


def _copied(disk: NeededDisk, offers: HostOffers, how: DiskMove) -> Finding:
    where = offers.host.name
    if disk.pool and (there := _pool(disk, offers)).grade is not Grade.PASS:
        return there
    path = disk.place
    if path is None:
        evidence = f"{disk.target} is {disk.kind} storage: copying would write it over itself or over nothing"
        return Finding(Grade.FAIL, evidence, "choose shared disks")
    if offers.volumes is None or offers.pools is None:
        reason = why(offers, "volumes" if offers.volumes is None else "pools")
        return Finding(Grade.UNKNOWN, f"{disk.target}: the pools of {where} could not be asked: {reason}")
    if path in offers.volumes:
        return _overwritten(disk, path, offers.volumes[path], where, how)
    if how is DiskMove.COPY_CHANGES:
        return _no_base(disk, path, offers)
    if disk.kind not in ("file", "volume"):
        evidence = f"{disk.target}: libvirt makes only files for copies, and {where} does not list {path}"
        return Finding(Grade.FAIL, evidence, f"make a volume of {_size(disk)} at that path in a pool on {where} first")
    folder = _folder(path)
    pool = _holds(disk, offers)
    if pool is not None:
        return Finding(Grade.PASS, f"{where} can make {disk.target} in its pool {pool.name}")
    off = next((pool for pool in offers.pools if pool.path == folder), None)
    if off is not None:
        evidence = f"{disk.target}: the pool {off.name} on {where}, which holds {folder}, is not active"
        return Finding(Grade.FAIL, evidence, f"on {where}: virsh pool-start {quote(off.name)}")
    return Finding(
        Grade.FAIL,
        f"{disk.target}: no pool of {where} holds {folder}, so libvirt cannot make the copy",
        f"on {where}: virsh pool-create-as NAME dir --target {quote(folder)}",
    )


def _overwritten(disk: NeededDisk, path: str, capacity: int | None, where: str, how: DiskMove) -> Finding:
    if capacity is not None and disk.capacity_bytes is not None and capacity < disk.capacity_bytes:
        evidence = f"{disk.target}: {path} on {where} has {amount(capacity)}, {amount(disk.capacity_bytes)} are needed"
        return Finding(
            Grade.FAIL, evidence, f"on {where}: virsh vol-resize {quote(path)} {disk.capacity_bytes}B, or delete it"
        )
    if how is DiskMove.COPY_CHANGES:
        return Finding(Grade.PASS, f"{where} has {path} to be filled")
    advice = (
        f"make sure that it is not the same storage, and nothing that you need: virsh vol-info {quote(path)} on {where}"
    )
    return Finding(Grade.WARN, f"{disk.target}: {where} has a volume at {path}; it is overwritten", advice)


def _no_base(disk: NeededDisk, path: str, offers: HostOffers) -> Finding:
    where = offers.host.name
    if disk.backing is None:
        evidence = f"{disk.target} lies over no other image, so there are no changes to copy"
        return Finding(Grade.FAIL, evidence, "choose to copy the disks whole")
    if offers.volumes is not None and disk.backing not in offers.volumes:
        evidence = f"{disk.target} lies over {disk.backing}, which {where} does not list"
        advice = f"copy it there, then on {where}: virsh pool-refresh POOL; or copy the disks whole"
    else:
        evidence = f"{disk.target}: {where} does not list {path}, and libvirt makes no file to copy changes into"
        advice = (
            f"on {where}: virsh vol-create-as POOL {quote(posixpath.basename(path))} {_size(disk)} --format qcow2 "
            f"--backing-vol {quote(disk.backing)} --backing-vol-format qcow2; if it is there: virsh pool-refresh POOL"
        )
    # Where no pool looks, there may be anything.
    return Finding(Grade.FAIL if _holds(disk, offers) else Grade.UNKNOWN, evidence, advice)


def _room(copied: list[NeededDisk], offers: HostOffers) -> list[Finding]:
    """Return what does not fit, pool by pool."""
    found = []
    for pool in offers.pools or ():
        made = [
            disk
            for disk in copied
            if pool.active
            and pool.free_bytes is not None
            and _goes_to(disk, pool)
            and disk.place not in (offers.volumes or ())
        ]
        # What is not qcow2 is made at its full size at once.
        now = sum((disk.allocated_bytes if disk.format == "qcow2" else disk.capacity_bytes) or 0 for disk in made)
        most = sum(disk.capacity_bytes or 0 for disk in made)
        free = pool.free_bytes or 0
        advice = f"make room in the pool {pool.name} on {offers.host.name}, then: virsh pool-refresh {quote(pool.name)}"
        evidence = f"{listed([disk.target for disk in made])}: the pool {pool.name} has {amount(free)} free"
        if now > free:
            found.append(Finding(Grade.FAIL, f"{evidence}, the copies take {amount(now)}", advice))
        elif most > free:
            found.append(Finding(Grade.WARN, f"{evidence}, the copies may grow to {amount(most)}", advice))
    return found


def cache(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether the hosts' page caches can make two truths of a shared disk."""
    version = needs.source.hypervisor_version
    if options.disks is not DiskMove.SHARED or (version is not None and version >= _DROPS_CACHE):
        return None
    cached = [disk.target for disk in needs.disks if disk.writable and disk.cache not in ("none", "directsync")]
    if not cached:
        return None
    evidence = f"{listed(cached)}: cached by the host, and this QEMU may not drop what it has cached"
    return Finding(Grade.WARN, evidence, "set cache='none' in its <driver>, off, then start it again")


def transient(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether a disk forgets its changes, with which libvirt moves no VM."""
    names = [disk.target for disk in needs.disks if disk.transient]
    if not names:
        return None
    return Finding(Grade.FAIL, f"{listed(names)}: marked transient; libvirt moves no VM with such a disk", "detach it")


def media(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether what lies in its drives is there, too."""
    found = []
    for disk in needs.disks:
        if not disk.removable or disk.place is None:
            continue
        if offers.volumes is not None and disk.place in offers.volumes:
            found.append(Finding(Grade.PASS, f"{offers.host.name} has {disk.place}"))
        elif disk.startup_policy in ("optional", "requisite"):
            evidence = f"{disk.target}: ejected on the way if {disk.place} is not on {offers.host.name}"
            found.append(Finding(Grade.PASS, evidence))
        else:
            evidence = f"{disk.target}: {offers.host.name} does not list {disk.place}"
            name = safe_name(needs.name, needs.uuid)
            grade = Grade.UNKNOWN if offers.volumes is None else Grade.WARN
            found.append(Finding(grade, evidence, f"virsh change-media {name} {quote(disk.target)} --eject"))
    return worst(found)


def block_jobs(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether a disk is being copied, committed or pulled."""
    if needs.block_jobs is None:
        return Finding(Grade.UNKNOWN, f"they could not be asked for: {why(needs, 'block_jobs')}")
    if not needs.block_jobs:
        return Finding(Grade.PASS, "none") if needs.disks else None
    name = safe_name(needs.name, needs.uuid)
    advice = f"wait for its end (virsh blockjob {name} {quote(needs.block_jobs[0])}), or end it with --abort"
    return Finding(Grade.FAIL, f"{listed(needs.block_jobs)}: a block job runs", advice)


def io_error(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether a disk has failed."""
    if not needs.io_error:
        return None
    name = safe_name(needs.name, needs.uuid)
    advice = f"virsh domblkerror {name} tells which; mend the storage and resume it first"
    return Finding(Grade.WARN, "it is paused because a disk failed; it arrives paused", advice)


def _pool(disk: NeededDisk, offers: HostOffers) -> Finding:
    """Whether the pool that a disk is named by is there."""
    where = offers.host.name
    if offers.pools is None:
        return Finding(Grade.UNKNOWN, f"{disk.target}: the pools of {where} could not be asked: {why(offers, 'pools')}")
    pool = next((pool for pool in offers.pools if pool.name == disk.pool), None)
    if pool is None:
        evidence = f"{disk.target}: {where} has no pool {disk.pool}"
        return Finding(
            Grade.FAIL, evidence, f"define it on {where}: virsh pool-define FILE, virsh pool-start {quote(disk.pool)}"
        )
    if not pool.active:
        evidence = f"{disk.target}: the pool {disk.pool} on {where} is not active"
        return Finding(Grade.FAIL, evidence, f"on {where}: virsh pool-start {quote(disk.pool)}")
    return Finding(Grade.PASS, f"{where} has the pool {disk.pool}")


def _holds(disk: NeededDisk, offers: HostOffers) -> Pool | None:
    """Return the active pool that a disk is in, or would be made in."""
    return next((pool for pool in offers.pools or () if pool.active and _goes_to(disk, pool)), None)


def _goes_to(disk: NeededDisk, pool: Pool) -> bool:
    return disk.pool == pool.name if disk.pool else disk.path is not None and _folder(disk.path) == pool.path


def _folder(path: str) -> str:
    return posixpath.dirname(path)


def _size(disk: NeededDisk) -> str:
    return "its size" if disk.capacity_bytes is None else f"{disk.capacity_bytes}B"
