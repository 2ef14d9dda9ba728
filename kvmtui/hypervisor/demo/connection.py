"""A connection to a demo host, with all the ways in which one can block or fail."""

import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from kvmtui.hypervisor.demo.spec import SHARED
from kvmtui.hypervisor.demo.vm import BALLOON_PERIOD_S, DemoVm
from kvmtui.hypervisor.demo.world import DemoHost, World
from kvmtui.hypervisor.errors import (
    ConnectFailed,
    ConsoleBusy,
    HypervisorError,
    LinkLost,
    NoConsole,
    NotPermitted,
)
from kvmtui.hypervisor.protocol import ConsoleSink
from kvmtui.hypervisor.samples import DeepVm, Flags, Identity, LightColumns, LightSample, NodeSample
from kvmtui.model.actions import Verb
from kvmtui.model.host import HostFacts, Pressure
from kvmtui.model.migration import RepairKind, Steer
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.vm import Job, VmConfig

if TYPE_CHECKING:
    from kvmtui.hypervisor.demo.console import DemoConsole
    from kvmtui.hypervisor.demo.transfer import Transfer
    from kvmtui.hypervisor.health_book import HealthBook
    from kvmtui.model.preflight_values import GuestNeeds, HostOffers
    from kvmtui.model.sharing import Mark

_ROUND_TRIP_BUDGET = 0.25
"""The share of a tick that a round trip per VM may take before CPU times come in the bulk call."""


