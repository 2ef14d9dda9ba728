"""What a look at a host's health has brought so far."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kvmtui.model.health import HostOffer, Machine, NetworkHealth, PoolHealth, VmHealth

HeardErrors = dict[tuple[str, int, str], float]
"""When a QEMU told of an I/O error (monotonic), by uuid, id of the run, and disk: what was heard is told only once."""


class HealthBook:
    """Written by the lane that looks, item by item; whoever waits reads in it what is there, and what takes long.

    Items are the parts of a look ("machine", "host", "networks"), each storage pool ("pool default") and each VM
    ("VM <uuid>"): what hangs costs only itself, for the next look begins behind it.
    """

    def __init__(
        self,
        skip: frozenset[str] = frozenset(),
        *,
        looked_at: Callable[[str], float] = lambda uuid: 0.0,
        vms_for_s: float = 2.0,
        heard: HeardErrors | None = None,
    ) -> None:
        """`skip` is not read; VMs are read for so long at most, first those that were `looked_at` longest ago.

        `heard` is added to as long as the connection lasts that is looked over, and may be of others before it.
        """
        self.looked_at = looked_at
        self.vms_for_s = vms_for_s
        self.heard: HeardErrors = {} if heard is None else heard
        self.done: set[str] = set()
        self.machine: Machine | None = None
        self.offer: HostOffer | None = None
        self.pools: list[PoolHealth] = []
        self.networks: tuple[NetworkHealth, ...] = ()
        self.vms: dict[str, VmHealth] = {}
        self.listened_s: float | None = None
        """For how long QEMUs have been listened to for I/O errors; None: they are not."""
        self.unread: dict[str, str] = {}
        """Why a part could not be read."""
        self._skip = skip
        self._under_way: tuple[str, float] | None = None

    def wants(self, item: str) -> bool:
        """Return whether an item is still to be read."""
        return item not in self._skip

    @contextmanager
    def item(self, item: str) -> Iterator[None]:
        """Say that an item is being read."""
        self._under_way = item, time.monotonic()
        try:
            yield
            self.done.add(item)
        finally:
            self._under_way = None

    def slow(self, limit_s: float) -> tuple[str, float] | None:
        """Return the item that has taken longer than that, and for how long; None where there is none."""
        under_way = self._under_way
        if under_way is None:
            return None
        seconds = time.monotonic() - under_way[1]
        return (under_way[0], seconds) if seconds >= limit_s else None
