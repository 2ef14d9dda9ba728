"""Migrations: queued, each call on a lane of its own, progress polled, the end proven by asking both hosts."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

from kvmtui.engine.adoption import Adoption
from kvmtui.engine.job_probe import JobProbe
from kvmtui.engine.migration_end import Judgement, Told, judge, unanswered
from kvmtui.engine.migration_flight import BothSides, Flight
from kvmtui.engine.migration_queue import next_to_start
from kvmtui.engine.migration_steering import Errands, possible, steering_words, too_early, value_problem
from kvmtui.engine.poller import HostPoller
from kvmtui.engine.store import Store
from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.model.migration import Migration, MigrationRequest, Phase, Repair, RepairKind, Steer
from kvmtui.model.migration_options import MigrationOptions, conflicts
from kvmtui.model.migration_progress import ProgressTracker
from kvmtui.model.migration_repairs import at_destination, migrate_command
from kvmtui.model.vm import Job, VmKey, VmState

_log = logging.getLogger(__name__)
_TIDYING_S = 30.0
"""How long both hosts may tell of it at once, or neither, before that is taken for the end."""
_TIDYING_ADOPTED_S = 3.0
"""The same for somebody else's, whose job was seen to end."""
_PATIENCE_S = 60.0
"""How long a host may not answer before the end is called unknown."""
_ASK_EVERY_S = 0.5
_ASK_UNKNOWN_EVERY_S = 5.0
_REMEMBERED = 200


