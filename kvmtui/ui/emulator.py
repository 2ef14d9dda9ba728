"""The serial console's terminal emulator: bytes of a guest in, harmless styled lines out.

libghostty-vt does the work; this module is the only importer of its binding, pyghostty. Three things are kept from
the guest on purpose: its bytes never reach the user's terminal, it hears only the terminal's plain status reports, and
it cannot grow memory without a bound.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from textual import events

from kvmtui.ui.emulator_keys import KeyEncoder, encode_paste
from kvmtui.ui.emulator_screen import Cursor, ScreenReader
from kvmtui.ui.emulator_search import EmulatorSearch
from kvmtui.ui.emulator_text import TextReader

# The scrollback is bounded by its bytes (about 5,000 lines of 80 columns). A bound in lines that bites earlier costs
# libghostty six sevenths of its speed: `yes` 6 instead of 40 MB/s.
_SCROLLBACK_BYTES = 4 << 20
_SCROLLBACK_LINES = 1 << 20
_STRING_BYTES = 64 << 10  # of an APC or clipboard sequence: nothing here uses them, the default is 64 MiB
REPLY_BYTES_PER_FEED = 256  # an honest program asks one to four questions at a time

# What may go back to the guest: cursor position, "terminal ok", device attributes, mode reports. All digits, chosen by
# the terminal: no colour, title, size, clipboard or DCS answer, which could carry data or be typed into a shell.
_REPLY = re.compile(rb"\x1b\[(?:\??\d{1,5};\d{1,5}R|0n|[?>][\d;]{1,32}c|\??\d{1,5};\d\$y)")

# After a stream ended in the middle of something: undo what a dead program may have set (application keys, mouse,
# paste, held drawing, hidden or odd cursor, insert, charset, margins).
_CALM = (
    b"\x1b[!p\x1b[?1;67;69;1000;1002;1003;1006;2004;2026l\x1b[?7;25h\x1b[4;20l\x1b[ q\x1b>\x1b(B\x0f\x1b[m"
    b"\x1b7\x1b[r\x1b8\r\n"
)
_ALTERNATE_SCREENS = (47, 1047, 1049)


class EmulatorUnavailable(RuntimeError):
    """Raised when the terminal emulator cannot be loaded on this machine; the text says why."""


@cache
def load_emulator() -> tuple[Any, Any]:
    """Return pyghostty's `(ffi, lib)`, loading them once (about 0.15 s), or raise `EmulatorUnavailable`."""
    try:
        from pyghostty._ffi import ffi, lib  # noqa: PLC0415 - there is not a wheel for every platform
    except (ImportError, OSError) as error:
        raise EmulatorUnavailable(f"the console needs the package pyghostty, which does not load: {error}") from error
    # cffi cannot pass a union by value; a struct of the same 24 bytes has the same calling convention (pyghostty._ffi).
    ffi.cdef(
        "typedef struct { GhosttyTerminalScrollViewportTag tag; int64_t delta; uint64_t _pad; } KvmtuiScrollViewport;"
    )
    return ffi, lib


