"""Questions before a move, on a lane of their own: a host that does not answer costs only its own answer."""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from kvmtui.hypervisor.errors import CallTimedOut
from kvmtui.hypervisor.lanes import Call, HostLanes
from kvmtui.hypervisor.protocol import Connection

S = TypeVar("S")
T = TypeVar("T")
LANE = "preflight"
_DEADLINE_S = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A question under way, and the answer that is waited for."""

    call: Call
    answer: "Future[Any]"


class Preflights:
    """Asks hosts, and gives up those that do not answer."""

    def __init__(self, lanes: Mapping[str, HostLanes], deadline_s: float = _DEADLINE_S) -> None:
        """`lanes` are those of each host, with one of the kind `LANE`."""
        self._lanes = lanes
        self._deadline_s = deadline_s
        self._asked: dict[_Asked, str] = {}
        self._lock = threading.Lock()

    def ask(self, host: str, question: Callable[[Connection], T]) -> "Future[T]":
        """Ask and return at once; the answer is an error at the latest when `watch` finds it too late."""
        answer: Future[T] = Future()
        answer.set_running_or_notify_cancel()
        try:
            asked = _Asked(self._lanes[host].start(LANE, question), answer)
        except CallTimedOut as error:
            answer.set_exception(error)
            return answer
        with self._lock:
            self._asked[asked] = host
        asked.call.future.add_done_callback(lambda _: self._answered(asked))
        return answer

    def watch(self, host: str) -> None:
        """Give up what this host has not answered in time; called by its poller after every tick."""
        now_s = time.monotonic()
        with self._lock:
            late = [
                asked
                for asked, where in self._asked.items()
                if where == host and now_s - asked.call.submitted_at_s >= self._deadline_s
            ]
        for asked in late:
            if self._forget(asked):
                asked.answer.set_exception(CallTimedOut(f"no answer for {self._deadline_s:.0f} s"))
                self._lanes[host].abandon(asked.call)

    def _answered(self, asked: _Asked) -> None:
        """Hand the answer on; runs in the lane's thread."""
        if not self._forget(asked):
            return
        error = asked.call.future.exception()
        if error is not None:
            asked.answer.set_exception(error)
        else:
            asked.answer.set_result(asked.call.future.result())

    def _forget(self, asked: _Asked) -> bool:
        """Return whether nobody has answered it before."""
        with self._lock:
            return self._asked.pop(asked, None) is not None


def both_answers(first: "Future[S]", ask: Callable[[S], "Future[T]"]) -> "Future[tuple[S, T]]":
    """Return an answer with what is asked when it has come, by `ask`; or the error of the one that failed."""
    both: Future[tuple[S, T]] = Future()
    both.set_running_or_notify_cancel()

    def ask_second(_: "Future[S]") -> None:
        error = first.exception()
        if error is not None:
            both.set_exception(error)
        else:
            ask(first.result()).add_done_callback(end)

    def end(second: "Future[T]") -> None:
        error = second.exception()
        if error is not None:
            both.set_exception(error)
        else:
            both.set_result((first.result(), second.result()))

    first.add_done_callback(ask_second)
    return both
