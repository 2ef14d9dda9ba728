"""Migrations under way: each call on a lane of its own, progress polled, the end proven by asking both hosts."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from kvmtui.engine.poller import HostPoller
from kvmtui.engine.store import Pending, Store
from kvmtui.hypervisor.errors import CallTimedOut, HypervisorError, JobCancelled, MigrationUnsafe, VmGone
from kvmtui.hypervisor.lanes import Call, settle
from kvmtui.hypervisor.protocol import Connection
from kvmtui.hypervisor.samples import Identity
from kvmtui.model.actions import virsh_line
from kvmtui.model.clean import clean
from kvmtui.model.migration import Migration, MigrationRequest, Phase
from kvmtui.model.vm import Job, VmKey

_log = logging.getLogger(__name__)
_VERIFY_DEADLINE_S = 10.0
_JOB_DEADLINE_S = 10.0
_VERIFY_TRIES = 5


@dataclass(slots=True, eq=False)
class _Flight:
    """One migration and the calls that belong to it."""

    view: Migration
    call: Call
    pending: Pending
    job_call: Call | None = None
    moved_bytes: bool = False
    """Whether any guest data was seen to move, after which no second way is tried."""
    error: HypervisorError | None = None
    tries: int = 0


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
            self._flights[request.key] = _Flight(view, call, self._store.begin(request.key, "migrating"))
        _log.info("intent migrate %s (%s) from %s to %s", request.vm_name, *reversed(request.key), request.destination)
        self._changed(view)

    def watch(self, host: str) -> None:
        """Bring the migrations away from one host forward; called by its poller after every tick."""
        with self._lock:
            flights = [flight for key, flight in self._flights.items() if key.host == host]
        for flight in flights:
            self._poll_job(flight)
            if flight.call.done:
                self._verify(flight)

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

    def _poll_job(self, flight: _Flight) -> None:
        """Take the job's last answer and ask again; a question that hangs costs its lane, not the poller."""
        key, lanes = flight.view.request.key, self._pollers[flight.view.request.key.host].lanes
        call = flight.job_call
        if call is not None and call.done:
            flight.job_call = None
            try:
                job: Job | None = settle(call)
            except HypervisorError:
                # A domain that just left has no job to tell of; the migration's own call says what happened.
                job = None
            if job is not None and not flight.call.done:
                flight.moved_bytes = flight.moved_bytes or bool(job.bytes_per_s) or (job.iteration or 0) > 0
                self._pollers[key.host].sampler.jobs[key.uuid] = job
                flight.view = replace(flight.view, phase=Phase.RUNNING, job=job)
                self._changed(flight.view)
        elif call is not None:
            if time.monotonic() - call.submitted_at_s > _JOB_DEADLINE_S:
                lanes.abandon(call)
                flight.job_call = None
            return
        if not flight.call.done:
            try:
                flight.job_call = lanes.start("jobs", lambda connection: connection.job(key.uuid))
            except CallTimedOut as error:
                _log.warning("%s: no job figures: %s", key.host, error)

    def _verify(self, flight: _Flight) -> None:
        """The call has returned: find out where the VM is, and say only that."""
        request = flight.view.request
        try:
            settle(flight.call)
            flight.error = None
        except HypervisorError as error:
            flight.error = error
        except Exception:  # noqa: BLE001 - whatever it was, the row must not stay pending
            _log.exception("migration of %s", request.vm_name)
            flight.error = HypervisorError("an internal error; see the log")
        flight.tries += 1
        try:
            source = self._identity(request.key.host, request.key.uuid)
            destination = self._identity(request.destination, request.key.uuid)
        except HypervisorError as error:
            if flight.tries < _VERIFY_TRIES:
                self._show(flight, Phase.VERIFYING, f"asking both hosts where it is: {error}")
            else:
                self._end(flight, Phase.UNKNOWN, f"{flight.error or 'moved'}; but a host does not answer: {error}")
            return
        self._judge(flight, source, destination)

    def _judge(self, flight: _Flight, source: Identity | None, destination: Identity | None) -> None:
        error = flight.error
        at_source = source is not None and source.state.active
        at_destination = destination is not None and destination.state.active
        if error is None and at_destination and not at_source:
            self._end(flight, Phase.DONE, "")
        elif error is not None and at_source and not at_destination:
            self._not_moved(flight, error)
        elif flight.tries < _VERIFY_TRIES:
            # Either side may still be tidying up.
            self._show(flight, Phase.VERIFYING, "asking both hosts where it is")
        else:
            where = f"source: {_told(source)}, destination: {_told(destination)}"
            self._end(flight, Phase.UNKNOWN, f"{error or 'libvirt reports success'}; {where}")

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
            flight.tries = 0
            flight.view = replace(flight.view, peer_to_peer=False, command=_command(request, peer_to_peer=False))
            self._show(flight, Phase.STARTING, f"peer to peer failed ({error}); trying managed by kvmtui")
        else:
            self._end(flight, Phase.FAILED, str(error))

    def _identity(self, host: str, uuid: str) -> Identity | None:
        """Return what `host` knows of the VM; None: it knows it is not there."""
        try:
            return self._pollers[host].lanes.run(
                "watch", lambda connection: connection.identity(uuid), _VERIFY_DEADLINE_S
            )
        except VmGone:
            return None

    def _show(self, flight: _Flight, phase: Phase, message: str) -> None:
        flight.view = replace(flight.view, phase=phase, message=clean(message, 300))
        self._changed(flight.view)

    def _end(self, flight: _Flight, phase: Phase, message: str) -> None:
        request = flight.view.request
        with self._lock:
            del self._flights[request.key]
        _log.info("outcome migrate %s: %s %s", request.vm_name, phase.value, message)
        self._pollers[request.key.host].sampler.jobs.pop(request.key.uuid, None)
        self._pollers[request.destination].wake()
        self._store.end(flight.pending)
        self._show(flight, phase, message)


def _told(identity: Identity | None) -> str:
    return "not there" if identity is None else str(identity.state)


def _command(request: MigrationRequest, *, peer_to_peer: bool) -> str:
    flags = ["--live", "--persistent", "--undefinesource"]
    flags += ["--p2p"] if peer_to_peer else []
    flags += ["--copy-storage-all"] if request.options.copy_disks else []
    return virsh_line(request.key.host, "migrate", request.vm_name, request.key.uuid, request.destination, *flags)
