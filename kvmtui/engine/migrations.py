"""Migrations: queued, each call on a lane of its own, progress polled, the end proven by asking both hosts."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf

from kvmtui.engine.adoption import Adoption, Found
from kvmtui.engine.audit import Audit, Entry, chosen_options
from kvmtui.engine.job_probe import JobProbe
from kvmtui.engine.migration_aftermath import Aftermath
from kvmtui.engine.migration_end import ASKING, Judgement, Told
from kvmtui.engine.migration_flight import Flight
from kvmtui.engine.migration_queue import next_to_start
from kvmtui.engine.migration_steering import Errands, possible, steering_words, too_early, value_problem
from kvmtui.engine.poller import HostPoller
from kvmtui.engine.store import Store
from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.hypervisor.protocol import Connection
from kvmtui.model.migration import Migration, MigrationRequest, Phase, RepairKind, Steer
from kvmtui.model.migration_options import MigrationOptions, conflicts
from kvmtui.model.migration_progress import ProgressTracker, copies_disks
from kvmtui.model.migration_repairs import migrate_command
from kvmtui.model.vm import Job, VmKey, VmState

_log = logging.getLogger(__name__)
_FADES_S = 8.0


class Migrations:
    """Runs migrations; at most one at a time for a VM, and a few at a time for a host."""

    def __init__(
        self,
        pollers: Mapping[str, HostPoller],
        store: Store,
        changed: Callable[[Migration], None],
        audit: Audit,
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
        self._audit = audit
        self._errands = Errands(pollers, self._intent, self._call)
        self._aftermath = Aftermath(pollers, self._errands, changed, self._call, self._recover, clock)
        self._adoption = Adoption(pollers, self._adopt)
        self._lock = threading.RLock()
        self._closed = False

    @property
    def all(self) -> tuple[Migration, ...]:
        """All that are remembered: under way, waiting, then ended with the newest first."""
        with self._lock:
            views = [flight.view for flight in self._flights.values()]
            ended = [flight.view for flight in self._aftermath.ended]
        return (*sorted(views, key=lambda view: view.phase is Phase.QUEUED), *ended)

    def old_copies(self, uuid: str, host: str) -> frozenset[str]:
        """Return the paths on a host where moves of this run have left disks that a VM uses no more."""
        with self._lock:
            return self._aftermath.old_copies(uuid, host)

    def start(self, request: MigrationRequest) -> None:
        """Start moving a VM, or have it wait its turn, and return at once."""
        with self._lock:
            vm = self._store.fleet.vm(request.key)
            persistent = None if vm is None else vm.persistent
            peer_to_peer = request.options.peer_to_peer is not False
            command = migrate_command(request, persistent=persistent is not False, peer_to_peer=peer_to_peer)
            now_s = self._clock()
            view = Migration(
                request,
                Phase.QUEUED,
                now_s,
                peer_to_peer=peer_to_peer,
                bandwidth_mib_per_s=request.options.bandwidth_mib_per_s,
                command=command,
            )
            tracker = ProgressTracker(None if vm is None else vm.memory_allocated_bytes or None)
            flags = (f"to={request.destination}", *chosen_options(request.options))
            flight = Flight(view, persistent, tracker, self._intent(request, request.key.host, "migrate", flags))
            if problem := self._refusal(request):
                flight.show(Phase.FAILED, problem, ended_at_s=now_s)
                flight.told_end()
                self._changed(flight.view)
                return
            self._flights[request.key] = flight
            self._aftermath.supersede(request.key.uuid)
            who = (request.vm_name, *reversed(request.key))
            _log.info("intent migrate %s (%s) from %s to %s", *who, request.destination)
            self._start_waiting()
            if flight.view.phase is Phase.QUEUED:
                self._call_it(flight, "waiting to migrate")
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
                self._say(flight, problem)
                return
            _log.info("intent %s %s of migrating %s", what.value, "" if value is None else value, flight)
            if what is Steer.ABORT:
                self._abort(flight)
            else:
                self._send(flight, what, value)

    def _abort(self, flight: Flight) -> None:
        if flight.view.phase is Phase.VERIFYING:
            # Its call has ended: there is nothing to abort but the wait for hosts that tidy up, or do not answer.
            if flight.may_begin:
                flight.aborting = flight.abort_due = True
                self._show(flight, flight.view.phase, "libvirt may still begin it: it is aborted as soon as it does")
                return
            flight.returned_at_s = -inf
            self._show(flight, flight.view.phase, "asking both hosts once more")
            return
        flight.aborting = True
        if flight.begun or flight.adrift:
            self._show(flight, flight.view.phase, steering_words(Steer.ABORT, None))
            self._send(flight, Steer.ABORT)
            return
        # Its call, if there is one, will not begin any more, whenever the host answers.
        if flight.call is not None:
            self._pollers[flight.view.request.key.host].lanes.abandon(flight.call)
        self._end(flight, Judgement(Phase.CANCELLED, "it had not begun"))

    def repair(self, key: VmKey, kind: RepairKind) -> None:
        """Mend what a migration left: both hosts are asked again first, and nothing is done where it is not safe."""
        with self._lock:
            # What is on its way again is not to be mended by what went before.
            if not any(other.uuid == key.uuid for other in self._flights):
                self._aftermath.repair(key, kind)

    def watch(self, host: str) -> None:
        """Bring the migrations away from one host forward; called by its poller after every tick."""
        with self._lock:
            flights = [*self._flights.values(), *self._aftermath.restless]
        for flight in flights:
            if flight.view.request.key.host == host:
                self._advance(flight, tick=True)

    def adopt(self, host: str) -> None:
        """Look for migrations under way that are not known here; called after a tick that shows VMs as away."""
        with self._lock:
            known = frozenset(key.uuid for key in self._flights)
            self._adoption.look(self._store.fleet, host, known, self._clock())

    def close(self) -> None:
        """Begin no more, and tell the audit how each is left: those that wait are not moved."""
        with self._lock:
            self._closed = True
            for flight in self._flights.values():
                if flight.view.phase is Phase.QUEUED:
                    words = "kvmtui ended before its turn came: it was not migrated"
                    flight.show(Phase.CANCELLED, words, ended_at_s=self._clock(), steers=frozenset())
                    flight.told_end()
                elif flight.entry is not None:
                    carried = "the hosts go on by themselves" if flight.view.peer_to_peer else "it breaks off with it"
                    words = f"kvmtui ended while it was under way: {carried}"
                    flight.entry.outcome(Phase.UNKNOWN.value, words)
                else:
                    continue
                _log.info("outcome migrate %s: %s", flight, words)

    def _adopt(self, key: VmKey, destination: str, found: Found) -> None:
        vm, job = self._store.fleet.vm(key), found.job
        if vm is None or any(known.uuid == key.uuid for known in self._flights):
            return
        request = MigrationRequest(key, vm.name, vm.id, destination, MigrationOptions())
        view = Migration(request, Phase.RUNNING, self._clock() - (job.elapsed_s or 0.0), adopted=True)
        flight = Flight(view, None, ProgressTracker(vm.memory_allocated_bytes or None), adrift=True)
        flight.was_paused = vm.state is VmState.PAUSED and not vm.reason
        flight.paths = found.paths
        _log.info("found migrating: %s (%s) from %s to %s", vm.name, *reversed(key), destination)
        self._flights[key] = flight
        self._aftermath.supersede(key.uuid)
        self._follow(flight)
        self._take_job(flight, job, "found under way")

    def _intent(self, request: MigrationRequest, host: str, verb: str, flags: Sequence[str] = ()) -> Entry:
        """Have the audit take note of what is about to be done to a VM at one of its hosts."""
        facts = self._store.fleet.hosts[host].facts
        key = VmKey(host, request.key.uuid)
        return self._audit.intent(
            verb, key, request.vm_name, host_uuid="" if facts is None else facts.uuid, flags=flags
        )

    def _refusal(self, request: MigrationRequest) -> str:
        if any(key.uuid == request.key.uuid for key in self._flights):
            return "it is being migrated already: w shows how"
        if request.destination not in self._pollers or request.destination == request.key.host:
            return "choose another host that is watched here"
        if self._pollers[request.destination].read_only:
            # It is written to by whoever carries the migration, and no lane of ours would stop that.
            return "the destination is read-only for kvmtui"
        found = conflicts(request.options, active=request.vm_id != -1)
        return found[0].why if found else ""

    def _start_waiting(self) -> None:
        """Start those whose turn has come."""
        if self._closed:
            return
        waiting = [flight.view.request for flight in self._flights.values() if flight.view.phase is Phase.QUEUED]
        under_way = [flight.view.request for flight in self._flights.values() if flight.view.phase is not Phase.QUEUED]
        for request in next_to_start(waiting, under_way):
            flight = self._flights[request.key]
            self._follow(flight)
            self._launch(flight)

    def _follow(self, flight: Flight) -> None:
        key, destination = flight.view.request.key, self._pollers[flight.view.request.destination]
        self._call_it(flight, "migrating")
        flight.probe = JobProbe(self._pollers[key.host], key.uuid, "migration", destination=destination)

    def _call_it(self, flight: Flight, text: str) -> None:
        """Have the row of the VM say this."""
        before = flight.pending
        if before is None or before.text != text:
            flight.pending = self._store.begin(flight.view.request.key, text)
            if before is not None:
                self._store.end(before)

    def _launch(self, flight: Flight, message: str = "") -> None:
        request, peer_to_peer = flight.view.request, flight.view.peer_to_peer
        destination = self._pollers[request.destination]
        self._call_it(flight, "migrating")
        self._start(flight, lambda connection: flight.carry(connection, destination, peer_to_peer=peer_to_peer))
        self._show(flight, Phase.STARTING, message)

    def _recover(self, flight: Flight) -> None:
        """Go on with a post-copy that broke off: the migration is under way again."""
        request = flight.view.request
        self._aftermath.take_back(flight)
        self._flights[request.key] = flight
        self._follow(flight)
        flight.adrift = flight.broken = False
        flight.recovering, flight.post_copy, flight.returned_at_s = True, True, None
        kind, peer_to_peer = RepairKind.RECOVER_POST_COPY, flight.view.peer_to_peer
        self._start(
            flight,
            lambda connection: connection.repair(
                request.key.uuid, kind, request.destination, peer_to_peer=peer_to_peer
            ),
        )
        self._show(flight, Phase.RUNNING, kind.value, repairs=(), astray=False, ended_at_s=None)

    def _start(self, flight: Flight, call: Callable[[Connection], None]) -> None:
        request, entry = flight.view.request, flight.entry

        def carry(connection: Connection) -> None:
            if entry is not None:
                entry.wait()
            call(connection)

        flight.call = self._pollers[request.key.host].lanes.start_alone("act", f"migration {request.key.uuid}", carry)
        flight.call.future.add_done_callback(lambda _: self._call(flight))

    def _call(self, flight: Flight) -> None:
        """Have a migration looked after before long; any thread may ask."""
        self._soon(partial(self._advance, flight))

    def _advance(self, flight: Flight, *, tick: bool = False) -> None:
        """Take what has come in for a migration, and ask what is to be asked; waits for no host."""
        with self._lock:
            self._take_errands(flight)
            if flight.view.phase is Phase.QUEUED:
                return
            if flight.view.phase.ended:
                self._aftermath.look(flight)
            elif flight.over:
                self._verify(flight)
            else:
                if tick and flight.abort_due:
                    flight.abort_due = False
                    self._send(flight, Steer.ABORT)
                job = flight.probe.poll() if tick and flight.probe is not None else None
                if job is not None:
                    self._take_job(flight, job)

    def _take_job(self, flight: Flight, job: Job, message: str | None = None) -> None:
        asked_ms = flight.view.request.options.downtime_ms
        if flight.downtime_ms is None and asked_ms is not None:
            # libvirt takes it only for a migration that is under way.
            flight.downtime_ms = asked_ms
            self._send(flight, Steer.DOWNTIME, asked_ms)
        vm = self._store.fleet.vm(flight.view.request.key)
        state, reason = (None, "") if vm is None else (vm.state, vm.reason)
        flight.take(job, state, reason, self._clock(), message)
        self._show(flight, Phase.RUNNING)

    def _send(self, flight: Flight, what: Steer, value: int | None = None) -> None:
        try:
            self._errands.steer(flight, what, value)
        except HypervisorError as error:
            self._say(flight, f"{what.value}: {error}")

    def _take_errands(self, flight: Flight) -> None:
        for errand, error in self._errands.take(flight):
            outcome = "done" if error is None else str(error)
            if too_early(errand, error) and not flight.over and not flight.post_copy:
                flight.abort_due = True
                continue
            _log.info("outcome %s of migrating %s: %s", errand.what.value, flight, outcome)
            if isinstance(errand.what, RepairKind):
                self._aftermath.mended(flight, errand.what, outcome, done=error is None)
                continue
            if error is not None:
                flight.aborting = flight.aborting and errand.what is not Steer.ABORT
                words = f"{errand.what.value}: {error}"
            else:
                flight.downtime_ms = errand.value if errand.what is Steer.DOWNTIME else flight.downtime_ms
                flight.post_copy_due = flight.post_copy_due or errand.what is Steer.POST_COPY
                words = steering_words(errand.what, errand.value)
                if errand.what is Steer.BANDWIDTH:
                    # libvirt does not let block jobs be changed while it migrates.
                    words += (
                        "; the disks are copied at the rate they began with" if copies_disks(flight.view.job) else ""
                    )
                    flight.show(flight.view.phase, bandwidth_mib_per_s=errand.value or None)
            if not flight.view.phase.ended:
                self._say(flight, words)

    def _verify(self, flight: Flight) -> None:
        """Nothing tells any more that it goes on: find out where the VM is, and say only that."""
        if flight.refused:
            self._end(flight, Judgement(Phase.FAILED, flight.refused))
            return
        now_s = self._clock()
        if flight.returned_at_s is None:
            flight.returned_at_s, flight.ask_at_s, flight.sides = now_s, now_s, None
            self._call_it(flight, Phase.VERIFYING.value)
            # What the figures were until then tells no more how it stands.
            self._show(flight, Phase.VERIFYING, ASKING, job=None, progress=None)
            if flight.probe is not None:
                flight.probe.show(Job("migration"))
        answers = flight.ask(self._pollers, now_s, partial(self._call, flight))
        if answers is None:
            return
        source, destination = answers
        flight.seen = flight.seen or (isinstance(destination, Told) and destination.active)
        judgement = flight.judge(source, destination, now_s - flight.returned_at_s)
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
        self._call_it(flight, "migrating")
        if flight.probe is not None:
            flight.probe.over = False
        if source.job is not None:
            self._take_job(flight, source.job, message)

    def _another_way(self, flight: Flight, judgement: Judgement) -> bool:
        """Try it managed by this client, which can reach both hosts, where the source's daemon could not begin it."""
        error, view = flight.error, flight.view
        first = view.peer_to_peer and view.request.options.peer_to_peer is None
        if not first or flight.moved_bytes or flight.adrift or type(error) is not HypervisorError or judgement.repairs:
            return False
        _log.info("peer-to-peer migration of %s failed: %s", flight, error)
        persistent = flight.persistent is not False
        command = migrate_command(view.request, persistent=persistent, peer_to_peer=False)
        flight.show(view.phase, peer_to_peer=False, command=command)
        # What was seen of the first call, or is still to be told of it, says nothing of the second.
        flight.returned_at_s, flight.seen = None, False
        self._follow(flight)
        self._launch(flight, f"peer to peer failed ({error}); trying managed by kvmtui")
        return True

    def _end(self, flight: Flight, judgement: Judgement) -> None:
        request = flight.view.request
        self._flights.pop(request.key, None)
        self._aftermath.add(flight)
        _log.info("outcome migrate %s: %s %s", flight, judgement.phase.value, judgement.words)
        if flight.probe is not None:
            flight.probe.end()
        flight.sides = None
        self._pollers[request.destination].wake()
        if flight.pending is not None:
            self._store.end(flight.pending)
            flight.pending = None
        flight.ended_as = judgement
        flight.show(
            judgement.phase,
            judgement.words,
            repairs=judgement.repairs,
            astray=judgement.astray,
            ended_at_s=self._clock(),
            steers=frozenset(),
        )
        flight.show(judgement.phase, left_behind=flight.left_behind)
        flight.told_end()
        self._changed(flight.view)
        self._start_waiting()

    def _say(self, flight: Flight, message: str) -> None:
        """Show what is of a moment only."""
        flight.fades_at_s = self._clock() + _FADES_S
        self._show(flight, flight.view.phase, message)

    def _show(self, flight: Flight, phase: Phase, message: str | None = None, **more: object) -> None:
        flight.show(phase, message, **more)
        flight.show(phase, steers=self._steers(flight))
        self._changed(flight.view)

    def _steers(self, flight: Flight) -> frozenset[Steer]:
        key = flight.view.request.key
        host, vm = self._store.fleet.hosts.get(key.host), self._store.fleet.vm(key)
        if host is None or host.read_only:
            return frozenset()
        return possible(flight, None if vm is None else vm.state)
