"""`kvmtui balance`: watches for a while, says which VMs to move and why, and moves them when told to."""

import json
import sys
import threading
from dataclasses import dataclass
from typing import TextIO

from kvmtui.config import BalanceSettings, ConfigError
from kvmtui.engine.engine import Engine
from kvmtui.model.host import Link
from kvmtui.model.plan_run import Allowed, Outcome, PlanRun, Step
from kvmtui.report.plan_json import plan_json
from kvmtui.report.plan_text import plan_text, step_text

DONE, NOT_ALL, NOT_KNOWN = 0, 1, 3
"""Exit codes; 2 is a wrong argument."""
_CONNECT_S = 15.0
"""How long a host may take to answer for the first time, beyond the time to watch."""
_READ_S = 60.0
"""How long definitions may take to be read."""
_PAUSE_S = 0.25
_CLEAR_LINE = "\r\x1b[K"


def report_balance(
    engine: Engine, wanted: BalanceSettings, out: TextIO | None = None, err: TextIO | None = None
) -> int:
    """Return the exit code of a run.

    Raises `ConfigError` for a host that is not there, `BrokenPipeError` when nobody reads any more.
    """
    return _Report(engine, wanted, out or sys.stdout, err or sys.stderr).run()


@dataclass(slots=True)
class _Told:
    """What has been said of a move."""

    outcome: Outcome
    tenths: int = 0


