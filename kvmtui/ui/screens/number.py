"""Asking for a number."""

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input, Label

from kvmtui.ui.screens.ask import ExpiringScreen

_MOST = 1_000_000


class NumberScreen(ExpiringScreen[int]):
    """Asks for a whole number from 0 on; the answer is None where none was given."""

    BINDINGS = [Binding("escape", "cancel", "cancel", show=False)]

    def __init__(self, question: str, explanation: str, value: int | None) -> None:
        """`value` is what it is now."""
        super().__init__()
        self._question = question
        self._explanation = explanation
        self._value = "" if value is None else str(value)

    def compose(self) -> ComposeResult:
        """Lay the question out."""
        with Vertical(classes="dialog"):
            yield Label(self._question, classes="title", markup=False)
            yield Input(self._value, type="integer", max_length=9, compact=True)
            yield Label(self._explanation, classes="consequence", markup=False)
            yield Label("Enter sets it · Esc closes", classes="hint", markup=False)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        if text.isascii() and text.isdigit() and int(text) <= _MOST:
            self.answer(int(text))
        else:
            self.query_one(".consequence", Label).update(f"a whole number from 0 to {_MOST}, please")
