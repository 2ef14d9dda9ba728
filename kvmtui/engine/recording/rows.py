"""What a recording keeps of a host at each of its looks: what is different from the look before.

A row has the figures of all VMs as codes (`numbers`); whatever else there is stands in it only where it has
changed. Rows of a minute or so are packed into one piece, whose first row says everything, so that a reader can begin
with any such piece.
"""

import json
import lzma
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import groupby, pairwise
from math import floor, nan
from typing import Any

from kvmtui.engine.recording.numbers import Planes, pack, planes
from kvmtui.model.host import Host
from kvmtui.model.host_vms import DeepFigures, HostVms
from kvmtui.model.vm import MemorySource

HOST_FIGURES = 8
"""How many codes of a row are of the host itself; three for each VM follow: CPU, network in and out."""
SOURCES = (None, MemorySource.BALLOON, MemorySource.RSS)
LAPSED = 4
"""Of the kind of a deep look: its figures are not good any more."""
_LOOK = 12
"""How many numbers a deep look is."""
_MOST_BYTES = 256 << 20
_LZMA = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 0, "pb": 0}]


class Damaged(Exception):
    """What is in the file cannot be read."""


def to_ms(at_s: float) -> int:
    """Return a time in whole milliseconds, rounded down, so that it stays in its second."""
    return floor(at_s * 1000)


_SLOW: tuple[tuple[str, Callable[[Host], Any], Callable[[Any], Any]], ...] = (
    ("name", lambda host: host.name, str),
    ("link", lambda host: host.link, str),
    ("facts", lambda host: host.facts, lambda facts: None if facts is None else asdict(facts)),
    ("memory_total_bytes", lambda host: host.figures.memory_total_bytes, lambda total: total),
    ("interval_s", lambda host: host.interval_s, float),
    ("bulk_cpu", lambda host: host.bulk_cpu, bool),
    ("problem", lambda host: host.problem, str),
    ("next_try_at_s", lambda host: host.next_try_at_s, lambda at_s: at_s),
    ("uuids", lambda host: host.vms.index, list),
    ("names", lambda host: host.vms.names, list),
    ("ids", lambda host: host.vms.ids, list),
    ("states", lambda host: host.vms.states, list),
    ("reasons", lambda host: host.vms.reasons, list),
    ("vcpus", lambda host: host.vms.vcpus, list),
    ("memory_allocated_bytes", lambda host: host.vms.memory_allocated_bytes, list),
    ("started_at_s", lambda host: host.vms.started_at_s, list),
    ("persistent", lambda host: host.vms.persistent, lambda uuids: _sorted(uuids)),
    ("autostart", lambda host: host.vms.autostart, lambda uuids: _sorted(uuids)),
    ("saved", lambda host: host.vms.saved, lambda uuids: _sorted(uuids)),
    ("silent", lambda host: host.vms.silent, dict),
    ("jobs", lambda host: host.vms.jobs, lambda jobs: {uuid: asdict(job) for uuid, job in jobs.items()}),
)
"""What changes seldom: what it is called, where it is, and how JSON says it."""


def _sorted(uuids: frozenset[str] | None) -> list[str] | None:
    return None if uuids is None else sorted(uuids)


@dataclass(slots=True)
class Row:
    """One look at a host."""

    at_ms: int
    sampled_ms: int | None
    counted: int
    """1: the VMs' CPU has a value more; 2: the host's."""
    changes: dict[str, Any]
    codes: "array[int]"
    looks: list[tuple[int, ...]] = field(default_factory=list)
    """Deep looks that are new, `_LOOK - 1` numbers each, of which the first is the VM's place."""


