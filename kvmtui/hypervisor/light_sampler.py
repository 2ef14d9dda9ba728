"""Light samples: state, CPU time, memory and network of all VMs without asking any QEMU."""

import time
from collections.abc import Mapping
from math import nan
from typing import Any

from kvmtui.hypervisor.errors import VmGone
from kvmtui.hypervisor.library import libvirt, translate
from kvmtui.hypervisor.local import ProcessStarts
from kvmtui.hypervisor.samples import NOT_TOLD, LightColumns, LightSample, LightVm
from kvmtui.hypervisor.sampling import KIB, counters, state_of
from kvmtui.model.clean import clean

# Where asking each VM would take more than this share of the tick, CPU times come in the bulk call.
_ROUND_TRIP_SHARE = 0.25

Run = tuple[str, int]
"""A VM's uuid and the id of its present run."""


class LightSampler:
    """Takes light samples over one connection and decides how, by the round trip it measures.

    `info()` reads what the daemon already knows but is a round trip per VM; the CPU group of the bulk call needs
    only one, but makes the daemon ask every QEMU. So the first is used near, the second far.
    """

    def __init__(self, connection: Any, starts: ProcessStarts | None) -> None:
        """`starts` tells when QEMU processes started, on this machine only."""
        self._module = libvirt()
        self._connection = connection
        self._starts = starts
        self._info: dict[Run, tuple[float, list[int]]] = {}
        self._round_trip_s = 0.0

    def sample(self, interval_s: float) -> LightSample:
        """Return a sample of all VMs; raises `libvirtError`."""
        started_s = time.monotonic()
        self._connection.getLibVersion()
        self._round_trip_s = _smoothed(self._round_trip_s, time.monotonic() - started_s)
        bulk_cpu = self._round_trip_s * len(self._info) > _ROUND_TRIP_SHARE * interval_s
        groups, flags = self._module.VIR_DOMAIN_STATS_STATE | self._module.VIR_DOMAIN_STATS_INTERFACE, 0
        if bulk_cpu:
            groups |= self._module.VIR_DOMAIN_STATS_CPU_TOTAL
            flags = self._module.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        taken_at_s = time.monotonic()
        rows = {
            (domain.UUIDString(), domain.ID()): (domain, stats)
            for domain, stats in self._connection.getAllDomainStats(groups, flags)
        }
        asked = _ROUND_TRIP_SHARE * interval_s / self._round_trip_s if bulk_cpu else len(rows)
        self._read_info({run: domain for run, (domain, _) in rows.items()}, int(asked))
        starts = self._starts.of(run for run in rows if run[1] != -1) if self._starts else {}
        vms = [
            self._light_vm(domain, run, stats, starts.get(run), taken_at_s if bulk_cpu else None)
            for run, (domain, stats) in rows.items()
            if run in self._info
        ]
        return LightSample(taken_at_s, self._round_trip_s, bulk_cpu, LightColumns.of(vms))

    def _read_info(self, domains: Mapping[Run, Any], most: int) -> None:
        """Ask all new runs, and up to `most` others in turn, for memory, vCPUs and CPU time."""
        # What was asked longest ago stands first.
        self._info = {run: info for run, info in self._info.items() if run in domains}
        new = [run for run in domains if run not in self._info]
        for run in [*new, *list(self._info)[:most]]:
            asked_at_s = time.monotonic()
            try:
                info = domains[run].info()
            except self._module.libvirtError as error:
                # A VM that vanished meanwhile is left out; the next sample does not list it.
                if isinstance(translate(error, self._connection), VmGone):
                    continue
                raise
            self._info.pop(run, None)
            self._info[run] = (asked_at_s, info)

    def _light_vm(
        self, domain: Any, run: Run, stats: Mapping[str, Any], started_at_s: float | None, bulk_at_s: float | None
    ) -> LightVm:
        state, reason = state_of(stats.get("state.state", 0), stats.get("state.reason", 0))
        asked_at_s, (_, _, memory_kib, vcpus, cpu_time_ns) = self._info[run]
        active = run[1] != -1
        told = active and "net.count" in stats
        received = counters(stats, "net", "rx.bytes") or {} if told else NOT_TOLD
        sent = counters(stats, "net", "tx.bytes") or {} if told else NOT_TOLD
        return LightVm(
            uuid=run[0],
            name=_name(domain),
            id=run[1],
            state=state,
            reason=reason,
            vcpus=vcpus,
            memory_allocated_bytes=memory_kib * KIB,
            cpu_time_ns=nan if not active else cpu_time_ns if bulk_at_s is None else stats.get("cpu.time", nan),
            cpu_at_s=asked_at_s if bulk_at_s is None else bulk_at_s,
            net_names=tuple(received),
            net_in_bytes=tuple(received.values()),
            net_out_bytes=tuple(sent.get(name, nan) for name in received),
            started_at_s=started_at_s,
        )


def _name(domain: Any) -> str:
    try:
        return clean(domain.name())
    except UnicodeDecodeError:
        return clean(domain.UUIDString())


def _smoothed(old_s: float, new_s: float) -> float:
    return new_s if not old_s else 0.7 * old_s + 0.3 * new_s
