"""One stream to a serial console, on a lane of its own: opened, written to at the guest's pace, closed."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from kvmtui.hypervisor.errors import HypervisorError, LinkLost
from kvmtui.hypervisor.lanes import Lane, Opener
from kvmtui.hypervisor.protocol import Connection, ConsoleStream

_log = logging.getLogger(__name__)
_LINE_END = b"\r"
_PIECE_BYTES = 256
_BYTES_PER_S = 20_000
"""How fast a paste is sent. An emulated UART took 50,000 a second without a loss from a guest that runs under TCG."""
_UNSENT_BYTES = 4 * 1024 * 1024


class AttachmentOwner(Protocol):
    """Whom an attachment tells; called from foreign threads, must only take note."""

    def opened(self, attachment: "Attachment", error: BaseException | None) -> None:
        """Take note that it is open, or why not."""

    def output(self, attachment: "Attachment", data: bytes) -> None:
        """Take what the guest wrote."""

    def ended(self, attachment: "Attachment", reason: str, *, by_host: bool) -> None:
        """Take note that nothing more will come, and whether the host ended it or the link."""


class Attachment:
    """A console opened once; any thread may call any method, and none waits for the host."""

    def __init__(self, name: str, opener: Opener, owner: AttachmentOwner, takes_pastes: Callable[[], bool]) -> None:
        """`takes_pastes` tells whether the guest executes, so that it can take more than its UART holds."""
        self._owner = owner
        self._takes_pastes = takes_pastes
        self._lane = Lane(f"console {name}", opener)
        self._stream: ConsoleStream | None = None
        self._closed = False
        self._unsent = bytearray()
        self._unsent_lines = 0
        self._sending = False
        self._lock = threading.Lock()

    def open(self, uuid: str, device: str | None, *, force: bool, first: Callable[[], None] = lambda: None) -> None:
        """Attach, after `first`; the owner is told of the outcome.

        What was written for a try before, and not sent, is dropped.
        """
        self.drop_unsent()

        def attach(connection: Connection) -> None:
            first()
            self._stream = connection.open_console(uuid, _Sink(self, self._owner), device, force=force)
            if self._closed:
                self._stream.close()

        future = self._lane.submit(attach)
        future.add_done_callback(lambda done: self._owner.opened(self, done.exception()))

    def write(self, data: bytes) -> bool:
        """Send bytes to the guest when it takes them; return whether there was room to keep them until then."""
        with self._lock:
            if len(self._unsent) + len(data) > _UNSENT_BYTES:
                return False
            self._unsent += data
            self._unsent_lines += data.count(_LINE_END)
        self.go_on()
        return True

    def drop_unsent(self) -> bytes:
        """Drop what has not been sent, and return it."""
        with self._lock:
            dropped = bytes(self._unsent)
            self._unsent.clear()
            self._unsent_lines = 0
        return dropped

    @property
    def unsent_lines(self) -> int:
        """How many lines of a paste have not been sent, the last one's rest included; 0 while none is under way."""
        return self._unsent_lines + 1 if len(self._unsent) > _PIECE_BYTES else 0

    def reply(self, data: bytes) -> None:
        """Send an answer to a question of the guest's, unless others still wait: it can ask without end."""
        with self._lock:
            if len(self._unsent) >= _PIECE_BYTES:
                return
            self._unsent += data
        self.go_on()

    def go_on(self) -> None:
        """Send what waits, if anything does."""
        with self._lock:
            if self._sending or not self._unsent or self._held():
                return
            self._sending = True
        self._lane.submit(self._send)

    def send_break(self, first: Callable[[], None], ended: Callable[[BaseException | None, str], None]) -> None:
        """Let the guest see a break on the line, after `first`; `ended` gets why it was not sent, or what to say."""

        def send(_: Connection) -> str:
            first()
            return self._stream.send_break() if self._stream is not None else ""

        def answered(done: "Future[str]") -> None:
            error = done.exception()
            ended(error, "" if error is not None else done.result())

        self._lane.submit(send).add_done_callback(answered)

    def close(self) -> None:
        """End it after the piece that is being sent; the rest is dropped with the lane."""
        self._closed = True
        # A lane that never got in is not to knock again only to close nothing; a stream that comes late closes itself.
        if self._stream is not None:
            self._lane.submit(lambda _: None if self._stream is None else self._stream.close())
        self._lane.close()

    def abandon(self) -> None:
        """Give it up: its host does not answer."""
        self._closed = True
        self._lane.abandon()

    @property
    def closed(self) -> bool:
        """Whether it has been closed or given up."""
        return self._closed

    @property
    def hangs(self) -> bool:
        """Whether it has been given up and its call still has not returned."""
        return self._lane.abandoned and self._lane.alive

    def _held(self) -> bool:
        # A guest that stands still takes what its UART and the host's buffers hold. libvirtd then reads nothing more
        # from this connection, the keepalive included, and after half a minute it is dead.
        return len(self._unsent) > _PIECE_BYTES and not self._takes_pastes()

    def _send(self, _: Connection) -> None:
        """Send a piece, rest, and queue up again: what else is to be done on the lane comes between."""
        with self._lock:
            piece = bytes(self._unsent[:_PIECE_BYTES])
            if not piece or self._stream is None or self._held():
                self._sending = False
                return
        try:
            sent = self._stream.write(piece)
        except HypervisorError as error:
            self._owner.ended(self, str(error), by_host=not isinstance(error, LinkLost))
            return
        except Exception:  # noqa: BLE001 - a console that takes no more keys must not look open
            _log.exception("writing to a console")
            self._owner.ended(self, "an internal error; run with --log FILE to see it", by_host=False)
            return
        with self._lock:
            # It may have been dropped meanwhile.
            sent = min(sent, len(self._unsent))
            self._unsent_lines -= self._unsent.count(_LINE_END, 0, sent)
            del self._unsent[:sent]
            more = bool(self._unsent)
        if more:
            time.sleep(len(piece) / _BYTES_PER_S)
        self._lane.submit(self._send)


class _Sink:
    """A `ConsoleSink` that tells the owner which attachment speaks."""

    def __init__(self, attachment: Attachment, owner: AttachmentOwner) -> None:
        self._attachment = attachment
        self._owner = owner

    def output(self, data: bytes) -> None:
        self._owner.output(self._attachment, data)

    def ended(self, reason: str, *, by_host: bool) -> None:
        self._owner.ended(self._attachment, reason, by_host=by_host)
