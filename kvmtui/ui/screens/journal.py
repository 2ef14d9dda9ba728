"""What was done since the start, with the virsh line of each."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was done."""

    time: str
    text: str
    tone: str
    command: str


class JournalScreen(ModalScreen[None]):
    """Lists results, the newest first; a virsh line that wraps is whole again when it is copied."""

    BINDINGS = [
        Binding("escape,q,J", "dismiss", "close", show=False),
        Binding("y", "copy", show=False),
        Binding("j", "list('cursor_down')", show=False),
        Binding("k", "list('cursor_up')", show=False),
        Binding("ctrl+d,space", "list('page_down')", show=False),
        Binding("ctrl+u", "list('page_up')", show=False),
        Binding("g", "list('first')", show=False),
        Binding("G", "list('last')", show=False),
    ]

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__()
        self._entries = entries[::-1]

    def compose(self) -> ComposeResult:
        """Lay the list out."""
        with Vertical(classes="dialog wide journal"):
            yield Label("What was done", classes="title", markup=False)
            if self._entries:
                yield OptionList(*(Option(_lines(entry)) for entry in self._entries), compact=True)
            else:
                yield Label(Content.styled("Nothing yet.", "$foreground-muted"))
            copies = any(entry.command for entry in self._entries)
            yield Label(f"{'y copies the virsh line · ' if copies else ''}Esc closes", classes="hint", markup=False)

    def action_list(self, what: str) -> None:
        """Go through the entries."""
        for entries in self.query(OptionList):
            getattr(entries, f"action_{what}")()

    def action_copy(self) -> None:
        """Copy the virsh line of the entry under the cursor to the clipboard (OSC 52)."""
        for entries in self.query(OptionList):
            command = self._entries[entries.highlighted or 0].command
            if command:
                self.app.copy_to_clipboard(command)
            said = "The virsh line is copied, where the terminal allows it" if command else "This has no virsh line"
            self.query_one(".hint", Label).update(f"{said} · Esc closes")


def _lines(entry: Entry) -> Content:
    said = Content.assemble((f"{entry.time}  ", "$foreground-muted"), (entry.text, entry.tone))
    return said + Content.styled(f"\n          {entry.command}", "$foreground-muted") if entry.command else said
