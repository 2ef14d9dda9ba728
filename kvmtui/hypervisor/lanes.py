"""Lanes: how hosts are called without ever waiting for one.

A libvirt call has no timeout, and two threads on one connection can hang or crash when the link stalls. So a lane
is one connection owned by one daemon thread with one call in flight; its deadline is watched from outside, and a
lane that passes it is abandoned: its thread ends when the call returns, should it ever.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from kvmtui.hypervisor.errors import CallTimedOut, ConnectFailed, HypervisorError, LinkLost, NotStarted
from kvmtui.hypervisor.protocol import Connection

T = TypeVar("T")
Opener = Callable[[], Connection]

_log = logging.getLogger(__name__)
_MAX_ABANDONED = 4
_IDLE_CLOSE_S = 60.0


@dataclass(slots=True, eq=False)
class Call:
    """A call in flight on a lane."""

    future: "Future[Any]"
    lane: "Lane"
    kind: str
    submitted_at_s: float

    @property
    def done(self) -> bool:
        """Whether an answer or an error is there."""
        return self.future.done()


class Lane:
    """One connection and the daemon thread that alone uses it; opened by the first call."""

    def __init__(self, name: str, open_connection: Opener) -> None:
        self.name = name
        self.abandoned = False
        self.broken = False
        self.last_used_s = time.monotonic()
        self._open = open_connection
        self._connection: Connection | None = None
        self._calls: SimpleQueue[tuple[Callable[[Connection], Any], Future[Any]] | None] = SimpleQueue()
        self._busy = False
        self._thread = threading.Thread(target=self._run, name=f"lane {name}", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether nothing is queued or in flight."""
        return self._calls.empty() and not self._busy

    @property
    def alive(self) -> bool:
        """Whether its thread still runs, which an abandoned lane's does until its call returns."""
        return self._thread.is_alive()

    def submit(self, call: Callable[[Connection], T]) -> "Future[T]":
        """Queue `call`; it runs in the lane's thread with the lane's connection."""
        future: Future[T] = Future()
        self.last_used_s = time.monotonic()
        self._calls.put((call, future))
        return future

    def close(self) -> None:
        """Let the thread end after what is queued, closing the connection; does not wait."""
        self._calls.put(None)

    def abandon(self) -> None:
        """Give the lane up: its call may hang for ever, and what waits behind it is told so now."""
        self.abandoned = True
        with contextlib.suppress(Empty):
            while (item := self._calls.get_nowait()) is not None:
                _refuse(item[1], "a call before it did not return")
        self.close()

    def _run(self) -> None:
        while (item := self._calls.get()) is not None:
            self._busy = True
            self._answer(*item)
            self._busy = False
            self.last_used_s = time.monotonic()
        if self._connection is not None:
            self._connection.close()

    def _answer(self, call: Callable[[Connection], Any], future: "Future[Any]") -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            if self._connection is None:
                self._connection = self._open()
            # What was given up while the host did not even answer the door must not be done an hour later.
            if self.abandoned:
                raise NotStarted("given up before the host answered")
            result = call(self._connection)
        except HypervisorError as error:
            self.broken = self.broken or isinstance(error, LinkLost | ConnectFailed)
            future.set_exception(error)
        except BaseException as error:  # noqa: BLE001 - a defect must reach the caller, not end the lane unseen
            _log.exception("lane %s", self.name)
            future.set_exception(error)
        else:
            future.set_result(result)


