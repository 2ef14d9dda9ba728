"""How long a key takes until the terminal gets what it paints, and what that costs in bytes."""

import random
from collections.abc import Callable, Mapping, Sequence

from kvmtui.hypervisor.demo.fleet import host_count
from tests.bench.figures import Figure, NotMeasured, median, percentile
from tests.bench.program import CURSOR, Program, module
from tests.bench.replay import vm_name

_SAMPLES = 102
"""Of every program, over all rounds."""
_DOWN = 6
"""Rows the cursor goes down before it returns to the top; the smallest table has more."""
_TICKS = 30
_LINK_BYTES_PER_S = 16_000
_PATIENCE_S = 3.0
_LINK_PATIENCE_S = 4.0
"""After this long a key counts as unanswered, with this as its time."""
_QUIET_S = 0.25
_REST_S = 0.5


def dashboard(vms: int, *more: str, changing: float = 1.0, ticks: int = _TICKS, hosts: int = 0) -> list[str]:
    """Return the command of a dashboard over so many replayed VMs."""
    numbers = {"--vms": vms, "--hosts": hosts or host_count(vms), "--changing": changing, "--ticks": ticks}
    return module("dashboard", *(str(word) for pair in numbers.items() for word in pair), *more)


def settled(command: Sequence[str], seconds: float, *, bytes_per_s: float | None = None) -> Program:
    """Start a dashboard and return it when its table has stood for so long."""
    program = Program(command, bytes_per_s=bytes_per_s)
    try:
        program.must_show_table()
        program.read(seconds)
    except BaseException:
        program.__exit__(None, None, None)
        raise
    return program


def measure_keys(rounds: int) -> Mapping[str, float]:
    """Take the programs in turn, so that a busy moment of the machine meets all of them."""
    taken: dict[str, list[float]] = {"bare": [], "1000": [], "5000": [], "converting": []}
    samples = -(-_SAMPLES // rounds)
    for _ in range(rounds):
        with Program(module("bare")) as bare:
            bare.must_show(lambda bare=bare: "pressed" in bare.line(0), "its line")  # type: ignore[misc]
            bare.read(1.0)
            taken["bare"] += _bare_keys(bare, samples)
        for name, command in (
            ("1000", dashboard(1000)),
            ("5000", dashboard(5000)),
            ("converting", dashboard(1000, "--converting")),
        ):
            with settled(command, 2.0) as program:
                taken[name] += cursor_keys(program, samples, lambda: random.uniform(0.05, 0.25))  # noqa: S311
    middle = {name: median(times) for name, times in taken.items()}
    late = {name: percentile(times, 0.95) for name, times in taken.items()}
    return {
        **{f"keys/{name}/median/ms": 1000 * middle[name] for name in taken},
        **{f"keys/{name}/p95/ms": 1000 * late[name] for name in taken},
        "keys/1000/median": middle["1000"] / middle["bare"],
        "keys/1000/p95": late["1000"] / late["bare"],
        "keys/5000/median": middle["5000"] / middle["1000"],
        "keys/5000/p95": late["5000"] / late["1000"],
        "keys/converting/p95": late["converting"] / late["bare"],
    }


def _bare_keys(program: Program, count: int) -> list[float]:
    taken = []
    for number in range(1, count + 1):
        program.read(random.uniform(0.05, 0.25))  # noqa: S311 - a phase, guards nothing
        at_s = program.press("j")
        wanted = f"pressed {number}."
        taken.append(program.must_show(lambda wanted=wanted: wanted in program.line(0), wanted, 10) - at_s)  # type: ignore[misc]
    return taken


def cursor_keys(
    program: Program,
    count: int,
    pause_s: Callable[[], float],
    patience_s: float = _PATIENCE_S,
    name: Callable[[int], str] = vm_name,
) -> list[float]:
    """Return the times from `j` to the cursor on the next VM: a refresh draws it too, but on the VM before."""
    taken: list[float] = []
    row: int | None = None
    while len(taken) < count:
        program.read(pause_s())
        down = row is not None and row < _DOWN
        wanted = row + 1 if row is not None and down else 0
        at_s = program.press("j" if down else "g")
        painted_s = program.wait(lambda wanted=wanted: _cursor_on(program, name(wanted)), patience_s)  # type: ignore[misc]
        if down:
            taken.append((painted_s or at_s + patience_s) - at_s)
        # After an unanswered key it is not known where the cursor is; `g` will tell.
        row = None if painted_s is None else wanted
        if row is None and not down and len(taken) == 0:
            raise NotMeasured(f"the cursor does not go to the first VM:\n{program.screen}")
    return taken


def _cursor_on(program: Program, vm: str) -> bool:
    return any(program.line(row).startswith(f"{CURSOR} {vm} ") for row in range(program.rows))


def measure_slow_link(rounds: int) -> Mapping[str, float]:
    """Press a key now and then while the terminal takes 16 kB/s."""
    taken: list[float] = []
    with settled(dashboard(1000, ticks=80), 6.0, bytes_per_s=_LINK_BYTES_PER_S) as program:
        taken += cursor_keys(program, 5 * rounds, lambda: random.uniform(0.6, 1.6), _LINK_PATIENCE_S)  # noqa: S311
    return {"keys/16kB-link/median": 1000 * median(taken), "keys/16kB-link/max": 1000 * max(taken)}


def measure_key_bytes(rounds: int) -> Mapping[str, float]:
    """Press keys in the quiet between two refreshes."""
    found = {}
    for name, changing in (("bytes/key", 1.0), ("bytes/key-idle", 0.0)):
        sizes: list[float] = []
        with settled(dashboard(1000, changing=changing, hosts=1, ticks=60), 14.0) as program:
            top = program.cursor_row
            for number in range(4 * rounds):
                _wait_quiet(program)
                program.press("g" if number % _DOWN == 0 and number else "j")
                size = sum(len(chunk.data) for chunk in program.read(_QUIET_S))
                if number % _DOWN or not number:
                    sizes.append(size)
                # The cursor comes to rest, and the detail follows it.
                program.read(_REST_S)
            if program.cursor_row == top:
                raise NotMeasured("the cursor did not move")
        found[name] = median(sizes)
    return found


def _wait_quiet(program: Program) -> None:
    """Return a moment after a refresh: the next is then most of a second away."""
    while program.take(2.0) is None:
        return
    while program.take(_QUIET_S) is not None:
        pass


FIGURES = (
    Figure("keys/1000/median", "x", 1.3, "key to paint, 1,000 VMs all changing, against a bare app", measure_keys),
    Figure("keys/1000/p95", "x", 2.0, "the same, 95 of 100", measure_keys),
    Figure("keys/5000/median", "x", 1.2, "key to paint, 5,000 VMs against 1,000", measure_keys),
    Figure("keys/5000/p95", "x", 1.2, "the same, 95 of 100", measure_keys),
    Figure("keys/converting/p95", "x", 3.0, "key to paint while 1,000 VMs are converted in a lane", measure_keys),
    *(
        Figure(f"keys/{name}/{part}/ms", "ms", None, "what the ratios are made of", measure_keys)
        for name in ("bare", "1000", "5000", "converting")
        for part in ("median", "p95")
    ),
    Figure("keys/16kB-link/median", "ms", 80.0, "key to paint where 16 kB/s get through", measure_slow_link),
    Figure("keys/16kB-link/max", "ms", None, "the same, the slowest", measure_slow_link),
    Figure(
        "bytes/key", "B", 500.0, "one line down between two refreshes, before the detail follows", measure_key_bytes
    ),
    Figure("bytes/key-idle", "B", None, "the same where all graphs are flat", measure_key_bytes),
)
