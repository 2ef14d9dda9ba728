"""The lines of the list of moves as runs of text: pure functions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvmtui.model.format import duration, percent
from kvmtui.model.migration import Migration, Phase
from kvmtui.model.migration_progress import Progress, Verdict
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.paint import Run, Tone, cells, fit, fit_runs, runs_width

HostName = Callable[[str], str]
"""From a host's key to what it is called."""

VERDICT_TONES = {
    Verdict.EARLY: Tone.MUTED,
    Verdict.CONVERGING: Tone.GOOD,
    Verdict.NOT_CONVERGING: Tone.WARNING,
    Verdict.STALLED: Tone.ERROR,
    Verdict.POST_COPY: Tone.BUSY,
    Verdict.SWITCHING: Tone.GOOD,
}
PHASE_TONES = {
    Phase.QUEUED: Tone.MUTED,
    Phase.DONE: Tone.GOOD,
    Phase.CANCELLED: Tone.WARNING,
    Phase.FAILED: Tone.ERROR,
    Phase.UNKNOWN: Tone.ERROR,
}
_OF_A_GUEST_THAT_RUNS = (Verdict.EARLY, Verdict.CONVERGING, Verdict.NOT_CONVERGING)
_SIGNS, _GAP = 2, 2
_PERCENT, _LEFT = 5, 7
_BAR = (6, 24)
_STANDS = 30
_FIRST_LEAST = 20
"""What is kept of libvirt's own words, the phase before them included."""


@dataclass(frozen=True, slots=True)
class MoveLayout:
    """How wide the columns are."""

    width: int
    name: int
    route: int
    bar: int
    """0: there is no room for one."""


