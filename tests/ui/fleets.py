"""Hand-made fleets for the tests of the widgets."""

from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from kvmtui.model.fleet import Fleet
from kvmtui.model.host import Host, HostFacts, HostFigures, Link, Pressure
from kvmtui.model.host_vms import HostVms
from kvmtui.model.vm import Memory, MemorySource, Vm, VmKey, VmState

GIB = 1024**3
MIB = 1024**2
NOW_S = 1_000_000.0
DAY_S = 86400.0


def make_vm(name: str, host: str = "h1", **changes: Any) -> Vm:
    """Return a running VM with plausible figures; its uuid is its name."""
    state = changes.get("state", VmState.RUNNING)
    vm = Vm(
        key=VmKey(host, changes.pop("uuid", name)),
        name=name,
        id=1 if state.active else -1,
        state=state,
        persistent=True,
        autostart=False,
        vcpus=4,
        memory_allocated_bytes=4 * GIB,
    )
    if state.executing:
        vm = replace(
            vm,
            cpu_cores=0.12,
            cpu_recent=(0.1,) * 20,
            ready_fraction=0.0,
            memory=Memory(int(2.2 * GIB), MemorySource.BALLOON, NOW_S - 2),
            disk_read_bytes_per_s=0.0,
            disk_write_bytes_per_s=0.0,
            net_in_bytes_per_s=340 * 1024.0,
            net_out_bytes_per_s=120 * 1024.0,
            started_at_s=NOW_S - 12 * DAY_S,
            deep_at_s=NOW_S - 1,
        )
    return replace(vm, **changes)


def make_host(name: str, vms: Iterable[Vm] = (), **changes: Any) -> Host:
    """Return a host that is up and just sampled; its key is its name."""
    host = Host(
        key=name,
        name=name,
        link=Link.UP,
        facts=HostFacts(name, "", 16, 128 * GIB, "10.0.0", "8.2.0", False),
        figures=HostFigures(
            cpu_busy_fraction=0.41,
            memory_total_bytes=128 * GIB,
            memory_used_bytes=78 * GIB,
            pressure=Pressure(0.03, 0.0, 0.01),
            cpu_recent=(0.2, 0.3, 0.5, 0.7, 0.5, 0.4, 0.3, 0.41),
        ),
        vms=HostVms.of(vms),
        sampled_at_s=NOW_S,
        round_trip_s=0.001,
    )
    return replace(host, **changes)


def make_fleet(*hosts: Host, **pending: str) -> Fleet:
    """Return a fleet of hosts; `pending` maps uuids of the first host."""
    fleet = Fleet(MappingProxyType({host.key: host for host in hosts}))
    if pending:
        first = hosts[0].key
        fleet = fleet.with_pending({VmKey(first, uuid): what for uuid, what in pending.items()})
    return fleet


def fleet_of(count: int, host: str = "h1", **changes: Any) -> Fleet:
    """Return one host with `count` VMs called vm0, vm1, ..."""
    return make_fleet(make_host(host, [make_vm(f"vm{number}", host, **changes) for number in range(count)]))
