"""The plan on the screen: what it shows, what its keys do, and that nothing happens without one."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

from kvmtui.model.balance_plan import step
from kvmtui.model.migration_progress import Progress, Verdict
from kvmtui.model.plan_run import Allowed, Outcome
from kvmtui.model.plan_run import Stage as PlanStage
from kvmtui.ui.screens.plan import PlanScreen
from kvmtui.ui.screens.plan_lines import headline, step_line
from tests.ui.played_moves import running
from tests.ui.stage import H1, H2, Stage, dashboard

WATCHED_S = 60


@asynccontextmanager
async def watched(*keys: str, see: str = "", **options: Any) -> AsyncIterator[Stage]:
    """Give a dashboard that has watched its hosts for long enough, after these keys and when this is on the screen."""
    async with dashboard(**options) as stage:
        stage.watch_for(WATCHED_S)
        await stage.look()
        await stage.press(*keys)
        await stage.see(see)
        yield stage


def evening_out(**options: Any) -> AbstractAsyncContextManager[Stage]:
    """Give a dashboard with a plan of one move on the screen."""
    return watched("B", see="web1 h1→h2", **options)


def emptying_h1() -> AbstractAsyncContextManager[Stage]:
    """Give a dashboard with a plan of four moves on the screen."""
    return watched("E", "home", "enter", see="4 moves proposed")


async def run_on(stage: Stage) -> None:
    """Let time pass until the plan has come to rest."""
    await stage.until(lambda: stage.engine.plans.running)
    await stage.look_until(lambda: not stage.engine.plans.running, seconds=1.0)


def moving(stage: Stage, *, done: int) -> bool:
    """Tell whether a move of the plan is under way that can be aborted, after so many others."""
    run = stage.engine.plans.run
    return (
        run is not None and run.current is not None and run.current.outcome is Outcome.MOVING and len(run.done) == done
    )


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_plan_is_shown_with_its_reasons_and_nothing_is_moved(size: tuple[int, int]) -> None:
    async with watched(size=size) as stage:
        await stage.press("B")
        await stage.see("1 move proposed", "figures of the last")
        await stage.see("web1 h1→h2", "CPU", "GiB")
        await stage.see("HOST", "CPU", "MEMORY")
        await stage.see("Enter", "R", "d")
        await stage.press("escape")
        assert stage.count(PlanScreen) == 0
        await stage.look(5.0)
        assert stage.engine.submitted == []


async def test_enter_makes_the_move_and_the_end_is_told() -> None:
    async with evening_out() as stage:
        await stage.press("enter")
        await run_on(stage)
        assert stage.engine.submitted == ["migrate web1"]
        await stage.see("web1 h1→h2", "moved")
        assert stage.key("web1").host == H2
        await stage.press("escape")
        await stage.says("plan", "1 moved")


@pytest.mark.parametrize("key", ["enter", "R"])
async def test_nothing_is_moved_by_old_figures(key: str) -> None:
    async with watched() as stage:
        with patch("kvmtui.ui.screens.plan._now_s", lambda: 1000.0):
            await stage.press("B")
            await stage.see("web1 h1→h2")
        with patch("kvmtui.ui.screens.plan._now_s", lambda: 1000.0 + 3 * 3600):
            # The machine slept.
            before = stage.engine.plans.run
            await stage.press(key)
            await stage.until(lambda: stage.engine.plans.run is not before)
            await stage.see("the figures were 3 h old", "press the key")
            assert stage.engine.submitted == []
            assert stage.count(PlanScreen) == 1
            await stage.see("web1 h1→h2")
            await stage.press("enter")
            await run_on(stage)
        assert stage.engine.submitted == ["migrate web1"]


async def test_the_age_of_a_plan_is_shown() -> None:
    async with watched() as stage:
        with patch("kvmtui.ui.screens.plan._now_s", lambda: 1000.0):
            await stage.press("B")
            await stage.see("web1 h1→h2")
            assert not stage.line("figures of the last", "old")
        with patch("kvmtui.ui.screens.plan._now_s", lambda: 1130.0):
            screen = stage.app.screen
            assert isinstance(screen, PlanScreen)
            screen.follow()
            await stage.see("figures of the last", "2 m old")


async def test_a_plan_made_anew_has_the_keys() -> None:
    async with evening_out() as stage:
        screen = stage.app.screen
        assert isinstance(screen, PlanScreen)
        screen._show_moves(())
        await stage.until(lambda: screen.focused is None)
        await stage.press("r")
        await stage.until(lambda: screen.focused is not None)
        await stage.press("enter")
        await run_on(stage)
        assert stage.engine.submitted == ["migrate web1"]


async def test_all_moves_are_asked_for_once_and_no_is_the_default() -> None:
    async with evening_out() as stage:
        await stage.press("R")
        await stage.see("Move 1 VM between 2 hosts?")
        await stage.press("enter")
        assert stage.engine.submitted == []
        await stage.press("R")
        await stage.see("Move 1 VM between 2 hosts?")
        await stage.press("y")
        await run_on(stage)
        assert stage.engine.submitted == ["migrate web1"]


async def test_a_plan_that_runs_goes_on_while_it_is_out_of_sight() -> None:
    async with watched() as stage:
        await stage.press("E")
        await stage.see("Empty which host?")
        await stage.see("h1", "running")
        await stage.press("home", "enter")
        await stage.see("4 moves proposed")
        await stage.press("R", "y")
        await stage.until(lambda: (run := stage.engine.plans.run) is not None and run.current is not None)
        await stage.press("escape")
        await stage.look()
        await stage.see("kvmtui", "plan: 0 of 4 moved (B)")
        await stage.press("B")
        await stage.see("Empty h1")
        await stage.see("x", "stop after this one")
        await stage.press("x")
        await stage.see("stops after this one")
        await stage.look_until(lambda: not stage.engine.plans.running, seconds=1.0)
        run = stage.engine.plans.run
        assert run is not None
        assert [step.outcome for step in run.steps].count(Outcome.DONE) == 1
        # What is left is planned again, and the host may be taken back.
        await stage.press("r")
        await stage.see("3 moves proposed")
        await stage.press("b")
        await stage.says("h1 may receive VMs again")
        await stage.until(lambda: stage.engine.plans.maintenance == ())


async def test_moves_are_left_out_and_what_stays_is_unfolded() -> None:
    async with watched() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("E", "enter")
        await stage.see("4 moves proposed")
        await stage.press("d")
        await stage.see("3 moves proposed")
        await stage.press("n")
        await stage.see("win1 on h1", "pinned")
        await stage.press("n")
        assert stage.line("win1 on h1", "pinned") == ""


async def test_abort_asks_and_leaves_the_vm_where_it_was() -> None:
    async with emptying_h1() as stage:
        first = stage.engine.plans.run.left[0].move.name  # type: ignore[union-attr]
        await stage.press("R", "y")
        await stage.look_until(lambda: moving(stage, done=0), seconds=0.5)
        await stage.press("X")
        await stage.see(f"Abort the migration of {first}?")
        await stage.press("y")
        await stage.look_until(lambda: not stage.engine.plans.running, seconds=1.0)
        await stage.see(first, "aborted")
        assert stage.key(first).host == H1


async def test_amounts_and_times_are_not_rounded_to_nothing() -> None:
    async with evening_out() as stage:
        run = stage.engine.plans.run
        assert run is not None
        under_way = running("web1", 0.0, progress=Progress(Verdict.CONVERGING, 0.62, eta_s=0.2))
        line = step_line(1, replace(run.left[0], outcome=Outcome.MOVING, migration=under_way))
        assert "62 % · ~1 s left" in line.plain
        small = replace(run.left[0], move=replace(run.left[0].move, copy_bytes=600 * 2**20))
        done = replace(run, stage=PlanStage.MEASURING, steps=(replace(small, outcome=Outcome.DONE), small))
        assert "1 of 2 moved, ~600 MiB of ~1.2 GiB" in headline(done, str)[1].plain


async def test_an_abort_that_comes_too_late_aborts_no_other_move() -> None:
    async with emptying_h1() as stage:
        first = stage.engine.plans.run.left[0].move.name  # type: ignore[union-attr]
        await stage.press("R", "y")
        await stage.look_until(lambda: moving(stage, done=0), seconds=0.5)
        await stage.press("X")
        await stage.see(f"Abort the migration of {first}?")
        await stage.look_until(lambda: moving(stage, done=1), seconds=0.5)
        await stage.press("y")
        await stage.look_until(lambda: not stage.engine.plans.running, seconds=1.0)
        run = stage.engine.plans.run
        assert run is not None
        assert [step.outcome for step in run.steps].count(Outcome.DONE) == 2
        assert not [step for step in run.steps if step.outcome is Outcome.CANCELLED]


async def test_an_emptied_host_is_warned_of_and_taken_back_where_hosts_are_evened_out() -> None:
    async with emptying_h1() as stage:
        await stage.press("enter")
        await run_on(stage)
        await stage.see("1 moved")
        await stage.press("escape")
        assert stage.line(" h1 ", "takes no VMs")
        name = next(vm.name for vm in stage.engine.fleet.vms() if vm.key.host == H2 and vm.state.executing)
        await stage.put_cursor_on(name)
        await stage.press("m")
        await stage.see("WARN", "emptied")
        await stage.press("escape", "B")
        await stage.see("b take h1 back")
        assert stage.line("1 host is left out: n says why")
        await stage.press("b")
        await stage.until(lambda: not stage.engine.plans.maintenance)
        await stage.until(lambda: not stage.line("b take h1 back"))
        assert stage.count(PlanScreen) == 1
        await stage.press("escape")
        await stage.until(lambda: not stage.line("takes no VMs"))


async def test_read_only_shows_plans_and_runs_none() -> None:
    async with evening_out(read_only=True) as stage:
        assert stage.line("R move all") == ""
        await stage.press("R", "enter")
        await stage.says("--read-only")
        assert stage.engine.submitted == []


async def test_even_hosts_say_so() -> None:
    async with evening_out() as stage:
        await stage.press("enter")
        await run_on(stage)
        await stage.press("r")
        await stage.see("hosts are even: CPU")
        assert stage.line("proposed") == ""


async def test_hosts_that_stay_uneven_are_hinted_at() -> None:
    async with watched() as stage:
        # Not at the first peak.
        assert "uneven" not in stage.line("kvmtui")
        stage.watch_for(240)
        await stage.look()
        await stage.see("kvmtui", "uneven hosts: CPU", "(B)")


async def test_other_destinations_are_shown_with_the_means_that_the_plan_goes_by() -> None:
    async with evening_out() as stage:
        run = stage.engine.plans.run
        assert run is not None
        assert run.plan is not None
        change = step(run.plan.moves[0].destination_cpu)
        await stage.press("t")
        await stage.see("Move web1 to")
        line = await stage.see("h2 ", f"CPU {change}   memory ")
        # Behind the dialog is the plan.
        assert "free" not in line


async def test_what_a_plan_does_not_do_by_itself_is_allowed_by_a_key() -> None:
    async with watched("E", "enter", see="Empty h2") as stage:
        await stage.see("over limits")
        await stage.press("o")
        await stage.see("limits and groups are not kept")
        await stage.see("keep limits")
        await stage.press("c")
        await stage.see("OVERWRITTEN")
        await stage.see("overwrite nothing")
        run = stage.engine.plans.run
        assert run is not None
        assert run.allowed == Allowed(copy_disks=True, over_limits=True)
        await stage.press("o")
        await stage.see("over limits")
        await stage.press("c")
        await stage.until(lambda: (run := stage.engine.plans.run) is not None and run.allowed == Allowed())
        assert stage.engine.submitted == []


async def test_on_a_small_screen_the_keys_stay_in_sight_when_what_stays_is_unfolded() -> None:
    async with watched("E", "end", "enter", see="Empty h2", size=(80, 24)) as stage:
        await stage.see("n what stays")
        await stage.press("n")
        await stage.see("n fold")
        assert stage.line("build3 on h2", "needs")
        assert stage.line("Esc closes")
