"""The dialog that moves VMs: destinations, checks, options, and what Enter does."""

from dataclasses import replace
from unittest.mock import patch

import pytest

from kvmtui.hypervisor.errors import CallTimedOut
from kvmtui.model.host import Link
from kvmtui.model.migration_options import DiskMove, MigrationOptions, PartCopy
from kvmtui.model.preflight import Check
from kvmtui.model.vm import VmState
from kvmtui.ui.app import Dashboard
from kvmtui.ui.outlook import Look
from kvmtui.ui.screens.ask import _EXPIRES_S, ConfirmScreen
from kvmtui.ui.screens.destination import DestinationScreen
from kvmtui.ui.screens.number import NumberScreen
from tests.ui.played_moves import MACHINE, MEMORY, PORT, local_disks, open_dialog, running, shared_disks
from tests.ui.stage import H1, H2, Stage, dashboard

THREE_HOSTS = 120
"""VMs of a demo that has as many."""


async def _moved(stage: Stage) -> list[str]:
    await stage.until(lambda: not stage.count(DestinationScreen))
    return stage.engine.submitted


async def _add_one_that_is_off(stage: Stage) -> None:
    stage.backend.add_vm(H1, "backup1", state=VmState.SHUT_OFF)
    await stage.look_until(lambda: stage.line("backup1"))


async def test_a_destination_that_passes_takes_the_vm_at_once() -> None:
    async with dashboard() as stage:
        stage.engine.play()
        await stage.put_cursor_on("db1")
        await open_dialog(stage, "db1")
        assert stage.line("h2", "looking…")
        await stage.press("enter")
        assert stage.line("still looking at it")
        await stage.press("escape")
        await open_dialog(stage, "db1", h2=local_disks(PORT))
        assert stage.line("h2", "can take it")
        assert stage.line("?", "migration port")
        assert stage.line("ok", "10 checks pass")
        assert stage.line("disks copied")
        await stage.press("enter")
        assert await _moved(stage) == ["migrate db1"]
        (asked,) = stage.engine.requests
        assert (asked.destination, asked.options.disks) == (H2, DiskMove.COPY)
        assert asked.vm_id == stage.vm("db1").id


async def test_a_failing_check_stops_and_says_why() -> None:
    async with dashboard(size=(80, 24)) as stage:
        stage.engine.play()
        await stage.put_cursor_on("db1")
        await open_dialog(stage, "db1", h2=local_disks(MACHINE, MEMORY))
        assert stage.line("h2", "cannot: machine type")
        assert stage.line("FAIL", "machine type", "pc-q35-9.2")
        assert stage.line("→ bring QEMU there to 9.2")
        await stage.press("enter")
        assert stage.line("h2 cannot: machine type")
        assert stage.line("Enter migrates", "Esc"), "nothing is pushed out of sight"
        assert stage.count(DestinationScreen) == 1
        assert stage.engine.submitted == []


async def test_warnings_ask_and_no_is_the_default() -> None:
    async with dashboard() as stage:
        stage.engine.play()
        await stage.put_cursor_on("db1")
        await open_dialog(stage, "db1", h2=local_disks(MEMORY))
        assert stage.line("h2", "1 warning")
        await stage.press("enter")
        assert stage.line("Migrate db1 on h1 to h2 all the same?")
        assert stage.line("needs 16.5 GiB")
        await stage.press("enter")
        await stage.until(lambda: not stage.count(ConfirmScreen))
        assert stage.engine.submitted == []
        assert stage.line("nothing was migrated")
        await stage.press("enter", "y")
        assert await _moved(stage) == ["migrate db1"]


async def test_many_long_warnings_leave_the_answers_in_sight() -> None:
    warned = (replace(MEMORY, id=str(number), title=f"memory {number}") for number in range(12))
    async with dashboard(size=(80, 24)) as stage:
        await stage.put_cursor_on("db1")
        await open_dialog(stage, "db1", h2=local_disks(*warned))
        await stage.press("enter")
        assert stage.line("memory 0: needs 16.5 GiB")
        assert stage.line("12 of the checks warn.")
        assert stage.line("No", "Yes")
        assert not stage.line("and 4 more")
        await stage.press("down", "pagedown")
        assert stage.line("and 4 more")
        assert stage.line("y yes · n or Esc no")


