"""Moves of VMs as a recording keeps them: what is said of one where that changes, and its figures at every tick.

What is in the file is taken for hostile.
"""

import contextlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from kvmtui.engine.recording.tape import Session, Tape
from kvmtui.engine.recording.values import moment, number
from kvmtui.model.clean import clean, clean_message
from kvmtui.model.migration import Migration, MigrationRequest, Phase, Repair, RepairKind
from kvmtui.model.migration_options import DiskMove, MigrationOptions, PartCopy
from kvmtui.model.migration_progress import Progress, Verdict
from kvmtui.model.vm import Job, VmKey

_JOB = tuple(each.name for each in fields(Job) if each.name != "operation")
_PROGRESS = ("fraction", "fallen_to", "eta_s", "sent_per_s", "total_bytes", "remaining_bytes")
_TIMES = ("started_at_s", "ended_at_s", "paused_at_s")
_FLAGS = ("diskless", "peer_to_peer", "adopted", "astray")
_OPTION_FLAGS = ("tls", "auto_converge", "post_copy", "persist", "undefine_source", "offline", "unsafe")
_OPTION_NUMBERS = ("connections", "bandwidth_mib_per_s", "downtime_ms")
_LONGEST = 4000
"""Of a virsh line, which names disks."""
_MOST_BYTES = 1 << 16
_USUAL = (
    b'"POST_COPY","SWITCHING","STALLED","no byte has gone over for s: the link between the hosts may be cut"'
    b'"NOT_CONVERGING","dirties MiB/s, sends MiB/s""CONVERGING",[["migration",null,"EARLY",'
    b'"what the guest writes meanwhile is known when the first pass over its memory ends",'
)
"""What figures are packed by: one row alone has little that repeats itself. Another text would be another format."""
_SAID = "FROM move WHERE session = ? AND at <= ?"
_NONE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError, zlib.error)
"""What is raised where a row makes no sense."""
_MOST_ENDED = 200
"""As many as are remembered while they are watched."""


def said_of(move: Migration, hosts: Mapping[str, int]) -> str:
    """Return as JSON all but the figures; `hosts` are numbers by URI, for those may hold secrets."""
    request = move.request
    return json.dumps(
        {
            "host": hosts[request.key.host],
            "uuid": request.key.uuid,
            "name": request.vm_name,
            "run": request.vm_id,
            "to": hosts[request.destination],
            "options": {**asdict(request.options), "disks": request.options.disks.name},
            "phase": move.phase.name,
            **{name: getattr(move, name) for name in (*_TIMES, *_FLAGS, "bandwidth_mib_per_s", "message", "command")},
            "repairs": [(each.kind.name, each.consequence, each.command) for each in move.repairs],
            "left_behind": move.left_behind,
        },
        separators=(",", ":"),
    )


def figures_of(move: Migration) -> bytes:
    """Return what changes at every tick, as JSON that is packed."""
    job, progress = move.job, move.progress
    told = (
        None if job is None else [job.operation, *(getattr(job, name) for name in _JOB)],
        None
        if progress is None
        else [progress.verdict.name, progress.why, *(getattr(progress, name) for name in _PROGRESS)],
    )
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS, zdict=_USUAL)
    return packer.compress(json.dumps(told, separators=(",", ":")).encode()) + packer.flush()


def _unpacked(figures: bytes) -> Any:
    return json.loads(zlib.decompressobj(-zlib.MAX_WBITS, _USUAL).decompress(figures, _MOST_BYTES))


def move_of(said: str, hosts: Sequence[str], shift_s: float) -> Migration:
    """Return a move without its figures; raises what `_NONE` has where it is none."""
    told = json.loads(said)
    started_at_s, ended_at_s, paused_at_s = (moment(told[name], shift_s) for name in _TIMES)
    if started_at_s is None:
        raise ValueError("a move has not begun")
    return Migration(
        MigrationRequest(
            VmKey(_host(told["host"], hosts), clean(str(told["uuid"]))),
            clean(str(told["name"])),
            _whole(told["run"]) or 0,
            _host(told["to"], hosts),
            _options(told["options"]),
        ),
        Phase[told["phase"]],
        started_at_s,
        ended_at_s,
        paused_at_s=paused_at_s,
        **{name: bool(told[name]) for name in _FLAGS},  # type: ignore[arg-type]
        bandwidth_mib_per_s=_whole(told["bandwidth_mib_per_s"]),
        message=clean_message(str(told["message"])),
        command=clean(str(told["command"]), _LONGEST),
        repairs=tuple(
            Repair(RepairKind[kind], clean(str(consequence), _LONGEST), clean(str(command), _LONGEST))
            for kind, consequence, command in told["repairs"]
        ),
        left_behind=tuple(str(path) for path in told["left_behind"]),
    )


def _host(told: Any, hosts: Sequence[str]) -> str:
    if not isinstance(told, int) or not 0 <= told < len(hosts):
        raise ValueError(f"{told!r} is no host")
    return hosts[told]


def _figure(told: Any) -> float | None:
    return None if told is None else number(told)


def _whole(told: Any) -> int | None:
    return None if told is None else int(number(told))


