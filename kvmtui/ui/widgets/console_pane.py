"""The terminal area that shows one VM's serial console and gives the guest every key but one."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar, Protocol

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from kvmtui.engine.consoles import ConsoleOutput, ConsoleState
from kvmtui.model.clean import clean_message
from kvmtui.ui.emulator import Emulator
from kvmtui.ui.emulator_screen import Cursor

LEAVE_KEY = "ctrl+right_square_bracket"
"""The key that leaves the console, as in virsh and telnet."""
FRAME_S = 1 / 30
FEED_BUDGET_S = 0.005
_MAX_LOAD = 0.25  # of the UI's time that a flooding guest can take
_MIN_PIECE, _MAX_PIECE = 256, 64 << 10
_WHEEL_LINES = 3
_DIM = Style(dim=True)
_CAN = b"\x18"

# Textual runs priority bindings before the focused widget sees the key. These are App's own.
_PRIORITY_ACTIONS = frozenset({"quit", "command_palette"})


class ConsoleSession(Protocol):
    """One open console stream. No method blocks; `write` may be called from any thread."""

    def take(self) -> ConsoleOutput:
        """Return everything received since the last call."""

    def write(self, data: bytes) -> None:
        """Queue bytes for the guest."""

    def close(self) -> None:
        """Give the stream up."""


class ConsolePane(Widget, can_focus=True):
    """Draws a console session's screen, line by line, and sends it what is typed.

    While a stream is open all keys are the guest's, except ^] (leave) and Shift+PgUp/PgDn (scrollback). `App` must
    ask `guest_gets_key` in its `check_action`, or ctrl+q and ctrl+p stay with Textual.
    """

    ALLOW_MAXIMIZE = False  # Textual takes Escape from a maximized widget, and vi needs it
    ALLOW_SELECT = False
    DEFAULT_CSS = "ConsolePane { height: 1fr; width: 1fr; }"
    can_focus: bool

    @dataclass
    class LeaveRequested(Message):
        """The user wants to leave the console."""

        pane: "ConsolePane"

    @dataclass
    class ReattachRequested(Message):
        """The user wants the ended console opened again."""

        pane: "ConsolePane"

    @dataclass
    class PasteRequested(Message):
        """Text of more than one line was pasted; `pane.paste(text)` sends it once the user has agreed."""

        pane: "ConsolePane"
        text: str

    _SCROLL_KEYS: ClassVar[dict[str, int]] = {"shift+pageup": -1, "shift+pagedown": 1}

    def __init__(
        self,
        *,
        name: str | None = None,
        id: str | None = None,  # noqa: A002 - Textual's name for it
        classes: str | None = None,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._clock = clock
        self._session: ConsoleSession | None = None
        self._emulator: Emulator | None = None
        self._title = ""
        self._ended: str | None = None
        self._skipped_bytes = 0
        self._backlog = memoryview(b"")
        self._ended_after_backlog: str | None = None
        self._piece = 4 << 10
        self._frame_timer: Timer | None = None
        self._cursor: Cursor | None = None

    @property
    def attached(self) -> bool:
        """Whether a stream is open, so that the keys belong to the guest."""
        return self._session is not None and self._ended is None

    @property
    def title(self) -> str:
        """What the session was attached as."""
        return self._title

    @property
    def ended(self) -> str | None:
        """Why the stream ended, or None."""
        return self._ended

    def attach(self, session: ConsoleSession, title: str) -> None:
        """Show `session`. Under the title it had before, the screen and scrollback of the last one stay.

        Raises `EmulatorUnavailable`, and then leaves `session` alone.
        """
        columns, rows = self.size if self.size.area else (80, 24)
        if self._emulator is None or title != self._title:
            self._emulator = Emulator(columns, rows, self._send)
        else:
            self._emulator.calm()
        self._release()
        self._session, self._title = session, title
        self._emulator.scroll_to_end()
        self._show(everything=True)
        self.wake()

    def detach(self) -> None:
        """Close the session and clear the pane."""
        self._release()
        self._emulator, self._title, self._cursor = None, "", None
        self.refresh()

    def paste(self, text: str) -> None:
        """Send `text` to the guest as a paste, whatever it holds."""
        if self.attached and self._emulator is not None:
            self._emulator.scroll_to_end()
            self._send(self._emulator.paste(text))
            self._show()

    def wake(self) -> None:
        """Take what the session has; called on the UI thread whenever there may be output."""
        if self._frame_timer is None:
            self._frame()

    def _release(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
        self._ended = self._ended_after_backlog = None
        self._skipped_bytes = 0
        self._backlog = memoryview(b"")

    def _send(self, data: bytes) -> None:
        if data and self._session is not None and self._ended is None:
            self._session.write(data)

    # --- output ---

    def _frame(self) -> None:
        """Emulate for a few milliseconds, draw, and pause until the next frame if there may be more."""
        self._frame_timer = None
        if self._session is None or self._emulator is None or self._ended is not None:
            return
        start = self._clock()
        hint = self._skipped_bytes
        if not self._backlog:
            output = self._session.take()
            # What is left of a sequence that was cut by the skipping is aborted (CAN), not continued.
            self._backlog = memoryview(_CAN + output.data if output.skipped_bytes else output.data)
            self._skipped_bytes += output.skipped_bytes
            if output.state not in (ConsoleState.OPENING, ConsoleState.OPEN):
                self._ended_after_backlog = output.message or output.state
        busy = bool(self._backlog)
        self._feed(self._emulator, start)
        if not self._backlog and self._ended_after_backlog is not None:
            self._ended = clean_message(self._ended_after_backlog) or "closed"
        self._show({0} if self._skipped_bytes != hint else (), everything=self._ended is not None)
        if busy and self._ended is None:
            pause = max(FRAME_S, (self._clock() - start) / _MAX_LOAD)
            # The next frame looks at the session whether or not it woke us meanwhile: no wake-up can be lost.
            self._frame_timer = self.set_timer(pause, self._frame)

    def _feed(self, emulator: Emulator, start: float) -> None:
        """Feed the backlog until the budget is spent, in pieces that take about a quarter of it.

        A few bytes can be much work (`CSI 65535 b` repeats a character 65,535 times), so the size follows the cost.
        """
        while self._backlog:
            before = self._clock()
            if before - start >= FEED_BUDGET_S:
                return
            emulator.feed(bytes(self._backlog[: self._piece]))
            self._backlog = self._backlog[self._piece :]
            spent = self._clock() - before
            if spent > FEED_BUDGET_S / 4:
                self._piece = max(_MIN_PIECE, int(self._piece * FEED_BUDGET_S / 4 / spent))
            elif spent < FEED_BUDGET_S / 8:
                self._piece = min(_MAX_PIECE, self._piece * 2)

    def _show(self, also: Collection[int] = (), *, everything: bool = False) -> None:
        """Refresh the lines that look different, those the cursor left and entered, and `also` these."""
        if self._emulator is None:
            return
        lines = {*self._emulator.take_dirty(), *also}
        cursor = self._emulator.cursor
        if cursor != self._cursor:
            lines.update(each.y for each in (cursor, self._cursor) if each is not None)
            self._cursor = cursor
        if everything:
            self.refresh()
        elif lines:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in lines))

    # --- drawing ---

    def render_line(self, y: int) -> Strip:
        """Draw line `y` of the terminal, or the notice of an ended stream below its last line."""
        width, base = self.size.width, self.rich_style
        if self._emulator is None:
            return Strip.blank(width, base)
        if self._ended is not None:
            last = _last_line(self._emulator)
            # The notice hides nothing at the end: a full screen moves up by one line, which the scrollback has.
            shift = max(0, last + 2 - self.size.height)
            if y + shift == last + 1:
                return Strip([Segment(_notice(self._ended, width), base + _DIM)]).adjust_cell_length(width, base)
            y += shift
        strip = Strip(self._emulator.line(y)).apply_style(base).adjust_cell_length(width, base)
        if self._cursor is not None and y == self._cursor.y and self.has_focus and self.attached:
            strip = _with_cursor(strip, self._cursor)
        if y == 0 and self._skipped_bytes:
            hint = Segment(f" … {max(1, self._skipped_bytes // 1000)} kB skipped ", base + _DIM)
            strip = Strip([*strip.crop(0, max(0, width - hint.cell_length)), hint]).crop(0, width)
        return strip

    # --- input ---

    def on_key(self, event: events.Key) -> None:
        """Send the key to the guest, unless it leaves, scrolls, or the stream is over; no key goes on to the app."""
        if self._session is None or self._emulator is None:
            return
        if event.key == LEAVE_KEY:
            self.post_message(self.LeaveRequested(self))
        elif event.key in self._SCROLL_KEYS:
            self._scroll(self._SCROLL_KEYS[event.key] * max(1, self.size.height - 1))
        elif self._ended is None:
            self._type(self._emulator, event)
        elif event.key == "r":
            self.post_message(self.ReattachRequested(self))
        # Also when the stream is over: what was meant for the guest must never act on a VM.
        event.stop()
        event.prevent_default()

    def _type(self, emulator: Emulator, event: events.Key) -> None:
        if data := emulator.encode_key(event):
            self._send(data)
            also = {0} if self._skipped_bytes else ()
            self._skipped_bytes = 0  # read and done with
            emulator.scroll_to_end()
            self._show(also)

    def on_paste(self, event: events.Paste) -> None:
        """Send one line at once; more than that, or a line end that would run it, is for the app to ask about."""
        if not self.attached:
            return
        event.stop()
        event.prevent_default()
        if "\n" in event.text or "\r" in event.text:
            self.post_message(self.PasteRequested(self, event.text))
        else:
            self.paste(event.text)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Go back in the scrollback."""
        self._scroll(-_WHEEL_LINES)
        event.stop()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Go forward in the scrollback."""
        self._scroll(_WHEEL_LINES)
        event.stop()

    def _scroll(self, lines: int) -> None:
        if self._emulator is not None:
            self._emulator.scroll(lines)
            self._show()

    # --- life ---

    def on_resize(self, event: events.Resize) -> None:
        """Give the terminal the pane's size. The guest is not told: a serial line cannot."""
        if self._emulator is not None and event.size.area:
            self._emulator.resize(*event.size)
            self._show(everything=True)

    def on_focus(self) -> None:
        """Draw the cursor."""
        self.refresh()

    def on_blur(self) -> None:
        """Remove the cursor."""
        self.refresh()

    def on_unmount(self) -> None:
        """Close the stream with the pane."""
        self._release()


