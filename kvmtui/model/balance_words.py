"""Figures of plans in words."""

from collections.abc import Sequence


def amount(count_bytes: float) -> str:
    """Return an amount of memory or of data: "14 GiB", "9.0 GiB", "512 MiB"."""
    gib = max(0.0, count_bytes) / 2**30
    if gib >= 9.95:
        return f"{gib:.0f} GiB"
    return f"{gib:.1f} GiB" if gib >= 1 else f"{gib * 1024:.0f} MiB"


def span(seconds: float) -> str:
    """Return about how long something takes: "40 s", "2 min", "3.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def reach(fractions: Sequence[float]) -> str:
    """Return the least and the most of fractions: "41-48 %"."""
    least, most = f"{min(fractions) * 100:.0f}", f"{max(fractions) * 100:.0f}"
    return f"{least} %" if least == most else f"{least}-{most} %"


def count(number: int, what: str) -> str:
    """Return a number with its noun: "1 move", "3 moves"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def cores(used: float) -> str:
    """Return how many CPUs are kept busy: "1.5 CPUs", "under 0.1 CPUs"."""
    return f"{used:.1f} CPUs" if used >= 0.05 else "under 0.1 CPUs"
