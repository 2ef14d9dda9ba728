"""Simulated days of a fleet: loads made like recorded ones, and what becomes of the hosts while somebody moves VMs.

Nothing here is libvirt's. Loads are steady, bursty or diurnal and seeded; a move takes as long as its copy at the
bandwidth assumed; all movers see the same means and move one VM at a time.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import cos, exp, pi
from statistics import pstdev

from kvmtui.model.balance_load import GIB, HostLoad, Limits, VmLoad
from kvmtui.model.vm import VmKey

KINDS = ("steady", "bursty", "diurnal")
LIMITS = Limits()
_STEP_S = 60.0
_STEPS = 24 * 60
_KEPT = exp(-_STEP_S / 300)
_KEPT_LASTING = exp(-_STEP_S / 3600)
"""What is left of an old figure in the means of five minutes and of an hour after one step."""
_SIZES = ((16, 64), (16, 96), (32, 128), (32, 192), (32, 128), (64, 256), (16, 64), (64, 384))
"""CPUs and GiB of the simulated hosts."""

Decision = tuple[VmKey, str] | None
Mover = Callable[[Sequence[HostLoad], Sequence[VmLoad], float], Decision]
"""Takes what is measured and the time; returns the VM to move next and where to."""


@dataclass(frozen=True, slots=True)
class Load:
    """What VMs want, whoever moves them."""

    vms: tuple[VmLoad, ...]
    """As placed at the start."""
    demand_cores: tuple[tuple[float, ...], ...]
    """By VM and step."""


@dataclass(slots=True)
class Outcome:
    """What came of a simulated day."""

    cpu_deviation: float = 0.0
    """Standard deviation of the hosts' CPU, mean over time."""
    memory_deviation: float = 0.0
    hours_over: float = 0.0
    """Host hours over the limit of CPU or memory."""
    moves: int = 0
    back: int = 0
    """VMs that came back to a host within two hours of leaving it."""
    again: int = 0
    """VMs moved again within an hour."""


def large_fleet(*, seed: int, hosts: int, vms: int) -> tuple[list[HostLoad], list[VmLoad]]:
    """Return a large fleet whose hosts are very unevenly loaded."""
    chance = random.Random(seed)  # noqa: S311
    weights = [chance.random() + 0.05 for _ in range(hosts)]
    names = [f"h{number:03}" for number in range(hosts)]
    placed = [
        _vm(chance, number, host, cores_used=min(8.0, chance.expovariate(2.5)))
        for number, host in enumerate(chance.choices(names, weights, k=vms))
    ]
    loads = []
    for name in names:
        cpus, memory_bytes = chance.choice((32, 64)), chance.choice((256, 512)) * GIB
        loads.append(_host(name, cpus, memory_bytes, [vm for vm in placed if vm.key.host == name]))
    return loads, placed


def make(kind: str, seed: int) -> Load:
    """Return a day's load: VMs placed unevenly, and what they want from minute to minute."""
    chance = random.Random(f"{kind} {seed}")  # noqa: S311
    names = [f"h{number}" for number in range(len(_SIZES))]
    room = {name: size[1] * 0.75 * GIB for name, size in zip(names, _SIZES, strict=True)}
    weights = [size[0] * (0.3 + 1.4 * chance.random()) for size in _SIZES]
    vms: list[VmLoad] = []
    for number in range(110):
        fits = [(name, weight) for name, weight in zip(names, weights, strict=True) if room[name] > 16 * GIB]
        host = chance.choices([name for name, _ in fits], [weight for _, weight in fits])[0]
        vm = _vm(chance, number, host, cores_used=0.0)
        room[host] -= vm.memory_bytes or 0
        vms.append(vm)
    return Load(tuple(vms), tuple(tuple(_demand(kind, chance)) for _ in vms))


def _demand(kind: str, chance: random.Random) -> Sequence[float]:
    vcpus = chance.choice((1, 2, 2, 4, 4, 8))
    level = vcpus * chance.betavariate(1.2, 2.2)
    if kind == "steady":
        return [max(0.0, level * chance.gauss(1.0, 0.08)) for _ in range(_STEPS)]
    if kind == "diurnal":
        # Most are busy by day, some (backups, reports) by night.
        peak = chance.gauss(14.0, 1.5) if chance.random() < 0.75 else chance.gauss(2.0, 1.0)
        return [
            max(0.0, 1.6 * level * (0.55 + 0.45 * cos(2 * pi * (step / 60 - peak) / 24)) * chance.gauss(1.0, 0.12))
            for step in range(_STEPS)
        ]
    wanted, busy = [], False
    for _ in range(_STEPS):
        # Bursts of a quarter of an hour, about one in an hour.
        busy = chance.random() > 1 / 15 if busy else chance.random() < 1 / 45
        wanted.append(vcpus * (chance.uniform(0.7, 1.0) if busy else 0.08 * chance.random()))
    return wanted


