"""The present fleet: pollers publish into it, the screen reads from it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from kvmtui.model.fleet import Fleet
from kvmtui.model.host import Host
from kvmtui.model.vm import VmKey


class Store:
    """Holds one frozen `Fleet` and swaps it whole; any thread may publish and read."""

    def __init__(self) -> None:
        self._fleet = Fleet()
        self._pending: list[Pending] = []
        self._lock = threading.Lock()
        self._changed: Callable[[], None] = lambda: None

    @property
    def fleet(self) -> Fleet:
        """The fleet as last published."""
        return self._fleet

    def on_change(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, from whatever thread, after each change; it must only take note."""
        self._changed = callback

    def publish(self, host: Host) -> None:
        """Put `host` in the place of its older self."""
        with self._lock:
            self._fleet = self._fleet.with_host(host)
        self._changed()

    def show(self, fleet: Fleet) -> None:
        """Put another fleet in the place of all there is."""
        with self._lock:
            self._fleet = fleet
        self._changed()

    def begin(self, key: VmKey, text: str) -> "Pending":
        """Say that something is under way with a VM, until `end` is called with what this returns."""
        pending = Pending(key, text)
        with self._lock:
            self._pending.append(pending)
            self._fleet = self._fleet.with_pending(dict(self._pending_texts()))
        self._changed()
        return pending

    def end(self, pending: "Pending") -> None:
        """Say that it no longer is."""
        with self._lock:
            self._pending.remove(pending)
            self._fleet = self._fleet.with_pending(dict(self._pending_texts()))
        self._changed()

    def _pending_texts(self) -> list[tuple[VmKey, str]]:
        # What was begun last is what the row shows.
        return [(pending.key, pending.text) for pending in self._pending]


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """Something under way with a VM."""

    key: VmKey
    text: str
