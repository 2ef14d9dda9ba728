"""A libvirt stream to a VM's serial console.

Reading happens in the thread of libvirt's event loop; a NONBLOCK stream receives nothing without that loop. Writing
happens in the thread of the connection: a stream can be written to at any time as far as its events tell, but when the
guest takes nothing and the daemon's few buffers are full, `send` blocks, and that must not hold up the loop.
"""

import importlib
import json
import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from kvmtui.hypervisor.definition import parse_definition
from kvmtui.hypervisor.errors import ConsoleBusy, LinkLost, NoConsole, NotSupported
from kvmtui.hypervisor.library import libvirt, translate, translated
from kvmtui.hypervisor.protocol import ConsoleSink
from kvmtui.model.clean import clean

_log = logging.getLogger(__name__)
_READ_BYTES = 64 * 1024
_READS_PER_CALLBACK = 8
_SOON_S = 0.02
"""A callback so soon after the last is taken for output without a pause."""
_REST_STEP_S, _REST_MAX_S = 0.01, 0.03
"""How long the loop rests when a guest writes without a pause: at first a little, at most as long as a frame.

A serial line's output comes in packets of its 16-byte FIFO, and each wakes the loop: 20 % of a core for 200 kB/s. After
10 ms many are taken at once, for 3 %; after 30 ms for 1.6 %.
"""
_AGAIN = -2


def next_rest_s(rested_s: float, quiet_s: float) -> float:
    """Return how long to rest after a callback that came `quiet_s` after the rest before, which took `rested_s`."""
    return min(_REST_MAX_S, rested_s + _REST_STEP_S) if quiet_s < _SOON_S else 0.0


def _heard_by(console: "LibvirtConsole") -> Callable[[Any, int, Any], None]:
    """Return a callback that does not keep the console: libvirt never lets go of it."""
    reference = weakref.ref(console)

    def happened(_stream: Any, events: int, _opaque: Any) -> None:
        console = reference()
        if console is not None:
            console.happened(events)

    return happened


class LibvirtConsole:
    """An attached console; `ConsoleStream` for the engine."""

    def __init__(self, connection: Any, domain: Any, sink: ConsoleSink, device: str | None, *, force: bool) -> None:
        self._module = libvirt()
        self._connection = connection
        self._domain = domain
        self._device = device
        self._sink = sink
        self._lock = threading.Lock()
        self._over = False
        self._read_at_s = float("-inf")
        self._rest_s = 0.0
        self._stream = connection.newStream(self._module.VIR_STREAM_NONBLOCK)
        flags = self._module.VIR_DOMAIN_CONSOLE_SAFE | (self._module.VIR_DOMAIN_CONSOLE_FORCE if force else 0)
        try:
            domain.openConsole(device, self._stream, flags)
        except self._module.libvirtError as error:
            failure = translate(error, connection)
            if isinstance(failure, LinkLost):
                raise failure from error
            # virDomainOpenConsole in qemu_driver.c: what it says when the device is in use, and when there is none
            # or one that is not a pseudo-terminal.
            if error.get_error_code() == self._module.VIR_ERR_OPERATION_FAILED:
                raise ConsoleBusy(str(failure)) from error
            if error.get_error_code() == self._module.VIR_ERR_INTERNAL_ERROR:
                raise NoConsole(str(failure)) from error
            raise
        self._stream.eventAddCallback(
            self._module.VIR_STREAM_EVENT_READABLE
            | self._module.VIR_STREAM_EVENT_ERROR
            | self._module.VIR_STREAM_EVENT_HANGUP,
            _heard_by(self),
            None,
        )
        # A stream does not hear that its connection is gone.
        connection.registerCloseCallback(lambda *_: self._end("the connection to the host broke", by_host=False), None)

    def write(self, data: bytes) -> int:
        """Send bytes to the guest and return how many were taken; blocks while the daemon takes none."""
        if self._over:
            return len(data)
        try:
            return max(0, int(self._stream.send(data)))
        except self._module.libvirtError as error:
            raise translate(error, self._connection) from error

    def send_break(self) -> str:
        """Let the guest see a break on the line, which only QEMU's own monitor can do; waits for QEMU."""
        with translated():
            if self._connection.getType() != "QEMU":
                raise NotSupported("only QEMU can send a break")
            consoles = parse_definition(self._domain.XMLDesc(0), (), 0.0).consoles
            device = self._device or next(iter(consoles), "serial0")
            order = {"execute": "chardev-send-break", "arguments": {"id": f"char{device}"}}
            answer = json.loads(
                importlib.import_module("libvirt_qemu").qemuMonitorCommand(self._domain, json.dumps(order), 0)
            )
        if "error" in answer:
            raise NotSupported(f"QEMU refused the break: {clean(str(answer['error'].get('desc')))}")
        return "break sent; until it is shut off libvirt calls the VM tainted, for QEMU's monitor was used"

    def close(self) -> None:
        """End the stream, also one that the guest's side has ended."""
        if self._finish():
            self._quietly(self._stream.eventRemoveCallback)
        self._quietly(self._stream.abort)
        self._quietly(self._connection.unregisterCloseCallback)
        # Both would keep the connection open; and a stream that has had a callback is never let go of by itself
        # (remoteStreamCallbackFree in remote_driver.c of many releases does not free it).
        self._domain = None
        self._stream.__del__()

    def happened(self, events: int) -> None:
        """Take note of what libvirt's loop tells of the stream."""
        # Runs in libvirt's loop: an exception here would be printed over the screen.
        try:
            open_ended = not events & self._module.VIR_STREAM_EVENT_READABLE or self._receive()
            if not open_ended or events & self._module.VIR_STREAM_EVENT_HANGUP:
                self._end("the guest's console was closed", by_host=True)
            elif events & self._module.VIR_STREAM_EVENT_ERROR:
                self._end("the connection to the console failed", by_host=False)
            else:
                self._rest_s = next_rest_s(self._rest_s, time.monotonic() - self._read_at_s)
                time.sleep(self._rest_s)
            self._read_at_s = time.monotonic()
        except self._module.libvirtError as error:
            failure = translate(error, self._connection)
            self._end(str(failure), by_host=not isinstance(failure, LinkLost))
        except Exception:  # noqa: BLE001 - libvirt would swallow it, and the console look open for ever
            _log.exception("console callback")
            self._end("an internal error ended the console; run with --log FILE to see it", by_host=False)

    def _receive(self) -> bool:
        """Hand over what is there; return False at the end of the stream.

        What is not taken grows in libvirt without bound, so it always is, whatever becomes of it.
        """
        for _ in range(_READS_PER_CALLBACK):
            data = self._stream.recv(_READ_BYTES)
            if data == _AGAIN:
                return True
            if not data:
                return False
            self._sink.output(data)
        return True

    def _end(self, reason: str, *, by_host: bool) -> None:
        """Take note of the end. Only `close` aborts the stream: that waits for the host, and this is libvirt's loop."""
        if self._finish():
            self._quietly(self._stream.eventRemoveCallback)
            self._sink.ended(reason, by_host=by_host)

    def _finish(self) -> bool:
        """Take the stream for over; return whether it was not yet."""
        with self._lock:
            over, self._over = self._over, True
        return not over

    def _quietly(self, step: Callable[[], Any]) -> None:
        try:
            step()
        except self._module.libvirtError:
            _log.debug("closing a console stream", exc_info=True)