async def test_what_was_found_long_ago_stays_to_be_read_and_is_looked_at_again_before_it_moves() -> None:
    async with dashboard() as stage:
        stage.engine.play()
        await stage.put_cursor_on("db1")
        with patch("kvmtui.ui.screens.ask._now_s", lambda: 1000.0):
            question = await open_dialog(stage, "db1", h2=local_disks())
        with patch("kvmtui.ui.screens.ask._now_s", lambda: 1100.0):
            question.expire()
            # Not even a key gives it a new life.
            await stage.press("o", "o")
            assert stage.line("looked at more than a minute ago: Enter looks again")
            assert stage.line("Enter looks again ·", "Esc")
            await stage.press("enter")
            assert stage.line("h2", "looking…")
            assert stage.line("Enter migrates ·")
            question.looks = {(H2, stage.key("db1")): local_disks()}
            await stage.see("h2", "can take it")
            assert stage.engine.submitted == []
            await stage.press("enter")
            assert await _moved(stage) == ["migrate db1"]


async def test_enter_moves_nothing_by_what_was_found_before_the_machine_slept() -> None:
    async with dashboard() as stage:
        stage.engine.play()
        await stage.put_cursor_on("db1")
        with patch("kvmtui.ui.screens.ask._now_s", lambda: 1000.0):
            await open_dialog(stage, "db1", h2=local_disks())
        with patch("kvmtui.ui.screens.ask._now_s", lambda: 1100.0):
            # No timer has run meanwhile.
            await stage.press("enter")
            assert stage.line("h2", "looking…")
        assert stage.engine.submitted == []


async def test_every_key_lets_the_dialog_live_on() -> None:
    async with dashboard() as stage:
        stage.engine.play()
        await stage.put_cursor_on("db1")
        with patch("kvmtui.ui.screens.ask._now_s", lambda: 1000.0):
            await open_dialog(stage, "db1", h2=local_disks())
        with patch("kvmtui.ui.screens.ask._now_s", lambda: 1050.0):
            await stage.press("o")
        with patch("kvmtui.ui.screens.ask._now_s", lambda: 1100.0):
            await stage.press("enter")
        assert await _moved(stage) == ["migrate db1"]


async def test_the_dialog_has_one_time_to_live() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("db1")
        await open_dialog(stage, "db1", h2=local_disks())
        assert len([timer for timer in stage.app.screen._timers if timer._interval == _EXPIRES_S]) == 1


async def test_a_dialog_that_expires_under_its_own_question_stays_and_moves_nothing() -> None:
    async with dashboard() as stage:
        stage.engine.play()
        await stage.put_cursor_on("db1")
        with patch("kvmtui.ui.screens.ask._now_s", lambda: 1000.0):
            dialog = await open_dialog(stage, "db1", h2=local_disks(MEMORY))
            await stage.press("enter")
        with patch("kvmtui.ui.screens.ask._now_s", lambda: 1100.0):
            dialog.expire()
            assert stage.count(ConfirmScreen) == 1
            await stage.press("y")
            assert stage.app.screen is dialog
            await stage.see("looked at more than a minute ago: Enter looks again")
        assert stage.engine.submitted == []


async def test_what_is_told_too_late_is_not_shown() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("db1")
        await open_dialog(stage, "db1", h2=local_disks())
        dialog = stage.app.screen
        assert isinstance(dialog, DestinationScreen)
        await stage.press("escape")
        await stage.until(lambda: not dialog.is_attached)
        dialog.looks = {**dialog.looks, (H2, stage.key("web1")): Look(problem="late")}
        dialog._say("late")


async def test_many_answers_are_shown_at_once() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("db1")
        question = await open_dialog(stage, "db1")
        with patch.object(question, "_show", wraps=question._show) as shown:
            for number in range(50):
                question.looks = {**question.looks, (H2, stage.key("db1")): Look(problem=f"answer {number}")}
            await stage.see("WARN", "answer 49")
        assert shown.call_count < 5


async def test_v_shows_all_checks_and_folds_them() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await open_dialog(stage, "web1", h2=shared_disks(PORT))
        assert not stage.line("snapshots")
        await stage.press("v")
        assert stage.line("ok", "snapshots", "there are none")
        assert stage.line("v fold")
        await stage.press("v")
        assert not stage.line("snapshots")


