"""A plan as aligned lines of text. Pure."""

from collections.abc import Sequence

from kvmtui.model.balance_plan import Change, HostChange
from kvmtui.model.plan_run import Outcome, PlanRun, Step

_UNKNOWN = "-"


def plan_text(run: PlanRun, evacuating: str) -> str:
    """Return the whole plan; `evacuating` is the name of the host to be emptied, or nothing."""
    plan = run.plan
    if plan is None:
        return "there is no plan\n"
    title = f"Emptying {evacuating}" if evacuating else "Balancing"
    lines = [f"{title}, by what was seen in {run.watched_s:.0f} s: {plan.summary}", ""]
    if run.allowed.copy_disks:
        lines.insert(1, "Volumes that are in the way are OVERWRITTEN (--copy-disks).")
    if run.allowed.over_limits:
        lines.insert(1, "Limits of the other hosts, and groups kept apart, are not kept (--over-limits).")
    lines += _table(("HOST", "CPU", "MEMORY", "VMS"), [_host(host) for host in plan.hosts])
    if run.left:
        lines += ["", "MOVES", *(f"{number:>3}  {step.move.words}" for number, step in enumerate(run.left, 1))]
    if plan.unmoved:
        lines += ["", "STAYS", *(f"  {each.words}" for each in plan.unmoved)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def step_text(step: Step) -> str:
    """Return one line about how a move stands."""
    move = step.move
    words = f"{move.name} {move.source_name}→{move.destination_name}: {step.outcome.value}"
    if step.outcome is Outcome.MOVING and step.migration is not None:
        job, progress = step.migration.job, step.migration.progress
        fraction = progress.fraction if progress is not None else job.progress if job is not None else None
        words += "" if fraction is None else f" {fraction:.0%}"
    if step.outcome is Outcome.MOVING and step.migration is None and step.warnings:
        words += f" ({'; '.join(f'{check.title}: {check.evidence}' for check in step.warnings)})"
    return f"{words}: {step.message}" if step.message else words


def _host(host: HostChange) -> tuple[str, ...]:
    vms = str(host.vms_before) if host.vms_before == host.vms_after else f"{host.vms_before} → {host.vms_after}"
    return host.name, _change(host.cpu), _change(host.memory), vms


def _change(change: Change | None) -> str:
    if change is None:
        return _UNKNOWN
    before, after = (f"{share * 100:.0f}" for share in (change.before, change.after))
    return f"{before} %" if before == after else f"{before} → {after} %"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    return ["   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in (titles, *rows)]
