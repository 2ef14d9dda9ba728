"""One plan: made from the figures of the hosts, run move by move, each checked before and the rest judged after."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kvmtui.engine.loads import Knowledge, Moved, host_loads, vm_loads
from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.model.balance import assess, balance, evacuate, reconsider, without
from kvmtui.model.balance_load import HostLoad, Limits, VmLoad
from kvmtui.model.balance_plan import Choice, Move, Plan, Why, choices
from kvmtui.model.clean import clean
from kvmtui.model.host import Link
from kvmtui.model.migration import Migration, MigrationRequest, Phase, Steer
from kvmtui.model.plan_check import check_move
from kvmtui.model.plan_run import Allowed, Outcome, PlanRun, Stage, Step
from kvmtui.model.preflight_values import Grade, GuestNeeds, HostOffers
from kvmtui.model.vm import Vm, VmKey

if TYPE_CHECKING:
    from kvmtui.engine.engine import Engine

_log = logging.getLogger(__name__)
_SETTLE_S = 5.0
"""For how long the hosts are measured after a move before the next is judged; two looks where there is no next."""
_SETTLE_MOST_S = 60.0
"""How long new figures are waited for."""
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
    first: VmKey | None = None
    """The VM to begin with, and to end with; None: in the order of the plan."""
    reading: bool = False
    """Whether definitions are read anew before the first move."""
    look: tuple[Vm, Future[tuple[GuestNeeds, HostOffers]]] | None = None
    """The VM that is checked, as it was when that began, and what both hosts tell before its move."""
    key: VmKey | None = None
    """The VM on its way."""
    ended_at_s: float = 0.0
    """When the last move ended."""


class PlanRunner:
    """Makes and runs one plan; used by the thread of `Plans`, but for `view`."""

    def __init__(
        self,
        engine: "Engine",
        known: Knowledge,
        limits: Limits,
        evacuating: str,
        allowed: Allowed,
        changed: Callable[[], None],
        wake: Callable[[], None],
    ) -> None:
        """`wake` has `advance` called soon."""
        self._engine = engine
        self._known = known
        self._limits = limits
        self._changed = changed
        self._wake = wake
        self._under: _Under | None = None
        self._redirected: set[VmKey] = set()
        known.allowed = allowed
        self._read_again(evacuating)
        self.view = PlanRun(Stage.READING, evacuating, allowed, read=known.definitions.progress)
        """The plan as it stands."""

    def advance(self) -> None:
        """Go on with what can go on."""
        under = self._under
        if self.view.stage is Stage.READING:
            complete = self._known.definitions.advance()
            self._show(read=self._known.definitions.progress)
            if complete:
                self._make()
        elif under is None:
            return
        elif under.reading:
            if self._known.definitions.advance():
                under.reading = False
                self._next(under.first)
        elif under.look is not None:
            self._check(under, *under.look)
        elif self.view.stage is Stage.MEASURING and self._known.definitions.advance() and self._measured(under):
            self._judge_rest()
            self._next()

    def _read_again(self, evacuating: str) -> None:
        """Have the definitions read that are not of these seconds: somebody may have pinned a VM meanwhile."""
        self._known.definitions.refresh(self._engine.fleet, whole=evacuating or None)

    def fail(self, message: str) -> None:
        """Come to rest after a defect."""
        self._under = None
        if (step := self.view.current) is not None:
            begun = step.outcome is Outcome.MOVING
            words = "the plan follows it no more: see where it is" if begun else "it had not begun"
            self._settle(step, Outcome.UNKNOWN if begun else Outcome.CANCELLED, words)
        self._show(stage=Stage.READY, message=message, stopping=False)

    def _show(self, **changes: Any) -> None:
        after = replace(self.view, **changes)
        if after != self.view:
            self.view = after
            self._changed()

    def _make(self) -> None:
        """Make the plan by the figures of now."""
        hosts, vms, now_s = self._loads()
        host = self.view.evacuating
        plan = self._evacuate(host, hosts, vms, now_s) if host else balance(hosts, vms, self._limits, now_s)
        up = [each for each in self._engine.fleet.hosts.values() if each.link is Link.UP]
        watched_s = min((each.figures.cpu_mean_s for each in up), default=0.0)
        self._show(stage=Stage.READY, plan=plan, steps=tuple(map(Step, plan.moves)), watched_s=watched_s)

    def _loads(self) -> tuple[list[HostLoad], list[VmLoad], float]:
        now_s, fleet = self._engine.clock(), self._engine.fleet
        self._known.forget(now_s)
        whole = self.view.evacuating
        hosts = host_loads(fleet, self._known.moved, self._known.maintenance, now_s, self._known.closed)
        return hosts, vm_loads(fleet, self._known, now_s, whole), now_s

    # Edits

    def remove(self, key: VmKey) -> None:
        """Take a move out."""
        if self.view.plan is not None and self._left(key) is not None:
            self._replace(without(self.view.plan, key))

    def redirect(self, key: VmKey, destination: str) -> None:
        """Send a VM elsewhere."""
        plan = self.view.plan
        if plan is not None and self._left(key) is not None:
            self._redirected.add(key)
            chosen = [(vm, destination if vm == key else host) for vm, host in choices(plan.moves)]
            self._replace(reconsider(plan, chosen))

    def _left(self, key: VmKey) -> Step | None:
        return next((step for step in self.view.left if step.move.vm == key), None)

    def _replace(self, plan: Plan) -> None:
        """Put another plan for what is left; what is over or under way stays as it is."""
        kept = tuple(step for step in self.view.steps if step.outcome is not Outcome.PLANNED)
        busy = {step.move.vm for step in kept if not step.outcome.over}
        self._show(plan=plan, steps=(*kept, *(Step(move) for move in plan.moves if move.vm not in busy)))

    # Running

    def go(self, key: VmKey | None) -> None:
        """Begin with one of the moves, or with all of them."""
        if self.view.stage is Stage.READY and self.view.left and not self._engine.read_only:
            if self.view.evacuating:
                self._known.maintenance[self.view.evacuating] = None
            self._under = _Under(everything=key is None, first=key, reading=True)
            self._read_again(self.view.evacuating)
            self._show(stage=Stage.CHECKING, message="", stopping=False)

    def stop(self) -> None:
        """End after the move under way."""
        if self.view.stage.running:
            self._show(stopping=True)

    def abort(self) -> None:
        """End now."""
        under, step = self._under, self.view.current
        if under is None:
            return
        self.stop()
        if under.key is not None:
            self._engine.steer(under.key, Steer.ABORT)
            return
        if step is not None:
            self._settle(step, Outcome.CANCELLED, "stopped before it began")
        self._finish()

    def _next(self, key: VmKey | None = None) -> None:
        """Begin the next move, or one in particular; end where there is none."""
        under = self._under
        if under is None or self.view.stopping:
            self._finish()
            return
        for step in self.view.left:
            if key is None and not under.everything:
                break
            if key not in (None, step.move.vm):
                continue
            vm = self._engine.fleet.vm(step.move.vm)
            if vm is None:
                self._settle(step, Outcome.REFUSED, "it is not on this host any more")
                continue
            if why := self._bound(step):
                self._settle(step, Outcome.REFUSED, why)
                continue
            told = self._engine.look_before_move(vm.key, [step.move.destination])[step.move.destination]
            told.add_done_callback(lambda _: self._wake())
            under.look = vm, told
            self._set(step, replace(step, outcome=Outcome.CHECKING))
            self._show(stage=Stage.CHECKING)
            return
        self._finish()

    def _bound(self, step: Step) -> str:
        """Return what the definitions say by now against a move, or nothing."""
        definitions, destination = self._known.definitions, step.move.destination
        known = definitions.get(step.move.vm)
        if known is None or known.config is None:
            return "its definition is not known" if known is None else f"its definition: {known.problem}"
        if known.config.pinned:
            return "it is pinned to its host"
        for uuid in () if step.move.broken else self._engine.fleet.hosts[destination].vms:
            other = definitions.get(VmKey(destination, uuid))
            groups = () if other is None or other.config is None else other.config.apart
            if both := sorted(set(groups).intersection(known.config.apart)):
                return f"another of group {both[0]} is on {step.move.destination_name}"
        return ""

    def _check(self, under: _Under, vm: Vm, told: "Future[tuple[GuestNeeds, HostOffers]]") -> None:
        """Begin the move once both hosts have told, and no check has failed."""
        step = self.view.current
        if step is None or not told.done():
            return
        under.look = None
        try:
            result = check_move(*told.result(), self._known.allowed, active=vm.state.active)
        except HypervisorError as error:
            self._refuse(step, clean(str(error), 200))
            return
        except Exception:  # noqa: BLE001 - a defect in a check must cost this move alone, not the plan
            _log.exception("checking a move")
            self._refuse(step, "an internal error; run with --log FILE to see it")
            return
        failed = [each for each in result.checks if each.grade is Grade.FAIL]
        if failed or result.problem:
            self._refuse(step, result.problem or "; ".join(f"{each.title}: {each.evidence}" for each in failed))
            return
        warnings = tuple(each for each in result.checks if each.grade is Grade.WARN)
        under.key = vm.key
        self._set(step, replace(step, outcome=Outcome.MOVING, warnings=warnings))
        self._show(stage=Stage.MOVING)
        _log.info("plan: move %s from %s to %s", vm.name, vm.key.host, step.move.destination)
        self._engine.migrate(MigrationRequest(vm.key, vm.name, vm.id, step.move.destination, result.options))

    def _refuse(self, step: Step, why: str) -> None:
        self._bar(step, why)
        self._settle(step, Outcome.REFUSED, why)
        self._judge_rest(also=step if self.view.evacuating else None)
        self._next()

    def _bar(self, step: Step, why: str) -> None:
        """Propose this move no more for a while."""
        self._known.barred[step.move.vm.uuid, step.move.destination] = clean(why, 200), self._engine.clock()

    def follow(self, migration: Migration) -> None:
        """Follow the migration under way."""
        request, under, step = migration.request, self._under, self.view.current
        if under is None or step is None or under.key != request.key or step.move.destination != request.destination:
            return
        if not migration.phase.ended:
            self._set(step, replace(step, migration=migration, message=migration.message))
            return
        now_s, outcome = migration.ended_at_s or self._engine.clock(), _ENDS[migration.phase]
        if outcome is Outcome.DONE:
            key = request.key
            self._known.moved.append(Moved(key.uuid, key.host, request.destination, now_s, self._cores(key)))
        elif outcome is Outcome.FAILED:
            self._bar(step, f"migrating it there failed: {migration.message}")
        self._set(step, replace(step, outcome=outcome, message=migration.message, migration=migration))
        if outcome in (Outcome.CANCELLED, Outcome.UNKNOWN):
            why = "was aborted" if outcome is Outcome.CANCELLED else "has an end that is not known"
            self._show(stopping=True, message=f"stopped: the migration of {step.move.name} {why}")
        elif migration.astray:
            words = f"stopped: {step.move.name} has to be seen to first: {migration.message}"
            self._show(stopping=True, message=clean(words, 300))
        under.key, under.ended_at_s = None, now_s
        self._read_again(self.view.evacuating)
        self._show(stage=Stage.MEASURING)

    def _cores(self, key: VmKey) -> float:
        """Return what a VM of the plan used when it was planned."""
        vms = self.view.plan.basis.vms if self.view.plan is not None else ()
        return next((vm.cores_used or 0.0 for vm in vms if vm.key == key), 0.0)

    def _measured(self, under: _Under) -> bool:
        """Whether all hosts that answer have been looked at for a while since the last move."""
        goes_on = self.view.left and under.everything and not self.view.stopping
        least_s, since_s = _SETTLE_S if goes_on else 0.0, under.ended_at_s
        hosts = [host for host in self._engine.fleet.hosts.values() if host.link is Link.UP]
        fresh = all((host.sampled_at_s or 0.0) >= since_s + max(least_s, 2 * host.interval_s) for host in hosts)
        return fresh or self._engine.clock() - since_s > _SETTLE_MOST_S

    def _judge_rest(self, also: Step | None = None) -> None:
        """Keep of the moves that were agreed to those that still have a reason by the figures of now.

        A host that is to be emptied may find another place for a VM, also for that of the move `also`.
        """
        hosts, vms, now_s = self._loads()
        host, agreed = self.view.evacuating or None, self.view.left
        plan = self._assess(choices([step.move for step in agreed]), hosts, vms, now_s)
        fine = {move.vm: move.destination for move in plan.moves if self._worthwhile(move)}
        reasons = {move.vm: move.broken for move in plan.moves} | {each.vm: each.why for each in plan.unmoved}
        if host is not None:
            anew = self._evacuate(host, hosts, vms, now_s)
            fine = {move.vm: move.destination for move in anew.moves} | fine
        chosen: list[Choice] = []
        for step in (*agreed, *((also,) if also is not None else ())):
            vm = step.move.vm
            if vm in fine:
                chosen.append((vm, fine[vm]))
            elif step is not also:
                why = reasons.get(vm) or "its reason has gone"
                self._settle(step, Outcome.DROPPED, f"by the figures of now: {why}")
        self._replace(self._assess(chosen, hosts, vms, now_s))

    def _evacuate(self, host: str, hosts: list[HostLoad], vms: list[VmLoad], now_s: float) -> Plan:
        return evacuate(host, hosts, vms, self._limits, now_s, over_limits=self.view.allowed.over_limits)

    def _assess(self, chosen: Sequence[Choice], hosts: list[HostLoad], vms: list[VmLoad], now_s: float) -> Plan:
        host = self.view.evacuating or None
        over_limits = host is not None and self.view.allowed.over_limits
        return assess(chosen, hosts, vms, self._limits, now_s, host, over_limits=over_limits)

    def _worthwhile(self, move: Move) -> bool:
        # What the user chose needs no other reason.
        return move.vm in self._redirected or (not move.broken and move.why is not Why.LITTLE)

    def _finish(self) -> None:
        """Come to rest."""
        self._under = None
        self._show(stage=Stage.READY, stopping=False)

    def _set(self, step: Step, after: Step) -> None:
        self._show(steps=tuple(after if each is step else each for each in self.view.steps))

    def _settle(self, step: Step, outcome: Outcome, message: str) -> None:
        _log.info("plan: %s: %s: %s", step.move.name, outcome.value, message)
        self._set(step, replace(step, outcome=outcome, message=clean(message, 300)))
