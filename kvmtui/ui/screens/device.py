"""The choice among the serial devices of a VM that has several."""

from collections.abc import Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from kvmtui.ui.screens.ask import ExpiringScreen


class DeviceScreen(ExpiringScreen[str]):
    """Offers devices; the answer is the one chosen."""

    def __init__(self, where: str, devices: Sequence[str]) -> None:
        """`where` is "web1 on h1"."""
        super().__init__()
        self._where = where
        self._devices = devices

    def compose(self) -> ComposeResult:
        """Lay the list out."""
        with Vertical(classes="dialog"):
            yield Label(f"Which console of {self._where}?", classes="title", markup=False)
            yield OptionList(*(Option(Content(f" {device}")) for device in self._devices), compact=True)
            yield Label("Enter opens it · Esc closes", classes="hint", markup=False)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.answer(self._devices[event.option_index])
