"""A backend that serves samples made beforehand, so that what is measured is the engine and the screen alone.

The demo hosts compute every counter when they are asked, which costs more than all the rest of kvmtui. Only `samples`
and `model` are imported here: what is made before the screen is imported can be hidden from the garbage collector.
"""

import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NoReturn

from kvmtui.hypervisor.errors import NotSupported
from kvmtui.hypervisor.health_book import HealthBook
from kvmtui.hypervisor.protocol import ConsoleSink, ConsoleStream
from kvmtui.hypervisor.samples import DeepVm, Flags, Identity, LightColumns, LightSample, NodeSample
from kvmtui.hypervisor.sampling import deep_vm
from kvmtui.model.actions import Verb
from kvmtui.model.host import HostFacts
from kvmtui.model.migration import RepairKind, Steer
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.preflight_values import GuestNeeds, HostOffers
from kvmtui.model.sharing import Mark
from kvmtui.model.vm import Job, VmConfig, VmState

_GIB = 1 << 30
_VCPUS = 4
_HOST_CPUS = 64
_DEEP_S = 0.004
"""What a deep look at one VM keeps the host busy (lab.md): it is waited, not computed."""
_CONVERTED_VMS = 1000
STEADY_MEMORY_BYTES = 2 * _GIB
"""What a guest uses that does not change."""
_OLD_S = 7000.0
"""How old the memory of a guest is that does not change: an age that is told in hours reads the same for long."""
_LONG_AGO_S = 12.5 * 86400


def vm_name(number: int) -> str:
    """Return the name of a VM, which in order of names is this many lines below the first."""
    return f"vm{number:04d}"


class ReplayBackend:
    """Hosts whose samples were made beforehand."""

    def __init__(self, vms: int, hosts: int, changing: float, ticks: int, *, converting: bool = False) -> None:
        """`changing` is the share of VMs whose every counter moves; after `ticks` samples more are made when asked."""
        self._hosts = {
            f"replay://h{number + 1}": _ReplayHost(number, range(number, vms, hosts), changing, ticks)
            for number in range(hosts)
        }
        self._converting = converting
        self.uris = tuple(self._hosts)

    def uuids(self, uri: str) -> Sequence[str]:
        """Return the VMs of a host."""
        return self._hosts[uri].uuids

    def open(self, uri: str, *, read_only: bool, on_event: Callable[[], None] | None = None) -> "ReplayConnection":
        """Open a connection; there are no events."""
        del read_only, on_event
        first = uri == self.uris[0]
        return ReplayConnection(self._hosts[uri], converting=self._converting and first)


class _ReplayHost:
    """One host: what it is, and the samples still to come."""

    def __init__(self, number: int, numbers: Sequence[int], changing: float, ticks: int) -> None:
        self.name = f"h{number + 1}"
        self.random = random.Random(number)  # noqa: S311 - the same load in every run, guards nothing
        self.uuids = [f"00000000-0000-4000-8000-{index:012d}" for index in numbers]
        self._names = [vm_name(index) for index in numbers]
        step = round(1 / changing) if changing else 0
        self.live = frozenset(
            uuid for uuid, index in zip(self.uuids, numbers, strict=True) if step and not index % step
        )
        self.host_live = bool(step) and number % step == 0
        self._started_at_s = time.monotonic() - _LONG_AGO_S
        self._cpu = [10**13] * len(numbers)
        self._in = [10**12] * len(numbers)
        self._out = [10**12] * len(numbers)
        self._prepared = [self._make() for _ in range(ticks)][::-1]

    def light(self) -> LightColumns:
        """Return the next sample."""
        return self._prepared.pop() if self._prepared else self._make()

    def _make(self) -> LightColumns:
        rand = self.random.random
        for index, uuid in enumerate(self.uuids):
            if uuid in self.live:
                self._cpu[index] += int(rand() * _VCPUS * 1e9)
                self._in[index] += int(rand() * 1e8)
                self._out[index] += int(rand() * 1e8)
        count = len(self.uuids)
        return LightColumns(
            uuid=tuple(self.uuids),
            name=tuple(self._names),
            id=tuple(range(1, count + 1)),
            state=(VmState.RUNNING,) * count,
            reason=("",) * count,
            vcpus=(_VCPUS,) * count,
            memory_allocated_bytes=(8 * _GIB,) * count,
            cpu_time_ns=tuple(self._cpu),
            net_names=(("vnet0",),) * count,
            net_in_bytes=tuple([(total,) for total in self._in]),
            net_out_bytes=tuple([(total,) for total in self._out]),
            started_at_s=(self._started_at_s,) * count,
        )


