"""A driver that reads the keys on the app's own loop.

Textual reads them in a thread that wakes ten times a second, which costs more than all else that an idle dashboard
does, and each key is handed from that thread to the loop, which waits for the interpreter lock once more. Here the loop
itself waits for the terminal, and nothing wakes up without input. That uses what is private, so all use of it is in
this module, it first looks whether this is a Textual it knows, and when in doubt Textual's own driver is used.
"""

import asyncio
import contextvars
import os
from codecs import getincrementaldecoder
from collections.abc import Callable
from itertools import chain
from typing import Any, Final

from textual._parser import Parser
from textual._time import get_time
from textual._xterm_parser import XTermParser
from textual.app import App, ReturnType
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from kvmtui.ui.alt_keys import teach_alt_keys
from kvmtui.ui.known_textual import Relied, known

_READ_BYTES = 4096
_END_OF_KITTY_KEYS = "\x1b[<u"
"""Every start asks for these key codes, and the end takes back one time only."""
_RELIED: Final[tuple[Relied, ...]] = (
    (
        LinuxDriver,
        "start_application_mode",
        {"Thread", "_run_input_thread", "_key_thread", "start", "attrs_before", "WriterThread", "_writer_thread"},
    ),
    (LinuxDriver, "_sigcont_application", {"resume_application_mode"}),
    (LinuxDriver, "_run_input_thread", {"run_input_thread"}),
    (LinuxDriver, "run_input_thread", {"XTermParser", "feed", "tick", "fileno", "exit_event", "_debug"}),
    (LinuxDriver, "disable_input", {"_key_thread", "exit_event", "join"}),
    (LinuxDriver, "stop_application_mode", {"disable_input"}),
    (Driver, "send_message", {"_app", "_loop", "_post_message"}),
    (Parser, "tick", {"_timeout_time", "get_time"}),
)


class QuietDriverApp(App[ReturnType]):
    """An app that wakes up for its keys alone."""

    def get_driver_class(self) -> type[Driver]:
        """Return the quiet driver where Textual would take its own for Linux."""
        driver = super().get_driver_class()
        return QuietDriver if driver is LinuxDriver and known(*_RELIED) else driver


class QuietDriver(LinuxDriver):
    """Reads a terminal when there is something to read; what is not a terminal is left to Textual's thread."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        teach_alt_keys()
        self._parser: XTermParser | None = None
        """None: nobody listens."""
        self._decode: Callable[[bytes], str] = bytes.decode
        self._escape: asyncio.TimerHandle | None = None

    def start_application_mode(self) -> None:
        """Prepare the terminal and listen to it."""
        self._key_thread = None
        again, attributes = self._parser is not None, self.attrs_before
        if again and self._writer_thread is not None:
            # Continued after a SIGSTOP, of which a program hears nothing (after ^Z it has let go of the terminal).
            self.write(_END_OF_KITTY_KEYS)
            self._writer_thread.stop()
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if again:
            # Not as it was prepared before, but as it was found at first.
            self.attrs_before = attributes
        # Without a thread it has given up: the program is in the background.
        if self._key_thread is not None and self.input_tty:
            self._parser = XTermParser(self._debug)
            self._decode = getincrementaldecoder("utf-8")(errors="replace").decode
            # In a context of its own, for messages that are posted while the app prevents some must not be lost.
            contextvars.Context().run(self._loop.add_reader, self.fileno, self._readable)

    def _sigcont_application(self, *_: object) -> None:
        # In the loop's own time: a signal may interrupt its own handler, which would then wait for itself.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(super()._sigcont_application)

    def disable_input(self) -> None:
        """Stop listening."""
        if self._parser is not None:
            self._stop_listening()
        super().disable_input()

    def send_message(self, message: Message) -> None:
        """Post a message at once, not by way of a task."""
        self._app.post_message(message)

    def _run_input_thread(self) -> None:
        if not self.input_tty:
            super()._run_input_thread()

    def _stop_listening(self) -> None:
        self._parser = None
        if self._escape is not None:
            self._escape.cancel()
        if not self._loop.is_closed():
            self._loop.remove_reader(self.fileno)

    def _readable(self) -> None:
        try:
            data = os.read(self.fileno, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._feed(self._decode(data))
            return
        # The terminal is gone. It would be readable for ever.
        self._stop_listening()
        self._app.call_later(self._app.exit, None, 1)

    def _feed(self, text: str) -> None:
        """Parse what came, or nothing when it is time to take an Esc for a key of its own."""
        parser = self._parser
        if parser is None:
            return
        for event in chain(parser.feed(text) if text else (), parser.tick()):
            self.process_message(event)
        if self._escape is not None:
            self._escape.cancel()
            self._escape = None
        if parser._timeout_time is not None:
            self._escape = self._loop.call_later(max(0.0, parser._timeout_time - get_time()), self._feed, "")
