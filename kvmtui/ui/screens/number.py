"""Asking for a number."""

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input, Label

from kvmtui.ui.screens.ask import ExpiringScreen


class NumberScreen(ExpiringScreen[int]):
    """Asks for a whole number from 0 on; the answer is None where none was given."""

    BINDINGS = [Binding("escape", "cancel", "cancel", show=False)]  # noqa: RUF012

    def __init__(self, question: str, explanation: str, value: int | None, *, most: int = 1_000_000) -> None:
        """`value` is what it is now."""
        super().__init__()
        self._question = question
        self._explanation = explanation
        self._value = "" if value is None else str(value)
        self._most = most

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
        if text.isascii() and text.isdigit() and int(text) <= self._most:
            self.answer(int(text))
        else:
            self.query_one(".consequence", Label).update(f"a whole number from 0 to {self._most}, please")
