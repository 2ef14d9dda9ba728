"""The engine: one object that the screen talks to; joins what watches hosts and what acts on them."""

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from kvmtui.config import MAX_INTERVAL_S, MIN_INTERVAL_S, RecordSettings
from kvmtui.engine.listeners import Listeners
from kvmtui.engine.openers import console_opener, openers
from kvmtui.engine.poller import HostPoller
from kvmtui.engine.sampler import Counters, HostSampler
from kvmtui.engine.store import Store
from kvmtui.engine.watch import Watch
from kvmtui.engine.whereabouts import Movers
from kvmtui.hypervisor.errors import CallTimedOut
from kvmtui.hypervisor.lanes import HostLanes, Opener
from kvmtui.hypervisor.protocol import Backend, Connection
from kvmtui.model.actions import ActionRequest, ActionResult, Outcome, Verb
from kvmtui.model.clean import clean
from kvmtui.model.fleet import Fleet
from kvmtui.model.history import History, Metric
from kvmtui.model.host import Host
from kvmtui.model.migration import Migration, MigrationRequest, RepairKind, Steer
from kvmtui.model.vm import VmConfig, VmKey

if TYPE_CHECKING:
    # Imported when the first is asked for: the first picture does not wait for what it does not show.
    from kvmtui.engine.actions import Actions
    from kvmtui.engine.audit import Audit, Record
    from kvmtui.engine.consoles import Console, Consoles
    from kvmtui.engine.health_watch import HealthWatch, Standing
    from kvmtui.engine.migrations import Migrations
    from kvmtui.engine.plans import Plans
    from kvmtui.engine.preflights import Preflights
    from kvmtui.engine.recording.recorder import Recorder
    from kvmtui.engine.unevenness import Unevenness
    from kvmtui.model.findings import Limits
    from kvmtui.model.preflight_values import GuestNeeds, HostOffers

T = TypeVar("T")
_FLUSH_S = 0.5
_EVENNESS_EVERY_S = 60.0
_HEALTH_AFTER_S = 2.0
"""How long after the start health is first looked at: the first pictures come first."""


