"""The audit: what was done to the hosts in this session and those before, by whom and from where."""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from datetime import datetime

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Label, Static

from kvmtui.engine.audit import Record
from kvmtui.ui.screens.reading import ReadingScreen

_LOOK_S = 0.05
_SLOW_S = 2.0
_TONES = {"done": "$text-success", "failed": "$text-error", "unknown": "$text-error", "ended": ""}


class AuditScreen(ReadingScreen):
    """Lists writes, the newest first: of all VMs, or of the selected one."""

    BINDINGS = [  # noqa: RUF012
        Binding("A", "dismiss", "close", show=False),
        Binding("f", "filter", "only the selected VM", show=False),
    ]

    def __init__(self, records: "Future[tuple[Record, ...]]", vm_uuid: str, where: str) -> None:
        """`records` may come late, or never where the home folder hangs; `where` is "web1 on h1", or empty."""
        super().__init__()
        self._asked = records
        self._asked_at_s = time.monotonic()
        self._vm_uuid = vm_uuid
        self._where = where
        self._filtered = False

    def compose(self) -> ComposeResult:
        """Lay the list out."""
        with Vertical(classes="dialog wide"):
            yield Label("", classes="title", markup=False)
            with VerticalScroll(can_focus=False):
                yield Static(classes="records")
            yield Label(
                "f only the selected VM · Esc closes" if self._where else "Esc closes", classes="hint", markup=False
            )

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
        title = f"What was done to {self._where}" if self._filtered else "What was done, in all sessions"
        self.query_one(".title", Label).update(Content(title))
        if self._asked.done():
            records = [record for record in self._asked.result() if not self._filtered or self._is_chosen(record)]
            self.query_one(".records", Static).update(_lines(records))
            return
        if time.monotonic() - self._asked_at_s > _SLOW_S:
            text = "The audit does not come: its folder does not answer."
            self.query_one(".records", Static).update(Content.styled(text, "$text-warning"))

    def _is_chosen(self, record: Record) -> bool:
        return record.vm_uuid == self._vm_uuid


def _lines(records: Sequence[Record]) -> Content:
    outcomes = {record.id: record for record in records if record.event == "outcome"}
    lines: list[Content] = []
    for record in reversed(records):
        if record.event == "intent":
            lines += _entry(record, outcomes.get(record.id))
    return Content("\n").join(lines) if lines else Content.styled("Nothing yet.", "$foreground-muted")


def _entry(intent: Record, outcome: Record | None) -> list[Content]:
    """Return one write: what and how it ended, and below who did it."""
    what = " ".join((intent.verb, *intent.flags, intent.vm or intent.vm_uuid))
    ended, tone = "no outcome recorded", "$text-warning"
    if outcome is not None:
        took = "" if outcome.ms is None else f" after {outcome.ms / 1000:.1f} s"
        ended = f"{outcome.result}{took}{f': {outcome.message}' if outcome.message else ''}"
        tone = _TONES.get(outcome.result, "$text-warning")
    person = intent.user if intent.user == intent.acting_as else f"{intent.user} as {intent.acting_as}"
    client = f" from {intent.ssh.split(' ')[0]}" if intent.ssh else ""
    about = f"{' ' * 21}{intent.host} · {person}{client}{f' on {intent.tty}' if intent.tty else ''}"
    return [
        Content.assemble((f"{_local(intent.at)}  ", "$foreground-muted"), what, ": ", (ended, tone)),
        Content.styled(about, "$foreground-muted"),
    ]


def _local(at: str) -> str:
    try:
        return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return f"{at[:19]:<19}"
