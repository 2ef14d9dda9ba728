"""What follows the prefix, several consoles in tabs, and the search."""

import os
import stat
import threading
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from textual import events

from kvmtui.engine.console_state import ConsoleDeed, ConsoleOutput, ConsoleState
from kvmtui.ui.console_keys import BY_KEY, CONSOLE_KEYS, Command, choices, console_help
from kvmtui.ui.console_layout import Layout
from kvmtui.ui.console_log import ConsoleLog
from kvmtui.ui.screens.ask import MeantScreen
from kvmtui.ui.screens.help import HelpScreen
from kvmtui.ui.widgets.console_search import ConsoleSearchField
from tests.ui.consoles import DB1, PREFIX, WEB1, ConsoleApp, press, until

SIZE = (80, 14)


# The table


def test_no_key_stands_for_two_commands() -> None:
    assert len(BY_KEY) == len(CONSOLE_KEYS)
    assert {row.command for row in CONSOLE_KEYS} == set(Command)


def test_title_and_help_name_every_command() -> None:
    written = [key for key, _ in choices()] + ["?"]
    assert written == [row.written for row in CONSOLE_KEYS if row.written]
    assert [keys.strip() for keys, _ in console_help()][1:-2] == written
    assert {row.command for row in CONSOLE_KEYS if row.written} >= set(Command) - {Command.TAB}


# The prefix


def shown(app: ConsoleApp) -> str:
    """Return what the topmost screen shows, on one line."""
    return " ".join(" ".join(strip.text for strip in app.screen._compositor.render_strips()).split())


async def test_while_the_prefix_waits_the_title_shows_the_choices() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX)
        assert app.title_line.startswith(" q leave  h hide  / search")
        assert app.title_line.endswith("? all keys  Esc back")
        assert session.written == b""


@pytest.mark.parametrize("key", ["escape", "x", "ctrl+q", "ctrl+p", "enter", "up"])
async def test_another_key_cancels_the_prefix_and_is_not_sent(key: str) -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX, key)
        assert "console of web1 on h1" in app.title_line
        assert ("does nothing; ^] ? shows all keys" in app.title_line) == (key != "escape")
        assert session.written == b""
        assert len(app.screen_stack) == 1
        await press(pilot, "q")
        assert session.written == b"q", "the prefix is over"


async def test_the_prefix_twice_is_sent_once() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach()
        await press(pilot, PREFIX, PREFIX, "q")
        assert session.written == b"\x1dq"


async def test_the_prefix_does_not_outlive_the_focus() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach()
        await press(pilot, PREFIX)
        app.query_one("#outside").focus()
        await pilot.pause()
        app.pane.focus()
        await press(pilot, "q")
        assert session.written == b"q"
        assert not session.closed


async def test_leaving_ends_the_session_and_gives_the_keys_back() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX, "q", "z")
        assert session.closed
        assert session.written == b""
        assert app.left == 1
        assert not app.panel.display


async def test_a_hidden_console_goes_on_and_is_shown_again() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX, "h", "z")
        assert not session.closed
        assert session.written == b""
        assert app.left == 1
        assert app.tabs == " 1 console (c on the VM)  1 web1 "
        app.tell(ConsoleOutput(b"news"))
        await until(pilot, lambda: app.tabs == " 1 console (c on the VM)  1 web1 ● ")
        app.panel.open(WEB1, "web1")
        await pilot.pause()
        assert app.lines == ["$ news"]
        assert app.tabs == ""
        assert app.focused is app.pane


async def test_a_hidden_console_is_paced_as_one_that_is_not_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    paced: list[bool] = []

    def pause_after(_spent_s: float, *, in_sight: bool) -> float:
        paced.append(in_sight)
        return 0.001

    monkeypatch.setattr("kvmtui.ui.widgets.console_panel.pause_after", pause_after)
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"$ "))
        await until(pilot, lambda: paced)
        assert all(paced)
        await press(pilot, PREFIX, "h")
        paced.clear()
        app.tell(ConsoleOutput(b"news"))
        await until(pilot, lambda: paced)
        assert not any(paced)


