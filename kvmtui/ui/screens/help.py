"""Help: every key, made from the same tables as the bindings."""

from textwrap import wrap

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Label, Static

from kvmtui import __version__
from kvmtui.model.actions import ACTIONS, Danger
from kvmtui.ui.console_keys import console_help
from kvmtui.ui.keymap import MOVE_KEYS, REPLAY_KEYS, VIEW_KEYS
from kvmtui.ui.screens.reading import READING_KEYS, ReadingScreen
from kvmtui.ui.steering import STEER_KEYS

MOVES_KEYS = "Migrations: the dialog (m) and those under way (w)"
_INDENT = 13
_TERMS = (
    ("CPU", "100 % is one host CPU busy for the whole tick"),
    ("READY", "share of time its vCPUs waited for a host CPU (the guest sees steal)"),
    ("MEMORY", "used of allocated, by the guest's balloon driver; ~ is what QEMU holds of the host (RSS)"),
    ("–", "not known; never 0"),
    ("dimmed", "old: the host does not answer now"),
)


class HelpScreen(ReadingScreen):
    """Shows all keys, those of the group `first` before the others."""

    BINDINGS = [Binding("question_mark,f1", "dismiss", "close", show=False)]

    def __init__(self, first: str = "") -> None:
        super().__init__()
        self._first = first

    def compose(self) -> ComposeResult:
        """Lay the help out."""
        with Vertical(classes="dialog wide"):
            yield Label(f"kvmtui {__version__}", classes="title", markup=False)
            with VerticalScroll(can_focus=False):
                yield _Lines(self._first)
            yield Label(READING_KEYS, classes="hint", markup=False)


class _Lines(Static):
    """The help in as many columns as there are."""

    def __init__(self, first: str) -> None:
        super().__init__()
        self._first = first

    def on_resize(self, event: events.Resize) -> None:
        """Fill the lines anew."""
        self.update(_help(event.size.width, self._first))


def _help(width: int, first: str) -> Content:
    groups: dict[str, list[tuple[str, str, str]]] = {"Cursor": [(move.written, "", move.label) for move in MOVE_KEYS]}
    groups["Act on the VM, or on all marked VMs"] = [
        (
            action.key,
            f"{action.label:<14} ",
            action.description if action.danger is Danger.NONE else f"{action.description} Asks first.",
        )
        for action in ACTIONS
    ]
    for view in (*VIEW_KEYS, *REPLAY_KEYS):
        if view.label:
            groups.setdefault(view.group, []).append((view.shown_as or view.key, "", view.label))
    groups["Console"] = [(keys, "", text) for keys, text in console_help()]
    groups[MOVES_KEYS] = [
        ("o", "", "in the dialog: the options, each with its key"),
        ("v", "", "in the dialog: all checks, also those that pass"),
        ("y", "", "copy the virsh line that does the same"),
        *((key.key, "", f"under way: {key.help}") for key in STEER_KEYS),
        ("1-9", "", "ended badly: the repair of that number; asks first"),
    ]
    groups["Filter"] = [
        ("web !old", "", "names with web and without old"),
        ("state=run", "", "by state; also host=h1, host=h*"),
        ("cpu>50", "", "by percent; also mem> ready> and net>10M disk>1M"),
        ("re:^db", "", "by regular expression"),
    ]
    groups["What the figures mean"] = [(term, "", text) for term, text in _TERMS]
    lines: list[Content] = []
    for title, rows in sorted(groups.items(), key=lambda group: group[0] != first):
        lines.append(Content.styled(title, "bold"))
        for keys, label, text in rows:
            start, *rest = wrap(text, max(20, width - _INDENT - len(label)))
            lines.append(Content.assemble((f"  {keys:<{_INDENT - 2}}", "$primary"), label, start))
            lines += [Content(" " * (_INDENT + len(label)) + line) for line in rest]
        lines.append(Content(""))
    return Content("\n").join(lines[:-1])
