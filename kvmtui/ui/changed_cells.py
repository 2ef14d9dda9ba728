"""A display that sends only the cells that changed.

Textual sends every line of a dirty region again, each run of text with its full colours, whatever the terminal shows
already: 16 kB for a table of 120x40. On a slow link that is a second for each refresh, with every key behind it. Here
`App._display`, the one place where Textual writes its frames, is replaced. That is private, so all use of what is
private is in this module, it first looks whether this is a Textual it knows, and when in doubt it leaves everything to
Textual.
"""

import inspect
import logging
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import textual
from rich.color import ColorSystem
from rich.console import RenderableType
from textual import events
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App, ReturnType
from textual.driver import Driver
from textual.screen import Screen
from textual.strip import Strip

from kvmtui.ui.cell_output import Piece, ShownCells
from kvmtui.ui.known_textual import strange
from kvmtui.ui.sequences import move_cursor

_log = logging.getLogger(__name__)

# 8.2.8 is what this was written against. A later 8 is trusted as long as what is used here has the same shape.
_KNOWN_VERSIONS = ((8, 2, 8), (9, 0, 0))
_SHAPES: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (App._display, ("self", "screen", "renderable")),
    (LayoutUpdate.__init__, ("self", "strips", "region")),
    (ChopsUpdate.__init__, ("self", "chops", "spans", "chop_ends")),
    (Strip.render_ansi, ("style", "color_system")),
)
# What `App._display` looks at, which is looked at here in its place.
_LOOKED_AT = {
    *("CompositorUpdate", "_batch_count", "_begin_update", "_closed", "_driver", "_end_update", "_running", "console"),
    *("cursor_position", "clamp_offset", "flush", "is_headless", "is_inline", "outer_size", "post_display_hook"),
    *("_previous_cursor_position", "render_segments", "screen", "write"),
}
_RESIZED_S = 0.05
_VERSION_S = 1.0


def strange_shape() -> str:
    """Return what is not as expected in this Textual, or nothing."""
    for function, parameters in _SHAPES:
        if tuple(inspect.signature(function).parameters) != parameters:
            return f"{function.__qualname__} has other parameters"
    return strange((App, "_display", _LOOKED_AT))


def _version() -> str:
    """Return Textual's version, from the name of the folder that was installed beside it."""
    # Textual itself would ask importlib.metadata, which stops the keys for 30 ms and keeps 2 MB.
    found = list(Path(textual.__file__).parents[1].glob("textual-*.dist-info"))
    return found[0].stem.removeprefix("textual-") if len(found) == 1 else textual.__version__


def strange_version() -> str:
    """Return the version of this Textual if it is not one of those that are known, or nothing."""
    version = _version()
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    return "" if _KNOWN_VERSIONS[0] <= numbers < _KNOWN_VERSIONS[1] else f"Textual {version} is not known"


def terminal_busy(app: App[Any]) -> bool:
    """Return whether the terminal has not taken yet all that was written; a frame more would only wait behind it."""
    writer = getattr(app._driver, "_writer_thread", None)
    queue = getattr(writer, "_queue", None)
    if queue is None:
        return False
    # The thread takes a frame from the queue before it gets stuck writing it, so an empty queue means little. What it
    # has written and flushed all of is certain only when it waits for more.
    waiting = getattr(getattr(queue, "not_empty", None), "_waiters", None)
    return bool(queue.qsize() or (waiting is not None and not waiting))