class Engine:
    """Watches hosts and acts on their VMs; no method but `tick` waits for a host."""

    def __init__(
        self,
        backend: Backend,
        uris: Sequence[str],
        *,
        interval_s: float = 1.0,
        read_only: bool = False,
        read_only_hosts: Collection[str] = (),
        names: Mapping[str, str] = MappingProxyType({}),
        audited: bool = False,
        limits: "Limits | None" = None,
        recordings: RecordSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is monotonic seconds; all times in the fleet are of this clock.

        `read_only` holds for all hosts, `read_only_hosts` has some by URI; `names` is what hosts are called on screen.
        `limits` say from where on something is wrong, `recordings` how much of them is kept; None: the usual.

        With `audited` what is done is kept in the user's audit and the system's log, and not in memory alone.
        """
        self.clock = clock
        self.read_only = read_only
        self.closed_hosts = frozenset(read_only_hosts)
        """Hosts that plans leave alone: nothing is ever moved from them, or to them."""
        self._read_only_hosts = frozenset(uris if read_only else read_only_hosts)
        self.listeners = Listeners()
        self._backend = backend
        self._store = Store()
        self._watch = Watch()
        self._bounds = recordings or RecordSettings()
        self._recorder: Recorder | None = None
        self._histories = {uri: History() for uri in uris}
        self._pollers: dict[str, HostPoller] = {}
        for uri in uris:
            self._pollers[uri] = HostPoller(
                uri,
                HostLanes(
                    uri, openers(backend, uri, read_only=uri in self._read_only_hosts, woken=partial(self._wake, uri))
                ),
                HostSampler(uri, self._histories[uri]),
                self._publish,
                interval_s=interval_s,
                read_only=uri in self._read_only_hosts,
                name=names.get(uri, ""),
                after_tick=partial(self._after_tick, uri),
                call_me=self._watch.call,
                clock=clock,
            )
        # All at once, so that they stand in the order they were given and not in that of their answers.
        for poller in self._pollers.values():
            poller.announce()
        self._started = False
        self._audited = audited
        self._audit: Audit | None = None
        self._movers = {uri: Movers() for uri in uris}
        self._actions: Actions | None = None
        self._migrations: Migrations | None = None
        self._preflights: Preflights | None = None
        self._making = threading.RLock()
        self._consoles: Consoles | None = None
        self._plans: Plans | None = None
        self._unevenness: Unevenness | None = None
        self._evenness_due_s = clock() + _EVENNESS_EVERY_S
        self._limits = limits
        self._health: HealthWatch | None = None
        self._health_from_s = float("inf")
        self._store.on_change(self._fleet_changed)

    @property
    def fleet(self) -> Fleet:
        """The present fleet."""
        return self._store.fleet

    @property
    def audit(self) -> "Audit":
        """What was done, by whom."""
        # The screen may act for the first time while the watch finds a migration under way.
        with self._making:
            if self._audit is None:
                from kvmtui.engine.audit import Audit, audit_of_this_user

                self._audit = audit_of_this_user() if self._audited else Audit()
                self._audit.listener.trouble = lambda text: self.listeners.trouble(text)
                self._audit.listener.written = self._audited_now
            return self._audit

    def start(self) -> None:
        """Start watching all hosts, if it has not been done."""
        if not self._started:
            self._started = True
            self._health_from_s = self.clock() + _HEALTH_AFTER_S
            self._watch.start(self._pollers.values())

    def stop(self) -> None:
        """Let all threads end; waits for none, for one may hang in a call, but a moment for the audit."""
        self._watch.stop()
        if self._consoles is not None:
            self._consoles.close()
        if self._plans is not None:
            self._plans.close()
        if self._migrations is not None:
            self._migrations.close()
        for poller in self._pollers.values():
            poller.close()
        if self._audit is not None:
            self._audit.flush(_FLUSH_S)
        if self._recorder is not None:
            self._recorder.stop(_FLUSH_S)

    def tick(self, uris: Iterable[str] | None = None) -> None:
        """Look once at these hosts, or all, and wait for the answers: for tests, and before or without `start`."""
        pollers = [self._pollers[uri] for uri in (self._pollers if uris is None else uris)]
        for poller in pollers:
            poller.ask()
        for poller in pollers:
            poller.settle()

    def refresh(self) -> None:
        """Look at every host soon."""
        if self._health is not None:
            self._health.look()
        for poller in self._pollers.values():
            poller.retry()

    def change_interval(self, factor: float) -> float:
        """Look at the hosts more or less often; return the new interval in seconds."""
        for poller in self._pollers.values():
            poller.interval_s = min(MAX_INTERVAL_S, max(MIN_INTERVAL_S, poller.interval_s * factor))
            poller.wake()
        return max(poller.interval_s for poller in self._pollers.values())

    def show_interest(self, selected: VmKey | None, visible: Iterable[VmKey]) -> None:
        """Say what is on screen: its deep figures come first."""
        shown: dict[str, list[str]] = {uri: [] for uri in self._pollers}
        for key in visible:
            if key.host in shown:
                shown[key.host].append(key.uuid)
        for uri, poller in self._pollers.items():
            poller.interest.visible = tuple(shown[uri])
            poller.interest.selected = selected.uuid if selected is not None and selected.host == uri else None

    def submit(self, request: ActionRequest) -> None:
        """Start an action; its result comes by `listeners.action_finished`."""
        moving = [one.request for one in self.migrations if not one.phase.ended]
        if request.action.verb is Verb.CANCEL_JOB and request.key in [each.key for each in moving]:
            # Who follows the migration has to know that it was asked for: its end would read like a failure.
            self.steer(request.key, Steer.ABORT)
            return
        if request.key in [VmKey(each.destination, each.key.uuid) for each in moving]:
            # It was asked for before that was seen.
            self._action_finished(ActionResult(request, Outcome.REFUSED, "it is arriving from another host"))
            return
        if self._actions is None:
            from kvmtui.engine.actions import Actions

            self._actions = Actions(self._pollers, self._store, self._action_finished, self.audit, clock=self.clock)
        self._actions.submit(request)

    def migrate(self, request: MigrationRequest) -> None:
        """Start a migration, or have it wait its turn; its states come by `listeners.migration_changed`."""
        self._moves().start(request)

    @property
    def migrations(self) -> tuple[Migration, ...]:
        """All migrations of this run of kvmtui: under way first, then ended, newest first."""
        return self._moves().all if self._migrations is not None else ()

    def steer(self, key: VmKey, steer: Steer, value: int | None = None) -> None:
        """Change a migration under way; what comes of it is told as the migration's message."""
        self._moves().steer(key, steer, value)

    def repair(self, key: VmKey, kind: RepairKind) -> None:
        """Do a repair that a migration offers, once both hosts have told again that it is safe."""
        self._moves().repair(key, kind)

    def _moves(self) -> "Migrations":
        from kvmtui.engine.migrations import Migrations

        # The screen may ask for the first move while the watch finds one under way.
        with self._making:
            if self._migrations is None:
                self._migrations = Migrations(
                    self._pollers,
                    self._store,
                    self._migration_changed,
                    self.audit,
                    soon=self._watch.run_soon,
                    clock=self.clock,
                )
            return self._migrations

    @property
    def plans(self) -> "Plans":
        """Plans to move VMs so that hosts are even, or one is empty."""
        if self._plans is None:
            from kvmtui.engine.plans import Plans

            self._plans = Plans(self, self._pollers, self._histories, lambda: self.listeners.plans_changed())
        return self._plans

    @property
    def uneven(self) -> str:
        """In which way hosts have been uneven for minutes: "CPU 22-84 %"; empty where they have not."""
        return "" if self._unevenness is None else self._unevenness.reason

    @property
    def health(self) -> "HealthWatch":
        """What is wrong with hosts and VMs."""
        with self._making:
            if self._health is None:
                from kvmtui.engine.health_watch import HealthWatch
                from kvmtui.model.findings import Limits

                self._health = HealthWatch(
                    self._pollers,
                    lambda: self.fleet,
                    self._health_changed,
                    self._limits or Limits(),
                    self.clock,
                )
            return self._health

    @property
    def standing(self) -> "Standing | None":
        """How all hosts stand; None before anybody looked."""
        return None if self._health is None else self._health.standing

    @property
    def recording(self) -> "Recorder | None":
        """What is being recorded; None: nothing is."""
        return self._recorder

    def record(self, file: Path) -> None:
        """Record all that is sampled, from now on; raises `RecordingError`."""
        from kvmtui.engine.recording.recorder import Recorder

        self.stop_recording()
        recorder = Recorder(
            file, tuple(self._pollers), clock=self.clock, bounds=self._bounds, ended=self._recording_ended
        )
        self._recorder = recorder
        recorder.start()
        recorder.take(self.fleet)
        recorder.migrations(self.migrations)
        if self._health is not None:
            recorder.findings(self._health.standing.findings)

    def stop_recording(self) -> None:
        """Record no more; what was recorded is in the file soon."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.stop()

    def _recording_ended(self, recorder: "Recorder", why: str) -> None:
        # One that was stopped, and could not write its last, may have a successor.
        if self._recorder is recorder:
            self._recorder = None
        self.listeners.trouble(clean(f"not recorded any more: {recorder.file}: {why}"))

    def open_console(self, key: VmKey, wake: Callable[[], None], device: str | None = None) -> "Console":
        """Open a VM's serial console, the first or a `device` of its `VmConfig.consoles`.

        `wake` is called from a foreign thread when there is something to take.
        """
        if self._consoles is None:
            from kvmtui.engine.consoles import ConsoleHosts, Consoles

            self._consoles = Consoles(
                ConsoleHosts(lambda: self.fleet, self._console_opener, self._wake, self.clock, self.audit)
            )
        return self._consoles.open(key, wake, device)

    def read_config(self, key: VmKey) -> "Future[VmConfig]":
        """Ask what a VM's definition says."""
        # On the deep lane: a VM whose lock is held then delays only what needs it, and the poller replaces the lane.
        try:
            answer = self._pollers[key.host].lanes.start("deep", lambda connection: connection.config(key.uuid)).future
        except CallTimedOut as error:
            answer = Future()
            answer.set_exception(error)
        recorder = self._recorder
        if recorder is not None:
            answer.add_done_callback(partial(recorder.config, key))
        return answer

    def read_needs(self, key: VmKey) -> "Future[GuestNeeds]":
        """Ask what a VM needs of a host that it would move to."""
        return self._ask_before_move(key.host, lambda connection: connection.needs(key.uuid))

    def read_offers(self, host: str, needs: "GuestNeeds") -> "Future[HostOffers]":
        """Ask what `host` has of what a VM needs."""

        def ask(connection: Connection) -> "HostOffers":
            return replace(connection.offers(needs), old_copies=self.old_copies(needs.uuid, host))

        return self._ask_before_move(host, ask)

    def look_before_move(self, key: VmKey, hosts: Iterable[str]) -> "dict[str, Future[tuple[GuestNeeds, HostOffers]]]":
        """Ask what a VM needs, and each of `hosts` what it has of that; each tells by itself, or why it does not."""
        from kvmtui.engine.preflights import both_answers

        needs = self.read_needs(key)
        return {host: both_answers(needs, partial(self.read_offers, host)) for host in hosts}

    def old_copies(self, uuid: str, host: str) -> frozenset[str]:
        """Return the paths on a host where moves of this run have left disks that a VM uses no more."""
        return frozenset() if self._migrations is None else self._migrations.old_copies(uuid, host)

    def history(
        self, key: VmKey, metric: Metric, step_s: int, points: int, until_s: float | None = None
    ) -> list[float | None]:
        """Return a VM's past as `points` means over `step_s` seconds each, oldest first, up to a time or now."""
        return self._histories[key.host].read(
            key.uuid, metric, self.clock() if until_s is None else until_s, step_s, points
        )

    def counters(self, host: str) -> Counters:
        """Return what a host has counted; its VMs may be others by now than those of `fleet`."""
        return self._pollers[host].sampler.counters

    def _ask_before_move(self, host: str, question: Callable[[Connection], T]) -> "Future[T]":
        from kvmtui.engine.preflights import Preflights

        # The screen and a plan that runs may ask at once.
        with self._making:
            if self._preflights is None:
                self._preflights = Preflights({uri: poller.lanes for uri, poller in self._pollers.items()})
            preflights = self._preflights
        return preflights.ask(host, question)

    def _console_opener(self, uri: str) -> Opener:
        why_not = (
            "kvmtui was started with --read-only" if self.read_only else "the configuration has this host read-only"
        )
        return console_opener(self._backend, uri, why_not if uri in self._read_only_hosts else "")

    def _wake(self, uri: str) -> None:
        self._pollers[uri].wake()

    def _publish(self, host: Host) -> None:
        recorder = self._recorder
        self._store.publish(host if recorder is None else recorder.rounded(host))

    def _health_changed(self) -> None:
        if self._recorder is not None and self._health is not None:
            self._recorder.findings(self._health.standing.findings)
        self.listeners.health_changed()

    def _fleet_changed(self) -> None:
        if self._recorder is not None:
            self._recorder.take(self.fleet)
        self.listeners.fleet_changed()
        if self._consoles is not None:
            self._consoles.watch()
        if self._plans is not None:
            self._plans.wake()

    def _audited_now(self, record: "Record") -> None:
        # Another thread may end the recording meanwhile.
        if (recorder := self._recorder) is not None:
            recorder.audit(record)

    def _migration_changed(self, migration: Migration) -> None:
        if self._plans is not None:
            self._plans.migration_changed(migration)
        if self._recorder is not None:
            self._recorder.migration(migration)
        self.listeners.migration_changed(migration)

    def _after_tick(self, uri: str) -> None:
        if self._actions is not None:
            self._actions.watch(uri)
        if self._migrations is not None:
            self._migrations.watch(uri)
        if self._movers[uri].seen(self._store.fleet.hosts[uri]):
            self._moves().adopt(uri)
        if self._preflights is not None:
            self._preflights.watch(uri)
        self._watch_evenness()
        if self._health is not None or self.clock() >= self._health_from_s:
            self.health.watch(uri)
        self._pollers[uri].lanes.close_idle("act", "jobs", "preflight", "plans")

    def _watch_evenness(self) -> None:
        now_s = self.clock()
        if now_s < self._evenness_due_s:
            return
        self._evenness_due_s = now_s + _EVENNESS_EVERY_S
        if self._unevenness is None:
            from kvmtui.engine.unevenness import Unevenness

            self._unevenness = Unevenness()
        plans = self._plans
        moved, maintenance = ([], ()) if plans is None else (plans.moved, plans.maintenance)
        if self._unevenness.look(self.fleet, moved, maintenance, now_s):
            self.listeners.plans_changed()

    def _action_finished(self, result: ActionResult) -> None:
        self._wake(result.request.key.host)
        if self._recorder is not None:
            self._recorder.action(result)
        self.listeners.action_finished(result)
