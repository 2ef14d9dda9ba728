"""Who lives on the demo hosts: a pure function of the number of VMs and the seed."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from kvmtui.hypervisor.demo.load import Dice
from kvmtui.hypervisor.demo.spec import GIB, VmSpec
from kvmtui.model.vm import VmState

HOST_BASE_CORES = 0.35
HOST_BASE_BYTES = 3 * GIB

HOST_AGE_S = 100 * 86_400.0
_DAY_S = 86_400.0
_CURATED_UP_TO = 40
_CPUS = (8, 16, 24, 32, 48, 64)
_MEMORY_GIB = (32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)


_POPULATION = tuple(
    "web web dev web db test cache dev mail dns web win git test build web dev batch web old".split()  # noqa: SIM905
)
"""The mix of a big fleet."""


class Start(NamedTuple):
    """How a VM stands when the demo begins."""

    spec: VmSpec
    host: int
    state: VmState = VmState.RUNNING
    reason: str = ""
    age_s: float = 0.0
    """How long its QEMU process has been running."""
    autostart: bool = False
    saved: bool = False


class HostSpec(NamedTuple):
    """One demo host."""

    name: str
    uuid: str
    cpus: int
    memory_bytes: int
    round_trip_s: float


def host_count(vms: int) -> int:
    """Return how many hosts a fleet of that size has."""
    for limit, hosts in ((50, 2), (300, 3), (1000, 6)):
        if vms <= limit:
            return hosts
    return -(-vms // 250)


def residents(vms: int, seed: int, host: int) -> tuple[Start, ...]:
    """Return those of a fleet's VMs that live on one host, in the order they were defined."""
    if vms <= _CURATED_UP_TO:
        return tuple(start for start in _curated(vms, seed) if start.host == host)
    hosts = host_count(vms)
    # Hosts are filled unevenly, so that there is something to balance.
    homes = (min(int(hosts * (index * 0.6180339887 % 1) ** 1.15), hosts - 1) for index in range(vms))
    return tuple(_one_of_many(index, vms, seed, host) for index, home in enumerate(homes) if home == host)


def _curated(vms: int, seed: int) -> tuple[Start, ...]:
    """Return a small fleet in which everything worth seeing is there once; the first dozen is the usual demo."""
    age = Dice(seed, "age").between
    off, paused = VmState.SHUT_OFF, VmState.PAUSED
    days = _DAY_S
    starts = [
        Start(VmSpec(seed, "web1", "web", heat=9), 0, age_s=age("web", 9, 15) * days, autostart=True),
        Start(
            VmSpec(seed, "db1", "db", heat=6, ready_fraction=0.06, apart=("db",)),
            0,
            age_s=61 * days + 3000,
            autostart=True,
        ),
        Start(VmSpec(seed, "batch1", "batch"), 1, paused, age_s=3 * 3600),
        Start(VmSpec(seed, "old", "old", emulated=True), 1, off),
        Start(VmSpec(seed, "web2", "web"), 0, age_s=age("web", 9, 15) * days, autostart=True),
        Start(VmSpec(seed, "cache1", "cache"), 0, age_s=age("cache", 20, 80) * days, autostart=True),
        Start(VmSpec(seed, "build3", "build", heat=3), 1, age_s=age("build", 0.2, 2) * days),
        Start(VmSpec(seed, "mail", "mail"), 0, age_s=age("mail", 30, 90) * days, autostart=True),
        Start(VmSpec(seed, "win1", "win", pinned=True), 0, age_s=age("win", 1, 20) * days),
        Start(VmSpec(seed, "dev2", "dev"), 1, off, "saved", saved=True),
        Start(VmSpec(seed, "db2", "warehouse", apart=("db",)), 1, age_s=age("db", 40, 90) * days, autostart=True),
        Start(VmSpec(seed, "ci7", "test", persistent=False), 1, age_s=age("ci", 0.1, 0.4) * days),
        Start(VmSpec(seed, "test1", "test"), 0, off, autostart=True),
        Start(VmSpec(seed, "git", "git"), 1, age_s=age("git", 20, 80) * days, autostart=True),
    ]
    for index in range(len(starts), vms):
        role = _POPULATION[index % len(_POPULATION)]
        spec = VmSpec(seed, f"{role}{index}", role)
        starts.append(Start(spec, index % 2, age_s=_age(Dice(seed, spec.name))))
    return tuple(starts[:vms])


def _one_of_many(index: int, vms: int, seed: int, host: int) -> Start:
    """Return a VM of a big fleet: mostly idle ones, a few hot, a few off, and the odd one in trouble."""
    role = "warehouse" if index % 97 == 96 else _POPULATION[index % len(_POPULATION)]
    name = f"{role}-{index + 1:0{len(str(vms))}d}"
    dice = Dice(seed, name)
    fate = dice.between("fate", 0, 100)
    hot = index == 0 or dice.between("hot", 0, 100) < 1.5
    # The fifth is a database: the one that waits for a CPU.
    waits = index == 4 or dice.between("waits", 0, 1000) < 1
    spec = VmSpec(
        seed,
        name,
        role,
        heat=6 if hot or waits else dice.between("warmth", 0.05, 0.8),
        ready_fraction=0.06 if waits else None,
        persistent=not 98 <= fate < 99,
    )
    state, reason = VmState.RUNNING, ""
    if index == 17 or fate < 0.7:
        state, reason = VmState.PAUSED, ""
    elif fate < 0.9 and not waits:
        state, reason = VmState.PAUSED, "I/O error"
    elif fate < 1.1 and not waits:
        state, reason = VmState.CRASHED, "panicked"
    elif fate < 1.4 and not waits:
        state, reason = VmState.SUSPENDED, ""
    elif fate < 8 and not hot and not waits:
        state, reason = VmState.SHUT_OFF, ""
    if not spec.persistent and not state.active:
        state, reason = VmState.RUNNING, ""
    autostart = spec.persistent and (state.active or fate > 7.5) and bool(index % 4)
    return Start(spec, host, state, reason, _age(dice), autostart)


def _age(dice: Dice) -> float:
    """Return an uptime of two hours to 90 days, short ones being as frequent as long ones."""
    return float(7200 * (90 * _DAY_S / 7200) ** dice.between("age", 0, 1))


def host_name(index: int) -> str:
    """Return what the hosts are called."""
    return f"h{index + 1}"


def make_host(index: int, seed: int, starts: Sequence[Start]) -> HostSpec:
    """Return a host on which these VMs fit, with room for some more."""
    name = host_name(index)
    dice = Dice(seed, "host", name)
    cores = HOST_BASE_CORES + sum(start.spec.cpu.mean for start in starts if start.state.executing)
    gib = (HOST_BASE_BYTES + sum(start.spec.memory_bytes for start in starts)) / GIB
    # The first has outgrown its CPUs, and the others have room: there is something to balance, and it can be emptied.
    cpus, room = (_CPUS, (1.2, 1.15)) if index == 0 else (_CPUS[1:], (1.7, 1.5))
    return HostSpec(
        name=name,
        uuid=str(UUID(int=dice.bits("uuid", 128), version=4)),
        cpus=next((count for count in cpus if count >= cores * room[0]), _CPUS[-1]),
        memory_bytes=next((size for size in _MEMORY_GIB if size >= gib * room[1]), _MEMORY_GIB[-1]) * GIB,
        round_trip_s=0.0003 if index == 0 else round(dice.between("trip", 0.001, 0.018), 4),
    )
