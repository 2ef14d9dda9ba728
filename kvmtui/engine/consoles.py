"""Open consoles: each with its own lane, its output in a bounded buffer that the screen empties."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.hypervisor.lanes import Lane, Opener
from kvmtui.hypervisor.protocol import Connection, ConsoleStream
from kvmtui.model.clean import clean

_BUFFER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ConsoleOutput:
    """What has come since the last look."""

    data: bytes
    skipped_bytes: int = 0
    """How much was dropped before `data` because it came faster than it could be shown."""
    ended: str | None = None
    """Why nothing more will come; None while the stream is open."""


class Console:
    """One console session; any thread may call any method, and none waits for the host."""

    def __init__(self, uuid: str, open_connection: Opener, wake: Callable[[], None]) -> None:
        """`wake` is called from a foreign thread when there is something to take."""
        self._wake = wake
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._skipped = 0
        self._ended: str | None = None
        self._stream: ConsoleStream | None = None
        self._lock = threading.Lock()
        self._lane = Lane(f"console {uuid}", open_connection)
        self._lane.submit(lambda connection: self._open(connection, uuid)).add_done_callback(self._opened)

    def take(self) -> ConsoleOutput:
        """Return and forget what has come."""
        with self._lock:
            found = ConsoleOutput(b"".join(self._chunks), self._skipped, self._ended)
            self._chunks.clear()
            self._buffered = self._skipped = 0
        return found

    def write(self, data: bytes) -> None:
        """Send bytes to the guest."""
        self._lane.submit(lambda _: None if self._stream is None else self._stream.write(data))

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
        with self._lock:
            self._ended = clean(reason, 300)
        # The stream is closed by the lane: this may be libvirt's own loop, which must not wait for a host.
        self._lane.submit(lambda _: None if self._stream is None else self._stream.close())
        self._wake()

    def _open(self, connection: Connection, uuid: str) -> None:
        self._stream = connection.open_console(uuid, self)

    def _opened(self, future: "Future[None]") -> None:
        error = future.exception()
        if isinstance(error, HypervisorError):
            self.ended(str(error))
        elif error is not None:
            self.ended("an internal error; run with --log FILE to see it")
