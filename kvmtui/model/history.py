"""The last hours of every VM's figures, in compact arrays: by second for ten minutes, by ten seconds for two hours."""

from array import array
from collections.abc import Iterable
from enum import IntEnum
from math import exp, log
from threading import Lock

FINE = 600
"""How many seconds are kept one by one."""
COARSE_STEP_S = 10
COARSE = 720
"""How many steps of `COARSE_STEP_S` are kept; each is the mean of what is known of its seconds."""

# A value is kept as 16 bits on a logarithmic scale: four significant digits between a millionth and 10^14, which is
# more than a graph can show, in half the memory of a float. 0 is unknown, 1 is zero.
_UNKNOWN, _ZERO, _FIRST = 0, 1, 2
_LOG_LEAST, _LOG_MOST = log(1e-6), log(1e14)
_PER_LOG = (0xFFFF - _FIRST) / (_LOG_MOST - _LOG_LEAST)


class Metric(IntEnum):
    """What is kept, in the units of `Vm`."""

    CPU_CORES = 0
    MEMORY_BYTES = 1
    DISK_READ = 2
    DISK_WRITE = 3
    NET_IN = 4
    NET_OUT = 5


class _Series:
    """One figure of one VM; a ring for each resolution."""

    __slots__ = ("coarse", "fine", "last")

    def __init__(self, last: int) -> None:
        self.fine = array("H", bytes(2 * FINE))
        self.coarse = array("H", bytes(2 * COARSE))
        self.last = last
        """The last second that was written."""


class History:
    """Values of one host's VMs.

    A rate measured between two samples holds for the whole time between them, so it fills every second of it;
    a second nothing is known of is a gap. Written by the host's poller, read by the screen.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, Metric], _Series] = {}
        self._lock = Lock()

    def record(self, uuid: str, metric: Metric, since_s: float, until_s: float, value: float | None) -> None:
        """Keep `value` for the seconds after `since_s` up to `until_s` (monotonic)."""
        first, last = int(since_s) + 1, int(until_s)
        with self._lock:
            series = self._series.get((uuid, metric))
            if series is None:
                if value is None:
                    return
                series = self._series[uuid, metric] = _Series(first - 1)
            start = max(series.last + 1, last - FINE + 1)
            if last < start:
                return
            code = _encode(value)
            for second in range(start, last + 1):
                series.fine[second % FINE] = _UNKNOWN if second < first else code
                if second % COARSE_STEP_S == 0:
                    _fold(series, second)
            series.last = last

    def read(self, uuid: str, metric: Metric, until_s: float, step_s: int, points: int) -> list[float | None]:
        """Return `points` means over `step_s` seconds each, oldest first; None is a gap.

        Steps begin at whole multiples of `step_s`, so that a value does not change while it moves to the left. The
        last step is the one `until_s` is in. What goes back further than `FINE` seconds is read by
        `COARSE_STEP_S`, of which `step_s` must then be a multiple.
        """
        with self._lock:
            series = self._series.get((uuid, metric))
            if series is None:
                return [None] * points
            unit, ring = (1, series.fine) if points * step_s <= FINE else (COARSE_STEP_S, series.coarse)
            newest = series.last // unit
            oldest = newest - len(ring)
            end = -(-int(until_s) // step_s) * step_s
            values: list[float | None] = []
            for point in range(points - 1, -1, -1):
                upto = (end - point * step_s) // unit
                slots = range(max(oldest, upto - step_s // unit) + 1, min(newest, upto) + 1)
                values.append(_mean(ring[slot % len(ring)] for slot in slots))
            return values

    def forget(self, keep: set[str]) -> None:
        """Drop the series of all VMs but `keep`."""
        with self._lock:
            for key in [key for key in self._series if key[0] not in keep]:
                del self._series[key]


def _fold(series: _Series, second: int) -> None:
    """Keep the mean of the ten seconds up to `second`."""
    mean = _mean(series.fine[past % FINE] for past in range(second - COARSE_STEP_S + 1, second + 1))
    series.coarse[second // COARSE_STEP_S % COARSE] = _encode(mean)


def _mean(codes: Iterable[int]) -> float | None:
    known = [_decode(code) for code in codes if code != _UNKNOWN]
    return sum(known) / len(known) if known else None


def _encode(value: float | None) -> int:
    if value is None:
        return _UNKNOWN
    if value <= 0:
        return _ZERO
    return _FIRST + round((min(max(log(value), _LOG_LEAST), _LOG_MOST) - _LOG_LEAST) * _PER_LOG)


def _decode(code: int) -> float:
    return 0.0 if code == _ZERO else exp((code - _FIRST) / _PER_LOG + _LOG_LEAST)
