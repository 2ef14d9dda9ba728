"""A recording as one line of time, from which hosts can be read as they were at any moment.

Its times are those of the monotonic clock it was recorded by, so that steps of graphs lie where they lay. That clock
begins anew with every boot of the machine; what was recorded after one is moved behind what was recorded before.
"""

import json
import math
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from kvmtui.engine.recording.file import FAILURES, RecordingError, reason
from kvmtui.engine.recording.picture import Picture
from kvmtui.engine.recording.reader import Reader
from kvmtui.engine.recording.rows import Damaged, Piece
from kvmtui.model.clean import clean, clean_message
from kvmtui.model.host import Host, Link
from kvmtui.model.vm import VmKey

P = ParamSpec("P")
T = TypeVar("T")
_STEP_S = 138_600
"""Times are moved by a multiple of this: all steps of graphs divide it."""
_WARM_S = 150.0
"""How far back a piece may be from which the small graphs of the table are filled."""
_EVENTS = "SELECT at, tone, text, host, uuid FROM event WHERE session = ?"
_FINDINGS = "SELECT rowid, key, data, at FROM finding WHERE session = ? AND rowid > ? ORDER BY rowid LIMIT 100"
_MOST_BASE = 64 << 20
_MOST_S = 1e11
"""Times beyond this are none: some thousand years."""
_KEPT = 256
"""How many pieces are kept that were read last."""
_MOST_AUDITED, _MOST_EVENTS = 2000, 1000
"""As many of the newest are read of one run."""


