"""The demo hosts' shared state: one lock, one agenda of what will happen, and those who want to hear of it."""

import heapq
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Protocol

from kvmtui.hypervisor.demo.clock import ManualClock
from kvmtui.hypervisor.demo.fleet import (
    HOST_AGE_S,
    HOST_BASE_BYTES,
    HOST_BASE_CORES,
    HostSpec,
    Start,
    make_host,
    residents,
)
from kvmtui.hypervisor.demo.vm import DemoVm
from kvmtui.hypervisor.errors import HypervisorError, VmGone
from kvmtui.model.vm import VmState

_POLL_S = 0.25
"""How long to sleep at most before looking again at a clock that cannot wake anyone."""


class Attachment(Protocol):
    """Something attached to a guest that must be looked after when the guest changes: a console."""

    usurped: bool
    """Whether another has been attached in its place."""

    def occupies(self, vm: DemoVm, device: str) -> bool:
        """Whether it is attached to that device of that VM."""

    def review(self) -> Callable[[], None] | None:
        """Look at the guest, under the lock; what is returned is called after the lock is released."""


class DemoHost:
    """One emulated host. All its fields are guarded by the world's lock."""

    def __init__(self, uri: str, index: int, fleet_vms: int, seed: int, now_s: float) -> None:
        """The host number `index` of a fleet of so many VMs, as it is at `now_s`."""
        self.uri = uri
        self._index = index
        self._fleet_vms = fleet_vms
        self._seed = seed
        self._began_s = now_s
        self.booted_at_s = now_s - HOST_AGE_S
        self.last_id = 0
        self.listeners: dict[object, Callable[[], None]] = {}
        self.down: str | None = None
        """Why it cannot be reached."""
        self.hung = False
        self.writes_denied = False
        self.lacks: frozenset[str] = frozenset()
        """Networks, pools and machine types that it does not have, by name."""
        self.hanging: set[str] = set()
        """What of its health hangs when it is looked at: "pool nfs1"."""
        self.volumes: set[str] = set()
        """Paths of volumes that belong to no VM: what a migration has left."""
        self.cut_off = False
        """Whether nothing of a migration reaches or leaves it."""
        self.links_lost = 0
        """How often its link broke; a connection opened before the last time is dead."""
        self._past_cpu_ns = 0
        self._least_idle_ns = 0

    @cached_property
    def spec(self) -> HostSpec:
        """What it is."""
        return make_host(self._index, self._seed, self._starts)

    @cached_property
    def vms(self) -> dict[str, DemoVm]:
        """Its VMs by uuid, made when somebody first looks: nobody waits for those of another host."""
        vms: dict[str, DemoVm] = {}
        for start in self._starts:
            vm = vms[start.spec.uuid] = DemoVm(start.spec, autostart=start.autostart, saved=start.saved)
            if start.state.active:
                vm.launch(self.next_id(), self._began_s, start.state, start.reason, start.age_s)
            else:
                vm.change(self._began_s, start.state, start.reason)
        return vms

    @cached_property
    def _starts(self) -> tuple[Start, ...]:
        return residents(self._fleet_vms, self._seed, self._index)

    def vm(self, uuid: str) -> DemoVm:
        """Return a VM, or raise `VmGone`."""
        try:
            return self.vms[uuid]
        except KeyError:
            raise VmGone(f"Domain not found: no domain with matching uuid '{uuid}'") from None

    def next_id(self) -> int:
        """Return a fresh domain id."""
        self.last_id += 1
        return self.last_id

    def end_run(self, vm: DemoVm, now_s: float) -> None:
        """Keep the CPU time of a run that ends: the host has spent it."""
        if vm.id >= 0:
            self._past_cpu_ns += vm.cpu_time_ns(now_s)

    def cpu_ns(self, now_s: float) -> tuple[int, int]:
        """Return total and idle CPU time since the host booted; an overcommitted host is just never idle."""
        up_s = now_s - self.booted_at_s
        total = int(up_s * self.spec.cpus * 1e9)
        used = int(up_s * HOST_BASE_CORES * 1e9) + self._past_cpu_ns
        used += sum(vm.cpu_time_ns(now_s) for vm in self.vms.values() if vm.id >= 0)
        self._least_idle_ns = max(self._least_idle_ns, total - used)
        return total, self._least_idle_ns

    def memory_used_bytes(self, now_s: float) -> int:
        """Return what the host itself and its QEMU processes hold."""
        return HOST_BASE_BYTES + sum(vm.rss_bytes(now_s) for vm in self.vms.values() if vm.id >= 0)


