"""From chosen moves to the plan that is shown: every figure comes from going through the moves one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kvmtui.model.balance_candidates import seconds, why_not, why_nowhere
from kvmtui.model.balance_load import HostLoad, Limits, VmLoad
from kvmtui.model.balance_plan import Basis, Change, Choice, HostChange, Move, Plan, Spread, Unmoved, Why
from kvmtui.model.balance_search import settled
from kvmtui.model.balance_standing import Site, Standing
from kvmtui.model.balance_words import amount, count, reach, span
from kvmtui.model.vm import VmKey

_ANY_CPU = 1000.0


def standing_of(basis: Basis) -> Standing:
    """Return where all stands before the first move."""
    limits = basis.limits
    if basis.over_limits:
        limits = replace(limits, cpu_after_move=_ANY_CPU, memory_after_move=1.0)
    return Standing(basis.hosts, basis.vms, limits, basis.evacuated)


def tell(basis: Basis, chosen: Sequence[Choice]) -> Plan:
    """Return the plan of these moves."""
    standing = standing_of(basis)
    before = _Glance(standing)
    vms = {vm.key: vm for vm in basis.vms}
    moves: list[Move] = []
    refused: dict[VmKey, Unmoved] = {}
    for key, host in dict(chosen).items():
        move, why = take(standing, basis, vms.get(key), host)
        if move is not None:
            moves.append(move)
        else:
            name = vms[key].name if key in vms else key.uuid
            refused[key] = Unmoved(key, name, _name(basis.hosts, key.host), why)
    after = _Glance(standing)
    moved = {move.vm for move in moves}
    rest = [vm for vm in basis.vms if vm.key not in moved and vm.key not in refused]
    unmoved = (*refused.values(), *_unmoved(standing, basis, rest, bool(moves)))
    return Plan(
        tuple(moves),
        _changes(basis, standing, before, after),
        before.spread,
        after.spread,
        unmoved,
        _summary(basis, standing, moves, unmoved, before, after),
        basis,
    )


def take(standing: Standing, basis: Basis, vm: VmLoad | None, host: str) -> tuple[Move | None, str]:
    """Carry out a move in `standing`; return it, or None and why it cannot be."""
    limits = basis.limits
    if vm is None:
        return None, "it is no longer there"
    source, target = standing.at(vm.key.host), standing.sites.get(host)
    if source is None or not source.load.connected:
        return None, "its host takes no part"
    if target is None:
        return None, f"{_name(basis.hosts, host)} takes no part"
    if target is source:
        return None, f"it is on {target.load.name} already"
    if why := why_not(vm, limits, basis.now_s, emptying=source is standing.emptied) or standing.barred(vm, target):
        return None, why
    gain = standing.gain(vm, source, target)
    why_moved, detail = _why(standing, vm, source, gain)
    broken = standing.broken(vm, target, limits=limits)
    old = (source.cpu, source.memory, target.cpu, target.memory)
    standing.move(vm, source, target)
    new = (source.cpu, source.memory, target.cpu, target.memory)
    from_cpu, from_memory, to_cpu, to_memory = map(Change, old, new)
    move = Move(
        vm.key,
        vm.name,
        source.load.name,
        target.load.key,
        target.load.name,
        why_moved,
        detail,
        None if source.load.unknown else from_cpu,
        None if source.load.unknown else from_memory,
        to_cpu,
        to_memory,
        vm.copy_bytes or 0,
        seconds(vm, limits),
        gain,
        broken,
        vm.off,
    )
    return move, ""


def _why(standing: Standing, vm: VmLoad, source: Site, gain: float) -> tuple[Why, str]:
    if source is standing.emptied:
        return Why.EVACUATE, ""
    if gain < standing.limits.least_gain:
        return Why.LITTLE, ""
    if other := source.beside(vm):
        return Why.APART, f"{other[1]} of group {other[0]} is on {source.load.name}, too"
    if over := source.over(standing.limits):
        return Why.RELIEVE, f"{source.load.name} {over}"
    return Why.EVEN, ""


@dataclass(frozen=True, slots=True)
class _Stand:
    cpu: float
    memory: float
    vms: int


class _Glance:
    """How hosts stand at a moment."""

    def __init__(self, standing: Standing) -> None:
        emptied = () if standing.emptied is None else (standing.emptied,)
        self.sites: Mapping[str, _Stand] = {
            site.load.key: _Stand(site.cpu, site.memory, len(site.vms)) for site in (*standing.sites.values(), *emptied)
        }
        self.cpu = [site.cpu for site in standing.sites.values()]
        self.memory = [site.memory for site in standing.sites.values()]

    @property
    def spread(self) -> Spread:
        if not self.cpu:
            return Spread(0.0, 0.0)
        return Spread(max(self.cpu) - min(self.cpu), max(self.memory) - min(self.memory))

    @property
    def words(self) -> str:
        return f"CPU {reach(self.cpu)}, memory {reach(self.memory)}"


def _changes(basis: Basis, standing: Standing, before: _Glance, after: _Glance) -> tuple[HostChange, ...]:
    seated: dict[str, int] = {}
    for vm in basis.vms:
        seated[vm.key.host] = seated.get(vm.key.host, 0) + 1
    changes = []
    for host in sorted(basis.hosts, key=lambda host: (host.name, host.key)):
        old, new = before.sites.get(host.key), after.sites.get(host.key)
        why_out = "" if host.key in standing.sites else "it is to be emptied"
        if old is None or new is None:
            vms = seated.get(host.key, 0)
            cpu = None if host.cpu_busy_fraction is None else Change(host.cpu_busy_fraction, host.cpu_busy_fraction)
            memory = None
            if host.memory_total_bytes and host.memory_used_bytes is not None:
                share = host.memory_used_bytes / host.memory_total_bytes
                memory = Change(share, share)
            changes.append(HostChange(host.key, host.name, cpu, memory, vms, vms, host.why_out))
        else:
            cpu = None if host.unknown else Change(old.cpu, new.cpu)
            memory = None if host.unknown else Change(old.memory, new.memory)
            changes.append(HostChange(host.key, host.name, cpu, memory, old.vms, new.vms, why_out))
    return tuple(changes)


def _unmoved(standing: Standing, basis: Basis, rest: Sequence[VmLoad], moved: bool) -> list[Unmoved]:
    """Return what stays and why: of a host to be emptied every VM, else what keeps hosts uneven."""
    limits = basis.limits
    told = [Unmoved(None, host.name, host.name, host.why_out) for host in basis.hosts if _left_out(host, basis)]
    if standing.emptied is not None:
        source = standing.emptied
        return told + [
            Unmoved(vm.key, vm.name, source.load.name, _why_stays(standing, basis, vm, source))
            for vm in rest
            if vm.key.host == source.load.key
        ]
    uneven = {site.load.key: site for site in standing.sites.values() if _stands_out(standing, site)}
    for site in uneven.values():
        if over := site.over(limits):
            told.append(
                Unmoved(None, site.load.name, site.load.name, f"{over}, after these moves too" if moved else over)
            )
    for vm in rest:
        here = standing.sites.get(vm.key.host)
        if here is None or not (vm.key.host in uneven or here.beside(vm)):
            continue
        why = why_not(vm, limits, basis.now_s, emptying=False)
        if not why and (other := here.beside(vm)) and (nowhere := why_nowhere(vm, here, standing)):
            why = f"{other[1]} of group {other[0]} is on {here.load.name}, too, but {nowhere}"
        if why:
            told.append(Unmoved(vm.key, vm.name, here.load.name, why))
    return told


def _left_out(host: HostLoad, basis: Basis) -> bool:
    return bool(host.why_out) and host.key != basis.evacuated


def _stands_out(standing: Standing, site: Site) -> bool:
    sites, least = standing.sites.values(), standing.limits.settled_spread
    return bool(site.over(standing.limits)) or (
        site.cpu - min(other.cpu for other in sites) >= least
        or site.memory - min(other.memory for other in sites) >= least
    )


def _why_stays(standing: Standing, basis: Basis, vm: VmLoad, source: Site) -> str:
    if not source.load.connected:
        return source.load.why_out
    why = why_not(vm, basis.limits, basis.now_s, emptying=True)
    return why or why_nowhere(vm, source, standing) or "it is not in the plan"


def _summary(
    basis: Basis,
    standing: Standing,
    moves: Sequence[Move],
    unmoved: Sequence[Unmoved],
    before: _Glance,
    after: _Glance,
) -> str:
    cost = f"{amount(sum(move.copy_bytes for move in moves))}, about {span(sum(move.seconds for move in moves))}"
    if standing.emptied is not None:
        name, staying = standing.emptied.load.name, sum(one.vm is not None for one in unmoved)
        if not moves:
            return f"{count(staying, 'VM')} on {name} cannot leave" if staying else f"no VM is on {name}"
        stay = f", {staying} cannot" if staying else ""
        past = sum(bool(move.broken) for move in moves)
        words = f"; {past} past a limit or beside another of a group" if past else ""
        return f"{count(len(moves), 'VM')} can leave {name}{stay}: {cost}{words}"
    if len(standing.sites) < 2:
        missing = next((one for one in unmoved if one.vm is None), None)
        why = f" ({missing.words})" if missing else ""
        return f"balancing takes two hosts, {len(standing.sites)} can take part{why}"
    if moves:
        return f"{count(len(moves), 'move')}, {cost}: {before.words}, then {after.words}"
    if settled(standing) or _calm(before.spread, standing, basis.limits):
        return f"hosts are even: {before.words}"
    if over := [site for site in standing.sites.values() if site.over(basis.limits)]:
        one = over[0]
        others = [site for site in standing.targets() if site is not one]
        helps = "no move helps" if any(not site.full(basis.limits) for site in others) else "no host has room for more"
        more = f", as on {count(len(over) - 1, 'other')}" if len(over) > 1 else ""
        return f"{one.load.name}: {one.over(basis.limits)}{more}, and {helps}: {before.words}"
    return f"hosts are uneven, but no move helps: {before.words}"


def _calm(spread: Spread, standing: Standing, limits: Limits) -> bool:
    over = any(site.over(limits) for site in standing.sites.values())
    return not over and max(spread.cpu, spread.memory) < limits.trigger_spread


def _name(hosts: Sequence[HostLoad], key: str) -> str:
    return next((host.name for host in hosts if host.key == key), "its host")
