"""What the planner is told of hosts and VMs: smoothed figures where they are known, and reasons where they are not."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kvmtui.engine.definitions import Definition, Definitions
from kvmtui.model.balance_load import HostLoad, VmLoad
from kvmtui.model.clean import clean
from kvmtui.model.fleet import Fleet
from kvmtui.model.history import History, Metric
from kvmtui.model.host import Host, Link
from kvmtui.model.plan_run import Allowed
from kvmtui.model.sharing import Sharing
from kvmtui.model.vm import Disk, Vm, VmKey, VmState

_MEAN_S = 300.0
"""Over how long a VM's CPU use is averaged; that of its host is averaged as long."""
_LASTING_S = 3600.0
"""Over how long it is averaged to tell a burst from what lasts."""
_LASTING_LEAST_S = 1200
"""From so much of that on; of less, a burst is the greater part."""
_BARRED_S = 600.0
"""How long a VM is not proposed again to a host that it could not go to."""
_LEAST_S = 2
"""A mean of fewer seconds is no figure: the first rate takes two looks."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A VM that was moved a while ago: in the means of both hosts it still is where it was."""

    uuid: str
    source: str
    destination: str
    at_s: float
    cores: float

    def share_before(self, now_s: float, window_s: float) -> float:
        """Return which part of a window that ends now lies before the move, 0 to 1."""
        return 0.0 if window_s <= 0 else max(0.0, min(1.0, (window_s - (now_s - self.at_s)) / window_s))


@dataclass(slots=True)
class Knowledge:
    """What is known beside the fleet's figures; it outlives a plan."""

    definitions: Definitions
    histories: Mapping[str, History]
    old_copies: Callable[[str, str], frozenset[str]]
    """Where on a host (by key) moves of this run have left disks that a VM (by uuid) uses no more."""
    closed: Collection[str] = ()
    """Hosts that are watched read-only."""
    carried: Callable[[], Collection[str]] = field(default=frozenset)
    """The VMs (by uuid) of which there may be old copies."""
    allowed: Allowed = field(default_factory=Allowed)
    moved: list[Moved] = field(default_factory=list)
    last_moved_s: dict[str, float] = field(default_factory=dict)
    """When a VM was moved last, by uuid."""
    maintenance: dict[str, None] = field(default_factory=dict)
    """Hosts that are being emptied, or were, in that order."""
    barred: dict[tuple[str, str], tuple[str, float]] = field(default_factory=dict)
    """Why a VM (by uuid) could not go to a host, and when that was."""

    def forget(self, now_s: float) -> None:
        """Forget moves that have left the means, and refusals whose cause may have gone by now."""
        self.moved = [move for move in self.moved if now_s - move.at_s < _MEAN_S]
        self.barred = {at: why for at, why in self.barred.items() if now_s - why[1] < _BARRED_S}


def host_loads(
    fleet: Fleet, moved: Collection[Moved], maintenance: Collection[str], now_s: float, closed: Collection[str] = ()
) -> list[HostLoad]:
    """Return how the hosts fare, and which cannot take part; those that are `closed` receive nothing."""
    return [
        HostLoad(
            key=host.key,
            name=host.name,
            cpus=None if host.facts is None else host.facts.cpus,
            cpu_busy_fraction=_cpu_fraction(host, moved, now_s),
            memory_total_bytes=host.figures.memory_total_bytes,
            memory_used_bytes=host.figures.memory_used_bytes,
            connected=not host.stale(now_s),
            may_receive=host.key not in closed,
            in_maintenance=host.key in maintenance,
        )
        for host in fleet.hosts.values()
    ]


