"""The flight recorder: writes what was sampled to one file, in a thread of its own for which nobody waits."""

import json
import logging
import threading
import time
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any

from kvmtui import __version__
from kvmtui.config import RecordSettings
from kvmtui.engine.audit import Record
from kvmtui.engine.recording.events import Event, differences
from kvmtui.engine.recording.file import FAILURES, RecordingError, open_for_writing, reason, this_process
from kvmtui.engine.recording.moves import MoveWriter
from kvmtui.engine.recording.rounding import Rounding
from kvmtui.engine.recording.rows import Row, RowMaker, base_of, pack_rows
from kvmtui.model.actions import ActionResult, Outcome
from kvmtui.model.findings import Finding
from kvmtui.model.fleet import Fleet
from kvmtui.model.host import Host
from kvmtui.model.migration import Migration, Phase
from kvmtui.model.uris import without_secrets
from kvmtui.model.vm import VmConfig, VmKey

_log = logging.getLogger(__name__)
_EVERY_S = 0.5
"""How often what came is committed: a kill loses no more."""
_PIECE_S = 60.0
_WAITING = 600
"""How many fleets may wait for a slow disk before some are dropped."""
_CLOCK_STEP_S = 0.25
_EVIDENCE_EVERY_S = 60.0
"""How often a finding is written again of which only the figures change."""
_TIMED = {
    "clock": "",
    "pending": "",
    "event": "",
    "finding": " AND newer.key = finding.key",
    "config": " AND newer.host = config.host AND newer.uuid = config.uuid",
    "move": " AND newer.number = move.number",
    "move_figures": " AND newer.number = move_figures.number",
    "audit": "",
}
"""What has a time, and what is the same thing in each."""
_TONES = {Outcome.DONE: "fine", Outcome.FAILED: "critical"}
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(slots=True)
class _Taping:
    """What is being recorded of one host."""

    number: int
    """Of the host."""
    maker: RowMaker = field(default_factory=RowMaker)
    host: Host | None = None
    """As it was recorded last."""
    rows: list[Row] = field(default_factory=list)
    """Of the present piece."""
    written: int = 0
    """How many of them are in the file already, in small pieces."""
    small: list[int] = field(default_factory=list)
    """The ids of those."""
    base: str = ""
    base_id: int = 0


