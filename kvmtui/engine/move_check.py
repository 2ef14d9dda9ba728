"""The checks before one move of a plan: asked of both hosts, waited for by nobody."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.model.clean import clean
from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.plan_run import Allowed
from kvmtui.model.preflight import Check, Grade, GuestNeeds, HostOffers, default_disks, part_copy, preflight
from kvmtui.model.preflight_shared import sharing
from kvmtui.model.sharing import Sharing
from kvmtui.model.vm import Vm

if TYPE_CHECKING:
    from kvmtui.engine.engine import Engine

_log = logging.getLogger(__name__)
_DEADLINE_S = 30.0


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of the checks."""

    options: MigrationOptions
    checks: tuple[Check, ...] = ()
    problem: str = ""
    """Why nothing could be checked."""


class MoveCheck:
    """Asks whether a VM, as it is now, can go to a host, and how; used by one thread."""

    def __init__(self, engine: "Engine", vm: Vm, destination: str, allowed: Allowed, wake: Callable[[], None]) -> None:
        """`wake` is called from a foreign thread when an answer has come."""
        self._allowed = allowed
        self.vm = vm
        self._engine = engine
        self._destination = destination
        self._wake = wake
        self._began_s = time.monotonic()
        self._needs: Future[GuestNeeds] = self._awaited(engine.read_needs(vm.key))
        self._offers: Future[HostOffers] | None = None

    def advance(self) -> Checked | None:
        """Return what came of it, or None while an answer is out."""
        try:
            if not self._needs.done():
                return self._late()
            if self._offers is None:
                self._offers = self._awaited(self._engine.read_offers(self._destination, self._needs.result()))
            if not self._offers.done():
                return self._late()
            return self._judge(self._needs.result(), self._offers.result())
        except HypervisorError as error:
            return Checked(MigrationOptions(), problem=clean(str(error), 200))
        except Exception:  # noqa: BLE001 - a defect in a check must cost this move alone, not the plan
            _log.exception("checking a move")
            return Checked(MigrationOptions(), problem="an internal error; run with --log FILE to see it")

    def _judge(self, needs: GuestNeeds, offers: HostOffers) -> Checked:
        """Copy the disks only where they cannot be taken for shared."""
        disks = default_disks(needs, offers)
        stand = {sharing(disk, needs, offers) for disk in needs.disks if disk.writable}
        if needs.active and self._allowed.copy_disks and Sharing.UNSURE in stand:
            disks = DiskMove.COPY
        partly = None if disks is DiskMove.SHARED else part_copy(needs, offers)
        options = MigrationOptions(disks=disks, partly=partly, offline=not self.vm.state.active)
        checks = preflight(needs, offers, options)
        problem = _too_risky(needs, offers, options, checks, self._allowed)
        return Checked(options, checks, problem=clean(problem, 300))

    def _late(self) -> Checked | None:
        if time.monotonic() - self._began_s < _DEADLINE_S:
            return None
        return Checked(MigrationOptions(), problem=f"a host did not answer in {_DEADLINE_S:.0f} s")

    def _awaited(self, future: "Future[Any]") -> "Future[Any]":
        future.add_done_callback(lambda _: self._wake())
        return future


_LEFT_BEHIND = frozenset({"disks", "shared", "tpm", "firmware", "saved"})
"""Checks of an offline move that tell of what would not be there when the VM is started."""


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