def vm_loads(fleet: Fleet, known: Knowledge, now_s: float, whole: str = "") -> list[VmLoad]:
    """Return what the active VMs take, and why some cannot be moved; of the host `whole` also those that are off."""
    up = [host for host in fleet.hosts.values() if host.link is Link.UP]
    carried = frozenset(known.carried())
    loads: list[VmLoad] = []
    for host in up:
        means = known.histories[host.key].means(Metric.CPU_CORES, now_s - _MEAN_S, now_s)
        lasting = known.histories[host.key].means(Metric.CPU_CORES, now_s - _LASTING_S, now_s)
        sights = _Sights(known.definitions, [other.key for other in up if other is not host], carried)
        for uuid, at in host.vms.index.items():
            if host.vms.states[at].active or host.key == whole:
                mean, seconds = means.get(uuid, (0.0, 0))
                cores = mean if seconds >= _LEAST_S else None
                load = _vm_load(host.vms[uuid], cores, seconds, fleet, known, sights, now_s)
                mean, seconds = lasting.get(uuid, (0.0, 0))
                enough = host.vms.states[at].active and seconds >= _LASTING_LEAST_S
                loads.append(replace(load, cores_lasting=mean) if enough else load)
    return loads


class _Sights:
    """How the disks of one host's VMs stand at the others, looked at once for all that stand alike."""

    def __init__(self, definitions: Definitions, others: Sequence[str], carried: Collection[str]) -> None:
        """`others` are the other hosts."""
        self._definitions = definitions
        self._others = others
        self._carried = carried
        self._found: dict[str, tuple[frozenset[str], frozenset[str]]] = {}

    def of(self, vm: Vm, definition: Definition | None) -> tuple[bool, Sequence[str]]:
        """Return whether a VM's disks are to be copied to a host that plainly lacks them, and where to look closer."""
        if definition is None or definition.config is None or not vm.state.active or vm.key.uuid in self._carried:
            return False, self._others
        found = [self._disk(vm.key, definition, disk) for disk in definition.disks if disk.path]
        lacking = frozenset[str]().union(*(lacks for lacks, _ in found))
        closer = frozenset[str]().union(*(unsure for _, unsure in found))
        return bool(lacking - closer), [host for host in self._others if host in closer] if closer else ()

    def _disk(self, key: VmKey, definition: Definition, disk: Disk) -> tuple[frozenset[str], frozenset[str]]:
        alike = self._definitions.alike(key.host, disk.path or "")
        if alike not in self._found:
            at = self._definitions.disk_at
            stand = {host: at(key, definition, disk, host, running=True) for host in self._others}
            self._found[alike] = (
                frozenset(host for host, how in stand.items() if how is Sharing.ABSENT),
                frozenset(host for host, how in stand.items() if how not in (Sharing.ONE, Sharing.ABSENT)),
            )
        return self._found[alike]


def _cpu_fraction(host: Host, moved: Collection[Moved], now_s: float) -> float | None:
    """Return the mean use of the host's CPUs, as if VMs that were moved meanwhile had been where they are now."""
    mean, window_s = host.figures.cpu_mean_fraction, host.figures.cpu_mean_s
    if mean is None or host.facts is None:
        return mean
    for move in moved:
        sign = (move.destination == host.key) - (move.source == host.key)
        mean += sign * move.cores * move.share_before(now_s, window_s) / host.facts.cpus
    return max(0.0, min(1.0, mean))


def _vm_load(
    vm: Vm, cores: float | None, seconds: int, fleet: Fleet, known: Knowledge, sights: _Sights, now_s: float
) -> VmLoad:
    definition = known.definitions.get(vm.key)
    active = vm.state.active
    memory = _memory_bytes(vm, fleet) if active else 0
    barred = {host: why for (uuid, host), (why, _) in known.barred.items() if uuid == vm.key.uuid}
    lacking, closer = sights.of(vm, definition)
    disks: int | None = _disk_bytes(definition) if lacking and definition is not None else 0
    for host in closer:
        why, copied = _disks_at(vm, host, fleet, known)
        if why:
            barred.setdefault(host, why)
        elif copied:
            disks = None if definition is None else _disk_bytes(definition)
    return VmLoad(
        key=vm.key,
        name=vm.name,
        cores_used=_since_move(vm.key, cores, seconds, known.moved, now_s) if active else 0.0,
        memory_bytes=memory,
        copy_bytes=None if memory is None or disks is None else memory + disks,
        immovable=_why_stays(vm, definition, fleet, known.closed, disks),
        pinned=definition is not None and definition.config is not None and definition.config.pinned,
        apart=() if definition is None or definition.config is None else definition.config.apart,
        forbidden=barred,
        moved_at_s=known.last_moved_s.get(vm.key.uuid),
        off=not active,
    )