class DemoConnection:
    """One connection; see `protocol.Connection` for what its calls mean."""

    def __init__(
        self, world: World, host: DemoHost, latency_s: float, *, read_only: bool, on_event: Callable[[], None] | None
    ) -> None:
        self._world = world
        self._host = host
        self._latency_s = latency_s
        self._read_only = read_only
        self._links_lost = host.links_lost
        self._closed = False
        self._listening_since_s = math.inf
        if on_event is not None:
            host.listeners[self] = on_event

    def facts(self) -> HostFacts:
        """Return what the host is."""
        with self._call():
            spec = self._host.spec
            return HostFacts(spec.name, spec.uuid, spec.cpus, spec.memory_bytes, "9.0.0", "QEMU 7.2.19", local=False)

    def light(self, interval_s: float) -> LightSample:
        """Return all VMs' states and cheap counters."""
        with self._call() as now:
            vms = [vm.light(now) for vm in self._host.vms.values()]
        round_trip = self._host.spec.round_trip_s + self._latency_s
        bulk = round_trip * len(vms) > _ROUND_TRIP_BUDGET * interval_s
        return LightSample(now, round_trip, bulk, LightColumns.of(vms))

    def flags(self) -> Flags:
        """Return who is persistent, starts with the host, has a saved image."""
        with self._call():
            vms = self._host.vms.items()
            return Flags(
                frozenset(uuid for uuid, vm in vms if vm.persistent),
                frozenset(uuid for uuid, vm in vms if vm.autostart),
                frozenset(uuid for uuid, vm in vms if vm.saved),
            )

    def node(self) -> NodeSample:
        """Return the host's own figures: the sum of its VMs and what the host itself needs."""
        with self._call() as now:
            total, idle = self._host.cpu_ns(now)
            used = self._host.memory_used_bytes(now)
            memory = self._host.spec.memory_bytes
            # Only of one host can pressure be known, as if kvmtui ran there.
            local = next(iter(self._world.hosts.values())) is self._host
            return NodeSample(now, total, idle, memory, min(used, memory), _pressure(now) if local else None)

    def deep(self, uuids: Sequence[str]) -> tuple[DeepVm, ...]:
        """Return expensive counters; the first who asks a hung QEMU waits for it, others get nothing of it."""
        found: list[DeepVm] = []
        queue = deque(uuids)
        stamp: float | None = None
        while True:
            with self._call() as now:
                stamp = now if stamp is None else stamp
                stuck = self._read(queue, found, now, stamp)
            if stuck is None:
                return tuple(found)
            # The daemon takes the VMs one after the other: the rest comes when the hung one has answered.
            self._world.wait_until(partial(self._freed, stuck))

    def silent(self, uuids: Sequence[str]) -> Mapping[str, float]:
        """Return the VMs whose QEMU owes an answer, with the seconds it has owed it."""
        with self._call() as now:
            owing = {uuid: vm.owed_since_s for uuid in uuids if (vm := self._host.vms.get(uuid)) is not None}
            return {uuid: max(0.0, now - since) for uuid, since in owing.items() if since is not None}

    def health(self, book: "HealthBook") -> None:
        """Read into the book what the host's health is judged by."""
        from kvmtui.hypervisor.demo import health

        for item in health.items(self._host):
            if book.wants(item):
                with book.item(item):
                    self._world.wait_until(partial(self._answers, item))
                    with self._call() as now:
                        self._listening_since_s = min(self._listening_since_s, now)
                        book.listened_s = now - self._listening_since_s
                        health.read(self._world, self._host, item, book, now)

    def _answers(self, item: str) -> bool:
        return item not in self._host.hanging or self._broken() is not None

    def config(self, uuid: str) -> VmConfig:
        """Return what the definition says."""
        with self._call() as now:
            vm = self._host.vm(uuid)
            spec = vm.spec
            return VmConfig(
                disks=spec.disks,
                interfaces=spec.interfaces,
                consoles=spec.consoles,
                addresses=(spec.address,) if vm.state.active and spec.interfaces[0].source == "default" else (),
                balloon_period_s=BALLOON_PERIOD_S if spec.balloon else None,
                emulated=spec.emulated,
                taken_at_s=now,
                pinned=spec.pinned,
                apart=spec.apart,
            )

    def identity(self, uuid: str) -> Identity:
        """Return what the VM is at this instant."""
        with self._call():
            vm = self._host.vm(uuid)
            return Identity(vm.id, vm.state, vm.persistent, vm.autostart, vm.reason)

    def perform(self, verb: Verb, uuid: str) -> None:
        """Do `verb`; blocks while a managed save writes."""
        from kvmtui.hypervisor.demo import verbs

        with self._call(writes=True) as now:
            transfer = verbs.perform(self._world, self._host, self._host.vm(uuid), verb, now)
        if transfer is not None:
            self._await(transfer)

    def job(self, uuid: str) -> Job | None:
        """Return the VM's running job."""
        with self._call() as now:
            vm = self._host.vm(uuid)
            if vm.job is not None:
                return vm.job.report(now)
            # The destination knows no more than since when it receives.
            return Job("migration in", max(0.0, now - vm.incoming.started_at_s)) if vm.incoming is not None else None

    def known_paths(self, paths: Collection[str]) -> frozenset[str]:
        """Return those that are on shared storage or belong to a VM of this host."""
        with self._call():
            vms = [vm for vm in self._host.vms.values() if vm.incoming is None]
            local = {disk.path for vm in vms for disk in vm.spec.disks}
            return frozenset(path for path in paths if path.startswith(SHARED) or path in local | self._host.volumes)

    def volumes(self, paths: Collection[str]) -> Mapping[str, "Mark"]:
        """Return what those can be known by that are on shared storage, or are of this host."""
        from kvmtui.hypervisor.demo.preflight import marks

        with self._call():
            return marks(self._host, paths)

    def needs(self, uuid: str) -> "GuestNeeds":
        """Return what the VM asks of a destination."""
        from kvmtui.hypervisor.demo import preflight

        with self._call():
            return preflight.needs(self._host, self._host.vm(uuid), read_only=self._read_only)

    def offers(self, needs: "GuestNeeds") -> "HostOffers":
        """Return what this host can give to that VM."""
        from kvmtui.hypervisor.demo import preflight

        with self._call() as now:
            return preflight.offers(self._host, needs, now, read_only=self._read_only)

    def migrate(self, uuid: str, destination: str, options: MigrationOptions, *, peer_to_peer: bool) -> None:
        """Move a VM; returns when it is there, raises `JobCancelled` when it was cancelled."""
        from kvmtui.hypervisor.demo import migration, verbs

        target = self._world.hosts.get(destination)
        if target is None:
            raise ConnectFailed(f"unable to connect to server at '{destination}'")
        self._world.wait_until(lambda: not target.hung)
        with self._call(writes=True) as now:
            vm = self._host.vm(uuid)
            transfer = migration.begin(self._world, self._host, vm, target, options, now)
        if transfer is None:
            return
        try:
            self._await(transfer)
        except LinkLost as lost:
            if not peer_to_peer:
                # Only peer to peer do the daemons go on without the client.
                with self._world.transact() as now:
                    verbs.abort(self._world, self._host, vm, now, lost)
            raise

    def steer(self, uuid: str, what: Steer, value: int | None = None) -> None:
        """Change the VM's migration that is under way."""
        from kvmtui.hypervisor.demo import migration

        with self._call(writes=True) as now:
            migration.steer(self._world, self._host, self._host.vm(uuid), what, value or 0, now)

    def repair(self, uuid: str, kind: RepairKind, destination: str = "", *, peer_to_peer: bool = True) -> None:
        """Mend what a migration left."""
        from kvmtui.hypervisor.demo import migration

        with self._call(writes=True) as now:
            vm = self._host.vm(uuid)
            transfer = migration.repair(self._world, self._host, vm, kind, self._world.hosts.get(destination), now)
        if transfer is not None:
            self._await(transfer)

    def absent_volumes(self, paths: Collection[str]) -> Mapping[str, int]:
        """Return those that no VM and no volume of this host has; its file systems have no size."""
        known = self.known_paths(paths)
        return {path: 0 for path in paths if path not in known}

    def delete_volumes(self, volumes: Mapping[str, int]) -> None:
        """Delete volumes that no VM uses."""
        with self._call(writes=True):
            used = {disk.path for vm in self._host.vms.values() for disk in vm.spec.disks}
            if used.intersection(volumes):
                raise HypervisorError("a VM uses them: nothing is deleted")
            self._host.volumes -= set(volumes)

    def open_console(
        self, uuid: str, sink: ConsoleSink, device: str | None = None, *, force: bool = False
    ) -> "DemoConsole":
        """Attach to a serial console; its greeting comes before this returns."""
        from kvmtui.hypervisor.demo.console import DemoConsole
        from kvmtui.hypervisor.demo.verbs import need_active

        with self._call(writes=True):
            vm = self._host.vm(uuid)
            need_active(vm)
            if not vm.spec.consoles or device not in (None, *vm.spec.consoles):
                raise NoConsole(f"internal error: cannot find console device '{device or '<default>'}'")
            console = DemoConsole(self._world, self._host, vm, sink, device or vm.spec.consoles[0])
            holder = next((other for other in self._world.attachments if other.occupies(vm, console.device)), None)
            if holder is not None:
                if not force:
                    raise ConsoleBusy("operation failed: Active console session exists for this domain")
                holder.usurped = True
                self._world.wake()
            self._world.attachments.append(console)
        console.write(b"")
        return console

    def close(self) -> None:
        """Close the connection."""
        with self._world.transact():
            self._closed = True
            self._host.listeners.pop(self, None)

    @contextmanager
    def _call(self, *, writes: bool = False) -> Iterator[float]:
        """Wait as long as the host lets one wait, then hold the world at one moment."""
        if self._host.hung:
            self._world.wait_until(lambda: not self._host.hung)
        if self._latency_s:
            time.sleep(self._latency_s)
        with self._world.transact() as now:
            if (lost := self._broken()) is not None:
                raise lost
            if writes and (self._read_only or self._host.writes_denied):
                reason = "read only access prevents this" if self._read_only else "access denied"
                raise NotPermitted(f"operation forbidden: {reason}")
            yield now

    def _read(self, queue: deque[str], found: list[DeepVm], now_s: float, stamp_s: float) -> DemoVm | None:
        """Move VMs from `queue` to `found` up to one whose QEMU hangs and that nobody waits for yet; return that."""
        while queue:
            vm = self._host.vms.get(queue[0])
            if vm is not None:
                if vm.hung and vm.owed_since_s is None:
                    vm.owed_since_s = now_s
                    return vm
                if not vm.hung:
                    found.append(vm.deep(now_s, stamp_s))
            queue.popleft()
        return None

    def _freed(self, vm: DemoVm) -> bool:
        return not vm.hung or self._broken() is not None

    def _broken(self) -> LinkLost | None:
        if self._closed:
            return LinkLost("the connection is closed")
        if self._host.down is not None or self._host.links_lost != self._links_lost:
            return LinkLost(self._host.down or "End of file while reading data: Input/output error")
        return None

    def _await(self, transfer: "Transfer") -> None:
        """Block until the transfer has ended and the host can say so, and raise its failure."""
        self._world.wait_until(lambda: self._broken() is not None or (transfer.finished and not self._host.hung))
        with self._world.transact():
            if (lost := self._broken()) is not None:
                raise lost
            error: HypervisorError | None = transfer.error
        if error is not None:
            raise error


def _pressure(now_s: float) -> Pressure:
    """Return a little CPU pressure that comes and goes."""
    cpu = 0.03 + 0.02 * math.sin(now_s / 37) + 0.01 * math.sin(now_s / 11)
    return Pressure(round(cpu, 4), 0.0, round(0.004 + 0.004 * math.sin(now_s / 53), 4))
