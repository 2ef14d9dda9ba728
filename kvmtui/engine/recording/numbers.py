"""Figures as a recording keeps them: 16 bits each, to within a thousandth, zero and unknown as they are.

What is cut off is the end of the fraction, as the history cuts it: of a figure that was rounded here the history keeps
the same as of the figure itself.
"""

from array import array
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import accumulate
from math import nan, trunc

_CUT = 13
"""Of a float's 23 bits of fraction ten are kept."""
_BASE = (127 - 24) << 10
"""What is smaller than 2^-24 is zero; what is greater than 2^39 is told as that."""
_UNKNOWN = 0xFFFF
_NEGATIVE = 1 << 18
_INFINITE = 0xFF << 10


def pack(values: Sequence[float]) -> "array[int]":
    """Return the codes of figures that are zero or more; NaN: unknown."""
    bits = array("I", array("f", values).tobytes())
    return array("H", [code if 0 < (code := (each >> _CUT) - _BASE) < _UNKNOWN else _edge(each) for each in bits])


def _edge(bits: int) -> int:
    """Return the code of what is too small or too great, negative or unknown."""
    upper = bits >> _CUT
    if upper & ~_NEGATIVE > _INFINITE:
        return _UNKNOWN
    return _UNKNOWN - 1 if _BASE < upper < _NEGATIVE else 0


@cache
def _figures() -> "array[float]":
    """Return the figure of each code."""
    figures = array("f", array("I", [(code + _BASE) << _CUT for code in range(_UNKNOWN + 1)]).tobytes())
    figures[0], figures[_UNKNOWN] = 0.0, nan
    return figures


def unpack(codes: Iterable[int]) -> list[float]:
    """Return the figures of codes."""
    figures = _figures()
    return [figures[code] for code in codes]


def rounded(values: Sequence[float]) -> list[float]:
    """Return figures as a recording would have them; doing it twice changes nothing more."""
    # It is the one NaN, which equals itself where columns are compared.
    return [nan if value != value else value for value in unpack(pack(values))]


def rounded_one(value: float | None) -> float | None:
    """Return one figure as a recording would have it."""
    return None if value is None else unpack(pack([value]))[0]


def rounded_bytes(amount: int) -> int:
    """Return an amount of memory as a recording would have it: by the KiB."""
    return trunc(unpack(pack([amount / 1024]))[0] * 1024)


def planes(rows: Sequence["array[int]"]) -> bytes:
    """Return rows of one length as bytes that compress well: column by column, each as what it changes by."""
    width = len(rows[0]) if rows else 0
    flat = array("H", b"".join([row.tobytes() for row in rows]))
    steps = array("H", [0]) * len(flat)
    for column in range(width):
        series = flat[column::width]
        before = array("H", [0]) + series[:-1]
        at = column * len(rows)
        steps[at : at + len(rows)] = array("H", [(new - old) & 0xFFFF for new, old in zip(series, before, strict=True)])
    raw = steps.tobytes()
    return raw[0::2] + raw[1::2]


class Planes:
    """What `planes` made, read again column by column; numbers are of the byte order of this machine."""

    def __init__(self, data: bytes, height: int, width: int) -> None:
        """Raises `ValueError` where the size is another."""
        if len(data) != 2 * height * width:
            raise ValueError("a table of figures has another size than it says")
        raw = bytearray(len(data))
        raw[0::2], raw[1::2] = data[: len(data) // 2], data[len(data) // 2 :]
        self._steps = array("H", bytes(raw))
        self._height = height
        self.width = width

    def column(self, number: int) -> list[int]:
        """Return the codes of one column."""
        steps = self._steps[number * self._height : (number + 1) * self._height]
        return [code & 0xFFFF for code in accumulate(steps)]

    def rows(self) -> list[tuple[int, ...]]:
        """Return the codes of all rows."""
        return list(zip(*map(self.column, range(self.width)), strict=True)) or [()] * self._height