def _options(told: Any) -> MigrationOptions:
    partly, peer_to_peer = told["partly"], told["peer_to_peer"]
    sides = None if partly is None else [tuple(clean(str(each)) for each in partly[name]) for name in _SIDES]
    return MigrationOptions(
        disks=DiskMove[told["disks"]],
        partly=None if sides is None else PartCopy(*sides),
        peer_to_peer=None if peer_to_peer is None else bool(peer_to_peer),
        **{name: bool(told[name]) for name in _OPTION_FLAGS},
        **{name: _whole(told[name]) for name in _OPTION_NUMBERS},  # type: ignore[arg-type]
    )


_SIDES = ("copied", "shared")


def _job(told: Any) -> Job | None:
    if told is None:
        return None
    operation, *values = told
    return Job(
        clean(str(operation)),
        **{name: _figure(value) for name, value in zip(_JOB, values, strict=True)},  # type: ignore[arg-type]
    )


def _progress(told: Any) -> Progress | None:
    if told is None:
        return None
    verdict, why, *values = told
    known = {name: _figure(value) for name, value in zip(_PROGRESS, values, strict=True)}
    return Progress(Verdict[verdict], why=clean_message(str(why)), **known)  # type: ignore[arg-type]


class MoveWriter:
    """Writes of each move what has changed; used by the recorder's thread only."""

    def __init__(self, hosts: Mapping[str, int], insert: Callable[..., int]) -> None:
        """`insert` takes a table with its columns, and their values."""
        self._hosts = hosts
        self._insert = insert
        self._known: dict[tuple[VmKey, float], tuple[int, str, bytes]] = {}
        """Of each move its number, and what was written of it last."""

    def knows(self, move: Migration) -> bool:
        """Return whether anything was written of it."""
        return (move.request.key, move.started_at_s) in self._known

    def write(self, move: Migration, at_s: float) -> None:
        """Write how it stands."""
        key = move.request.key, move.started_at_s
        number, said_before, figures_before = self._known.get(key, (len(self._known), "", b""))
        said, figures = said_of(move, self._hosts), figures_of(move)
        if said != said_before:
            self._insert("move (at, number, data)", at_s, number, said)
        if figures != figures_before:
            self._insert("move_figures (at, number, data)", at_s, number, figures)
        self._known[key] = number, said, figures


class RecordedMoves:
    """The moves that a recording tells of; used by one thread. Raises `RecordingError`."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._said: list[tuple[int, str]] = []
        """What was said last of each move, and up to which row: it is read again only where there is more, or less."""
        self._up_to: tuple[int, list[tuple[Any, ...]]] = -1, []

    def at(self, session: Session, at_s: float) -> tuple[Migration, ...]:
        """Return the moves there were at a time, as they were listed."""
        return in_order([self._now(session, which, move, at_s) for which, move in self._all(session, at_s)])

    def jobs(self, session: Session, wanted: Migration, at_s: float, most: int) -> list[Job]:
        """Return the figures of a move's job up to a time, oldest first and the last `most`."""
        key = wanted.request.key, wanted.started_at_s
        jobs: list[Job] = []
        for which, move in self._all(session, at_s):
            if (move.request.key, move.started_at_s) == key:
                for told in reversed(self._figures(session, which, at_s, most)):
                    with contextlib.suppress(*_NONE):
                        jobs += filter(None, [_job(_unpacked(told)[0])])
        return jobs

    def _all(self, session: Session, at_s: float) -> list[tuple[int, Migration]]:
        moment_s = at_s - session.shift_s
        last = self._tape.rows(f"SELECT rowid {_SAID} ORDER BY at DESC, rowid DESC LIMIT 1", session.id, moment_s)
        if (session.id, last) != self._up_to:
            newest = f"rowid IN (SELECT max(rowid) {_SAID} GROUP BY number)"
            told = self._tape.rows(
                f"SELECT number, data FROM move WHERE {newest} ORDER BY number",  # noqa: S608
                *(session.id, moment_s),
            )
            self._up_to, self._said = (session.id, last), [(which, str(said)) for which, said in told]
        found = []
        for which, said in self._said:
            with contextlib.suppress(*_NONE):
                found.append((which, move_of(said, session.hosts, session.shift_s)))
        return found

    def _now(self, session: Session, which: int, move: Migration, at_s: float) -> Migration:
        """Return a move with its figures, which one that has ended has not any more."""
        told = [] if move.phase.ended else self._figures(session, which, at_s, 1)
        with contextlib.suppress(*_NONE):
            job, progress = _unpacked(told[0])
            return replace(move, job=_job(job), progress=_progress(progress))
        return move

    def _figures(self, session: Session, which: int, at_s: float, most: int) -> list[bytes]:
        """Return what was told of a move at its last ticks, newest first."""
        question = (
            "SELECT data FROM move_figures WHERE session = ? AND number = ? AND at <= ? "
            "ORDER BY at DESC, rowid DESC LIMIT ?"
        )
        return [data for (data,) in self._tape.rows(question, session.id, which, at_s - session.shift_s, most)]


def in_order(moves: Sequence[Migration]) -> tuple[Migration, ...]:
    """Return them as they are listed while they are watched: under way, waiting, then ended with the newest first.

    `moves` are in the order in which they began.
    """
    going = sorted((each for each in moves if not each.phase.ended), key=lambda each: each.phase is Phase.QUEUED)
    ended = [each for each in reversed(moves) if each.phase.ended]
    ended.sort(key=lambda each: -(each.ended_at_s or each.started_at_s))
    return (*going, *ended[:_MOST_ENDED])