class RowMaker:
    """Makes rows of one host, each against the one before."""

    def __init__(self) -> None:
        self._seen: dict[str, Any] = {}
        self._vms = HostVms()
        self._deep: Mapping[str, DeepFigures] = {}
        self._lapsed: set[str] = set()
        self._host_recent: Sequence[float | None] = ()
        self._whole = True

    def say_everything(self) -> None:
        """Let the next row say everything, whatever was said before."""
        self._seen = {}
        self._whole = True

    def make(self, at_s: float, host: Host) -> Row:
        """Return the row of a look."""
        vms, seen = host.vms, self._seen
        changes: dict[str, Any] = {}
        for name, read, say in _SLOW:
            new = read(host)
            # Nearly always it is the same object.
            if name not in seen or (new is not seen[name] and new != seen[name]):
                changes[name] = say(new)
            seen[name] = new
        row = Row(
            to_ms(at_s),
            None if host.sampled_at_s is None else to_ms(host.sampled_at_s),
            self._counted(host),
            changes,
            array("H", [*_host_codes(host), *(code for column in _columns(vms) for code in column)]),
        )
        if vms.deep is not self._deep or self._whole:
            self._look(row, vms)
        self._vms, self._host_recent, self._whole = vms, host.figures.cpu_recent, False
        return row

    def _counted(self, host: Host) -> int:
        vms, old = host.vms, self._vms
        recent, before = vms.cpu_recent, old.cpu_recent
        # After VMs came or went all columns are new ones, and the last is the present one only where it was counted.
        moved = len(recent) != len(before) or any(new is not old for new, old in zip(recent, before, strict=True))
        vms_counted = moved and bool(recent) and recent[-1] is vms.cpu_cores
        return int(vms_counted) + 2 * (host.figures.cpu_recent is not self._host_recent)

    def _look(self, row: Row, vms: HostVms) -> None:
        old = self._deep
        gone = [] if self._whole else [uuid for uuid in old if uuid not in vms.deep and uuid in vms.index]
        if gone:
            row.changes["gone"] = gone
        for uuid, figures in vms.deep.items():
            before = old.get(uuid)
            if figures is not before and before is not None:
                # What was taken at the same time and says less was taken back.
                lapsed = figures.taken_at_s == before.taken_at_s
                self._lapsed = self._lapsed | {uuid} if lapsed else self._lapsed - {uuid}
            if (figures is not before or self._whole) and uuid in vms.index:
                row.looks.append(_look_numbers(vms.index[uuid], figures, row.at_ms, lapsed=uuid in self._lapsed))
        self._deep = vms.deep


def _host_codes(host: Host) -> "array[int]":
    figures, pressure = host.figures, host.figures.pressure
    values = (
        figures.cpu_busy_fraction,
        None if figures.memory_used_bytes is None else figures.memory_used_bytes / 1024,
        None if pressure is None else pressure.cpu,
        None if pressure is None else pressure.memory,
        None if pressure is None else pressure.io,
        figures.cpu_mean_fraction,
        figures.cpu_mean_s,
        host.round_trip_s,
    )
    return pack([nan if value is None else value for value in values])


def _columns(vms: HostVms) -> tuple["array[int]", ...]:
    return tuple(
        pack(column if len(column) == len(vms.index) else [nan] * len(vms.index))
        for column in (vms.cpu_cores, vms.net_in_bytes_per_s, vms.net_out_bytes_per_s)
    )


def _look_numbers(place: int, deep: DeepFigures, at_ms: int, *, lapsed: bool) -> tuple[int, ...]:
    memory = deep.memory
    values = (
        None if memory is None else memory.used_bytes / 1024,
        deep.ready_fraction,
        deep.disk_read_bytes_per_s,
        deep.disk_write_bytes_per_s,
        None if deep.rss_bytes is None else deep.rss_bytes / 1024,
    )
    taken = min(max(0, at_ms - to_ms(deep.taken_at_s)), 0xFFFFFFFF)
    told = 0 if memory is None else min(max(0, at_ms - to_ms(memory.taken_at_s)), 0xFFFFFFFF)
    return (
        place,
        SOURCES.index(memory.source if memory else None) + (LAPSED if lapsed else 0),
        *divmod(taken, 1 << 16),
        *divmod(told, 1 << 16),
        *pack([nan if value is None else value for value in values]),
    )


