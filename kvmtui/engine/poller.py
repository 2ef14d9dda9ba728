"""The poller of one host: decides when to look, and publishes what was seen.

It never calls a hypervisor itself: it puts calls on the host's lanes, and one thread looks after all pollers, for a
thread that wakes up costs more than most of what there is to do at a tick.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import wait
from dataclasses import dataclass
from urllib.parse import urlsplit

from kvmtui.engine.daemon_probe import DaemonProbe
from kvmtui.engine.deep_looks import DeepLooks, Interest
from kvmtui.engine.sampler import HostSampler
from kvmtui.hypervisor.errors import CallTimedOut, ConnectFailed, HypervisorError, LinkLost
from kvmtui.hypervisor.lanes import Call, HostLanes, settle
from kvmtui.hypervisor.protocol import Connection
from kvmtui.hypervisor.samples import Flags, LightSample, NodeSample
from kvmtui.model.clean import clean
from kvmtui.model.host import Host, HostFacts, Link
from kvmtui.model.uris import is_near, parameters, without_secrets

_log = logging.getLogger(__name__)
_CALL_DEADLINE_S = 10.0
_DOUBT_S = 5.0
_HELD_UP_S = 60.0
"""libvirt holds a VM for 10 s and more while it kills a QEMU that hangs, and gives up other waits after 30 s."""
_FLAGS_EVERY_S = 10.0
_BACKOFF_MAX_S = 60.0
# Trying a socket of this machine costs next to nothing, and whoever restarts its daemon sits here and waits.
_NEAR_BACKOFF_MAX_S = 3.0
_EARLIEST_S = 0.1
# A light look that takes more of the tick than this makes the tick longer.
_BUSY_SHARE = 0.5
_NAME_MOST = 40
_HELD_UP = "libvirt waits for one of its VMs"


@dataclass(frozen=True, slots=True)
class _Look:
    """What one call on the watch lane brought."""

    light: LightSample
    node: NodeSample
    facts: HostFacts | None
    flags: Flags | None
    owing: Mapping[str, float]
    """Of the VMs that were asked about, those whose QEMU owes an answer, and for how many seconds."""
    took_s: float


class HostPoller:
    """Watches one host: asks on its lanes and takes the answers, and never waits for one but in `settle`.

    One thread at a time may call `attend`, `ask` and `settle`; the others are for any thread.
    """

    def __init__(
        self,
        uri: str,
        lanes: HostLanes,
        sampler: HostSampler,
        publish: Callable[[Host], None],
        *,
        interval_s: float,
        read_only: bool,
        name: str = "",
        after_tick: Callable[[], None] = lambda: None,
        call_me: Callable[["HostPoller"], None] = lambda poller: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`name` is what the host is called on screen; empty: as it calls itself.

        `after_tick` is called after every tick, connected or not, by the thread that attends.

        `call_me` is called from any thread when the poller wants to be attended to; it must only take note.
        """
        self.uri = uri
        self.lanes = lanes
        self.sampler = sampler
        self.interval_s = interval_s
        self.due_at_s = float("-inf")
        """When to attend although nobody called (seconds of `time.monotonic`)."""
        self._publish = publish
        self._after_tick = after_tick
        self._call_me = call_me
        self._clock = clock
        self.read_only = read_only
        self._name = name
        self._link = Link.CONNECTING
        self._facts: HostFacts | None = None
        self._problem = ""
        self._failures = 0
        self._next_try_at_s: float | None = None
        self._backoff_max_s = _NEAR_BACKOFF_MAX_S if is_near(uri) else _BACKOFF_MAX_S
        self._light: LightSample | None = None
        self._stretched_s = interval_s
        self._flags_at_s = float("-inf")
        self._flags_due = True
        self._woken = True
        self._retry = False
        self._asked: Call | None = None
        """The look that is under way; a tick that finds one asks for no other."""
        self._asked_at_s = float("-inf")
        self._deep = DeepLooks(lanes, sampler, clock)
        self._probe = DaemonProbe(lanes)
        self._random = random.Random()  # noqa: S311 - spreads reconnects, guards nothing

    @property
    def interest(self) -> Interest:
        """What the screen shows of the host."""
        return self._deep.interest

    @property
    def up(self) -> bool:
        """Whether the host answers."""
        return self._link is Link.UP

    def announce(self) -> None:
        """Publish the host before anything is known of it."""
        self._publish(self._host())

    def close(self) -> None:
        """Let the lanes end; does not wait."""
        self.lanes.close()

    def wake(self) -> None:
        """Look again soon, also at what changes seldom: something happened. Any thread may say so."""
        self._flags_due = self._woken = True
        self._call_me(self)

    def retry(self) -> None:
        """Look again now, also at a host that is down."""
        self._retry = True
        self.wake()

    def attend(self) -> None:
        """Take the answer if one has come, give up what does not return, and ask again when it is time."""
        now_s = time.monotonic()
        try:
            self._go_on(now_s)
        finally:
            # Also after a defect: what is always due would be attended without end.
            sooner_s = self._asked_at_s + self._sooner_s
            self.due_at_s = self._next_s(now_s)
            if self._asked is not None or self._woken:
                self.due_at_s = max(now_s, min(self.due_at_s, sooner_s))

    def _go_on(self, now_s: float) -> None:
        if self._asked is not None:
            if self._asked.done or now_s >= self._asked_at_s + self._patience_s:
                self._take(self._asked)
            elif now_s >= self.due_at_s:
                self._doubt(now_s)
                # While a host does not answer, what else is under way there has its deadlines.
                self._after_tick()
        # Not busier than this, however many events come.
        due_at_s = min(self.due_at_s, self._asked_at_s + _EARLIEST_S) if self._woken else self.due_at_s
        if self._asked is None and now_s >= due_at_s:
            self.ask()

    @property
    def _sooner_s(self) -> float:
        """How long after the last look began there is something to do."""
        if self._asked is None:
            return _EARLIEST_S
        return _DOUBT_S if self._link is Link.UP and not self._probe.begun else self._patience_s

    @property
    def _patience_s(self) -> float:
        """How long the look that is under way may take."""
        return _HELD_UP_S if self._probe.held_up else _CALL_DEADLINE_S

    def _doubt(self, now_s: float) -> None:
        """Find out whether the daemon answers at all, and say so, while a look takes long."""
        if self._link is not Link.UP or now_s < self._asked_at_s + _DOUBT_S:
            return
        if not self._probe.begun:
            self._probe.begin(lambda: self._call_me(self))
            return
        self._probe.tick()
        if self._probe.held_up and self._problem != _HELD_UP:
            self._problem = _HELD_UP
            self._publish(self._host())

    def _next_s(self, now_s: float) -> float:
        """Return when the next tick is: at whole multiples of the period, so that all hosts tell at once."""
        period_s = self._stretched_s if self._link is Link.UP else min(1.0, self.interval_s)
        return (now_s // period_s + 1) * period_s

    def ask(self) -> None:
        """Ask for a look, unless one is under way or the host is down and not to be tried yet."""
        if self._asked is not None:
            return
        self._woken = False
        self._asked_at_s = time.monotonic()
        retry, self._retry = self._retry, False
        if self._link is not Link.UP:
            waited = self._next_try_at_s is None or self._clock() >= self._next_try_at_s
            if not waited and not retry:
                self._end_tick()
                return
            self._next_try_at_s = None
            self._publish(self._host())
        try:
            self._asked = self.lanes.start("watch", self._look())
        except HypervisorError as error:
            self._lost(error)
            self._end_tick()
            return
        self._asked.future.add_done_callback(lambda _: self._call_me(self))

    def settle(self) -> None:
        """Wait for the look that is under way, within its deadline, and take it in."""
        if self._asked is not None:
            wait([self._asked.future], max(0.0, self._asked_at_s + _CALL_DEADLINE_S - time.monotonic()))
            self._take(self._asked)

    def _look(self) -> Callable[[Connection], _Look]:
        """Return what is to be called on the watch lane."""
        interval_s, facts_due = self._stretched_s, self._link is not Link.UP
        # Another thread may set it at any time, and what it tells of must not get lost.
        woken, self._flags_due = self._flags_due, False
        flags_due = facts_due or woken or self._clock() - self._flags_at_s >= _FLAGS_EVERY_S
        asked = [*{*self.sampler.silent, *self._deep.suspects()}]

        def look(connection: Connection) -> _Look:
            started_s = time.monotonic()
            return _Look(
                facts=connection.facts() if facts_due else None,
                light=connection.light(interval_s),
                node=connection.node(),
                flags=connection.flags() if flags_due else None,
                owing=connection.silent(asked) if asked else {},
                took_s=time.monotonic() - started_s,
            )

        return look

    def _take(self, asked: Call) -> None:
        """Take in what a look brought, or that it brought nothing."""
        self._asked = None
        try:
            if not asked.done:
                self.lanes.abandon(asked)
                raise CallTimedOut(f"no answer for {self._patience_s:.0f} s")
            self._took(settle(asked))
        except (LinkLost, ConnectFailed, CallTimedOut) as error:
            self._lost(error)
        except HypervisorError as error:
            self._flags_due = True
            if self._link is Link.UP:
                self._problem = clean(str(error))
            else:
                self._lost(error)
        except Exception:  # noqa: BLE001 - a defect must not end the watching of a host
            _log.exception("tick of %s", self.uri)
            self._problem = "an internal error; run with --log FILE to see it"
        self._probe.end()
        self._end_tick()

    def _end_tick(self) -> None:
        self._after_tick()
        self._publish(self._host())

    def _took(self, seen: _Look) -> None:
        if seen.facts is not None:
            self._facts, self._link, self._failures = seen.facts, Link.UP, 0
        # What one VM held up says nothing of how long a look takes.
        if not self._probe.held_up:
            self._stretched_s = max(self.interval_s, seen.took_s / _BUSY_SHARE)
        self._light = seen.light
        self._problem = self._deep.problem
        self.sampler.light(seen.light, self._stretched_s)
        self.sampler.node(seen.node, self._stretched_s)
        if seen.flags is not None:
            self.sampler.flags(seen.flags)
            self._flags_at_s = self._clock()
        self.sampler.silent = {uuid: since for uuid, since in self.sampler.silent.items() if uuid in seen.owing}
        self._deep.tick(seen.owing, self._stretched_s)

    def _lost(self, error: HypervisorError) -> None:
        """Take the link for dead; figures stay as they were, and the next attempt is set."""
        self._link = Link.DOWN
        self._problem = clean(str(error))
        wait_s = min(self._backoff_max_s, 2.0**self._failures) * self._random.uniform(0.8, 1.2)
        self._failures += 1
        self._next_try_at_s = self._clock() + wait_s
        self._deep.forget()
        self.sampler.gap()
        # A deep call that hangs is given up with its lane, so that nobody waits behind it.
        self.lanes.drop("watch", "deep")
        _log.info("%s: %s; next try in %.0f s", self.uri, self._problem, wait_s)

    def _host(self) -> Host:
        light = self._light
        return Host(
            key=self.uri,
            name=self._name or (self._facts.hostname if self._facts else default_name(self.uri)),
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
            read_only=self.read_only,
        )


def default_name(uri: str) -> str:
    """Return what a host is called before it told its name: as its URI does, or the end of its socket's path."""
    if named := urlsplit(uri).hostname:
        return clean(named, 60)
    name = clean(dict(parameters(uri)).get("socket") or without_secrets(uri))
    return name if len(name) <= _NAME_MOST else f"…{name[1 - _NAME_MOST :]}"