async def test_the_table_gets_the_keys_and_the_console_stays() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX, "tab", "z")
        assert app.left == 1
        assert session.written == b""
        assert app.lines == ["$"]
        assert app.title_line.endswith("c on web1 types to it")


async def test_scrolling_by_key_goes_on_without_the_prefix() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"\r\n".join(b"line %d" % n for n in range(80))))
        await pilot.pause()
        height = app.pane.size.height
        await press(pilot, PREFIX, "pageup", "pageup")
        assert app.lines[-1] == f"line {79 - 2 * (height - 1)}"
        await press(pilot, "pagedown")
        assert app.lines[-1] == f"line {79 - (height - 1)}"
        assert f"{height - 1} lines back" in app.title_line
        assert "PgUp PgDn scroll" in app.title_line
        assert session.written == b""
        await press(pilot, "escape", "pageup")
        assert session.written == b"\x1b\x1b[5~"
        assert app.lines[-1] == "line 79"
        assert "PgUp" not in app.title_line


async def test_what_is_typed_after_scrolling_is_the_guests() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX, "pageup", "b", "c", "q", "pagedown")
        assert session.asked == []
        assert session.written == b"bcq\x1b[6~"
        await press(pilot, PREFIX, "pageup", PREFIX, "h")
        assert app.left == 1


async def test_the_guests_stty_is_told_the_size_on_demand_only() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        await pilot.resize_terminal(70, 20)
        await pilot.pause()
        assert session.written == b""
        await press(pilot, PREFIX, "r")
        assert session.written == b"stty rows %d cols 70\r" % app.pane.size.height


async def test_a_break_is_asked_about_and_its_outcome_shown() -> None:
    now = 0.0
    app = ConsoleApp(clock=lambda: now)
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX, "b")
        assert isinstance(app.screen, MeantScreen)
        assert "Send a break to web1 on h1?" in shown(app)
        await press(pilot, "y")
        assert session.asked == [], "typed before the question could be read"
        await pilot.pause()
        assert "Typed too soon to be meant" in shown(app)
        now += 1
        await press(pilot, "y")
        assert session.asked == ["break"]
        assert session.written == b""
        deed = ConsoleDeed("send a break to", done=False, message="not with this hypervisor")
        app.tell(ConsoleOutput(b"", message="this hypervisor cannot send a break", deeds=(deed,)))
        await until(pilot, lambda: "cannot send a break" in app.title_line)
        assert app.journal == [("send a break to web1 on h1: failed: not with this hypervisor", "")]
        await press(pilot, "a")
        assert "break" not in app.title_line


@pytest.mark.parametrize("key", ["n", "escape", "enter", "q"])
async def test_another_key_sends_no_break(key: str) -> None:
    now = 0.0
    app = ConsoleApp(clock=lambda: now)
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX, "b")
        now += 60
        await press(pilot, key)
        assert len(app.screen_stack) == 1
        now += 60
        await press(pilot, "y")
        assert session.asked == []
        assert session.written == b"y"


async def test_typing_on_never_agrees_to_a_break() -> None:
    now = 0.0
    app = ConsoleApp(clock=lambda: now)
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX, "b")
        for key in ("y", "e", "s", "tab", "enter", "tab", "tab", "enter", "y"):
            now += 0.3
            await press(pilot, key)
        assert session.asked == []


async def test_a_break_is_not_sent_to_a_console_that_was_lost_meanwhile() -> None:
    now = 0.0
    app = ConsoleApp(clock=lambda: now)
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX, "b")
        app.tell(ConsoleOutput(b"", state=ConsoleState.HELD, message="another client"))
        now += 60
        await press(pilot, "y")
        assert session.asked == []


async def test_a_program_that_has_the_whole_screen_is_not_typed_into_unasked() -> None:
    now = 0.0
    app = ConsoleApp(clock=lambda: now)
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"\x1b[?1049hvi"))
        await press(pilot, PREFIX, "r")
        assert session.written == b""
        assert "whole screen" in shown(app)
        now += 2
        await press(pilot, "enter")
        assert session.written == b"", "it starts on No"
        await press(pilot, PREFIX, "r")
        now += 2
        await press(pilot, "y")
        assert session.written.startswith(b"stty rows ")


