"""What `kvmtui top` prints of a host and of a VM, with the names of the model; what is not known is None."""

from datetime import datetime
from typing import Any, NamedTuple

from kvmtui.model.host import Host, Link
from kvmtui.model.uris import without_secrets
from kvmtui.model.vm import Vm, VmKey, VmState

Values = dict[str, Any]


class Moment(NamedTuple):
    """One look."""

    look: int
    """Its number, from 1."""
    at: datetime
    now_s: float
    """The same by the clock of the engine."""


def host_values(host: Host, moment: Moment) -> Values:
    """Return what a host tells; where it does not answer, its name and why."""
    stale = host.stale(moment.now_s)
    figures = None if stale else host.figures
    pressure = None if figures is None else figures.pressure
    return {
        **_head("host", host, moment),
        "link": host.link.value,
        "problem": host.problem or None,
        "round_trip_s": None if stale else host.round_trip_s,
        "interval_s": host.interval_s,
        "cpus": None if stale or host.facts is None else host.facts.cpus,
        "cpu_busy_fraction": figures and figures.cpu_busy_fraction,
        "memory_total_bytes": figures and figures.memory_total_bytes,
        "memory_used_bytes": figures and figures.memory_used_bytes,
        "pressure_cpu_fraction": pressure and pressure.cpu,
        "pressure_memory_fraction": pressure and pressure.memory,
        "pressure_io_fraction": pressure and pressure.io,
        "vms": None if stale else len(host.vms),
        "running": None if stale else host.running,
    }


def vm_values(vm: Vm, host: Host, moment: Moment) -> Values:
    """Return what is known of a VM; of one whose host does not answer, what it is and not how it fares."""
    now_s = moment.now_s
    if host.stale(now_s):
        # All that follows is of a time that has passed.
        vm = Vm(vm.key, vm.name, -1, vm.state, vcpus=vm.vcpus, memory_allocated_bytes=vm.memory_allocated_bytes)
        return _vm_values(vm, host, moment) | {"state": None}
    return _vm_values(vm, host, moment)


def _vm_values(vm: Vm, host: Host, moment: Moment) -> Values:
    now_s, memory, job = moment.now_s, vm.memory if vm.state.active else None, vm.job
    return {
        **_head("vm", host, moment),
        "name": vm.name,
        "uuid": vm.key.uuid,
        "id": None if vm.id == -1 else vm.id,
        "state": vm.state.value,
        "reason": vm.reason or None,
        "vcpus": vm.vcpus or None,
        "cpu_cores": vm.cpu_cores,
        "ready_fraction": vm.ready_fraction,
        "memory_allocated_bytes": vm.memory_allocated_bytes or None,
        "memory_used_bytes": memory and memory.used_bytes,
        "memory_source": memory and memory.source.value,
        "memory_age_s": memory and _since(memory.taken_at_s, now_s),
        "disk_read_bytes_per_s": vm.disk_read_bytes_per_s,
        "disk_write_bytes_per_s": vm.disk_write_bytes_per_s,
        "deep_age_s": _since(vm.deep_at_s, now_s),
        "net_in_bytes_per_s": vm.net_in_bytes_per_s,
        "net_out_bytes_per_s": vm.net_out_bytes_per_s,
        "up_s": _since(vm.started_at_s if vm.state.active else None, now_s),
        "monitor_silent_s": _since(vm.monitor_silent_since_s, now_s),
        "job": job and job.operation,
        "job_progress_fraction": job and job.progress,
        "persistent": vm.persistent,
        "autostart": vm.autostart,
        "saved": vm.saved,
    }


def _head(kind: str, host: Host, moment: Moment) -> Values:
    return {
        "kind": kind,
        "look": moment.look,
        "at": moment.at.isoformat(timespec="milliseconds"),
        "host": host.name,
        "host_uri": without_secrets(host.key),
        "stale": host.stale(moment.now_s),
        "age_s": _since(host.sampled_at_s, moment.now_s),
    }


def _since(at_s: float | None, now_s: float) -> float | None:
    return None if at_s is None else max(0.0, now_s - at_s)


def _fields() -> tuple[str, ...]:
    host, moment = Host("", "", Link.DOWN), Moment(1, datetime.min, 0.0)
    vm = Vm(VmKey("", ""), "", -1, VmState.SHUT_OFF)
    return tuple({**vm_values(vm, host, moment), **host_values(host, moment)})


FIELDS = _fields()
"""All names there are, of VMs and hosts."""
