"""A screen over the main screen that holds text to read, moved through by the keys that move through the table."""

from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

READING_KEYS = "PgDn PgUp scroll · Esc closes"


class ReadingScreen(ModalScreen[None]):
    """Scrolls its one `VerticalScroll`; Esc and q close it."""

    BINDINGS = [
        Binding("escape,q", "dismiss", "close", show=False),
        Binding("j,down", "lines(1)", show=False),
        Binding("k,up", "lines(-1)", show=False),
        Binding("pagedown,space", "pages(1)", show=False),
        Binding("pageup", "pages(-1)", show=False),
        Binding("ctrl+d", "pages(0.5)", show=False),
        Binding("ctrl+u", "pages(-0.5)", show=False),
        Binding("home,g", "edge(0)", show=False),
        Binding("end,G", "edge(1)", show=False),
    ]

    def action_lines(self, lines: int) -> None:
        """Scroll by lines."""
        self._text.scroll_relative(y=lines, animate=False)

    def action_pages(self, pages: float) -> None:
        """Scroll by pages."""
        self._text.scroll_relative(y=int(pages * max(1, self._text.size.height - 1)), animate=False)

    def action_edge(self, last: int) -> None:
        """Go to the first or the last line."""
        self._text.scroll_to(y=self._text.max_scroll_y * last, animate=False)

    @property
    def _text(self) -> VerticalScroll:
        return self.query_one(VerticalScroll)
