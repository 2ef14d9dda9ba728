"""What demo VMs need of a host, and what demo hosts have, for the checks before a move."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from kvmtui.hypervisor.demo.spec import GIB, LOCAL, SHARED
from kvmtui.hypervisor.demo.vm import DemoVm
from kvmtui.hypervisor.demo.world import DemoHost
from kvmtui.model.preflight_values import (
    Emulation,
    GuestNeeds,
    HostIdentity,
    HostOffers,
    Namesake,
    NeededDisk,
    NeededInterface,
    Pool,
)
from kvmtui.model.sharing import Mark

_LIBVIRT, _QEMU = 9_000_000, 7_002_019
MACHINE = "pc-q35-7.2"
"""The machine type of all demo VMs."""
_BRIDGES = frozenset({"lo", "br0", "virbr0"})
_FREE_BYTES = 800 * GIB
_READ_ONLY = "this connection may only look"
_NAS = "nas:/vms"
_IN_USE_NS, _LEFT_NS = 1_790_000_000 * 10**9, 1_780_000_000 * 10**9
"""When a VM has written to its disk last, and when to one that was left behind."""


def needs(host: DemoHost, vm: DemoVm, *, read_only: bool) -> GuestNeeds:
    """Return what a VM asks of a destination; inside a transaction only."""
    spec = vm.spec
    share = spec.disk_bytes // max(1, sum(disk.writable for disk in spec.disks))
    return GuestNeeds(
        name=spec.name,
        uuid=spec.uuid,
        source=_identity(host),
        active=vm.state.active,
        persistent=vm.persistent,
        saved=vm.saved,
        io_error=vm.reason == "I/O error",
        virt_type="qemu" if spec.emulated else "kvm",
        arch="x86_64",
        machine=MACHINE,
        emulator="/usr/bin/qemu-system-x86_64",
        cpu_mode="custom",
        cpu_xml=None if read_only else "<cpu mode='custom'><model>Skylake-Server</model></cpu>",
        memory_bytes=spec.memory_bytes,
        current_memory_bytes=spec.memory_bytes,
        vcpus=spec.vcpus,
        disks=tuple(
            NeededDisk(
                disk.target,
                path=disk.path,
                format="qcow2",
                writable=disk.writable,
                capacity_bytes=2 * share,
                allocated_bytes=share,
                mark=marks(host, (disk.path,)).get(disk.path),
            )
            for disk in spec.disks
            if disk.path is not None
        ),
        pools=_pools(host),
        interfaces=tuple(
            NeededInterface("bridge" if card.source in _BRIDGES else "network", card.source) for card in spec.interfaces
        ),
        snapshots=spec.snapshots,
        job=vm.job.operation if vm.job is not None else "",
        unread=MappingProxyType({"cpu_xml": _READ_ONLY} if read_only else {}),
    )


def offers(host: DemoHost, asked: GuestNeeds, now_s: float, *, read_only: bool) -> HostOffers:
    """Return what a host has for a VM; inside a transaction only."""
    spec = host.spec
    refusal = f"the machine '{asked.machine}' is not supported" if asked.machine in host.lacks else ""
    own = {disk.path for vm in host.vms.values() if vm.incoming is None for disk in vm.spec.disks} | host.volumes
    return HostOffers(
        host=_identity(host),
        round_trip_s=spec.round_trip_s,
        namesakes=tuple(
            Namesake(vm.spec.name, uuid, vm.state.active, vm.persistent)
            for uuid, vm in host.vms.items()
            if uuid == asked.uuid or vm.spec.name == asked.name
        ),
        emulation=None if read_only else Emulation(refusal, max_vcpus=288),
        cpu_refusal=None if read_only else "",
        networks={"default": True} if "default" not in host.lacks else {},
        links=_BRIDGES - host.lacks,
        volumes={
            disk.path: disk.capacity_bytes
            for disk in asked.disks
            if disk.path is not None and (disk.path.startswith(SHARED) or disk.path in own)
        },
        marks=marks(host, [disk.path for disk in asked.disks if disk.path is not None]),
        pools=_pools(host),
        memory_total_bytes=spec.memory_bytes,
        memory_free_bytes=max(0, spec.memory_bytes - host.memory_used_bytes(now_s)),
        cpus=frozenset(range(spec.cpus)),
        numa_nodes=frozenset({0}),
        secrets=frozenset(),
        unread=MappingProxyType({"emulation": _READ_ONLY, "cpu_refusal": _READ_ONLY} if read_only else {}),
    )


def marks(host: DemoHost, paths: Collection[str]) -> Mapping[str, Mark]:
    """Return what those of `paths` can be known by that a host has; inside a transaction only."""
    vms = [vm for vm in host.vms.values() if vm.incoming is None]
    # All that is on a VM's disks lies on the first.
    sizes = {disk.path: vm.spec.disk_bytes * (at == 0) for vm in vms for at, disk in enumerate(vm.spec.disks)}
    found: dict[str, Mark] = {}
    for path in paths:
        if path.startswith(SHARED):
            found[path] = Mark(sizes.get(path, 0), f"netfs {_NAS}")
        elif path in sizes:
            found[path] = Mark(sizes[path], "", _IN_USE_NS, _IN_USE_NS)
        elif path in host.volumes:
            found[path] = Mark(0, "", _LEFT_NS, _LEFT_NS)
    return found


def _identity(host: DemoHost) -> HostIdentity:
    return HostIdentity(host.spec.name, host.spec.uuid, _LIBVIRT, _QEMU)


def _pools(host: DemoHost) -> tuple[Pool, ...]:
    own = Pool("default", "dir", active=True, path=LOCAL.rstrip("/"), free_bytes=_FREE_BYTES)
    shared = Pool("shared", "netfs", active=True, path=SHARED.rstrip("/"), source=_NAS, free_bytes=4 * _FREE_BYTES)
    return tuple(pool for pool in (own, shared) if pool.name not in host.lacks)
