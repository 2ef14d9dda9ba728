"""The one-line parts of the main screen: title, status and keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from kvmtui.model.fleet import Fleet
from kvmtui.model.host import Link

_IN_FULL = "  J: in full"
_FADES_S = 8.0
"""How long what needs nobody stays in sight."""
_NEEDS_NOBODY = ("", "$text-success")


@dataclass(frozen=True, slots=True)
class Note:
    """One line for the status bar."""

    text: str
    tone: str = ""
    """A style such as "$success"; empty: plain."""
    aside: str = ""
    """What stands dimmed behind the text: the virsh line."""
    kept: bool = False
    """Whether the journal has it in full."""


class TitleBar(Widget):
    """What is watched, in numbers, and the time of day."""

    fleet: reactive[Fleet] = reactive(Fleet, repaint=False)
    counts: reactive[tuple[int, int, int, int]] = reactive((0, 0, 0, 0))
    """Hosts, VMs, those that run, and hosts that are down."""
    shown: reactive[int | None] = reactive(None)
    """How many VMs a filter lets through; None: there is none."""
    wrong: reactive[tuple[str, str]] = reactive(("", ""))
    """How much is wrong, and the tone of that."""
    moves: reactive[tuple[str, str]] = reactive(("", ""))
    """What is on its way or needs somebody, and the tone of that."""
    clock: reactive[str] = reactive("")
    mode: reactive[str] = reactive("")
    plan: reactive[str] = reactive("")
    """How a plan fares that is running."""

    def watch_fleet(self, fleet: Fleet) -> None:
        """Count; most fleets have the same numbers as the one before."""
        hosts = fleet.hosts.values()
        # Of a host that is down nobody knows what runs there now.
        running = sum(host.running for host in hosts if host.link is not Link.DOWN)
        # On its way, or by what a host that is down told last, one VM is on two hosts.
        vms = len(set().union(*(host.vms.index for host in hosts)))
        self.counts = (len(hosts), vms, running, sum(host.link is Link.DOWN for host in hosts))

    def tick(self, now: datetime, *, seconds: bool = True) -> None:
        """Set the clock, to the second or to the minute."""
        self.clock = now.strftime("%H:%M:%S" if seconds else "%H:%M")

    def render(self) -> Content:
        """Draw the line; what calls somebody stays longest, and for it the counts go, then the clock."""
        hosts, vms, running, down = self.counts
        shown = Content.styled("" if self.shown is None else f"{self.shown} of ", "$text-warning")
        some = [Content(_count(hosts, "host")), shown + _count(vms, "VM")]
        told = [
            (text, tone)
            for text, tone in (
                (f"{_count(down, 'host')} down" if down else "", "$error"),
                (self.mode, "$warning"),
                self.wrong,
                self.moves,
                (self.plan, "$text-accent"),
            )
            if text
        ]
        few = [] if self.shown is None else some[1:]
        clock = Content.styled(f"{self.clock} ", "dim")
        left = Content("")
        for counts, right in (
            ([*some, Content(f"{running} running")], clock),
            (some, clock),
            (few, clock),
            (few, Content("")),
        ):
            calls = [
                Content.styled(f" · {text}" if counts or at else text, tone) for at, (text, tone) in enumerate(told)
            ]
            head = Content.styled(" kvmtui ", "bold $primary") + " "
            left = Content("").join([head, Content(" · ").join(counts), *calls])
            gap = self.size.width - left.cell_length - right.cell_length
            if gap >= bool(right):
                return Content("").join([left, Content(" " * gap), right])
        return left.truncate(max(1, self.size.width), ellipsis=True)


class StatusLine(Widget):
    """What happened last; what needs nobody goes after a while."""

    note: reactive[Note] = reactive(Note(""), always_update=True)
    _seen_at_s: float | None = None
    """When somebody could read the note first."""

    def watch_note(self) -> None:
        """Begin its time anew, also where the same is said again."""
        self._seen_at_s = None

    def tick(self, now_s: float) -> None:
        """Let the note go when its time has come; while it is out of sight none passes."""
        if not self.note.text or self.note.tone not in _NEEDS_NOBODY or not (self.display and self.screen.is_active):
            return
        if self._seen_at_s is None:
            self._seen_at_s = now_s
        elif now_s - self._seen_at_s >= _FADES_S:
            self.note = Note("")

    def render(self) -> Content:
        """Draw the line: the aside only as far as it fits."""
        text = Content.styled(f" {self.note.text}", self.note.tone)
        room = self.size.width - text.cell_length - 3
        if self.note.kept and text.cell_length > self.size.width > 2 * len(_IN_FULL):
            shown = text.truncate(self.size.width - len(_IN_FULL), ellipsis=True)
            return Content.assemble(shown, (_IN_FULL, "dim"))
        if not self.note.aside or room < 20:
            # Else it would be wrapped, and of a long name nothing would be seen.
            return text.truncate(max(1, self.size.width), ellipsis=True)
        aside = Content.styled(self.note.aside, "dim").truncate(room, ellipsis=True)
        return Content("").join([text, Content("   "), aside])


class KeyBar(Widget):
    """The keys that apply now."""

    keys: reactive[Sequence[tuple[str, str]]] = reactive(())
    """Pairs of key and label, the most wanted first; as many as fit are shown."""
    pinned: reactive[Sequence[tuple[str, str]]] = reactive(())
    """Those that are always shown, at the right end."""

    def render(self) -> Content:
        """Draw as many keys as fit."""
        return keys_line(self.keys, self.pinned, self.size.width)


def keys_line(keys: Sequence[tuple[str, str]], pinned: Sequence[tuple[str, str]], width: int) -> Content:
    """Return as many of `keys` as fit into a line, and `pinned` at its right end."""
    right = Content("  ").join(_key(*pair) for pair in pinned)
    room = width - right.cell_length - 3
    parts: list[Content] = []
    for pair in keys:
        part = _key(*pair)
        if part.cell_length > room:
            break
        room -= part.cell_length + 2
        parts.append(part)
    left = Content("").join([Content(" "), Content("  ").join(parts)])
    gap = max(2, width - left.cell_length - right.cell_length - 1)
    return Content("").join([left, Content(" " * gap), right])


def _key(key: str, label: str) -> Content:
    return Content.assemble((key, "bold $text-primary"), (f" {label}" if label else "", "dim"))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
