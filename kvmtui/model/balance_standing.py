"""Where hosts and VMs stand while a plan is made: what a move would bring, and what speaks against it."""

from collections.abc import Iterator, Sequence

from kvmtui.model.balance_load import HostLoad, Limits, VmLoad
from kvmtui.model.balance_words import amount
from kvmtui.model.vm import VmKey


class Site:
    """One host with its VMs; moves change it."""

    __slots__ = ("busy_cores", "cpu", "cpus", "groups", "load", "memory", "total_bytes", "used_bytes", "vms")

    def __init__(self, load: HostLoad, vms: Sequence[VmLoad]) -> None:
        self.load = load
        self.cpus = load.cpus or 0
        self.total_bytes = load.memory_total_bytes or 0
        self.busy_cores = (load.cpu_busy_fraction or 0.0) * self.cpus
        self.used_bytes = load.memory_used_bytes or 0
        self.vms: dict[VmKey, VmLoad] = {}
        self.groups: dict[str, dict[VmKey, str]] = {}
        for vm in vms:
            self._seat(vm)
        self._reckon()

    def add(self, vm: VmLoad) -> None:
        """Take a VM whose figures are known."""
        self._seat(vm)
        self.busy_cores += vm.cores_used or 0.0
        self.used_bytes += vm.memory_bytes or 0
        self._reckon()

    def remove(self, vm: VmLoad) -> None:
        """Give a VM away."""
        del self.vms[vm.key]
        for group in vm.apart:
            self.groups[group].pop(vm.key, None)
        # The means of host and VM are not of the very same moments.
        self.busy_cores = max(0.0, self.busy_cores - (vm.cores_used or 0.0))
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
            return f"CPU {self.cpu:.0%} is over {limits.cpu_busy:.0%}".replace("%", " %")
        if self.memory > limits.memory_used:
            return f"memory {self.memory:.0%} is over {limits.memory_used:.0%}".replace("%", " %")
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

    def broken(self, vm: VmLoad, target: Site, *, apart: bool = True) -> str:
        """Return which limit or group the VM would break on a host, in words; empty where it fits."""
        name = target.load.name
        if apart and vm.apart and (other := target.beside(vm)):
            return f"{other[1]} of group {other[0]} is on {name}"
        if vm.memory_bytes and (room := target.room_bytes(self.limits)) < vm.memory_bytes:
            return f"needs {amount(vm.memory_bytes)}, {amount(room)} is free within limits on {name}"
        if vm.cores_used and (cores := target.room_cores(self.limits)) < vm.cores_used:
            return f"needs {vm.cores_used:.1f} CPUs, {max(0.0, cores):.1f} are free within limits on {name}"
        return ""

    def gain(self, vm: VmLoad, source: Site, target: Site) -> float:
        """Return what a move brings: by how much it lowers the unevenness of the fleet.

        Unevenness is the sum over hosts of squared deviations from the mean, of CPU and of memory, plus what hosts
        are over their limits, plus one per VM beside another of its group. A sum and not a standard deviation: what a
        move brings must not shrink with the number of hosts. Only two hosts change, so only their terms are looked at.
        """
        limits = self.limits
        cores, held = vm.cores_used or 0.0, vm.memory_bytes or 0
        cpu, memory = target.cpu, target.memory
        new_cpu, new_memory = cpu + cores / target.cpus, memory + held / target.total_bytes
        cpus, cpu_squares = new_cpu - cpu, new_cpu * new_cpu - cpu * cpu
        memories, memory_squares = new_memory - memory, new_memory * new_memory - memory * memory
        over = max(0.0, new_cpu - limits.cpu_busy) - max(0.0, cpu - limits.cpu_busy)
        over += max(0.0, new_memory - limits.memory_used) - max(0.0, memory - limits.memory_used)
        if source is not self.emptied:
            cpu, memory = source.cpu, source.memory
            new_cpu = max(0.0, cpu - cores / source.cpus)
            new_memory = max(0.0, memory - held / source.total_bytes)
            cpus += new_cpu - cpu
            cpu_squares += new_cpu * new_cpu - cpu * cpu
            memories += new_memory - memory
            memory_squares += new_memory * new_memory - memory * memory
            over += max(0.0, new_cpu - limits.cpu_busy) - max(0.0, cpu - limits.cpu_busy)
            over += max(0.0, new_memory - limits.memory_used) - max(0.0, memory - limits.memory_used)
        for group in vm.apart:
            over += bool(target.groups.get(group)) - (len(source.groups[group]) > 1)
        count = len(self.sites)
        return -(
            cpu_squares
            - cpus * (2 * self._cpu + cpus) / count
            + memory_squares
            - memories * (2 * self._memory + memories) / count
            + over
        )

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
        self._memory = sum(site.memory for site in self.sites.values())