async def test_copying_takes_what_is_in_sight() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"\x1b[31mone\x1b[m   \r\n\r\n\x1b]52;c;ZXZpbA==\x07two"))
        await pilot.pause()
        assert app.clipboard == "", "a guest cannot set it"
        await press(pilot, PREFIX, "y")
        assert app.clipboard == "one\n\ntwo"
        assert "3 lines copied" in app.title_line
        assert session.written == b""


async def test_copying_joins_what_the_screens_edge_has_wrapped() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"x" * 70 + b" a long line\r\nnext"))
        await press(pilot, PREFIX, "y")
        assert app.clipboard == "x" * 70 + " a long line\nnext"


async def test_the_log_has_the_guests_bytes_and_is_its_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"before"))
        await press(pilot, PREFIX, "l")
        folder = tmp_path / "kvmtui" / "consoles"
        (log,) = [terminal.log for terminal in [app.terminal]]
        assert log is not None
        assert app.title_line.endswith(f"…/{log.path.name}")
        assert len(app.title_line) <= SIZE[0], "readable to its end"
        await press(pilot, "a")
        assert "· logging ·" in app.title_line.replace("   ", " · ")
        assert list(folder.iterdir()) == [], "nothing has come yet"
        app.tell(ConsoleOutput(b"\x1b[31mraw\xff\r\n"))
        await press(pilot, PREFIX, "h")
        await until(pilot, lambda: list(folder.iterdir()))
        (path,) = folder.iterdir()
        app.tell(ConsoleOutput(b"hidden", skipped_bytes=7))
        await until(pilot, lambda: path.read_bytes() == b"\x1b[31mraw\xff\r\n\r\n[kvmtui: 7 bytes skipped]\r\nhidden")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        app.panel.open(WEB1, "web1")
        await press(pilot, PREFIX, "l")
        app.tell(ConsoleOutput(b"after"))
        await until(pilot, lambda: "after" in app.lines[-1])
        assert b"after" not in path.read_bytes()
        assert "logged to" in app.title_line


async def test_a_log_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kvmtui").write_text("in the way")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach()
        await press(pilot, PREFIX, "l")
        assert "no log: " in app.title_line


async def test_a_log_ends_before_it_fills_the_disk_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("kvmtui.ui.console_log._MOST_BYTES", 3_000_000)
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach()
        await press(pilot, PREFIX, "l", PREFIX, "h")
        for _ in range(4):
            app.tell(ConsoleOutput(b"x" * 1_000_000))
        await until(pilot, lambda: app.terminal.log is None)
        (path,) = (tmp_path / "kvmtui" / "consoles").iterdir()
        assert path.stat().st_size == 3_000_000
        app.panel.open(WEB1, "web1")
        assert "the log has ended, it is 3 MB long" in app.title_line, "also what came while nobody looked"


async def test_a_remark_goes_after_a_few_seconds_in_sight() -> None:
    now = 0.0
    app = ConsoleApp(clock=lambda: now)
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX, "h")
        app.tell(ConsoleOutput(b"", message="break sent"))
        await until(pilot, lambda: app.terminal.remark)
        now += 60
        app.panel.open(WEB1, "web1")
        assert "break sent" in app.title_line, "nobody has seen it yet"
        now += 5
        app.panel.bring_up_to_date()
        assert "break sent" in app.title_line
        now += 5
        app.panel.bring_up_to_date()
        assert "break sent" not in app.title_line


async def test_a_guest_that_stands_still_is_not_to_be_woken_by_enter() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach()
        await pilot.pause()
        assert "Enter wakes a silent one" in app.title_line
        app.stands_still = "the VM is paused"
        app.panel.bring_up_to_date()
        assert "the VM is paused" in app.title_line
        assert "Enter" not in app.title_line


async def test_the_search_covers_no_line_of_the_guest() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"\r\n".join(b"line %d" % n for n in range(50))))
        await pilot.pause()
        height = app.pane.size.height
        await press(pilot, PREFIX, "slash", *"line")
        field = app.query_one(ConsoleSearchField)
        assert not field.region.overlaps(app.pane.region)
        assert field.region.width > 20
        assert app.pane.size.height == height, "and takes none away"


