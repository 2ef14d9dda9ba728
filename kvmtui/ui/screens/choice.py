"""A question that is answered by one of several things."""

from collections.abc import Sequence
from typing import TypeVar

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from kvmtui.ui.screens.ask import ExpiringScreen

T = TypeVar("T")


class ChoiceScreen(ExpiringScreen[T]):
    """Offers things in a list; the answer is the one chosen."""

    def __init__(self, title: str, offers: Sequence[tuple[Option, T]], does: str) -> None:
        """Each of `offers` is a line and what it stands for; `does` is what Enter does: "opens it"."""
        super().__init__()
        self._title = title
        self._offers = offers
        self._does = does

    def compose(self) -> ComposeResult:
        """Lay the list out."""
        with Vertical(classes="dialog"):
            yield Label(self._title, classes="title", markup=False)
            yield OptionList(*(option for option, _ in self._offers), compact=True)
            yield Label(f"Enter {self._does} · Esc closes", classes="hint", markup=False)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.answer(self._offers[event.option_index][1])
