"""Consoles on the dashboard: quitting with them, choosing a device, the cursor, guests that are off or paused."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import pytest

from kvmtui.engine.plans import Plans
from kvmtui.model.actions import Verb
from kvmtui.model.plan_run import PlanRun
from kvmtui.model.plan_run import Stage as PlanStage
from kvmtui.ui.config_reader import ConfigReader
from kvmtui.ui.screens.quitting import QuitScreen
from tests.ui.played_moves import running, waiting
from tests.ui.stage import H1, Stage, dashboard

PREFIX = "ctrl+right_square_bracket"


async def open_console(stage: Stage, name: str) -> None:
    """Open a VM's console and wait for its prompt."""
    await stage.put_cursor_on(name)
    await stage.press("c")
    await stage.see(f"root@{name}:~#")


def perform(stage: Stage, verb: Verb, name: str) -> None:
    """Do something to a VM as another client would."""
    key = stage.key(name)
    stage.backend.open(key.host, read_only=False).perform(verb, key.uuid)


# Quitting


@pytest.mark.parametrize("keys", [("q",), ("ctrl+q",), (PREFIX, "q")])
async def test_quitting_asks_while_consoles_are_open(keys: tuple[str, ...]) -> None:
    async with dashboard() as stage:
        await open_console(stage, "web1")
        await stage.press(PREFIX, "tab", *keys)
        assert stage.line("Quit kvmtui?")
        assert stage.line("console of web1 on h1")
        assert stage.line("The console's session ends.")
        await stage.press("enter")
        await stage.until(lambda: not stage.count(QuitScreen))
        assert stage.app.is_running
        assert stage.line("root@web1:~#")
        await stage.press(*keys, *keys[-1:])
        assert stage.app.is_running, "twice is no answer"


async def test_quitting_asks_once_and_the_answer_yes_quits() -> None:
    async with dashboard() as stage:
        await open_console(stage, "web1")
        await stage.press(PREFIX, "h", "ctrl+q", "ctrl+q")
        assert stage.count(QuitScreen) == 1
        stage.type_at_once("y")
        await stage.until(lambda: not stage.app.is_running)
    await stage.until(lambda: not stage.backend._world.attachments)


async def test_quitting_asks_while_a_vm_is_being_moved() -> None:
    async with dashboard() as stage:
        stage.engine.play(running("web1", 0.0))
        await stage.press("q")
        assert stage.line("migrating web1 on h1")
        assert stage.line("What the hosts carry goes on; how it ends is")
        await stage.press("n")
        assert stage.app.is_running


async def test_quitting_says_what_breaks_off_and_what_is_not_moved_any_more() -> None:
    async with dashboard() as stage:
        stage.engine.play(running("web1", 0.0, peer_to_peer=False), waiting("db2", 1.0))
        await stage.press("q")
        assert stage.line("migrating web1 on h1, carried by kvmtui: aborted")
        assert stage.line("waiting to migrate db2 on h1: not migrated")
        assert stage.line("A migration that kvmtui carries itself (managed) breaks off")
        assert stage.line("What has not begun is not migrated.")
        assert "goes on" not in stage.text
        await stage.press("n")
        assert stage.app.is_running


async def test_quitting_asks_while_a_plan_runs_between_two_moves() -> None:
    async with dashboard() as stage:
        with patch.object(Plans, "run", PlanRun(PlanStage.MEASURING)):
            await stage.press("q")
            assert stage.line("a plan that runs, 0 more to move: stops")
            assert stage.line("What has not begun is not migrated.")


async def test_quitting_does_not_ask_about_a_console_that_has_ended() -> None:
    async with dashboard() as stage:
        stage.backend.add_vm(H1, "mute", consoles=())
        await stage.look()
        await stage.put_cursor_on("mute")
        await stage.press("c")
        await stage.see("ended: internal error: cannot find console device")
        stage.type_at_once(PREFIX, "h", "q")
        await stage.until(lambda: not stage.app.is_running)


# Devices


@contextmanager
def two_devices(stage: Stage) -> Iterator[None]:
    config = stage.engine.read_config(stage.key("web1")).result(10)
    with patch.object(ConfigReader, "get", return_value=replace(config, consoles=("serial0", "serial1"))):
        yield