def simulate(load: Load, mover: Mover) -> Outcome:
    """Let a mover work for a day."""
    vms = {vm.key.uuid: vm for vm in load.vms}
    demand = dict(zip(vms, load.demand_cores, strict=True))
    means: dict[str, tuple[float, float]] = {}
    outcome = Outcome()
    left: dict[tuple[str, str], float] = {}
    on_its_way: tuple[VmKey, str, float] | None = None
    for step in range(_STEPS):
        now_s = step * _STEP_S
        if on_its_way and on_its_way[2] <= now_s:
            key, target, _ = on_its_way
            outcome.moves += 1
            outcome.back += now_s - left.get((key.uuid, target), -7200.0) < 7200
            moved_at_s = vms[key.uuid].moved_at_s
            outcome.again += moved_at_s is not None and now_s - moved_at_s < 3600
            left[key.uuid, key.host] = now_s
            vms[key.uuid] = replace(vms[key.uuid], key=VmKey(target, key.uuid), moved_at_s=now_s)
            on_its_way = None
        _watch(vms, demand, means, step, outcome)
        if on_its_way is None and step >= 5:
            seen = [replace(vm, cores_used=means[uuid][0], cores_lasting=means[uuid][1]) for uuid, vm in vms.items()]
            hosts = [
                _host(f"h{number}", cpus, gib * GIB, [vm for vm in seen if vm.key.host == f"h{number}"])
                for number, (cpus, gib) in enumerate(_SIZES)
            ]
            if (decision := mover(hosts, seen, now_s)) is not None:
                copy_s = (vms[decision[0].uuid].copy_bytes or 0) / LIMITS.bandwidth_bytes_per_s + LIMITS.overhead_s
                on_its_way = (*decision, now_s + copy_s)
    outcome.cpu_deviation /= _STEPS
    outcome.memory_deviation /= _STEPS
    return outcome


def _watch(
    vms: Mapping[str, VmLoad],
    demand: Mapping[str, Sequence[float]],
    means: dict[str, tuple[float, float]],
    step: int,
    outcome: Outcome,
) -> None:
    """Share out the CPUs of a step, keep the means of what is measured, and judge the hosts."""
    wanted = dict.fromkeys((f"h{number}" for number in range(len(_SIZES))), 0.0)
    held = dict.fromkeys(wanted, 0)
    for uuid, vm in vms.items():
        wanted[vm.key.host] += demand[uuid][step]
        held[vm.key.host] += vm.memory_bytes or 0
    cpus = {f"h{number}": size[0] for number, size in enumerate(_SIZES)}
    memory = [held[f"h{number}"] / (size[1] * GIB) for number, size in enumerate(_SIZES)]
    cpu = [min(1.0, wanted[name] / cpus[name]) for name in cpus]
    for uuid, vm in vms.items():
        # A busy host gives each VM less than it wants; only what it got can be measured.
        got = demand[uuid][step] * min(1.0, cpus[vm.key.host] / max(1e-9, wanted[vm.key.host]))
        short, lasting = means.get(uuid, (got, got))
        means[uuid] = (
            _KEPT * short + (1 - _KEPT) * got,
            _KEPT_LASTING * lasting + (1 - _KEPT_LASTING) * got,
        )
    outcome.cpu_deviation += pstdev(cpu)
    outcome.memory_deviation += pstdev(memory)
    over = sum(c > LIMITS.cpu_busy or m > LIMITS.memory_used for c, m in zip(cpu, memory, strict=True))
    outcome.hours_over += over * _STEP_S / 3600


def _vm(chance: random.Random, number: int, host: str, cores_used: float) -> VmLoad:
    memory_bytes = chance.choice((1, 2, 2, 4, 4, 8, 16)) * GIB
    return VmLoad(VmKey(host, f"{number:06}"), f"v{number}", cores_used, memory_bytes, memory_bytes)


def _host(name: str, cpus: int, memory_bytes: int, vms: Sequence[VmLoad]) -> HostLoad:
    busy = min(1.0, sum(vm.cores_used or 0.0 for vm in vms) / cpus + 0.01)
    used_bytes = min(memory_bytes, sum(vm.memory_bytes or 0 for vm in vms) + GIB)
    return HostLoad(name, name, cpus, busy, memory_bytes, used_bytes)
