"""Open consoles: each with its own lane, its output in a bounded buffer that the screen empties."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum

from kvmtui.hypervisor.errors import ConsoleBusy, HypervisorError
from kvmtui.hypervisor.lanes import Lane, Opener
from kvmtui.hypervisor.protocol import Connection, ConsoleStream
from kvmtui.model.clean import clean
from kvmtui.model.vm import VmKey

_BUFFER_BYTES = 1024 * 1024


class ConsoleState(StrEnum):
    """How it stands with a console."""

    OPENING = "opening"
    OPEN = "open"
    WAITING = "waiting"
    """The guest is off or its host unreachable: it is attached again by itself."""
    HELD = "held"
    """Another client has it; `take_over` attaches all the same."""
    ENDED = "ended"
    """Nothing more will come by itself; `reattach` tries again."""


@dataclass(frozen=True, slots=True)
class ConsoleOutput:
    """What has come since the last look."""

    data: bytes
    skipped_bytes: int = 0
    """How much was dropped before `data` because it came faster than it could be shown."""
    state: ConsoleState = ConsoleState.OPEN
    message: str = ""
    """Why it is not open and what to do; while it is open, what came of a break."""
    key: VmKey | None = None
    """Where the guest is now: the console follows a migration."""


class Console:
    """One console session; any thread may call any method, and none waits for the host."""

    def __init__(self, key: VmKey, open_connection: Opener, wake: Callable[[], None]) -> None:
        """`wake` is called from a foreign thread when there is something to take."""
        self._key = key
        self._wake = wake
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._skipped = 0
        self._state = ConsoleState.OPENING
        self._message = ""
        self._stream: ConsoleStream | None = None
        self._lock = threading.Lock()
        self._lane = Lane(f"console {key.uuid}", open_connection)
        self.reattach()

    def take(self) -> ConsoleOutput:
        """Return and forget what has come."""
        with self._lock:
            found = ConsoleOutput(b"".join(self._chunks), self._skipped, self._state, self._message, self._key)
            self._chunks.clear()
            self._buffered = self._skipped = 0
        return found

    def write(self, data: bytes) -> None:
        """Send bytes to the guest."""
        self._lane.submit(lambda _: None if self._stream is None else self._stream.write(data))

    def take_over(self) -> None:
        """Attach although another client has the console."""
        self.reattach()

    def reattach(self) -> None:
        """Try again."""
        self._change(ConsoleState.OPENING, "")
        self._lane.submit(lambda connection: self._open(connection, self._key.uuid)).add_done_callback(self._opened)

    def send_break(self) -> None:
        """Send a break; what came of it is told as `message`."""
        self._change(self._state, "a break cannot be sent here")

    def close(self) -> None:
        """End the session."""
        self._lane.submit(lambda _: None if self._stream is None else self._stream.close())
        self._lane.close()

    def output(self, data: bytes) -> None:
        """Take bytes from the guest; the oldest are dropped when nobody empties the buffer."""
        with self._lock:
            waiting = bool(self._chunks)
            self._chunks.append(data)
            self._buffered += len(data)
            while self._buffered > _BUFFER_BYTES:
                dropped = len(self._chunks.popleft())
                self._buffered -= dropped
                self._skipped += dropped
        if not waiting:
            self._wake()

    def ended(self, reason: str) -> None:
        """Take note of the stream's end."""
        self._change(ConsoleState.ENDED, reason)
        # The stream is closed by the lane: this may be libvirt's own loop, which must not wait for a host.
        self._lane.submit(lambda _: None if self._stream is None else self._stream.close())

    def _change(self, state: ConsoleState, message: str) -> None:
        with self._lock:
            self._state, self._message = state, clean(message, 300)
        self._wake()

    def _open(self, connection: Connection, uuid: str) -> None:
        self._stream = connection.open_console(uuid, self)

    def _opened(self, future: "Future[None]") -> None:
        error = future.exception()
        if error is None:
            self._change(ConsoleState.OPEN, "")
        elif isinstance(error, ConsoleBusy):
            self._change(ConsoleState.HELD, str(error))
        elif isinstance(error, HypervisorError):
            self.ended(str(error))
        else:
            self.ended("an internal error; run with --log FILE to see it")
