"""What a figure is: one row of a table with its budget, and the function that measures it."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Measure = Callable[[int], Mapping[str, float]]
"""Takes the number of rounds and returns values by figure name; one measurement may serve several figures."""


class NotMeasured(Exception):
    """A figure cannot be had on this machine; the text says why."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table."""

    name: str
    unit: str
    budget: float | None
    """The most it may be; None: told for comparison only."""
    how: str
    measure: Measure


def median(values: Sequence[float]) -> float:
    """Return the median, or raise `NotMeasured` where there is no value."""
    if not values:
        raise NotMeasured("no sample came")
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all values do not exceed (nearest rank)."""
    if not values:
        raise NotMeasured("no sample came")
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(share * 100) // 100) - 1)]
