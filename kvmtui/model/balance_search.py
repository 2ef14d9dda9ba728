"""The search for moves that even hosts out: the best single move, again and again."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from kvmtui.model.balance_candidates import seconds
from kvmtui.model.balance_load import Limits, VmLoad
from kvmtui.model.balance_plan import Choice
from kvmtui.model.balance_standing import Site, Standing

_SOURCES = 8
"""How many of the most strained hosts are looked at together; more only where these have nothing to give."""
_TARGETS = 3
"""How many hosts with the least CPU, the least memory and the least of both are tried for a VM that fits there."""


def even_out(standing: Standing, movable: Sequence[VmLoad]) -> list[Choice]:
    """Move VMs until the hosts are even or no move is worth it; return the moves."""
    left: dict[str, list[VmLoad]] = {key: [] for key in standing.sites}
    for vm in movable:
        if vm.key.host in left and (vm.cores_used or vm.memory_bytes):
            left[vm.key.host].append(vm)
    chosen: list[Choice] = []
    while len(chosen) < standing.limits.most_moves:
        found = _best(standing, left, only_apart=settled(standing))
        if found is None:
            break
        vm, source, target = found
        standing.move(vm, source, target)
        # What has been moved stays: in a plan, too, no VM moves twice.
        left[source.load.key].remove(vm)
        chosen.append((vm.key, target.load.key))
    return chosen


def settled(standing: Standing) -> bool:
    """Return whether hosts are even and within their limits, so that only groups give a reason to move."""
    sites, limits = standing.sites.values(), standing.limits
    return not any(site.over(limits) for site in sites) and all(
        max(fractions) - min(fractions) < limits.settled_spread
        for fractions in ([site.cpu for site in sites], [site.memory for site in sites])
    )


def _best(
    standing: Standing, left: Mapping[str, Sequence[VmLoad]], *, only_apart: bool
) -> tuple[VmLoad, Site, Site] | None:
    """Return the move with the most gain per time among those that bring a good share of what the best brings."""
    limits = standing.limits
    sources = iter(sorted((s for s in standing.sites.values() if left[s.load.key]), key=standing.strain, reverse=True))
    orders = _orders(standing)
    while batch := list(islice(sources, _SOURCES)):
        offers = [
            (gain, vm, source, target)
            for source in batch
            for vm in left[source.load.key]
            if not only_apart or (vm.apart and source.beside(vm))
            for target in _nearest(standing, vm, source, orders)
            if (gain := standing.gain(vm, source, target)) >= limits.least_gain
        ]
        if offers:
            least = limits.gain_share * max(offer[0] for offer in offers)
            return min((offer for offer in offers if offer[0] >= least), key=lambda offer: _rank(offer, limits))[1:]
    return None


def _rank(offer: tuple[float, VmLoad, Site, Site], limits: Limits) -> tuple[float, str, str, str]:
    gain, vm, _, target = offer
    return (-gain / seconds(vm, limits), vm.key.uuid, vm.key.host, target.load.key)


def _orders(standing: Standing) -> tuple[list[Site], ...]:
    sites = list(standing.targets())
    return (
        sorted(sites, key=lambda site: site.cpu + site.memory),
        sorted(sites, key=lambda site: site.cpu),
        sorted(sites, key=lambda site: site.memory),
    )


def _nearest(standing: Standing, vm: VmLoad, source: Site, orders: Sequence[Sequence[Site]]) -> Iterator[Site]:
    """Yield the hosts most worth trying: gain falls with what a host is loaded with already."""
    tried = {source.load.key}
    for order in orders:
        found = 0
        for site in order:
            if found == _TARGETS:
                break
            if site is source or standing.barred(vm, site) or standing.broken(vm, site):
                continue
            found += 1
            if site.load.key not in tried:
                tried.add(site.load.key)
                yield site
