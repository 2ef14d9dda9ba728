"""The last hours of every VM's figures: by second for ten minutes, by ten seconds for two hours.

A second of all VMs of a host is one row: for each metric a string of bytes with two for each VM. So a tick costs a few
operations however many VMs there are, a figure that stands still costs nothing at all, and a series is picked out of
the rows only when somebody looks at it.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from enum import IntEnum
from math import nan
from operator import add
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


Column = Sequence[float]
"""A figure of all VMs; NaN: not known."""

_UNKNOWN = b"\xc0\x7f"
"""NaN as it is kept."""
_TINY = 1e-37
"""Zero is kept as zero, and read as the middle of what would have been cut off to it."""


class _Rows:
    """A ring of rows at one resolution; a row that is not there is a gap."""

    def __init__(self, count: int) -> None:
        self._numbers = array("q", [-1]) * count
        self._columns = [[b""] * count for _ in Metric]

    def put(self, number: int, row: Sequence[bytes]) -> None:
        at = number % len(self._numbers)
        self._numbers[at] = number
        for column, packed in zip(self._columns, row, strict=True):
            column[at] = packed

    def read(self, first: int, last: int, metric: int, slot: int) -> Iterable[float]:
        """Return the values of rows `first` to `last` of one VM."""
        numbers, column, count, at = self._numbers, self._columns[metric], len(self._numbers), 2 * slot
        found: list[bytes] = []
        for number in range(first, last + 1):
            place = number % count
            code = column[place][at : at + 2] if numbers[place] == number else _UNKNOWN
            found.append(code or _UNKNOWN)
        return _unpacked(b"".join(found))

    def packed(self, number: int, metric: int) -> bytes | None:
        """Return the values of all slots of a row as they are kept, or None where there is none."""
        place = number % len(self._numbers)
        return self._columns[metric][place] if self._numbers[place] == number else None


class _Step:
    """The mean of one metric over a step: what stands still is not added up."""

    def __init__(self) -> None:
        self._column: Column = ()
        self._packed = b""
        self._times = 0
        self._total: list[float] | None = None
        self._seconds = 0

    def add(self, column: Column, packed: bytes) -> None:
        """Take one second more."""
        if self._times and column is not self._column:
            self._settle()
        self._column, self._packed = column, packed
        self._times += 1
        self._seconds += 1

    def mean(self) -> bytes:
        """Return the mean of the seconds taken, packed; what was not known in any one of them is unknown."""
        if self._total is None:
            return self._packed
        self._settle()
        return _packed([each / self._seconds for each in self._total])

    def _settle(self) -> None:
        column: Column = self._column if self._times == 1 else [self._times * each for each in self._column]
        total, self._times = self._total, 0
        if total is None:
            self._total = list(column)
            return
        # A VM that came during the step was not known in all of it.
        total += [nan] * (len(column) - len(total))
        self._total = list(map(add, total, column))


class History:
    """Values of one host's VMs. Written by the engine, read by the screen."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}
        self._born: dict[str, int] = {}
        """From which second on a VM's slot is its own."""
        self._free: list[int] = []
        self._size = 0
        self._uuids: Sequence[str] = ()
        self._order: list[int] | None = None
        """The slots of the VMs in the order of the columns; None: it is the same order."""
        self._columns: list[Column] = [()] * len(Metric)
        self._placed: list[Column] = [()] * len(Metric)
        """The same columns in the order of the slots."""
        self._row: tuple[bytes, ...] = (b"",) * len(Metric)
        self._steps: list[_Step] = []
        self._step = -1
        self._last = 0
        self._fine = _Rows(FINE)
        self._coarse = _Rows(COARSE)
        self._lock = Lock()

    def commit(self, uuids: Sequence[str], columns: Sequence[Column], since_s: float, until_s: float) -> None:
        """Keep what held for the seconds after `since_s` up to `until_s` (monotonic); those before stay a gap.

        `columns` has one for each `Metric`, with a figure for each of `uuids`. Neither is to change afterwards: what
        comes again as the same object is taken to be the same.
        """
        first, last = max(int(since_s), int(until_s) - FINE, self._last) + 1, int(until_s)
        with self._lock:
            if uuids is not self._uuids:
                self._admit(uuids)
            if last < first:
                return
            self._take(columns)
            for second in range(first, last + 1):
                self._fine.put(second, self._row)
                self._add_to_step(second)
            self._last = last

    def read(self, uuid: str, metric: Metric, until_s: float, step_s: int, points: int) -> list[float | None]:
        """Return `points` means over `step_s` seconds each, oldest first; None is a gap.

        Steps begin at whole multiples of `step_s`, so that a value does not change while it moves to the left. The
        last step is the one `until_s` is in. What goes back further than `FINE` seconds is read by
        `COARSE_STEP_S`, of which `step_s` must then be a multiple. Values are kept to within half a percent.
        """
        with self._lock:
            slot = self._slots.get(uuid)
            if slot is None:
                return [None] * points
            unit, rows = (1, self._fine) if points * step_s <= FINE else (COARSE_STEP_S, self._coarse)
            each = step_s // unit
            end = -(-int(until_s) // step_s) * each
            first = max(end - points * each, -(-self._born[uuid] // unit)) + 1
            known: list[float | None] = [
                None if value != value else value for value in rows.read(first, end, metric, slot)
            ]
        values = [*[None] * (points * each - len(known)), *known]
        return values if each == 1 else [_mean(values[at : at + each]) for at in range(0, len(values), each)]

    def means(self, metric: Metric, since_s: float, until_s: float) -> dict[str, tuple[float, int]]:
        """Return of each VM the mean over the seconds after `since_s` that are known, and how many those are.

        Over more than `FINE` seconds it is made of whole steps of `COARSE_STEP_S`, as `read` makes its own. A VM of
        which nothing is known is left out.
        """
        fine = int(until_s) - int(since_s) <= FINE
        unit, kept, rows = (1, FINE, self._fine) if fine else (COARSE_STEP_S, COARSE, self._coarse)
        last = int(until_s) // unit
        first = max(-(-int(since_s) // unit), last - kept) + 1
        with self._lock:
            packed = [(number, row) for number in range(first, last + 1) if (row := rows.packed(number, metric))]
            slots, born, size = dict(self._slots), dict(self._born), self._size
        # One long array, of which a VM's values are every `size`th: adding them up by themselves would take far longer.
        values = _floats(b"".join([row + _UNKNOWN * (size - len(row) // 2) for _, row in packed]))
        numbers = [number for number, _ in packed]
        found: dict[str, tuple[float, int]] = {}
        for uuid, slot in slots.items():
            since = bisect_right(numbers, -(-born[uuid] // unit))
            known: Sequence[float] = values[since * size + slot :: size]
            total = sum(known)
            if total != total:
                known = [value for value in known if value == value]
                total = sum(known)
            if known:
                mean = total / len(known)
                found[uuid] = (0.0 if -_TINY < mean < _TINY else mean), unit * len(known)
        return found

    def _admit(self, uuids: Sequence[str]) -> None:
        """Give new VMs a slot, and forget those that are gone."""
        self._uuids = uuids
        for uuid in self._slots.keys() - set(uuids):
            self._free.append(self._slots.pop(uuid))
            del self._born[uuid]
        for uuid in uuids:
            if uuid not in self._slots:
                if not self._free:
                    self._free.append(self._size)
                    self._size += 1
                self._slots[uuid] = self._free.pop()
                self._born[uuid] = self._last
        order = [self._slots[uuid] for uuid in uuids]
        self._order = None if order == list(range(self._size)) else order
        self._columns = [()] * len(Metric)

    def _take(self, columns: Sequence[Column]) -> None:
        """Make the row of these columns, anew only where they are others than before."""
        row = list(self._row)
        for metric, column in enumerate(columns):
            if column is not self._columns[metric]:
                self._columns[metric] = column
                placed = column
                if self._order is not None:
                    placed = [nan] * self._size
                    for slot, value in zip(self._order, column, strict=True):
                        placed[slot] = value
                self._placed[metric] = placed
                row[metric] = _packed(placed)
        self._row = tuple(row)

    def _add_to_step(self, second: int) -> None:
        # A step is named by its last second.
        step = -(-second // COARSE_STEP_S)
        if step != self._step:
            self._step, self._steps = step, [_Step() for _ in Metric]
        for metric, mean in enumerate(self._steps):
            mean.add(self._placed[metric], self._row[metric])
        if second % COARSE_STEP_S == 0:
            self._coarse.put(step, tuple([mean.mean() for mean in self._steps]))


def _packed(values: Column) -> bytes:
    """Return the upper two bytes of each as a float: sign, exponent and seven bits of fraction."""
    raw = array("f", values).tobytes()
    packed = bytearray(len(raw) // 2)
    packed[0::2], packed[1::2] = raw[2::4], raw[3::4]
    return bytes(packed)


def _unpacked(packed: bytes) -> list[float]:
    return [0.0 if -_TINY < value < _TINY else value for value in _floats(packed)]


def _floats(packed: bytes) -> "array[float]":
    """Return the middle of what was cut off, so that values are as often too great as too small."""
    raw = bytearray(2 * len(packed))
    raw[1::4] = b"\x80" * (len(packed) // 2)
    raw[2::4], raw[3::4] = packed[0::2], packed[1::2]
    return array("f", bytes(raw))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