def _disks_at(vm: Vm, host: str, fleet: Fleet, known: Knowledge) -> tuple[str, bool]:
    """Return why a VM's disks keep it from going to a host, in words, and whether they have to be copied there."""
    active, name = vm.state.active, fleet.hosts[host].name
    stand = known.definitions.at(vm.key, host, running=active)
    if stand is None:
        return f"whether {name} sees its disks is not known", False
    if not active:
        away = next(((path, how) for path, how in stand.items() if how is not Sharing.ONE), None)
        return (f"it is off, and only its definition can be migrated: {_at_words(name, *away)}" if away else ""), False
    if any(how is Sharing.UNKNOWN and path.startswith("/") for path, how in stand.items()):
        return f"whether {name} sees its disks is not known", False
    old = known.old_copies(vm.key.uuid, host)
    for path, how in stand.items():
        if path in old or how not in (Sharing.TWO, Sharing.UNSURE) or known.allowed.copy_disks:
            continue
        if how is Sharing.TWO:
            return f"{_at_words(name, path, how)}; to overwrite it: c, or --copy-disks", False
        return f"{_at_words(name, path, how)}; if it is another, to overwrite it: c, or --copy-disks", False
    copied = any(how not in (Sharing.ONE, Sharing.UNKNOWN) or path in old for path, how in stand.items())
    return "", copied


def _at_words(name: str, path: str, how: Sharing) -> str:
    """Return how a disk stands at the host of that name."""
    shown = clean(path)
    match how:
        case Sharing.ABSENT:
            return f"{name} does not list {shown}"
        case Sharing.TWO:
            return f"{name} has another volume at {shown}"
        case Sharing.UNSURE:
            return f"whether {name}'s {shown} is its disk or another volume cannot be seen"
    return f"whether {name} sees {shown} is not known"


def _since_move(key: VmKey, cores: float | None, seconds: int, moved: Collection[Moved], now_s: float) -> float | None:
    """Return the mean of a VM's CPU use, of which the part before a move is known from the host it left."""
    for move in moved:
        if move.uuid == key.uuid and move.destination == key.host:
            before = move.share_before(now_s, _MEAN_S)
            return move.cores if cores is None else before * move.cores + (1 - before) * cores
    return cores


def _memory_bytes(vm: Vm, fleet: Fleet) -> int | None:
    deep = fleet.hosts[vm.key.host].vms.deep.get(vm.key.uuid)
    if deep is not None and deep.rss_bytes:
        return deep.rss_bytes
    return vm.memory_allocated_bytes or None


def _disk_bytes(definition: Definition) -> int | None:
    """Return what has to be copied where the disks are not shared; None where a disk is in no storage pool."""
    marks = [definition.volumes.get(path) for path in definition.disk_paths]
    return None if None in marks else sum(mark.allocated_bytes for mark in marks if mark is not None)


def _why_stays(
    vm: Vm, definition: Definition | None, fleet: Fleet, closed: Collection[str], disk_bytes: int | None
) -> str:
    """Return why a VM cannot be moved at all, or nothing."""
    if vm.key.host in closed:
        return "its host is watched read-only"
    if vm.key in fleet.pending or vm.job is not None:
        return f"it is busy: {fleet.pending.get(vm.key) or (vm.job.operation if vm.job else '')}"
    if vm.monitor_silent_since_s is not None:
        return "its QEMU does not answer"
    if vm.state.active and (vm.state not in _MOVABLE or (vm.state is VmState.PAUSED and vm.reason)):
        return f"it is {vm.state}{f' ({vm.reason})' if vm.reason else ''}"
    if definition is None:
        return "its definition is not known yet"
    if definition.config is None:
        return f"its definition could not be read: {definition.problem}"
    if disk_bytes is None:
        return "how much there is to copy is not known: a disk is in no storage pool"
    return ""


_MOVABLE = (VmState.RUNNING, VmState.BLOCKED, VmState.PAUSED)
