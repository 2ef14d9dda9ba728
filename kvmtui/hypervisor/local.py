"""Figures of the machine kvmtui runs on, from psutil and /proc."""

import time
from pathlib import Path

from kvmtui.hypervisor.samples import NodeSample
from kvmtui.model.host import Pressure


def node_sample() -> NodeSample:
    """Return CPU counters, memory and pressure of this machine."""
    import psutil  # noqa: PLC0415 - not needed where all hosts are others

    taken_at_s = time.monotonic()
    times = psutil.cpu_times()
    # guest and guest_nice are part of user and nice already (proc(5)).
    total_s = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    memory = psutil.virtual_memory()
    return NodeSample(
        taken_at_s=taken_at_s,
        cpu_total_ns=int(total_s * 1e9),
        cpu_idle_ns=int(idle_s * 1e9),
        memory_total_bytes=memory.total,
        memory_used_bytes=memory.total - memory.available,
        pressure=read_pressure(),
    )


def read_pressure(folder: Path = Path("/proc/pressure")) -> Pressure | None:
    """Return pressure stall shares, or None where the kernel does not tell."""
    try:
        shares = [parse_pressure((folder / name).read_text()) for name in ("cpu", "memory", "io")]
    except (OSError, ValueError, KeyError):
        return None
    return Pressure(*shares)


def parse_pressure(text: str, average: str = "avg10") -> float:
    """Return `some avg10` of a /proc/pressure file, or another average, as a share, 0 to 1.

    Raises ValueError or KeyError where it is not there.
    """
    for line in text.splitlines():
        kind, *fields = line.split()
        if kind == "some":
            return float(dict(field.split("=", 1) for field in fields)[average]) / 100
    raise ValueError("no line 'some'")
