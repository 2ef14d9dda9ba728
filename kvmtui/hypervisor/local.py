"""Figures of the machine kvmtui runs on, from psutil and /proc."""

import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from kvmtui.hypervisor.samples import NodeSample
from kvmtui.model.host import Pressure


def node_sample() -> NodeSample:
    """Return CPU counters, memory and pressure of this machine."""
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


def parse_pressure(text: str) -> float:
    """Return `some avg10` of a /proc/pressure file as a share, 0 to 1; raises ValueError or KeyError otherwise."""
    for line in text.splitlines():
        kind, *fields = line.split()
        if kind == "some":
            return float(dict(field.split("=", 1) for field in fields)["avg10"]) / 100
    raise ValueError("no line 'some'")


class ProcessStarts:
    """When the QEMU processes of this machine started, found by the `-uuid` in their command lines."""

    _MIN_SCAN_GAP_S = 5.0

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], float | None] = {}
        self._scanned_at_s = float("-inf")

    def of(self, runs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], float | None]:
        """Return the monotonic start time of each run (uuid, domain id); None where it cannot be known."""
        wanted = list(runs)
        now_s = time.monotonic()
        missing = [run for run in wanted if self._known.get(run) is None]
        if missing and now_s - self._scanned_at_s >= self._MIN_SCAN_GAP_S:
            self._scanned_at_s = now_s
            starts = _qemu_starts()
            for run in missing:
                found = starts.get(run[0], [])
                # During a migration within one machine two processes carry the uuid: then nothing can be said.
                self._known[run] = found[0] if len(found) == 1 else None
        self._known = {run: self._known.get(run) for run in wanted}
        return self._known


def _qemu_starts() -> dict[str, list[float]]:
    starts: dict[str, list[float]] = {}
    # Wall clock minus monotonic now, so that a later clock change does not move a start time already taken.
    offset_s = time.time() - time.monotonic()
    for process in psutil.process_iter():
        try:
            name = process.name()
            if "qemu" not in name and "kvm" not in name:
                continue
            arguments = process.cmdline()
            uuid = arguments[arguments.index("-uuid") + 1].lower()
            starts.setdefault(uuid, []).append(process.create_time() - offset_s)
        except (psutil.Error, ValueError, IndexError):
            continue
    return starts
