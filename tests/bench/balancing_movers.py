"""Who moves VMs in simulated days: the planner, and what it is compared with."""

import random
from collections.abc import Callable, Mapping, Sequence

from kvmtui.model.balance import balance
from kvmtui.model.balance_load import HostLoad, VmLoad
from kvmtui.model.balance_trigger import Trigger
from tests.bench.balancing_days import LIMITS, Decision, Mover


def _nothing(_seed: int) -> Mover:
    return lambda hosts, vms, now_s: None


def _planner(_seed: int) -> Mover:
    """Do as a user who runs the plan whenever the hint comes, measuring again after each move."""
    trigger, running = Trigger(), False

    def decide(hosts: Sequence[HostLoad], vms: Sequence[VmLoad], now_s: float) -> Decision:
        nonlocal trigger, running
        trigger = trigger.look(hosts, LIMITS, now_s)
        if not (running or trigger.raised):
            return None
        moves = balance(hosts, vms, LIMITS, now_s).moves
        running = bool(moves)
        return (moves[0].vm, moves[0].destination) if moves else None

    return decide


def _greedy(_seed: int) -> Mover:
    """Move the busiest VM of the busiest host to the idlest, as long as they differ by what makes ours act, too."""

    def decide(hosts: Sequence[HostLoad], vms: Sequence[VmLoad], _now_s: float) -> Decision:
        ordered = sorted(hosts, key=lambda host: host.cpu_busy_fraction or 0.0)
        idlest, busiest = ordered[0], ordered[-1]
        gap = (busiest.cpu_busy_fraction or 0.0) - (idlest.cpu_busy_fraction or 0.0)
        if gap < LIMITS.trigger_spread:
            return None
        here = [vm for vm in vms if vm.key.host == busiest.key and _fits(vm, idlest)]
        # It looks at least at whether the other host would only become the busier one.
        here = [vm for vm in here if (vm.cores_used or 0.0) / (idlest.cpus or 1) < gap]
        best = max(here, key=lambda vm: vm.cores_used or 0.0, default=None)
        return (best.key, idlest.key) if best is not None else None

    return decide


def _greedy_both(_seed: int) -> Mover:
    """Do as greedy-by-CPU does, and where that has nothing to do, the same by memory."""
    by_cpu = _greedy(0)

    def decide(hosts: Sequence[HostLoad], vms: Sequence[VmLoad], now_s: float) -> Decision:
        if decision := by_cpu(hosts, vms, now_s):
            return decision
        ordered = sorted(hosts, key=_memory)
        emptiest, fullest = ordered[0], ordered[-1]
        gap = _memory(fullest) - _memory(emptiest)
        if gap < LIMITS.trigger_spread:
            return None
        here = [vm for vm in vms if vm.key.host == fullest.key and _fits(vm, emptiest)]
        here = [vm for vm in here if (vm.memory_bytes or 0) / (emptiest.memory_total_bytes or 1) < gap]
        best = max(here, key=lambda vm: vm.memory_bytes or 0, default=None)
        return (best.key, emptiest.key) if best is not None else None

    return decide


def _memory(host: HostLoad) -> float:
    return (host.memory_used_bytes or 0) / (host.memory_total_bytes or 1)


def _random(seed: int) -> Mover:
    """Move any VM from the busiest host to any other, whenever hosts are uneven."""
    chance = random.Random(seed)  # noqa: S311

    def decide(hosts: Sequence[HostLoad], vms: Sequence[VmLoad], _now_s: float) -> Decision:
        ordered = sorted(hosts, key=lambda host: host.cpu_busy_fraction or 0.0)
        busiest = ordered.pop()
        if (busiest.cpu_busy_fraction or 0.0) - (ordered[0].cpu_busy_fraction or 0.0) < LIMITS.trigger_spread:
            return None
        target = chance.choice(ordered)
        here = [vm for vm in vms if vm.key.host == busiest.key and _fits(vm, target)]
        return (chance.choice(here).key, target.key) if here else None

    return decide


def _fits(vm: VmLoad, host: HostLoad) -> bool:
    return (host.memory_used_bytes or 0) + (vm.memory_bytes or 0) < 0.95 * (host.memory_total_bytes or 0)


MOVERS: Mapping[str, Callable[[int], Mover]] = {
    "nothing": _nothing,
    "random": _random,
    "greedy": _greedy,
    "greedy-both": _greedy_both,
    "planner": _planner,
}
