"""A clock that stands still until it is told to go on: for tests, snapshots and screenshots of the demo hosts."""

import threading
from collections.abc import Callable


class ManualClock:
    """A monotonic clock, called for seconds, that only `advance` moves.

    Everything the demo hosts have scheduled up to the new time has happened when `advance` returns, and calls that
    waited for it are on their way back.
    """

    def __init__(self, now_s: float = 1_000_000.0) -> None:
        self._now_s = now_s
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self._now_s

    def advance(self, seconds: float) -> None:
        """Move the time forward and tell all who wait for it."""
        if seconds < 0:
            raise ValueError("a monotonic clock does not go back")
        with self._lock:
            self._now_s += seconds
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every advance, in the thread that advances."""
        with self._lock:
            self._listeners.append(listener)
