"""Which VM to move where: plans that even hosts out or empty one, and what is left of them after an edit.

Values are in balance_load (what goes in) and balance_plan (what comes out). All functions are pure and deterministic:
the order of the input does not matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from kvmtui.model.balance_candidates import why_not
from kvmtui.model.balance_emptying import place
from kvmtui.model.balance_load import HostLoad, Limits, VmLoad
from kvmtui.model.balance_plan import Basis, Change, Choice, Destination, Plan
from kvmtui.model.balance_search import even_out
from kvmtui.model.balance_standing import Site
from kvmtui.model.balance_told import standing_of, take, tell
from kvmtui.model.vm import VmKey


def balance(hosts: Iterable[HostLoad], vms: Iterable[VmLoad], limits: Limits, now_s: float) -> Plan:
    """Return the moves that even out CPU and memory of the hosts; none where it is not worth it."""
    basis = _basis(hosts, vms, limits, now_s, None)
    standing = standing_of(basis)
    movable = [vm for vm in basis.vms if not why_not(vm, limits, now_s, emptying=False)]
    return tell(basis, even_out(standing, movable) if len(standing.sites) > 1 else ())


def evacuate(
    host: str,
    hosts: Iterable[HostLoad],
    vms: Iterable[VmLoad],
    limits: Limits,
    now_s: float,
    *,
    over_limits: bool = False,
) -> Plan:
    """Return where the VMs of a host (by key) go so that it is empty, and which cannot go and why.

    With `over_limits` others may come to be over the limits for taking VMs, and a VM beside another of its group where
    there is no other way; such moves say so in `broken`.
    """
    basis = _basis(hosts, vms, limits, now_s, host, over_limits=over_limits)
    movable = [vm for vm in basis.vms if vm.key.host == host and not why_not(vm, limits, now_s, emptying=True)]
    if not next(one for one in basis.hosts if one.key == host).connected:
        movable = []
    return tell(basis, place(lambda: standing_of(basis), movable, beside=over_limits))


def assess(
    chosen: Sequence[Choice],
    hosts: Iterable[HostLoad],
    vms: Iterable[VmLoad],
    limits: Limits,
    now_s: float,
    evacuated: str | None = None,
    *,
    over_limits: bool = False,
) -> Plan:
    """Return the plan of exactly these moves, with the figures of now.

    A move that became impossible (its VM gone or moved on, a host lost, a figure unknown) is not in it but in
    `unmoved`; one that is no longer worth it has a `gain` below `Limits.least_gain`; one past a limit says so in
    `broken`. So a running plan can ask before each move whether its reason still holds.
    """
    return tell(_basis(hosts, vms, limits, now_s, evacuated, over_limits=over_limits), chosen)


def reconsider(plan: Plan, chosen: Sequence[Choice]) -> Plan:
    """Return the plan with these moves instead, reckoned anew from the figures it was made from."""
    return tell(plan.basis, chosen)


def without(plan: Plan, vm: VmKey) -> Plan:
    """Return the plan without the move of a VM."""
    left = reconsider(plan, [(move.vm, move.destination) for move in plan.moves if move.vm != vm])
    return left if left.moves or not plan.moves else replace(left, summary="all moves that helped were left out")


def destinations(plan: Plan, vm: VmKey) -> tuple[Destination, ...]:
    """Return the hosts to which a VM of the plan could go at its turn, the best first."""
    standing, vms = standing_of(plan.basis), {vm.key: vm for vm in plan.basis.vms}
    for move in plan.moves:
        if move.vm == vm:
            break
        take(standing, plan.basis, vms[move.vm], move.destination)
    load, source = vms[vm], standing.at(vm.host)
    if source is None:
        return ()
    sites = [site for site in standing.targets() if site is not source and not standing.barred(load, site)]
    limits = plan.basis.limits
    found = [(standing.broken(load, site, limits=limits), -standing.gain(load, source, site), site) for site in sites]
    found.sort(key=lambda one: (bool(one[0]), one[1], one[2].load.key))
    return tuple(_destination(site, load, broken) for broken, _, site in found)


def _destination(site: Site, vm: VmLoad, broken: str) -> Destination:
    cpu = Change(site.cpu, site.cpu + (vm.cores_used or 0.0) / site.cpus)
    memory = Change(site.memory, site.memory + (vm.memory_bytes or 0) / site.total_bytes)
    return Destination(site.load.key, site.load.name, cpu, memory, broken)


def _basis(
    hosts: Iterable[HostLoad],
    vms: Iterable[VmLoad],
    limits: Limits,
    now_s: float,
    evacuated: str | None,
    *,
    over_limits: bool = False,
) -> Basis:
    """Put the input into an order of its own, and refuse a host to be emptied that is not among the hosts."""
    sorted_hosts = tuple(sorted(hosts, key=lambda host: host.key))
    if evacuated is not None and all(host.key != evacuated for host in sorted_hosts):
        raise ValueError(f"there is no host {evacuated}")
    return Basis(sorted_hosts, tuple(sorted(vms, key=lambda vm: vm.key)), limits, now_s, evacuated, over_limits)
