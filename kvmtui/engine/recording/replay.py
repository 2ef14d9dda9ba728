"""A recording played: to the screen it is an engine like the one that watches hosts, but no host is ever asked."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

from kvmtui.engine.audit import Record
from kvmtui.engine.engine import Engine
from kvmtui.engine.health_watch import Standing, marks_of
from kvmtui.engine.recording.file import RecordingError
from kvmtui.engine.recording.moves import RecordedMoves
from kvmtui.engine.recording.past import Past
from kvmtui.engine.recording.tape import Happened, Playhead, Tape
from kvmtui.engine.recording.values import config_of, finding_of
from kvmtui.hypervisor.errors import NotSupported
from kvmtui.hypervisor.protocol import Connection
from kvmtui.model.actions import ActionRequest
from kvmtui.model.findings import Finding
from kvmtui.model.fleet import Fleet
from kvmtui.model.history import Metric
from kvmtui.model.migration import Migration
from kvmtui.model.vm import Job, VmConfig, VmKey

if TYPE_CHECKING:
    from kvmtui.engine.audit import Audit
    from kvmtui.engine.health_watch import HealthWatch

_log = logging.getLogger(__name__)
_STEP_S = 0.2
"""How often the picture moves while it plays."""
_CLOSE_S = 0.5
_END_S = 1.0
"""How often is looked whether more was recorded meanwhile."""
_GAP_S = 10.0
"""What is longer than this without anything recorded is not waited for."""
_FIRST_S = 2.0
"""The picture begins so long after the first look: rates take two."""
_SAME_S = 0.001
"""What happened within so short a time is told together."""
SPEEDS = (1, 2, 5, 10, 30, 60, 300)


class Replay(Engine):
    """Plays a recording; any thread may call, none waits but for a file that is near."""

    def __init__(self, file: Path, *, wall: Callable[[], float] = time.monotonic) -> None:
        """Raises `RecordingError`; `wall` is what the playing goes by."""
        self._tape, self._shelf = Tape(file), Tape(file)
        """One for the thread that plays, one for what the screen looks up."""
        self._wall = wall
        self._head = Playhead(self._tape)
        self._past: tuple[VmKey, int, Past] | None = None
        self._lock = threading.Lock()
        self._at_s = self._tape.sessions[0].since_s
        self._until_s = self._tape.sessions[-1].until_s
        self._anchor_s = wall()
        self.playing = False
        self.speed = 1
        self.said: Callable[[str, str, VmKey | None], None] = lambda text, tone, vm: None
        """Is told in words and tone of gaps and of what happened, with the VM that was gone to; from a foreign thread.
        """
        self._steps: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._standing: Standing | None = None
        self._moves_then = RecordedMoves(self._tape)
        self._moved: tuple[Migration, ...] = ()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
        super().__init__(_Nobody(), (), read_only=True, clock=self._now)
        self._move(min(self._at_s + _FIRST_S, self._tape.sessions[0].until_s))

    # Where it is

    def _now(self) -> float:
        with self._lock:
            return self._moved_to()

    def _moved_to(self) -> float:
        moved_s = (self._wall() - self._anchor_s) * self.speed if self.playing else 0.0
        # No further than the picture will be when it moves next.
        return min(self._at_s + min(moved_s, 2 * _STEP_S * self.speed), max(self._until_s, self._at_s))

    @property
    def time(self) -> datetime:
        """Which time of day it is in the recording, here where it is looked at."""
        at_s = self._now()
        return datetime.fromtimestamp(self._tape.session(at_s).wall_s(at_s))

    @property
    def at_end(self) -> bool:
        """Whether there is no more."""
        return self._at_s >= self._until_s

    # What the keys do

    def play(self, *, playing: bool) -> None:
        """Play, or stand still."""
        self._set(playing=playing)
        self._do(self.listeners.fleet_changed)

    def change_speed(self, steps: int) -> int:
        """Play faster (1) or slower (-1); return by how much it is faster than life."""
        with self._lock:
            self._at_s, self._anchor_s = self._moved_to(), self._wall()
            self.speed = SPEEDS[max(0, min(len(SPEEDS) - 1, SPEEDS.index(self.speed) + steps))]
        self._do(self.listeners.fleet_changed)
        return self.speed

    def skip(self, seconds: float) -> None:
        """Go on or back by so many seconds that were recorded."""
        self._do(lambda: self._skip(seconds))

    def go_to_event(self, *, later: bool) -> None:
        """Go to what happened next, or last."""
        self._do(lambda: self._go_to_event(later=later))

    def go_to_time(self, wanted: str) -> str:
        """Go to a time of day such as "03:12"; return what is wrong with it, or ""."""
        try:
            moments = self._moments(wanted)
        except ValueError:
            return 'write a time such as "03:12", "03:12:30" or "2026-03-14 03:12"'
        here_s = self.time.timestamp()
        first = self._shelf.sessions[0]
        last = self._shelf.sessions[-1]
        began_s, ended_s = first.wall_s(first.since_s), last.wall_s(last.until_s)
        inside = [moment for moment in moments if began_s <= moment <= ended_s] or moments
        wall_s = min(inside, key=lambda moment: abs(moment - here_s))
        self._do(lambda: self._go_to_wall(wall_s))
        return ""

    def _moments(self, wanted: str) -> list[float]:
        """Return all times (Unix) that may be meant; raises `ValueError`."""
        text = wanted.strip()
        for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"):
            try:
                return [datetime.strptime(text, form).timestamp()]
            except ValueError:
                continue
        colons = text.count(":")
        clock = datetime.strptime(text, "%H:%M:%S" if colons == 2 else "%H:%M").time()
        first, last = self._shelf.sessions[0], self._shelf.sessions[-1]
        day = datetime.fromtimestamp(first.wall_s(first.since_s)).date()
        until = datetime.fromtimestamp(last.wall_s(last.until_s)).date()
        return [
            datetime.combine(day + timedelta(days=number), clock).timestamp()
            for number in range(min(4000, (until - day).days + 1))
        ]

    def events(self) -> list[tuple[str, Happened]]:
        """Return what happened up to now in this run of the recording, each with its time of day."""
        at_s = self._now()
        session = self._shelf.session(at_s)
        try:
            happened = self._shelf.events(session, session.since_s - 1, at_s)
        except RecordingError as error:
            self.said(str(error), "critical", None)
            return []
        return [(f"{datetime.fromtimestamp(session.wall_s(each.at_s)):%H:%M:%S}", each) for each in happened]

    # What an engine does

    def start(self) -> None:
        """Start the thread that plays, if it has not been done."""
        if not self._started:
            self._started = True
            self._thread.start()

    def leave(self) -> None:
        """Let it end, and the file be closed; does not wait."""
        self.start()
        self._steps.put(None)

    def stop(self) -> None:
        """Let it end; waits a moment for the file to be closed, which may be on a disk that hangs."""
        self.leave()
        self._thread.join(_CLOSE_S)
        super().stop()

    def refresh(self) -> None:
        """Nothing is ever newer."""

    def show_interest(self, selected: VmKey | None, visible: Iterable[VmKey]) -> None:
        """Nothing is looked at."""

    def submit(self, request: ActionRequest) -> None:
        """Nothing can be done."""
        raise NotSupported("this is a recording")

    @property
    def standing(self) -> Standing | None:
        """How all hosts stood."""
        return self._standing

    @property
    def health(self) -> "HealthWatch":
        """What was wrong with hosts and VMs."""
        return _Health(self)  # type: ignore[return-value]

    @property
    def audit(self) -> "Audit":
        """What had been done by then, as far as it was recorded."""
        return _Audit(self)  # type: ignore[return-value]

    def audited(self) -> tuple[Record, ...]:
        """Return the records of the audit up to now."""
        return tuple(filter(None, (Record.read(line.encode()) for line in self._shelf.audit(self._now()))))

    @property
    def migrations(self) -> tuple[Migration, ...]:
        """The moves as they were listed."""
        return self._moved

    def jobs(self, migration: Migration, most: int) -> list[Job]:
        """Return a move's figures so far, oldest first and no more than so many."""
        at_s = self._at_s
        session = self._shelf.session(at_s)
        try:
            return RecordedMoves(self._shelf).jobs(session, migration, at_s, most)
        except RecordingError as error:
            _log.warning("a move in the recording: %s", error)
            return []

    def read_config(self, key: VmKey) -> "Future[VmConfig]":
        """Return what a VM's definition said."""
        answer: Future[VmConfig] = Future()
        session = self._shelf.session(at_s := self._now())
        try:
            told = self._shelf.config(session, at_s, session.hosts.index(key.host), key.uuid)
            answer.set_result(config_of(json.loads(told or "")))
        except (RecordingError, ValueError, TypeError, KeyError) as error:
            answer.set_exception(error)
        return answer

    def history(
        self, key: VmKey, metric: Metric, step_s: int, points: int, until_s: float | None = None
    ) -> list[float | None]:
        """Return a VM's past as it was kept at the time."""
        now_s = self._at_s
        session = self._shelf.session(now_s)
        if self._past is None or self._past[:2] != (key, session.id):
            if key.host not in session.hosts:
                return [None] * points
            self._past = key, session.id, Past(self._shelf, session, session.hosts.index(key.host), key.uuid)
        try:
            return self._past[2].read(metric, now_s if until_s is None else until_s, step_s, points, now_s)
        except (RecordingError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            _log.warning("the past in the recording: %s", error)
            self._past = None
            return [None] * points

    # What the thread does

    def _do(self, step: Callable[[], None]) -> None:
        self._steps.put(step)

    def _run(self) -> None:
        while True:
            wait_s = None if not self.playing else _END_S if self.at_end else _STEP_S
            try:
                step = self._steps.get(timeout=wait_s)
            except Empty:
                step = self._go_on
            if step is None:
                break
            try:
                step()
            except RecordingError as error:
                self._set(playing=False)
                self.said(str(error), "critical", None)
            except Exception:  # noqa: BLE001 - a defect must not end the playing
                _log.exception("the replay")
                self._set(playing=False)
                self.said("an internal error; run with --log FILE to see it", "critical", None)
        self._tape.close()
        self._shelf.close()

    def _set(self, at_s: float | None = None, *, playing: bool | None = None) -> None:
        """Go on from a time, or from where it is."""
        with self._lock:
            self._at_s, self._anchor_s = self._moved_to() if at_s is None else at_s, self._wall()
            self.playing = self.playing if playing is None else playing

    def _look_again(self) -> None:
        """Take note of what was recorded meanwhile, also for what the screen looks up."""
        self._tape.look_again()
        self._shelf.sessions = self._tape.sessions
        self._until_s = self._tape.sessions[-1].until_s

    def _go_on(self) -> None:
        """Play for a moment."""
        if self.at_end:
            self._look_again()
            self._set(self._at_s)
            if self.at_end:
                return
        before_s = self._head.at_s
        at_s = self._over_gap(min(self._now(), self._until_s))
        self._move(at_s)
        happened = self._tape.events(self._head.session, before_s, at_s)
        if happened:
            more = f" (+{len(happened) - 1})" if len(happened) > 1 else ""
            self._say(happened[-1], more)

    def _say(self, happened: Happened, more: str = "", vm: VmKey | None = None) -> None:
        told = datetime.fromtimestamp(self._head.session.wall_s(happened.at_s))
        self.said(f"{told:%H:%M:%S} {happened.text}{more}", happened.tone, vm)

    def _over_gap(self, at_s: float) -> float:
        """Return `at_s`, or where the recording goes on after it."""
        if self._tape.recorded(at_s, _GAP_S):
            return at_s
        next_s = self._tape.next_recorded(at_s)
        if next_s is None or next_s - at_s <= _GAP_S:
            return at_s
        ended, began = (datetime.fromtimestamp(self._tape.session(each_s).wall_s(each_s)) for each_s in (at_s, next_s))
        self.said(f"nothing was recorded from {ended:%a %H:%M:%S} to {began:%a %H:%M:%S}", "warning", None)
        return next_s

    def _skip(self, seconds: float) -> None:
        at_s = self._now() + seconds
        first_s = self._tape.sessions[0].since_s
        if seconds > 0:
            if at_s > self._until_s:
                self._look_again()
            at_s = self._over_gap(min(at_s, self._until_s))
        elif not self._tape.recorded(at_s, _GAP_S):
            at_s = self._tape.last_recorded(at_s) or first_s
        self._move(max(first_s, at_s))

    def _go_to_event(self, *, later: bool) -> None:
        found = self._tape.event(self._now() + (_SAME_S if later else -_SAME_S), later=later)
        if found is None:
            self.said(f"nothing happened {'after' if later else 'before'} this", "warning", None)
            return
        self._set(playing=False)
        self._move(found.at_s)
        same = self._tape.events(self._head.session, found.at_s - _SAME_S, found.at_s + _SAME_S)
        vm = next((each.vm for each in same if each.vm is not None), None)
        self._say(replace(found, text="; ".join(each.text for each in same)), vm=vm)

    def _go_to_wall(self, wall_s: float) -> None:
        self._look_again()
        at_s = self._tape.moment(wall_s)
        if not self._tape.recorded(at_s, _GAP_S):
            at_s = self._tape.next_recorded(at_s) or self._tape.last_recorded(at_s) or at_s
        self._move(at_s)
        here_s = self._tape.session(at_s).wall_s(at_s)
        if abs(here_s - wall_s) > _GAP_S:
            wanted, nearest = datetime.fromtimestamp(wall_s), datetime.fromtimestamp(here_s)
            self.said(
                f"nothing was recorded at {wanted:%a %H:%M:%S}; the nearest is {nearest:%a %H:%M:%S}", "warning", None
            )

    def _move(self, at_s: float) -> None:
        """Show the hosts as they were at a time."""
        self._head.go_to(at_s)
        session = self._head.session
        pending = {
            VmKey(session.hosts[host], uuid): text
            for host, uuid, text in self._tape.pending(session, at_s)
            if 0 <= host < len(session.hosts)
        }
        moved = self._moves_then.at(session, at_s)
        hosts = {host.key: host for host in self._head.hosts()}
        # All at once: the time is not said before what is shown of it.
        self._set(at_s)
        self._moved = moved
        self._store.show(Fleet(MappingProxyType(hosts), MappingProxyType(pending), self.fleet.version + 1))
        self._judge(at_s)

    def _judge(self, at_s: float) -> None:
        found: list[Finding] = []
        since_s: dict[tuple[str, ...], float] = {}
        for _, told, from_s in self._tape.findings(self._head.session, at_s):
            try:
                finding = finding_of(json.loads(told), self._head.session.shift_s)
            except (ValueError, TypeError, KeyError, RecursionError):
                continue
            found.append(finding)
            since_s[finding.key] = from_s
        found.sort(key=lambda each: (-each.severity, each.rule, each.where))
        if self._standing is None or tuple(found) != self._standing.findings:
            self._standing = Standing(
                tuple(found), MappingProxyType(since_s), frozenset(), MappingProxyType(marks_of(found))
            )
            self.listeners.health_changed()


class _Health:
    """What the screen asks of health."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def look(self) -> None:
        """Nobody is asked."""

    def silence(self, key: tuple[str, ...], seconds: float) -> None:
        """What was, was."""

    def everything(self) -> tuple[Finding, ...]:
        """Return what was found; what was fine is not recorded."""
        standing = self._replay.standing
        return () if standing is None else standing.findings


class _Audit:
    """What the screen asks of the audit."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def read(self) -> "Future[tuple[Record, ...]]":
        """Return what had been done."""
        answer: Future[tuple[Record, ...]] = Future()
        try:
            answer.set_result(self._replay.audited())
        except RecordingError as error:
            _log.warning("the audit in the recording: %s", error)
            answer.set_result(())
        return answer


class _Nobody:
    """The backend of a recording: there are no hosts."""

    def open(self, uri: str, *, read_only: bool, on_event: Callable[[], None] | None = None) -> Connection:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise NotSupported("this is a recording")
