"""Actions under way: submitted by the screen, run on lanes, watched by pollers, ended with one result each."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kvmtui.engine.store import Pending, Store
from kvmtui.hypervisor.errors import CallTimedOut, HypervisorError, InvalidState, LinkLost, VmGone
from kvmtui.hypervisor.lanes import Call, HostLanes, settle
from kvmtui.hypervisor.protocol import Connection
from kvmtui.model.actions import Action, ActionRequest, ActionResult, Outcome, virsh_line
from kvmtui.model.clean import clean
from kvmtui.model.vm import VmKey, VmState

_log = logging.getLogger(__name__)
_ANSWER_DEADLINE_S = 60.0
_FOLLOW_DEADLINE_S = 90.0


@dataclass(slots=True, eq=False)
class _Flight:
    """One request under way."""

    request: ActionRequest
    call: Call
    pending: Pending
    deadline_s: float | None
    following: bool = False
    ended: bool = False


class Actions:
    """Runs actions; at most one at a time for a VM."""

    def __init__(
        self,
        lanes: Mapping[str, HostLanes],
        store: Store,
        finished: Callable[[ActionResult], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`finished` is called from a foreign thread with every result; it must only take note."""
        self._lanes = lanes
        self._store = store
        self._finished = finished
        self._clock = clock
        self._flights: dict[VmKey, _Flight] = {}
        self._lock = threading.Lock()

    def submit(self, request: ActionRequest) -> None:
        """Start `request` and return at once."""
        with self._lock:
            earlier = self._flights.get(request.key)
            # A guest that ignores a shutdown can be asked again, or forced off, while it is still being followed.
            if earlier is not None and not earlier.following:
                self._report(request, Outcome.REFUSED, f"{earlier.request.action.pending} is still under way")
                return
            if earlier is not None:
                earlier.ended = True
                self._store.end(earlier.pending)
            lanes = self._lanes[request.key.host]
            _log.info("intent %s of %s (%s) on %s", request.action.id, request.vm_name, *reversed(request.key))
            try:
                if request.action.own_lane:
                    name = f"{request.action.id} {request.key.uuid}"
                    call = lanes.start_alone("act", name, lambda connection: _perform(connection, request))
                else:
                    call = lanes.start("act", lambda connection: _perform(connection, request))
            except HypervisorError as error:
                self._report(request, Outcome.FAILED, str(error))
                return
            deadline_s = None if request.action.own_lane else self._clock() + _ANSWER_DEADLINE_S
            pending = self._store.begin(request.key, request.action.pending)
            flight = self._flights[request.key] = _Flight(request, call, pending, deadline_s)
        call.future.add_done_callback(lambda _: self._answered(flight))

    def watch(self, host: str) -> None:
        """Look after deadlines and followed guests of one host; called by its poller after every tick."""
        with self._lock:
            flights = [flight for key, flight in self._flights.items() if key.host == host]
        for flight in flights:
            late = flight.deadline_s is not None and self._clock() > flight.deadline_s
            if flight.following:
                self._follow(flight, late=late)
            elif late and not flight.call.done:
                self._lanes[host].abandon(flight.call)
                message = f"no answer for {_ANSWER_DEADLINE_S:.0f} s; it may still happen"
                self._end(flight, Outcome.UNKNOWN, message)

    def _answered(self, flight: _Flight) -> None:
        """Take the lane's answer; runs in the lane's thread."""
        request = flight.request
        try:
            settle(flight.call)
        except _Changed as error:
            self._end(flight, Outcome.REFUSED, str(error))
        except VmGone:
            self._end(flight, Outcome.REFUSED, "it no longer exists on this host")
        except InvalidState as error:
            self._end(flight, Outcome.REFUSED, str(error))
        except (LinkLost, CallTimedOut) as error:
            self._end(flight, Outcome.UNKNOWN, f"the link broke before the answer, so it may have happened: {error}")
        except HypervisorError as error:
            self._end(flight, Outcome.FAILED, str(error))
        except Exception:  # noqa: BLE001 - whatever it was, the row must not stay pending
            _log.exception("action %s", request.action.id)
            self._end(flight, Outcome.FAILED, "an internal error; see the log")
        else:
            if request.action.ends_in is None:
                self._end(flight, Outcome.DONE, "")
            else:
                flight.deadline_s = self._clock() + _FOLLOW_DEADLINE_S
                flight.following = True

    def _follow(self, flight: _Flight, *, late: bool) -> None:
        """See whether a guest that was asked to shut down has."""
        request = flight.request
        host = self._store.fleet.hosts.get(request.key.host)
        vm = self._store.fleet.vm(request.key)
        # A transient VM is gone once it is off; another id means it was off in between.
        over = host is not None and (vm is None or vm.state is request.action.ends_in or vm.id != request.vm_id)
        if over:
            self._end(flight, Outcome.DONE, "")
        elif late:
            message = f"the guest has not obeyed in {_FOLLOW_DEADLINE_S:.0f} s and may ignore it; K forces it off"
            self._end(flight, Outcome.UNKNOWN, message)

    def _end(self, flight: _Flight, outcome: Outcome, message: str) -> None:
        with self._lock:
            if self._flights.get(flight.request.key) is flight:
                del self._flights[flight.request.key]
            current = not flight.ended
            flight.ended = True
        if not current:
            _log.info("late answer to %s: %s %s", flight.request.action.id, outcome.value, message)
            return
        self._store.end(flight.pending)
        self._report(flight.request, outcome, message)

    def _report(self, request: ActionRequest, outcome: Outcome, message: str) -> None:
        _log.info("outcome %s of %s: %s %s", request.action.id, request.vm_name, outcome.value, message)
        verb = request.action.verb
        command = "" if verb is None else virsh_line(request.key.host, verb, request.vm_name, request.key.uuid)
        self._finished(ActionResult(request, outcome, clean(message, 300), command))


class _Changed(HypervisorError):
    """The VM is no longer what it was when the key was pressed."""


def _perform(connection: Connection, request: ActionRequest) -> None:
    """Do the action, provided that the VM is still as the user saw it."""
    action: Action = request.action
    if action.verb is None:
        raise NotImplementedError(action.id)
    now = connection.identity(request.key.uuid)
    if now.state not in action.states:
        raise _Changed(f"it is {now.state} now")
    if now.id != request.vm_id:
        was_off = VmState.SHUT_OFF if request.vm_id == -1 else "in another run"
        raise _Changed(f"it was {was_off} when the key was pressed")
    if action.needs_persistent and not now.persistent:
        raise _Changed("it is transient: it has no stored definition")
    if action.autostart is not None and now.autostart is not action.autostart:
        raise _Changed(f"autostart is {'on' if now.autostart else 'off'} already")
    connection.perform(action.verb, request.key.uuid)