async def test_options_by_keys_change_the_checks_and_the_virsh_line() -> None:
    async with dashboard() as stage:
        stage.engine.play()
        await stage.put_cursor_on("db1")
        await open_dialog(stage, "db1", h2=local_disks())
        assert stage.line("virsh -c demo://h1 migrate db1 demo://h2", "--copy-storage-all")
        # Disks: copied, changes, shared; whatever the checks say, it is the user's.
        await stage.press("d", "d")
        assert stage.line("d  disks", "shared")
        assert stage.line("h2", "cannot: disks")
        assert "--copy-storage" not in stage.text
        await stage.press("enter")
        assert stage.line("FAIL", "disks"), "the checks are back in sight"
        await stage.press("d", "p", "p", "c")
        assert stage.line("p  carried by", "kvmtui (managed)")
        assert stage.line("c  post-copy", "can be switched to")
        assert stage.line("needs vm.unprivileged_userfaultfd=1 at h2, cannot be seen from here")
        assert "--p2p" not in stage.text
        await stage.press("o")
        assert not stage.line("p  carried by")
        assert stage.line("disks copied · managed · auto-converge · post-copy")
        await stage.press("enter")
        assert await _moved(stage) == ["migrate db1"]
        options = stage.engine.requests[0].options
        assert (options.disks, options.peer_to_peer, options.post_copy) == (DiskMove.COPY, False, True)


async def test_a_number_is_asked_for() -> None:
    async with dashboard() as stage:
        stage.engine.play()
        await stage.put_cursor_on("web1")
        await open_dialog(stage, "web1", h2=shared_disks())
        await stage.press("b", *"50", "enter")
        await stage.until(lambda: not stage.count(NumberScreen))
        assert stage.line("b  bandwidth", "50 MiB/s")
        await stage.press("s", *"99999999", "enter")
        assert stage.line("a whole number from 0 to")
        await stage.press("escape")
        await stage.until(lambda: not stage.count(NumberScreen))
        await stage.press("enter")
        await _moved(stage)
        assert stage.engine.requests[0].options.bandwidth_mib_per_s == 50
        assert stage.engine.requests[0].options.downtime_ms is None


async def test_the_virsh_line_is_copied() -> None:
    copied: list[str] = []
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await open_dialog(stage, "web1", h2=shared_disks())
        with patch.object(Dashboard, "copy_to_clipboard", lambda _, text: copied.append(text)):
            await stage.press("y")
        assert stage.line("1 line copied")
    assert len(copied) == 1
    assert copied[0].startswith("virsh -c demo://h1 migrate web1 demo://h2 --live")


async def test_several_vms_show_the_worst_of_each() -> None:
    async with dashboard() as stage:
        stage.engine.play()
        for name in ("db1", "web1"):
            await stage.put_cursor_on(name)
            await stage.press("space")
        question = await open_dialog(stage, "web1", h2=shared_disks())
        assert stage.line("Migrate 2 VMs on h1 to")
        assert stage.line("h2", "looking… 1 of 2")
        question.looks = {**question.looks, (H2, stage.key("db1")): local_disks(MACHINE)}
        await stage.see("h2", "cannot take 1 of 2: machine type")
        assert stage.line("FAIL", "db1", "machine type")
        assert stage.line("ok", "web1", "can be migrated")
        await stage.press("enter")
        assert stage.line("cannot take 1 of 2: unmark those")
        question.looks = {**question.looks, (H2, stage.key("db1")): local_disks()}
        await stage.see("h2", "can take all 2")
        await stage.press("enter")
        assert await _moved(stage) == ["migrate db1", "migrate web1"]
        disks = {asked.vm_name: asked.options.disks for asked in stage.engine.requests}
        assert disks == {"db1": DiskMove.COPY, "web1": DiskMove.SHARED}, "each as it needs it"