async def test_help_opens_over_the_console() -> None:
    app = ConsoleApp()
    async with app.run_test(size=(100, 60)) as pilot:
        session = app.attach()
        await press(pilot, PREFIX, "question_mark")
        assert isinstance(app.screen, HelpScreen)
        help_lines = [strip.text for strip in app.screen._compositor.render_strips()]
        assert any("before each of these" in line for line in help_lines[:12]), "these keys come first"
        await press(pilot, "escape", "a")
        assert session.written == b"a"


async def test_layouts_that_there_is_room_for() -> None:
    app = ConsoleApp()
    async with app.run_test(size=(150, 30)) as pilot:
        app.attach()
        seen = [app.panel.layout_now]
        for _ in range(3):
            await press(pilot, PREFIX, "v")
            seen.append(app.panel.layout_now)
        assert seen == [Layout.BELOW, Layout.BESIDE, Layout.FULL, Layout.BELOW]
        await press(pilot, PREFIX, "v")
        await pilot.resize_terminal(139, 30)
        await pilot.pause()
        narrow = [app.panel.layout_now]
        await press(pilot, PREFIX, "v")
        narrow.append(app.panel.layout_now)
        assert narrow == [Layout.BELOW, Layout.FULL], "beside the table, until there was no room"


async def test_a_console_that_fills_the_screen_makes_room_for_the_table() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX, "v", PREFIX, "tab")
        assert not app.panel.in_sight
        assert app.tabs == " 1 console (c on the VM)  1 web1 "


async def test_a_small_terminal_is_all_the_consoles() -> None:
    app = ConsoleApp()
    async with app.run_test(size=(50, 12)) as pilot:
        app.attach(ConsoleOutput(b"$ "))
        seen = [app.panel.layout_now]
        await press(pilot, PREFIX, "v")
        seen.append(app.panel.layout_now)
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        seen.append(app.panel.layout_now)
        assert seen == [Layout.FULL, Layout.FULL, Layout.FULL]


@pytest.mark.parametrize(("columns", "named"), [(80, "log break"), (120, "log break size view tab table copy")])
async def test_log_and_break_are_named_where_there_is_room_and_the_help_always(columns: int, named: str) -> None:
    app = ConsoleApp()
    async with app.run_test(size=(columns, 24)) as pilot:
        app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX)
        assert {f" {word}" in app.title_line for word in named.split()} == {True}, app.title_line
        assert "? all keys" in app.title_line


# Tabs


async def test_each_console_has_its_own_session_screen_and_tab() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        web1 = app.attach(ConsoleOutput(b"web1$ "))
        await pilot.pause()
        assert app.tabs == ""
        db1 = app.attach(ConsoleOutput(b"db1$ "), key=DB1)
        await pilot.pause()
        assert app.tabs == " 1 web1  2 db1 "
        assert app.lines == ["db1$"]
        await press(pilot, "d", PREFIX, "p")
        assert app.lines == ["web1$"]
        await press(pilot, "w", PREFIX, "n", "d", PREFIX, "n", "w", PREFIX, "2", "d", PREFIX, "9", "d")
        assert (web1.written, db1.written) == (b"ww", b"dddd")
        app.panel.open(WEB1, "web1")
        await press(pilot, "w")
        assert web1.written == b"www"
        assert app.tabs == " 1 web1  2 db1 "


async def test_a_hidden_tab_is_marked_by_output_and_by_the_bell() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"web1$ "))
        app.attach(ConsoleOutput(b"db1$ "), key=DB1)
        await pilot.pause()
        app.tell(ConsoleOutput(b"done"))
        await until(pilot, lambda: app.tabs == " 1 web1 ●  2 db1 ")
        app.tell(ConsoleOutput(b"\x07"))
        await until(pilot, lambda: app.tabs == " 1 web1 !  2 db1 ")
        app.tell(ConsoleOutput(b"\x07seen"), key=DB1)
        await until(pilot, lambda: "seen" in app.lines[-1])
        assert app.tabs == " 1 web1 !  2 db1 "
        await press(pilot, PREFIX, "1")
        assert app.tabs == " 1 web1  2 db1 "


