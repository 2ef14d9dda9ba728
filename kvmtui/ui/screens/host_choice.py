"""Choosing a host from those that are watched."""

from collections.abc import Mapping, Sequence

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from kvmtui.model.format import percent, size
from kvmtui.model.host import Host, Link
from kvmtui.ui.screens.choice import ChoiceScreen


class HostChoiceScreen(ChoiceScreen[str]):
    """Asks for one of several hosts, and answers its key; the cursor starts on the one that is most likely meant."""

    def __init__(
        self, title: str, hosts: Sequence[Host], first: str, notes: Mapping[str, str], *, figures: bool = True
    ) -> None:
        """`notes` are words behind a host's figures of now, by its key, or instead of them without `figures`."""
        offers = [(_option(host, notes.get(host.key, ""), figures=figures), host.key) for host in hosts]
        super().__init__(title, offers, "chooses")
        self._first = first

    def on_mount(self) -> None:
        """Put the cursor on the likely one."""
        keys = [key for _, key in self._offers]
        options = self.query_one(OptionList)
        options.focus()
        options.highlighted = keys.index(self._first) if self._first in keys else 0


def _option(host: Host, note: str, *, figures: bool) -> Option:
    now = host.figures
    parts = [f"{host.name:<12}", f"{host.running} running"]
    if figures and now.cpu_busy_fraction is not None:
        parts.append(f"CPU {percent(now.cpu_busy_fraction)!s:>5}")
    if figures and now.memory_total_bytes is not None and now.memory_used_bytes is not None:
        parts.append(f"{size(now.memory_total_bytes - now.memory_used_bytes)} free")
    if host.link is not Link.UP:
        parts.append("not connected")
    if note:
        parts.append(note)
    return Option(Content("   ".join(parts)), disabled=host.link is not Link.UP)
