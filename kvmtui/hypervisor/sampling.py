"""Turning libvirt's statistics into samples; pure, fed with what `getAllDomainStats` returns.

Field names: the "domstats" section of virsh(1).
"""

from collections.abc import Mapping
from typing import Any

from kvmtui.hypervisor.samples import DeepVm
from kvmtui.model.vm import VmState

Stats = Mapping[str, Any]
KIB = 1024

_STATES = {
    0: VmState.NO_STATE,
    1: VmState.RUNNING,
    2: VmState.BLOCKED,
    3: VmState.PAUSED,
    4: VmState.SHUTTING_DOWN,
    5: VmState.SHUT_OFF,
    6: VmState.CRASHED,
    7: VmState.SUSPENDED,
}
# virDomain*Reason in libvirt-domain.h. Only the reasons an administrator acts on.
_REASONS = {
    (VmState.PAUSED, 2): "migrating",
    (VmState.PAUSED, 3): "saving",
    (VmState.PAUSED, 4): "dumping",
    (VmState.PAUSED, 5): "I/O error",
    (VmState.PAUSED, 6): "watchdog",
    (VmState.PAUSED, 8): "shutting down",
    (VmState.PAUSED, 9): "snapshot",
    (VmState.PAUSED, 10): "guest crashed",
    (VmState.PAUSED, 11): "starting up",
    (VmState.PAUSED, 12): "post-copy",
    (VmState.PAUSED, 13): "post-copy failed",
    (VmState.PAUSED, 14): "API error",
    (VmState.RUNNING, 9): "post-copy failed",
    (VmState.SHUT_OFF, 2): "forced off",
    (VmState.SHUT_OFF, 3): "crashed",
    (VmState.SHUT_OFF, 4): "migrated",
    (VmState.SHUT_OFF, 5): "saved",
    (VmState.SHUT_OFF, 6): "failed to start",
    (VmState.SHUT_OFF, 8): "daemon decided",
    (VmState.CRASHED, 1): "panicked",
}


def state_of(state: int, reason: int) -> tuple[VmState, str]:
    """Return state and the reason's text ("" where there is nothing to say) of libvirt's two numbers."""
    known = _STATES.get(state, VmState.NO_STATE)
    return known, _REASONS.get((known, reason), "")


def counters(stats: Stats, group: str, field: str) -> dict[str, int] | None:
    """Return a counter of all devices of `group` ("net", "block") by device name, or None where it was not told."""
    count = stats.get(f"{group}.count")
    if count is None:
        return None
    found: dict[str, int] = {}
    for index in range(count):
        name, value = stats.get(f"{group}.{index}.name"), stats.get(f"{group}.{index}.{field}")
        if name is not None and value is not None:
            found[name] = value
    return found


def deep_vm(uuid: str, taken_at_s: float, wall_s: float, stats: Stats) -> DeepVm:
    """Return one VM of a deep sample; `wall_s` is the host's clock (epoch) at the call, for the balloon's age."""
    used_bytes, age_s = _guest_memory(stats, wall_s)
    rss = stats.get("balloon.rss")
    delays = [value for name, value in stats.items() if name.startswith("vcpu.") and name.endswith(".delay")]
    return DeepVm(
        uuid=uuid,
        taken_at_s=taken_at_s,
        ready_ns=sum(delays) if delays else None,
        vcpus=stats.get("vcpu.current", len(delays)),
        memory_used_bytes=used_bytes,
        memory_age_s=age_s,
        rss_bytes=None if rss is None else rss * KIB,
        disk_read_bytes=counters(stats, "block", "rd.bytes"),
        disk_write_bytes=counters(stats, "block", "wr.bytes"),
    )


def _guest_memory(stats: Stats, wall_s: float) -> tuple[int | None, float | None]:
    """Return what the guest uses (total minus available) and how old the report is.

    `usable` is the guest's MemAvailable; older guests tell only `unused`, which counts their page cache as used.
    """
    total, updated = stats.get("balloon.available"), stats.get("balloon.last-update")
    free = stats.get("balloon.usable", stats.get("balloon.unused"))
    if total is None or free is None or not updated:
        return None, None
    return max(0, total - free) * KIB, max(0.0, wall_s - updated)