class Emulator:
    """A terminal of `columns` x `rows` cells; `on_reply` gets the few bytes it answers to the program in the guest."""

    def __init__(self, columns: int, rows: int, on_reply: Callable[[bytes], None]) -> None:
        self._ffi, self._lib = load_emulator()
        from pyghostty import Terminal  # noqa: PLC0415 - see load_emulator

        self._on_reply = on_reply
        self._reply_budget = 0
        self._size = (columns, rows)
        self._guard = StringGuard()
        self._terminal = Terminal(columns, rows, scrollback=_SCROLLBACK_LINES)
        self._terminal.on_reply(self._reply)
        self._handle = self._terminal._t[0]
        self._limit_memory()
        scroll = "void(*)(GhosttyTerminal, KvmtuiScrollViewport)"
        self._scroll_viewport = self._ffi.cast(
            scroll, self._ffi.addressof(self._lib, "ghostty_terminal_scroll_viewport")
        )
        self._screen = ScreenReader(self._ffi, self._lib, self._handle)
        self._keys = KeyEncoder(self._ffi, self._lib, self._handle)
        self._text = TextReader(self._ffi, self._lib, self._handle)
        self._bell_rung = False
        self._on_bell = self._ffi.callback("GhosttyTerminalBellFn", self._ring)
        self._listen_for_bell(self._on_bell)

    @property
    def columns(self) -> int:
        """The width in cells."""
        return self._size[0]

    @property
    def rows(self) -> int:
        """The height in cells."""
        return self._size[1]

    @property
    def cursor(self) -> Cursor | None:
        """The cursor as of the last `take_dirty`, or None while it is hidden or scrolled out of view."""
        return self._screen.cursor

    @property
    def on_alternate_screen(self) -> bool:
        """Whether a program has the whole screen, such as an editor, and not a shell."""
        return any(map(self._terminal.mode, _ALTERNATE_SCREENS))

    def feed(self, data: bytes) -> None:
        """Let the terminal act on bytes of the guest."""
        self._reply_budget = REPLY_BYTES_PER_FEED
        self._terminal.feed(self._guard.filter(data))
        if self._terminal.size != self._size:  # DECCOLM: a guest may not change the size of the user's window
            self._terminal.resize(*self._size)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size; the primary screen's lines are wrapped anew, and the cursor's stays in sight."""
        self._size = (max(1, columns), max(1, rows))
        self._make_room_below_cursor()
        self._terminal.resize(*self._size)

    def _make_room_below_cursor(self) -> None:
        """Erase what stands below the cursor and does not fit the size that is to come.

        libghostty keeps the last lines: where the cursor is above them, its line would leave for the scrollback and
        what the guest writes next stand in another's place. Where it stays, nothing is lost.
        """
        terminal, (columns, rows) = self._terminal, self._size
        # In the midst of a sequence of the guest's, nothing can be put in.
        if terminal.feed_until_ground(b"") is None or self.on_alternate_screen:
            return
        cursor_y, rows_before = terminal.cursor[1], terminal.size[1]
        lines = self.text_lines(int(self._scrollbar().total) - rows_before)
        while lines and not lines[-1]:
            lines.pop()
        heights = [max(1, -(-cell_len(line) // columns)) for line in lines]
        if sum(heights[cursor_y:]) <= rows:
            return
        kept = cursor_y + 1
        while sum(heights[: kept + 1]) <= rows:
            kept += 1
        terminal.feed(b"\x1b7\x1b[?6l\x1b[m\x1b[%d;1H\x1b[J\x1b8" % (kept + 1))

    def calm(self) -> None:
        """Undo the modes a program left behind, keeping screen and scrollback; for a line that is opened again."""
        self._guard = StringGuard()
        self.feed(b"\x18")  # aborts the sequence
        if self._terminal.mode(1049):  # On the primary screen this would only move the cursor, up into old text.
            self.feed(b"\x1b[?1049l")
        self.feed(b"\x1b[?47;1047l" + _CALM)

    def take_dirty(self) -> list[int]:
        """Bring the lines up to date and return the numbers of those that look different since the last call."""
        return self._screen.update()

    def line(self, y: int) -> list[Segment]:
        """Return line `y` as of the last `take_dirty`, at most `columns` wide and free of control characters."""
        return self._screen.lines[y] if 0 <= y < len(self._screen.lines) else []

    def take_bell(self) -> bool:
        """Return whether the guest rang the bell since the last call."""
        rung, self._bell_rung = self._bell_rung, False
        if rung:
            self._listen_for_bell(self._on_bell)
        return rung

    def text_lines(self, start: int = 0, end: int | None = None) -> list[str]:
        """Return the text of scrollback and screen from line `start` to before `end`; line 0 is the oldest kept.

        Without harmful characters and the blanks at the ends. 5,000 lines take 3 ms.
        """
        return self._text.lines(*self._range(start, end))

    def copy_text(self, start: int, end: int) -> str:
        """Return these lines as one text, in which a line that the screen's edge wrapped is one line again."""
        return self._text.unwrapped(*self._range(start, end))

    def search(self) -> EmulatorSearch:
        """Begin a search in scrollback and screen; close it before this emulator goes."""
        return EmulatorSearch(self._ffi, self._lib, self._handle, self._screen)

    def encode_key(self, event: events.Key) -> bytes:
        """Return what a key sends in the terminal's present modes; nothing for a key a terminal has no bytes for."""
        return self._keys.encode(event.key, event.character)

    def paste(self, text: str) -> bytes:
        """Return what pasting `text` sends: no control characters, bracketed if the program asked for it."""
        return encode_paste(text, bracketed=self._terminal.mode(2004))

    @property
    def lines_above(self) -> int:
        """How many scrollback lines are above the view: the number of the first line in it."""
        return int(self._scrollbar().offset)

    @property
    def lines_below(self) -> int:
        """How many lines the view is scrolled back; 0 when it follows the output."""
        bar = self._scrollbar()
        return max(0, int(bar.total - bar.len - bar.offset))

    def scroll(self, lines: int) -> None:
        """Move the view by `lines` (negative is back in time), within the scrollback."""
        if lines:
            self._scroll(self._lib.GHOSTTY_SCROLL_VIEWPORT_DELTA, lines)

    def scroll_to_end(self) -> None:
        """Let the view follow the output again."""
        self._scroll(self._lib.GHOSTTY_SCROLL_VIEWPORT_BOTTOM, 0)

    def _scroll(self, tag: int, delta: int) -> None:
        behaviour = self._ffi.new("KvmtuiScrollViewport*", {"tag": tag, "delta": delta})
        self._scroll_viewport(self._handle, behaviour[0])

    def _scrollbar(self) -> Any:
        bar = self._ffi.new("GhosttyTerminalScrollbar*")
        self._lib.ghostty_terminal_get(self._handle, self._lib.GHOSTTY_TERMINAL_DATA_SCROLLBAR, bar)
        return bar

    def _range(self, start: int, end: int | None) -> tuple[int, int]:
        total = int(self._scrollbar().total)
        return max(0, start), total if end is None else min(end, total)

    def _listen_for_bell(self, callback: Any) -> None:
        self._lib.ghostty_terminal_set(self._handle, self._lib.GHOSTTY_TERMINAL_OPT_BELL, callback)

    def _ring(self, _terminal: Any, _user_data: Any) -> None:
        """Note the bell and hear no more of them until it is taken: a guest may ring millions of times."""
        self._bell_rung = True
        self._listen_for_bell(self._ffi.NULL)

    def _limit_memory(self) -> None:
        for option, ctype, value in (
            ("SCROLLBACK_MAX_BYTES", "size_t", _SCROLLBACK_BYTES),
            ("APC_MAX_BYTES", "size_t", _STRING_BYTES),
            ("CLIPBOARD_WRITE_MAX_BYTES", "size_t", _STRING_BYTES),
            ("KITTY_IMAGE_STORAGE_LIMIT", "uint64_t", 0),
        ):
            key = getattr(self._lib, f"GHOSTTY_TERMINAL_OPT_{option}")
            self._lib.ghostty_terminal_set(self._handle, key, self._ffi.new(f"{ctype}*", value))

    def _reply(self, data: bytes) -> None:
        """Pass on a plain status report while the feed's budget lasts, so that a guest cannot make us flood it."""
        if len(data) <= self._reply_budget and _REPLY.fullmatch(data):
            self._reply_budget -= len(data)
            self._on_reply(data)


