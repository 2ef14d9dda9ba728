"""A libvirt stream to a VM's serial console.

All reading and writing happens in the thread of libvirt's event loop, without blocking; a NONBLOCK stream receives
nothing without that loop. `write` and `close` are called from the lane that opened the stream.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from kvmtui.hypervisor.errors import ConsoleBusy
from kvmtui.hypervisor.library import libvirt, translate
from kvmtui.hypervisor.protocol import ConsoleSink

_log = logging.getLogger(__name__)
_READ_BYTES = 16 * 1024
_READS_PER_CALLBACK = 8
_AGAIN = -2


class LibvirtConsole:
    """An attached console; `ConsoleStream` for the engine."""

    def __init__(self, connection: Any, domain: Any, sink: ConsoleSink) -> None:
        self._module = libvirt()
        self._sink = sink
        self._unsent: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._over = False
        self._stream = connection.newStream(self._module.VIR_STREAM_NONBLOCK)
        try:
            domain.openConsole(None, self._stream, self._module.VIR_DOMAIN_CONSOLE_SAFE)
        except self._module.libvirtError as error:
            if error.get_error_code() == self._module.VIR_ERR_OPERATION_FAILED:
                raise ConsoleBusy(str(translate(error))) from error
            raise
        self._idle_events = (
            self._module.VIR_STREAM_EVENT_READABLE
            | self._module.VIR_STREAM_EVENT_ERROR
            | self._module.VIR_STREAM_EVENT_HANGUP
        )
        self._stream.eventAddCallback(self._idle_events, self._happened, None)

    def write(self, data: bytes) -> None:
        """Queue bytes for the guest."""
        with self._lock:
            if self._over:
                return
            self._unsent.append(data)
            self._stream.eventUpdateCallback(self._idle_events | self._module.VIR_STREAM_EVENT_WRITABLE)

    def close(self) -> None:
        """End the stream, also one that the guest's side has ended."""
        with self._lock:
            over, self._over = self._over, True
            self._unsent.clear()
        if not over:
            self._quietly(self._stream.eventRemoveCallback)
        self._quietly(self._stream.abort)

    def _happened(self, _stream: Any, events: int, _opaque: Any) -> None:
        # Runs in libvirt's loop: an exception here would be printed over the screen.
        try:
            if events & self._module.VIR_STREAM_EVENT_WRITABLE:
                self._send()
            open_ended = not events & self._module.VIR_STREAM_EVENT_READABLE or self._receive()
            if not open_ended or events & self._module.VIR_STREAM_EVENT_HANGUP:
                self._end("the guest's console was closed")
            elif events & self._module.VIR_STREAM_EVENT_ERROR:
                self._end("the connection to the console failed")
        except self._module.libvirtError as error:
            self._end(str(translate(error)))
        except Exception:  # noqa: BLE001
            _log.exception("console callback")
            self._end("an internal error ended the console; run with --log FILE to see it")

    def _receive(self) -> bool:
        """Hand over what is there; return False at the end of the stream."""
        for _ in range(_READS_PER_CALLBACK):
            data = self._stream.recv(_READ_BYTES)
            if data == _AGAIN:
                return True
            if not data:
                return False
            self._sink.output(data)
        return True

    def _send(self) -> None:
        with self._lock:
            while self._unsent and not self._over:
                data = self._unsent.popleft()
                sent = self._stream.send(data)
                if sent == _AGAIN:
                    self._unsent.appendleft(data)
                    return
                if sent < len(data):
                    self._unsent.appendleft(data[sent:])
            if not self._over:
                self._stream.eventUpdateCallback(self._idle_events)

    def _end(self, reason: str) -> None:
        """Take note of the end. Only `close` aborts the stream: that waits for the host, and this is libvirt's loop."""
        with self._lock:
            if self._over:
                return
            self._over = True
            self._unsent.clear()
        self._quietly(self._stream.eventRemoveCallback)
        self._sink.ended(reason)

    def _quietly(self, step: Callable[[], Any]) -> None:
        try:
            step()
        except self._module.libvirtError:
            _log.debug("closing a console stream", exc_info=True)
