"""What was done since the start, with the virsh line of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Label, Static

from kvmtui.ui.screens.reading import ReadingScreen


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done."""

    time: str
    text: str
    tone: str
    command: str


class JournalScreen(ReadingScreen):
    """Lists results, the newest first."""

    BINDINGS = [Binding("J", "dismiss", "close", show=False)]

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__()
        self._entries = entries

    def compose(self) -> ComposeResult:
        """Lay the list out."""
        with Vertical(classes="dialog wide"):
            yield Label("What was done", classes="title", markup=False)
            with VerticalScroll(can_focus=False):
                yield Static(_lines(self._entries))
            yield Label("Esc closes", classes="hint", markup=False)


def _lines(entries: Sequence[Entry]) -> Content:
    if not entries:
        return Content.styled("Nothing yet.", "$foreground-muted")
    lines: list[Content] = []
    for entry in reversed(entries):
        lines.append(Content.assemble((f"{entry.time}  ", "$foreground-muted"), (entry.text, entry.tone)))
        if entry.command:
            lines.append(Content.styled(f"          {entry.command}", "$foreground-muted"))
    return Content("\n").join(lines)