class Migrations:
    """Runs migrations; at most one at a time for a VM, and a few at a time for a host."""

    def __init__(
        self,
        pollers: Mapping[str, HostPoller],
        store: Store,
        changed: Callable[[Migration], None],
        *,
        soon: Callable[[Callable[[], None]], None] = lambda step: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`changed` is called from a foreign thread with each new state; it must only take note.

        `soon` has a function called before long by the thread that watches all hosts; any thread may ask.
        """
        self._pollers = pollers
        self._store = store
        self._changed = changed
        self._soon = soon
        self._clock = clock
        self._flights: dict[VmKey, Flight] = {}
        """Those that wait and those under way, in the order they were asked for."""
        self._ended: deque[Flight] = deque(maxlen=_REMEMBERED)
        """Newest first."""
        self._errands = Errands(pollers, lambda flight: soon(partial(self._advance, flight)))
        self._adoption = Adoption(pollers, self._adopt)
        self._lock = threading.RLock()

    @property
    def all(self) -> tuple[Migration, ...]:
        """All that are remembered: under way, waiting, then ended with the newest first."""
        with self._lock:
            views = [flight.view for flight in self._flights.values()]
            ended = [flight.view for flight in self._ended]
        return (*sorted(views, key=lambda view: view.phase is Phase.QUEUED), *ended)

    def start(self, request: MigrationRequest) -> None:
        """Start moving a VM, or have it wait its turn, and return at once."""
        with self._lock:
            vm = self._store.fleet.vm(request.key)
            persistent = None if vm is None else vm.persistent
            peer_to_peer = request.options.peer_to_peer is not False
            command = migrate_command(request, persistent=persistent is not False, peer_to_peer=peer_to_peer)
            now_s = self._clock()
            view = Migration(request, Phase.QUEUED, now_s, peer_to_peer=peer_to_peer, command=command)
            tracker = ProgressTracker(None if vm is None else vm.memory_allocated_bytes or None)
            flight = Flight(view, persistent, tracker)
            if problem := self._refusal(request):
                flight.show(Phase.FAILED, problem, ended_at_s=now_s)
                self._changed(flight.view)
                return
            self._flights[request.key] = flight
            who = (request.vm_name, *reversed(request.key))
            _log.info("intent migrate %s (%s) from %s to %s", *who, request.destination)
            self._start_waiting()
            if flight.view.phase is Phase.QUEUED:
                flight.pending = self._store.begin(request.key, "waiting to migrate")
                self._show(flight, Phase.QUEUED, "others have to arrive first")

    def steer(self, key: VmKey, what: Steer, value: int | None = None) -> None:
        """Change a migration under way; what comes of it is told as its message."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                return
            problem = value_problem(what, value)
            if what not in self._steers(flight):
                problem = f"{what.value}: not possible now"
            if problem:
                self._show(flight, flight.view.phase, problem)
                return
            _log.info("intent %s %s of migrating %s", what.value, "" if value is None else value, _who(flight))
            if flight.view.phase is Phase.QUEUED:
                self._end(flight, Judgement(Phase.CANCELLED, "it had not begun"))
            elif what is Steer.ABORT:
                flight.aborting = flight.abort_due = True
                self._show(flight, flight.view.phase, steering_words(what, value))
                self._advance(flight)
            else:
                self._send(flight, what, value)

    def repair(self, key: VmKey, kind: RepairKind) -> None:
        """Mend what a migration left: both hosts are asked again first, and nothing is done where it is not safe."""
        with self._lock:
            offers = (flight for flight in self._ended if flight.view.request.key == key)
            flight = next((one for one in offers if any(kind is offer.kind for offer in one.view.repairs)), None)
            if flight is None or flight.repairing is not None:
                return
            _log.info("intent repair (%s) of migrating %s", kind.value, _who(flight))
            flight.repairing, flight.sides = kind, None
            self._show(flight, flight.view.phase, f"{kind.value}: asking both hosts first")
            self._advance(flight)

    def watch(self, host: str) -> None:
        """Bring the migrations away from one host forward; called by its poller after every tick."""
        with self._lock:
            flights = [*self._flights.values(), *self._ended]
        for flight in flights:
            if flight.view.request.key.host == host:
                self._advance(flight, tick=True)

    def adopt(self) -> None:
        """Look for migrations under way that are not known here; called after a tick that shows VMs on their way."""
        with self._lock:
            known = frozenset(key.uuid for key in self._flights)
            self._adoption.look(self._store.fleet, known, self._clock())

    def _adopt(self, key: VmKey, destination: str, job: Job) -> None:
        vm = self._store.fleet.vm(key)
        if vm is None:
            return
        request = MigrationRequest(key, vm.name, vm.id, destination, MigrationOptions())
        view = Migration(request, Phase.RUNNING, self._clock() - (job.elapsed_s or 0.0), adopted=True)
        flight = Flight(view, None, ProgressTracker(vm.memory_allocated_bytes or None), adrift=True)
        flight.was_paused = vm.state is VmState.PAUSED and not vm.reason
        _log.info("found migrating: %s (%s) from %s to %s", vm.name, *reversed(key), destination)
        self._flights[key] = flight
        self._follow(flight)
        self._take_job(flight, job, "found under way")

    def _refusal(self, request: MigrationRequest) -> str:
        if any(key.uuid == request.key.uuid for key in self._flights):
            return "it is already on its way"
        if request.destination not in self._pollers or request.destination == request.key.host:
            return "choose another host that is watched here"
        found = conflicts(request.options, active=request.vm_id != -1)
        return found[0].why if found else ""

    def _start_waiting(self) -> None:
        """Start those whose turn has come."""
        waiting = [flight.view.request for flight in self._flights.values() if flight.view.phase is Phase.QUEUED]
        under_way = [flight.view.request for flight in self._flights.values() if flight.view.phase is not Phase.QUEUED]
        for request in next_to_start(waiting, under_way):
            flight = self._flights[request.key]
            self._follow(flight)
            self._launch(flight)

    def _follow(self, flight: Flight) -> None:
        key = flight.view.request.key
        before, flight.pending = flight.pending, self._store.begin(key, "migrating")
        if before is not None:
            self._store.end(before)
        flight.probe = JobProbe(self._pollers[key.host], key.uuid, "migration")

    def _launch(self, flight: Flight, message: str = "") -> None:
        request, peer_to_peer = flight.view.request, flight.view.peer_to_peer
        destination = self._pollers[request.destination]
        try:
            flight.call = self._pollers[request.key.host].lanes.start_alone(
                "act",
                f"migration {request.key.uuid}",
                lambda connection: flight.carry(connection, destination, peer_to_peer=peer_to_peer),
            )
        except HypervisorError as error:
            self._end(flight, Judgement(Phase.FAILED, str(error)))
            return
        self._show(flight, Phase.STARTING, message)
        flight.call.future.add_done_callback(lambda _: self._soon(partial(self._advance, flight)))

    def _advance(self, flight: Flight, *, tick: bool = False) -> None:
        """Take what has come in for a migration, and ask what is to be asked; waits for no host."""
        with self._lock:
            self._take_errands(flight)
            if flight.view.phase is Phase.QUEUED:
                return
            if flight.view.phase.ended:
                self._look_back(flight)
            elif flight.over:
                self._verify(flight)
            else:
                if flight.abort_due:
                    flight.abort_due = False
                    self._send(flight, Steer.ABORT)
                job = flight.probe.poll() if tick and flight.probe is not None else None
                if job is not None:
                    self._take_job(flight, job)

    def _take_job(self, flight: Flight, job: Job, message: str | None = None) -> None:
        options = flight.view.request.options
        flight.moved_bytes = flight.moved_bytes or bool(job.bytes_per_s) or (job.iteration or 0) > 0
        vm = self._store.fleet.vm(flight.view.request.key)
        flight.post_copy = (
            flight.post_copy or bool(job.post_copy_requests) or (vm is not None and vm.reason == "post-copy")
        )
        if flight.downtime_ms is None and options.downtime_ms is not None:
            # libvirt takes it only for a migration that is under way.
            flight.downtime_ms = options.downtime_ms
            self._send(flight, Steer.DOWNTIME, options.downtime_ms)
        downtime_s = None if flight.downtime_ms is None else flight.downtime_ms / 1000
        progress = flight.tracker.take(job, self._clock(), post_copy=flight.post_copy, downtime_s=downtime_s)
        self._show(flight, Phase.RUNNING, message, job=job, progress=progress)

    def _send(self, flight: Flight, what: Steer, value: int | None = None) -> None:
        try:
            self._errands.steer(flight, what, value)
        except HypervisorError as error:
            self._show(flight, flight.view.phase, f"{what.value}: {error}")

    def _take_errands(self, flight: Flight) -> None:
        for errand, error in self._errands.take(flight):
            outcome = "done" if error is None else str(error)
            if too_early(errand, error) and not flight.over and not flight.post_copy:
                flight.abort_due = True
                continue
            _log.info("outcome %s of migrating %s: %s", errand.what.value, _who(flight), outcome)
            if isinstance(errand.what, RepairKind):
                flight.repairing = None
                flight.ask_at_s, flight.look_again = self._clock(), True
                self._show(flight, flight.view.phase, f"{errand.what.value}: {outcome}", flight.view.repairs)
                continue
            if error is not None:
                flight.aborting = flight.aborting and errand.what is not Steer.ABORT
                words = f"{errand.what.value}: {error}"
            else:
                flight.downtime_ms = errand.value if errand.what is Steer.DOWNTIME else flight.downtime_ms
                flight.post_copy = flight.post_copy or errand.what is Steer.POST_COPY
                words = steering_words(errand.what, errand.value)
            if not flight.view.phase.ended:
                self._show(flight, flight.view.phase, words)

    def _ask(self, flight: Flight) -> list[Told | HypervisorError] | None:
        """Return what both hosts told, asking them when it is time; None while that is waited for."""
        now_s = self._clock()
        if flight.sides is None:
            if now_s < flight.ask_at_s:
                return None
            flight.sides = BothSides(self._pollers, flight, lambda: self._soon(partial(self._advance, flight)))
        answers = flight.sides.answers()
        if answers is not None:
            flight.sides = None
            flight.ask_at_s = now_s + (_ASK_UNKNOWN_EVERY_S if flight.view.phase.ended else _ASK_EVERY_S)
        return answers

    def _verify(self, flight: Flight) -> None:
        """Nothing tells any more that it goes on: find out where the VM is, and say only that."""
        now_s = self._clock()
        if flight.returned_at_s is None:
            flight.returned_at_s, flight.ask_at_s, flight.sides = now_s, now_s, None
        answers = self._ask(flight)
        if answers is None:
            return
        source, destination = answers
        waited_s = now_s - flight.returned_at_s
        if isinstance(source, Told) and isinstance(destination, Told):
            tidying_s = _TIDYING_ADOPTED_S if flight.view.adopted else _TIDYING_S
            judgement = judge(flight.case(settled=waited_s >= tidying_s), source, destination)
        else:
            judgement = unanswered(flight.case(settled=waited_s >= _PATIENCE_S), source, destination)
        if judgement.phase is Phase.RUNNING and isinstance(source, Told):
            self._goes_on(flight, source, judgement.message)
        elif judgement.phase is Phase.FAILED and self._another_way(flight, judgement):
            return
        elif judgement.phase.ended:
            self._end(flight, judgement)
        else:
            self._show(flight, judgement.phase, judgement.message)

    def _goes_on(self, flight: Flight, source: Told, message: str) -> None:
        flight.adrift, flight.returned_at_s = True, None
        if flight.probe is not None:
            flight.probe.over = False
        if source.job is not None:
            self._pollers[flight.view.request.key.host].sampler.jobs[flight.view.request.key.uuid] = source.job
            self._take_job(flight, source.job, message)

    def _another_way(self, flight: Flight, judgement: Judgement) -> bool:
        """Try it managed by this client, which can reach both hosts, where the source's daemon could not begin it."""
        error, view = flight.error, flight.view
        first = view.peer_to_peer and view.request.options.peer_to_peer is None
        if not first or flight.moved_bytes or flight.adrift or type(error) is not HypervisorError or judgement.repairs:
            return False
        _log.info("peer-to-peer migration of %s failed: %s", _who(flight), error)
        persistent = flight.persistent is not False
        command = migrate_command(view.request, persistent=persistent, peer_to_peer=False)
        flight.show(view.phase, peer_to_peer=False, command=command)
        flight.returned_at_s = None
        self._launch(flight, f"peer to peer failed ({error}); trying managed by kvmtui")
        return True

    def _end(self, flight: Flight, judgement: Judgement) -> None:
        request = flight.view.request
        self._flights.pop(request.key, None)
        self._ended.appendleft(flight)
        _log.info("outcome migrate %s: %s %s", _who(flight), judgement.phase.value, judgement.message)
        if flight.probe is not None:
            flight.probe.end()
        flight.sides = None
        self._pollers[request.destination].wake()
        if flight.pending is not None:
            self._store.end(flight.pending)
        flight.show(judgement.phase, judgement.message, judgement.repairs, ended_at_s=self._clock(), steers=frozenset())
        self._changed(flight.view)
        self._start_waiting()

    def _look_back(self, flight: Flight) -> None:
        """Go on with the repair of one that has ended, or find out at last how it did."""
        if flight.errands or not (flight.repairing or flight.look_again or flight.view.phase is Phase.UNKNOWN):
            return
        if flight.repairing is not None and flight.sides is None:
            flight.ask_at_s = self._clock()
        answers = self._ask(flight)
        if answers is None:
            return
        source, destination = answers
        kind = flight.repairing
        if not isinstance(source, Told) or not isinstance(destination, Told):
            if kind is not None or flight.look_again:
                flight.repairing, flight.look_again = None, False
                said = unanswered(flight.case(settled=True), source, destination).message
                what = "" if kind is None else f"{kind.value}: nothing was done: "
                self._show(flight, flight.view.phase, what + said, flight.view.repairs)
            return
        judgement = judge(flight.case(settled=True), source, destination)
        if kind is None:
            prefix = f"{flight.view.message}; " if flight.look_again else ""
            flight.look_again = False
            if judgement.phase.ended and (prefix or judgement.phase is not flight.view.phase):
                _log.info("outcome migrate %s: %s %s", _who(flight), judgement.phase.value, judgement.message)
                self._show(flight, judgement.phase, f"{prefix}{judgement.message}".rstrip("; "), judgement.repairs)
        elif kind not in [offer.kind for offer in judgement.repairs]:
            flight.repairing = None
            words = f"{kind.value}: not safe any more, nothing was done; source: {source}, destination: {destination}"
            _log.info("outcome repair of migrating %s: %s", _who(flight), words)
            self._show(
                flight, judgement.phase if judgement.phase.ended else flight.view.phase, words, judgement.repairs
            )
        else:
            side = destination if at_destination(kind) else source
            vm_id = None if side.identity is None else side.identity.id
            try:
                self._errands.mend(flight, kind, vm_id, tuple(sorted(destination.volumes & flight.absent)))
            except HypervisorError as error:
                flight.repairing = None
                self._show(flight, flight.view.phase, f"{kind.value}: {error}", judgement.repairs)

    def _show(
        self, flight: Flight, phase: Phase, message: str | None = None, repairs: tuple[Repair, ...] = (), **more: object
    ) -> None:
        flight.show(phase, message, repairs, **more)
        flight.show(phase, None, repairs, steers=self._steers(flight))
        self._changed(flight.view)

    def _steers(self, flight: Flight) -> frozenset[Steer]:
        key = flight.view.request.key
        host, vm = self._store.fleet.hosts.get(key.host), self._store.fleet.vm(key)
        if host is None or host.read_only:
            return frozenset()
        return possible(flight, None if vm is None else vm.state)


def _who(flight: Flight) -> str:
    request = flight.view.request
    return f"{request.vm_name} ({request.key.uuid}) from {request.key.host} to {request.destination}"
