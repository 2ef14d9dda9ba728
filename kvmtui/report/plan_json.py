"""A plan as JSON: every figure with its unit in its name. Pure."""

from typing import Any

from kvmtui.model.balance_plan import Change, HostChange, Unmoved
from kvmtui.model.plan_run import PlanRun, Step


def plan_json(run: PlanRun, evacuating: str) -> dict[str, Any]:
    """Return the plan as what `json.dump` takes; unknown is null."""
    told: dict[str, Any] = {
        "evacuating": evacuating or None,
        "watched_s": round(run.watched_s, 1),
        "summary": None,
        "message": run.message or None,
        "spread": None,
        "hosts": [],
        "moves": [_move(step) for step in run.steps],
        "stays": [],
    }
    plan = run.plan
    if plan is None:
        return told
    return told | {
        "summary": plan.summary,
        "spread": {
            "cpu_fraction": {"before": plan.before.cpu, "after": plan.after.cpu},
            "memory_fraction": {"before": plan.before.memory, "after": plan.after.memory},
        },
        "hosts": [_host(host) for host in plan.hosts],
        "stays": [_stays(each) for each in plan.unmoved],
    }


def _host(host: HostChange) -> dict[str, Any]:
    return {
        "name": host.name,
        "uri": host.key,
        "cpu_fraction": _change(host.cpu),
        "memory_fraction": _change(host.memory),
        "vms": {"before": host.vms_before, "after": host.vms_after},
        "left_out_because": host.why_out or None,
    }


def _stays(each: Unmoved) -> dict[str, Any]:
    return {
        "name": each.name,
        "uuid": each.vm.uuid if each.vm is not None else None,
        "host": each.host_name,
        "why": each.why,
    }


def _move(step: Step) -> dict[str, Any]:
    move = step.move
    return {
        "name": move.name,
        "uuid": move.vm.uuid,
        "source": move.source_name,
        "source_uri": move.vm.host,
        "destination": move.destination_name,
        "destination_uri": move.destination,
        "why": str(move.why),
        "detail": move.detail or None,
        "source_cpu_fraction": _change(move.source_cpu),
        "source_memory_fraction": _change(move.source_memory),
        "destination_cpu_fraction": _change(move.destination_cpu),
        "destination_memory_fraction": _change(move.destination_memory),
        "copy_bytes": move.copy_bytes,
        "about_s": round(move.seconds, 1),
        "outcome": step.outcome.value,
        "message": step.message or None,
    }


def _change(change: Change | None) -> dict[str, float] | None:
    return None if change is None else {"before": round(change.before, 4), "after": round(change.after, 4)}
