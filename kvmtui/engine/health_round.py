"""One look at one host's health: what hangs is named and left behind, and the look goes on with the rest."""

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from kvmtui.hypervisor.errors import CallTimedOut, HypervisorError
from kvmtui.hypervisor.health_book import HealthBook, HeardErrors
from kvmtui.hypervisor.lanes import Call, HostLanes, settle
from kvmtui.model.clean import clean
from kvmtui.model.health import MACHINE, NETWORKS, OFFER, POOLS, VMS, HostHealth, HostOffer, Machine

LANE = "health"
ITEM_S = 3.0
"""How long one item may take."""
_CONNECT_S = 15.0


class HealthRound:
    """A look that is under way; used by one thread, which calls `advance` again and again."""

    def __init__(
        self,
        lanes: HostLanes,
        clock: Callable[[], float],
        *,
        wake: Callable[[], None] = lambda: None,
        looked_at: Callable[[str], float] = lambda uuid: 0.0,
        skip: frozenset[str] = frozenset(),
        vms_for_s: float = 2.0,
        heard: HeardErrors | None = None,
    ) -> None:
        """`wake` is called from a foreign thread when there may be something to advance to.

        `looked_at` says when a VM was looked at last; `skip` is what hung at the last look, and may still.

        `heard` is what was heard of the host's disks before, and is added to.
        """
        self._lanes = lanes
        self._wake = wake
        self._looked_at = looked_at
        self._vms_for_s = vms_for_s
        self._heard: HeardErrors = {} if heard is None else heard
        self._taken_at_s, self._wall_s = clock(), time.time()
        self._books: list[HealthBook] = []
        self._silent: dict[str, float] = {}
        self._failed = ""
        self._skip = set(skip)
        self._call: Call | None = None
        self._begin()

    def advance(self) -> HostHealth | None:
        """Return what was found once there is no more to come; None while there is."""
        call = self._call
        if call is not None and call.done:
            self._call = None
            self._settle(call)
        elif call is not None:
            slow = self._books[-1].slow(ITEM_S)
            reading = bool(self._books[-1].done) or self._books[-1].slow(0.0) is not None
            if slow is not None:
                self._leave_behind(call, *slow)
            elif not reading and time.monotonic() - call.submitted_at_s >= _CONNECT_S:
                self._lanes.abandon(call)
                self._call, self._failed = None, f"no connection within {_CONNECT_S:.0f} s"
        return None if self._call is not None else self._result()

    def stop(self, why: str) -> HostHealth:
        """Return what was found so far; what is under way is given up."""
        if self._call is not None:
            slow = self._books[-1].slow(0.0)
            if slow is not None:
                self._silent[slow[0]] = slow[1]
            self._lanes.abandon(self._call)
            self._call, self._failed = None, why
        return self._result()

    def _begin(self) -> None:
        book = HealthBook(
            frozenset(self._skip), looked_at=self._looked_at, vms_for_s=self._vms_for_s, heard=self._heard
        )
        self._books.append(book)
        try:
            self._call = self._lanes.start(LANE, lambda connection: connection.health(book))
        except CallTimedOut as error:
            self._failed = clean(str(error))
            return
        self._call.future.add_done_callback(lambda _: self._wake())

    def _leave_behind(self, call: Call, item: str, seconds: float) -> None:
        """Give the lane up, and go on behind what hangs on a new one."""
        self._lanes.abandon(call)
        self._call = None
        self._silent[item] = seconds
        self._skip |= {item, *self._books[-1].done}
        # The list of pools or of VMs is asked for again: what of it was read is among what is skipped.
        self._skip -= {POOLS, VMS} - self._silent.keys()
        self._begin()

    def _settle(self, call: Call) -> None:
        try:
            settle(call)
        except HypervisorError as error:
            self._failed = clean(str(error))

    def _result(self) -> HostHealth:
        done = set().union(*(book.done for book in self._books))
        unread: dict[str, str] = {}
        for book in self._books:
            unread.update(book.unread)
        for part in (MACHINE, OFFER, NETWORKS, POOLS, VMS):
            if part in self._silent:
                unread[part] = f"it did not answer for {self._silent[part]:.0f} s"
            elif part not in done and part != MACHINE:
                unread.setdefault(part, self._failed or "it was not asked")
        machines: list[Machine] = [book.machine for book in self._books if book.machine is not None]
        offers: list[HostOffer] = [book.offer for book in self._books if book.offer is not None]
        # Each connection listens for itself: between two of them nobody does.
        listened = [book.listened_s for book in self._books]
        vms: dict[str, Any] = {}
        for book in self._books:
            vms.update(book.vms)
        return HostHealth(
            taken_at_s=self._taken_at_s,
            wall_s=self._wall_s,
            machine=machines[-1] if machines else None,
            offer=offers[-1] if offers else None,
            pools=tuple(pool for book in self._books for pool in book.pools),
            networks=next((book.networks for book in self._books if book.networks), ()),
            vms=MappingProxyType(vms),
            listened_s=None if None in listened else min(each for each in listened if each is not None),
            silent=_frozen(self._silent),
            unread=MappingProxyType(unread),
        )


def _frozen(values: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(dict(values))
