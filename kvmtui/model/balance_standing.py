"""Where hosts and VMs stand while a plan is made: what a move would bring, and what speaks against it."""

from collections.abc import Iterator, Sequence

from kvmtui.model.balance_load import HostLoad, Limits, VmLoad
from kvmtui.model.balance_words import amount, cores
from kvmtui.model.vm import VmKey


class Site:
    """One host with its VMs; moves change it."""

    __slots__ = (
        "busy_cores",
        "cpu",
        "cpu_lasting",
        "cpus",
        "groups",
        "lasting_cores",
        "load",
        "memory",
        "total_bytes",
        "used_bytes",
        "vms",
    )

    def __init__(self, load: HostLoad, vms: Sequence[VmLoad]) -> None:
        self.load = load
        self.cpus = load.cpus or 0
        self.total_bytes = load.memory_total_bytes or 0
        self.busy_cores = (load.cpu_busy_fraction or 0.0) * self.cpus
        self.used_bytes = load.memory_used_bytes or 0
        # What is the host's own lasts.
        self.lasting_cores = self.busy_cores + sum(lasting(vm) - (vm.cores_used or 0.0) for vm in vms)
        self.vms: dict[VmKey, VmLoad] = {}
        self.groups: dict[str, dict[VmKey, str]] = {}
        for vm in vms:
            self._seat(vm)
        self._reckon()

    def add(self, vm: VmLoad) -> None:
        """Take a VM whose figures are known."""
        self._seat(vm)
        self.busy_cores += vm.cores_used or 0.0
        self.lasting_cores += lasting(vm)
        self.used_bytes += vm.memory_bytes or 0
        self._reckon()

    def remove(self, vm: VmLoad) -> None:
        """Give a VM away."""
        del self.vms[vm.key]
        for group in vm.apart:
            self.groups[group].pop(vm.key, None)
        # The means of host and VM are not of the very same moments.
        self.busy_cores = max(0.0, self.busy_cores - (vm.cores_used or 0.0))
        self.lasting_cores -= lasting(vm)
        self.used_bytes = max(0, self.used_bytes - (vm.memory_bytes or 0))
        self._reckon()

    def beside(self, vm: VmLoad) -> tuple[str, str] | None:
        """Return a group and the name of another member of it that is here, or None."""
        for group in vm.apart:
            for key, name in self.groups.get(group, {}).items():
                if key != vm.key:
                    return group, name
        return None

    def over(self, limits: Limits) -> str:
        """Return which limit the host is over, in words; empty where it is within them."""
        if self.cpu > limits.cpu_busy:
            return f"CPU is over {limits.cpu_busy * 100:.0f} %"
        if self.memory > limits.memory_used:
            return f"memory is over {limits.memory_used * 100:.0f} %"
        return ""

    def full(self, limits: Limits) -> str:
        """Return which limit for taking VMs the host is at already, in words; empty where there is room."""
        name = self.load.name
        if self.room_bytes(limits) <= 0:
            if self.total_bytes - limits.reserve_bytes < limits.memory_after_move * self.total_bytes:
                free = amount(self.total_bytes - self.used_bytes)
                return f"{name} has {free} of memory free, and keeps {amount(limits.reserve_bytes)}"
            most = limits.memory_after_move * 100
            return f"{name} is at {self.memory * 100:.0f} % memory, over the limit of {most:.0f} % for taking VMs"
        if self.room_cores(limits) <= 0:
            most = limits.cpu_after_move * 100
            return f"{name} is at {self.cpu * 100:.0f} % CPU, over the limit of {most:.0f} % for taking VMs"
        return ""

    def room_cores(self, limits: Limits) -> float:
        """Return how many cores a move to it may bring."""
        return limits.cpu_after_move * self.cpus - self.busy_cores

    def room_bytes(self, limits: Limits) -> float:
        """Return how much memory a move to it may bring."""
        most = min(limits.memory_after_move * self.total_bytes, self.total_bytes - limits.reserve_bytes)
        return most - self.used_bytes

    def _seat(self, vm: VmLoad) -> None:
        self.vms[vm.key] = vm
        for group in vm.apart:
            self.groups.setdefault(group, {})[vm.key] = vm.name

    def _reckon(self) -> None:
        self.cpu = self.busy_cores / self.cpus if self.cpus else 0.0
        self.cpu_lasting = max(0.0, self.lasting_cores / self.cpus) if self.cpus else 0.0
        self.memory = self.used_bytes / self.total_bytes if self.total_bytes else 0.0


