"""Faults that the demo hosts can play: many VMs at once, clocks that jump, rows that come and go under the cursor."""

import re
from datetime import datetime, timedelta

from kvmtui.model.vm import VmState
from tests.ui.stage import H1, dashboard


async def test_five_hundred_vms_that_appear_at_once() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        for number in range(500):
            state = VmState.SHUT_OFF if number % 2 else VmState.RUNNING
            stage.backend.add_vm(H1, f"new{number:03d}", state=state)
        await stage.look()
        await stage.see("2 hosts · 512 VMs")
        # The cursor is where it was, and keys are answered.
        assert stage.selected == "web1"
        await stage.press("g")
        await stage.press("G")
        await stage.press("slash", *"new49", "enter")
        await stage.see("10 of 512 VMs")
        for number in range(500):
            stage.backend.remove_vm(H1, stage.backend.uuid(f"new{number:03d}"))
        await stage.look()
        await stage.press("escape")
        await stage.see("2 hosts · 12 VMs")


async def test_figures_do_not_care_for_a_clock_that_jumps() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        noon = datetime(2026, 3, 14, 12, 0, 0)
        seen = []
        for jump_s in (0, 7200, -86400, 0):
            stage.main._wall_clock = lambda jump_s=jump_s: noon + timedelta(seconds=jump_s)  # type: ignore[misc]
            await stage.look()
            await stage.see(f"{noon + timedelta(seconds=jump_s):%H:%M:%S}")
            vm = stage.vm("web1")
            assert vm.cpu_cores is not None
            seen.append(vm.cpu_cores)
            host = stage.main.fleet.hosts[H1]
            assert not host.stale(stage.clock())
            assert re.search(r"running +\S+ +\d+ %", stage.line("▸", "web1"))
        assert all(0 <= cores <= vm.vcpus for cores in seen)


async def test_a_machine_that_slept_shows_a_gap_and_no_spike() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        before = stage.vm("web1").cpu_cores
        assert before is not None
        # Nothing was looked at for an hour: of that time nothing is said.
        await stage.look(3600)
        assert stage.vm("web1").cpu_cores is None
        await stage.look()
        after = stage.vm("web1").cpu_cores
        assert after is not None
        assert 0 <= after <= stage.vm("web1").vcpus