async def test_what_is_typed_together_with_the_choice_of_a_device_is_all_the_guests() -> None:
    async with dashboard() as stage:
        stage.backend.add_vm(H1, "two", consoles=("serial0", "serial1"))
        await stage.look()
        await stage.put_cursor_on("two")
        with two_devices(stage):
            stage.type_at_once("c", "enter", "K", "y", "p")
            await stage.see("root@two:~# Kyp")
        assert stage.engine.submitted == []
        assert len(stage.app.screen_stack) == 1


async def test_what_is_typed_together_with_c_in_the_menu_is_all_the_guests() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        stage.type_at_once("x", "c", "K", "y", "p")
        await stage.see("root@web1:~# Kyp")
        assert stage.engine.submitted == []


# The cursor, tabs


async def test_the_cursor_follows_the_console_that_is_chosen() -> None:
    async with dashboard() as stage:
        await open_console(stage, "web1")
        await stage.press(PREFIX, "h")
        await open_console(stage, "db1")
        for keys, name in ((("1",), "web1"), (("n",), "db1"), (("p",), "web1"), (("9",), "web1")):
            await stage.press(PREFIX, *keys)
            assert stage.selected == name
        await stage.press(PREFIX, "tab", "K")
        await stage.see("Force off web1 on h1?")


async def test_a_click_on_a_tab_shows_its_console_and_gives_it_the_keys() -> None:
    async with dashboard() as stage:
        assert stage.pilot is not None
        await open_console(stage, "web1")
        await stage.press(PREFIX, "h")
        await open_console(stage, "db1")
        await stage.press(PREFIX, "h")
        for name in ("web1", "db1", "db1"):
            tabs = stage.line(" 1 web1 ", " 2 db1")
            assert tabs, stage.text
            row = stage.text.splitlines().index(tabs)
            await stage.pilot.click(offset=(tabs.index(f" {name}") + 1, row))
            await stage.pilot.pause()
            await stage.see(f"console of {name} on h1")
            assert stage.selected == name
            await stage.press("K")
            await stage.see(f"root@{name}:~# K")
        assert stage.engine.submitted == []


# Guests that are off, or stand still


async def test_the_console_of_a_vm_that_is_off_waits_for_its_start() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("old")
        await stage.press("c")
        await stage.see("waiting: the VM is shut off; it is attached when it starts. ^] q leaves.")
        assert stage.text.count("attached") == 1
        await stage.press(PREFIX, "tab", "s")
        await stage.says("start old on h2: done")
        await stage.look_until(lambda: stage.line("root@old:~#"))


async def test_nobody_is_told_to_wake_a_guest_that_is_paused() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("batch1")
        await stage.press("c")
        assert "the VM is paused" in await stage.see("console of batch1 on h2")
        assert "Enter wakes" not in stage.text
        perform(stage, Verb.RESUME, "batch1")
        await stage.look_until(lambda: "paused" not in stage.line("console of batch1 on h2"))


async def test_a_console_of_a_host_that_hangs_says_that_what_is_typed_waits() -> None:
    async with dashboard() as stage:
        await open_console(stage, "web1")
        await stage.press(PREFIX, "v")
        stage.backend.hang_host(H1)
        stage.clock.advance(10)
        stage.main._consoles.bring_up_to_date()
        await stage.see("console of web1 on h1", "h1 does not answer: what is typed waits")
        stage.backend.release_host(H1)
        await stage.look_until(lambda: "does not answer" not in stage.text)


async def test_what_is_done_to_a_console_is_in_the_journal() -> None:
    async with dashboard() as stage:
        await open_console(stage, "web1")
        await stage.press(PREFIX, "b")
        with patch("kvmtui.ui.screens.ask._MEANT_S", 0.0):
            await stage.press("y")
        await stage.until(lambda: stage.main._journal)
        await stage.press(PREFIX, "h", "J")
        await stage.see("send a break to web1 on h1: done")


# Words


async def test_what_was_done_before_does_not_stand_below_a_console() -> None:
    async with dashboard() as stage:
        await stage.put_cursor_on("web1")
        await stage.press("p")
        await stage.says("pause web1 on h1: done")
        await stage.put_cursor_on("web2")
        await stage.press("c")
        assert stage.status == ""
