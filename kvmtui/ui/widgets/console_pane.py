"""The terminal area: draws one console and hands on what is typed, pasted and scrolled there."""

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    from kvmtui.ui.console_terminal import ConsoleTerminal
    from kvmtui.ui.emulator_screen import Cursor
    from kvmtui.ui.emulator_search import Match

_WHEEL_LINES = 3
_FALLBACK_SIZE = (80, 24)

_CURSORS = {"block": Style(reverse=True), "bar": Style(reverse=True), "underline": Style(underline=True)}

# Textual runs priority bindings before the focused widget sees the key. These are App's own.
_PRIORITY_ACTIONS = frozenset({"quit", "command_palette"})


class ConsolePane(Widget, can_focus=True):
    """Draws a console's screen, line by line, with what has to be said about it below the guest's last line.

    All keys go to `typed`, none to the app. `App` must ask `guest_gets_key` in its `check_action`, or ctrl+q and
    ctrl+p stay with Textual.
    """

    ALLOW_MAXIMIZE = False  # Textual takes Escape from a maximized widget, and vi needs it
    ALLOW_SELECT = False
    COMPONENT_CLASSES = {"console--notice", "console--match", "console--selected"}
    can_focus: bool

    def __init__(
        self, typed: Callable[[events.Key], None], pasted: Callable[[str], None], moved: Callable[[], None]
    ) -> None:
        """`typed` gets every key, `pasted` every paste; `moved` is called when the focus or the view has moved."""
        super().__init__()
        self._typed, self._pasted, self._moved = typed, pasted, moved
        self._terminal: ConsoleTerminal | None = None
        self._notice: Sequence[str] = ()
        self._notice_text = ""
        self._shift = 0
        self._notice_at = 0
        self._cursor: Cursor | None = None
        self._matches: tuple[Match, ...] = ()

    @property
    def terminal(self) -> "ConsoleTerminal | None":
        """The console that is shown."""
        return self._terminal

    @property
    def console_size(self) -> tuple[int, int]:
        """Columns and rows of a console here."""
        return (self.size.width, self.size.height) if self.size.area else _FALLBACK_SIZE

    def show(self, terminal: "ConsoleTerminal | None") -> None:
        """Show this console instead of the one before."""
        self._terminal = terminal
        if terminal is not None and self.size.area:
            terminal.emulator.resize(*self.console_size)
        self.draw(everything=True)

    def tell(self, notice: str) -> None:
        """Let `notice` stand below the guest's last line, from the next time on that something is drawn."""
        self._notice_text = notice

    def draw(self, *, everything: bool = False) -> None:
        """Draw the lines that look different."""
        terminal = self._terminal
        if terminal is None:
            self._cursor, self._notice, self._matches = None, (), ()
            self.refresh()
            return
        lines = set(terminal.emulator.take_dirty())
        if terminal.search is not None:
            terminal.search.update()
        matches = () if terminal.search is None else terminal.search.matches
        if matches != self._matches:
            lines.update(match.y for match in (*matches, *self._matches))
            self._matches = matches
        cursor = terminal.emulator.cursor
        if cursor != self._cursor:
            lines.update(each.y for each in (cursor, self._cursor) if each is not None)
            self._cursor = cursor
        before = (self._notice, self._notice_at)
        self._place_notice(terminal)
        if everything or before != (self._notice, self._notice_at):
            self.refresh()
        elif lines:
            self.refresh(*(Region(0, y - self._shift, self.size.width, 1) for y in lines if y >= self._shift))

    def _place_notice(self, terminal: "ConsoleTerminal") -> None:
        width, height = self.console_size
        self._notice = _wrap(self._notice_text, width)[: max(1, height - 1)]
        self._shift = 0
        if self._notice:
            last = max((y for y in range(terminal.emulator.rows) if terminal.line_text(y)), default=-1)
            # It hides nothing at the end: a full screen moves up, which the scrollback has.
            self._shift = max(0, last + 1 + len(self._notice) - height)
            self._notice_at = last + 1 - self._shift

    # Drawing

    def render_line(self, y: int) -> Strip:
        """Draw line `y` of the pane."""
        width, base = self.size.width, self.rich_style
        if self._terminal is None:
            return Strip.blank(width, base)
        if self._notice and 0 <= y - self._notice_at < len(self._notice):
            style = base + self.get_component_rich_style("console--notice", partial=True)
            return Strip([Segment(self._notice[y - self._notice_at], style)]).adjust_cell_length(width, base)
        y += self._shift
        strip = Strip(self._terminal.emulator.line(y)).apply_style(base).adjust_cell_length(width, base)
        for match in self._matches:
            if match.y == y:
                name = "console--selected" if match.selected else "console--match"
                strip = _marked(strip, match.start, match.end, self.get_component_rich_style(name, partial=True))
        cursor = self._cursor
        if cursor is not None and y == cursor.y and self.has_focus and self._terminal.live:
            strip = _marked(strip, cursor.x, cursor.x + cursor.columns, _CURSORS[cursor.shape])
        return strip

    # Input

    def on_key(self, event: events.Key) -> None:
        """Hand the key on; whatever it does there, it must never act on a VM."""
        event.stop()
        event.prevent_default()
        self._typed(event)

    def on_paste(self, event: events.Paste) -> None:
        """Hand the paste on."""
        event.stop()
        event.prevent_default()
        self._pasted(event.text)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Go back in the scrollback."""
        event.stop()
        self.scroll_lines(-_WHEEL_LINES)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Go forward in the scrollback."""
        event.stop()
        self.scroll_lines(_WHEEL_LINES)

    def scroll_pages(self, pages: int) -> None:
        """Move in the scrollback; a line of the page before stays in sight."""
        self.scroll_lines(pages * max(1, self.size.height - 1))

    def scroll_lines(self, lines: int) -> None:
        """Move in the scrollback."""
        if self._terminal is not None:
            self._terminal.emulator.scroll(lines)
            self.draw()
            self._moved()

    # Life

    def on_resize(self, event: events.Resize) -> None:
        """Give the terminal the pane's size. The guest is not told: a serial line cannot."""
        if self._terminal is not None and event.size.area:
            self._terminal.emulator.resize(*event.size)
            self.draw(everything=True)

    def on_focus(self) -> None:
        """Draw the cursor."""
        self.refresh()
        self._moved()

    def on_blur(self) -> None:
        """Remove the cursor."""
        self.refresh()
        self._moved()


def guest_gets_key(app: App[Any], action: str) -> bool:
    """Whether a priority binding's `action` must not run, because its key belongs to the guest in the focused console.

    For `App.check_action`: when it returns False, Textual hands the key to the focused widget after all.
    """
    if action not in _PRIORITY_ACTIONS:
        return False
    focused = app.focused
    return isinstance(focused, ConsolePane) and focused.terminal is not None and focused.terminal.waits_for_guest


def _marked(strip: Strip, start: int, end: int, mark: Style) -> Strip:
    """Return the line with `mark` on its cells from `start` to before `end`; what is reversed twice is not."""
    end = min(end, strip.cell_length)
    marked = []
    for text, style, _ in strip.crop(start, end):
        style = style or Style()
        twice = mark.reverse and style.reverse
        marked.append(Segment(text, style + mark + (Style(reverse=False) if twice else Style())))
    return Strip([*strip.crop(0, start), *marked, *strip.crop(end, strip.cell_length)])


def _wrap(text: str, width: int) -> Sequence[str]:
    """Return the lines of `text` in lines of at most `width` cells."""
    lines = text.splitlines()
    return [part for line in lines for part in wrap(line, max(1, width if len(line) == cell_len(line) else width // 2))]