class ReplayConnection:
    """A connection to such a host; only what looks is there."""

    def __init__(self, host: _ReplayHost, *, converting: bool) -> None:
        self._host = host
        self._busy_ns = self._total_ns = 10**15
        self._deep: dict[str, list[int]] = {}
        self._stats = _raw_stats() if converting else ()

    def facts(self) -> HostFacts:
        """Return what the host is."""
        return HostFacts(self._host.name, self._host.name, _HOST_CPUS, 512 * _GIB, "9.0.0", "QEMU 7.2.0", local=False)

    def light(self, interval_s: float) -> LightSample:
        """Return the next sample."""
        del interval_s
        taken_at_s = time.monotonic()
        columns = self._host.light()
        return LightSample(taken_at_s, 0.001, False, columns._replace(cpu_at_s=(taken_at_s,) * len(columns.uuid)))

    def health(self, book: HealthBook) -> None:
        """Read nothing: what is measured is the watching."""

    def flags(self) -> Flags:
        """Return that all are persistent and nothing else."""
        return Flags(frozenset(self._host.uuids), frozenset(), frozenset())

    def node(self) -> NodeSample:
        """Return how the host fares."""
        share = self._host.random.random() if self._host.host_live else 0.5
        self._total_ns += _HOST_CPUS * 10**9
        self._busy_ns += int(share * _HOST_CPUS * 10**9)
        return NodeSample(
            time.monotonic(), self._total_ns, self._total_ns - self._busy_ns, 512 * _GIB, int(512 * _GIB * share), None
        )

    def deep(self, uuids: Sequence[str]) -> tuple[DeepVm, ...]:
        """Return the next figures of some VMs, after the time that a host takes for them."""
        taken_at_s = time.monotonic()
        if self._stats:
            self._convert(taken_at_s)
        else:
            time.sleep(_DEEP_S * len(uuids))
        return tuple([self._deep_vm(uuid, taken_at_s) for uuid in uuids])

    def _convert(self, started_s: float) -> None:
        """Turn raw statistics into samples again and again, for nearly as long as a tick lasts."""
        while time.monotonic() - started_s < 0.95:
            tuple([deep_vm(uuid, started_s, 0.0, stats) for uuid, stats in self._stats])

    def _deep_vm(self, uuid: str, taken_at_s: float) -> DeepVm:
        counters = self._deep.setdefault(uuid, [10**12, 10**12, 10**12, STEADY_MEMORY_BYTES])
        if uuid in self._host.live:
            rand = self._host.random.random
            counters[0] += int(rand() * 1e8)
            counters[1] += int(rand() * 1e8)
            counters[2] += int(rand() * 1e8)
            counters[3] = int((0.1 + 0.8 * rand()) * 8 * _GIB)
        ready, reads, writes, memory = counters
        age_s = 0.0 if uuid in self._host.live else _OLD_S
        return DeepVm(uuid, taken_at_s, ready, _VCPUS, memory, age_s, None, {"vda": reads}, {"vda": writes})

    def silent(self, uuids: Sequence[str]) -> Mapping[str, float]:
        """Return that all answer."""
        del uuids
        return {}

    def config(self, uuid: str) -> VmConfig:
        """Return a definition that is the same for all."""
        del uuid
        return VmConfig((), (), ("serial0",), ("192.168.122.10",), 1, False, time.monotonic())

    def job(self, uuid: str) -> Job | None:
        """Return that there is none."""
        del uuid
        return None

    def known_paths(self, paths: Collection[str]) -> frozenset[str]:
        """Return that there are none."""
        del paths
        return frozenset()

    def volumes(self, paths: Collection[str]) -> Mapping[str, Mark]:
        """Return that there are none."""
        del paths
        return {}

    def close(self) -> None:
        """Do nothing."""

    def identity(self, uuid: str) -> Identity:
        """Refuse."""
        _refuse(uuid)

    def perform(self, verb: Verb, uuid: str) -> None:
        """Refuse."""
        _refuse(verb, uuid)

    def needs(self, uuid: str) -> GuestNeeds:
        """Refuse."""
        _refuse(uuid)

    def offers(self, needs: GuestNeeds) -> HostOffers:
        """Refuse."""
        _refuse(needs)

    def migrate(self, uuid: str, destination: str, options: MigrationOptions, *, peer_to_peer: bool) -> None:
        """Refuse."""
        _refuse(uuid, destination, options, peer_to_peer)

    def steer(self, uuid: str, what: Steer, value: int | None = None) -> None:
        """Refuse."""
        _refuse(uuid, what, value)

    def repair(self, uuid: str, kind: RepairKind, destination: str = "", *, peer_to_peer: bool = True) -> None:
        """Refuse."""
        _refuse(uuid, kind, destination)

    def absent_volumes(self, paths: Collection[str]) -> Mapping[str, int]:
        """Refuse."""
        _refuse(paths)
        return {}

    def delete_volumes(self, volumes: Mapping[str, int]) -> None:
        """Refuse."""
        _refuse(volumes)

    def open_console(
        self, uuid: str, sink: ConsoleSink, device: str | None = None, *, force: bool = False
    ) -> ConsoleStream:
        """Refuse."""
        _refuse(uuid, sink, device, force)


def _refuse(*_: object) -> NoReturn:
    raise NotSupported("these hosts are only looked at")


def _raw_stats() -> tuple[tuple[str, dict[str, object]], ...]:
    """Return what libvirt gives for VMs with four vCPUs, two disks and a balloon, all names as new as there."""
    return tuple((f"00000000-0000-4000-8000-{number:012d}", dict(_fields(number))) for number in range(_CONVERTED_VMS))


def _fields(number: int) -> Iterator[tuple[str, object]]:
    yield "vcpu.current", _VCPUS
    yield "vcpu.maximum", _VCPUS
    for vcpu in range(_VCPUS):
        yield f"vcpu.{vcpu}.state", 1
        for field in ("time", "wait", "delay"):
            yield f"vcpu.{vcpu}.{field}", number * 10**9 + vcpu
        yield f"vcpu.{vcpu}.halted", False
    for field in ("current", "maximum", "available", "usable", "unused", "last-update", "rss", "swap_in", "swap_out"):
        yield f"balloon.{field}", number + 4_000_000
    yield "block.count", 2
    for disk in range(2):
        yield f"block.{disk}.name", f"vd{'ab'[disk]}"
        yield f"block.{disk}.path", f"/var/lib/libvirt/images/{number}-{disk}.qcow2"
        for kind in ("rd", "wr", "fl"):
            for field in ("reqs", "bytes", "times"):
                yield f"block.{disk}.{kind}.{field}", number * 1000 + disk
        for field in ("allocation", "capacity", "physical"):
            yield f"block.{disk}.{field}", number * 10**6
