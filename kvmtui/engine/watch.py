"""The thread that watches all hosts: it attends to each poller when its tick is due or its answer has come."""

import logging
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from queue import Empty, SimpleQueue

from kvmtui.engine.poller import HostPoller

_log = logging.getLogger(__name__)


class Watch:
    """Attends to pollers in one daemon thread."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[HostPoller | Callable[[], None] | None] = SimpleQueue()

    def call(self, poller: HostPoller) -> None:
        """Have a poller attended to at once; any thread may ask."""
        self._calls.put(poller)

    def run_soon(self, step: Callable[[], None]) -> None:
        """Have `step` called before long by the thread that watches; any thread may ask."""
        self._calls.put(step)

    def start(self, pollers: Collection[HostPoller]) -> None:
        """Start watching."""
        threading.Thread(target=self._run, args=(pollers,), name="watch", daemon=True).start()

    def stop(self) -> None:
        """End the thread; does not wait."""
        self._calls.put(None)

    def _run(self, pollers: Collection[HostPoller]) -> None:
        while True:
            due_at_s = min((poller.due_at_s for poller in pollers), default=threading.TIMEOUT_MAX)
            called = self._called(min(threading.TIMEOUT_MAX, max(0.0, due_at_s - time.monotonic())))
            if None in called:
                return
            for step in called:
                if callable(step):
                    _take(step)
            # However often one host calls, all others have their turn.
            now_s = time.monotonic()
            for poller in pollers:
                if poller in called or poller.due_at_s <= now_s:
                    _attend(poller)

    def _called(self, wait_s: float) -> set[HostPoller | Callable[[], None] | None]:
        """Return who called, after waiting so long for one at most; None among them is the end."""
        called: set[HostPoller | Callable[[], None] | None] = set()
        with suppress(Empty):
            called.add(self._calls.get(timeout=wait_s))
            while True:
                called.add(self._calls.get_nowait())
        return called


def _attend(poller: HostPoller) -> None:
    try:
        poller.attend()
    except Exception:  # noqa: BLE001 - a defect must not end the watching of all hosts
        _log.exception("watching %s", poller.uri)


def _take(step: Callable[[], None]) -> None:
    try:
        step()
    except Exception:  # noqa: BLE001 - as above
        _log.exception("what was to be done soon")
