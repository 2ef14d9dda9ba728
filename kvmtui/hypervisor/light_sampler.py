"""Light samples: state, CPU time, memory and network of all VMs without asking any QEMU."""

import math
import time
from collections.abc import Mapping
from itertools import islice
from math import isnan, nan
from typing import Any

from kvmtui.hypervisor.errors import VmGone
from kvmtui.hypervisor.library import libvirt, translate
from kvmtui.hypervisor.qemu_processes import QemuFinder, QemuProcess
from kvmtui.hypervisor.samples import LightColumns, LightSample
from kvmtui.hypervisor.sampling import KIB, interfaces, state_of, whole
from kvmtui.model.clean import clean

# Where asking each VM would take more than this share of the tick, CPU times come in the bulk call.
_ROUND_TRIP_SHARE = 0.25
# What changes only when somebody changes the VM; CPU time is read every tick.
_SIZE_EVERY_S = 30.0

_NO_INTERFACES = interfaces({})

_Key = int | str
"""The id of a run, which no other run on the connection has; the uuid of a VM that does not run."""


class _Listed:
    """What is known of one VM for as long as its key stays the same."""

    __slots__ = (
        "asked_at_s",
        "cpu_time_ns",
        "domain",
        "id",
        "memory_kib",
        "name",
        "process",
        "raw_name",
        "uuid",
        "vcpus",
    )

    def __init__(self, domain: Any, number: int) -> None:
        self.domain = domain
        self.id = number
        self.uuid: str = domain.UUIDString()
        self.raw_name: str | None = None
        self.name = ""
        self.process: QemuProcess | None = None
        self.asked_at_s = 0.0
        self.memory_kib = self.vcpus = self.cpu_time_ns = 0
        self.read_name(domain)

    def read_name(self, domain: Any) -> None:
        try:
            raw = domain.name()
        except UnicodeDecodeError:
            raw = self.uuid
        if raw != self.raw_name:
            self.raw_name, self.name = raw, clean(raw)