def guest_gets_key(app: App[Any], action: str) -> bool:
    """Whether a priority binding's `action` must not run, because its key belongs to the guest in the focused console.

    For `App.check_action`: when it returns False, Textual hands the key to the focused widget after all.
    """
    if action not in _PRIORITY_ACTIONS:
        return False
    focused = app.focused
    return isinstance(focused, ConsolePane) and focused.attached


def _with_cursor(strip: Strip, cursor: Cursor) -> Strip:
    """Return the line with the cursor's cell reversed, or underlined if the guest asked for that shape."""
    end = cursor.x + cursor.columns
    marked = []
    for text, style, _ in strip.crop(cursor.x, end):
        style = style or Style()
        mark = Style(underline=True) if cursor.shape == "underline" else Style(reverse=not style.reverse)
        marked.append(Segment(text, style + mark))
    return Strip([*strip.crop(0, cursor.x), *marked, *strip.crop(end, strip.cell_length)])


def _last_line(emulator: Emulator) -> int:
    """Return the number of the last line with anything on it, -1 for an empty screen."""
    return max((y for y in range(emulator.rows) if any(s.text.strip() for s in emulator.line(y))), default=-1)


def _notice(reason: str, width: int) -> str:
    """Return the line about an ended stream; a long reason is cut so that the keys stay in sight."""
    before, after = "stream ended: ", " - r reattach, ^] leave"
    room = width - len(before) - len(after)
    if cell_len(reason) > room:
        reason = set_cell_size(reason, max(0, room - 1)) + "…"
    return before + reason + after