async def test_a_tab_keeps_its_number_when_another_is_left() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"web1$ "))
        db1 = app.attach(ConsoleOutput(b"db1$ "), key=DB1)
        await press(pilot, PREFIX, "1", PREFIX, "q")
        assert app.tabs == " 1 console (c on the VM)  2 db1 "
        app.panel.open(DB1, "db1")
        await press(pilot, PREFIX, "2", "d", PREFIX, "1", "d")
        assert db1.written == b"dd"
        app.attach(ConsoleOutput(b"web1$ "))
        await pilot.pause()
        assert app.tabs == " 1 web1  2 db1 "
        assert app.lines == ["web1$"]


async def test_leaving_one_of_several_keeps_the_others_and_types_into_none() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        web1 = app.attach(ConsoleOutput(b"web1$ "))
        db1 = app.attach(ConsoleOutput(b"db1$ "), key=DB1)
        await press(pilot, PREFIX, "q", "z")
        assert db1.closed
        assert not web1.closed
        assert web1.written == b""
        assert app.tabs == " 1 console (c on the VM)  1 web1 "


async def test_a_flood_in_a_hidden_console_starves_no_other() -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.0005
        return now

    app = ConsoleApp(clock=clock)
    async with app.run_test(size=SIZE) as pilot:
        flood = app.attach(ConsoleOutput(b"y\r\n" * 100_000 + b"END"))
        app.attach(ConsoleOutput(b"$ "), key=DB1)
        app.tell(ConsoleOutput(b"quick"), key=DB1)
        await until(pilot, lambda: app.lines == ["$ quick"])
        assert flood.outputs == type(flood.outputs)()
        await press(pilot, PREFIX, "1")
        await until(pilot, lambda: app.lines[-1:] == ["END"])


async def test_an_open_console_that_ends_while_hidden_is_marked() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX, "h")
        app.tell(ConsoleOutput(b"", state=ConsoleState.ENDED, message="gone"))
        await until(pilot, lambda: "●" in app.tabs)


async def test_the_first_device_has_one_tab_whether_or_not_it_was_named() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"$ "))
        first, devices = app.terminal, ("serial0", "console1")
        app.panel.open(WEB1, "web1", "serial0", devices)
        assert app.terminal is first
        app.panel.open(WEB1, "web1", "console1", devices)
        second = app.terminal
        assert second is not first
        app.panel.open(WEB1, "web1", "serial0", devices)
        assert app.terminal is first
        app.panel.open(WEB1, "web1", "console1", devices)
        assert app.terminal is second
        await pilot.pause()
        assert app.tabs == " 1 web1  2 web1 "


# Search

LOG = b"".join(b"[%d] %s\r\n" % (n, b"Error on disk" if n % 10 == 0 else b"fine") for n in range(100)) + b"$ "


async def test_search_finds_as_one_types_and_steps_through_the_matches() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(LOG))
        await press(pilot, PREFIX, "slash", *"error")
        assert "1 of 10" in app.title_line
        assert app.cells("bold") == [(5, next(y for _, y, _ in app.cells("bold")), "Error")]
        assert "[90]" in app.lines[app.cells("bold")[0][1]]
        await press(pilot, "enter", "n")
        assert "2 of 10" in app.title_line
        assert app.lines[app.cells("bold")[0][1]] == "[80] Error on disk"
        assert {text for _, _, text in app.cells("underline")} <= {"Error"}
        await press(pilot, "N", "N")
        assert "10 of 10" in app.title_line
        assert app.lines[app.cells("bold")[0][1]] == "[0] Error on disk"
        # Other keys do nothing, least of all in the guest.
        await press(pilot, "x", "enter", "ctrl+q", "up")
        assert session.written == b""
        await press(pilot, "y")
        assert app.clipboard == "[0] Error on disk"
        await press(pilot, "escape")
        assert app.lines[-1] == "$"
        assert app.cells("bold") == []
        await press(pilot, "n")
        assert session.written == b"n"


async def test_matches_stay_marked_while_the_guest_writes() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(LOG))
        await press(pilot, PREFIX, "slash", *"error", "enter", "n", "n")
        marked = app.cells("bold")
        app.tell(ConsoleOutput(b"another Error\r\n" * 30))
        await until(pilot, lambda: "33 of 40" in app.title_line)
        assert app.cells("bold") == marked