class LightSampler:
    """Takes light samples over one connection and decides how, by the round trip it measures.

    CPU times are read from the kernel where the VMs run on this machine. Elsewhere `info()` reads what the daemon
    already knows but is a round trip per VM; the CPU group of the bulk call needs only one, but makes the daemon ask
    every QEMU. So the first is used near, the second far.
    """

    def __init__(self, connection: Any, finder: QemuFinder | None) -> None:
        """`finder` finds QEMU processes, on this machine only."""
        self._module = libvirt()
        self._connection = connection
        self._finder = finder
        self._listed: dict[_Key, _Listed] = {}
        """In the order in which they were asked last."""
        self._each_tick: list[_Listed] = []
        """Those whose CPU time only the daemon knows."""
        self._round_trip_s = 0.0
        self._bulk_cpu = False

    def sample(self, interval_s: float) -> LightSample:
        """Return a sample of all VMs; raises `libvirtError`."""
        started_s = time.monotonic()
        self._connection.getLibVersion()
        self._round_trip_s = _smoothed(self._round_trip_s, time.monotonic() - started_s)
        # How many they are is not known at first, when it matters most: a far host would not answer in time.
        count = len(self._each_tick) if self._listed else self._connection.numOfDomains()
        bearable_s = _ROUND_TRIP_SHARE * interval_s / (2 if self._bulk_cpu else 1)
        self._bulk_cpu = bulk_cpu = self._round_trip_s * count > bearable_s
        groups, flags = self._module.VIR_DOMAIN_STATS_STATE | self._module.VIR_DOMAIN_STATS_INTERFACE, 0
        if bulk_cpu:
            groups |= self._module.VIR_DOMAIN_STATS_CPU_TOTAL
            flags = self._module.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        taken_at_s = time.monotonic()
        rows = self._match(self._connection.getAllDomainStats(groups, flags))
        most = math.ceil(len(rows) * interval_s / _SIZE_EVERY_S)
        if bulk_cpu:
            most = max(1, int(_ROUND_TRIP_SHARE * interval_s / self._round_trip_s))
        self._ask(rows, most, bulk_cpu)
        self._each_tick = [vm for vm in self._listed.values() if vm.process is None and vm.id != -1]
        self._find_processes()
        known = [(vm, stats) for vm, stats in rows.values() if bulk_cpu or vm.asked_at_s]
        vms = [_row(vm, stats, taken_at_s, bulk_cpu) for vm, stats in known]
        return LightSample(taken_at_s, self._round_trip_s, bulk_cpu, LightColumns.of(vms))

    def _match(self, answer: list[tuple[Any, Mapping[str, Any]]]) -> dict[_Key, tuple[_Listed, Mapping[str, Any]]]:
        """Return the rows of a bulk answer with what is known of their VMs, and forget the VMs that are not in it."""
        rows: dict[_Key, tuple[_Listed, Mapping[str, Any]]] = {}
        for domain, stats in answer:
            number = domain.ID()
            key = domain.UUIDString() if number == -1 else number
            vm = self._listed.get(key)
            if vm is None:
                vm = self._listed[key] = _Listed(domain, number)
            elif number == -1:
                # Only a VM that does not run can be renamed.
                vm.read_name(domain)
            rows[key] = vm, stats
        if not self._listed.keys() <= rows.keys():
            self._listed = {key: vm for key, vm in self._listed.items() if key in rows}
        return rows

    def _ask(self, rows: Mapping[_Key, tuple[_Listed, Any]], most: int, bulk_cpu: bool) -> None:
        """Ask new VMs, up to `most` others in turn, and those whose CPU time is not known otherwise; where they are far
        no more than `most` altogether.
        """
        keys: list[_Key] = [key for key, (vm, _) in rows.items() if not vm.asked_at_s]
        keys += islice(self._listed, most)
        if bulk_cpu:
            del keys[most:]
        else:
            keys += [vm.id for vm in self._each_tick if vm.id in rows]
        for key in dict.fromkeys(keys):
            vm = rows[key][0]
            asked_at_s = time.monotonic()
            try:
                _, _, vm.memory_kib, vm.vcpus, vm.cpu_time_ns = vm.domain.info()
            except self._module.libvirtError as error:
                # It vanished meanwhile; the next sample does not list it.
                if isinstance(translate(error, self._connection), VmGone):
                    continue
                raise
            vm.asked_at_s = asked_at_s
            self._listed.pop(key, None)
            self._listed[key] = vm

    def _find_processes(self) -> None:
        if self._finder is None:
            return
        sought = {vm.uuid: vm for vm in self._each_tick}
        # After libvirt named the runs, so that a process that is found now is not one of a run before.
        for uuid, process in (self._finder.find(sought) or {}).items():
            sought[uuid].process = process
        self._each_tick = [vm for vm in self._each_tick if vm.process is None]


def _row(vm: _Listed, stats: Mapping[str, Any], taken_at_s: float, bulk_cpu: bool) -> tuple[Any, ...]:
    """Return what a `LightVm` is made of."""
    state, reason = state_of(stats.get("state.state", 0), stats.get("state.reason", 0))
    process = vm.process
    if process is not None:
        cpu_at_s, cpu_time_ns = time.monotonic(), process.cpu_time_ns()
        if isnan(cpu_time_ns):
            vm.process = None
    elif vm.id == -1:
        cpu_at_s, cpu_time_ns = taken_at_s, nan
    elif bulk_cpu:
        told = whole(stats.get("cpu.time"))
        cpu_at_s, cpu_time_ns = taken_at_s, nan if told is None else told
    else:
        cpu_at_s, cpu_time_ns = vm.asked_at_s, vm.cpu_time_ns
    return (
        vm.uuid,
        vm.name,
        vm.id,
        state,
        reason,
        vm.vcpus,
        vm.memory_kib * KIB,
        cpu_time_ns,
        cpu_at_s,
        *(interfaces(stats) if vm.id != -1 else _NO_INTERFACES),
        None if process is None else process.started_at_s,
    )


def _smoothed(old_s: float, new_s: float) -> float:
    return new_s if not old_s else 0.7 * old_s + 0.3 * new_s
