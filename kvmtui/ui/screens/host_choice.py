"""Choosing a host from those that are watched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from kvmtui.model.format import percent, size
from kvmtui.model.host import Host, Link
from kvmtui.ui.screens.ask import ExpiringScreen


@dataclass(frozen=True, slots=True)
class HostChoice:
    """The answer."""

    host: str


class HostChoiceScreen(ExpiringScreen[HostChoice]):
    """Asks for one of several hosts; the cursor starts on the one that is most likely meant."""

    def __init__(
        self, title: str, hosts: Sequence[Host], first: str, notes: Mapping[str, str], *, figures: bool = True
    ) -> None:
        """`notes` are words behind a host's figures of now, by its key, or instead of them without `figures`."""
        super().__init__()
        self._figures = figures
        self._title = title
        self._hosts = hosts
        self._first = first
        self._notes = notes

    def compose(self) -> ComposeResult:
        """Lay the question out."""
        with Vertical(classes="dialog"):
            yield Label(self._title, classes="title", markup=False)
            yield OptionList(*(self._option(host) for host in self._hosts), compact=True)
            yield Label("Enter chooses · Esc closes", classes="hint", markup=False)

    def on_mount(self) -> None:
        """Put the cursor on the likely one."""
        keys = [host.key for host in self._hosts]
        options = self.query_one(OptionList)
        options.focus()
        options.highlighted = keys.index(self._first) if self._first in keys else 0

    def _option(self, host: Host) -> Option:
        figures = host.figures
        parts = [f"{host.name:<12}", f"{host.running} running"]
        if self._figures and figures.cpu_busy_fraction is not None:
            parts.append(f"CPU {percent(figures.cpu_busy_fraction)!s:>5}")
        if self._figures and figures.memory_total_bytes is not None and figures.memory_used_bytes is not None:
            parts.append(f"{size(figures.memory_total_bytes - figures.memory_used_bytes)} free")
        if host.link is not Link.UP:
            parts.append("not connected")
        if note := self._notes.get(host.key):
            parts.append(note)
        return Option(Content("   ".join(parts)), id=host.key, disabled=host.link is not Link.UP)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.answer(HostChoice(event.option.id or ""))
