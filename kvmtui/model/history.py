"""The last hours of every VM's figures: by second for ten minutes, by ten seconds for two hours.

One row of bytes holds a second of all VMs of a host, so that a tick costs one slice however many figures it has;
a series is picked out of the rows only when somebody looks at it.
"""

from array import array
from collections.abc import Iterator, Sequence
from enum import IntEnum
from math import isnan, nan
from operator import add
from struct import Struct
from threading import Lock

FINE = 600
"""How many seconds are kept one by one."""
COARSE_STEP_S = 10
COARSE = 720
"""How many steps of `COARSE_STEP_S` are kept; each is a mean."""


class Metric(IntEnum):
    """What is kept, in the units of `Vm`."""

    CPU_CORES = 0
    MEMORY_BYTES = 1
    DISK_READ = 2
    DISK_WRITE = 3
    NET_IN = 4
    NET_OUT = 5


_METRICS = len(Metric)
_CODE, _FLOAT, _BITS = Struct("<H"), Struct("<f"), Struct("<I")


class _Rows:
    """A ring of rows at one resolution; a row that is not there is a gap."""

    def __init__(self, count: int) -> None:
        self._rows: list[tuple[int, bytes] | None] = [None] * count

    def put(self, number: int, row: bytes) -> None:
        self._rows[number % len(self._rows)] = (number, row)

    def read(self, number: int, column: int) -> float | None:
        """Return the value of one column of row `number`; None: not known."""
        found = self._rows[number % len(self._rows)]
        if found is None or found[0] != number or 2 * column >= len(found[1]):
            return None
        return _unpacked(_CODE.unpack_from(found[1], 2 * column)[0])


class History:
    """Values of one host's VMs. Written by the host's poller, read by the screen."""

    def __init__(self) -> None:
        self._columns: dict[str, int] = {}
        self._born: dict[str, int] = {}
        """From which second on a VM's columns are its own."""
        self._free: list[int] = []
        self._now = array("f")
        self._sums = array("f")
        self._summed = 0
        self._last = 0
        self._fine = _Rows(FINE)
        self._coarse = _Rows(COARSE)
        self._lock = Lock()

    def hold(self, uuid: str, figures: Sequence[float]) -> None:
        """Set what holds for the seconds that `commit` writes next: a figure for each `Metric`, NaN where unknown."""
        column = self._columns.get(uuid)
        if column is None:
            if all(map(isnan, figures)):
                return
            column = self._add(uuid)
        self._now[column : column + _METRICS] = array("f", figures)

    def commit(self, since_s: float, until_s: float) -> None:
        """Keep what is held for the seconds after `since_s` up to `until_s` (monotonic); those before stay a gap."""
        first, last = max(int(since_s), int(until_s) - FINE, self._last) + 1, int(until_s)
        if last < first:
            return
        with self._lock:
            row = _packed(self._now)
            for second in range(first, last + 1):
                self._fine.put(second, row)
                if second % COARSE_STEP_S == 1:
                    self._sums, self._summed = array("f", bytes(4 * len(self._now))), 0
                # What was not known in any one of its seconds makes the whole step unknown.
                self._sums = array("f", map(add, self._sums, self._now))
                self._summed += 1
                if second % COARSE_STEP_S == 0:
                    count = self._summed
                    self._coarse.put(
                        second // COARSE_STEP_S, _packed(array("f", [each / count for each in self._sums]))
                    )
            self._last = last

    def read(self, uuid: str, metric: Metric, until_s: float, step_s: int, points: int) -> list[float | None]:
        """Return `points` means over `step_s` seconds each, oldest first; None is a gap.

        Steps begin at whole multiples of `step_s`, so that a value does not change while it moves to the left. The
        last step is the one `until_s` is in. What goes back further than `FINE` seconds is read by
        `COARSE_STEP_S`, of which `step_s` must then be a multiple. Values are kept to within half a percent.
        """
        with self._lock:
            column = self._columns.get(uuid)
            if column is None:
                return [None] * points
            column += metric
            unit, rows = (1, self._fine) if points * step_s <= FINE else (COARSE_STEP_S, self._coarse)
            born = self._born[uuid] // unit
            end = -(-int(until_s) // step_s) * step_s
            values: list[float | None] = []
            for point in range(points - 1, -1, -1):
                upto = (end - point * step_s) // unit
                numbers = range(max(born, upto - step_s // unit) + 1, upto + 1)
                values.append(_mean(rows.read(number, column) for number in numbers))
            return values

    def keep(self, uuids: set[str]) -> None:
        """Forget all VMs but these."""
        if self._columns.keys() <= uuids:
            return
        with self._lock:
            for uuid in self._columns.keys() - uuids:
                column = self._columns.pop(uuid)
                del self._born[uuid]
                self._free.append(column)
                for metric in range(_METRICS):
                    self._now[column + metric] = nan

    def _add(self, uuid: str) -> int:
        with self._lock:
            if self._free:
                column = self._free.pop()
            else:
                column = len(self._now)
                unknown = array("f", [nan] * _METRICS)
                self._now.extend(unknown)
                self._sums.extend(unknown)
            self._born[uuid] = self._last
            self._columns[uuid] = column
        return column


def _packed(values: "array[float]") -> bytes:
    """Return the upper two bytes of each float: sign, exponent and seven bits of fraction."""
    raw = values.tobytes()
    packed = bytearray(len(raw) // 2)
    packed[0::2], packed[1::2] = raw[2::4], raw[3::4]
    return bytes(packed)


def _unpacked(code: int) -> float | None:
    if code == 0:
        return 0.0
    # The middle of what was cut off, so that values are as often too great as too small.
    value: float = _FLOAT.unpack(_BITS.pack(code << 16 | 0x8000))[0]
    return None if isnan(value) else value


def _mean(values: Iterator[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