async def test_a_host_that_does_not_answer_costs_only_itself() -> None:
    async with dashboard(vms=THREE_HOSTS) as stage:
        vm = next(vm for vm in stage.main.fleet.vms() if vm.key.host == "demo://h1" and vm.state.executing)
        stage.engine.play()
        await stage.put_cursor_on(vm.name)
        question = await open_dialog(stage, vm.name, h2=Look(problem=str(CallTimedOut("no answer for 10 s"))))
        assert stage.line("h2", "1 warning")
        assert stage.line("h3", "looking…")
        assert stage.line("WARN", "looking", "no answer for 10 s")
        question.looks = {**question.looks, ("demo://h3", vm.key): shared_disks()}
        await stage.see("h3", "can take it")
        await stage.press("j", "k", "j", "enter")
        assert await _moved(stage) == [f"migrate {vm.name}"]
        assert stage.engine.requests[0].destination == "demo://h3"
        assert stage.engine.requests[0].options.persist, "k moves the cursor here too"


async def test_a_vm_that_is_off_moves_its_definition() -> None:
    async with dashboard() as stage:
        stage.engine.play()
        await stage.put_cursor_on("dev2")
        question = await open_dialog(stage)
        question.looks = {("demo://h1", stage.key("dev2")): shared_disks()}
        await stage.see("h1", "can take it")
        assert stage.line("it is off: its definition is migrated")
        await stage.press("c")
        assert stage.line("means nothing for a VM that is off")
        await stage.press("e")
        assert stage.line("at the destination: "), "libvirt refuses to move it without keeping it"
        await stage.press("enter")
        await _moved(stage)
        assert stage.engine.requests[0].options.offline


async def test_the_options_are_those_of_the_vms_that_run_and_those_that_are_off_are_named() -> None:
    async with dashboard(size=(80, 24)) as stage:
        stage.engine.play()
        await _add_one_that_is_off(stage)
        for name in ("backup1", "web1"):
            await stage.put_cursor_on(name)
            await stage.press("space")
        assert not stage.vm("backup1").state.active
        question = await open_dialog(stage, "backup1", "web1", h2=shared_disks())
        assert stage.line("disks shared · auto-converge")
        assert stage.line("backup1 is off: only its definition is migrated")
        await stage.press("a", "c", "b", *"50", "enter")
        await stage.until(lambda: not stage.count(NumberScreen))
        assert stage.line("c  post-copy", "can be switched to")
        assert stage.line("b  bandwidth", "50 MiB/s")
        assert stage.line("disks shared · post-copy · 50 MiB/s")
        question.looks = {**question.looks, (H2, stage.key("web1")): local_disks()}
        await stage.see("disks copied")
        await stage.press("enter")
        await _moved(stage)
        asked = {each.vm_name: each.options for each in stage.engine.requests}
        assert asked["web1"] == MigrationOptions(
            DiskMove.COPY, auto_converge=False, post_copy=True, bandwidth_mib_per_s=50
        )
        assert asked["backup1"] == MigrationOptions(auto_converge=False, offline=True)


async def test_disks_of_several_kinds_are_counted_and_none_are_called_none() -> None:
    async with dashboard() as stage:
        for name in ("db1", "web1"):
            await stage.put_cursor_on(name)
            await stage.press("space")
        question = await open_dialog(stage, "web1", h2=shared_disks())
        question.looks = {**question.looks, (H2, stage.key("db1")): local_disks()}
        await stage.see("disks copied (1), disks shared (1)")
        await stage.press("o")
        assert stage.line("d  disks", "disks copied (1), disks shared (1)")
        some = replace(local_disks(), partly=PartCopy(("vda", "vdc"), ("vdb",)))
        question.looks = {**question.looks, (H2, stage.key("db1")): some}
        await stage.see("d  disks", "only vda, vdc copied; the others shared (1), disks shared (1)")
        question.looks = {key: replace(look, diskless=True) for key, look in question.looks.items()}
        await stage.see("d  disks", "no disks")
        assert stage.line("no disks · auto-converge")


