"""Plans to move VMs: made when asked for, and run move by move, each checked before and measured after.

One daemon thread makes and runs them; it waits for no host, but for what it is told: commands, answers, new figures.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import TYPE_CHECKING

from kvmtui.engine.definitions import Definitions
from kvmtui.engine.loads import MEAN_S, Knowledge, Moved, host_loads, vm_loads
from kvmtui.engine.move_check import MoveCheck
from kvmtui.engine.poller import HostPoller
from kvmtui.model.balance import Limits, Move, Plan, balance, evacuate, reconsider, without
from kvmtui.model.clean import clean
from kvmtui.model.history import History
from kvmtui.model.host import Link
from kvmtui.model.migration import Migration, MigrationRequest, Phase, Steer
from kvmtui.model.plan_run import Outcome, PlanRun, Stage, Step
from kvmtui.model.preflight import Grade
from kvmtui.model.vm import VmKey

if TYPE_CHECKING:
    from kvmtui.engine.engine import Engine

_log = logging.getLogger(__name__)
_SETTLE_S = 5.0
"""How long after a move the hosts are measured before the next is judged: two looks, and what a move itself costs."""
_SETTLE_MOST_S = 60.0
"""How long new figures are waited for."""
_LOOK_AGAIN_S = 1.0
_ENDS = {
    Phase.DONE: Outcome.DONE,
    Phase.CANCELLED: Outcome.CANCELLED,
    Phase.FAILED: Outcome.FAILED,
    Phase.UNKNOWN: Outcome.UNKNOWN,
}


@dataclass(slots=True)
class _Under:
    """What is under way."""

    everything: bool
    """Whether the next move follows by itself."""
    check: MoveCheck | None = None
    key: VmKey | None = None
    """The VM on its way."""
    measured_from_s: float = 0.0
    """When the last move ended."""


class Plans:
    """Makes a plan, keeps it, and runs it; all methods return at once, and any thread may call them."""

    def __init__(
        self,
        engine: "Engine",
        pollers: Mapping[str, HostPoller],
        histories: Mapping[str, History],
        changed: Callable[[], None],
        *,
        limits: Limits | None = None,
    ) -> None:
        """`changed` is called from a foreign thread when there is something new to see; it must only take note."""
        self._engine = engine
        self._changed = changed
        self._limits = limits or Limits()
        self._clock = engine.clock
        self._run: PlanRun | None = None
        self._under: _Under | None = None
        self._moved: list[Moved] = []
        self._last_moved_s: dict[str, float] = {}
        self._maintenance: tuple[str, ...] = ()
        self._barred: dict[tuple[str, str], str] = {}
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._woken = False
        self._definitions = Definitions(pollers, self.wake, self._clock)
        self._histories = histories
        threading.Thread(target=self._serve, name="plans", daemon=True).start()

    @property
    def run(self) -> PlanRun | None:
        """The plan as it stands; None: there is none."""
        return self._run

    @property
    def maintenance(self) -> tuple[str, ...]:
        """The hosts that nothing is moved to, because they are being emptied, or were."""
        return self._maintenance

    def look(self, evacuating: str = "") -> None:
        """Make a plan anew: to even the hosts out, or to empty one; not while one is running."""
        self._work.put(lambda: self._look(evacuating))

    def go(self, key: VmKey | None = None) -> None:
        """Make one of the moves, or all of them one at a time."""
        self._work.put(lambda: self._go(key))

    def stop(self) -> None:
        """End after the move under way."""
        self._work.put(self._stop)

    def abort(self) -> None:
        """End now: the VM under way stays where it was, if its hosts obey."""
        self._work.put(self._abort)

    def remove(self, key: VmKey) -> None:
        """Take a move out of the plan."""
        self._work.put(lambda: self._remove(key))

    def redirect(self, key: VmKey, destination: str) -> None:
        """Send a VM of the plan to another host."""
        self._work.put(lambda: self._redirect(key, destination))

    def take_back(self, host: str) -> None:
        """Let a host that was emptied receive VMs again."""
        self._work.put(lambda: self._take_back(host))

    def discard(self) -> None:
        """Forget the plan, unless it is running."""
        self._work.put(self._discard)

    def close(self) -> None:
        """Let the thread end."""
        self._work.put(None)

    def wake(self) -> None:
        """Look whether something can go on; any thread may say so, as often as it likes."""
        if not self._woken:
            self._woken = True
            self._work.put(lambda: None)

    def migration_changed(self, migration: Migration) -> None:
        """Take note of how a migration stands, whoever asked for it."""
        if migration.phase.ended or self._under is not None:
            self._work.put(lambda: self._follow(migration))

    # All below runs in the thread of the plans.

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            self._woken = False
            try:
                work()
                self._advance()
            except Exception:  # noqa: BLE001 - a defect must not leave a plan that says it is running
                _log.exception("plans")
                self._under = None
                if self._run is not None:
                    message = "an internal error; run with --log FILE to see it"
                    self._show(stage=Stage.READY, message=message, stopping=False)

    def _show(self, **changes: object) -> None:
        if self._run is not None:
            after = replace(self._run, **changes)  # type: ignore[arg-type]
            if after != self._run:
                self._run = after
                self._changed()

    def _look(self, evacuating: str) -> None:
        if self._run is not None and self._run.stage.running:
            return
        if evacuating and evacuating not in self._maintenance:
            self._maintenance = (*self._maintenance, evacuating)
        fleet = self._engine.fleet
        self._definitions.refresh(fleet, whole=evacuating or None)
        self._run = PlanRun(Stage.READING, evacuating, read=self._definitions.progress)
        self._changed()

    def _advance(self) -> None:
        run, under = self._run, self._under
        if run is None:
            return
        if run.stage is Stage.READING:
            complete = self._definitions.advance()
            self._show(read=self._definitions.progress)
            if complete:
                self._make()
        elif run.stage is Stage.CHECKING and under is not None and under.check is not None:
            self._check(under, under.check)
        elif run.stage is Stage.MEASURING and under is not None and self._measured(under):
            self._judge_rest()
            self._next()

    def _make(self) -> None:
        """Make the plan by the figures of now; moves that are over stay on the list."""
        assert self._run is not None
        plan = self._plan()
        over = tuple(step for step in self._run.steps if step.outcome.over)
        self._show(stage=Stage.READY, plan=plan, steps=(*over, *map(Step, plan.moves)), watched_s=self._watched_s())

    def _plan(self) -> Plan:
        assert self._run is not None
        now_s, fleet = self._clock(), self._engine.fleet
        known = self._knowledge(now_s)
        hosts = host_loads(fleet, known, now_s)
        vms = vm_loads(fleet, known, now_s, whole=self._run.evacuating)
        if self._run.evacuating:
            return evacuate(self._run.evacuating, hosts, vms, self._limits, now_s)
        return balance(hosts, vms, self._limits, now_s)

    def _knowledge(self, now_s: float) -> Knowledge:
        self._moved = [moved for moved in self._moved if now_s - moved.at_s < MEAN_S]
        return Knowledge(
            self._definitions, self._histories, self._moved, self._last_moved_s, self._maintenance, self._barred
        )

    def _watched_s(self) -> float:
        up = [host for host in self._engine.fleet.hosts.values() if host.link is Link.UP]
        return min((host.figures.cpu_mean_s for host in up), default=0.0)

    # Edits

    def _remove(self, key: VmKey) -> None:
        if self._run is not None and self._run.plan is not None and self._left(key) is not None:
            self._replace(without(self._run.plan, key))

    def _redirect(self, key: VmKey, destination: str) -> None:
        if self._run is None or self._run.plan is None or self._left(key) is None:
            return
        moves = [
            replace(move, destination=destination) if move.key == key else move for move in self._run.plan.moves
        ]
        self._replace(reconsider(self._run.plan, moves))

    def _left(self, key: VmKey) -> Step | None:
        steps = () if self._run is None else self._run.left
        return next((step for step in steps if step.move.key == key), None)

    def _replace(self, plan: Plan) -> None:
        """Put another plan for what is left; what is over or under way stays as it is."""
        assert self._run is not None
        kept = tuple(step for step in self._run.steps if step.outcome is not Outcome.PLANNED)
        busy = {step.move.key for step in kept if not step.outcome.over}
        left = tuple(Step(move) for move in plan.moves if move.key not in busy)
        self._show(plan=plan, steps=(*kept, *left))

    def _take_back(self, host: str) -> None:
        self._maintenance = tuple(key for key in self._maintenance if key != host)
        if self._run is not None and not self._run.stage.running:
            self._run = None
        self._changed()

    def _discard(self) -> None:
        if self._run is not None and not self._run.stage.running:
            self._run = None
            self._changed()

    # Running

    def _go(self, key: VmKey | None) -> None:
        run = self._run
        if run is None or run.stage is not Stage.READY or not run.left or self._engine.read_only:
            return
        self._under = _Under(everything=key is None)
        self._show(message="", stopping=False)
        self._next(key)

    def _stop(self) -> None:
        if self._run is not None and self._run.stage.running:
            self._show(stopping=True)

    def _abort(self) -> None:
        self._stop()
        under = self._under
        if under is None or self._run is None:
            return
        if self._run.stage is Stage.MOVING and under.key is not None:
            self._engine.steer(under.key, Steer.ABORT)
        elif (step := self._run.current) is not None:
            self._settle(step, Outcome.CANCELLED, "stopped before it began")
            self._finish()
        else:
            self._finish()

    def _next(self, key: VmKey | None = None) -> None:
        """Begin the next move, or one in particular; end where there is none."""
        run, under = self._run, self._under
        assert run is not None
        left = [step for step in run.left if key in (None, step.move.key)]
        if under is None or not left or run.stopping or (key is None and not under.everything):
            self._finish()
            return
        step = left[0]
        vm = self._engine.fleet.vm(step.move.key)
        if vm is None:
            self._settle(step, Outcome.REFUSED, "it is not on this host any more")
            self._next()
            return
        under.check = MoveCheck(self._engine, vm, step.move.destination, self.wake)
        self._set(step, replace(step, outcome=Outcome.CHECKING))
        self._show(stage=Stage.CHECKING)

    def _check(self, under: _Under, check: MoveCheck) -> None:
        assert self._run is not None
        step = self._run.current
        result = check.advance()
        if step is None or result is None:
            return
        under.check = None
        failed = [each for each in result.checks if each.grade is Grade.FAIL]
        if failed or result.problem:
            why = result.problem or "; ".join(f"{each.title}: {each.evidence}" for each in failed)
            self._refuse(step, why)
            return
        warnings = tuple(each for each in result.checks if each.grade is Grade.WARN)
        under.key = step.move.key
        self._set(step, replace(step, outcome=Outcome.MOVING, warnings=warnings))
        self._show(stage=Stage.MOVING)
        vm = check.vm
        _log.info("plan: move %s from %s to %s", vm.name, vm.key.host, step.move.destination)
        self._engine.migrate(MigrationRequest(vm.key, vm.name, vm.id, step.move.destination, result.options))

    def _refuse(self, step: Step, why: str) -> None:
        """Take note that a move cannot be made; a host that is to be emptied may find another place for the VM."""
        assert self._run is not None
        self._barred[step.move.key.uuid, step.move.destination] = clean(why, 200)
        self._settle(step, Outcome.REFUSED, why)
        self._judge_rest()
        self._next()

    def _follow(self, migration: Migration) -> None:
        """Follow the migration under way; remember when VMs were moved, by whomever."""
        request, run, under = migration.request, self._run, self._under
        if migration.phase is Phase.DONE:
            self._last_moved_s[request.key.uuid] = self._clock()
        if run is None or under is None or run.stage is not Stage.MOVING or request.key != under.key:
            return
        step = run.current
        if step is None or step.move.destination != request.destination:
            return
        if not migration.phase.ended:
            self._set(step, replace(step, migration=migration, message=migration.message))
            return
        outcome = _ENDS[migration.phase]
        if outcome is Outcome.DONE:
            cores = step.move.cores
            self._moved.append(Moved(request.key.uuid, request.key.host, request.destination, self._clock(), cores))
        elif outcome is Outcome.FAILED:
            self._barred[request.key.uuid, request.destination] = clean(f"moving it there failed: {migration.message}", 200)
        self._set(step, replace(step, outcome=outcome, message=migration.message, migration=migration))
        if outcome in (Outcome.CANCELLED, Outcome.UNKNOWN):
            name = step.move.name
            why = "was cancelled" if outcome is Outcome.CANCELLED else "has an end that is not known"
            self._show(stopping=True, message=f"stopped: the move of {name} {why}")
        under.key, under.measured_from_s = None, self._clock()
        self._show(stage=Stage.MEASURING)

    def _measured(self, under: _Under) -> bool:
        """Whether all hosts that answer have been looked at for a while since the last move."""
        hosts = [host for host in self._engine.fleet.hosts.values() if host.link is Link.UP]
        since_s = under.measured_from_s
        fresh = all((host.sampled_at_s or 0.0) >= since_s + max(_SETTLE_S, 2 * host.interval_s) for host in hosts)
        return fresh or self._clock() - since_s > _SETTLE_MOST_S

    def _judge_rest(self) -> None:
        """Plan anew by the figures of now, and keep of the moves that were agreed to those that still have a reason."""
        assert self._run is not None
        plan = self._plan()
        agreed = self._run.left
        if self._run.evacuating:
            # The host is to be emptied: where its VMs go may change.
            self._replace(plan)
            return
        again = {(move.key, move.destination): move for move in plan.moves}
        kept = [again[step.move.key, step.move.destination] for step in agreed if _target(step.move) in again]
        for step in agreed:
            if _target(step.move) not in again:
                self._settle(step, Outcome.DROPPED, "its reason has gone by the figures of now")
        self._replace(reconsider(plan, kept))

    def _finish(self) -> None:
        """Let it rest; what could be moved next is shown and waits."""
        assert self._run is not None
        self._under = None
        self._show(stage=Stage.READY, stopping=False)

    def _set(self, step: Step, after: Step) -> None:
        assert self._run is not None
        self._show(steps=tuple(after if each is step else each for each in self._run.steps))

    def _settle(self, step: Step, outcome: Outcome, message: str) -> None:
        _log.info("plan: %s: %s: %s", step.move.name, outcome.value, message)
        self._set(step, replace(step, outcome=outcome, message=clean(message, 300)))


def _target(move: Move) -> tuple[VmKey, str]:
    return move.key, move.destination
