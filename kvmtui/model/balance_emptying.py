"""Placing the VMs of a host on the others: largest first."""

from collections.abc import Callable, Sequence

from kvmtui.model.balance_load import VmLoad
from kvmtui.model.balance_plan import Choice
from kvmtui.model.balance_standing import Site, Standing
from kvmtui.model.vm import VmKey

Preference = Callable[[Standing, VmLoad, Site, Site], float]


def place(fresh: Callable[[], Standing], movable: Sequence[VmLoad], *, beside: bool) -> list[Choice]:
    """Return where VMs go: evenly if all fit so, else packed tightly if more of them fit then.

    With `beside`, what has no other place goes to where another of its group is.
    """
    best: _Placement | None = None
    for preference in (_evenness, _tightness):
        standing = fresh()
        if standing.emptied is None:
            return []
        placement = _Placement(standing, standing.emptied, movable, preference)
        placement.fill()
        placement.make_room()
        if best is None or len(placement.left) < len(best.left):
            best = placement
        if not best.left:
            break
    if best is None:
        return []
    if beside:
        best.fill(apart=False)
    return best.chosen()


def _evenness(standing: Standing, vm: VmLoad, source: Site, target: Site) -> float:
    return standing.gain(vm, source, target)


def _tightness(standing: Standing, vm: VmLoad, source: Site, target: Site) -> float:
    """Best fit: the less room stays, the better."""
    memory = (target.room_bytes(standing.limits) - (vm.memory_bytes or 0)) / target.total_bytes
    return -memory - (target.room_cores(standing.limits) - (vm.cores_used or 0.0)) / target.cpus


class _Placement:
    """One attempt."""

    def __init__(self, standing: Standing, source: Site, movable: Sequence[VmLoad], preference: Preference) -> None:
        self._standing = standing
        self._source = source
        self._preference = preference
        self.left = sorted(movable, key=self._size, reverse=True)
        self.placed: dict[VmKey, tuple[VmLoad, Site]] = {}

    def chosen(self) -> list[Choice]:
        """Return the moves, largest VM first."""
        placed = sorted(self.placed.values(), key=lambda one: self._size(one[0]), reverse=True)
        return [(vm.key, site.load.key) for vm, site in placed]

    def fill(self, *, apart: bool = True) -> None:
        """Place each VM on the host preferred among those it fits on."""
        for vm in tuple(self.left):
            targets = [site for site in self._standing.targets() if self._fits(vm, site, apart=apart)]
            if targets:
                preferred = [self._preference(self._standing, vm, self._source, site) for site in targets]
                self._put(vm, targets[preferred.index(max(preferred))])

    def make_room(self) -> None:
        """Place what is left by shifting one VM already placed from its host to another."""
        for vm in tuple(self.left):
            if shift := self._shift_for(vm):
                other, here, there = shift
                self._standing.move(other, here, there)
                self.placed[other.key] = (other, there)
                self._put(vm, here)

    def _shift_for(self, vm: VmLoad) -> tuple[VmLoad, Site, Site] | None:
        standing = self._standing
        for other, here in tuple(self.placed.values()):
            here.remove(other)
            fits = self._fits(vm, here)
            here.add(other)
            if fits:
                for there in standing.targets():
                    if there is not here and self._fits(other, there):
                        return other, here, there
        return None

    def _fits(self, vm: VmLoad, site: Site, *, apart: bool = True) -> bool:
        if self._standing.barred(vm, site):
            return False
        return not self._standing.broken(vm, site, apart=apart)

    def _put(self, vm: VmLoad, target: Site) -> None:
        self._standing.move(vm, self._source, target)
        self.placed[vm.key] = (vm, target)
        self.left.remove(vm)

    def _size(self, vm: VmLoad) -> tuple[float, str]:
        """What fraction of the hosts' room it takes, of CPU or of memory, whichever is more; ties by uuid."""
        sites = self._standing.sites.values()
        cpus, total = sum(site.cpus for site in sites), sum(site.total_bytes for site in sites)
        if not cpus or not total:
            return 0.0, vm.key.uuid
        return max((vm.cores_used or 0.0) / cpus, (vm.memory_bytes or 0) / total), vm.key.uuid
