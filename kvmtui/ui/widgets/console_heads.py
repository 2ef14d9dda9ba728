"""The lines above a console: the tabs, and the title that makes room for what is searched for."""

from collections.abc import Callable

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from kvmtui.ui.widgets.console_search import ConsoleSearchField

TAB = "tab"
"""The key under which the style of a tab's text tells its number."""


class ConsoleHeads(Vertical):
    """Shows what it is told, and tells which tab was clicked."""

    def __init__(self, field: ConsoleSearchField, clicked: Callable[[int], None]) -> None:
        """`clicked` gets the number of a tab, from 1 on."""
        super().__init__()
        self._field, self._clicked = field, clicked
        self._tabs, self._title = Static("", id="console-tabs"), Static("", id="console-title")
        self._title_row = Horizontal(self._field, self._title)

    def compose(self) -> ComposeResult:
        """Lay the lines out."""
        yield self._tabs
        yield self._title_row

    def say(self, title: Content, tabs: Content, *, highlighted: bool, searching: bool) -> None:
        """Show these words; a highlighted title asks for a key, and one while a search is typed makes room."""
        self.set_class(searching, "-searching")
        self._title.set_class(highlighted, "-prefix")
        for line, content in ((self._title, title), (self._tabs, tabs)):
            if line.content != content:
                line.update(content)

    def place(self, *, tabs: bool, title: bool) -> None:
        """Show and hide the lines."""
        self._tabs.display, self._title_row.display = tabs, title

    def on_click(self, event: events.Click) -> None:
        """Tell which tab it was."""
        number = event.style.meta.get(TAB)
        if number is not None:
            event.stop()
            self._clicked(number)
