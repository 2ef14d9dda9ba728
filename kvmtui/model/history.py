"""The last minutes of every VM's figures, in compact arrays."""

from array import array
from enum import IntEnum
from math import isnan, nan
from threading import Lock

SECONDS = 600
"""How far back the history goes, at one value a second."""


class Metric(IntEnum):
    """What is kept, in the units of `Vm`."""

    CPU_CORES = 0
    MEMORY_BYTES = 1
    DISK_READ = 2
    DISK_WRITE = 3
    NET_IN = 4
    NET_OUT = 5


class History:
    """Values of one host's VMs and of the host itself, by second.

    A rate measured between two samples holds for the whole time between them, so it fills every second of it;
    a second nothing is known of is a gap. Written by the host's poller, read by the screen.
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, Metric], array[float]] = {}
        self._last: dict[tuple[str, Metric], int] = {}
        self._lock = Lock()

    def record(self, uuid: str, metric: Metric, since_s: float, until_s: float, value: float | None) -> None:
        """Keep `value` for the seconds after `since_s` up to `until_s` (monotonic)."""
        key = (uuid, metric)
        first, last = int(since_s) + 1, int(until_s)
        with self._lock:
            series = self._series.get(key)
            if series is None:
                if value is None:
                    return
                series = self._series[key] = array("f", [nan]) * SECONDS
                self._last[key] = last - SECONDS
            written = self._last[key]
            if last <= written:
                return
            for second in range(max(written + 1, last - SECONDS + 1), last + 1):
                series[second % SECONDS] = nan if value is None or second < first else value
            self._last[key] = last

    def read(self, uuid: str, metric: Metric, until_s: float, seconds: int) -> list[float | None]:
        """Return one value per second for the `seconds` before `until_s`, oldest first; None is a gap."""
        key = (uuid, metric)
        end = int(until_s)
        with self._lock:
            series = self._series.get(key)
            if series is None:
                return [None] * seconds
            written = self._last[key]
            values: list[float | None] = []
            for second in range(end - seconds + 1, end + 1):
                known = written - SECONDS < second <= written
                value = series[second % SECONDS] if known else nan
                values.append(None if isnan(value) else value)
            return values

    def forget(self, keep: set[str]) -> None:
        """Drop the series of all VMs but `keep`."""
        with self._lock:
            for key in [key for key in self._series if key[0] not in keep]:
                del self._series[key], self._last[key]
