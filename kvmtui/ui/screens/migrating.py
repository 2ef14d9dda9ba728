"""Asking where VMs shall go, looking at every destination meanwhile, and starting them on their way."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from textual.screen import Screen

from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.errors import CallTimedOut, HypervisorError
from kvmtui.model.host import Link
from kvmtui.model.migration import MigrationRequest
from kvmtui.model.preflight import GuestNeeds, default_disks, preflight
from kvmtui.model.vm import Vm
from kvmtui.ui.acting import where
from kvmtui.ui.outlook import Look
from kvmtui.ui.screens.destination import Destination, DestinationScreen

T = TypeVar("T")
_DEADLINE_S = 10.0


def choose_destination(screen: Screen[None], engine: Engine, vms: Sequence[Vm], note: Callable[[str], None]) -> None:
    """Ask for a destination for `vms`, all as they are now, and start their migrations."""
    sources = {vm.key.host for vm in vms}
    if len(sources) > 1:
        note("migrate: the marked VMs are on several hosts; mark those of one")
        return
    fleet = engine.fleet
    others = [host for host in fleet.hosts.values() if host.key not in sources]
    up = [host.key for host in others if host.link is Link.UP]
    if not up:
        note("migrate: there is no other connected host; give kvmtui a second -c URI")
        return
    subject = where(vms[0].name if len(vms) == 1 else f"{len(vms)} VMs", vms[0].key.host, fleet)
    question = DestinationScreen(subject, vms, others)

    def chosen(answer: Destination | None) -> None:
        if answer is None:
            return
        for vm in vms:
            engine.migrate(MigrationRequest(vm.key, vm.name, vm.id, answer.host, answer.options[vm.key]))

    screen.app.push_screen(question, chosen)
    for vm in vms:
        screen.app.run_worker(_look_at(engine, vm, up, question), exit_on_error=False)


async def _look_at(engine: Engine, vm: Vm, hosts: Sequence[str], question: DestinationScreen) -> None:
    """Find out what a VM needs, and whether each destination has it; tell the question."""
    try:
        needs = await _answer(engine.read_needs(vm.key))
    except HypervisorError as error:
        looks = {(host, vm.key): Look(problem=str(error)) for host in hosts}
        question.looks = {**question.looks, **looks}
        return

    async def ask(host: str, needs: GuestNeeds) -> None:
        try:
            offers = await _answer(engine.read_offers(host, needs))
            look = Look(partial(preflight, needs, offers), default_disks(needs, offers))
        except HypervisorError as error:
            look = Look(problem=str(error))
        question.looks = {**question.looks, (host, vm.key): look}

    # One host that hangs must not keep the answers of the others.
    await asyncio.gather(*(ask(host, needs) for host in hosts))


async def _answer(asked: "Future[T]") -> T:
    """Return what a lane answers, or raise when it does not in time; the lane's own call is left alone."""
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(asked)), _DEADLINE_S)
    except TimeoutError:
        raise CallTimedOut(f"no answer for {_DEADLINE_S:.0f} s") from None
