"""What is done to one libvirt domain."""

from collections.abc import Callable, Mapping
from typing import Any

from kvmtui.hypervisor.library import libvirt
from kvmtui.hypervisor.samples import Identity
from kvmtui.hypervisor.sampling import state_of
from kvmtui.model.actions import Verb
from kvmtui.model.vm import Job

_CONTROL_OCCUPIED, _HANGS_MS = 2, 3000


def identity(domain: Any) -> Identity:
    """Return what the domain is at this instant; `domain` must be freshly looked up, or its id is an old one."""
    state, reason = state_of(*domain.state())
    return Identity(
        id=domain.ID(),
        state=state,
        persistent=bool(domain.isPersistent()),
        autostart=bool(domain.autostart()),
        reason=reason,
    )


def perform(domain: Any, verb: Verb) -> None:
    """Do `verb` to the domain."""
    _PERFORM[verb](domain)


def _force_off(domain: Any) -> None:
    """End QEMU by SIGTERM, which lets it flush its files, and by SIGKILL only when it does not obey."""
    module = libvirt()
    if _hangs(domain):
        # It sends SIGTERM first, too, and with a QEMU that hangs the wait for it would be in vain twice.
        domain.destroy()
        return
    try:
        domain.destroyFlags(module.VIR_DOMAIN_DESTROY_GRACEFUL)
    except module.libvirtError as error:
        if error.get_error_code() == module.VIR_ERR_OPERATION_INVALID:
            raise
        domain.destroy()


def _hangs(domain: Any) -> bool:
    """Tell whether QEMU has owed libvirt an answer for long."""
    try:
        state, _, since_ms = domain.controlInfo(0)
    except libvirt().libvirtError:
        return False
    return bool(state == _CONTROL_OCCUPIED and since_ms >= _HANGS_MS)


_PERFORM: dict[Verb, Callable[[Any], Any]] = {
    Verb.START: lambda domain: domain.create(),
    Verb.SHUTDOWN: lambda domain: domain.shutdown(),
    Verb.REBOOT: lambda domain: domain.reboot(0),
    Verb.RESET: lambda domain: domain.reset(0),
    Verb.PAUSE: lambda domain: domain.suspend(),
    Verb.RESUME: lambda domain: domain.resume(),
    Verb.WAKE: lambda domain: domain.pMWakeup(0),
    Verb.FORCE_OFF: _force_off,
    Verb.SAVE: lambda domain: domain.managedSave(0),
    Verb.AUTOSTART_ON: lambda domain: domain.setAutostart(1),
    Verb.AUTOSTART_OFF: lambda domain: domain.setAutostart(0),
    Verb.CANCEL_JOB: lambda domain: domain.abortJob(),
}

# virDomainJobOperation in libvirt-domain.h.
_OPERATIONS = {1: "start", 2: "saving", 3: "restoring", 4: "migration in", 5: "migration", 6: "snapshot", 8: "dump"}


def job(domain: Any) -> Job | None:
    """Return the domain's running job, or None."""
    return job_of(domain.jobStats())


def job_of(stats: Mapping[str, Any]) -> Job | None:
    """Return the running job that `jobStats` tells of, or None."""
    # virDomainJobType: only bounded (1) and unbounded (2) mean that something runs.
    if stats.get("type", 0) not in (1, 2):
        return None
    elapsed_ms, downtime_ms = stats.get("time_elapsed"), stats.get("downtime")
    rates = [stats[name] for name in ("memory_bps", "disk_bps") if name in stats]
    sent = [stats[name] for name in ("memory_processed", "disk_processed") if name in stats]
    throttle_percent = stats.get("auto_converge_throttle")
    return Job(
        operation=_OPERATIONS.get(stats.get("operation", 0), "job"),
        elapsed_s=None if elapsed_ms is None else elapsed_ms / 1000,
        total_bytes=stats.get("data_total"),
        remaining_bytes=stats.get("data_remaining"),
        bytes_per_s=float(sum(rates)) if rates else None,
        iteration=stats.get("memory_iteration"),
        memory_total_bytes=stats.get("memory_total"),
        memory_remaining_bytes=stats.get("memory_remaining"),
        disk_total_bytes=stats.get("disk_total"),
        disk_remaining_bytes=stats.get("disk_remaining"),
        dirty_bytes_per_s=_dirty_bytes_per_s(stats),
        expected_downtime_s=None if downtime_ms is None else downtime_ms / 1000,
        throttle_fraction=None if throttle_percent is None else throttle_percent / 100,
        post_copy_requests=stats.get("memory_postcopy_requests"),
        sent_bytes=sum(sent) if sent else None,
    )


def _dirty_bytes_per_s(stats: Mapping[str, Any]) -> float | None:
    pages, page_bytes = stats.get("memory_dirty_rate"), stats.get("memory_page_size")
    # QEMU counts what was written when a pass over the memory ends: before that its 0 means nothing.
    if pages is None or page_bytes is None or stats.get("memory_iteration", 0) < 2:
        return None
    return float(pages * page_bytes)
