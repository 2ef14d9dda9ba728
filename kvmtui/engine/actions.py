"""Actions under way: submitted by the screen, run on lanes, watched by pollers, ended with one result each."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kvmtui.engine.audit import Audit, Entry
from kvmtui.engine.job_probe import JobProbe
from kvmtui.engine.poller import HostPoller
from kvmtui.engine.store import Pending, Store
from kvmtui.hypervisor.errors import CallTimedOut, HypervisorError, InvalidState, LinkLost, NotStarted, VmGone
from kvmtui.hypervisor.lanes import Call, settle
from kvmtui.hypervisor.protocol import Connection
from kvmtui.model.actions import ActionRequest, ActionResult, Outcome, virsh_line
from kvmtui.model.clean import clean
from kvmtui.model.host import Link

_log = logging.getLogger(__name__)
_ANSWER_DEADLINE_S = 60.0
_FOLLOW_DEADLINE_S = 90.0


@dataclass(slots=True, eq=False)
class _Flight:
    """One request under way."""

    request: ActionRequest
    entry: Entry
    pending: Pending
    deadline_s: float | None
    call: Call | None = None
    probe: JobProbe | None = None
    following: bool = False
    """Whether libvirt has taken it, and the guest's own part is waited for."""
    ended: bool = False
    """Whether its result has been told: what has not been done by then must not be done any more."""


