"""Migrations under way: each call on a lane of its own, progress polled, the end proven by asking both hosts."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from kvmtui.engine.job_probe import JobProbe
from kvmtui.engine.poller import HostPoller
from kvmtui.engine.store import Pending, Store
from kvmtui.hypervisor.errors import (
    CallTimedOut,
    HypervisorError,
    JobCancelled,
    LinkLost,
    MigrationUnsafe,
    NotStarted,
    VmGone,
)
from kvmtui.hypervisor.lanes import Call, settle
from kvmtui.hypervisor.protocol import Connection
from kvmtui.hypervisor.samples import Identity
from kvmtui.model.actions import virsh_line
from kvmtui.model.clean import clean
from kvmtui.model.migration import Migration, MigrationRequest, Phase
from kvmtui.model.vm import Job, VmKey

_log = logging.getLogger(__name__)
_ANSWER_DEADLINE_S = 10.0
_TIDYING_S = 30.0
"""How long both hosts may tell of it at once, or neither, before that is taken for the end."""
_PATIENCE_S = 120.0
"""How long a host may not answer before the end is called unknown."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What one host knows of the VM."""

    identity: Identity | None
    """None: it is not there."""
    job: Job | None

    @property
    def active(self) -> bool:
        return self.identity is not None and self.identity.state.active

    def __str__(self) -> str:
        return "not there" if self.identity is None else str(self.identity.state)


@dataclass(slots=True, eq=False)
class _Flight:
    """One migration and the calls that belong to it."""

    view: Migration
    call: Call
    pending: Pending
    probe: JobProbe
    moved_bytes: bool = False
    """Whether any guest data was seen to move, after which no second way is tried."""
    questions: tuple[Call, Call] | None = None
    """What source and destination have been asked, once the call has returned."""
    returned_at_s: float | None = None
    """Since when neither the call nor a job has told that it goes on."""


