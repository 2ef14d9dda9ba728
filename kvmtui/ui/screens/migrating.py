"""Asking where VMs shall go, and starting them on their way."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from textual.screen import Screen

from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.errors import CallTimedOut, HypervisorError
from kvmtui.model.host import Link
from kvmtui.model.migration import MigrationRequest
from kvmtui.model.vm import Vm
from kvmtui.ui.acting import where
from kvmtui.ui.screens.destination import Destination, DestinationScreen, Disks

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
    if not any(host.link is Link.UP for host in others):
        note("migrate: there is no other connected host; give kvmtui a second -c URI")
        return
    subject = where(vms[0].name, vms[0].key.host, fleet) if len(vms) == 1 else f"{len(vms)} VMs"
    question = DestinationScreen(f"Migrate {subject} to", others)

    def chosen(answer: Destination | None) -> None:
        if answer is None:
            return
        for vm in vms:
            engine.migrate(MigrationRequest(vm.key, vm.name, vm.id, answer.host, answer.options))

    screen.app.push_screen(question, chosen)
    up = [host.key for host in others if host.link is Link.UP]
    screen.app.run_worker(_look_up(engine, vms, up, question), exit_on_error=False)


async def _look_up(engine: Engine, vms: Sequence[Vm], hosts: Sequence[str], question: DestinationScreen) -> None:
    """Find the VMs' disks, and which of them each destination knows; tell the question."""
    try:
        configs = [await _answer(engine.read_config(vm.key)) for vm in vms]
    except HypervisorError as error:
        question.disks = {host: Disks(problem=str(error)) for host in hosts}
        return
    paths = tuple(sorted({disk.path for config in configs for disk in config.disks if disk.writable and disk.path}))

    async def ask(host: str) -> None:
        try:
            found = Disks(paths, await _answer(engine.find_paths(host, paths)))
        except HypervisorError as error:
            found = Disks(paths, problem=str(error))
        question.disks = {**question.disks, host: found}

    # One host that hangs must not keep the answers of the others.
    await asyncio.gather(*map(ask, hosts))


async def _answer(asked: "Future[T]") -> T:
    """Return what a lane answers, or raise when it does not in time; the lane's own call is left alone."""
    try:
        return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(asked)), _DEADLINE_S)
    except TimeoutError:
        raise CallTimedOut(f"no answer for {_DEADLINE_S:.0f} s") from None