class World:
    """All demo hosts. State changes only inside `transact`; what is scheduled happens there too, in order of time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.hosts: dict[str, DemoHost] = {}
        self.attachments: list[Attachment] = []
        self.failures: dict[str, HypervisorError] = {}
        """What the next call of a verb, of "migrate" or of a part of it, raises."""
        self.stubborn: set[str] = set()
        """UUIDs of guests that ignore a request to shut down or reboot."""
        self._condition = threading.Condition()
        self._agenda: list[tuple[float, int, Callable[[float], None]]] = []
        self._entries = 0
        self._changed: dict[str, DemoHost] = {}
        self._woken = False
        self._ticker_runs = False
        self._wakes_by_itself = isinstance(clock, ManualClock)
        if isinstance(clock, ManualClock):
            clock.subscribe(self.tick)

    @contextmanager
    def transact(self) -> Iterator[float]:
        """Hold the lock at a moment, given as a clock time; those concerned hear of changes after its release."""
        calls: list[Callable[[], None]] = []
        try:
            with self._condition:
                try:
                    yield self._settle()
                finally:
                    calls = self._heralds()
        finally:
            for call in calls:
                call()

    def tick(self) -> None:
        """Let happen what is due."""
        with self.transact():
            self._condition.notify_all()

    def schedule(self, due_s: float, event: Callable[[float], None]) -> None:
        """Have `event` called with `due_s` when that time has come; inside `transact` only."""
        self._entries += 1
        heapq.heappush(self._agenda, (due_s, self._entries, event))
        self._condition.notify_all()
        if not self._wakes_by_itself and not self._ticker_runs:
            # Someone must make things happen while nobody looks, or events would come late.
            self._ticker_runs = True
            threading.Thread(target=self._run_ticker, name="demo-ticker", daemon=True).start()

    def changed(self, host: DemoHost) -> None:
        """Have the host's listeners called after this transaction."""
        self._changed[host.uri] = host
        self._condition.notify_all()

    def wake(self) -> None:
        """Have those who wait and all attachments look again after this transaction, though no event tells of it."""
        self._woken = True
        self._condition.notify_all()

    def wait_until(self, done: Callable[[], bool]) -> None:
        """Block, without holding the lock, until `done` (called under the lock) says so."""
        while True:
            with self.transact() as now:
                if done():
                    return
                if not self._changed:
                    self._condition.wait(self._patience_s(now))

    def take_failure(self, what: str) -> None:
        """Raise what was ordered for the next call of `what`, once."""
        if error := self.failures.pop(what, None):
            raise error

    def stop(self, host: DemoHost, vm: DemoVm, now_s: float, state: VmState, reason: str) -> None:
        """End a VM's run; a transient VM is gone with it."""
        host.end_run(vm, now_s)
        vm.change(now_s, state, reason)
        if not vm.defined:
            del host.vms[vm.spec.uuid]
        self.changed(host)

    def _settle(self) -> float:
        now = self.clock()
        while self._agenda and self._agenda[0][0] <= now:
            due, _, event = heapq.heappop(self._agenda)
            event(due)
        return now

    def _heralds(self) -> list[Callable[[], None]]:
        """Return what has to be called now that the transaction is over."""
        if not self._changed and not self._woken:
            return []
        calls = [listener for host in self._changed.values() for listener in host.listeners.values()]
        self._changed.clear()
        self._woken = False
        for attachment in tuple(self.attachments):
            if call := attachment.review():
                calls.append(call)
        return calls

    def _patience_s(self, now_s: float) -> float | None:
        if self._wakes_by_itself or not self._agenda:
            return None
        return min(max(self._agenda[0][0] - now_s, 0.001), _POLL_S)

    def _run_ticker(self) -> None:
        self.wait_until(self._nothing_to_come)

    def _nothing_to_come(self) -> bool:
        self._ticker_runs = bool(self._agenda)
        return not self._ticker_runs