class Migrations:
    """Runs migrations; at most one at a time for a VM."""

    def __init__(
        self,
        pollers: Mapping[str, HostPoller],
        store: Store,
        changed: Callable[[Migration], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`changed` is called from a foreign thread with each new state; it must only take note."""
        self._pollers = pollers
        self._store = store
        self._changed = changed
        self._clock = clock
        self._flights: dict[VmKey, _Flight] = {}
        self._lock = threading.Lock()

    def start(self, request: MigrationRequest) -> None:
        """Start moving a VM and return at once."""
        view = Migration(request, Phase.STARTING, self._clock(), command=_command(request, peer_to_peer=True))
        with self._lock:
            if request.key in self._flights:
                self._changed(replace(view, phase=Phase.FAILED, message="it is already on its way"))
                return
            try:
                call = self._launch(request, peer_to_peer=True)
            except HypervisorError as error:
                self._changed(replace(view, phase=Phase.FAILED, message=clean(str(error), 300)))
                return
            pending = self._store.begin(request.key, "migrating")
            probe = JobProbe(self._pollers[request.key.host], request.key.uuid, "migration")
            self._flights[request.key] = _Flight(view, call, pending, probe)
        _log.info("intent migrate %s (%s) from %s to %s", request.vm_name, *reversed(request.key), request.destination)
        self._changed(view)

    def watch(self, host: str) -> None:
        """Bring the migrations away from one host forward; called by its poller after every tick."""
        with self._lock:
            flights = [flight for key, flight in self._flights.items() if key.host == host]
        for flight in flights:
            if flight.call.done:
                self._verify(flight)
            else:
                self._progress(flight)

    def _launch(self, request: MigrationRequest, *, peer_to_peer: bool) -> Call:
        lanes = self._pollers[request.key.host].lanes

        def migrate(connection: Connection) -> None:
            now = connection.identity(request.key.uuid)
            if now.id != request.vm_id:
                raise HypervisorError("it is not in the same run any more as when the key was pressed")
            connection.migrate(request.key.uuid, request.destination, request.options, peer_to_peer=peer_to_peer)

        call = lanes.start_alone("act", f"migration {request.key.uuid}", migrate)
        call.future.add_done_callback(lambda _: self._pollers[request.key.host].wake())
        return call

    def _progress(self, flight: _Flight) -> None:
        job = flight.probe.poll()
        if job is not None:
            flight.moved_bytes = flight.moved_bytes or bool(job.bytes_per_s) or (job.iteration or 0) > 0
            flight.view = replace(flight.view, phase=Phase.RUNNING, job=job)
            self._changed(flight.view)

    def _verify(self, flight: _Flight) -> None:
        """The call has returned: find out where the VM is, and say only that; waits for no host."""
        now_s, request = self._clock(), flight.view.request
        if flight.returned_at_s is None:
            flight.returned_at_s = now_s
        if flight.questions is None:
            try:
                flight.questions = (self._ask(request.key.host, request), self._ask(request.destination, request))
            except HypervisorError as error:
                self._unanswered(flight, error, now_s)
            return
        for question, host in zip(flight.questions, (request.key.host, request.destination), strict=True):
            if not question.done:
                if time.monotonic() - question.submitted_at_s > _ANSWER_DEADLINE_S:
                    self._pollers[host].lanes.abandon(question)
                    flight.questions = None
                    self._unanswered(flight, CallTimedOut("no answer"), now_s)
                return
        answers, flight.questions = flight.questions, None
        try:
            source, destination = (settle(answer) for answer in answers)
        except HypervisorError as error:
            self._unanswered(flight, error, now_s)
        else:
            self._judge(flight, source, destination, now_s)

    def _ask(self, host: str, request: MigrationRequest) -> Call:
        call = self._pollers[host].lanes.start("jobs", lambda connection: _look(connection, request.key.uuid))
        call.future.add_done_callback(lambda _: self._pollers[request.key.host].wake())
        return call

    def _unanswered(self, flight: _Flight, error: HypervisorError, now_s: float) -> None:
        if now_s - (flight.returned_at_s or now_s) < _PATIENCE_S:
            self._show(flight, Phase.VERIFYING, f"asking both hosts where it is: {error}")
            return
        message = f"{_error_of(flight.call) or 'libvirt reports success'}; but a host does not answer: {error}"
        self._end(flight, Phase.UNKNOWN, message)

    def _judge(self, flight: _Flight, source: _Told, destination: _Told, now_s: float) -> None:
        error = _error_of(flight.call)
        lost = isinstance(error, LinkLost | CallTimedOut) and not isinstance(error, NotStarted)
        if source.job is not None and source.active:
            # The link to this client broke, not the one between the hosts: they go on by themselves.
            flight.returned_at_s = now_s
            self._pollers[flight.view.request.key.host].sampler.jobs[flight.view.request.key.uuid] = source.job
            flight.view = replace(flight.view, job=source.job)
            self._show(flight, Phase.RUNNING, "the link was lost; the hosts go on by themselves")
        elif destination.active and not source.active and (error is None or lost):
            self._end(flight, Phase.DONE, "")
        elif source.active and not destination.active and error is not None and not lost:
            self._not_moved(flight, error)
        elif now_s - (flight.returned_at_s or now_s) < _TIDYING_S:
            # Either side may still be tidying up, or about to begin.
            self._show(flight, Phase.VERIFYING, "asking both hosts where it is")
        elif source.active and not destination.active and error is not None:
            self._end(flight, Phase.FAILED, f"the link was lost: {error}")
        else:
            said = error or "libvirt reports success"
            self._end(flight, Phase.UNKNOWN, f"{said}; source: {source}, destination: {destination}")

    def _not_moved(self, flight: _Flight, error: HypervisorError) -> None:
        request = flight.view.request
        if isinstance(error, JobCancelled):
            self._end(flight, Phase.CANCELLED, "")
        elif isinstance(error, MigrationUnsafe):
            self._end(flight, Phase.FAILED, f"{error}; copy its disks instead")
        elif flight.view.peer_to_peer and not flight.moved_bytes and type(error) is HypervisorError:
            # Peer to peer needs the source's daemon to reach the destination; this client can reach both.
            _log.info("peer-to-peer migration of %s failed: %s", request.vm_name, error)
            try:
                flight.call = self._launch(request, peer_to_peer=False)
            except HypervisorError as stuck:
                self._end(flight, Phase.FAILED, str(stuck))
                return
            flight.returned_at_s = None
            flight.view = replace(flight.view, peer_to_peer=False, command=_command(request, peer_to_peer=False))
            self._show(flight, Phase.STARTING, f"peer to peer failed ({error}); trying managed by kvmtui")
        else:
            self._end(flight, Phase.FAILED, str(error))

    def _show(self, flight: _Flight, phase: Phase, message: str) -> None:
        flight.view = replace(flight.view, phase=phase, message=clean(message, 300))
        self._changed(flight.view)

    def _end(self, flight: _Flight, phase: Phase, message: str) -> None:
        request = flight.view.request
        with self._lock:
            del self._flights[request.key]
        _log.info("outcome migrate %s: %s %s", request.vm_name, phase.value, message)
        flight.probe.end()
        self._pollers[request.destination].wake()
        self._store.end(flight.pending)
        self._show(flight, phase, message)


def _look(connection: Connection, uuid: str) -> _Told:
    """Return what one host knows of a VM."""
    try:
        identity = connection.identity(uuid)
        return _Told(identity, connection.job(uuid) if identity.state.active else None)
    except VmGone:
        return _Told(None, None)


def _error_of(call: Call) -> HypervisorError | None:
    """Return why the migration's own call failed, or None."""
    error = call.future.exception()
    if error is None or isinstance(error, HypervisorError):
        return error
    return HypervisorError("an internal error; run with --log FILE to see it")


def _command(request: MigrationRequest, *, peer_to_peer: bool) -> str:
    flags = ["--live", "--persistent", "--undefinesource"]
    flags += ["--p2p"] if peer_to_peer else []
    flags += ["--copy-storage-all"] if request.options.copy_disks else []
    return virsh_line(request.key.host, "migrate", request.vm_name, request.key.uuid, request.destination, *flags)
