"""The poller of one host: the thread that decides when to look, and publishes what was seen.

It never calls a hypervisor itself: it puts calls on the host's lanes and waits for them no longer than it can bear.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from kvmtui.engine.deep_schedule import DeepSchedule
from kvmtui.engine.sampler import HostSampler
from kvmtui.hypervisor.errors import CallTimedOut, ConnectFailed, HypervisorError, LinkLost
from kvmtui.hypervisor.lanes import Call, HostLanes, settle
from kvmtui.hypervisor.protocol import Connection
from kvmtui.hypervisor.samples import DeepVm, Flags, LightSample, NodeSample
from kvmtui.model.clean import clean
from kvmtui.model.host import Host, HostFacts, Link

_log = logging.getLogger(__name__)
_CALL_DEADLINE_S = 10.0
_FLAGS_EVERY_S = 10.0
_DEEP_SUSPECT_S = 3.0
_DEEP_GIVE_UP_S = 20.0
_BACKOFF_MAX_S = 60.0
_EARLIEST_S = 0.1
# A light look that takes more of the tick than this makes the tick longer.
_BUSY_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class _Look:
    """What one call on the watch lane brought."""

    light: LightSample
    node: NodeSample
    flags: Flags | None
    silent: frozenset[str]


@dataclass(slots=True)
class Interest:
    """What the screen shows of a host; set by the screen, read by the poller."""

    selected: str | None = None
    visible: Sequence[str] = field(default_factory=tuple)


class HostPoller:
    """Watches one host in a daemon thread."""

    def __init__(
        self,
        uri: str,
        lanes: HostLanes,
        sampler: HostSampler,
        publish: Callable[[Host], None],
        *,
        interval_s: float,
        read_only: bool,
        after_tick: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`after_tick` is called in the poller's thread after every tick, connected or not."""
        self.uri = uri
        self.lanes = lanes
        self.sampler = sampler
        self.interest = Interest()
        self.interval_s = interval_s
        self._publish = publish
        self._after_tick = after_tick
        self._clock = clock
        self._read_only = read_only
        self._wake = threading.Event()
        self._stopping = False
        self._link = Link.CONNECTING
        self._facts: HostFacts | None = None
        self._problem = ""
        self._deep_problem = ""
        self._failures = 0
        self._next_try_at_s: float | None = None
        self._light: LightSample | None = None
        self._stretched_s = interval_s
        self._flags_at_s = float("-inf")
        self._flags_due = True
        self._retry = False
        self._schedule = DeepSchedule()
        self._deep: Call | None = None
        self._deep_uuids: list[str] = []
        self._random = random.Random()  # noqa: S311 - spreads reconnects, guards nothing

    def start(self) -> None:
        """Start watching."""
        threading.Thread(target=self._run, name=f"poller {self.uri}", daemon=True).start()

    def announce(self) -> None:
        """Publish the host before anything is known of it."""
        self._publish(self._host())

    def stop(self) -> None:
        """End the thread after its present wait, and the lanes; does not wait."""
        self._stopping = True
        self._wake.set()
        self.lanes.close()

    def wake(self) -> None:
        """Look again soon, also at what changes seldom: something happened. Any thread may say so."""
        self._flags_due = True
        self._wake.set()

    def retry(self) -> None:
        """Look again now, also at a host that is down."""
        self._retry = True
        self.wake()

    def _run(self) -> None:
        while not self._stopping:
            started_s = time.monotonic()
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - a defect must not end the watching of a host
                _log.exception("tick of %s", self.uri)
                self._problem = "an internal error; run with --log FILE to see it"
                self._publish(self._host())
            self._wait(started_s)

    def _wait(self, started_s: float) -> None:
        period_s = self._stretched_s if self._link is Link.UP else min(1.0, self.interval_s)
        # Not busier than this, however many events come.
        time.sleep(_EARLIEST_S)
        # At whole multiples of the period, so that all hosts tell at once and the screen is drawn once.
        next_s = (started_s // period_s + 1) * period_s
        self._wake.wait(max(0.0, next_s - time.monotonic()))
        self._wake.clear()

    def tick(self) -> None:
        """Look once and publish what was seen; returns within the calls' deadlines."""
        retry, self._retry = self._retry, False
        if self._link is not Link.UP:
            waited = self._next_try_at_s is None or self._clock() >= self._next_try_at_s
            if waited or retry:
                self._connect()
        if self._link is Link.UP:
            try:
                self._watch()
                self._look_deeper()
            except (LinkLost, ConnectFailed, CallTimedOut) as error:
                self._lost(error)
            except HypervisorError as error:
                self._problem = clean(str(error))
        self._after_tick()
        self._publish(self._host())

    def _connect(self) -> None:
        self._next_try_at_s = None
        self._publish(self._host())
        try:
            self._facts = self.lanes.run("watch", lambda connection: connection.facts(), _CALL_DEADLINE_S)
        except HypervisorError as error:
            self._lost(error)
            return
        self._link, self._problem, self._failures = Link.UP, "", 0
        self._flags_due = True

    def _lost(self, error: HypervisorError) -> None:
        """Take the link for dead; figures stay as they were, and the next attempt is set."""
        self._link = Link.DOWN
        self._problem = clean(str(error))
        wait_s = min(_BACKOFF_MAX_S, 2.0**self._failures) * self._random.uniform(0.8, 1.2)
        self._failures += 1
        self._next_try_at_s = self._clock() + wait_s
        self._deep = None
        self.sampler.gap()
        # A deep call that hangs is given up with its lane, so that nobody waits behind it.
        self.lanes.drop("watch", "deep")
        _log.info("%s: %s; next try in %.0f s", self.uri, self._problem, wait_s)

    def _watch(self) -> None:
        interval_s, silent = self._stretched_s, list(self.sampler.silent)
        flags_due = self._flags_due or self._clock() - self._flags_at_s >= _FLAGS_EVERY_S
        self._flags_due = False

        def look(connection: Connection) -> _Look:
            return _Look(
                light=connection.light(interval_s),
                node=connection.node(),
                flags=connection.flags() if flags_due else None,
                silent=frozenset(connection.silent(silent)) if silent else frozenset(),
            )

        started_s = time.monotonic()
        seen = self.lanes.run("watch", look, _CALL_DEADLINE_S)
        self._stretched_s = max(self.interval_s, (time.monotonic() - started_s) / _BUSY_SHARE)
        self._light = seen.light
        self._problem = self._deep_problem
        self.sampler.light(seen.light, self._stretched_s)
        self.sampler.node(seen.node, self._stretched_s)
        if seen.flags is not None:
            self.sampler.flags(seen.flags)
            self._flags_at_s = self._clock()
        self.sampler.silent = {uuid: since for uuid, since in self.sampler.silent.items() if uuid in seen.silent}

    def _look_deeper(self) -> None:
        if self._deep is not None:
            if self._deep.done:
                self._take_deep(self._deep)
            else:
                self._suspect(self._deep)
                return
        uuids = self._schedule.next(
            self.sampler.active,
            self.interest.selected,
            self.interest.visible,
            self.sampler.silent,
            self.sampler.deep_at_s,
            self._clock(),
            self._stretched_s,
        )
        if uuids:
            self._deep_uuids = uuids
            try:
                self._deep = self.lanes.start("deep", lambda connection: _timed_deep(connection, uuids))
            except CallTimedOut as error:
                self._deep_problem = clean(f"no disk, memory and ready figures: {error}")

    def _take_deep(self, call: Call) -> None:
        self._deep = None
        try:
            samples, duration_s = settle(call)
        except HypervisorError as error:
            # The watch lane decides whether the link is lost; without deep figures the host is still watched.
            self._deep_problem = clean(f"no disk, memory and ready figures: {error}")
            return
        self._deep_problem = ""
        self._schedule.measured(len(samples), duration_s)
        self.sampler.deep(samples)

    def _suspect(self, call: Call) -> None:
        """Find out which VM holds up the deep lane; give the lane up once that VM has a name, or it took too long."""
        out_s = time.monotonic() - call.submitted_at_s
        if out_s < _DEEP_SUSPECT_S:
            return
        uuids = self._deep_uuids
        owing = self.lanes.run("watch", lambda connection: connection.silent(uuids), _CALL_DEADLINE_S)
        if not owing and out_s < _DEEP_GIVE_UP_S:
            return
        for uuid, owed_s in owing.items():
            self.sampler.silent.setdefault(uuid, self._clock() - owed_s)
        self.lanes.abandon(call)
        self._deep = None

    def _host(self) -> Host:
        light = self._light
        return Host(
            key=self.uri,
            name=self._facts.hostname if self._facts else default_name(self.uri),
            link=self._link,
            facts=self._facts,
            figures=self.sampler.figures,
            vms=self.sampler.vms(),
            sampled_at_s=light.taken_at_s if light else None,
            round_trip_s=light.round_trip_s if light else None,
            interval_s=self._stretched_s,
            bulk_cpu=light.bulk_cpu if light else False,
            problem=self._problem,
            next_try_at_s=self._next_try_at_s,
            read_only=self._read_only,
        )


def _timed_deep(connection: Connection, uuids: list[str]) -> tuple[tuple[DeepVm, ...], float]:
    started_s = time.monotonic()
    return connection.deep(uuids), time.monotonic() - started_s


def default_name(uri: str) -> str:
    """Return what a host is called before it told its name."""
    parts = urlsplit(uri)
    return clean(parts.hostname or "localhost", 60)
