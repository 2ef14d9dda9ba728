"""The choice among the serial devices of a VM that has several."""

from collections.abc import Sequence

from textual.content import Content
from textual.widgets.option_list import Option

from kvmtui.ui.screens.choice import ChoiceScreen


class DeviceScreen(ChoiceScreen[str]):
    """Offers devices; the answer is the one chosen."""

    def __init__(self, where: str, devices: Sequence[str]) -> None:
        """`where` is "web1 on h1"."""
        offers = [(Option(Content(f" {device}")), device) for device in devices]
        super().__init__(f"Which console of {where}?", offers, "opens it")
