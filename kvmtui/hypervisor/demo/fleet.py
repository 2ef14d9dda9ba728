"""Who lives on the demo hosts: a pure function of the number of VMs and the seed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

from kvmtui.hypervisor.demo.load import Dice, Load, Shape, batch, bursty, daily, idle, steady
from kvmtui.model.clean import clean
from kvmtui.model.vm import Disk, Interface, VmState

GIB = 1024**3
MIB = 1024**2
SHARED = "/srv/shared/"
"""Where disks live that all hosts see."""
LOCAL = "/var/lib/libvirt/images/"
"""Where disks live that only their host sees."""
HOST_BASE_CORES = 0.35
HOST_BASE_BYTES = 3 * GIB

_DAY_S = 86_400.0
_CURATED_UP_TO = 40
_CPUS = (16, 24, 32, 48, 64)
_MEMORY_GIB = (32, 64, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)


@dataclass(frozen=True, slots=True)
class Role:
    """What a VM does, and so how it fares."""

    vcpus: int
    memory_gib: int
    shape: Shape
    cores: float
    """Mean CPU use."""
    net_in_per_core: float
    """Bytes received for each second of CPU."""
    net_out_per_core: float
    reads: float
    """Mean bytes per second read from disk."""
    writes: float
    memory_low: float
    """Share of its memory the guest uses at least."""
    memory_swing: float
    """By how much the use rises before it drops again."""
    balloon: bool = True
    local_disk: bool = False


ROLES: Mapping[str, Role] = MappingProxyType(
    {
        "web": Role(4, 4, daily, 0.16, 9e6, 24e6, 6e3, 60e3, 0.46, 0.06),
        "db": Role(8, 16, steady, 0.60, 1.2e6, 1.6e6, 6e6, 2.5e6, 0.86, 0.04, local_disk=True),
        "cache": Role(2, 32, steady, 0.22, 40e6, 44e6, 0, 8e3, 0.35, 0.40),
        "mail": Role(2, 2, bursty, 0.06, 4e6, 3e6, 20e3, 160e3, 0.55, 0.05),
        "build": Role(8, 16, batch, 0.90, 0.6e6, 0.1e6, 1e6, 6e6, 0.18, 0.45),
        "batch": Role(2, 2, batch, 0.40, 0.2e6, 0.1e6, 2e6, 0.4e6, 0.30, 0.30),
        "win": Role(4, 8, bursty, 0.10, 0.5e6, 0.2e6, 40e3, 90e3, 0.60, 0.05, balloon=False),
        "dev": Role(2, 4, idle, 0.012, 0.1e6, 0.1e6, 0, 2e3, 0.25, 0.05),
        "test": Role(2, 2, idle, 0.008, 0.1e6, 0.1e6, 0, 1e3, 0.22, 0.04),
        "dns": Role(1, 1, idle, 0.015, 6e6, 8e6, 0, 1e3, 0.30, 0.03),
        "git": Role(4, 8, bursty, 0.15, 2e6, 8e6, 0.5e6, 0.3e6, 0.50, 0.08),
        "old": Role(1, 1, idle, 0.010, 0.1e6, 0.1e6, 0, 1e3, 0.40, 0.02, balloon=False),
        "warehouse": Role(16, 64, steady, 1.10, 3e6, 2e6, 40e6, 9e6, 0.70, 0.15, local_disk=True),
    }
)
_POPULATION = tuple(
    "web web dev web db test cache dev mail dns web win git test build web dev batch web old".split()  # noqa: SIM905
)
"""The mix of a big fleet."""


@dataclass(frozen=True, slots=True)
class VmSpec:
    """What a demo VM is wherever and whenever it runs."""

    uuid: str
    name: str
    """As its creator wrote it: possibly hostile."""
    shown_name: str
    """Cleaned, as a connection must hand it out."""
    hostname: str
    vcpus: int
    memory_bytes: int
    cpu: Load
    """In cores."""
    reads: Load
    """In bytes per second."""
    writes: Load
    """In bytes per second."""
    ready: Load
    """In waiting vCPUs."""
    net_in_per_core: float
    net_out_per_core: float
    memory_low: float
    memory_swing: float
    memory_period_s: float
    balloon: bool
    local_disk: bool
    disks: tuple[Disk, ...]
    disk_bytes: int
    interfaces: tuple[Interface, ...]
    address: str
    consoles: tuple[str, ...] = ("serial0",)
    emulated: bool = False
    persistent: bool = True
    shutdown_s: float = 3.0
    """How long the guest takes to shut down."""


@dataclass(frozen=True, slots=True)
class Start:
    """How a VM stands when the demo begins."""

    spec: VmSpec
    host: int
    state: VmState = VmState.RUNNING
    reason: str = ""
    age_s: float = 0.0
    """How long its QEMU process has been running."""
    autostart: bool = False
    saved: bool = False


@dataclass(frozen=True, slots=True)
class HostSpec:
    """One demo host."""

    name: str
    uuid: str
    cpus: int
    memory_bytes: int
    round_trip_s: float
    age_s: float


def host_count(vms: int) -> int:
    """Return how many hosts a fleet of that size has."""
    for limit, hosts in ((50, 2), (300, 3), (1000, 6)):
        if vms <= limit:
            return hosts
    return -(-vms // 250)


def make_spec(
    seed: int,
    name: str,
    role: str = "web",
    *,
    serial: int = 0,
    heat: float = 1.0,
    vcpus: int | None = None,
    memory_bytes: int | None = None,
    ready_fraction: float | None = None,
    persistent: bool = True,
    emulated: bool = False,
) -> VmSpec:
    """Return the VM `name` doing the work of `role`, `heat` times as hard as usual."""
    kind, dice = ROLES[role], Dice(seed, serial, name)
    cpus = vcpus or kind.vcpus
    cpu = kind.shape(kind.cores * heat * dice.between("heat", 0.6, 1.4), dice)
    cpu = cpu.scaled(min(1.0, 0.95 * cpus / cpu.peak))
    waiting = dice.between("ready", 0.0, 0.003) if ready_fraction is None else ready_fraction
    busy = min(heat, 3.0)
    shown = clean(name)
    folder = LOCAL if kind.local_disk else SHARED
    disks = [Disk("vda", f"{folder}{shown}.qcow2", writable=True)]
    if kind.memory_gib >= 16:
        disks.append(Disk("vdb", f"{folder}{shown}-data.qcow2", writable=True))
    if role in ("win", "old"):
        disks.append(Disk("sda", None, writable=False))
    bits = dice.bits("mac", 24)
    mac = f"52:54:00:{bits >> 16:02x}:{bits >> 8 & 255:02x}:{bits & 255:02x}"
    return VmSpec(
        uuid=str(UUID(int=dice.bits("uuid", 128), version=4)),
        name=name,
        shown_name=shown,
        hostname=re.sub("[^a-z0-9-]+", "-", name.lower()).strip("-")[:32] or "guest",
        vcpus=cpus,
        memory_bytes=memory_bytes or int(kind.memory_gib * GIB),
        cpu=cpu,
        reads=kind.shape(kind.reads * busy, Dice(seed, serial, name, "reads")),
        writes=kind.shape(kind.writes * busy, Dice(seed, serial, name, "writes")),
        ready=steady(waiting * cpus, Dice(seed, serial, name, "ready")),
        net_in_per_core=kind.net_in_per_core,
        net_out_per_core=kind.net_out_per_core,
        memory_low=kind.memory_low * dice.between("memory", 0.85, 1.1),
        memory_swing=kind.memory_swing,
        memory_period_s=dice.between("saw", 90, 600),
        balloon=kind.balloon,
        local_disk=kind.local_disk,
        disks=tuple(disks),
        disk_bytes=int(dice.between("disk", 6, 30)) * GIB,
        interfaces=(Interface(mac, "default" if bits % 3 else "br0", "virtio" if kind.balloon else "e1000"),),
        address=f"192.168.{122 + (bits >> 8) % 8}.{2 + bits % 250}",
        emulated=emulated,
        persistent=persistent,
        shutdown_s=round(dice.between("shutdown", 2, 6), 1),
    )


def make_fleet(vms: int, seed: int) -> tuple[tuple[HostSpec, ...], tuple[Start, ...]]:
    """Return the hosts, and all VMs in the order they were defined."""
    hosts = host_count(vms)
    starts = _curated(vms, seed) if vms <= _CURATED_UP_TO else _crowd(vms, seed, hosts)
    return tuple(
        _host(index, seed, [start for start in starts if start.host == index]) for index in range(hosts)
    ), starts


def _curated(vms: int, seed: int) -> tuple[Start, ...]:
    """Return a small fleet in which everything worth seeing is there once; the first dozen is the usual demo."""
    age = Dice(seed, "age").between
    off, paused = VmState.SHUT_OFF, VmState.PAUSED
    days = _DAY_S
    starts = [
        Start(make_spec(seed, "web1", "web", heat=9), 0, age_s=age("web", 9, 15) * days, autostart=True),
        Start(make_spec(seed, "db1", "db", heat=6, ready_fraction=0.06), 0, age_s=61 * days + 3000, autostart=True),
        Start(make_spec(seed, "batch1", "batch"), 1, paused, age_s=3 * 3600),
        Start(make_spec(seed, "old", "old", emulated=True), 1, off),
        Start(make_spec(seed, "web2", "web"), 0, age_s=age("web", 9, 15) * days, autostart=True),
        Start(make_spec(seed, "cache1", "cache"), 0, age_s=age("cache", 20, 80) * days, autostart=True),
        Start(make_spec(seed, "build3", "build", heat=3), 1, age_s=age("build", 0.2, 2) * days),
        Start(make_spec(seed, "mail", "mail"), 0, age_s=age("mail", 30, 90) * days, autostart=True),
        Start(make_spec(seed, "win1", "win"), 0, age_s=age("win", 1, 20) * days),
        Start(make_spec(seed, "dev2", "dev"), 1, off, "saved", saved=True),
        Start(make_spec(seed, "db2", "warehouse"), 1, age_s=age("db", 40, 90) * days, autostart=True),
        Start(make_spec(seed, "ci7", "test", persistent=False), 1, age_s=age("ci", 0.1, 0.4) * days),
        Start(make_spec(seed, "test1", "test"), 0, off, autostart=True),
        Start(make_spec(seed, "git", "git"), 1, age_s=age("git", 20, 80) * days, autostart=True),
    ]
    for index in range(len(starts), vms):
        role = _POPULATION[index % len(_POPULATION)]
        spec = make_spec(seed, f"{role}{index}", role)
        starts.append(Start(spec, index % 2, age_s=_age(Dice(seed, spec.name))))
    return tuple(starts[:vms])


def _crowd(vms: int, seed: int, hosts: int) -> tuple[Start, ...]:
    """Return a big fleet: mostly idle, a few hot, a few off, and the odd one in trouble."""
    digits = len(str(vms))
    starts = []
    for index in range(vms):
        role = "warehouse" if index % 97 == 96 else _POPULATION[index % len(_POPULATION)]
        name = f"{role}-{index + 1:0{digits}d}"
        dice = Dice(seed, name)
        fate = dice.between("fate", 0, 100)
        hot = index == 0 or dice.between("hot", 0, 100) < 1.5
        # The fifth is a database: the one that waits for a CPU.
        waits = index == 4 or dice.between("waits", 0, 1000) < 1
        spec = make_spec(
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
        # Hosts are filled unevenly, so that there is something to balance.
        host = min(int(hosts * (index * 0.6180339887 % 1) ** 1.15), hosts - 1)
        autostart = spec.persistent and (state.active or fate > 7.5) and bool(index % 4)
        starts.append(Start(spec, host, state, reason, _age(dice), autostart))
    return tuple(starts)


def _age(dice: Dice) -> float:
    """Return an uptime of two hours to 90 days, short ones being as frequent as long ones."""
    return float(7200 * (90 * _DAY_S / 7200) ** dice.between("age", 0, 1))


def _host(index: int, seed: int, starts: list[Start]) -> HostSpec:
    """Return a host on which these VMs fit, with room for some more."""
    name = f"h{index + 1}"
    dice = Dice(seed, "host", name)
    cores = HOST_BASE_CORES + sum(start.spec.cpu.mean for start in starts if start.state.executing)
    gib = (HOST_BASE_BYTES + sum(start.spec.memory_bytes for start in starts)) / GIB
    return HostSpec(
        name=name,
        uuid=str(UUID(int=dice.bits("uuid", 128), version=4)),
        cpus=next((cpus for cpus in _CPUS if cpus >= cores * 1.7), _CPUS[-1]),
        memory_bytes=next((size for size in _MEMORY_GIB if size >= gib * 1.15), _MEMORY_GIB[-1]) * GIB,
        round_trip_s=0.0003 if index == 0 else round(dice.between("trip", 0.001, 0.018), 4),
        age_s=100 * _DAY_S,
    )