async def test_a_vm_that_somebody_else_has_moved_meanwhile_is_left_out_and_said() -> None:
    async with dashboard() as stage:
        stage.engine.play()
        await _add_one_that_is_off(stage)
        for name in ("backup1", "web1", "web2"):
            await stage.put_cursor_on(name)
            await stage.press("space")
        await open_dialog(stage, "backup1", "web1", "web2", h2=shared_disks())
        assert stage.line("Migrate 3 VMs on h1 to")
        for name in ("backup1", "web2"):
            stage.backend.remove_vm(H1, stage.key(name).uuid)
        await stage.look_until(lambda: len(stage.main.fleet.hosts[H1].vms) == 5)
        await stage.press("enter")
        assert stage.line("left out: web2: it is not on this host any more; backup1: it is not on this host any more")
        assert stage.line("Migrate web1 on h1 to")
        await stage.press("enter")
        assert await _moved(stage) == ["migrate web1"]
        await stage.says("migrate")


async def test_a_vm_on_its_way_shows_how_it_fares() -> None:
    async with dashboard() as stage:
        move = running("web1", 1.0)
        move = replace(move, request=replace(move.request, key=stage.key("web1")))
        stage.engine.play(running("web2", 0.0), move)
        await stage.put_cursor_on("web1")
        await stage.press("m")
        await stage.see("migrations", "2 under way")
        assert not stage.count(DestinationScreen)
        assert stage.line("▸", "web1")


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (200, 60)])
async def test_it_stands_at_any_size(size: tuple[int, int]) -> None:
    async with dashboard(size=size) as stage:
        await stage.put_cursor_on("db1")
        await open_dialog(stage, "db1", h2=local_disks(MACHINE, MEMORY, PORT))
        for key in ("o", "o", "v", "pagedown", "enter"):
            await stage.press(key)
            assert stage.line("Migrate db1 on h1 to")
            assert stage.line("Enter migrates")


# On the demo hosts, by all checks


async def test_of_few_lines_the_checks_get_most_and_the_key_that_scrolls_them_is_named() -> None:
    async with dashboard(size=(80, 24)) as stage:
        await stage.put_cursor_on("web1")
        await stage.press("m")
        await stage.see("checks pass")
        assert stage.line("virsh -c demo://h1 migrate web1 demo://h2", "…")
        assert not stage.line("--auto-converge"), "it takes one line"
        assert not stage.line("PgDn")
        await stage.press("v")
        assert stage.line("PgDn more, PgUp back")
        assert not stage.line("ok", "round trip")
        await stage.press("pagedown", "pagedown")
        assert stage.line("ok", "round trip")
        await stage.press("pageup", "pageup")
        assert not stage.line("ok", "round trip")


async def test_a_local_disk_is_copied_and_the_checks_follow_the_options() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("db1")
        await stage.press("m")
        await stage.see("h2", "can take it")
        assert stage.line("disks copied")
        assert stage.line("?", "link between them")
        await stage.press("d", "d", "o")
        assert stage.line("disks shared")
        assert stage.line("h2", "1 warning")
        assert stage.line("WARN", "disks", "db1.qcow2")
        await stage.press("escape")
        await stage.until(lambda: not stage.count(DestinationScreen))
        assert stage.engine.submitted == []


async def test_of_disks_some_of_which_are_shared_only_the_others_are_copied() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("db1")
        await open_dialog(stage, "db1", h2=replace(local_disks(), partly=PartCopy(("vda", "vdc"), ("vdb",))))
        await stage.see("only vda, vdc copied; the others shared")
        assert stage.line("--migrate-disks vda,vdc")
        await stage.press("d")
        await stage.see("d  disks", "only changes of vda, vdc copied; the others shared")
        await stage.press("d")
        await stage.see("d  disks", "shared: both hosts see them")
        assert not stage.line("--migrate-disks")
        await stage.press("d", "enter")
        await stage.until(lambda: stage.engine.requests)
        assert stage.engine.requests[0].options == MigrationOptions(
            disks=DiskMove.COPY, partly=PartCopy(("vda", "vdc"), ("vdb",))
        )


async def test_a_destination_without_the_vms_network_says_so() -> None:
    async with dashboard() as stage:
        stage.backend.take_away(H2, "default", "br0")
        await stage.put_cursor_on("web1")
        await stage.press("m")
        await stage.see("h2", "cannot: networks")
        assert stage.line("FAIL", "networks")
        await stage.press("enter")
        assert stage.line("h2 cannot: networks")
        assert stage.engine.submitted == []


