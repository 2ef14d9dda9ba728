"""What is shown where a terminal has no room: how large it must be, and nothing that a key could act on unseen."""

from typing import Any

from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.screen import ModalScreen
from textual.widgets import Static

LEAST = (40, 10)
"""Columns and lines that the main screen and a question need."""


class TooSmallScreen(ModalScreen[None]):
    """Covers all else until there is room, so that no key answers a question that cannot be read."""

    BINDINGS = [
        Binding("escape", "leave", "close", show=False),
        Binding("q", "app.exit", "quit", show=False),
    ]

    def __init__(self, least: tuple[int, int]) -> None:
        super().__init__()
        self.least = least

    def compose(self) -> ComposeResult:
        """Say it in as few cells as may be."""
        yield Static(markup=False)

    def on_resize(self) -> None:
        """Say how far it is."""
        width, height = self.app.size
        columns, lines = self.least
        self.query_one(Static).update(f"{width}x{height} is too small: this needs {columns}x{lines}")

    def action_leave(self) -> None:
        """Close what there is no room for, too, where that can be closed."""
        beneath = self.app.screen_stack[-2]
        if isinstance(beneath, ModalScreen):
            self.dismiss()
            self.app.call_later(beneath.dismiss, None)
            self.app.call_later(make_fit, self.app)


def make_fit(app: App[Any]) -> None:
    """Cover the topmost screen where the terminal is too small for it, and uncover it when there is room."""
    top = app.screen
    covered = isinstance(top, TooSmallScreen)
    least = top.least if isinstance(top, TooSmallScreen) else getattr(top, "LEAST", LEAST)
    small = app.size.width < least[0] or app.size.height < least[1]
    if covered and not small:
        top.dismiss()
    elif small and not covered:
        app.push_screen(TooSmallScreen(least))
