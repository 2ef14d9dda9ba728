"""The past of one VM out of a recording, kept in a `History` as it was kept while it was recorded."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

from kvmtui.engine.recording.numbers import unpack
from kvmtui.engine.recording.rows import HOST_FIGURES, LAPSED, Piece
from kvmtui.engine.recording.tape import Session, Tape
from kvmtui.model.history import COARSE, COARSE_STEP_S, FINE, History, Metric
from kvmtui.model.host import Link

_UNKNOWN = (nan, nan, nan)
_EARLY_SHARE = 0.5
"""As the sampler has it: what comes earlier counts only with the next."""


@dataclass(slots=True)
class _Sample:
    sampled_s: float
    interval_s: float
    up: bool
    columns: tuple[float, ...]


class Past:
    """Reads the past of one VM; it is read again only where the time goes back, or further back is asked for."""

    def __init__(self, tape: Tape, session: Session, host: int, uuid: str) -> None:
        self._tape = tape
        self._session = session
        self._host = host
        self._uuid = uuid
        self._history = History()
        self._since_s = 0.0
        self._until_s = float("-inf")
        self._remembered_s = float("-inf")

    def read(self, metric: Metric, until_s: float, step_s: int, points: int, now_s: float) -> list[float | None]:
        """Return what `History.read` does; nothing is read that was recorded after `now_s`."""
        span_s = FINE if points * step_s <= FINE else COARSE * COARSE_STEP_S
        if now_s < self._until_s or until_s - span_s < self._since_s - 1 or self._until_s == float("-inf"):
            self._history, self._remembered_s = History(), float("-inf")
            self._since_s = self._until_s = until_s - span_s
        if now_s > self._until_s:
            self._take(self._until_s, now_s)
            self._until_s = now_s
        return self._history.read(self._uuid, metric, until_s, step_s, points)

    def _take(self, since_s: float, until_s: float) -> None:
        for sample in self._samples(since_s, until_s):
            if not sample.up:
                self._remembered_s = float("-inf")
                continue
            elapsed_s = sample.sampled_s - self._remembered_s
            if elapsed_s < _EARLY_SHARE * sample.interval_s:
                continue
            if elapsed_s <= 3 * sample.interval_s + 1:
                columns = [[value] for value in sample.columns]
                self._history.commit((self._uuid,), columns, self._remembered_s, sample.sampled_s)
            self._remembered_s = sample.sampled_s

    def _samples(self, since_s: float, until_s: float) -> Iterator[_Sample]:
        shift_s = self._session.shift_s
        place, count, deep = -1, 0, _UNKNOWN
        up, interval_s = True, 1.0
        for piece in self._tape.pieces(self._session, self._host, since_s, until_s):
            columns = _Columns(piece)
            looks = _looks(piece)
            for number, at_ms in enumerate(piece.at_ms):
                changes = piece.changes.get(number, {})
                if "uuids" in changes:
                    uuids = changes["uuids"]
                    place, count = uuids.index(self._uuid) if self._uuid in uuids else -1, len(uuids)
                up = Link(changes.get("link", Link.UP if up else Link.DOWN)) is Link.UP
                interval_s = float(changes.get("interval_s", interval_s))
                if place < 0 or self._uuid in changes.get("gone", ()):
                    deep = _UNKNOWN
                new = looks.get((place, number))
                if new is not None and new[0] & LAPSED:
                    deep = _UNKNOWN
                sampled_ms = piece.sampled_ms[number]
                at_s = at_ms / 1000 + shift_s
                if sampled_ms is not None and since_s < at_s <= until_s:
                    cpu, net_in, net_out = columns.of(number, place, count)
                    memory, read, write = deep
                    yield _Sample(
                        sampled_ms / 1000 + shift_s, interval_s, up, (cpu, memory, read, write, net_in, net_out)
                    )
                # A deep look comes in behind the light one of its tick.
                if new is not None and not new[0] & LAPSED:
                    memory, _, read, write, _ = unpack(new[5:])
                    deep = memory * 1024, read, write


def _looks(piece: Piece) -> dict[tuple[int, int], tuple[int, ...]]:
    """Return the deep looks by place and row."""
    return {(place, number): tuple(rest) for place, number, *rest in piece.looks()}


class _Columns:
    """The figures of one VM in the rows of a piece."""

    def __init__(self, piece: Piece) -> None:
        self._piece = piece
        self._segment, self._first = -1, 0
        self._next = 0
        self._place = -1
        self._columns: list[list[float]] = []

    def of(self, number: int, place: int, count: int) -> tuple[float, float, float]:
        """Return the figures in a row; rows are asked for one after the other."""
        while number >= self._next:
            self._segment += 1
            self._first, self._next = self._next, self._next + self._piece.heights[self._segment]
            self._place = -1
        if place < 0:
            return _UNKNOWN
        if place != self._place:
            planes, self._place = self._piece.segments[self._segment], place
            self._columns = [unpack(planes.column(HOST_FIGURES + at * count + place)) for at in range(3)]
        cpu, net_in, net_out = (column[number - self._first] for column in self._columns)
        return cpu, net_in, net_out