async def test_checks_are_worked_out_once_and_a_defect_in_them_is_a_warning() -> None:
    judged: list[MigrationOptions] = []

    def broken(_needs: object, _offers: object, options: MigrationOptions) -> tuple[Check, ...]:
        judged.append(options)
        raise ZeroDivisionError

    async with dashboard() as stage:
        stage.engine.play()
        await stage.put_cursor_on("web1")
        with patch("kvmtui.ui.screens.migrating.preflight", broken):
            await stage.press("m")
            await stage.see("h2", "1 warning")
            await stage.press("v", "v", "o", "o")
        assert stage.line("WARN", "looking", "an internal error; run with --log FILE")
        assert len(judged) == len(set(judged)) == 1
        await stage.press("enter", "y")
        assert await _moved(stage) == ["migrate web1"]


async def test_a_defect_in_what_is_chosen_for_the_disks_is_a_warning() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        with patch("kvmtui.ui.screens.migrating.default_disks", side_effect=ZeroDivisionError):
            await stage.press("m")
            await stage.see("h2", "1 warning")


async def test_a_destination_that_hangs_can_still_be_chosen_after_a_while() -> None:
    async with dashboard() as stage:
        stage.backend.hang_host(H2)
        await stage.put_cursor_on("web1")
        with patch("kvmtui.ui.screens.migrating._DEADLINE_S", 0.05):
            await stage.press("m")
            await stage.see("h2", "1 warning")
        assert stage.line("WARN", "looking", "no answer for 0 s")
        await stage.press("enter")
        assert stage.line("Migrate web1 on h1 to h2 all the same?")


async def test_a_destination_that_may_not_be_asked_says_so() -> None:
    async with dashboard() as stage:
        stage.backend.deny_writes(H2)
        await stage.put_cursor_on("web1")
        await stage.press("m")
        await stage.see("h2", "can take it, 3 unknown")
        assert stage.line("?", "machine type", "is not known")


async def test_a_host_that_goes_down_cannot_take_it_any_more() -> None:
    async with dashboard() as stage:
        stage.engine.play()
        await stage.put_cursor_on("db1")
        await open_dialog(stage, "db1", h2=local_disks())
        assert stage.line("h2", "can take it")
        fleet = stage.engine.fleet
        h2 = fleet.hosts[H2]
        down = replace(fleet, hosts={**fleet.hosts, H2: replace(h2, link=Link.DOWN)})
        stage.main._hand_down(down)
        await stage.see("h2", "not connected")
        await stage.press("enter")
        assert stage.count(DestinationScreen) == 1
        assert stage.engine.submitted == []
        stage.main._hand_down(fleet)
        await stage.see("h2", "can take it")
        await stage.press("home", "enter")
        assert await _moved(stage) == ["migrate db1"]


async def test_a_host_that_comes_back_says_that_it_was_not_looked_at() -> None:
    async with dashboard(vms=THREE_HOSTS) as stage:
        vm = next(vm for vm in stage.main.fleet.vms() if vm.key.host == H1 and vm.state.executing)
        fleet = stage.engine.fleet
        down = replace(fleet, hosts={**fleet.hosts, H2: replace(fleet.hosts[H2], link=Link.DOWN)})
        await stage.put_cursor_on(vm.name)
        with patch.object(type(stage.engine), "fleet", down):
            await open_dialog(stage, vm.name, h3=shared_disks())
        assert stage.line("h2", "not connected")
        # The screen had it connected all the time.
        stage.main._hand_down(down)
        stage.main._hand_down(fleet)
        await stage.see("h2", "1 warning")


async def test_a_host_that_goes_down_under_the_last_question_gets_nothing() -> None:
    async with dashboard() as stage:
        stage.engine.play()
        await stage.put_cursor_on("db1")
        await open_dialog(stage, "db1", h2=local_disks(MEMORY))
        await stage.press("enter")
        assert stage.count(ConfirmScreen)
        fleet = stage.engine.fleet
        stage.main._hand_down(replace(fleet, hosts={**fleet.hosts, H2: replace(fleet.hosts[H2], link=Link.DOWN)}))
        await stage.press("y")
        await stage.until(lambda: not stage.count(ConfirmScreen))
        assert stage.engine.submitted == []
        await stage.see("h2 is not connected any more: nothing was migrated")