class ChangedCellsApp(App[ReturnType]):
    """An app that sends only the cells that changed."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # Before the rest: App's own constructor refreshes already.
        self._shown: ShownCells | None = ShownCells()
        """What the terminal shows; None: Textual's own display is used."""
        self._terminal_cursor: tuple[int, int] | None = None
        self._writer: object = None
        self._version_seen = False
        self._had_focus = True
        super().__init__(*arguments, **options)
        if reason := strange_shape():
            self._leave_to_textual(reason)

    def refresh(
        self, *, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> "ChangedCellsApp[ReturnType]":
        """Draw everything again, also what the terminal should be showing already."""
        # Textual also calls this when the terminal's window gets or loses the focus, after which nothing is amiss.
        focus_changed = self._running and self._had_focus != self.app_focus
        if focus_changed:
            self._had_focus = self.app_focus
        elif repaint:
            self._forget_shown()
        super().refresh(repaint=repaint, layout=layout, recompose=recompose)
        return self

    async def on_event(self, event: events.Event) -> None:
        """Forget what is shown when the terminal may have lost it: on a change of size, and back from ^Z."""
        if isinstance(event, events.Resize | Driver.SignalResume):
            self._forget_shown()
            # From one size to another and back in one go, or none at all but an empty screen after ^Z, Textual sees
            # nothing to do. Where it did something, this finds all in place and sends nothing.
            self.set_timer(_RESIZED_S, self._show_again)
        await super().on_event(event)

    def _show_again(self) -> None:
        if self._shown is not None and self._screen_stack:
            self.screen.refresh()

    def _forget_shown(self) -> None:
        if self._shown is not None:
            self._shown.forget()
        self._terminal_cursor = None

    def _leave_to_textual(self, reason: str) -> None:
        self._shown = None
        _log.warning("every refresh is sent in full: %s", reason)

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Show an update of the compositor."""
        driver, shown = self._driver, self._shown
        if (
            shown is None
            or renderable is None
            or driver is None
            or self._batch_count
            or not self._running
            or self._closed
            or driver.is_headless
            or driver.is_inline
            or driver.is_web
        ):
            super()._display(screen, renderable)
            return
        if not isinstance(renderable, LayoutUpdate | ChopsUpdate):
            self._forget_shown()
            super()._display(screen, renderable)
            return
        try:
            frame = self._frame(shown, driver, renderable)
        except Exception as error:  # noqa: BLE001 - whatever it is, Textual's own display goes on
            self._leave_to_textual(repr(error))
            super()._display(screen, renderable)
            self.call_later(self.screen.refresh)
            return
        try:
            if frame:
                driver.write(frame)
                driver.flush()
        finally:
            self.post_display_hook()
        if not self._version_seen:
            # Asking for the version takes 12 ms, which the first pictures do not wait for.
            self._version_seen = True
            self.set_timer(_VERSION_S, self._look_at_version)

    def _look_at_version(self) -> None:
        if reason := strange_version():
            self._leave_to_textual(reason)
            self.screen.refresh()

    def _frame(self, shown: ShownCells, driver: Driver, update: LayoutUpdate | ChopsUpdate) -> str:
        """Return what to write, in one piece: a frame then takes one place in Textual's queue of thirty, not three."""
        # After ^Z or App.suspend the driver has a new thread, and the terminal an empty screen.
        writer = getattr(driver, "_writer_thread", None)
        if writer is not self._writer:
            self._writer = writer
            self._forget_shown()
        if isinstance(update, LayoutUpdate):
            columns, lines = update.region.right, update.region.bottom
            pieces = _layout_pieces(update)
        else:
            columns, lines = max((ends[-1] for ends in update.chop_ends if ends), default=0), len(update.chops)
            pieces = _chop_pieces(update)
        system = self.console._color_system or ColorSystem.TRUECOLOR
        sequence, x, y = shown.changes(pieces, columns, lines, system)
        # Input methods draw at the terminal's cursor.
        position = self.screen.outer_size.clamp_offset(self.cursor_position)
        cursor = (position.x, position.y)
        self._previous_cursor_position = position
        if sequence or cursor != self._terminal_cursor:
            self._terminal_cursor = cursor
            sequence += move_cursor(x, y, *cursor)
        return f"{SYNC_START}{sequence}{SYNC_END}" if sequence and self._sync_available else sequence


def _layout_pieces(update: LayoutUpdate) -> Iterator[Piece]:
    for y, strips in enumerate(update.strips, update.region.y):
        yield Piece(y, update.region.x, chain.from_iterable(strips))


def _chop_pieces(update: ChopsUpdate) -> Iterator[Piece]:
    """Return the cells `ChopsUpdate.render_segments` would send, neighbours joined."""
    for y, first, last in update.spans:
        joined: list[Strip] = []
        start = at = 0
        for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            if strip is None or x >= last or end <= first:
                continue
            if end > last:
                strip = strip.crop(0, last - x)
            if joined and x != at:
                yield Piece(y, start, _segments(joined))
                joined = []
            if not joined:
                start = x
            joined.append(strip)
            at = x + strip.cell_length
        if joined:
            yield Piece(y, start, _segments(joined))


def _segments(strips: list[Strip]) -> Iterable[Any]:
    return chain.from_iterable(strips)
