"""The line in which is typed what to look for in a console."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.binding import Binding
from textual.widgets import Input

from kvmtui.ui.alt_keys import WORD_KEYS
from kvmtui.ui.console_keys import SearchCommand
from kvmtui.ui.widgets.console_pane import ConsolePane

if TYPE_CHECKING:
    from kvmtui.ui.console_terminal import ConsoleTerminal


class ConsoleSearchField(Input):
    """Searches with every key, before the next key is looked at."""

    BINDINGS = [
        Binding("down,up,tab", "submit", "to the matches", show=False),
        Binding("escape", "drop", "end the search", show=False),
        *WORD_KEYS,
    ]

    def __init__(self, changed: Callable[[str], None], left: Callable[[bool], None]) -> None:
        """`changed` gets what is typed; `left` is called at the end, with whether the search shall go on."""
        super().__init__(placeholder="search screen and scrollback", compact=True, select_on_focus=True)
        self._changed, self._left = changed, left

    def open(self) -> None:
        """Show the line and take the keys."""
        self.display = True
        self.screen.set_focus(self)

    def close(self) -> None:
        """Hide the line."""
        self.display = False

    def watch_value(self, value: str) -> None:
        """Search for what is typed so far."""
        if self.display and self.is_mounted:
            self._changed(value)

    async def action_submit(self) -> None:
        """Give the keys to the matches."""
        self._left(bool(self.value))

    def action_drop(self) -> None:
        """End the search."""
        self._left(False)


def step_search(terminal: "ConsoleTerminal", pane: ConsolePane, command: SearchCommand) -> None:
    """Move among the matches, or end the search."""
    match command:
        case SearchCommand.OLDER:
            terminal.start_search().step(1)
        case SearchCommand.NEWER:
            terminal.start_search().step(-1)
        case SearchCommand.PAGE_UP:
            pane.scroll_pages(-1)
        case SearchCommand.PAGE_DOWN:
            pane.scroll_pages(1)
        case SearchCommand.END:
            terminal.end_search()
