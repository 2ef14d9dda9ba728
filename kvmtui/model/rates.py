"""Rates from counters: pure functions of two samples.

A counter restarts with the QEMU process (CPU, disk) or the tap device (network), so a new run, a negative difference
or too long a gap gives what stands for unknown: never 0, never a spike. Of one VM that is None; in a column of many
it is NaN, as is the elapsed time over which nothing can be said.
"""

from collections.abc import Mapping, Sequence
from math import nan
from operator import sub


def rate(old: int | None, new: int | None, elapsed_s: float, max_gap_s: float) -> float | None:
    """Return the units per second by which a counter of one run grew, or None where that cannot be said."""
    if old is None or new is None or not 0 < elapsed_s <= max_gap_s or new < old:
        return None
    return (new - old) / elapsed_s


def devices_rate(
    old: Mapping[str, int] | None, new: Mapping[str, int] | None, elapsed_s: float, max_gap_s: float
) -> float | None:
    """Return the units per second over all devices both samples know, or None where that cannot be said.

    Devices are matched by name, never by position: libvirt promises no order, and hot-plug changes it.
    """
    if old is None or new is None or not 0 < elapsed_s <= max_gap_s:
        return None
    grown = _grown(old, new)
    return None if grown is None else grown / elapsed_s


def _grown(old: Mapping[str, float], new: Mapping[str, float]) -> float | None:
    shared = old.keys() & new.keys()
    if not shared and (old or new):
        return None
    total = 0.0
    for name in shared:
        difference = new[name] - old[name]
        if not difference >= 0:
            return None
        total += difference
    return total


def rates(old: Sequence[float], new: Sequence[float], elapsed_s: Sequence[float], scale: float) -> list[float]:
    """Return what `rate` says of each of many VMs, times `scale`."""
    # A comparison with NaN is false. It is always the one NaN, which equals itself where columns are compared.
    return [
        difference * scale / elapsed if difference >= 0 and elapsed > 0 else nan
        for difference, elapsed in zip(map(sub, new, old), elapsed_s, strict=True)
    ]


def devices_rates(
    old_names: Sequence[tuple[str, ...]],
    new_names: Sequence[tuple[str, ...]],
    old: Sequence[tuple[float, ...]],
    new: Sequence[tuple[float, ...]],
    elapsed_s: Sequence[float],
) -> list[float]:
    """Return what `devices_rate` says of each of many VMs, whose counters stand in the order of their names."""
    if old_names == new_names:
        # Nearly all VMs have one network card, of which no sum is to be made.
        return [
            (
                ((after[0] - before[0]) / elapsed if after[0] >= before[0] and elapsed > 0 else nan)
                if len(after) == 1
                else _sum_rate(before, after, elapsed)
            )
            for before, after, elapsed in zip(old, new, elapsed_s, strict=True)
        ]
    found: list[float] = []
    for before_names, after_names, before, after, elapsed in zip(
        old_names, new_names, old, new, elapsed_s, strict=True
    ):
        grown = _grown(dict(zip(before_names, before, strict=True)), dict(zip(after_names, after, strict=True)))
        found.append(grown / elapsed if grown is not None and elapsed > 0 else nan)
    return found


def _sum_rate(old: tuple[float, ...], new: tuple[float, ...], elapsed_s: float) -> float:
    differences = list(map(sub, new, old))
    return sum(differences) / elapsed_s if min(differences, default=0) >= 0 and elapsed_s > 0 else nan
