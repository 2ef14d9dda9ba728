"""The audit: what was done to the hosts in this session and those before, by whom and from where."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime

from rich.cells import chop_cells
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.widgets import Label

from kvmtui.engine.audit import Record
from kvmtui.ui.bare_lines import RunLines
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.paint import Run, Runs, Tone, cells, runs_width
from kvmtui.ui.screens.reading import READING_KEYS, ReadingScreen

_LOOK_S = 0.05
_SLOW_S = 2.0
_TONES = {"done": Tone.GOOD, "failed": Tone.ERROR, "unknown": Tone.ERROR, "ended": Tone.TEXT}
_INDENT = 21
"""The time and what parts it from the rest."""
_WORDS = re.compile(r"[^ ]+ *| +")


class AuditScreen(ReadingScreen):
    """Lists writes, the newest first: of all VMs, or of the selected one."""

    BINDINGS = [
        Binding("A", "dismiss", "close", show=False),
        Binding("f", "filter", "only the selected VM", show=False),
    ]

    def __init__(
        self,
        records: "Future[tuple[Record, ...]]",
        vm_uuid: str,
        where: str,
        glyphs: Glyphs,
        names: Mapping[str, str],
        title: str,
    ) -> None:
        """`records` may come late, or never where the home folder hangs; `where` is "web1 on h1", or empty.

        `names` are those of the hosts that are watched, by their URIs without secrets.
        """
        super().__init__()
        self._asked = records
        self._asked_at_s = time.monotonic()
        self._vm_uuid = vm_uuid
        self._where = where
        self._names = names
        self._title = title
        self._filtered = False
        self._lines = RecordLines(glyphs=glyphs)

    def compose(self) -> ComposeResult:
        """Lay the list out."""
        with Vertical(classes="dialog wide"):
            yield Label("", classes="title", markup=False)
            with VerticalScroll(can_focus=False):
                yield self._lines
            only = "f only the selected VM · " if self._where else ""
            yield Label(f"{only}{READING_KEYS}", classes="hint", markup=False)

    def on_mount(self) -> None:
        """Show what there is, and the rest when it has come."""
        self._look_again()

    def action_filter(self) -> None:
        """Show only the selected VM, or all."""
        self._filtered = bool(self._where) and not self._filtered
        self._show()

    def _look_again(self) -> None:
        self._show()
        if not self._asked.done():
            self.set_timer(_LOOK_S, self._look_again)

    def _show(self) -> None:
        title = f"What was done to {self._where}" if self._filtered else self._title
        self.query_one(".title", Label).update(Content(title))
        if self._asked.done():
            records = [record for record in self._asked.result() if not self._filtered or self._is_chosen(record)]
            self._lines.show(_entries(records, self._names))
            return
        if time.monotonic() - self._asked_at_s > _SLOW_S:
            text = "The audit does not come: its folder does not answer."
            self._lines.show([((text, Tone.WARNING),)])

    def _is_chosen(self, record: Record) -> bool:
        return record.vm_uuid == self._vm_uuid


class RecordLines(RunLines):
    """All lines of the audit, of which only those in sight are drawn."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(glyphs=glyphs)
        self._entries: Sequence[Runs] = ()
        self._wrapped: tuple[int, list[list[Run]]] = (0, [])
        """For what width, and the lines."""

    def show(self, entries: Sequence[Runs]) -> None:
        """Show these entries, each of which may take several lines."""
        self._entries, self._wrapped = entries, (0, [])
        self.forget()
        self.refresh(layout=True)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return how many lines there are."""
        return len(self._lines_in(width))

    def draw(self, width: int, height: int) -> tuple[bool, list[list[Run]]]:
        """Return the lines."""
        return False, self._lines_in(width)

    def _lines_in(self, width: int) -> list[list[Run]]:
        if self._wrapped[0] != width:
            self._wrapped = width, [line for entry in self._entries for line in _wrap(entry, width)]
        return self._wrapped[1]


def _wrap(runs: Runs, width: int) -> Iterator[list[Run]]:
    """Return runs in lines, those after the first indented."""
    if runs_width(runs) <= width:
        yield [*runs]
        return
    indent = min(_INDENT, width // 2)
    line: list[Run] = []
    used = 0
    for text, tone in runs:
        for word in _WORDS.findall(text):
            for piece in chop_cells(word, max(1, width - indent)):
                if used > indent and used + cells(piece.rstrip()) > width:
                    yield line
                    line, used = [(" " * indent, Tone.TEXT)], indent
                line.append((piece, tone))
                used += cells(piece)
    yield line


def _entries(records: Sequence[Record], names: Mapping[str, str]) -> list[Runs]:
    outcomes = {record.id: record for record in records if record.event == "outcome"}
    found: list[Runs] = []
    for record in reversed(records):
        if record.event == "intent":
            found += _entry(record, outcomes.get(record.id), names)
    return found or [(("Nothing yet.", Tone.MUTED),)]


def _entry(intent: Record, outcome: Record | None, names: Mapping[str, str]) -> list[Runs]:
    """Return one write: what and how it ended, and below who did it."""
    what = " ".join((intent.verb, *intent.flags, intent.vm or intent.vm_uuid))
    ended, tone = "no outcome recorded", Tone.WARNING
    if outcome is not None:
        took = "" if outcome.ms is None else f" after {outcome.ms / 1000:.1f} s"
        ended = f"{outcome.result}{took}{f': {outcome.message}' if outcome.message else ''}"
        tone = _TONES.get(outcome.result, Tone.WARNING)
    person = intent.user if intent.user == intent.acting_as else f"{intent.user} as {intent.acting_as}"
    client = f" from {intent.ssh.split(' ')[0]}" if intent.ssh else ""
    host = names.get(intent.host, intent.host)
    about = f"{' ' * _INDENT}{host} · {person}{client}{f' on {intent.tty}' if intent.tty else ''}"
    when = (f"{_local(intent.at)}  ", Tone.MUTED)
    return [(when, (f"{what}: ", Tone.TEXT), (ended, tone)), ((about, Tone.MUTED),)]


def _local(at: str) -> str:
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return f"{at[:19]:<19}"
