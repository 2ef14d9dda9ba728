"""Keys as data: bindings, footer, help and palette are made from here and from the table of actions."""

from dataclasses import dataclass

from textual.binding import Binding

from kvmtui.model.actions import ACTIONS


@dataclass(frozen=True, slots=True)
class ViewKey:
    """A key that changes what is seen, never a VM."""

    key: str
    action: str
    """The action of the main screen."""
    label: str
    group: str
    shown_as: str = ""
    """How help writes the key; empty: as it is."""
    footer: bool = False
    """Whether the key bar always shows it."""

    @property
    def written(self) -> str:
        """The key as a reader knows it; the first where there are several."""
        return (self.shown_as or self.key).split(",")[0]


VIEW_KEYS: tuple[ViewKey, ...] = (
    ViewKey("space", "mark", "mark", "Mark", "space"),
    ViewKey("asterisk", "mark_all", "mark all shown", "Mark", "*"),
    ViewKey("U", "unmark", "clear marks", "Mark"),
    ViewKey("slash", "filter", "filter", "Find", "/", footer=True),
    ViewKey("escape", "clear_filter", "clear the filter", "Find", "Esc"),
    ViewKey("greater_than_sign", "sort_next(1)", "sort by the next column", "Sort", ">"),
    ViewKey("less_than_sign", "sort_next(-1)", "sort by the column before", "Sort", "<"),
    ViewKey("I", "sort_invert", "invert the order", "Sort"),
    ViewKey("N", "sort_by('name')", "sort by name", "Sort"),
    ViewKey("P", "sort_by('cpu')", "sort by CPU", "Sort"),
    ViewKey("M", "sort_by('memory')", "sort by memory", "Sort"),
    ViewKey("T", "sort_by('up')", "sort by time since start", "Sort"),
    ViewKey("Y", "sort_by('ready')", "sort by ready time (steal)", "Sort"),
    ViewKey("right_square_bracket", "zoom(1)", "graphs: further back", "Graphs", "]"),
    ViewKey("left_square_bracket", "zoom(-1)", "graphs: less far back", "Graphs", "["),
    ViewKey("left", "read_past(1)", "graphs: read an earlier time", "Graphs", "←"),
    ViewKey("right", "read_past(-1)", "graphs: read a later time", "Graphs", "→"),
    ViewKey("enter", "menu", "what can be done with the VM", "Act", "Enter, x"),
    ViewKey("x", "menu", "", "Act"),
    ViewKey("colon", "app.command_palette", "find a command by name", "Act", ": ^p"),
    ViewKey("exclamation_mark", "health", "what is wrong with hosts and VMs, and what to do", "View", "!"),
    ViewKey("w", "moves", "migrations under way", "View"),
    ViewKey("B", "balance", "balance: which VMs to migrate so that hosts are even, and why", "Hosts"),
    ViewKey("E", "evacuate", "empty a host: migrate all its VMs to the others", "Hosts"),
    ViewKey("J", "journal", "what was done; y there copies the virsh line", "View"),
    ViewKey("A", "audit", "audit: who did what, over all sessions", "View"),
    ViewKey("t", "look_back", "look back in the recording: the whole screen as it was", "View"),
    ViewKey("plus", "change_interval(0.5)", "look more often", "View", "+"),
    ViewKey("minus", "change_interval(2)", "look less often", "View", "-"),
    ViewKey("ctrl+r", "refresh", "look again now", "View", "^r"),
    ViewKey("ctrl+l", "redraw", "draw the screen again", "View", "^l"),
    ViewKey("question_mark", "help", "help", "View", "?, F1", footer=True),
    ViewKey("f1", "help", "", "View"),
    ViewKey("q", "app.quit", "quit", "View", "q, ^q"),
)


_RECORDING = "In a recording (kvmtui replay)"
REPLAY_KEYS: tuple[ViewKey, ...] = (
    ViewKey("space", "play", "play, pause", _RECORDING, footer=True),
    ViewKey("right_curly_bracket", "event(1)", "next event", _RECORDING, "}", footer=True),
    ViewKey("left_curly_bracket", "event(-1)", "event before", _RECORDING, "{", footer=True),
    ViewKey("t", "go_to_time", "go to a time", _RECORDING, footer=True),
    ViewKey("right_parenthesis", "skip(60)", "a minute on", _RECORDING, ")", footer=True),
    ViewKey("left_parenthesis", "skip(-60)", "a minute back", _RECORDING, "(", footer=True),
    ViewKey("plus", "speed(1)", "faster", _RECORDING, "+", footer=True),
    ViewKey("minus", "speed(-1)", "slower", _RECORDING, "-", footer=True),
    ViewKey("full_stop", "skip(1)", "a second on", _RECORDING, "."),
    ViewKey("comma", "skip(-1)", "a second back", _RECORDING, ","),
)
"""Keys of the screen that plays a recording; marking and looking more often have no meaning there."""


@dataclass(frozen=True, slots=True)
class MoveKeys:
    """Keys that move the cursor of the table, explained together."""

    written: str
    label: str
    actions: tuple[tuple[str, str], ...]
    """Keys, and the action of the table."""


MOVE_KEYS: tuple[MoveKeys, ...] = (
    MoveKeys("↑ ↓  j k", "up, down", (("up,k", "move(-1)"), ("down,j", "move(1)"))),
    MoveKeys("PgUp PgDn", "page", (("pageup", "page(-2)"), ("pagedown", "page(2)"))),
    MoveKeys("^u ^d", "half a page", (("ctrl+u", "page(-1)"), ("ctrl+d", "page(1)"))),
    MoveKeys("g G", "first, last", (("home,g", "first"), ("end,G", "last"))),
)


def move_bindings() -> list[Binding]:
    """Return the table's bindings."""
    return [Binding(keys, action, show=False) for move in MOVE_KEYS for keys, action in move.actions]


def bindings() -> list[Binding]:
    """Return the main screen's bindings: one for each key, whatever it may mean for the VM's state."""
    keys = dict.fromkeys(action.key for action in ACTIONS)
    acting = [Binding(key, f"act('{key}')", show=False) for key in keys]
    viewing = [Binding(view.key, view.action, view.label, show=False) for view in VIEW_KEYS]
    return [*acting, *viewing]
