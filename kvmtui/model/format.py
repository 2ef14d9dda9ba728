"""Figures as text: pure functions; what is not known is drawn as a dash, never as 0."""

from typing import NamedTuple

UNKNOWN = "–"
_UNITS = ("B", "k", "M", "G", "T", "P", "E")


class Quantity(NamedTuple):
    """A number and its unit, apart, so that the unit can be dimmed and the numbers aligned."""

    number: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.number} {self.unit}" if self.unit else self.number


_UNKNOWN = Quantity(UNKNOWN)


def percent(fraction: float | None, decimals: int = 0) -> Quantity:
    """Return a share as percent: 1.43 is "143 %"."""
    if fraction is None:
        return _UNKNOWN
    number = f"{fraction * 100:.{decimals}f}"
    # "100.0 %" says no more than "100 %" and is wider than its column.
    return Quantity(number if fraction * 100 < 99.95 else f"{fraction * 100:.0f}", "%")


def size(amount_bytes: float | None) -> Quantity:
    """Return an amount in binary units with at most three digits: "3.1 G", "340 k", "0"."""
    if amount_bytes is None:
        return _UNKNOWN
    if amount_bytes < 0.5:
        return Quantity("0")
    value, unit = float(amount_bytes), 0
    # 999.5 and not 1024: a fourth digit would widen the column for nothing.
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return Quantity(_digits(value) if unit else f"{value:.0f}", _UNITS[unit])


def rate(bytes_per_s: float | None) -> Quantity:
    """Return a rate as `size` does, with the unit per second: "1.2 M/s"."""
    number, unit = size(bytes_per_s)
    return Quantity(number, f"{unit}/s" if unit else "")


class Part(NamedTuple):
    """A part and its whole in the unit of the whole: "3.1 of 4.0 G"."""

    part: str
    whole: str
    unit: str

    def __str__(self) -> str:
        return f"{self.part} of {self.whole} {self.unit}".rstrip()


def part(part_bytes: float | None, whole_bytes: float | None) -> Part:
    """Return an amount and what it is a part of, in one unit; an unknown whole leaves the part its own unit."""
    if whole_bytes is None:
        number, unit = size(part_bytes)
        return Part(number, UNKNOWN, unit)
    whole, unit = size(whole_bytes)
    if part_bytes is None:
        return Part(UNKNOWN, whole, unit)
    value = part_bytes / 1024 ** (_UNITS.index(unit) if unit else 0)
    # "0.0" would say there is nothing.
    return Part("<0.1" if 0 < value < 0.05 else _digits(value), whole, unit)


def duration(seconds: float | None) -> Quantity:
    """Return a time span in its largest unit, rounded down: "12 d", "3 h", "41 m", "15 s"."""
    if seconds is None:
        return _UNKNOWN
    whole = max(0, int(seconds))
    for length, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole >= length:
            return Quantity(str(whole // length), unit)
    return Quantity(str(whole), "s")


def age(seconds: float | None) -> str:
    """Return how long ago something was: "2 s ago"."""
    if seconds is None:
        return "never"
    return "now" if seconds < 1 else f"{duration(seconds)} ago"


def round_trip(seconds: float | None) -> Quantity:
    """Return a link's round trip time: "14 ms", "<1 ms", "1.3 s"."""
    if seconds is None:
        return _UNKNOWN
    if seconds < 0.0005:
        return Quantity("<1", "ms")
    return Quantity(f"{seconds * 1000:.0f}", "ms") if seconds < 0.9995 else Quantity(f"{seconds:.1f}", "s")


def _digits(value: float) -> str:
    """Return a number with two digits where it has fewer than two before the point."""
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