class HostLanes:
    """The lanes of one host, by purpose; every method returns within the deadline it was given."""

    def __init__(self, host: str, openers: dict[str, Opener]) -> None:
        """`openers` says how each kind of lane connects: "watch", "deep", "act"."""
        self._host = host
        self._openers = openers
        self._lanes: dict[str, Lane] = {}
        self._abandoned: list[tuple[str, Lane]] = []
        self._lock = threading.RLock()

    def hanging(self, kind: str) -> int:
        """Return how many abandoned calls on lanes of that kind still have not returned."""
        with self._lock:
            self._abandoned = [(known, lane) for known, lane in self._abandoned if lane.alive]
            return sum(known == kind for known, _ in self._abandoned)

    def start(self, kind: str, call: Callable[[Connection], T]) -> Call:
        """Queue `call` on the lane of that kind, opening it if need be."""
        with self._lock:
            lane = self._lanes.get(kind)
            if lane is None or lane.broken or not lane.alive:
                lane = self._replace(kind)
            return Call(lane.submit(call), lane, kind, time.monotonic())

    def start_alone(self, kind: str, name: str, call: Callable[[Connection], T]) -> Call:
        """Run `call` on a lane of its own that connects like `kind` and closes afterwards."""
        lane = Lane(f"{self._host} {name}", self._openers[kind])
        running = Call(lane.submit(call), lane, name, time.monotonic())
        lane.close()
        return running

    def run(self, kind: str, call: Callable[[Connection], T], deadline_s: float) -> T:
        """Return the answer to `call`, or raise; after `deadline_s` the lane is abandoned."""
        running = self.start(kind, call)
        try:
            result: T = running.future.result(deadline_s)
        except TimeoutError:
            self.abandon(running)
            raise CallTimedOut(f"no answer for {deadline_s:.0f} s") from None
        return result

    def abandon(self, running: Call) -> None:
        """Give up the lane of a call that hangs; the next call of that kind gets a new one."""
        self._give_up(running.kind, running.lane)

    def close_idle(self, *kinds: str) -> None:
        """Close those of these lanes that nobody has used for a while."""
        with self._lock:
            for kind in kinds:
                lane = self._lanes.get(kind)
                if lane is not None and lane.idle and time.monotonic() - lane.last_used_s > _IDLE_CLOSE_S:
                    self.drop(kind)

    def drop(self, *kinds: str) -> None:
        """End the lanes of these kinds, so that the next call of each opens a new connection."""
        with self._lock:
            lanes = [(kind, self._lanes[kind]) for kind in kinds if kind in self._lanes]
        for kind, lane in lanes:
            if lane.idle:
                with self._lock:
                    self._lanes.pop(kind, None)
                lane.close()
            else:
                self._give_up(kind, lane)

    def close(self) -> None:
        """Let all lanes end; does not wait for them."""
        with self._lock:
            for lane in self._lanes.values():
                lane.close()
            self._lanes.clear()

    def _replace(self, kind: str) -> Lane:
        old = self._lanes.pop(kind, None)
        if old is not None:
            old.close()
        # Each kind has its own limit: whatever hangs while it is looked at must not keep anybody from acting.
        hanging = self.hanging(kind)
        if hanging >= _MAX_ABANDONED:
            raise NotStarted(f"{hanging} calls to this host hang; waiting for one to return")
        lane = self._lanes[kind] = Lane(f"{self._host} {kind}", self._openers[kind])
        return lane

    def _give_up(self, kind: str, lane: Lane) -> None:
        with self._lock:
            # First out of reach, so that nobody queues behind the end of its queue.
            if self._lanes.get(kind) is lane:
                del self._lanes[kind]
            if lane.abandoned:
                return
            self._abandoned.append((kind, lane))
        lane.abandon()
        _log.warning("%s: abandoned lane %r", self._host, lane.name)


def _refuse(future: "Future[Any]", reason: str) -> None:
    if future.set_running_or_notify_cancel():
        future.set_exception(NotStarted(reason))


def settle(call: Call) -> Any:
    """Return the result of a finished call, or raise its error, which is a `HypervisorError` whatever went wrong."""
    if not call.done:
        raise CallTimedOut("the call is still under way")
    error = call.future.exception()
    if error is None or isinstance(error, HypervisorError):
        return call.future.result()
    # A defect, which the lane has logged; who looks after many calls must not end because of one.
    raise HypervisorError("an internal error; run with --log FILE to see it") from error
