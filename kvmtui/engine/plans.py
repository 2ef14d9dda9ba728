"""Plans to move VMs: made when asked for, edited, run, forgotten; never anything by itself.

One daemon thread makes and runs them, from the first that is asked for on. It waits for no host, only for what it is
told: commands, answers, new figures.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING

from kvmtui.engine.definitions import Definitions
from kvmtui.engine.loads import Knowledge, Moved
from kvmtui.engine.plan_runner import PlanRunner
from kvmtui.engine.poller import HostPoller
from kvmtui.model.balance_load import Limits
from kvmtui.model.history import History
from kvmtui.model.migration import Migration, Phase
from kvmtui.model.plan_run import PlanRun
from kvmtui.model.vm import VmKey

if TYPE_CHECKING:
    from kvmtui.engine.engine import Engine

_log = logging.getLogger(__name__)


class Plans:
    """Keeps at most one plan; all methods return at once, and any thread may call them."""

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
        self._knowledge = Knowledge(Definitions(pollers, self.wake, engine.clock), histories, engine.closed_hosts)
        self._runner: PlanRunner | None = None
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._woken = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    @property
    def run(self) -> PlanRun | None:
        """The plan as it stands; None: there is none."""
        runner = self._runner
        return None if runner is None else runner.view

    @property
    def running(self) -> bool:
        """Whether moves are being made."""
        run = self.run
        return run is not None and run.stage.running

    @property
    def maintenance(self) -> tuple[str, ...]:
        """The hosts that nothing is moved to, because they are being emptied, or were."""
        return tuple(self._knowledge.maintenance)

    @property
    def moved(self) -> list[Moved]:
        """The VMs that a plan has moved within the time that figures are averaged over."""
        return [*self._knowledge.moved]

    def look(self, evacuating: str = "", why: str = "") -> None:
        """Make a plan anew: to even the hosts out, or to empty one; not while one is running; `why` is said in it."""
        self._work.put(lambda: self._look(evacuating, why))
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="plans", daemon=True)
                self._thread.start()

    def go(self, key: VmKey | None = None) -> None:
        """Make one of the moves, or all of them one at a time."""
        self._tell(lambda runner: runner.go(key))

    def stop(self) -> None:
        """End after the move under way."""
        self._tell(PlanRunner.stop)

    def abort(self) -> None:
        """End now: the VM under way stays where it was, if its hosts obey."""
        self._tell(PlanRunner.abort)

    def remove(self, key: VmKey) -> None:
        """Take a move out of the plan."""
        self._tell(lambda runner: runner.remove(key))

    def redirect(self, key: VmKey, destination: str) -> None:
        """Send a VM of the plan to another host."""
        self._tell(lambda runner: runner.redirect(key, destination))

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
        if self._runner is not None and not self._woken:
            self._woken = True
            self._work.put(lambda: None)

    def migration_changed(self, migration: Migration) -> None:
        """Take note of how a migration stands, whoever asked for it."""
        if migration.phase.ended or self.running:
            self._work.put(lambda: self._follow(migration))

    # All below runs in the thread of the plans.

    def _tell(self, command: Callable[[PlanRunner], None]) -> None:
        self._work.put(lambda: None if self._runner is None else command(self._runner))

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            self._woken = False
            try:
                work()
                if self._runner is not None:
                    self._runner.advance()
            except Exception:  # noqa: BLE001 - a defect must not leave a plan that says it is running
                _log.exception("plans")
                if self._runner is not None:
                    self._runner.fail("an internal error; run with --log FILE to see it")

    def _look(self, evacuating: str, why: str) -> None:
        if self.running:
            return
        self._runner = PlanRunner(self._engine, self._knowledge, self._limits, evacuating, self._changed, self.wake)
        self._runner.view = replace(self._runner.view, message=why)
        self._changed()

    def _take_back(self, host: str) -> None:
        self._knowledge.maintenance.pop(host, None)
        self._discard()

    def _discard(self) -> None:
        if not self.running:
            self._runner = None
            self._changed()

    def _follow(self, migration: Migration) -> None:
        if migration.phase is Phase.DONE:
            ended_s = migration.ended_at_s or self._engine.clock()
            self._knowledge.last_moved_s[migration.request.key.uuid] = ended_s
        if self._runner is not None:
            self._runner.follow(migration)
