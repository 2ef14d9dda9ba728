"""Whether and how a move of a plan may be made, of which nobody is asked: by what both hosts tell before it. Pure."""

from dataclasses import dataclass

from kvmtui.model.clean import clean
from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.plan_run import Allowed
from kvmtui.model.preflight import Check, Grade, GuestNeeds, HostOffers, default_disks, part_copy, preflight
from kvmtui.model.preflight_shared import sharing
from kvmtui.model.sharing import Sharing

_LEFT_BEHIND = frozenset({"disks", "shared", "tpm", "firmware", "saved"})
"""Checks of an offline move that tell of what would not be there when the VM is started."""


@dataclass(frozen=True, slots=True)
class Checked:
    """How the VM would be moved, and what there is to say of that."""

    options: MigrationOptions
    checks: tuple[Check, ...]
    problem: str
    """Why it is not to be moved, whatever the checks say; empty: nothing."""


def check_move(needs: GuestNeeds, offers: HostOffers, allowed: Allowed, *, active: bool) -> Checked:
    """Return what the checks say; the disks are copied only where they cannot be taken for shared."""
    disks = default_disks(needs, offers)
    stand = {sharing(disk, needs, offers) for disk in needs.disks if disk.writable}
    if needs.active and allowed.copy_disks and Sharing.UNSURE in stand:
        disks = DiskMove.COPY
    partly = None if disks is DiskMove.SHARED else part_copy(needs, offers)
    options = MigrationOptions(disks=disks, partly=partly, offline=not active)
    checks = preflight(needs, offers, options)
    return Checked(options, checks, clean(_too_risky(needs, offers, options, checks, allowed), 300))


def _too_risky(
    needs: GuestNeeds, offers: HostOffers, options: MigrationOptions, checks: tuple[Check, ...], allowed: Allowed
) -> str:
    """Return what in a move of a plan, of which nobody is asked, could ruin or lose a disk; empty: nothing."""
    if options.offline:
        doubt = next((each for each in checks if each.id in _LEFT_BEHIND and each.grade is not Grade.PASS), None)
        return "" if doubt is None else f"it is off, and only its definition would be migrated: {doubt.evidence}"
    if options.disks is DiskMove.SHARED:
        doubt = next((each for each in checks if each.id == "shared" and each.grade is Grade.WARN), None)
        return "" if doubt is None else doubt.evidence
    if allowed.copy_disks:
        return ""
    there = next(
        (
            disk
            for disk in needs.disks
            if disk.writable
            and options.copies(disk.target)
            and disk.place in (offers.volumes or ())
            and disk.place not in offers.old_copies
        ),
        None,
    )
    if there is None:
        return ""
    return (
        f"{there.target}: {offers.host.name} has a volume at {there.place} that would be overwritten; see to it first, "
        "or allow it: c, or --copy-disks"
    )
