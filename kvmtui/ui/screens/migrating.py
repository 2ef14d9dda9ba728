"""Asking where VMs shall go, looking at every destination meanwhile, and starting them on their way."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache

from textual.screen import Screen

from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.model.host import Link
from kvmtui.model.migration import MigrationRequest
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.preflight import Check, Grade, GuestNeeds, HostOffers, default_disks, part_copy, preflight
from kvmtui.model.vm import Vm
from kvmtui.ui.acting import where
from kvmtui.ui.outlook import Look
from kvmtui.ui.screens.destination import Destination, DestinationScreen

_log = logging.getLogger(__name__)
_DEADLINE_S = 10.0
_EMPTIED = Check(
    "emptied", "emptied", Grade.WARN, "this host was emptied, or is to be (E)", "take it back first: B, then b"
)


def choose_destination(
    screen: Screen[None], engine: Engine, vms: Sequence[Vm], note: Callable[[str], None]
) -> DestinationScreen | None:
    """Ask for a destination for `vms`, all as they are now, and start their migrations; return the question."""
    sources = {vm.key.host for vm in vms}
    if len(sources) > 1:
        note("migrate: the marked VMs are on several hosts; mark those of one")
        return None
    fleet = engine.fleet
    others = [host for host in fleet.hosts.values() if host.key not in sources]
    if not any(host.link is Link.UP for host in others):
        note("migrate: there is no other connected host; give kvmtui a second -c URI")
        return None

    def subject(vms: Sequence[Vm]) -> str:
        return where(vms[0].name if len(vms) == 1 else f"{len(vms)} VMs", vms[0].key.host, fleet)

    def why_not(vm: Vm) -> str:
        return _why_not(vm, engine.fleet.vm(vm.key))

    def look() -> None:
        up = [key for key, host in engine.fleet.hosts.items() if key not in sources and host.link is Link.UP]
        for vm in vms:
            screen.app.run_worker(_look_at(engine, vm, up, question), exit_on_error=False)

    question = DestinationScreen(subject, vms, others, why_not, look)

    def chosen(answer: Destination | None) -> None:
        if answer is None:
            return
        for vm in vms:
            if vm.key in answer.options:
                engine.migrate(MigrationRequest(vm.key, vm.name, vm.id, answer.host, answer.options[vm.key]))
            else:
                note(f"migrate {subject([vm])}: left out: {why_not(vm) or 'it was gone when Enter was pressed'}")

    screen.app.push_screen(question, chosen)
    look()
    return question


def _why_not(vm: Vm, now: Vm | None) -> str:
    """Return why a VM cannot be moved any more as it was when it was asked about, or ""."""
    if now is None:
        return "it is not on this host any more"
    if now.job is not None:
        return f"{now.job.operation} is under way meanwhile"
    if now.id != vm.id:
        return "it has been started meanwhile" if vm.id == -1 else f"it is {now.state} by now, or in another run"
    return ""


async def _look_at(engine: Engine, vm: Vm, hosts: Sequence[str], question: DestinationScreen) -> None:
    """Find out whether each destination has what a VM needs; tell the question."""

    async def tell(host: str, told: "Future[tuple[GuestNeeds, HostOffers]]") -> None:
        look = await _look(engine, host, told)
        question.looks = {**question.looks, (host, vm.key): look}

    # One host that hangs must not keep the answers of the others.
    await asyncio.gather(*itertools.starmap(tell, engine.look_before_move(vm.key, hosts).items()))


async def _look(engine: Engine, host: str, told: "Future[tuple[GuestNeeds, HostOffers]]") -> Look:
    try:
        needs, offers = await asyncio.wait_for(asyncio.wrap_future(told), _DEADLINE_S)
        diskless = all(disk.removable for disk in needs.disks)
        partly = part_copy(needs, offers)
        emptied = (_EMPTIED,) if host in engine.plans.maintenance else ()
        return Look(_judge(needs, offers, emptied), default_disks(needs, offers), partly, diskless=diskless)
    except TimeoutError:
        return Look(problem=f"no answer for {_DEADLINE_S:.0f} s")
    except HypervisorError as error:
        return Look(problem=str(error))
    except Exception:  # noqa: BLE001 - or the dialog would say for ever that it is looking
        return Look(problem=_internal_error())


def _judge(
    needs: GuestNeeds, offers: HostOffers, more: tuple[Check, ...]
) -> Callable[[MigrationOptions], tuple[Check, ...]]:
    """Return the checks by the options; the dialog asks for those of all VMs and hosts whenever it draws."""

    @cache
    def judge(options: MigrationOptions) -> tuple[Check, ...]:
        try:
            return tuple(sorted((*more, *preflight(needs, offers, options)), key=lambda check: -check.grade))
        except Exception:  # noqa: BLE001 - a defect in a check must not take the screen down
            return Look(problem=_internal_error()).checks(options)

    return judge


def _internal_error() -> str:
    _log.exception("looking before a migration")
    return "an internal error; run with --log FILE to see it"
