"""What the user does: keys in the real program, each meant for one VM."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.soak import view
from tests.soak.field import PATIENCE_S, Field

ESCAPE, PREFIX, CLEAR = "\x1b", "\x1d", "\x15"
_LOOKING_S = 12.0
#: How long it may take until a key that asks something is answered by a question or a refusal.
_QUESTION_S = 3.0
_CONSOLE = "console of"
_DIALOGS = ("Esc closes", "Esc closes", "Esc no")

#: A deed tells whether it was done, as far as the keys go.
Do = Callable[[Field, Random], bool]


@dataclass(frozen=True, slots=True)
class Deed:
    """One row of the table."""

    name: str
    do: Do
    weight: int = 2


def home(field: Field) -> None:
    """Leave consoles, dialogs and filters: the table has the keys and shows all VMs."""
    for _ in range(4):
        close_console(field)
        # One by one, for what comes right after an Escape belongs to it.
        field.terminal.press(ESCAPE)
        field.pump(0.3)
        if not any(words in field.terminal.screen for words in (_CONSOLE, *_DIALOGS)):
            return


def close_console(field: Field) -> None:
    """Leave the console that has the keys; what comes after that is the table's, where q would quit."""
    if _CONSOLE not in field.terminal.screen:
        return
    field.terminal.press(PREFIX + "q")
    if not field.until(lambda: _CONSOLE not in field.terminal.screen, PATIENCE_S):
        field.breach(f"the console was not left in {PATIENCE_S:.0f} s")


def select(field: Field, name: str) -> view.Row | None:
    """Put the cursor on a VM by its name; None where it is not to be had, or there twice."""
    field.terminal.press("/")
    field.pump(0.1)
    field.terminal.press(f"{CLEAR}{name}\r")

    def found() -> list[view.Row]:
        shown = view.rows(field.terminal.lines)
        return [row for row in shown if row.selected] if {row.name for row in shown} == {name} else []

    if not field.until(found, _QUESTION_S):
        return None
    return found()[0] if len(view.rows(field.terminal.lines)) == 1 else None


def _press(field: Field, name: str, keys: str, *verbs: str) -> None:
    for verb in verbs:
        field.pressed[field.specs[name].uuid, verb] += len(keys)
    field.terminal.press(keys)


def _twice_at_times(key: str, pick: Random) -> str:
    """Return the key, or as an impatient user presses it."""
    return key * pick.choice((1, 1, 1, 2))


def _start(field: Field, pick: Random) -> bool:
    row = _pick(field, pick, "shut off")
    if row is None:
        return False
    _press(field, row.name, _twice_at_times("s", pick), "start")
    return True


def _pause_or_resume(field: Field, pick: Random) -> bool:
    row = _pick(field, pick, "running", "paused")
    if row is None:
        return False
    # What the key means depends on the state it finds, which may be another by then.
    _press(field, row.name, _twice_at_times("p", pick), "suspend", "resume", "dompmwakeup")
    return True


def _force_off(field: Field, pick: Random) -> bool:
    row = _pick(field, pick, "running", "paused")
    if row is None:
        return False
    return _agree(field, row, "K", "Force off", "destroy")


def _agree(field: Field, row: view.Row, key: str, question: str, *verbs: str) -> bool:
    field.terminal.press(key)
    wanted = f"{question} {row.name} on {row.host}?"
    if not field.until(lambda: wanted in field.terminal.screen, _QUESTION_S):
        return False
    _press(field, row.name, "y", *verbs)
    return True


def _migrate(field: Field, pick: Random) -> bool:
    row, patience_s = _pick(field, pick, "running", "paused", "shut off"), pick.uniform(0.2, 4)
    if row is None:
        return False
    abort = row.state != "shut off" and pick.random() < 0.5
    source = next(host for host in field.hosts if host.name == row.host)
    if abort and field.reachable(source):
        # So that there is time to abort it; the next calm lets it go on.
        field.hands.submit(source.virsh, "migrate-setspeed", row.name, "4", timeout_s=5)
    field.terminal.press("m")
    if not field.until(lambda: f"Migrate {row.name} on {row.host} to" in field.terminal.screen, _QUESTION_S):
        return False
    field.until(lambda: "looking…" not in field.terminal.screen, _LOOKING_S)
    _press(field, row.name, "\r", "migrate")
    field.pump(0.3)
    if "all the same?" in field.terminal.screen:
        field.terminal.press("y")
    if abort:
        field.pump(patience_s)
        home(field)
        moving = select(field, row.name)
        if moving is not None:
            field.counts["done: abort"] += _agree(field, moving, "X", "Abort job")
    return True


def _console(field: Field, pick: Random) -> bool:
    row, seconds, hide = _pick(field, pick, "running"), pick.uniform(0.3, 3), pick.random() < 0.3
    if row is None:
        return False
    field.terminal.press("c")
    if not field.until(lambda: f"console of {row.name} on {row.host}" in field.terminal.screen, PATIENCE_S):
        return False
    field.terminal.press("\r")
    field.pump(seconds)
    field.terminal.press("echo $((6 * 7))\r")
    field.pump(seconds)
    if hide:
        field.terminal.press(PREFIX + "h")
        field.pump(seconds)
        field.terminal.press("c")
        field.pump(0.5)
    close_console(field)
    return True


def _help(field: Field, pick: Random) -> bool:
    """See that keys are answered, whatever else is under way."""
    if field.held or field.is_broken("terminal"):
        return False

    def is_open() -> bool:
        return "Esc closes" in field.terminal.screen

    for key, answer in (("?", is_open), (ESCAPE, lambda: not is_open())):
        field.terminal.press(key)
        if not field.until(answer, PATIENCE_S):
            field.breach(f"the key {key!r} was not answered in {PATIENCE_S:.0f} s")
            return False
    return True


#: Enough of each that caches are full and the heap is as large as it gets: else what fills them looks like a leak.
WARM_UP = 40


def warm_up(field: Field) -> None:
    """Use everything that opens and closes again, and does nothing to a VM."""
    for number in range(WARM_UP):
        field.terminal.press("?")
        field.pump(0.1)
        home(field)
        if select(field, field.real[number % len(field.real)]) is None:
            continue
        for key in ("K", "m"):
            field.terminal.press(key)
            field.pump(0.1)
            field.terminal.press(ESCAPE)
            field.pump(0.3)
        field.terminal.press("c")
        if field.until(lambda: _CONSOLE in field.terminal.screen, PATIENCE_S):
            field.terminal.press("\r")
            field.pump(0.1)
        home(field)


def _pick(field: Field, pick: Random, *states: str) -> view.Row | None:
    """Put the cursor on one of the VMs that boot and are shown in one of these states; None where there is none."""
    shown = [
        row.name for row in view.rows(field.terminal.lines) if any(view.says(row.state, state) for state in states)
    ]
    fitting = sorted({name for name in shown if name in field.real})
    row = select(field, pick.choice(fitting)) if fitting else None
    return row if row is not None and any(view.says(row.state, state) for state in states) else None


DEEDS = (
    Deed("start", _start, 4),
    Deed("pause or resume", _pause_or_resume, 4),
    Deed("force off", _force_off),
    Deed("migrate", _migrate, 3),
    Deed("console", _console),
    Deed("help", _help, 3),
)
