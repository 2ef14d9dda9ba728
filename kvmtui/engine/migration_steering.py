"""Steering a migration under way, and mending one that ended badly: calls that nobody waits for."""

import time
from collections.abc import Callable, Mapping, Sequence

from kvmtui.engine.audit import Entry
from kvmtui.engine.migration_flight import Errand, Flight
from kvmtui.engine.poller import HostPoller
from kvmtui.hypervisor.errors import CallTimedOut, HypervisorError, InvalidState
from kvmtui.hypervisor.lanes import settle
from kvmtui.hypervisor.protocol import Connection
from kvmtui.model.migration import MigrationRequest, Phase, RepairKind, Steer
from kvmtui.model.migration_repairs import at_destination
from kvmtui.model.vm import VmState

_DEADLINE_S = 10.0


def possible(flight: Flight, state: VmState | None) -> frozenset[Steer]:
    """Return what can be done to a migration now; `state` is the VM's at the source, where that is known."""
    phase, options = flight.view.phase, flight.view.request.options
    if phase in (Phase.QUEUED, Phase.STARTING, Phase.VERIFYING):
        return frozenset({Steer.ABORT})
    if phase is not Phase.RUNNING:
        return frozenset()
    if flight.post_copy:
        # There is no way back any more: each host has a part of the memory.
        return frozenset({Steer.BANDWIDTH})
    found = {Steer.BANDWIDTH, Steer.DOWNTIME, Steer.ABORT}
    if options.post_copy and not flight.post_copy_due and not flight.view.adopted:
        found.add(Steer.POST_COPY)
    if state is not None and state.executing:
        found.add(Steer.PAUSE_GUEST)
    return frozenset(found)


def steering_words(what: Steer, value: int | None) -> str:
    """Return what was done."""
    match what:
        case Steer.DOWNTIME:
            return f"the guest may stand still for {value} ms"
        case Steer.BANDWIDTH:
            return f"at most {value} MiB/s" if value else "no limit on the bandwidth"
        case Steer.POST_COPY:
            return "switching to post-copy"
        case Steer.PAUSE_GUEST:
            return "the guest is paused until it has arrived"
        case Steer.ABORT:
            return "aborting"


def value_problem(what: Steer, value: int | None) -> str:
    """Return why a value cannot be taken, or ""."""
    if what is Steer.DOWNTIME and (value is None or value < 1):
        return "the downtime has to be at least 1 ms"
    if what is Steer.BANDWIDTH and (value is None or value < 0):
        return "the bandwidth has to be 0, for no limit, or more"
    return ""


class Errands:
    """Sends the calls that steer or mend, each by the lane for acting of the host it is for."""

    def __init__(
        self,
        pollers: Mapping[str, HostPoller],
        intent: Callable[[MigrationRequest, str, str, Sequence[str]], Entry],
        done: Callable[[Flight], None],
    ) -> None:
        """`intent` tells the audit what is about to be done, and at which host.

        `done` is called from a foreign thread when a call has returned; it must only take note."""
        self._pollers = pollers
        self._intent = intent
        self._done = done

    def steer(self, flight: Flight, what: Steer, value: int | None = None) -> None:
        """Send a change of a migration on its way; raises where the host's lanes hang."""
        key = flight.view.request.key
        self._send(flight, what, value, key.host, lambda connection: connection.steer(key.uuid, what, value))

    def mend(self, flight: Flight, kind: RepairKind, vm_id: int | None, left: Mapping[str, int]) -> None:
        """Send a repair, to be done only while the VM is in that run on the host it is made at.

        `left` are the copies that may be deleted, as `Connection.delete_volumes` takes them.
        """
        request = flight.view.request
        uuid = request.key.uuid

        def call(connection: Connection) -> None:
            if kind is RepairKind.DELETE_COPIES:
                connection.delete_volumes(left)
                return
            if connection.identity(uuid).id != vm_id:
                raise HypervisorError("it has changed since both hosts were asked: nothing is done")
            connection.repair(uuid, kind, request.destination)

        host = request.destination if at_destination(kind) else request.key.host
        self._send(flight, kind, None, host, call)

    def take(self, flight: Flight) -> list[tuple[Errand, HypervisorError | None]]:
        """Return the errands that are done, and why each failed."""
        done: list[tuple[Errand, HypervisorError | None]] = []
        for errand in tuple(flight.errands):
            error: HypervisorError | None = None
            if errand.call.done:
                try:
                    settle(errand.call)
                except HypervisorError as failure:
                    error = failure
            elif time.monotonic() - errand.call.submitted_at_s > _DEADLINE_S:
                self._pollers[errand.host].lanes.abandon(errand.call)
                error = CallTimedOut(f"no answer for {_DEADLINE_S:.0f} s; it may still happen")
            else:
                continue
            flight.errands.remove(errand)
            errand.entry.outcome("done" if error is None else "failed", "" if error is None else str(error))
            done.append((errand, error))
        return done

    def _send(
        self,
        flight: Flight,
        what: Steer | RepairKind,
        value: int | None,
        host: str,
        call: Callable[[Connection], None],
    ) -> None:
        flags = () if value is None else (str(value),)
        entry = self._intent(flight.view.request, host, f"migration: {what.value}", flags)

        def act(connection: Connection) -> None:
            entry.wait()
            call(connection)

        try:
            sent = self._pollers[host].lanes.start("act", act)
        except HypervisorError as error:
            entry.outcome("failed", str(error))
            raise
        flight.errands.append(Errand(what, value, sent, host, entry))
        sent.future.add_done_callback(lambda _: self._done(flight))


def too_early(errand: Errand, error: HypervisorError | None) -> bool:
    """Return whether an abort came before libvirt had begun the job, and has to be tried again."""
    return errand.what is Steer.ABORT and isinstance(error, InvalidState)
