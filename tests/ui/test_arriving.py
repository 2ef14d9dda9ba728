"""The other half of a VM on its way, at the host it is being moved to: nobody can take it for the VM."""

from unittest.mock import patch

import pytest

from kvmtui.engine.adoption import Adoption
from kvmtui.engine.engine import Engine
from kvmtui.model.actions import BY_ID, ActionRequest
from kvmtui.model.migration import MigrationRequest, Steer
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.vm import VmKey
from kvmtui.ui.screens.ask import ConfirmScreen
from kvmtui.ui.screens.cockpit import CockpitScreen
from kvmtui.ui.screens.menu import MenuScreen
from tests.ui.stage import H1, H2, Stage, dashboard

SLOW = MigrationOptions(bandwidth_mib_per_s=1)


async def _arriving(stage: Stage, by: Engine | None = None) -> VmKey:
    """Have web1 moved from h1 to h2 and put the cursor on its half there; return where that is."""
    vm = stage.vm("web1")
    there = VmKey(H2, vm.key.uuid)
    (by or stage.engine).migrate(MigrationRequest(vm.key, vm.name, vm.id, H2, SLOW))
    await stage.look_until(lambda: stage.main.fleet.vm(there) is not None)
    stage.table.select(there)
    await stage.let_cursor_rest()
    return there


async def test_its_row_says_that_it_arrives_and_the_title_counts_the_vm_once() -> None:
    async with dashboard() as stage:
        assert stage.line("kvmtui", "12 VMs · 9 running")
        await _arriving(stage)
        await stage.look_until(lambda: stage.line("web1", "h2", "arriving"))
        assert stage.line("web1", "h1", "migrating")
        assert stage.line("kvmtui", "12 VMs · 9 running")


async def test_what_has_left_a_host_that_is_down_is_counted_once() -> None:
    async with dashboard() as stage:
        vm = stage.vm("web1")
        stage.engine.migrate(MigrationRequest(vm.key, vm.name, vm.id, H2, MigrationOptions()))
        there = VmKey(H2, vm.key.uuid)
        await stage.look_until(lambda: stage.main.fleet.vm(there) is not None)
        stage.backend.host_down(H1)
        await stage.look_until(lambda: (arrived := stage.main.fleet.vm(there)) is not None and arrived.state.executing)
        await stage.look_until(lambda: all(move.phase.ended for move in stage.engine.migrations))
        assert stage.main.fleet.vm(vm.key) is not None
        await stage.see("kvmtui", "12 VMs", "1 host down")


@pytest.mark.parametrize("key", ["p", "K", "S", "r", "R", "z", "a", "X", "c"])
async def test_no_key_acts_on_it(key: str) -> None:
    async with dashboard() as stage:
        await _arriving(stage)
        await stage.press(key)
        assert "it is arriving from h1: w shows how" in stage.status


@pytest.mark.parametrize("key", ["m", "enter"])
async def test_what_is_wanted_of_it_is_shown_as_its_move(key: str) -> None:
    async with dashboard() as stage:
        await _arriving(stage)
        await stage.press(key)
        await stage.until(lambda: stage.count(CockpitScreen))
        assert stage.line("▸", "web1", "h1 → h2")
        assert not stage.count(MenuScreen)


async def test_of_a_move_that_is_not_known_here_no_half_goes_on_but_one_that_was_left_can_be_ended() -> None:
    async with dashboard() as stage:
        other = Engine(stage.backend, stage.backend.uris, clock=stage.clock)
        try:
            other.tick()
            with patch.object(Adoption, "look"):
                await _arriving(stage, other)
                await stage.see("kvmtui", "12 VMs · 9 running")
                await stage.press("p")
                assert "it is on its way, and h1 has the other half: w shows the migrations" in stage.status
                await stage.press("K")
                assert stage.count(ConfirmScreen) == 1
        finally:
            other.stop()


async def test_what_was_asked_for_before_it_was_seen_is_refused_all_the_same() -> None:
    async with dashboard() as stage:
        there = await _arriving(stage)
        stage.engine.submit(ActionRequest(BY_ID["force_off"], there, "web1", 7))
        await stage.says("force off web1 on h2: refused: it is arriving from another host")


async def test_when_the_move_has_ended_nothing_arrives_any_more() -> None:
    async with dashboard() as stage:
        there = await _arriving(stage)
        await stage.look_until(lambda: Steer.BANDWIDTH in stage.engine.migrations[0].steers)
        stage.engine.steer(VmKey(H1, there.uuid), Steer.BANDWIDTH, 0)
        await stage.look_until(lambda: stage.engine.migrations[0].phase.ended)
        await stage.look()
        vm = stage.engine.fleet.vm(there)
        assert vm is not None
        assert vm.job is None
        await stage.press("p")
        await stage.says("pause web1 on h2: done")