class StringGuard:
    """Ends a runaway string sequence (OSC, DCS, APC, PM, SOS) at the next line break.

    A terminal swallows everything up to the end of such a string; one stray `ESC ]` in the output of a crashing guest
    would hide all that follows. No title or other string worth having holds a line break, so that ends it, by CAN.
    """

    _INTRODUCER = re.compile(rb"\x1b[\]PX^_]")
    _BODY = rb"\x1b(?:\][^\x07\x18\x1a\x1b\r\n]*|[PX^_][^\x18\x1a\x1b\r\n]*)"
    _RUNAWAY = re.compile(rb"(" + _BODY + rb")(?=[\r\n])")
    _UNFINISHED = re.compile(_BODY + rb"\Z")

    def __init__(self) -> None:
        self._held = b""  # an ESC at the end of the last piece: it may begin an introducer
        self._open = b""  # the introducer of a string that is still running

    def filter(self, data: bytes) -> bytes:
        """Return `data` with a CAN before each line break inside a string; a trailing ESC waits for the next call."""
        data = self._held + data
        self._held = b""
        if data.endswith(b"\x1b"):
            data, self._held = data[:-1], b"\x1b"
        if not data or not (self._open or self._INTRODUCER.search(data)):
            return data
        # The parser has seen the introducer already; it is put in front only for the pattern.
        before, text = self._open, self._RUNAWAY.sub(rb"\1" + b"\x18", self._open + data)
        unfinished = self._UNFINISHED.search(text)
        self._open = text[unfinished.start() :][:2] if unfinished else b""
        return text[len(before) :]
