"""Turning libvirt's statistics into samples; pure, fed with what `getAllDomainStats` returns.

Field names: the "domstats" section of virsh(1).
"""

from collections.abc import Mapping
from functools import lru_cache
from math import nan
from typing import Any

from kvmtui.hypervisor.samples import NOT_TOLD, DeepVm
from kvmtui.model.vm import VmState

Stats = Mapping[str, Any]
Interfaces = tuple[tuple[str, ...], tuple[float, ...], tuple[float, ...]]
KIB = 1024
_MOST = 2**64 - 1
"""The largest counter that libvirt can tell."""
_MOST_DEVICES = 16_384
"""Far more than a VM can have; a daemon that tells of more is not believed."""
_NOT_TOLD: Interfaces = (tuple(NOT_TOLD), tuple(NOT_TOLD.values()), tuple(NOT_TOLD.values()))

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


def whole(value: Any) -> int | None:
    """Return a counter as libvirt tells it, or None where it is anything else: daemons are not trusted."""
    return value if type(value) is int and 0 <= value <= _MOST else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_DEVICES else None


def counters(stats: Stats, group: str, field: str) -> dict[str, int] | None:
    """Return a counter of all devices of `group` ("net", "block") by device name, or None where it was not told."""
    count = _count(stats.get(f"{group}.count"))
    if count is None:
        return None
    told = (
        (stats.get(name), whole(stats.get(value)))
        for name, value in zip(_keys(group, "name", count), _keys(group, field, count), strict=True)
    )
    known = {name: value for name, value in told if isinstance(name, str) and value is not None}
    return known if known or not count else None


def interfaces(stats: Stats) -> Interfaces:
    """Return the interfaces' names and the bytes each received and sent."""
    count = _count(stats.get("net.count"))
    if count is None:
        return _NOT_TOLD
    rows = [
        (stats[name], in_bytes, nan if (out_bytes := whole(stats.get(sent))) is None else out_bytes)
        for name, received, sent in _interface_keys(count)
        if (in_bytes := whole(stats.get(received))) is not None and isinstance(stats.get(name), str)
    ]
    names, received, sent = zip(*rows, strict=True) if rows else ((), (), ())
    return names, received, sent


def left_out(stats: Stats) -> bool:
    """Whether QEMU was not asked, for another client's call has the VM: libvirt names its devices then, no figure."""
    named = bool(_count(stats.get("block.count"))) or "balloon.current" in stats
    return named and "balloon.rss" not in stats and not counters(stats, "block", "rd.bytes")


def deep_vm(uuid: str, taken_at_s: float, wall_s: float, stats: Stats, ready: tuple[int, int] | None = None) -> DeepVm:
    """Return one VM of a deep sample; `wall_s` is the host's clock (epoch) at the call, for the balloon's age.

    `ready` is how long the vCPUs have waited, in ns, and how many they are, where that was not asked of libvirt.
    """
    used_bytes, age_s = _guest_memory(stats, wall_s)
    rss = whole(stats.get("balloon.rss"))
    ready_ns, vcpus = _ready(stats) if ready is None else ready
    return DeepVm(
        uuid=uuid,
        taken_at_s=taken_at_s,
        ready_ns=ready_ns,
        vcpus=vcpus,
        memory_used_bytes=used_bytes,
        memory_age_s=age_s,
        rss_bytes=None if rss is None else rss * KIB,
        disk_read_bytes=counters(stats, "block", "rd.bytes"),
        disk_write_bytes=counters(stats, "block", "wr.bytes"),
    )


def _ready(stats: Stats) -> tuple[int | None, int]:
    # The numbers of vCPUs have gaps where some are not plugged in.
    keys = _keys("vcpu", "delay", _count(stats.get("vcpu.maximum")) or 0)
    delays = [delay for key in keys if (delay := whole(stats.get(key))) is not None]
    current = _count(stats.get("vcpu.current"))
    return (sum(delays) if delays else None), len(delays) if current is None else current


@lru_cache(maxsize=64)
def _interface_keys(count: int) -> tuple[tuple[str, str, str], ...]:
    fields = (_keys("net", field, count) for field in ("name", "rx.bytes", "tx.bytes"))
    return tuple(zip(*fields, strict=True))


@lru_cache(maxsize=256)
def _keys(group: str, field: str, count: int) -> tuple[str, ...]:
    return tuple(f"{group}.{index}.{field}" for index in range(count))


def _guest_memory(stats: Stats, wall_s: float) -> tuple[int | None, float | None]:
    """Return what the guest uses (total minus available) and how old the report is.

    `usable` is the guest's MemAvailable; older guests tell only `unused`, which counts their page cache as used.
    """
    total, updated = whole(stats.get("balloon.available")), whole(stats.get("balloon.last-update"))
    free = whole(stats.get("balloon.usable", stats.get("balloon.unused")))
    if total is None or free is None or not updated:
        return None, None
    return max(0, total - free) * KIB, max(0.0, wall_s - updated)