def base_of(row: Row) -> str:
    """Return what a row says that says everything, but for its figures: it is kept once for many pieces."""
    return _json(row.changes)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def pack_rows(rows: Sequence[Row], *, whole: bool, small: bool) -> bytes:
    """Return rows as one piece; of one that is `whole` the base is not in it, and to make it `small` takes longer."""
    segments = _segments(rows)
    looks = sorted((look[0], number, *look[1:]) for number, row in enumerate(rows) for look in row.looks)
    header = {
        "at": [rows[0].at_ms, *(new.at_ms - old.at_ms for old, new in pairwise(rows))],
        "sampled": [None if row.sampled_ms is None else row.at_ms - row.sampled_ms for row in rows],
        "counted": [row.counted for row in rows],
        "changes": {
            number: row.changes for number, row in enumerate(rows) if row.changes and not (whole and not number)
        },
        "segments": [(len(part), len(part[0].codes)) for part in segments],
        "looks": len(looks),
    }
    data = b"".join(
        (
            _json(header).encode(),
            b"\n",
            *(planes([row.codes for row in part]) for part in segments),
            planes([array("H", look) for look in looks]),
        )
    )
    if small:
        return b"x" + lzma.compress(data, lzma.FORMAT_RAW, filters=_LZMA)
    return b"z" + zlib.compress(data, 1)


def _segments(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows by the VMs they are of."""
    number = 0

    def segment(row: Row) -> int:
        nonlocal number
        number += "uuids" in row.changes
        return number

    return [list(part) for _, part in groupby(rows, segment)]


class Piece:
    """Rows that were packed, and their base where they are whole; raises `Damaged` where they cannot be read."""

    def __init__(self, data: bytes, base: str | None) -> None:
        try:
            raw = _unpacked(data)
            end = raw.index(b"\n")
            header = json.loads(raw[:end])
            at_ms = 0
            self.at_ms = [at_ms := at_ms + int(step) for step in header["at"]]
            count = len(self.at_ms)
            self.sampled_ms = [
                None if age is None else at - int(age) for at, age in zip(self.at_ms, header["sampled"], strict=True)
            ]
            self.counted = [int(bits) for bits in header["counted"]]
            self.changes = {int(number): dict(changes) for number, changes in header["changes"].items()}
            if base is not None:
                self.changes[0] = dict(json.loads(base))
            position = end + 1
            self.segments: list[Planes] = []
            self.heights: list[int] = []
            for height, width in header["segments"]:
                size = 2 * int(height) * int(width)
                self.segments.append(Planes(raw[position : position + size], int(height), int(width)))
                self.heights.append(int(height))
                position += size
            self._looks = Planes(raw[position:], int(header["looks"]), _LOOK if header["looks"] else 0)
            if len(self.counted) != count or sum(self.heights) != count or not count:
                raise ValueError("rows are missing")
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise Damaged(str(error)) from error
        except (zlib.error, lzma.LZMAError, MemoryError) as error:
            raise Damaged(str(error)) from error

    def looks(self) -> list[tuple[int, ...]]:
        """Return the deep looks: the place, the row's number, and what `_look_numbers` has of it behind the place."""
        return self._looks.rows() if self._looks.width else []

    def rows(self) -> list[Row]:
        """Return the rows; those of the piece that was asked last are kept."""
        return _rows(self)

    def make_rows(self) -> list[Row]:
        """Return the rows, made anew."""
        found = [
            Row(at_ms, sampled_ms, counted, self.changes.get(number, {}), array("H"))
            for number, (at_ms, sampled_ms, counted) in enumerate(
                zip(self.at_ms, self.sampled_ms, self.counted, strict=True)
            )
        ]
        number = 0
        for segment in self.segments:
            for codes in segment.rows():
                found[number].codes = array("H", codes)
                number += 1
        for place, row, *numbers in self.looks():
            if row >= len(found):
                raise Damaged("a look is of no row")
            found[row].looks.append((place, *numbers))
        return found


def _unpacked(data: bytes) -> bytes:
    """Return what was packed, as long as that is of a size that makes sense."""
    if data[:1] == b"x":
        raw = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_LZMA).decompress(data[1:], _MOST_BYTES)
    elif data[:1] == b"z":
        raw = zlib.decompressobj().decompress(data[1:], _MOST_BYTES)
    else:
        raise ValueError("it begins with something else")
    return raw


@lru_cache(maxsize=16)
def _rows(piece: Piece) -> list[Row]:
    return piece.make_rows()
