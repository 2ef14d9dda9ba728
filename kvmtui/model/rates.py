"""Rates from counters: pure functions of two samples.

A counter restarts with the QEMU process (CPU, disk) or the tap device (network), so a new domain id, a negative
difference or too long a gap gives None: never 0, never a spike.
"""

from collections.abc import Mapping


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
    shared = old.keys() & new.keys()
    if not shared and (old or new):
        return None
    total = 0
    for name in shared:
        difference = new[name] - old[name]
        if difference < 0:
            return None
        total += difference
    return total / elapsed_s
