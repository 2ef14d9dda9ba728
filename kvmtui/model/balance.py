"""Which VM to move where: plans that even hosts out or empty one, and what is left of them after an edit.

Values are in balance_load (what goes in) and balance_plan (what comes out). All functions are pure and deterministic:
the order of the input does not matter.
"""

from collections.abc import Iterable, Sequence

from kvmtui.model.balance_load import HostLoad, Limits, VmLoad
from kvmtui.model.balance_plan import Choice, Destination, Plan
from kvmtui.model.vm import VmKey


def balance(hosts: Iterable[HostLoad], vms: Iterable[VmLoad], limits: Limits, now_s: float) -> Plan:
    """Return the moves that even out CPU and memory of the hosts; none where it is not worth it."""
    raise NotImplementedError


def evacuate(host: str, hosts: Iterable[HostLoad], vms: Iterable[VmLoad], limits: Limits, now_s: float) -> Plan:
    """Return where the VMs of a host (by key) go so that it is empty, and which cannot go and why."""
    raise NotImplementedError


def assess(
    chosen: Sequence[Choice],
    hosts: Iterable[HostLoad],
    vms: Iterable[VmLoad],
    limits: Limits,
    now_s: float,
    evacuated: str | None = None,
) -> Plan:
    """Return the plan of exactly these moves, with the figures of now.

    A move that became impossible (its VM gone or moved on, a host lost, a figure unknown) is not in it but in
    `unmoved`; one that is no longer worth it has a `gain` below `Limits.least_gain`; one past a limit says so in
    `broken`. So a running plan can ask before each move whether its reason still holds.
    """
    raise NotImplementedError


def reconsider(plan: Plan, chosen: Sequence[Choice]) -> Plan:
    """Return the plan with these moves instead, reckoned anew from the figures it was made from."""
    raise NotImplementedError


def without(plan: Plan, vm: VmKey) -> Plan:
    """Return the plan without the move of a VM."""
    return reconsider(plan, [(move.vm, move.destination) for move in plan.moves if move.vm != vm])


def destinations(plan: Plan, vm: VmKey) -> tuple[Destination, ...]:
    """Return the hosts to which a VM of the plan could go at its turn, the best first."""
    raise NotImplementedError