async def test_the_selected_match_stays_when_the_size_changes() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(LOG))
        await press(pilot, PREFIX, "slash", *"error", "enter", "n", "n")
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: app.pane.size.width == 60)
        assert "3 of 10" in app.title_line
        assert app.lines[app.cells("bold")[0][1]] == "[70] Error on disk"


async def test_a_search_ends_with_another_tab() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(LOG))
        app.attach(ConsoleOutput(b"$ "), key=DB1)
        await press(pilot, PREFIX, "1", PREFIX, "slash", *"error", "enter", PREFIX, "2", PREFIX, "1", "n")
        assert session.written == b"n"
        assert app.cells("bold") == []


async def test_search_without_a_match_says_so_and_esc_ends_it() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(LOG))
        await press(pilot, PREFIX, "slash", *"nowhere")
        assert "not found" in app.title_line
        await press(pilot, "escape", "a")
        assert session.written == b"a"
        assert not app.query_one(ConsoleSearchField).display


async def test_searching_again_and_scrolling_in_the_matches() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(LOG))
        await press(pilot, PREFIX, "slash", *"error", "enter", "slash", *"[50]", "enter")
        assert "1 of 1" in app.title_line
        above = app.lines[0]
        await press(pilot, "pageup")
        assert app.lines[-1] == above
        await press(pilot, PREFIX, "h")
        assert session.written == b""
        app.panel.open(WEB1, "web1")
        await press(pilot, "a")
        assert session.written == b"a", "a search does not outlive the sight of it"


async def test_alt_keys_edit_what_is_searched_for() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(LOG))
        await press(pilot, PREFIX, "slash", *"on", "space", *"disk", "alt+b", *"x", "alt+f", "alt+backspace")
        assert app.query_one(ConsoleSearchField).value == "on "


async def test_wide_characters_are_marked_whole() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput("ab你好cd".encode()))
        await press(pilot, PREFIX, "slash", "你", "好", "enter")
        assert [text for _, _, text in app.cells("bold")] == ["你好"]
        assert app.lines == ["ab你好cd"]


async def test_pastes_go_nowhere_while_matches_are_shown() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(LOG))
        await press(pilot, PREFIX, "slash", *"error", "enter")
        app.post_message(events.Paste("text"))
        await press(pilot, "escape")
        assert session.written == b""


def test_a_log_is_never_where_a_vms_name_says(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path / "logs", "../../-x;$(reboot)\u202e" + "y" * 300, datetime(2026, 3, 14, 12, 4, 31))
    log.write(b"x", 0)
    log.close()
    assert log.path.parent == tmp_path / "logs"
    assert log.path.name == "_.._-x___reboot__" + "y" * 43 + "-20260314-120431.log"
    again = ConsoleLog(tmp_path / "logs", "../../-x;$(reboot)\u202e" + "y" * 300, datetime(2026, 3, 14, 12, 4, 31))
    again.write(b"y", 0)
    again.close()
    with pytest.raises(FileExistsError):
        again.write(b"y", 0)
    assert log.path.read_bytes() == b"x"
    assert os.listdir(tmp_path) == ["logs"]


async def test_a_home_that_hangs_stops_no_console_and_what_is_not_logged_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("kvmtui.ui.console_log._WAITING_BYTES", 100)
    answers = threading.Event()
    real = os.open
    monkeypatch.setattr("kvmtui.ui.console_log.os.open", lambda *asked: answers.wait(20) and real(*asked))
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach()
        await press(pilot, PREFIX, "l")
        for output in (b"a" * 60, b"b" * 60, b"c" * 60):
            app.tell(ConsoleOutput(output + b"\r\n"))
            shown = output.decode()[:9]
            await until(pilot, partial(lambda shown: shown in "".join(app.lines), shown))
        await until(pilot, lambda: "124 bytes are not logged" in app.title_line)
        answers.set()
        (folder,) = (tmp_path / "kvmtui").iterdir()
        await until(pilot, lambda: any(path.read_bytes() for path in folder.iterdir()))
        app.tell(ConsoleOutput(b"d"))
        (path,) = folder.iterdir()
        await until(pilot, lambda: path.read_bytes().endswith(b"\r\n[kvmtui: 124 bytes skipped]\r\nd"))
