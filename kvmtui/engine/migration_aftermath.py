"""What becomes of migrations that have ended: a repair that was asked for, and an end that is found out late."""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from kvmtui.engine.migration_end import Judgement, Told, judge, unanswered
from kvmtui.engine.migration_flight import Flight
from kvmtui.engine.migration_steering import Errands
from kvmtui.engine.poller import HostPoller
from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.model.migration import Migration, Phase, RepairKind
from kvmtui.model.migration_options import DiskMove
from kvmtui.model.migration_repairs import at_destination
from kvmtui.model.vm import VmKey

_log = logging.getLogger(__name__)
_REMEMBERED = 200


class Aftermath:
    """The migrations that have ended; all its methods are called under the lock of `Migrations`."""

    def __init__(
        self,
        pollers: Mapping[str, HostPoller],
        errands: Errands,
        changed: Callable[[Migration], None],
        call: Callable[[Flight], None],
        recover: Callable[[Flight], None],
        clock: Callable[[], float],
    ) -> None:
        """`call` has `look` called for a flight before long; `recover` takes one away to go on with its post-copy."""
        self.ended: deque[Flight] = deque(maxlen=_REMEMBERED)
        """Newest first."""
        self.restless: dict[Flight, None] = {}
        """Those of which something is still to be found out or mended."""
        self._pollers = pollers
        self._errands = errands
        self._changed = changed
        self._call = call
        self._recover = recover
        self._clock = clock

    def add(self, flight: Flight) -> None:
        """Keep a migration that has just ended; who was kept longest goes, and is looked after no more."""
        if len(self.ended) == _REMEMBERED:
            self.restless.pop(self.ended[-1], None)
        self.ended.appendleft(flight)
        self.restless[flight] = None

    def take_back(self, flight: Flight) -> None:
        """Let go of one that is under way again."""
        self.ended.remove(flight)
        self.restless.pop(flight, None)

    def repair(self, key: VmKey, kind: RepairKind) -> None:
        """Begin a repair: both hosts are asked again first."""
        flight = next((flight for flight in self.ended if flight.view.request.key == key), None)
        if flight is None or flight.repairing is not None or kind not in [offer.kind for offer in flight.view.repairs]:
            return
        _log.info("intent repair (%s) of migrating %s", kind.value, flight)
        self.restless[flight] = None
        flight.repairing, flight.sides, flight.ask_at_s = kind, None, self._clock()
        self._show(flight, f"{kind.value}: asking both hosts first")
        self.look(flight)

    def old_copies(self, uuid: str, host: str) -> frozenset[str]:
        """Return the paths on a host that moves of this run have left to nobody's use.

        There a VM's disks were until they were copied away, or are copies of them that were not finished. What was
        done without kvmtui is not known: the way back ends where two moves do not fit together.
        """
        present: str | None = None
        now: str | None = None
        found: set[str] = set()
        for flight in self.ended:
            request, done = flight.view.request, flight.view.phase is Phase.DONE
            if request.key.uuid != uuid:
                continue
            after = request.destination if done else request.key.host
            if flight.view.phase is Phase.UNKNOWN or now not in (None, after):
                break
            present, now = present or after, request.key.host
            left, paths = (request.key.host, flight.paths) if done else (request.destination, tuple(flight.absent))
            if left == host and request.options.disks is DiskMove.COPY:
                found.update(paths)
        # Where it is now, it has its disks in use.
        return frozenset() if present == host else frozenset(found)

    def supersede(self, uuid: str) -> None:
        """Take note that a VM is on its way again."""
        for flight in self.ended:
            if flight.view.request.key.uuid == uuid:
                before, flight.superseded, flight.look_again = flight.view, True, False
                # By now the VM may use them again.
                flight.show(flight.view.phase, left_behind=())
                if flight.ended_as is not None and flight.ended_as.copies:
                    flight.show(flight.view.phase, flight.ended_as.message)
                if flight.view != before:
                    self._changed(flight.view)

    def mended(self, flight: Flight, kind: RepairKind, outcome: str, *, done: bool) -> None:
        """Take note of how a repair ended, and ask both hosts how it stands now."""
        self.restless[flight] = None
        flight.repairing, flight.look_again = None, True
        flight.sides, flight.ask_at_s = None, self._clock()
        if done:
            # What else can be done is offered when both have told.
            flight.show(flight.view.phase, repairs=())
        self._show(flight, f"{kind.value}: {outcome}")

    def look(self, flight: Flight) -> None:
        """Go on with what is to be found out or mended; waits for no host."""
        if flight.errands:
            return
        if flight.repairing is None:
            unknown = flight.view.phase is Phase.UNKNOWN and not flight.superseded
            if not (flight.look_again or unknown or flight.copies_left):
                self.restless.pop(flight, None)
                return
            sides = flight.view.request.key.host, flight.view.request.destination
            if flight.sides is None and not all(self._pollers[host].up for host in sides):
                # The poller asks a host that is away more and more seldom; this is not to ask in its stead.
                return
        answers = flight.ask(self._pollers, self._clock(), partial(self._call, flight))
        if answers is None:
            return
        source, destination = answers
        if not isinstance(source, Told) or not isinstance(destination, Told):
            self._unanswered(flight, source, destination)
            return
        judgement = judge(flight.case(settled=True), source, destination)
        kind = flight.repairing
        if kind is None:
            self._find_out(flight, judgement)
        elif kind in [offer.kind for offer in judgement.repairs]:
            self._mend(flight, kind, source, destination)
        else:
            flight.repairing = None
            words = f"{kind.value}: nothing was done, for now it is: source: {source}; destination: {destination}"
            _log.info("outcome repair of migrating %s: %s", flight, words)
            self._show(flight, words, judgement)

    def _unanswered(self, flight: Flight, source: Told | HypervisorError, destination: Told | HypervisorError) -> None:
        kind, flight.repairing = flight.repairing, None
        if kind is not None:
            said = unanswered(flight.case(settled=True), source, destination).message
            self._show(flight, f"{kind.value}: nothing was done; {said}")

    def _find_out(self, flight: Flight, judgement: Judgement) -> None:
        """Say how it ended, where that is known only now."""
        after, flight.look_again = flight.look_again, False
        if not after and flight.view.phase is not Phase.UNKNOWN:
            self._look_at_copies(flight, judgement)
            return
        if judgement.phase.ended and (after or judgement.phase is not Phase.UNKNOWN):
            _log.info("outcome migrate %s: %s %s", flight, judgement.phase.value, judgement.message)
            said = [flight.view.message if after else "", judgement.words]
            self._show(flight, "; ".join(filter(None, said)), judgement)

    def _look_at_copies(self, flight: Flight, judgement: Judgement) -> None:
        """Say what there is of unfinished copies; how it ended was proven before, whatever came after."""
        ended = flight.ended_as
        if ended is None or judgement.phase is not flight.view.phase:
            flight.superseded = True
            return
        before, flight.ended_as = flight.view, replace(ended, copies=judgement.copies)
        deletes = [each for each in judgement.repairs if each.kind is RepairKind.DELETE_COPIES]
        others = [each for each in before.repairs if each.kind is not RepairKind.DELETE_COPIES]
        flight.show(before.phase, flight.ended_as.words, repairs=(*others, *deletes))
        if flight.view != before:
            self._changed(flight.view)

    def _mend(self, flight: Flight, kind: RepairKind, source: Told, destination: Told) -> None:
        if kind is RepairKind.RECOVER_POST_COPY:
            flight.repairing = None
            self._recover(flight)
            return
        side = destination if at_destination(kind) else source
        vm_id = None if side.identity is None else side.identity.id
        try:
            left = {path: size for path, size in flight.absent.items() if path in destination.volumes}
            self._errands.mend(flight, kind, vm_id, left)
        except HypervisorError as error:
            flight.repairing = None
            self._show(flight, f"{kind.value}: {error}")

    def _show(self, flight: Flight, message: str, judgement: Judgement | None = None) -> None:
        if judgement is None or not judgement.phase.ended:
            flight.show(flight.view.phase, message)
        else:
            flight.ended_as = judgement
            flight.show(judgement.phase, message, repairs=judgement.repairs, astray=judgement.astray)
            flight.show(judgement.phase, left_behind=flight.left_behind)
            flight.told_end()
        self._changed(flight.view)