class Standing:
    """All hosts that take part; one to be emptied gives VMs but does not count for evenness."""

    def __init__(
        self, hosts: Sequence[HostLoad], vms: Sequence[VmLoad], limits: Limits, evacuated: str | None = None
    ) -> None:
        self.limits = limits
        on: dict[str, list[VmLoad]] = {}
        for vm in vms:
            on.setdefault(vm.key.host, []).append(vm)
        self.sites = {
            host.key: Site(host, on.get(host.key, ())) for host in hosts if host.key != evacuated and not host.why_out
        }
        self.emptied = next((Site(host, on.get(host.key, ())) for host in hosts if host.key == evacuated), None)
        self._sum()

    def at(self, key: str) -> Site | None:
        """Return a host that takes part or is to be emptied."""
        if self.emptied is not None and self.emptied.load.key == key:
            return self.emptied
        return self.sites.get(key)

    def targets(self) -> Iterator[Site]:
        """Yield the hosts to which VMs may be moved."""
        return (site for site in self.sites.values() if site.load.may_receive)

    def move(self, vm: VmLoad, source: Site, target: Site) -> None:
        """Move a VM."""
        source.remove(vm)
        target.add(vm)
        self._sum()

    def barred(self, vm: VmLoad, target: Site) -> str:
        """Return why the VM can in no way go to a host, in words; empty where it can."""
        if not target.load.may_receive:
            return f"{target.load.name} takes no VMs"
        return vm.forbidden.get(target.load.key, "")

    def broken(self, vm: VmLoad, target: Site, *, apart: bool = True, limits: Limits | None = None) -> str:
        """Return which limit or group the VM would break on a host, in words; empty where it fits."""
        name, limits = target.load.name, limits or self.limits
        if apart and vm.apart and (other := target.beside(vm)):
            return f"{other[1]} of group {other[0]} is on {name}"
        if vm.memory_bytes and (room := target.room_bytes(limits)) < vm.memory_bytes:
            return (
                target.full(limits)
                or f"needs {amount(vm.memory_bytes)}, {amount(room)} is free within limits on {name}"
            )
        if vm.cores_used and (room := target.room_cores(limits)) < vm.cores_used:
            return target.full(limits) or f"needs {cores(vm.cores_used)}, {room:.1f} are free within limits on {name}"
        return ""

    def gain(self, vm: VmLoad, source: Site, target: Site) -> float:
        """Return what a move brings: by how much it lowers the unevenness of the fleet.

        Unevenness is the sum over hosts of squared deviations from the mean, of CPU and of memory, plus what hosts
        are over their limits, plus one per VM beside another of its group. A sum and not a standard deviation: what a
        move brings must not shrink with the number of hosts. Only two hosts change, so only their terms are looked at.
        Of the CPU's evenness by the last minutes and that by the last hour the lesser gain counts; a host that is over
        its limit is relieved now.
        """
        limits, count = self.limits, len(self.sites)
        cores, steady, held = vm.cores_used or 0.0, lasting(vm), vm.memory_bytes or 0
        there = (target.cpu, target.cpu + cores / target.cpus)
        there_lasting = (target.cpu_lasting, target.cpu_lasting + steady / target.cpus)
        there_memory = (target.memory, target.memory + held / target.total_bytes)
        here = here_lasting = here_memory = (0.0, 0.0)
        if source is not self.emptied:
            here = (source.cpu, max(0.0, source.cpu - cores / source.cpus))
            here_lasting = (source.cpu_lasting, max(0.0, source.cpu_lasting - steady / source.cpus))
            here_memory = (source.memory, max(0.0, source.memory - held / source.total_bytes))
        gain = (
            _evener(here_memory, there_memory, self._memory, count)
            + min(
                _evener(here, there, self._cpu, count),
                _evener(here_lasting, there_lasting, self._cpu_lasting, count),
            )
            + _relief(here_memory, there_memory, limits.memory_used)
            + _relief(here, there, limits.cpu_busy)
        )
        for group in vm.apart:
            gain += (len(source.groups[group]) > 1) - bool(target.groups.get(group))
        return gain

    def strain(self, site: Site) -> float:
        """Return how much a host stands out as one that has too much."""
        count, limits = len(self.sites), self.limits
        return (
            max(0.0, site.cpu - self._cpu / count) ** 2
            + max(0.0, site.memory - self._memory / count) ** 2
            + max(0.0, site.cpu - limits.cpu_busy)
            + max(0.0, site.memory - limits.memory_used)
            + sum(max(0, len(members) - 1) for members in site.groups.values())
        )

    def _sum(self) -> None:
        self._cpu = sum(site.cpu for site in self.sites.values())
        self._cpu_lasting = sum(site.cpu_lasting for site in self.sites.values())
        self._memory = sum(site.memory for site in self.sites.values())


def lasting(vm: VmLoad) -> float:
    """Return how many cores a VM keeps busy in the long run, as far as is known."""
    used = vm.cores_used if vm.cores_lasting is None else vm.cores_lasting
    return used or 0.0


def _evener(here: tuple[float, float], there: tuple[float, float], total: float, count: int) -> float:
    """Return by how much two changes of a fraction lower the sum of squared deviations from the mean."""
    before, after = here
    got, gets = there
    change = after - before + gets - got
    return before * before - after * after + got * got - gets * gets + change * (2 * total + change) / count


def _relief(here: tuple[float, float], there: tuple[float, float], most: float) -> float:
    """Return by how much two changes of a fraction lower what is over a limit."""
    return max(0.0, here[0] - most) - max(0.0, here[1] - most) + max(0.0, there[0] - most) - max(0.0, there[1] - most)
