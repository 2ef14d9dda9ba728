"""How the demo hosts fare: mostly well, with something of each kind to be found."""

import time
from collections.abc import Iterator

from kvmtui.hypervisor.demo.spec import GIB, LOCAL, SHARED
from kvmtui.hypervisor.demo.vm import BALLOON_PERIOD_S, DemoVm
from kvmtui.hypervisor.demo.world import DemoHost, World
from kvmtui.hypervisor.health_book import HealthBook
from kvmtui.model.health import (
    MACHINE,
    NETWORKS,
    OFFER,
    POOLS,
    VMS,
    HostOffer,
    Machine,
    NetworkHealth,
    NumaCell,
    PoolHealth,
    Temperature,
    VmHealth,
)

_DAY_S = 86400.0
_POOLS = {"default": (LOCAL, 0.42), "shared": (SHARED, 0.61), "backup": ("/srv/backup", 0.93)}
"""Folder, and how full each is."""


def items(host: DemoHost) -> Iterator[str]:
    """Iterate over what there is to look at."""
    yield from (MACHINE, OFFER, NETWORKS, POOLS)
    yield from (f"pool {name}" for name in _POOLS if name not in host.lacks)
    yield VMS


def read(world: World, host: DemoHost, item: str, book: HealthBook, now_s: float) -> None:
    """Read one item; inside a transaction only."""
    first = next(iter(world.hosts.values())) is host
    if item == MACHINE and first:
        # Only of one host can it be known, as if kvmtui ran there.
        book.machine = _machine(host)
    elif item == OFFER:
        memory = host.spec.memory_bytes
        free = max(0, memory - host.memory_used_bytes(now_s))
        book.offer = HostOffer(True, first or None, GIB, (), (NumaCell(0, memory, free),))
    elif item == NETWORKS:
        book.networks = (NetworkHealth("default", "default" not in host.lacks, True),)
    elif item.startswith("pool "):
        name = item.removeprefix("pool ")
        # The backups are of one host alone.
        if name != "backup" or not first:
            size = 4096 * GIB
            book.pools.append(PoolHealth(name, True, True, size, int(size * (1 - _POOLS[name][1])), first, size // 2))
    elif item == VMS:
        book.vms.update((uuid, _vm(vm)) for uuid, vm in host.vms.items())


def _machine(host: DemoHost) -> Machine:
    return Machine(
        virtualisation="AMD-V",
        kvm_device="",
        nested=False,
        vhost_net=True,
        tun=True,
        cgroups=dict.fromkeys(("cpu", "cpuacct", "cpuset", "memory", "devices", "blkio"), True),
        iommu_table=True,
        iommu_groups=True,
        secure_guests=False,
        pressure={"cpu": 0.03, "memory": 0.0, "io": 0.01},
        swap_total_bytes=8 * GIB,
        swap_used_bytes=GIB,
        swapped_pages=0,
        load_15=host.spec.cpus * 0.4,
        cpus=host.spec.cpus,
        steal_fraction=0.0,
        temperatures=(Temperature("CPU", 61, 95),),
        clock_synchronised=True,
    )


def _vm(vm: DemoVm) -> VmHealth:
    spec = vm.spec
    snapshots = spec.snapshots
    taken_at_s = time.time() - 41.5 * _DAY_S if snapshots else None
    if vm.id < 0:
        return VmHealth(snapshots=snapshots, oldest_snapshot_at_s=taken_at_s)
    return VmHealth(
        run=vm.id,
        emulated=spec.emulated,
        agent=None if spec.role in ("old", "test") else spec.role != "dns" and spec.name != "mail",
        messages=("tainted: use of host cdrom passthrough",) if spec.role == "old" else (),
        waiting=("vCPUs 4 → 6",) if spec.name == "web2" else (),
        balloon_period_s=BALLOON_PERIOD_S if spec.balloon else None,
        snapshots=snapshots,
        oldest_snapshot_at_s=taken_at_s,
        packets=0,
        lost_packets=0,
    )
