"""What the main screen has to do with plans: opens them, and says how one fares while it is out of sight."""

from typing import TYPE_CHECKING

from textual import on

from kvmtui.ui.messages import PlansChanged
from kvmtui.ui.screens.acting_screen import ActingScreen
from kvmtui.ui.widgets.bars import TitleBar
from kvmtui.ui.widgets.host_list import HostList

if TYPE_CHECKING:
    # What is not needed before the first key is not imported before the first picture.
    from kvmtui.model.plan_run import PlanRun
    from kvmtui.ui.screens.plan import PlanScreen


class PlanningScreen(ActingScreen):
    """Turns keys into plans."""

    _plan_screen: "PlanScreen | None" = None
    _plan_ran: bool = False
    """Whether a plan was running when it was last heard of."""

    def action_balance(self) -> None:
        """Show which VMs to move so that the hosts are even."""
        self._open_plan()

    def action_evacuate(self) -> None:
        """Choose a host to be emptied, first the one of the selected VM."""
        from kvmtui.ui.screens.host_choice import HostChoiceScreen

        plans = self._engine.plans
        if plans.running:
            self._open_plan()
            return
        hosts = list(self.shown_fleet.hosts.values())
        if len(hosts) < 2:
            self.note("empty a host: there is no other host; give kvmtui a second -c URI", "$text-warning")
            return
        selected = self.selected
        notes = dict.fromkeys(plans.maintenance, "takes no VMs")

        def chosen(host: str | None) -> None:
            if host is not None:
                self._open_plan(host)

        first = hosts[0].key if selected is None else selected.key.host
        self.app.push_screen(HostChoiceScreen("Empty which host?", hosts, first, notes), chosen)

    def _open_plan(self, evacuating: str = "") -> None:
        from kvmtui.ui.screens.plan import PlanScreen

        plans = self._engine.plans
        if not plans.running:
            plans.look(evacuating)
        self._plan_screen = PlanScreen(self._engine, self._glyphs, self._plan_note)
        self.app.push_screen(self._plan_screen, self._plan_closed)

    def _plan_note(self, text: str) -> None:
        self.note(text, "$text-warning")

    def _plan_closed(self, _: None) -> None:
        self._plan_screen = None
        self._engine.plans.discard()

    @on(PlansChanged)
    def _plans_changed(self) -> None:
        run = self._engine.plans.run
        self.query_one(HostList).emptied = frozenset(self._engine.plans.maintenance)
        if self._plan_screen is not None:
            self._plan_screen.follow()
        running = run is not None and run.stage.running
        self.query_one(TitleBar).plan = _in_short(run) if running and run is not None else self._hint()
        if self._plan_ran and not running and run is not None:
            self.note(_ended(run), "$text-success" if _all_well(run) else "$text-warning")
            if self._plan_screen is None:
                self._engine.plans.discard()
        self._plan_ran = running

    def _hint(self) -> str:
        uneven = self._engine.uneven
        return f"uneven hosts: {uneven} (B)" if uneven else ""


def _in_short(run: "PlanRun") -> str:
    return f"plan: {len(run.done)} of {len(run.steps)} moved (B)"


def _all_well(run: "PlanRun") -> bool:
    return not any(step.outcome.bad for step in run.steps) and not run.message


def _ended(run: "PlanRun") -> str:
    """Return one line about a plan that has come to rest."""
    counts: dict[str, int] = {}
    for step in run.steps:
        counts[step.outcome.value] = counts.get(step.outcome.value, 0) + 1
    said = ", ".join(f"{count} {words}" for words, count in counts.items())
    return f"plan: {run.message or 'ended'}: {said}"
