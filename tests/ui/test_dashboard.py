"""The whole dashboard on the demo hosts, driven by keys."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from textual import events
from textual.color import Color
from textual.command import CommandPalette

from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.model.actions import ACTIONS, BY_ID, Verb
from kvmtui.model.host import Link
from kvmtui.model.vm import VmKey, VmState
from kvmtui.ui.app import Dashboard
from kvmtui.ui.config_reader import ConfigReader
from kvmtui.ui.emulator import EmulatorUnavailable
from kvmtui.ui.glyphs import ASCII
from kvmtui.ui.keymap import VIEW_KEYS
from kvmtui.ui.screens.ask import ConfirmScreen
from kvmtui.ui.screens.destination import DestinationScreen
from kvmtui.ui.screens.journal import JournalScreen
from kvmtui.ui.screens.menu import MenuScreen
from kvmtui.ui.theme import THEME
from kvmtui.ui.widgets.bars import Note
from kvmtui.ui.widgets.console_pane import ConsolePane
from kvmtui.ui.widgets.filter_field import FilterField
from tests.ui.played_moves import running
from tests.ui.stage import H1, H2, Stage, dashboard

ALL = "batch1 build3 cache1 ci7 db1 db2 dev2 mail old web1 web2 win1".split()  # noqa: SIM905


async def test_first_paint_shows_hosts_and_vms() -> None:
    async with dashboard() as stage:
        assert stage.names == ALL
        assert "2 hosts · 12 VMs · 9 running" in stage.line("kvmtui")
        for words in (("h1", "6/6", "of 8"), ("h2", "3/6"), ("web1", "h1", "running"), ("old", "shut off")):
            assert stage.line(*words), words
        assert stage.line("? help")


# Acting


async def test_p_pauses_and_resumes_and_the_state_comes_from_the_host() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        stage.backend.hang_host(H1)
        await stage.press("p")
        assert "pausing" in await stage.see("web1", "pausing")
        stage.backend.release_host(H1)
        await stage.says("pause web1 on h1: done")
        assert stage.vm("web1").state is VmState.RUNNING, "nobody has looked yet"
        await stage.look()
        assert stage.line("web1", "h1", "paused")
        await stage.press("p")
        await stage.says("resume web1 on h1: done")
        await stage.look()
        assert stage.line("web1", "h1", "running")
        assert stage.engine.submitted == ["pause web1", "resume web1"]


@pytest.mark.parametrize("keys", [("n",), ("escape",), ("enter",), ("q",), ("right", "left", "enter"), ("j", "enter")])
async def test_a_question_not_agreed_to_does_nothing(keys: tuple[str, ...]) -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("S")
        assert stage.line("Shut down web1 on h1?")
        await stage.press(*keys)
        await stage.until(lambda: not stage.count(ConfirmScreen))
        await stage.says("nothing was done")
        assert stage.engine.submitted == []


async def test_shut_down_is_followed_until_the_guest_is_off() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("S", "y")
        await stage.see("web1", "shutting down")
        await stage.look(0.1)
        assert "done" not in stage.status, "that libvirt took the request says nothing about the guest"
        await stage.look_until(lambda: "shut down web1 on h1: done" in stage.status)
        assert stage.line("web1", "h1", "shut off")
        assert stage.engine.submitted == ["shutdown web1"]


async def test_yes_can_be_chosen_by_the_arrows() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("r", "right", "enter")
        await stage.says("reboot web1 on h1: done")


async def test_force_off_asks_in_red_and_names_vm_and_host() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("db1")
        await stage.press("K")
        assert stage.line("Force off db1 on h1?")
        assert stage.line("unwritten data is lost")
        dialog = stage.app.screen.query_one(".dialog")
        assert THEME.error is not None
        # Textual's own arithmetic loses a little.
        assert dialog.styles.border_top[1].hsl.h == pytest.approx(Color.parse(THEME.error).hsl.h, abs=0.01)
        await stage.press("y")
        await stage.says("force off db1 on h1: done")
        await stage.look()
        assert stage.line("db1", "shut off")


async def test_a_question_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvmtui.ui.screens.ask._EXPIRES_S", 0.05)
    async with dashboard() as stage:
        await stage.press("K")
        await stage.until(lambda: not stage.count(ConfirmScreen))
        assert stage.engine.submitted == []


async def test_a_question_from_before_a_suspend_cannot_be_agreed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1000.0
    monkeypatch.setattr("kvmtui.ui.screens.ask._now_s", lambda: now_s)
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("K")
        assert stage.count(ConfirmScreen)
        # The machine slept, and with it every timer.
        now_s += 3600
        await stage.press("y")
        await stage.until(lambda: not stage.count(ConfirmScreen))
        assert stage.engine.submitted == []


@pytest.mark.parametrize(("keys", "done"), [("yy", 1), ("yn", 1), ("ny", 0), ("yyy", 1)])
async def test_of_several_keys_typed_at_once_the_first_answers(keys: str, done: int) -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("K")
        stage.type_at_once(*keys)
        await stage.until(lambda: not stage.count(ConfirmScreen))
        await stage.press("f5")
        assert stage.engine.submitted == ["force_off web1"] * done


async def test_a_question_is_answered_once_whoever_answers() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("K")
        question = stage.app.screen
        assert isinstance(question, ConfirmScreen)
        question.action_cancel()
        question.action_yes()
        await stage.until(lambda: not stage.count(ConfirmScreen))
        assert stage.engine.submitted == []


async def test_keys_typed_ahead_reach_the_question_they_open() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        stage.type_at_once("S", "n", "j")
        await stage.until(lambda: stage.selected == "web2")
        assert stage.engine.submitted == []


async def test_a_burst_of_keys_is_done_in_order() -> None:
    async with dashboard() as stage:
        burst = [
            "g",
            "S",
            "n",
            "j",
            "K",
            "enter",
            "j",
            "J",
            "escape",
            "j",
            "slash",
            *"web",
            "enter",
            "j",
            "question_mark",
        ]
        burst += ["q", "p", "enter", "escape", "escape", "k", "colon", "escape", "r", "right", "left", "enter", "G"]
        stage.type_at_once(*burst)
        await stage.until(lambda: stage.selected == "win1" and stage.engine.submitted)
        assert stage.engine.submitted == ["pause web2"]
        assert len(stage.app.screen_stack) == 1


async def test_marked_vms_get_one_result_each() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("space", "space", "g", "p")
        assert stage.line("Pause 2 VMs?")
        assert stage.line("  web1 on h1")
        assert stage.line("  web2 on h1")
        await stage.press("y")
        await stage.until(lambda: not stage.main.fleet.pending and "done" in stage.status)
        assert stage.engine.submitted == ["pause web1", "pause web2"]
        assert not stage.table.marked
        await stage.press("J")
        for name in ("web1", "web2"):
            assert stage.line(f"pause {name} on h1: done")
            assert stage.line(f"virsh -c demo://h1 suspend {name}")
        await stage.press("J")
        assert not stage.count(JournalScreen)


async def test_marked_vms_that_cannot_are_named_and_the_others_done() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("old")
        await stage.press("space", "space", "p")
        # The cursor is on neither: it asks even for what is harmless.
        await stage.see("Pause web1 on h1?")
        await stage.press("y")
        await stage.says("pause web1 on h1: done")
        await stage.press("J")
        assert stage.line("pause old on h2: not possible: it is shut off")
        assert stage.engine.submitted == ["pause web1"]


async def test_a_letter_in_the_menu_does_it_once_and_to_the_vm_of_the_menu() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("x")
        await stage.see("Pull the plug")
        await stage.press("p")
        await stage.says("pause web1 on h1: done")
        assert stage.engine.submitted == ["pause web1"]
        await stage.press("x")
        await stage.see("Pull the plug")
        await stage.press("K")
        await stage.see("Force off web1 on h1?")
        assert len(stage.app.screen_stack) == 2


async def test_a_key_for_a_vm_that_has_just_vanished_hits_no_other() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        stage.backend.remove_vm(H1, stage.key("web1").uuid)
        await stage.look()
        await stage.press("p")
        await stage.see("the cursor has just left web1 for another VM")
        assert stage.engine.submitted == []


async def test_a_key_is_refused_when_the_vm_runs_anew_meanwhile() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        uuid = stage.key("web1").uuid
        stage.backend.hang_host(H1)
        await stage.press("p")
        stage.backend.remove_vm(H1, uuid)
        stage.backend.add_vm(H1, "web1", uuid=uuid)
        stage.backend.release_host(H1)
        await stage.says("pause web1 on h1: refused", "in another run")
        await stage.look()
        assert stage.line("web1", "running")


async def test_a_key_is_refused_when_the_vm_is_gone_meanwhile() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        stage.backend.hang_host(H1)
        await stage.press("p")
        stage.backend.remove_vm(*stage.key("web1"))
        stage.backend.release_host(H1)
        await stage.says("pause web1 on h1: refused", "no longer exists")
        await stage.look()
        assert "web1" not in stage.names


async def test_a_second_action_waits_for_the_first() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        stage.backend.hang_host(H1)
        await stage.press("p", "p")
        await stage.says("pause web1 on h1: refused", "pausing is still under way")
        stage.backend.release_host(H1)
        await stage.says("pause web1 on h1: done")


async def test_a_failing_action_shows_its_error() -> None:
    async with dashboard() as stage:
        stage.backend.fail(Verb.PAUSE, HypervisorError("internal error: unable to execute QEMU command 'stop'"))
        await stage.put_cursor_on("web1")
        await stage.press("p")
        await stage.says("pause web1 on h1: failed: internal error: unable to execute QEMU command 'stop'")
        await stage.look()
        assert stage.line("web1", "running")


async def test_hostile_error_text_is_shown_as_it_is() -> None:
    async with dashboard() as stage:
        stage.backend.fail(Verb.PAUSE, HypervisorError("[bold]x[/nothing] \x1b[2J\N{RIGHT-TO-LEFT OVERRIDE}end"))
        await stage.put_cursor_on("web1")
        await stage.press("p")
        await stage.says("failed: [bold]x[/nothing]", "end")
        assert stage.line("[bold]x[/nothing]")
        assert "\x1b" not in stage.text


async def test_read_only_refuses_and_says_why() -> None:
    async with dashboard(read_only=True) as stage:
        assert "read-only" in stage.line("kvmtui")
        await stage.put_cursor_on("web1")
        for key in dict.fromkeys(action.key for action in ACTIONS):
            await stage.press(key)
            assert stage.count(ConfirmScreen) == stage.count(DestinationScreen) == 0
        assert "not possible: kvmtui was started with --read-only" in stage.status
        assert stage.engine.submitted == []
        assert stage.offered == ""


async def test_a_denied_write_is_told() -> None:
    async with dashboard() as stage:
        stage.backend.deny_writes(H1)
        await stage.put_cursor_on("web1")
        await stage.press("p")
        await stage.says("pause web1 on h1: failed: authentication unavailable")


async def test_an_outcome_that_is_too_long_says_where_it_is_in_full() -> None:
    async with dashboard(size=(80, 24)) as stage:
        stage.main.note("migrate db1 on h1 to h2: failed: internal error: " + "client socket is closed; " * 9)
        line = await stage.see("migrate db1 on h1 to h2: failed: internal error: client", "…  J: in full")
        assert len(line.rstrip()) <= 80
        # What is not kept there is not looked for there.
        stage.main.show_note(Note("looking " * 20))
        await stage.see("looking looking", "…")
        assert not stage.line("J: in full")


async def test_the_menu_cuts_nothing_off_on_a_small_screen() -> None:
    async with dashboard(size=(80, 24)) as stage:
        await stage.put_cursor_on("web1")
        await stage.press("enter")
        for action in (BY_ID[name] for name in ("save", "reset", "shutdown", "force_off")):
            assert stage.line(action.description), stage.text
    assert max(len(action.description) for action in ACTIONS) <= len(BY_ID["shutdown"].description)


async def test_the_menu_offers_what_can_be_done_now() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("old")
        await stage.press("enter")
        assert stage.line("old on h2")
        assert stage.line(" s ", "start")
        assert not stage.line(" K ", "force off")
        await stage.press("enter")
        await stage.until(lambda: not stage.count(MenuScreen))
        await stage.says("start old on h2: done")
        await stage.look()
        await stage.press("enter", "K")
        await stage.see("Force off old on h2?")


# Finding


async def test_the_filter_works_as_it_is_typed_and_letters_are_no_actions() -> None:
    async with dashboard() as stage:
        await stage.press("slash", "w", "e", "b")
        assert stage.names == ["web1", "web2"]
        await stage.press("K")
        assert stage.names == []
        await stage.press("backspace", "enter", "j")
        assert (stage.names, stage.selected) == (["web1", "web2"], "web2")
        await stage.press("escape")
        assert stage.names == ALL
        assert stage.selected == "web2"
        assert stage.engine.submitted == []


async def test_a_filter_that_cannot_be_read_says_so_and_shows_nothing() -> None:
    async with dashboard() as stage:
        await stage.press("slash", "w")
        assert stage.names == ["web1", "web2", "win1"]
        assert stage.line("3 of 12 VMs")
        await stage.press("=", "1")
        assert "nothing is called 'w'" in stage.status
        # Nor can anything be done with all of it.
        assert stage.names == []
        assert stage.line("No VM matches w=1")
        await stage.press("enter", "*")
        assert not stage.table.marked
        await stage.press("slash", *["backspace"] * 3, *"re:[")
        assert stage.names == ALL
        await stage.press("enter")
        assert stage.names == []
        assert "not finished" in stage.status
        await stage.press("escape")
        assert stage.names == ALL
        assert stage.status == ""


async def test_a_key_after_a_click_is_for_the_vm_that_was_clicked() -> None:
    async with dashboard() as stage:
        wanted = stage.names.index("db1")
        y = stage.table.region.y + 1 + wanted
        # All of it at once, as a slow link lets it through.
        for kind in (events.MouseDown, events.MouseUp):
            stage.app.post_message(kind(stage.table, 20, y, 0, 0, 1, False, False, False, 20, y))
        stage.type_at_once("j", "p")
        await stage.until(lambda: stage.engine.submitted)
        assert stage.engine.submitted == [f"pause {stage.names[wanted + 1]}"]


async def test_a_key_does_not_go_to_the_neighbour_of_a_vm_that_the_filter_hides_meanwhile() -> None:
    async with dashboard() as stage:
        await stage.press("slash", *"state=run", "enter")
        await stage.put_cursor_on("cache1")
        name = stage.selected
        key = stage.key("cache1")
        stage.backend.open(key.host, read_only=False).perform(Verb.FORCE_OFF, key.uuid)
        await stage.look()
        assert stage.selected != name
        await stage.press("p")
        assert stage.engine.submitted == []
        assert f"the cursor has just left {name} for another VM" in stage.status


async def test_escape_while_typing_closes_the_filter() -> None:
    async with dashboard() as stage:
        await stage.press("slash", "d", "b", "escape")
        assert stage.names == ALL
        assert not stage.main.query_one(FilterField).display
        await stage.press("j")
        assert stage.selected == "db2"


def _descending(stage: Stage, figure: str) -> list[str]:
    values = {vm.name: getattr(vm, figure) for vm in stage.main.fleet.vms()}
    known = [name for name in ALL if values[name] is not None]
    return sorted(known, key=lambda name: -values[name]) + [name for name in ALL if values[name] is None]


async def test_sort_keys() -> None:
    async with dashboard() as stage:
        for _ in range(4):
            stage.watch_for(1)
        await stage.look()
        await stage.press("P")
        assert stage.names == _descending(stage, "cpu_cores")
        assert stage.line("▼CPU") or stage.line("CPU▼")
        await stage.press("I")
        assert stage.line("▲CPU") or stage.line("CPU▲")
        assert stage.names[-2:] == ["dev2", "old"], "what is not known comes last in both directions"
        await stage.press("Y")
        assert stage.names == _descending(stage, "ready_fraction")
        await stage.press("N")
        assert stage.names == ALL
        await stage.press("N")
        assert stage.names == ALL[::-1]
        for key, title in (("M", "MEMORY"), ("T", "UP")):
            await stage.press(key)
            assert stage.line(f"▼{title}") or stage.line(f"{title}▼"), title
        await stage.press("N", "greater_than_sign")
        assert stage.line("HOST▲")
        await stage.press("less_than_sign")
        assert stage.line("NAME")


# Help


async def test_help_lists_every_key() -> None:
    async with dashboard(size=(120, 160)) as stage:
        await stage.press("question_mark")
        for action in ACTIONS:
            line = stage.line(f"{action.label} ", action.description)
            assert line.split("│")[1].split()[0] == action.key, action.id
        for view in VIEW_KEYS:
            assert not view.label or stage.line(view.shown_as or view.key, view.label), view.key
        listed = {view.key for view in VIEW_KEYS} | {action.key for action in ACTIONS}
        of_every_screen = {"tab", "shift+tab", "ctrl+c", "super+c"}
        assert set(stage.main._bindings.key_to_bindings) <= listed | of_every_screen
        await stage.press("escape", "j")
        assert stage.selected == "build3"


async def test_the_palette_lists_and_does_actions() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        commands = {command.title for command in stage.app.get_system_commands(stage.app.screen)}
        assert {"pause", "shut down", "migrate", "console", "force off", "filter", "help"} <= commands
        assert not {"start", "resume"} & commands
        await stage.press("colon", *"pause")
        await stage.see("Stop the guest's CPUs")
        await stage.press("down", "enter")
        await stage.until(lambda: not stage.count(CommandPalette))
        await stage.says("pause web1 on h1: done")


# Trouble


async def test_a_host_that_is_down_is_a_row_while_the_other_goes_on() -> None:
    async with dashboard() as stage:
        stage.backend.host_down(H2, "ssh: connect to host h2 port 22: Connection refused")
        await stage.look()
        await stage.look(0)
        line = stage.line("h2", "down")
        assert "next try in" in line or "trying again now" in line
        assert "ssh: connect to host h2 port 22: Connection refused" in line
        assert "1 host down" in stage.line("kvmtui")
        assert stage.names == ALL, "its VMs stay as they were last seen"
        before = stage.vm("web1").cpu_recent
        await stage.look()
        assert stage.vm("web1").cpu_recent != before
        await stage.put_cursor_on("db2")
        await stage.press("p")
        await stage.says("pause db2 on h2: not possible: its host is not connected")
        stage.backend.host_up(H2)
        await stage.look_until(lambda: stage.main.fleet.hosts[H2].link is Link.UP)
        await stage.until(lambda: not stage.line("h2", "down"))


async def test_a_vm_whose_qemu_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvmtui.engine.deep_looks._SUSPECT_S", 0.0)
    async with dashboard() as stage:
        stage.backend.hang_vm(*stage.key("web2"))
        await stage.look_until(lambda: stage.vm("web2").monitor_silent_since_s is not None, seconds=1)
        await stage.look(30)
        assert stage.line("web2", "silent")
        await stage.put_cursor_on("web1")
        await stage.press("p")
        await stage.says("pause web1 on h1: done")
        stage.backend.release_vm(*stage.key("web2"))
        await stage.look_until(lambda: stage.vm("web2").monitor_silent_since_s is None)
        assert not stage.line("web2", "silent")


async def test_a_host_that_never_answers_freezes_nothing() -> None:
    async with dashboard(threads=True) as stage:
        await stage.put_cursor_on("web1")
        stage.backend.hang_host(H1)
        await stage.press("p")
        await stage.see("web1", "pausing")
        await stage.press("k")
        assert stage.selected == "old"
        await stage.press("j", "j")
        assert stage.selected == "web2"
        await stage.put_cursor_on("db2")
        await stage.press("p")
        await stage.see("db2", "paused")
        stage.type_at_once("q")
        await stage.until(lambda: not stage.app.is_running)


async def test_an_action_without_an_answer_ends_as_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvmtui.engine.poller._CALL_DEADLINE_S", 0.01)
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        stage.backend.hang_host(H1)
        await stage.press("p")
        await stage.see("web1", "pausing")
        await stage.look(61)
        await stage.says("pause web1 on h1: unknown: no answer for 60 s; it may still happen")
        assert not stage.main.fleet.pending


# Migration


async def _send_to_h2(stage: Stage, name: str) -> None:
    await stage.put_cursor_on(name)
    await stage.press("m")
    assert stage.line(f"Migrate {name} on h1 to")
    await stage.see("h2", "can take it")
    await stage.press("enter")
    await stage.until(lambda: not stage.count(DestinationScreen))


async def test_migrate_shows_progress_and_the_cursor_follows() -> None:
    async with dashboard() as stage:
        uuid = stage.key("web2").uuid
        # By host: in this order the VM comes to stand on another line.
        await stage.press("greater_than_sign")
        await _send_to_h2(stage, "web2")
        await stage.see("web2", "migrating")
        await stage.look_until(lambda: stage.line("web2", "migrating", "%"), seconds=0.3)
        await stage.look_until(lambda: "migrate web2 on h1 to h2: done" in stage.status)
        await stage.look_until(lambda: stage.table.selected == VmKey(H2, uuid))
        assert stage.line("web2", "h2", "running")
        assert stage.names.count("web2") == 1
        await stage.press("J")
        assert stage.line("virsh -c demo://h1 migrate web2 demo://h2 --live --persistent --undefinesource --p2p")


async def test_a_migration_can_be_cancelled() -> None:
    async with dashboard() as stage:
        await _send_to_h2(stage, "cache1")
        await stage.look_until(lambda: stage.vm("cache1").job is not None, seconds=0.1)
        await stage.until(lambda: "abort" in stage.offered)
        await stage.press("X", "y")
        await stage.until(lambda: stage.engine.submitted[-1] == "abort_job cache1")
        await stage.look_until(lambda: "migrate cache1 on h1 to h2: aborted" in stage.status, seconds=0.1)
        await stage.look()
        assert stage.line("cache1", "h1", "running")
        assert not stage.main.fleet.pending


async def test_a_migration_that_fails_says_why_and_the_vm_stays() -> None:
    async with dashboard() as stage:
        stage.backend.deny_writes(H2)
        await _send_to_h2(stage, "web2")
        await stage.look_until(lambda: "migrate web2 on h1 to h2: failed" in stage.status)
        assert "polkit" in stage.status
        assert stage.line("web2", "h1", "running")


async def test_a_vm_cannot_be_sent_where_no_host_is() -> None:
    async with dashboard() as stage:
        stage.backend.host_down(H2)
        await stage.look()
        await stage.put_cursor_on("web2")
        await stage.press("m")
        await stage.says("there is no other connected host")


# Console

MEANT_FOR_THE_GUEST = ("K", "y", "p", "S", "y", "s", "space", "asterisk", "m", "j", "q", "J", "slash", "x", "enter")


async def test_the_console_takes_every_key_and_gives_back_the_focus() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("c")
        await stage.see("root@web1:~#")
        await stage.press(*"echo", "space", *"hi", "enter")
        await stage.see("root@web1:~# echo hi")
        await stage.until(lambda: any(line.strip() == "hi" for line in stage.text.splitlines()))
        await stage.press(*MEANT_FOR_THE_GUEST, "ctrl+q", "ctrl+p", "escape", "question_mark", "f1", "tab", "ctrl+r")
        assert stage.engine.submitted == []
        assert stage.selected == "web1"
        assert len(stage.app.screen_stack) == 1
        assert stage.app.is_running
        assert stage.line("^] q leave")
        await stage.press("ctrl+right_square_bracket", "q")
        await stage.until(lambda: stage.app.focused is stage.table)
        assert not stage.line("console of web1")
        await stage.press("j")
        assert stage.selected == "web2"


async def test_what_is_typed_to_a_dead_console_never_acts_on_a_vm() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("c")
        await stage.see("root@web1:~#")
        stage.backend.open(H1, read_only=False).perform(Verb.FORCE_OFF, stage.key("web1").uuid)
        terminal = stage.main.query_one(ConsolePane).terminal
        await stage.until(lambda: terminal is not None and not terminal.live)
        await stage.look()
        await stage.press(*MEANT_FOR_THE_GUEST, "tab", "escape", "question_mark")
        assert stage.engine.submitted == []
        assert stage.selected == "web1"
        assert len(stage.app.screen_stack) == 1
        await stage.press("ctrl+right_square_bracket", "q")
        await stage.until(lambda: stage.app.focused is stage.table)


async def test_keys_typed_right_after_c_are_the_guests() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        stage.type_at_once("c", "K", "y")
        await stage.see("root@web1:~# Ky")
        assert stage.engine.submitted == []


async def test_a_console_that_someone_else_holds_says_so() -> None:
    class Sink:
        def output(self, data: bytes) -> None: ...

        def ended(self, reason: str, *, by_host: bool) -> None: ...

    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        stage.backend.open(H1, read_only=False).open_console(stage.key("web1").uuid, Sink())
        await stage.press("c")
        await stage.see("held by another, ^] t takes over")
        await stage.see("^] t takes over the console of web1 on h1, ^] q leaves.")


async def test_a_paste_of_several_lines_asks_first() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("c")
        await stage.see("root@web1:~#")
        stage.app.post_message(events.Paste("echo one\necho two"))
        await stage.see("Paste 2 lines into web1 on h1?")
        await stage.press("y")
        await stage.see("root@web1:~# echo two")


async def test_two_consoles_are_typed_to_in_turn_and_no_key_acts_on_a_vm() -> None:
    async with dashboard() as stage:
        for name in ("web1", "db1"):
            await stage.put_cursor_on(name)
            await stage.press("c")
            await stage.see(f"root@{name}:~#")
            await stage.press("ctrl+right_square_bracket", "h")
            assert stage.app.focused is stage.table
        await stage.see("consoles", "1 web1", "2 db1")
        await stage.put_cursor_on("web1")
        await stage.press("c", *MEANT_FOR_THE_GUEST, "ctrl+right_square_bracket", "n", *MEANT_FOR_THE_GUEST)
        await stage.see("root@db1:~# KypSys")
        assert stage.engine.submitted == []
        # Typed in one go with what gives the keys back, a key is the table's.
        stage.type_at_once("ctrl+right_square_bracket", "h", "K")
        await stage.see("Force off db1 on h1?")


async def test_the_keys_go_to_the_table_while_the_console_stays_in_sight() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("c")
        await stage.see("root@web1:~#")
        await stage.press("ctrl+right_square_bracket", "tab", "j")
        assert stage.selected == "web2"
        assert stage.line("root@web1:~#")
        assert "shut down" in stage.offered
        await stage.press("K")
        await stage.see("Force off web2 on h1?")


@pytest.mark.parametrize(
    ("size", "steps", "shown", "hidden"),
    [
        ((80, 24), 0, ("kvmtui", "NAME"), ("PRESSURE",)),
        ((80, 24), 1, (), ("12:04", "NAME", "LINK")),
        ((160, 40), 1, ("kvmtui", "NAME", "LINK", "MEMORY"), ()),
    ],
)
async def test_layouts(size: tuple[int, int], steps: int, shown: tuple[str, ...], hidden: tuple[str, ...]) -> None:
    async with dashboard(size=size) as stage:
        await stage.put_cursor_on("web1")
        await stage.press("c", *("ctrl+right_square_bracket", "v") * steps)
        await stage.see("root@web1:~#")
        assert stage.line("console of web1 on h1")
        assert all(stage.line(word) for word in shown)
        assert not any(stage.line(word) for word in hidden)
        await stage.press("ctrl+right_square_bracket", "q")
        assert stage.line("NAME", "HOST")
        assert stage.line("LINK", "MEMORY")


async def test_quitting_closes_open_consoles() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("c")
        await stage.see("root@web1:~#")
        assert stage.backend._world.attachments
        stage.type_at_once("ctrl+right_square_bracket", "h", "q", "y")
        await stage.until(lambda: not stage.app.is_running)
    await stage.until(lambda: not stage.backend._world.attachments)


async def test_of_several_devices_one_is_chosen() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        key = stage.key("web1")
        config = stage.engine.read_config(key).result(10)
        with patch.object(ConfigReader, "get", return_value=replace(config, consoles=("serial0", "serial1"))):
            await stage.press("c")
            await stage.see("Which console of web1 on h1?")
            await stage.press("down", "enter")
            await stage.see("console of web1 on h1")
        assert stage.engine.devices == ["serial1"]


async def test_an_only_device_is_opened_by_its_name() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        config = stage.engine.read_config(stage.key("web1")).result(10)
        with patch.object(ConfigReader, "get", return_value=replace(config, consoles=("console1",))):
            await stage.press("c")
            await stage.see("console of web1 on h1")
        assert stage.engine.devices == ["console1"]


@pytest.fixture
def no_emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: object) -> None:
        raise EmulatorUnavailable("pyghostty is not installed")

    monkeypatch.setattr("kvmtui.ui.emulator.load_emulator", missing)


@pytest.mark.usefixtures("no_emulator")
@pytest.mark.parametrize(
    ("devices", "keys", "named"),
    [
        (None, (), ()),
        (("console1",), (), ("--devname", "console1")),
        (("serial0", "serial1"), ("down", "enter"), ("--devname", "serial1")),
    ],
)
async def test_without_an_emulator_virsh_has_the_terminal(
    devices: tuple[str, ...] | None, keys: tuple[str, ...], named: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[object] = []

    @contextmanager
    def suspend(app: object) -> Iterator[None]:
        events.append("suspended")
        yield
        events.append("resumed")

    def run(command: list[str], **options: object) -> SimpleNamespace:
        assert options == {}, "no shell"
        events.append(command)
        return SimpleNamespace(wait=lambda: 0)

    monkeypatch.setattr("kvmtui.ui.virsh_console.shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("kvmtui.ui.virsh_console.subprocess.Popen", run)
    monkeypatch.setattr(Dashboard, "suspend", suspend)
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        uuid = stage.key("web1").uuid
        config = stage.engine.read_config(stage.key("web1")).result(10)
        known = None if devices is None else replace(config, consoles=devices)
        with patch.object(ConfigReader, "get", return_value=known):
            await stage.press("c", *keys)
            await stage.says("virsh console of web1 on h1: left")
        command = ["/usr/bin/virsh", "-c", H1, "console", uuid, "--safe", *named]
        assert events == ["suspended", command, "resumed"]
        assert stage.app.focused is stage.table


@pytest.mark.usefixtures("no_emulator")
async def test_a_signal_that_ends_kvmtui_ends_virsh_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    virsh, ended = tmp_path / "virsh", []
    virsh.write_text("#!/bin/sh\nkill -TERM $PPID\nexec sleep 600\n")
    virsh.chmod(0o700)
    monkeypatch.setattr("kvmtui.ui.virsh_console.shutil.which", lambda name: str(virsh))
    monkeypatch.setattr(Dashboard, "suspend", lambda app: nullcontext())
    monkeypatch.setattr(Dashboard, "_end_by_signal", lambda app, number: ended.append(number))
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("c")
        await stage.says("virsh console of web1 on h1: ended")
        await stage.until(lambda: ended == [signal.SIGTERM])


@pytest.mark.usefixtures("no_emulator")
async def test_virsh_is_not_asked_for_the_console_of_a_vm_that_is_off() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("old")
        await stage.press("c")
        await stage.says("no console of old on h2: it is shut off")


@pytest.mark.usefixtures("no_emulator")
@pytest.mark.parametrize(("virsh", "words"), [(None, "virsh is not installed"), ("/usr/bin/virsh", "cannot be given")])
async def test_without_an_emulator_and_virsh_it_says_so(
    virsh: str | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvmtui.ui.virsh_console.shutil.which", lambda name: virsh)
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("c")
        await stage.says("no console: pyghostty is not installed", words)
        assert stage.app.focused is stage.table
        assert stage.line("HOST", "PRESSURE")


@pytest.mark.parametrize("keys", ["m", "mo", "B", "E", "w", "J", "A", "?", "K", "enter", ":", "c"])
async def test_a_terminal_with_ascii_alone_gets_nothing_else(keys: str) -> None:
    async with dashboard(glyphs=ASCII) as stage:
        stage.watch_for(60)
        await stage.look()
        stage.engine.play(running("web1", 0.0))
        await stage.put_cursor_on("db1")
        assert stage.text.isascii()
        await stage.press(*([keys] if keys == "enter" else keys))
        assert stage.pilot is not None
        await stage.pilot.pause()
        strange = [line for line in stage.text.splitlines() if not line.isascii()]
        assert not strange
        assert "?" * 3 not in stage.text
        if keys in ("m", "K", "B"):
            assert stage.line("+---", "---+")


async def test_a_key_while_the_table_fills_is_for_the_vm_that_was_under_the_cursor() -> None:
    stage = Stage(threads=True)
    stage.backend.hang_host(H2)
    try:
        async with stage.app.run_test(size=(120, 40)) as pilot:
            stage.pilot = pilot
            await stage.until(lambda: stage.selected)
            name = stage.selected
            stage.type_at_once("K")
            stage.backend.release_host(H2)
            await stage.until(lambda: stage.count(ConfirmScreen) and stage.selected != name)
            assert stage.line(f"Force off {name} on h1?")
            await stage.press("escape", "K")
            assert f"the cursor has just left {name} for another VM" in stage.status
            assert not stage.count(ConfirmScreen)
    finally:
        stage.end()


async def test_a_name_that_was_typed_after_the_cursor_went_by_itself_is_meant() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        stage.backend.remove_vm(H1, stage.key("web1").uuid)
        await stage.look()
        await stage.press("slash", *"web2", "enter", "p")
        assert stage.engine.submitted == ["pause web2"]
