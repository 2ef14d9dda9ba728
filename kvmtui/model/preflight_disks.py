"""The checks of the disks: seen from there, or copied."""

import posixpath
from shlex import quote

from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.preflight_shared import folder_of, goes_to, sharing
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
from kvmtui.model.sharing import Sharing

_DROPS_CACHE = 4_000_000
"""From this QEMU on a migration drops what the host has cached of an image (libvirt: migration-file-drop-cache)."""


def visible(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    """Whether the destination has the disks that are not copied."""
    copying = options.disks is not DiskMove.SHARED
    stay = [disk for disk in needs.disks if not disk.removable and not (disk.writable and options.copies(disk.target))]
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
        return Finding(Grade.UNKNOWN, f"{disk.target}: no active pool of {where} holds {folder_of(disk.place)}", advice)
    advice = f"choose to copy the disks; or, if it is there, on {where}: virsh pool-refresh {quote(pool.name)}"
    return Finding(Grade.WARN, f"{disk.target}: {where} does not list {disk.place} in its pool {pool.name}", advice)


def copies(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether the destination can take the copies."""
    if options.disks is DiskMove.SHARED:
        return None
    copied = [disk for disk in needs.disks if disk.writable and options.copies(disk.target)]
    found = [_copied(disk, needs, offers, options.disks) for disk in copied]
    found += _room(copied, offers)
    return worst(found) or Finding(Grade.PASS, "it has no disk to copy")


def _copied(disk: NeededDisk, needs: GuestNeeds, offers: HostOffers, how: DiskMove) -> Finding:
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
        return _overwritten(disk, path, needs, offers)
    if sharing(disk, needs, offers) is Sharing.ONE:
        evidence = f"{disk.target}: both hosts show one storage: a copy would be written over the disk itself"
        return Finding(Grade.FAIL, evidence, "choose shared disks")
    if how is DiskMove.COPY_CHANGES:
        return _no_base(disk, path, offers)
    if disk.kind not in ("file", "volume"):
        evidence = f"{disk.target}: libvirt makes only files for copies, and {where} does not list {path}"
        return Finding(Grade.FAIL, evidence, f"make a volume of {_size(disk)} at that path in a pool on {where} first")
    folder = folder_of(path)
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


def _overwritten(disk: NeededDisk, path: str, needs: GuestNeeds, offers: HostOffers) -> Finding:
    """Judge a copy to where something is already: what is one on both hosts would be copied over itself."""
    where, stands, capacity = offers.host.name, sharing(disk, needs, offers), (offers.volumes or {}).get(path)
    if stands is Sharing.ONE:
        evidence = f"{disk.target}: {path} is one and the same on both hosts: a copy would destroy it"
        return Finding(Grade.FAIL, evidence, "choose shared disks")
    if capacity is not None and disk.capacity_bytes is not None and capacity < disk.capacity_bytes:
        evidence = f"{disk.target}: {path} on {where} has {amount(capacity)}, {amount(disk.capacity_bytes)} are needed"
        return Finding(
            Grade.FAIL, evidence, f"on {where}: virsh vol-resize {quote(path)} {disk.capacity_bytes}B, or delete it"
        )
    if path in offers.old_copies:
        evidence = f"{disk.target}: {where} still has the old copy at {path} that an earlier migration left"
        return Finding(Grade.WARN, f"{evidence}; it is overwritten", "keep a copy of it if you still need it as it was")
    if stands is Sharing.TWO:
        evidence = f"{disk.target}: {where} has another volume at {path}; it is overwritten"
        return Finding(Grade.WARN, evidence, f"make sure that you do not need it: virsh vol-info {quote(path)} there")
    return Finding(
        Grade.WARN,
        f"{disk.target}: {where} has a volume at {path}; it is overwritten, and if it is the very disk of the VM, "
        "that destroys it: whether it is, cannot be seen",
        f"compare on both hosts: stat {quote(path)}; where the storage is shared, choose shared disks",
    )


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
            and goes_to(disk, pool)
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
    if version is not None and version >= _DROPS_CACHE:
        return None
    stay = [disk for disk in needs.disks if disk.writable and not options.copies(disk.target)]
    cached = [disk.target for disk in stay if disk.cache not in ("none", "directsync")]
    if not cached:
        return None
    evidence = f"{listed(cached)}: cached by the host, and this QEMU may not drop what it has cached"
    return Finding(Grade.WARN, evidence, "set cache='none' in its <driver>, off, then start it again")


def transient(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether a disk forgets its changes, with which libvirt moves no VM."""
    names = [disk.target for disk in needs.disks if disk.transient]
    if not names:
        return None
    return Finding(Grade.FAIL, f"{listed(names)}: marked transient; libvirt migrates no VM with such", "detach it")


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
    return next((pool for pool in offers.pools or () if pool.active and goes_to(disk, pool)), None)


def _size(disk: NeededDisk) -> str:
    return "its size" if disk.capacity_bytes is None else f"{disk.capacity_bytes}B"
