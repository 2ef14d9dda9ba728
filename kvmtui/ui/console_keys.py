"""The keys of the console as data: the title line, the help and what a key does are made from here."""

from dataclasses import dataclass
from enum import Enum, auto

PREFIX_KEY = "ctrl+right_square_bracket"
"""The one key that is not the guest's, as in virsh and telnet; what follows it is for the console."""
PREFIX = "^]"


class Command(Enum):
    """What the console can be told to do."""

    SEND_PREFIX = auto()
    LEAVE = auto()
    HIDE = auto()
    TABLE = auto()
    TAB = auto()
    """Show the tab of a number, from 1 on."""
    STEP = auto()
    """Show a tab so many further."""
    LAYOUT = auto()
    SEARCH = auto()
    SCROLL = auto()
    """Scroll by so many pages."""
    COPY = auto()
    RESIZE = auto()
    LOG = auto()
    BREAK = auto()
    TAKE_OVER = auto()
    HELP = auto()


@dataclass(frozen=True, slots=True)
class ConsoleKey:
    """A key that is taken after the prefix."""

    key: str
    command: Command
    argument: int = 0
    written: str = ""
    """How the title and the help write it; empty: not at all, another row stands for it."""
    label: str = ""
    """What the title line says."""
    description: str = ""
    """What the help says."""
    repeats: bool = False
    """Whether it needs no prefix right after another that repeats."""


CONSOLE_KEYS: tuple[ConsoleKey, ...] = (
    ConsoleKey("q", Command.LEAVE, 0, "q", "leave", "leave: the session ends"),
    ConsoleKey("h", Command.HIDE, 0, "h", "hide", "hide: the session goes on, c on the VM shows it again"),
    ConsoleKey("slash", Command.SEARCH, 0, "/", "search", "search screen and scrollback (4 MB, about 5,000 lines)"),
    ConsoleKey("l", Command.LOG, 0, "l", "log", "log what the guest writes to a file, or stop that; less -R shows it"),
    ConsoleKey("b", Command.BREAK, 0, "b", "break", "send a break, where the hypervisor can; asks first"),
    ConsoleKey("r", Command.RESIZE, 0, "r", "size", "type stty rows R cols C: a serial line cannot tell its size"),
    ConsoleKey("v", Command.LAYOUT, 0, "v", "view", "below the table, beside it (from 140 columns on), full screen"),
    ConsoleKey("n", Command.STEP, 1, "n p 1-9", "tab", "next console, the one before, or by number"),
    ConsoleKey("p", Command.STEP, -1),
    *(ConsoleKey(str(number), Command.TAB, number) for number in range(1, 10)),
    ConsoleKey("tab", Command.TABLE, 0, "Tab", "table", "keys to the table; a console in full screen is hidden"),
    ConsoleKey("y", Command.COPY, 0, "y", "copy", "copy what is in sight to the clipboard (OSC 52)"),
    ConsoleKey("pageup", Command.SCROLL, -1, "PgUp PgDn", "scroll", "scroll, as the mouse wheel does", repeats=True),
    ConsoleKey("pagedown", Command.SCROLL, 1, repeats=True),
    ConsoleKey("t", Command.TAKE_OVER, 0, "t", "take over", "take over a console that another client has; asks first"),
    ConsoleKey(PREFIX_KEY, Command.SEND_PREFIX, 0, PREFIX, "send it", "send ^] itself"),
    ConsoleKey("question_mark", Command.HELP, 0, "?", "all keys", "this help"),
)
BY_KEY = {row.key: row for row in CONSOLE_KEYS}
REPEATED = ", ".join(f"{row.written} {row.label}" for row in CONSOLE_KEYS if row.repeats and row.written)
"""What the title line adds while some keys need no prefix."""
CONSOLE_FOOTER = ((f"{PREFIX} q", "leave"), (f"{PREFIX} h", "hide"), (f"{PREFIX} ?", "all keys of the console"))
"""What the key bar says while the keys are the guest's."""


class SearchCommand(Enum):
    """What a search can be told to do."""

    OLDER = auto()
    NEWER = auto()
    COPY = auto()
    AGAIN = auto()
    PAGE_UP = auto()
    PAGE_DOWN = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class SearchKey:
    """A key that is taken while matches are shown."""

    key: str
    command: SearchCommand
    written: str = ""
    label: str = ""


SEARCH_KEYS: tuple[SearchKey, ...] = (
    SearchKey("n", SearchCommand.OLDER, "n", "older"),
    SearchKey("N", SearchCommand.NEWER, "N", "newer"),
    SearchKey("y", SearchCommand.COPY, "y", "copy line"),
    SearchKey("slash", SearchCommand.AGAIN, "/", "new"),
    SearchKey("pageup", SearchCommand.PAGE_UP),
    SearchKey("pagedown", SearchCommand.PAGE_DOWN),
    SearchKey("escape", SearchCommand.END, "Esc", "end"),
)
SEARCH_BY_KEY = {row.key: row.command for row in SEARCH_KEYS}


PINNED_CHOICES = ((CONSOLE_KEYS[-1].written, CONSOLE_KEYS[-1].label), ("Esc", "back"))
"""What the title line always shows while the prefix waits."""


def choices() -> tuple[tuple[str, str], ...]:
    """Return the other keys that may follow the prefix, and what each does, the most wanted first."""
    return tuple((row.written, row.label) for row in CONSOLE_KEYS[:-1] if row.written)


def search_choices() -> tuple[tuple[str, str], ...]:
    """Return the keys of a search, and what each does."""
    return tuple((row.written, row.label) for row in SEARCH_KEYS if row.written)


def console_help() -> list[tuple[str, str]]:
    """Return the keys of the console, and what each does, in words."""
    rows = [(f" {row.written}", row.description) for row in CONSOLE_KEYS if row.written]
    rows.append((" ! dot", "beside a tab: its guest rang the bell; it wrote something since you looked"))
    found = ", ".join(f"{key} {label}" for key, label in search_choices())
    return [(PREFIX, "before each of these; every other key goes to the guest"), *rows, (" after /", found)]
