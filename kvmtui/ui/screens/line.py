"""Asking for a line of text."""

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.widgets import Input, Label

from kvmtui.ui.screens.ask import ExpiringScreen


class LineScreen(ExpiringScreen[str]):
    """Asks for a line; the answer is None where none was given."""

    BINDINGS = [Binding("escape", "cancel", "cancel", show=False)]

    def __init__(
        self, question: str, explanation: str, value: str = "", *, check: Callable[[str], str] = lambda line: ""
    ) -> None:
        """`check` says what is wrong with an answer, or "": then it is taken."""
        super().__init__()
        self._question = question
        self._explanation = explanation
        self._value = value
        self._check = check

    def compose(self) -> ComposeResult:
        """Lay the question out."""
        with Vertical(classes="dialog"):
            yield Label(self._question, classes="title", markup=False)
            yield Input(self._value, max_length=1000, compact=True)
            yield Label(self._explanation, classes="consequence", markup=False)
            yield Label("Enter takes it · Esc closes", classes="hint", markup=False)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        line = event.value.strip()
        problem = self._check(line) if line else "nothing was typed"
        if problem:
            self.query_one(".consequence", Label).update(problem)
        else:
            self.answer(line)