def lay_out(moves: Sequence[Migration], host_name: HostName, width: int, glyphs: Glyphs) -> MoveLayout:
    """Return columns that fit into `width`: names as long as they are, the bar as long as there is room."""
    names = max((len(move.request.vm_name) for move in moves), default=0)
    routes = max((len(route(move, host_name, glyphs)) for move in moves), default=0)
    name, ways = max(6, min(24, width // 4, names)), max(10 if glyphs.ascii else 9, min(30, width // 4, routes))
    room = width - _SIGNS - name - ways - _PERCENT - _LEFT - _STANDS - 5 * _GAP
    return MoveLayout(width, name, ways, min(_BAR[1], room) if room >= _BAR[0] else 0)


def route(move: Migration, host_name: HostName, glyphs: Glyphs) -> str:
    """Return "h1 → h2"."""
    return f"{host_name(move.request.key.host)} {_arrow(glyphs)} {host_name(move.request.destination)}"


def _arrow(glyphs: Glyphs) -> str:
    return "->" if glyphs.ascii else "→"


def header_runs(layout: MoveLayout, glyphs: Glyphs) -> list[Run]:
    """Return the line of titles."""
    gap = " " * _GAP
    done = "DONE".ljust(layout.bar + 1 + _PERCENT) if layout.bar else "DONE".rjust(_PERCENT)
    ways = fit(f"FROM {_arrow(glyphs)} TO", layout.route)
    cells = [fit("VM", layout.name), ways, done, "LEFT".rjust(_LEFT), "STANDS"]
    return [(" " * _SIGNS + gap.join(cells), Tone.TITLE)]


def row_runs(
    move: Migration, layout: MoveLayout, host_name: HostName, now_s: float, glyphs: Glyphs, *, cursor: bool, calls: bool
) -> list[Run]:
    """Return the line of one move."""
    gap: Run = (" " * _GAP, Tone.TEXT)
    ended = move.phase.ended
    stands, tone = standing(move, now_s)
    runs: list[Run] = [
        (glyphs.cursor if cursor else " ", Tone.TEXT),
        (glyphs.problem if calls else " ", Tone.ERROR),
        (fit(move.request.vm_name, layout.name, glyphs.ellipsis), Tone.SORTED if cursor else Tone.TEXT),
        gap,
        (fit(route(move, host_name, glyphs), layout.route, glyphs.ellipsis), Tone.MUTED if ended else Tone.TEXT),
        gap,
    ]
    if ended:
        # There is nothing left to measure: how it ended has all the room.
        room = layout.width - runs_width(runs)
        return fit_runs([*runs, (squeezed(stands, room, glyphs.ellipsis), tone)], layout.width, glyphs.ellipsis)
    if layout.bar:
        runs += [*progress_bar(move.progress, layout.bar, glyphs), (" ", Tone.TEXT)]
    now, eta = (move.progress.now, move.progress.eta_s) if move.progress else (None, None)
    done = glyphs.unknown if now is None else str(percent(now))
    left = glyphs.unknown if eta is None else f"~{span(eta)}"
    runs.append((fit(done, _PERCENT, right=True), Tone.TEXT))
    runs += [gap, (fit(left, _LEFT, glyphs.ellipsis, right=True), Tone.TEXT), gap, (stands, tone)]
    return fit_runs(runs, layout.width, glyphs.ellipsis)


def standing(move: Migration, now_s: float) -> tuple[str, Tone]:
    """Return how a move stands in a few words, and their tone."""
    tone = PHASE_TONES.get(move.phase, Tone.BUSY)
    if move.phase is Phase.DONE:
        return f"migrated in {span((move.ended_at_s or now_s) - move.started_at_s)}", tone
    if (paused_s := stands_still_s(move, now_s)) is not None:
        return f"guest paused for {'at least ' if move.adopted else ''}{span(paused_s)}", Tone.WARNING
    if move.phase is Phase.RUNNING and move.progress is not None:
        return move.progress.verdict.value, VERDICT_TONES[move.progress.verdict]
    words = {Phase.UNKNOWN: "how it ended is not known", Phase.VERIFYING: "asking both hosts"}
    stands = words.get(move.phase, move.phase.value)
    told = move.message if move.phase in (Phase.FAILED, Phase.UNKNOWN) else ""
    return f"{stands}{': ' if told else ''}{told}", tone


def stands_still_s(move: Migration, now_s: float) -> float | None:
    """Return for how long the guest has been paused on the way; None where it is not, or other words say more."""
    told = move.progress.verdict if move.progress is not None else Verdict.EARLY
    if move.phase is not Phase.RUNNING or move.paused_at_s is None:
        return None
    return now_s - move.paused_at_s if told in _OF_A_GUEST_THAT_RUNS else None


def squeezed(text: str, room: int, ellipsis: str) -> str:
    """Return a text of clauses in so many cells: the first is what libvirt said, and is cut for those that follow.

    They tell where the VM is.
    """
    first, *others = text.split("; ")
    if cells(text) <= room:
        return text
    for kept in range(len(others), 0, -1):
        more = f"; {ellipsis}" if kept < len(others) else ""
        rest = "; ".join(["", *others[:kept]]) + more
        if (left := room - cells(rest)) >= min(cells(first), _FIRST_LEAST):
            return fit(first, min(cells(first), left), ellipsis) + rest
    return text


def progress_bar(progress: Progress | None, width: int, glyphs: Glyphs) -> list[Run]:
    """Return a bar up to the most that was reached; what has been lost of it again is drawn apart."""
    if progress is None or progress.fraction is None:
        return [(glyphs.track * width, Tone.MUTED)]
    reached = max(0, min(width, round(progress.fraction * width)))
    now = reached if progress.fallen_to is None else max(0, min(reached, round(progress.fallen_to * width)))
    lost = "=" if glyphs.ascii else "╍"
    return [
        (glyphs.bar * now, Tone.BUSY),
        (lost * (reached - now), Tone.WARNING),
        (glyphs.track * (width - reached), Tone.MUTED),
    ]


def span(seconds: float | None) -> str:
    """Return a time span to the second below an hour: "41 s", "3m 20s"; longer ones in their largest unit."""
    if seconds is None or not 60 <= seconds < 3600:
        return str(duration(seconds))
    return f"{int(seconds) // 60}m {int(seconds) % 60:02}s"
