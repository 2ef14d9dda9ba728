"""Whether the disks of a VM are one storage on both hosts, and so how they are moved soundly."""

import posixpath
from shlex import quote

from kvmtui.model.migration_options import DiskMove, MigrationOptions, PartCopy
from kvmtui.model.preflight_values import Finding, Grade, GuestNeeds, HostOffers, NeededDisk, Pool, worst
from kvmtui.model.sharing import Sharing, compare

_DEVICE_POOLS = ("logical", "disk", "scsi", "mpath", "zfs")
_NAMED_BY_THE_DEVICE = tuple(f"/dev/disk/by-id/{kind}" for kind in ("wwn-", "nvme-eui.", "dm-uuid-mpath-"))
"""Links that are made of what a device says of itself, which no other says."""


def sharing(disk: NeededDisk, needs: GuestNeeds, offers: HostOffers) -> Sharing:
    """Return how a disk stands at the destination, as far as both hosts tell."""
    place = disk.place
    if place is None:
        return Sharing.ONE if disk.kind == "network" else Sharing.UNSURE
    if (disk.path or "").startswith(_NAMED_BY_THE_DEVICE) or _one_source(disk, needs, offers):
        return Sharing.ONE
    if offers.volumes is None:
        return Sharing.UNKNOWN
    if place not in offers.volumes:
        return Sharing.ABSENT
    if place in offers.old_copies:
        return Sharing.TWO
    return compare(disk.mark, offers.marks.get(place), running=needs.active)


def default_disks(needs: GuestNeeds, offers: HostOffers) -> DiskMove:
    """Return the sound way for the disks: copied where the destination is known not to have one of them.

    Where that is not known they are taken for shared: libvirt then looks by itself, and refuses what is not.
    """
    if not needs.active:
        return DiskMove.SHARED
    stand = {sharing(disk, needs, offers) for disk in needs.disks if disk.writable}
    return DiskMove.COPY if stand & {Sharing.ABSENT, Sharing.TWO} else DiskMove.SHARED


def part_copy(needs: GuestNeeds, offers: HostOffers) -> PartCopy | None:
    """Return which disks are to be copied where some are: those not known to be shared; None: all are alike."""
    stand = {disk.target: sharing(disk, needs, offers) for disk in needs.disks if disk.writable}
    private = tuple(target for target, each in stand.items() if each is not Sharing.ONE)
    shared = tuple(target for target, each in stand.items() if each is Sharing.ONE)
    return PartCopy(private, shared) if private and shared else None


def shared(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether what both hosts have at one path is one and the same storage."""
    stay = [disk for disk in needs.disks if disk.writable and disk.place and not options.copies(disk.target)]
    return worst([_shared(disk, needs, offers, options) for disk in stay])


def _shared(disk: NeededDisk, needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    where, stands, target = offers.host.name, sharing(disk, needs, offers), disk.target
    if stands is Sharing.ONE:
        if source := _one_source(disk, needs, offers):
            return Finding(Grade.PASS, f"{folder_of(disk.path or '') or disk.pool} is {source} on both hosts")
        if (disk.path or "").startswith(_NAMED_BY_THE_DEVICE):
            return Finding(Grade.PASS, f"{target}: {disk.path} names one device on both hosts")
        return Finding(
            Grade.PASS, f"{target}: both hosts tell the same of {disk.place}, to the moment of its last change"
        )
    if stands is Sharing.TWO:
        evidence = f"{target}: {where} has another volume at {disk.place}"
        refused = (
            "libvirt refuses, or the guest goes on with another's data" if needs.active else "it would start with it"
        )
        advice = "copy the disks" if needs.active else f"copy the disk there by hand, over {disk.place}"
        return Finding(Grade.WARN, f"{evidence}: {refused}", advice)
    if options.unsafe:
        evidence = f"{target}: unsafe is set, so nobody checks that {disk.place} is one file and not two"
        return Finding(Grade.WARN, evidence, "choose unsafe only where you know that the storage is shared")
    if _is_device(disk, offers):
        return Finding(
            Grade.WARN,
            f"{target}: whether {disk.place} is one device on both hosts or two, nobody checks: "
            "libvirt takes every device for shared, and the guest would go on with another's data",
            "compare it on both hosts: lsblk -o NAME,SIZE,WWN,SERIAL; if they are two, copy the disks",
        )
    listed = stands is Sharing.UNSURE
    advice = f"make sure that {where} has mounted the same storage: stat {quote(disk.place or '')} on both"
    if needs.active:
        advice += f"; libvirt looks only whether {needs.source.name}'s is local, and then refuses: copy the disks"
    evidence = f"{target}: whether {disk.place} is one file on both or two cannot be seen"
    return Finding(Grade.WARN if listed else Grade.UNKNOWN, evidence, advice)


def _one_source(disk: NeededDisk, needs: GuestNeeds, offers: HostOffers) -> str:
    """Return the storage on the network that the pools of both hosts show where the disk is; empty: not so."""
    ours = next((pool for pool in needs.pools if pool.source and goes_to(disk, pool)), None)
    theirs = next((pool for pool in offers.pools or () if pool.active and pool.source and goes_to(disk, pool)), None)
    if ours is None or theirs is None or (ours.kind, ours.source) != (theirs.kind, theirs.source):
        return ""
    return ours.source


def _is_device(disk: NeededDisk, offers: HostOffers) -> bool:
    """Return whether libvirt does not even look whether the disk is shared (qemuMigrationSrcIsSafe)."""
    pool = next((pool for pool in offers.pools or () if pool.name == disk.pool), None)
    return disk.kind == "block" or (pool is not None and pool.kind in _DEVICE_POOLS)


def goes_to(disk: NeededDisk, pool: Pool) -> bool:
    """Return whether a disk is in a pool, or would be made there."""
    return disk.pool == pool.name if disk.pool else disk.path is not None and folder_of(disk.path) == pool.path


def folder_of(path: str) -> str:
    """Return the folder that a path is in."""
    return posixpath.dirname(path)