class Actions:
    """Runs actions; at most one at a time for a VM, but for those that interrupt."""

    def __init__(
        self,
        pollers: Mapping[str, HostPoller],
        store: Store,
        finished: Callable[[ActionResult], None],
        audit: Audit,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`finished` is called from a foreign thread with every result; it must only take note."""
        self._pollers = pollers
        self._store = store
        self._finished = finished
        self._audit = audit
        self._clock = clock
        self._flights: list[_Flight] = []
        self._lock = threading.RLock()

    def submit(self, request: ActionRequest) -> None:
        """Start `request` and return at once."""
        action, key = request.action, request.key
        with self._lock:
            earlier = [flight for flight in self._flights if flight.request.key == key]
            busy = [flight for flight in earlier if not flight.following]
            if busy and not action.interrupts:
                self._report(request, Outcome.REFUSED, f"{busy[0].request.action.pending} is still under way")
                return
            # A guest that ignores a shutdown can be asked again, or forced off; then only that is told of.
            for flight in earlier:
                if flight.following:
                    self._end(flight, Outcome.UNKNOWN, f"not followed any further: {action.label} was asked for")
            deadline_s = None if action.own_lane else self._clock() + _ANSWER_DEADLINE_S
            flight = _Flight(request, self._intent(request), self._store.begin(key, action.pending), deadline_s)
            self._flights.append(flight)
        _log.info("intent %s of %s (%s) on %s", action.id, request.vm_name, *reversed(key))
        poller = self._pollers[key.host]
        try:
            if action.own_lane:
                name = f"{action.id} {key.uuid}"
                flight.call = poller.lanes.start_alone("act", name, lambda connection: _perform(connection, flight))
            else:
                flight.call = poller.lanes.start("act", lambda connection: _perform(connection, flight))
        except HypervisorError as error:
            self._end(flight, Outcome.FAILED, str(error))
            return
        if action.has_job:
            flight.probe = JobProbe(poller, key.uuid, action.pending)
        flight.call.future.add_done_callback(lambda _: self._answered(flight))

    def _intent(self, request: ActionRequest) -> Entry:
        facts = getattr(self._store.fleet.hosts.get(request.key.host), "facts", None)
        verb, *flags = (request.action.verb or request.action.id).split(" ")
        host_uuid = "" if facts is None else facts.uuid
        return self._audit.intent(verb, request.key, request.vm_name, host_uuid=host_uuid, flags=flags)

    def watch(self, host: str) -> None:
        """Look after deadlines, jobs and followed guests of one host; called by its poller after every tick."""
        with self._lock:
            flights = [flight for flight in self._flights if flight.request.key.host == host]
        for flight in flights:
            late = flight.deadline_s is not None and self._clock() > flight.deadline_s
            if flight.probe is not None:
                flight.probe.poll()
            if flight.following:
                self._follow(flight, late=late)
            elif late and flight.call is not None and not flight.call.done:
                self._end(flight, Outcome.UNKNOWN, f"no answer for {_ANSWER_DEADLINE_S:.0f} s; it may still happen")
                self._pollers[host].lanes.abandon(flight.call)

    def _answered(self, flight: _Flight) -> None:
        """Take the lane's answer; runs in the lane's thread."""
        action = flight.request.action
        try:
            if flight.call is not None:
                settle(flight.call)
        except _Changed as error:
            self._end(flight, Outcome.REFUSED, str(error))
        except VmGone:
            self._end(flight, Outcome.REFUSED, "it no longer exists on this host")
        except InvalidState as error:
            self._end(flight, Outcome.REFUSED, str(error))
        except NotStarted as error:
            self._end(flight, Outcome.FAILED, f"nothing was done: {error}")
        except (LinkLost, CallTimedOut) as error:
            self._end(flight, Outcome.UNKNOWN, f"the link broke before the answer, so it may have happened: {error}")
        except HypervisorError as error:
            self._end(flight, Outcome.FAILED, str(error))
        except Exception:  # noqa: BLE001 - whatever it was, the row must not stay pending
            _log.exception("action %s", action.id)
            self._end(flight, Outcome.FAILED, "an internal error; run with --log FILE to see it")
        else:
            if action.ends_in is None:
                self._end(flight, Outcome.DONE, "")
            else:
                flight.deadline_s = self._clock() + _FOLLOW_DEADLINE_S
                flight.following = True

    def _follow(self, flight: _Flight, *, late: bool) -> None:
        """See whether a guest that was asked to shut down has."""
        request = flight.request
        host = self._store.fleet.hosts.get(request.key.host)
        if host is None or host.link is not Link.UP:
            return
        vm = self._store.fleet.vm(request.key)
        if vm is None:
            self._end(flight, Outcome.DONE, "it is not defined on this host any more")
        # Another id means that it was off in between.
        elif vm.state is request.action.ends_in or vm.id != request.vm_id:
            self._end(flight, Outcome.DONE, "")
        elif late:
            message = f"the guest has not obeyed in {_FOLLOW_DEADLINE_S:.0f} s and may ignore it; K forces it off"
            self._end(flight, Outcome.UNKNOWN, message)

    def _end(self, flight: _Flight, outcome: Outcome, message: str) -> None:
        # Also when it comes late: what was called unknown is then known.
        flight.entry.outcome(outcome.value, message)
        if self._close(flight):
            self._report(flight.request, outcome, message)
        else:
            _log.info("late answer to %s: %s %s", flight.request.action.id, outcome.value, message)

    def _close(self, flight: _Flight) -> bool:
        """Let go of a flight; return whether it had not been let go of before."""
        with self._lock:
            if flight.ended:
                return False
            flight.ended = True
            self._flights.remove(flight)
        if flight.probe is not None:
            flight.probe.end()
        self._store.end(flight.pending)
        return True

    def _report(self, request: ActionRequest, outcome: Outcome, message: str) -> None:
        _log.info("outcome %s of %s: %s %s", request.action.id, request.vm_name, outcome.value, message)
        verb = request.action.verb
        command = "" if verb is None else virsh_line(request.key.host, verb, request.vm_name, request.key.uuid)
        self._finished(ActionResult(request, outcome, clean(message, 300), command))


class _Changed(HypervisorError):
    """The VM is no longer what it was when the key was pressed."""


def _perform(connection: Connection, flight: _Flight) -> None:
    """Do the action, provided that the VM is still as the user saw it."""
    request, action = flight.request, flight.request.action
    if action.verb is None:
        raise NotImplementedError(action.id)
    try:
        now = connection.identity(request.key.uuid)
    except LinkLost as error:
        raise NotStarted(str(error)) from error
    if now.state not in action.states:
        raise _Changed(f"it is {now.state} now")
    if now.id != request.vm_id:
        was = "off" if request.vm_id == -1 else "in another run"
        raise _Changed(f"it was {was} when the key was pressed")
    if action.needs_persistent and not now.persistent:
        raise _Changed("it is transient: it has no stored definition")
    if action.autostart is not None and now.autostart is not action.autostart:
        raise _Changed(f"autostart is {'on' if now.autostart else 'off'} already")
    flight.entry.wait()
    if flight.ended:
        raise NotStarted("given up before the host answered")
    connection.perform(action.verb, request.key.uuid)