@dataclass(frozen=True, slots=True)
class Session:
    """What one run recorded."""

    id: int
    hosts: tuple[str, ...]
    shift_s: float
    """What its times are moved by."""
    since_s: float
    until_s: float
    clock: tuple[tuple[float, float], ...]
    """Times of the recording, and which time of day (Unix) they were."""

    def moved(self, at_s: Any) -> float:
        """Return a time of the file as one of the tape; raises `ValueError` or `TypeError` where it is none."""
        if not abs(float(at_s)) < _MOST_S:
            raise ValueError(f"{at_s!r} is not a time")
        return float(at_s) + self.shift_s

    def wall_s(self, at_s: float) -> float:
        """Return the time of day of a time."""
        began_s, wall_s = self.clock[max(0, bisect_right(self.clock, (at_s, math.inf)) - 1)]
        # Whatever a damaged file makes of it has to be a date.
        return min(max(wall_s + at_s - began_s, 0.0), _MOST_S)


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that happened."""

    at_s: float
    tone: str
    text: str
    vm: VmKey | None
    """What it happened to."""


def _sane(read: "Callable[Concatenate[Tape, P], T]") -> "Callable[Concatenate[Tape, P], T]":
    """Let a method tell of values in the file that make no sense as of damage."""

    @wraps(read)
    def told(tape: "Tape", /, *given: P.args, **named: P.kwargs) -> T:
        try:
            return read(tape, *given, **named)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise tape.damaged(error) from error

    return told


class Tape:
    """Reads a recording, also while it is written; used by one thread at a time. Raises `RecordingError`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._reader = Reader(file)
        self.sessions: tuple[Session, ...] = ()
        self._known: dict[int, Piece] = {}
        self._wrong: dict[str, tuple[str, float]] = {}
        """What was wrong at `_wrong_at_s`, and since when: all findings of days are too many to be read each time."""
        self._wrong_in, self._wrong_at_s, self._wrong_row = -1, -math.inf, -1
        self.look_again()

    def close(self) -> None:
        """Close the file; nothing can be asked of it any more."""
        self._reader.close()

    @_sane
    def look_again(self) -> None:
        """Take note of what was recorded meanwhile."""
        found: list[Session] = []
        boot, shift_s = None, 0.0
        for number, this_boot, hosts, since_s, until_s in self.rows(
            "SELECT session.id, boot, hosts, min(since), max(until) FROM session JOIN piece ON session = session.id "
            "GROUP BY session.id ORDER BY session.id"
        ):
            since_s, until_s = float(since_s), float(until_s)
            if found and (this_boot != boot or since_s + shift_s < found[-1].until_s):
                shift_s = math.ceil((found[-1].until_s - since_s) / _STEP_S + 1) * _STEP_S
            boot = this_boot
            uris = [clean(str(uri)) for uri in json.loads(hosts)]
            clock = [
                (float(at_s) + shift_s, float(wall_s))
                for at_s, wall_s in self.rows("SELECT at, wall FROM clock WHERE session = ? ORDER BY at", number)
            ]
            times = (since_s, until_s, *(at_s for at_s, _ in clock))
            if (
                since_s > until_s
                or not all(abs(at_s) < _MOST_S for at_s in times)
                or not all(0 <= wall < _MOST_S for _, wall in clock)
            ):
                raise ValueError("a time is none")
            if clock:
                # Two hosts may read the same where a password made the difference.
                names = tuple(uri if uri not in uris[:at] else f"{uri} #{at}" for at, uri in enumerate(uris))
                found.append(Session(number, names, shift_s, since_s + shift_s, until_s + shift_s, tuple(clock)))
        if not found:
            raise RecordingError(f"{clean(str(self.file))}: nothing has been recorded yet")
        self.sessions = tuple(found)

    def session(self, at_s: float) -> Session:
        """Return the session of a time: the last that had begun, or the first."""
        return next((each for each in reversed(self.sessions) if each.since_s <= at_s), self.sessions[0])

    def pieces(self, session: Session, host: int, since_s: float, until_s: float) -> Iterator[Piece]:
        """Return what was recorded of a host from before `since_s` on, beginning with a piece that is whole."""
        shift_s = session.shift_s
        found = list(
            self.rows(
                "SELECT max(since) FROM piece WHERE session = ? AND host = ? AND since <= ? AND base IS NOT NULL",
                *(session.id, host, since_s - shift_s),
            )
        )
        start_s = since_s - shift_s if found[0][0] is None else found[0][0]
        whole = False
        for number, data, base_id, base in self.rows(
            "SELECT piece.id, piece.data, base, base.data FROM piece LEFT JOIN base ON base.id = base WHERE "
            "session = ? AND host = ? AND until >= ? AND since <= ? ORDER BY since, base IS NULL",
            *(session.id, host, start_s, until_s - shift_s),
        ):
            whole = whole or base_id is not None
            if not whole:
                continue
            piece = self._known.get(number)
            if piece is None:
                try:
                    said = None if base_id is None else zlib.decompressobj().decompress(base, _MOST_BASE).decode()
                    piece = self._known[number] = Piece(data, said)
                except (Damaged, zlib.error, ValueError, TypeError):
                    # What follows goes on from what is lost.
                    whole = False
                    continue
                if len(self._known) > _KEPT:
                    del self._known[next(iter(self._known))]
            yield piece

    def recorded(self, at_s: float, within_s: float) -> bool:
        """Return whether anything was recorded at a time, or so many seconds before."""
        session = self.session(at_s)
        moment_s = at_s - session.shift_s
        question = "SELECT 1 FROM piece WHERE session = ? AND since <= ? AND until >= ? LIMIT 1"
        return bool(self.rows(question, session.id, moment_s, moment_s - within_s))

    @_sane
    def next_recorded(self, at_s: float) -> float | None:
        """Return when after a time something was recorded again."""
        return self._edge("min(since)", "since >", at_s, self.sessions)

    @_sane
    def last_recorded(self, at_s: float) -> float | None:
        """Return when before a time something was last recorded."""
        return self._edge("max(until)", "until <", at_s, self.sessions[::-1])

    def _edge(self, edge: str, side: str, at_s: float, sessions: Sequence[Session]) -> float | None:
        for session in sessions:
            ((found_s,),) = self.rows(
                f"SELECT {edge} FROM piece WHERE session = ? AND {side} ?",  # noqa: S608
                *(session.id, at_s - session.shift_s),
            )
            if found_s is not None:
                return session.moved(found_s)
        return None

    @_sane
    def pending(self, session: Session, at_s: float) -> list[tuple[int, str, str]]:
        """Return what had been asked of VMs and not been answered yet: the host's number, the uuid, the words."""
        told = self._last(session, at_s, "pending")
        return [(int(host), str(uuid), clean(str(text))) for host, uuid, text in json.loads(told or "[]")]

    @_sane
    def findings(self, session: Session, at_s: float) -> list[tuple[str, str, float]]:
        """Return key and value, as JSON, of what was wrong at a time, and since when."""
        moment_s = at_s - session.shift_s
        if session.id != self._wrong_in or moment_s < self._wrong_at_s:
            self._wrong, self._wrong_in, self._wrong_row = {}, session.id, -1
        self._wrong_at_s = moment_s
        while True:
            rows = self.rows(_FINDINGS, session.id, self._wrong_row)
            for number, key, data, found_s in rows:
                if found_s > moment_s:
                    break
                self._wrong_row = number
                _, since_s = self._wrong.pop(str(key), ("", found_s))
                if data is not None:
                    self._wrong[str(key)] = str(data), since_s
            else:
                if rows:
                    continue
            return [(key, data, session.moved(since_s)) for key, (data, since_s) in self._wrong.items()]

    def config(self, session: Session, at_s: float, host: int, uuid: str) -> str | None:
        """Return as JSON what the definition of a VM said at a time."""
        return self._last(session, at_s, "config", " AND host = ? AND uuid = ?", host, uuid)

    @_sane
    def audit(self, at_s: float) -> list[str]:
        """Return the last lines of the audit up to a time, oldest first."""
        return [
            str(data)
            for session in self.sessions
            for (data,) in reversed(
                self.rows(
                    "SELECT data FROM audit WHERE session = ? AND at <= ? ORDER BY at DESC, rowid DESC LIMIT ?",
                    *(session.id, at_s - session.shift_s, _MOST_AUDITED),
                )
            )
        ]

    @_sane
    def event(self, at_s: float, *, later: bool) -> Happened | None:
        """Return what happened next after a time, or last before it."""
        best: Happened | None = None
        for session in self.sessions:
            order, sign = ("", ">") if later else ("DESC", "<")
            for row in self.rows(
                f"{_EVENTS} AND at {sign} ? ORDER BY at {order}, id LIMIT 1",
                *(session.id, at_s - session.shift_s),
            ):
                new = _happened(session, *row)
                if best is None or (new.at_s < best.at_s) is later:
                    best = new
        return best

    @_sane
    def events(self, session: Session, since_s: float, until_s: float) -> list[Happened]:
        """Return what happened last after `since_s` up to `until_s`, oldest first."""
        return [
            _happened(session, *row)
            for row in reversed(
                self.rows(
                    f"{_EVENTS} AND at > ? AND at <= ? ORDER BY at DESC, id DESC LIMIT ?",
                    *(session.id, since_s - session.shift_s, until_s - session.shift_s, _MOST_EVENTS),
                )
            )
        ]

    @_sane
    def moment(self, wall_s: float) -> float:
        """Return when a time of day (Unix) was recorded, or the nearest time that was."""
        best_s, least_s = self.sessions[0].since_s, math.inf
        for session in self.sessions:
            for at_s, began_s in session.clock:
                near_s = max(session.since_s, min(session.until_s, at_s + max(0.0, wall_s - began_s)))
                off_s = abs(session.wall_s(near_s) - wall_s)
                if off_s < least_s:
                    best_s, least_s = near_s, off_s
        return best_s

    def _last(self, session: Session, at_s: float, table: str, also: str = "", *values: Any) -> str | None:
        found = list(
            self.rows(
                f"SELECT data FROM {table} WHERE session = ? AND at <= ?{also} "  # noqa: S608
                "ORDER BY at DESC, rowid DESC LIMIT 1",
                *(session.id, at_s - session.shift_s, *values),
            )
        )
        return None if not found or found[0][0] is None else str(found[0][0])

    def rows(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what the file answers."""
        try:
            return self._reader.rows(question, values)
        except (*FAILURES, OverflowError) as error:
            raise self.damaged(error) from error

    def damaged(self, error: Exception) -> RecordingError:
        """Return that the file is damaged."""
        return RecordingError(f"{clean(str(self.file), 200)}: it is damaged: {reason(error)}")


def _happened(session: Session, at_s: float, tone: str, text: str, host: int | None, uuid: str) -> Happened:
    known = isinstance(host, int) and 0 <= host < len(session.hosts) and bool(uuid)
    vm = VmKey(session.hosts[host], str(uuid)) if known and host is not None else None
    return Happened(session.moved(at_s), str(tone), clean_message(str(text)), vm)


class Playhead:
    """The hosts of a recording at one moment, which moves."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self.session = tape.sessions[0]
        self.at_s = -math.inf
        self._pictures: list[Picture] = []
        self._taken_ms: list[int] = []

    def hosts(self) -> list[Host]:
        """Return all hosts of the session."""
        return [
            picture.host() or Host(uri, uri, Link.CONNECTING, read_only=True)
            for uri, picture in zip(self.session.hosts, self._pictures, strict=True)
        ]

    def go_to(self, at_s: float) -> None:
        """Show the hosts as they were last seen at `at_s`."""
        session = self._tape.session(at_s)
        since_s = self.at_s
        if session.id != self.session.id or at_s < self.at_s or at_s - self.at_s > _WARM_S or not self._pictures:
            self._pictures = [Picture(uri, session.shift_s) for uri in session.hosts]
            self._taken_ms = [-(1 << 62)] * len(session.hosts)
            since_s = at_s - _WARM_S
        self.session, self.at_s = session, at_s
        until_ms = math.floor((at_s - session.shift_s) * 1000)
        for host, picture in enumerate(self._pictures):
            taken_ms = self._taken_ms[host]
            for piece in self._tape.pieces(session, host, since_s, at_s):
                if piece.at_ms[-1] <= taken_ms:
                    continue
                for row in piece.rows():
                    # Several may be of the same millisecond.
                    if taken_ms < row.at_ms <= until_ms:
                        try:
                            picture.apply(row)
                        except Damaged:
                            break
                        self._taken_ms[host] = row.at_ms
