"""The lines of a plan: hosts before and after as bars, moves with their reasons, and what stays. Pure."""

from collections.abc import Callable, Sequence

from textual.content import Content

from kvmtui.model.balance_plan import Change, HostChange, Move, Unmoved
from kvmtui.model.balance_words import amount, span
from kvmtui.model.format import duration, percent
from kvmtui.model.plan_run import Outcome, PlanRun, Stage, Step
from kvmtui.ui.glyphs import Glyphs

_MUTED = "$foreground-muted"
_TONES = {
    Outcome.DONE: "$text-success",
    Outcome.DROPPED: _MUTED,
    Outcome.REFUSED: "$text-warning",
    Outcome.CANCELLED: "$text-warning",
    Outcome.FAILED: "$text-error",
    Outcome.UNKNOWN: "$text-error",
}
_NAME_MOST = 18
_AGE_SAID_S = 60.0


def headline(run: PlanRun | None, name_of: Callable[[str], str], age_s: float = 0.0) -> tuple[str, Content]:
    """Return the title, and one line about how the plan stands; `age_s`: of its figures."""
    if run is None:
        return "Balance", Content.styled("no plan", _MUTED)
    title = f"Empty {name_of(run.evacuating)}" if run.evacuating else "Balance"
    if run.stage is Stage.READING:
        known, wanted = run.read
        return title, Content.styled(f"reading definitions: {known} of {wanted}", _MUTED)
    parts: list[Content] = []
    if run.stage.running:
        made = f"{len(run.done)} of {len(run.steps)} moved"
        parts.append(Content.styled(f"{run.stage.value}: {made}{_gib_moved(run)}", "bold $text-primary"))
        if run.stopping:
            parts.append(Content.styled("stops after this one", "$text-warning"))
    elif run.left:
        count = len(run.left)
        parts.append(Content.styled(f"{count} move{'' if count == 1 else 's'} proposed", "bold"))
    if run.done and not run.stage.running:
        parts.append(Content.styled(f"{len(run.done)} moved", "bold"))
    if run.message:
        parts.append(Content.styled(run.message, "$text-warning"))
    elif not run.left and not run.stage.running and run.plan is not None:
        parts.append(Content(run.plan.summary))
    if run.allowed.copy_disks:
        parts.append(Content.styled("volumes that are in the way are OVERWRITTEN", "$text-warning"))
    if run.allowed.over_limits:
        parts.append(Content.styled("limits and groups are not kept", "$text-warning"))
    parts.append(Content.styled(f"figures of {_span(run.watched_s)}", _MUTED))
    if age_s >= _AGE_SAID_S and not run.stage.running:
        parts.append(Content.styled(f"{duration(age_s)} old", "$text-warning"))
    return title, Content.styled(" · ", _MUTED).join(parts)


def _gib_moved(run: PlanRun) -> str:
    moved, whole = (sum(step.move.copy_bytes for step in steps) for steps in (run.done, run.steps))
    return f", ~{amount(moved)} of ~{amount(whole)}" if whole >= 2**29 else ""


def _span(seconds: float) -> str:
    return "the last 5 min" if seconds >= 280 else f"the last {seconds:.0f} s only"