class _Report:
    """One run of the command."""

    def __init__(self, engine: Engine, wanted: BalanceSettings, out: TextIO, err: TextIO) -> None:
        self._engine = engine
        self._wanted = wanted
        self._out = out
        self._err = err
        self._news = threading.Event()
        self._told: dict[str, _Told] = {}
        self._unwritten: OSError | None = None
        """Why there is no more output."""
        engine.listeners.fleet_changed = self._news.set
        engine.listeners.plans_changed = self._news.set

    def run(self) -> int:
        """Watch, plan, print, and make the moves where that is wanted."""
        try:
            self._watch()
            evacuating = self._host(self._wanted.evacuate) if self._wanted.evacuate else ""
            run = self._plan(evacuating)
        except KeyboardInterrupt:
            self._say("interrupted; nothing was done")
            return NOT_ALL
        if run is None:
            return NOT_KNOWN
        # With JSON, what became of it is printed, and once.
        if not self._wanted.run or not self._wanted.as_json:
            self._print(run)
        if self._wanted.run and self._unwritten is None:
            self._make_moves(run)
            run = self._engine.plans.run or run
            if self._wanted.as_json:
                self._print(run)
        if isinstance(self._unwritten, BrokenPipeError):
            raise self._unwritten
        if self._unwritten is not None:
            self._say(f"the output cannot be written: {self._unwritten.strerror}")
            return NOT_ALL
        return _code(run)

    # Watching

    def _watch(self) -> None:
        """Return when all hosts have been watched for long enough, or some will not answer."""
        self._engine.start()
        began_s = self._engine.clock()
        while True:
            now_s, fleet = self._engine.clock(), self._engine.fleet
            waited_s = now_s - began_s
            up = [host for host in fleet.hosts.values() if host.link is Link.UP]
            seen = min((host.figures.cpu_mean_s for host in up), default=0.0)
            open_ = any(host.link is Link.CONNECTING for host in fleet.hosts.values()) or seen < self._wanted.watch_s
            if waited_s >= self._wanted.watch_s + (_CONNECT_S if open_ else 0.0):
                break
            if self._err.isatty():
                hosts = f"{len(up)} of {len(fleet.hosts)} hosts"
                self._err.write(f"{_CLEAR_LINE}watching {hosts}: {seen:.0f} of {self._wanted.watch_s:.0f} s")
                self._err.flush()
            self._wait()
        if self._err.isatty():
            self._err.write(_CLEAR_LINE)
        for host in self._engine.fleet.hosts.values():
            if host.link is not Link.UP:
                self._say(f"{host.name}: not connected: {host.problem or 'it does not answer'}")

    def _host(self, wanted: str) -> str:
        """Return the key of the host of that name or URI."""
        hosts = self._engine.fleet.hosts
        found = [host.key for host in hosts.values() if wanted in (host.key, host.name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(f"--evacuate: {wanted!r} is the name of {len(found)} hosts; give the URI of one")
        names = ", ".join(host.name for host in hosts.values())
        raise ConfigError(f"--evacuate: no host is called {wanted!r}; there are {names}")

    def _plan(self, evacuating: str) -> PlanRun | None:
        """Return the plan, or None where nothing can be said."""
        up = [host for host in self._engine.fleet.hosts.values() if host.link is Link.UP]
        if len(up) < 2:
            self._say(f"a move takes two connected hosts; of {len(self._engine.fleet.hosts)} there is {len(up)}")
            return None
        if evacuating and evacuating not in {host.key for host in up}:
            self._say("the host to be emptied is not connected")
            return None
        plans = self._engine.plans
        plans.look(evacuating, Allowed(self._wanted.copy_disks, self._wanted.over_limits))
        deadline_s = self._engine.clock() + _READ_S
        while (run := plans.run) is None or run.plan is None:
            if run is not None and run.message:
                self._say(run.message)
                return None
            if self._engine.clock() > deadline_s:
                self._say(f"the definitions of the VMs were not told in {_READ_S:.0f} s")
                return None
            self._wait()
        return run

    # Moving

    def _make_moves(self, run: PlanRun) -> None:
        """Make all moves, with a line for each state; ^C aborts the one under way and makes no other.

        So does output that cannot be written: nothing moves that is not told of.
        """
        plans = self._engine.plans
        if not run.left:
            return
        plans.go()
        aborting = False
        began = False
        while True:
            try:
                now = plans.run
                if now is not None:
                    self._follow(now)
                    if self._unwritten is not None and not aborting:
                        aborting = True
                        plans.abort()
                    began = (
                        began or now.stage.running or bool(now.message) or any(step.outcome.over for step in now.steps)
                    )
                    if began and not now.stage.running:
                        if now.message:
                            self._say(now.message)
                        return
                self._wait()
            except KeyboardInterrupt:
                if aborting:
                    self._stands(plans.run)
                    return
                aborting = True
                self._say("aborting; ^C again leaves at once, whatever is under way")
                plans.abort()

    def _follow(self, run: PlanRun) -> None:
        for number, step in enumerate(run.steps, 1):
            key = f"{step.move.vm.uuid} {step.move.destination}"
            told = self._told.setdefault(key, _Told(Outcome.PLANNED))
            tenths = _tenths(step)
            if step.outcome is not told.outcome or tenths > told.tenths:
                told.outcome, told.tenths = step.outcome, tenths
                self._write(self._lines, f"{number}/{len(run.steps)} {step_text(step)}\n")

    def _stands(self, run: PlanRun | None) -> None:
        step = run.current if run is not None else None
        if step is None:
            self._say("left; no move is under way")
        else:
            names = f"{step.move.name} from {step.move.source_name} to {step.move.destination_name}"
            self._say(f"left while {names} is {step.outcome.value}: the hosts may go on with it; ask them")

    # Printing

    @property
    def _lines(self) -> TextIO:
        return self._err if self._wanted.as_json else self._out

    def _print(self, run: PlanRun) -> None:
        name = self._engine.fleet.hosts[run.evacuating].name if run.evacuating else ""
        if self._wanted.as_json:
            self._write(self._out, json.dumps(plan_json(run, name), indent=2) + "\n")
        else:
            self._write(self._out, plan_text(run, name))

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except OSError as error:
            self._unwritten = error

    def _say(self, text: str) -> None:
        print(f"kvmtui: {text}", file=self._err, flush=True)

    def _wait(self) -> None:
        self._news.wait(_PAUSE_S)
        self._news.clear()


def _tenths(step: Step) -> int:
    """Return how far a move is, in tenths: a line for each is enough."""
    migration = step.migration
    if step.outcome is not Outcome.MOVING or migration is None:
        return 0
    progress = migration.progress
    fraction = progress.fraction if progress is not None else migration.job.progress if migration.job else None
    return int((fraction or 0.0) * 10)


def _code(run: PlanRun) -> int:
    """Return the exit code for how a plan stands."""
    if any(step.outcome is Outcome.UNKNOWN for step in run.steps):
        return NOT_KNOWN
    if any(step.outcome.bad for step in run.steps) or run.message:
        return NOT_ALL
    plan = run.plan
    if plan is None or any(host.connected and host.unknown for host in plan.basis.hosts):
        return NOT_KNOWN
    if not run.steps and any(vm.unknown and not vm.immovable for vm in plan.basis.vms):
        return NOT_KNOWN
    return NOT_ALL if run.evacuating and plan.unmoved else DONE