class Recorder:
    """Records until it is stopped, or the file cannot be written."""

    def __init__(
        self,
        file: Path,
        hosts: Sequence[str],
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
        bounds: RecordSettings,
        ended: "Callable[[Recorder, str], None]" = lambda recorder, why: None,
    ) -> None:
        """Raises `RecordingError`. `ended` is called with this from a foreign thread when it cannot go on."""
        self.file = file
        self.dropped = 0
        """How many looks were not recorded, because the disk was too slow."""
        self._clock = clock
        self._wall_clock = wall_clock
        self._bounds = bounds
        self._ended = ended
        self._numbers = {uri: number for number, uri in enumerate(hosts)}
        self._rounding = {uri: Rounding() for uri in hosts}
        self._taping = {uri: _Taping(number) for uri, number in self._numbers.items()}
        self._queue: Queue[Callable[[], None] | None] = Queue(_WAITING)
        self._pending: Mapping[VmKey, str] = {}
        self._offset_s: float | None = None
        self._findings: dict[tuple[str, ...], tuple[float, Finding]] = {}
        self._configs: dict[VmKey, str] = {}
        self._moves = MoveWriter(self._numbers, self._insert)
        self._over = False
        self._abandoned = False
        """The disk is so slow that what waits will not be written any more."""
        self._connection = open_for_writing(file)
        try:
            told = json.dumps([without_secrets(uri) for uri in hosts])
            self._session = self._connection.execute(
                "INSERT INTO session (boot, writer, program, hosts) VALUES (?, ?, ?, ?)",
                (_boot(), this_process(), __version__, told),
            ).lastrowid
        except FAILURES as error:
            self._connection.close()
            raise RecordingError(f"{file}: {reason(error)}") from error
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begin to write what is told; what was told before waits."""
        self._thread.start()

    # What the engine says, from any thread

    def rounded(self, host: Host) -> Host:
        """Return a host as it will be recorded; for the thread that publishes it."""
        return self._rounding[host.key].host(host)

    def take(self, fleet: Fleet) -> None:
        """Record what has changed."""
        at_s, wall_s = self._clock(), self._wall_clock()
        self._do(lambda: self._take(fleet, at_s, wall_s))

    def action(self, result: ActionResult) -> None:
        """Record what came of an action."""
        request, outcome = result.request, result.outcome
        text = f"{request.action.label} {request.vm_name}: {outcome.value}"
        self._event(
            f"{text}: {result.message}" if result.message else text, _TONES.get(outcome, "warning"), request.key
        )

    def migration(self, migration: Migration) -> None:
        """Record how a migration stands."""
        at_s = self._clock()
        self._do(lambda: self._take_migration(migration, at_s))

    def migrations(self, migrations: Sequence[Migration]) -> None:
        """Record those that there are already."""
        at_s = self._clock()
        for each in sorted(migrations, key=lambda each: each.started_at_s):
            self._do(lambda each=each: self._moves.write(each, at_s))  # type: ignore[misc]

    def audit(self, record: Record) -> None:
        """Record what the audit was told."""
        at_s = self._clock()
        self._do(lambda: self._take_audit(record, at_s))

    def findings(self, findings: Collection[Finding]) -> None:
        """Record what is wrong now."""
        at_s = self._clock()
        self._do(lambda: self._take_findings(findings, at_s))

    def config(self, key: VmKey, answer: "Future[VmConfig]") -> None:
        """Record what a VM's definition said, where it was told."""
        if answer.exception() is None:
            at_s, config = self._clock(), answer.result()
            self._do(lambda: self._take_config(key, config, at_s))

    def _event(self, text: str, tone: str, key: VmKey) -> None:
        at_s = self._clock()
        self._do(lambda: self._add_event(at_s, Event(text, tone, key.uuid), key.host))

    def stop(self, wait_s: float = 0.0) -> None:
        """Write what there is and close the file; wait for that so long at most."""
        self._over = True
        try:
            self._queue.put_nowait(None)
        except Full:
            self._abandoned = True
        self._thread.join(wait_s)

    def flush(self, wait_s: float) -> bool:
        """Wait until what was told is in the file, so long at most; return whether it is."""
        done = threading.Event()

        def write() -> None:
            self._commit()
            done.set()

        return self._do(write) and done.wait(wait_s)

    def _do(self, step: Callable[[], None]) -> bool:
        if self._over:
            return False
        try:
            self._queue.put_nowait(step)
        except Full:
            self.dropped += 1
            return False
        return True

    # What the thread does

    def _run(self) -> None:
        connection, due_s = self._connection, time.monotonic() + _EVERY_S
        why = ""
        try:
            connection.execute("BEGIN")
            while True:
                try:
                    step = self._queue.get(timeout=max(0.0, due_s - time.monotonic()))
                except Empty:
                    step = self._commit
                if step is None or self._abandoned:
                    break
                step()
                if time.monotonic() >= due_s:
                    self._commit()
                    due_s = time.monotonic() + _EVERY_S
            for taping in self._taping.values():
                self._close_piece(taping)
            connection.execute("COMMIT")
        except (*FAILURES, OSError) as error:
            why = reason(error)
        except Exception:  # noqa: BLE001 - a defect ends the recording, not the dashboard
            _log.exception("the recorder")
            why = "an internal error; run with --log FILE to see it"
        self._over = True
        try:
            connection.close()
        except FAILURES as error:
            why = why or reason(error)
        if why:
            self._ended(self, why)

    def _commit(self) -> None:
        for taping in self._taping.values():
            self._write_small(taping)
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._connection.execute("BEGIN")

    def _take(self, fleet: Fleet, at_s: float, wall_s: float) -> None:
        offset_s = wall_s - at_s
        if self._offset_s is None or abs(offset_s - self._offset_s) > _CLOCK_STEP_S:
            self._offset_s = offset_s
            self._insert("clock (at, wall)", at_s, wall_s)
        for uri, host in fleet.hosts.items():
            taping = self._taping[uri]
            if host is taping.host:
                continue
            if taping.rows and at_s >= (taping.rows[0].at_ms // 1000 // _PIECE_S + 1) * _PIECE_S:
                self._close_piece(taping)
            for event in differences(taping.host, host):
                self._add_event(at_s, event, uri)
            taping.rows.append(taping.maker.make(at_s, host))
            taping.host = host
        if fleet.pending is not self._pending and fleet.pending != self._pending:
            self._pending = fleet.pending
            told = [[self._numbers[key.host], key.uuid, text] for key, text in fleet.pending.items()]
            self._insert("pending (at, data)", at_s, json.dumps(told))

    def _write_small(self, taping: _Taping) -> None:
        """Write the rows that came since as a piece that goes on from the one before."""
        if taping.written < len(taping.rows):
            rows = taping.rows[taping.written :]
            taping.small.append(self._insert_piece(taping, rows, whole=not taping.written, small=False))
            taping.written = len(taping.rows)

    def _close_piece(self, taping: _Taping) -> None:
        """Put one piece in the place of all small ones; the next row says everything."""
        rows, small = taping.rows, taping.small
        taping.rows, taping.small, taping.written = [], [], 0
        taping.maker.say_everything()
        if rows:
            self._insert_piece(taping, rows, whole=True, small=True)
            self._connection.executemany("DELETE FROM piece WHERE id = ?", [(number,) for number in small])
            self._keep_within_bounds()

    def _insert_piece(self, taping: _Taping, rows: Sequence[Row], *, whole: bool, small: bool) -> int:
        base = base_of(rows[0]) if whole else ""
        if base and base != taping.base:
            packed = zlib.compress(base.encode(), 9)
            taping.base_id = self._connection.execute("INSERT INTO base (data) VALUES (?)", (packed,)).lastrowid or 0
            taping.base = base
        return self._insert(
            "piece (host, base, since, until, data)",
            taping.number,
            taping.base_id if whole else None,
            rows[0].at_ms / 1000,
            rows[-1].at_ms / 1000,
            pack_rows(rows, whole=whole, small=small),
        )

    def _insert(self, what: str, *values: Any) -> int:
        table, _, columns = what.partition(" (")
        marks = ", ".join("?" * (len(values) + 1))
        found = self._connection.execute(
            f"INSERT INTO {table} (session, {columns} VALUES ({marks})",  # noqa: S608 - all of it stands in this file
            (self._session, *values),
        )
        return found.lastrowid or 0

    def _add_event(self, at_s: float, event: Event, host: str) -> None:
        number = self._numbers.get(host)
        self._insert("event (at, tone, text, host, uuid)", at_s, event.tone, event.text, number, event.uuid)

    def _take_findings(self, findings: Collection[Finding], at_s: float) -> None:
        known = self._findings
        for each in findings:
            before_s, before = known.get(each.key, (0.0, None))
            new = before is None or before.severity is not each.severity
            if new and each.severity.wrong:
                event = Event(f"{each.where}: {each.evidence}", each.severity.word, each.vm.uuid if each.vm else "")
                self._add_event(at_s, event, each.host)
            if new or (before != each and at_s - before_s >= _EVIDENCE_EVERY_S):
                known[each.key] = at_s, each
                self._insert("finding (at, key, data)", at_s, json.dumps(each.key), json.dumps(_told(each)))
        for key in known.keys() - {each.key for each in findings}:
            _, before = known.pop(key)
            self._insert("finding (at, key, data)", at_s, json.dumps(key), None)
            if before.severity.wrong:
                uuid = before.vm.uuid if before.vm else ""
                self._add_event(at_s, Event(f"{before.where}: {before.title}: no longer", "fine", uuid), before.host)

    def _take_migration(self, migration: Migration, at_s: float) -> None:
        request, phase = migration.request, migration.phase
        new = not self._moves.knows(migration)
        # One that has ended when it is told of first was refused: it is in no list.
        if not (new and phase.ended):
            self._moves.write(migration, at_s)
        if new or phase.ended:
            text = f"migrate {request.vm_name}: {phase.value}"
            tone = "fine" if phase is Phase.DONE else "critical" if phase.ended else ""
            event = Event(f"{text}: {migration.message}" if migration.message else text, tone, request.key.uuid)
            self._add_event(at_s, event, request.key.host)

    def _take_audit(self, record: Record, at_s: float) -> None:
        self._insert("audit (at, data)", at_s, record.line().decode())

    def _take_config(self, key: VmKey, config: VmConfig, at_s: float) -> None:
        told = json.dumps({**asdict(config), "taken_at_s": 0.0})
        if self._configs.get(key) != told:
            self._configs[key] = told
            self._insert("config (at, host, uuid, data)", at_s, self._numbers[key.host], key.uuid, told)

    def _keep_within_bounds(self) -> None:
        """Delete the oldest where there is too much; what is deleted makes room for what comes."""
        one = self._connection
        oldest_s = self._wall_clock() - self._bounds.most_days * 86400
        offset_s = self._offset_s or 0.0
        one.execute("DELETE FROM piece WHERE session = ? AND until < ?", (self._session, oldest_s - offset_s))
        one.execute(
            "DELETE FROM piece WHERE session IN (SELECT session FROM clock GROUP BY session "
            "HAVING session <> ? AND max(wall) < ?)",
            (self._session, oldest_s),
        )
        while self._used_bytes() > self._bounds.most_bytes:
            # A minute of all hosts.
            gone = one.execute(
                "DELETE FROM piece WHERE session = (SELECT min(session) FROM piece) AND until <= ? + "
                "(SELECT min(since) FROM piece WHERE session = (SELECT min(session) FROM piece))",
                (_PIECE_S,),
            )
            if not gone.rowcount:
                break
        self._forget_what_no_piece_needs()

    def _forget_what_no_piece_needs(self) -> None:
        """Delete what was before the oldest piece, but for the last that was said of each thing."""
        one = self._connection
        (first_s,) = one.execute("SELECT min(since) FROM piece WHERE session = ?", (self._session,)).fetchone()
        one.execute(
            "DELETE FROM base WHERE id NOT IN (SELECT base FROM piece WHERE base IS NOT NULL) AND id < ?",
            (min(taping.base_id for taping in self._taping.values()),),
        )
        for table, same in _TIMED.items():
            one.execute(
                f"DELETE FROM {table} WHERE session <> ? AND session NOT IN (SELECT session FROM piece)",  # noqa: S608
                (self._session,),
            )
            one.execute(
                f"DELETE FROM {table} WHERE session = :session AND at < :first AND EXISTS (SELECT 1 FROM {table} AS "  # noqa: S608
                f"newer WHERE newer.session = :session AND newer.at <= :first AND newer.at > {table}.at{same})",
                {"session": self._session, "first": first_s},
            )

    def _used_bytes(self) -> int:
        pages, free, size = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)


def _told(finding: Finding) -> dict[str, Any]:
    told = asdict(finding)
    told["vm"] = None if finding.vm is None else list(finding.vm)
    return told


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