def host_lines(changes: Sequence[HostChange], glyphs: Glyphs, width: int, most: int) -> list[Content]:
    """Return a line for each host, those that change first; before and after as one bar."""
    ordered = sorted(changes, key=lambda change: not _changes(change))
    name_width = min(_NAME_MOST, max(4, *(len(change.name) for change in changes)))
    bar_width = max(6, (width - name_width - 2 * 20) // 2)
    lines = [
        Content.assemble(
            (f"{'HOST':<{name_width}}  ", f"bold {_MUTED}"),
            (f"{'CPU':<{bar_width + 17}}", f"bold {_MUTED}"),
            ("MEMORY", f"bold {_MUTED}"),
        )
    ]
    for change in ordered[:most]:
        tone = "" if _changes(change) else _MUTED
        lines.append(
            Content.assemble(
                (f"{change.name[:name_width]:<{name_width}}  ", tone),
                *_bar(change.cpu, bar_width, glyphs),
                "   ",
                *_bar(change.memory, bar_width, glyphs),
            )
        )
    if len(ordered) > most:
        rest = ordered[most:]
        same = "" if any(_changes(change) for change in rest) else " that stay as they are"
        lines.append(Content.styled(f"and {len(rest)} more{same}", _MUTED))
    return lines


def _changes(host: HostChange) -> bool:
    return host.vms_before != host.vms_after


def headline_of(move: Move) -> str:
    """Return a move without its reason."""
    return f"{move.name} {move.source_name}→{move.destination_name}"


def _bar(change: Change | None, width: int, glyphs: Glyphs) -> list[Content | tuple[str, str]]:
    """Return a bar and its figures in `width` + 14 cells; what goes and what comes is drawn in another way."""
    if change is None:
        return [(f"{glyphs.unknown:<{width + 14}}", _MUTED)]
    before, after = change.before, change.after
    cells_before, cells_after = (min(width, max(0, round(share * width))) for share in (before, after))
    least, most = min(cells_before, cells_after), max(cells_before, cells_after)
    goes, comes = ("-", "+") if glyphs.ascii else ("╌", "═")
    differs = (goes, "$text-success") if cells_after < cells_before else (comes, "$text-accent")
    shown = [f"{share * 100:.0f}" for share in (before, after)]
    arrow = "->" if glyphs.ascii else "→"
    figures = f"{shown[1]} %" if shown[0] == shown[1] else f"{shown[0]}{arrow}{shown[1]} %"
    return [
        (glyphs.bar * least, "$text-primary"),
        (differs[0] * (most - least), differs[1]),
        (glyphs.track * (width - most), _MUTED),
        (f"  {figures:<12}", ""),
    ]


def step_line(number: int, step: Step) -> Content:
    """Return one move: its reason while it is planned, and what became of it afterwards."""
    move = step.move
    mark = Content.styled(f"{number:>3} ", _MUTED)
    if step.outcome is Outcome.PLANNED:
        return mark + Content(move.words)
    if step.outcome.over:
        said = f"{step.outcome.value}{f': {step.message}' if step.message else ''}"
        return Content.assemble(mark, (f"{headline_of(move)}  ", _MUTED), (said, _TONES[step.outcome]))
    return Content.assemble(mark, (f"{headline_of(move)}  ", "bold"), (_under_way(step), "bold $text-primary"))


def _under_way(step: Step) -> str:
    if step.outcome is Outcome.CHECKING or step.migration is None:
        return "checking both hosts" if step.outcome is Outcome.CHECKING else "starting"
    job, progress = step.migration.job, step.migration.progress
    fraction = progress.fraction if progress is not None else None if job is None else job.progress
    words = [step.migration.phase.value]
    if fraction is not None:
        words.append(str(percent(fraction)))
    if progress is not None and progress.eta_s is not None:
        words.append(f"~{span(progress.eta_s)} left")
    return " · ".join(words)


def stay_lines(run: PlanRun, *, unfolded: bool) -> list[Content]:
    """Return what was not moved and why, or how much there is of it."""
    warnings = [
        Content.styled(f"{step.move.name}: {check.title}: {check.evidence}", "$text-warning")
        for step in run.steps
        if not step.outcome.over
        for check in step.warnings
    ]
    stays = run.plan.unmoved if run.plan is not None else ()
    if not stays:
        return warnings
    if not unfolded:
        count = sum(stay.vm is not None for stay in stays)
        vms = f"{count} stay{'s' if count == 1 else ''} as {'it is' if count == 1 else 'they are'}" if count else ""
        out = len(stays) - count
        hosts = f"{out} host{' is' if out == 1 else 's are'} left out" if out else ""
        return [*warnings, Content.styled(f"{', '.join(filter(None, (vms, hosts)))}: n says why", _MUTED)]
    width = min(30, max(len(_whose(stay)) for stay in stays))
    return [
        *warnings,
        *(Content.assemble((f"{_whose(stay):<{width}}  ", ""), (stay.why, _MUTED)) for stay in stays),
    ]


def _whose(stay: Unmoved) -> str:
    return stay.name if stay.vm is None else f"{stay.name} on {stay.host_name}"
