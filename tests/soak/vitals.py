"""What the program holds of the machine: memory, threads and file descriptors, and whether they grow."""

import random
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import median

from kvmtui.model.history import FINE, History, Metric

_KIB = 1024
_HOUR_S = 3600
_TWO_SIDED_95 = 1.96


@dataclass(frozen=True, slots=True)
class Vitals:
    """One reading."""

    at_s: float
    memory_mb: float
    """Its unique set size: what would be free if it ended, shared libraries not counted."""
    threads: int
    files: int


def read_vitals(pid: int, at_s: float) -> Vitals:
    """Return what a process holds now."""
    folder = Path(f"/proc/{pid}")
    fields = dict(line.split(":", 1) for line in (folder / "smaps_rollup").read_text().splitlines()[1:])
    private = sum(int(fields[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))
    counts = [len(list((folder / kind).iterdir())) for kind in ("task", "fd")]
    return Vitals(at_s, private * _KIB / 1e6, *counts)


@dataclass(frozen=True, slots=True)
class Slope:
    """How fast something grows per hour, and the range that holds it with 95 % (Theil and Sen; Kendall's variance)."""

    per_h: float
    least: float
    most: float


def slope(points: Sequence[tuple[float, float]]) -> Slope | None:
    """Return the slope of (seconds, value) pairs: the median over all pairs, which single outliers do not move.

    None where there are too few to tell anything.
    """
    count = len(points)
    if count < 5:
        return None
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0]) * _HOUR_S
        for number, earlier in enumerate(points)
        for later in points[number + 1 :]
    )
    spread = _TWO_SIDED_95 * sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, int((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, int((len(slopes) + spread) / 2))
    return Slope(median(slopes), slopes[low], slopes[high])


def history_mb_per_h(vms_per_host: Sequence[int]) -> float:
    """Return how fast the figures that graphs are drawn from fill their rings, at most: measured on the real ones.

    It ends after ten minutes, when the rings by the second are full.
    """
    pick = random.Random(1)  # noqa: S311 - figures that all differ, as no real ones do
    tracemalloc.start()
    try:
        histories = [History() for _ in vms_per_host]
        uuids = [[f"{number:036}" for number in range(count)] for count in vms_per_host]
        seconds, begun = FINE // 2, 0
        for second in range(1, seconds + 10):
            if second == 10:
                begun = tracemalloc.get_traced_memory()[0]
            for history, names in zip(histories, uuids, strict=True):
                columns = [[pick.random() for _ in names] for _ in Metric]
                history.commit(names, columns, second - 1, second)
        return (tracemalloc.get_traced_memory()[0] - begun) / 1e6 / seconds * _HOUR_S
    finally:
        tracemalloc.stop()
