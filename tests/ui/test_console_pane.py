"""One console in the panel: output shows, every key but one is the guest's, and what is not open says why."""

from unittest.mock import patch

import pytest
from textual import events

from kvmtui.engine.console_state import ConsoleOutput, ConsoleState
from kvmtui.model.vm import VmKey
from kvmtui.ui.widgets.console_pane import guest_gets_key
from tests.ui.consoles import PREFIX, WEB1, ConsoleApp, press, until

SIZE = (60, 12)


HELD = ConsoleOutput(b"", state=ConsoleState.HELD, message="Active console session exists")


def ended(data: bytes, message: str) -> ConsoleOutput:
    return ConsoleOutput(data, state=ConsoleState.ENDED, message=message)


async def test_output_shows_with_the_cursor_after_it() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"web1 login: "))
        await pilot.pause()
        assert app.lines == ["web1 login:"]
        assert app.cells("reverse") == [(12, 0, " ")]
        app.tell(ConsoleOutput(b"root\r\n\x1b[31m#\x1b[m "))
        await until(pilot, lambda: app.lines == ["web1 login: root", "#"])
        app.query_one("#outside").focus()
        await pilot.pause()
        assert app.cells("reverse") == []


async def test_output_and_cursor_reach_the_real_screen() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"one\r\ntwo"))
        await pilot.pause()
        svg = app.export_screenshot()
        assert "one" in svg
        assert "two" in svg


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        ("a", b"a"),
        ("x", b"x"),
        ("n", b"n"),
        ("ctrl+c", b"\x03"),
        ("ctrl+p", b"\x10"),
        ("ctrl+q", b"\x11"),
        ("ctrl+z", b"\x1a"),
        ("tab", b"\t"),
        ("shift+tab", b"\x1b[Z"),
        ("escape", b"\x1b"),
        ("enter", b"\r"),
        ("f1", b"\x1bOP"),
        ("up", b"\x1b[A"),
        ("space", b" "),
        ("pageup", b"\x1b[5~"),
        ("shift+pageup", b"\x1b[5;2~"),
    ],
)
async def test_keys_go_to_the_guest_and_nowhere_else(key: str, sent: bytes) -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach()
        await press(pilot, key)
        assert session.written == sent
        assert app.focused is app.pane
        assert app.is_running
        assert len(app.screen_stack) == 1
        assert app.left == 0


async def test_every_priority_binding_of_textual_is_covered() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach()
        await pilot.pause()
        actions = [b.binding.action for b in app.active_bindings.values() if b.binding.priority and b.node is app]
        assert actions == [], "each of these would keep its key from the guest"
        app.query_one("#outside").focus()
        await pilot.pause()
        assert not guest_gets_key(app, "quit")


async def test_replies_go_back_to_the_guest() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach()
        await pilot.pause()
        app.tell(ConsoleOutput(b"\x1b[999;999H\x1b[6n"))
        await until(pilot, lambda: session.written == b"\x1b[%d;60R" % app.pane.size.height)


async def test_an_ended_console_keeps_the_screen_and_can_be_attached_again() -> None:
    now = 0.0
    app = ConsoleApp(clock=lambda: now)
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ended(b"panic: \x1b[?1hoops", "the VM was shut off"))
        await pilot.pause()
        assert app.lines == ["panic: oops", "ended: the VM was shut off. Enter reattaches, ^] q leaves."]
        assert "ended" in app.title_line
        assert app.cells("reverse") == []
        await press(pilot, "a", "up", "r")
        now += 60
        await press(pilot, "r", "enter")
        assert session.asked == [], "typed ahead"
        now += 1
        await press(pilot, "enter")
        assert session.written == b""
        assert session.asked == ["reattach"]
        app.tell(ConsoleOutput(b"booting"))
        await until(pilot, lambda: app.lines == ["panic: oops", "booting"])
        await press(pilot, "up")
        assert session.written == b"\x1b[A", "the application mode of the dead program is gone"


async def test_the_notice_hides_no_line_of_a_full_screen_and_is_wrapped() -> None:
    app = ConsoleApp()
    async with app.run_test(size=(30, 12)) as pilot:
        app.attach(ended(b"\r\n".join(b"line %d" % n for n in range(50)), "it has no serial device: add one"))
        await pilot.pause()
        notice = ["ended: it has no serial", "device: add one. Enter", "reattaches, ^] q leaves."]
        assert app.lines[-4:] == ["line 49", *notice]
        assert len(app.lines) == app.pane.size.height
        # Lines that change later are drawn where they stand now.
        await press(pilot, PREFIX, "pageup")
        assert app.lines[-3:] == notice
        assert "line 49" not in app.lines


async def test_keys_go_nowhere_after_the_end() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ended(b"", "closed"))
        await press(pilot, "tab", "m", "enter", "y")
        assert app.focused is app.pane
        assert session.written == b""
        assert session.asked == []
        # Only quitting is the app's again.
        assert not guest_gets_key(app, "quit")


async def test_a_waiting_console_says_so_and_comes_back_by_itself() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"bye\r\n", state=ConsoleState.WAITING, message="web1 is shut off"))
        await pilot.pause()
        assert app.lines[0] == "bye"
        assert app.lines[1] == "waiting: web1 is shut off. ^] q leaves."
        await press(pilot, "a", "r", "y", "ctrl+q", "ctrl+p")
        assert session.written == b""
        assert session.asked == []
        assert len(app.screen_stack) == 1
        assert app.is_running
        app.tell(ConsoleOutput(b"boot"))
        await until(pilot, lambda: app.lines[-1] == "boot")


async def test_a_held_console_is_taken_over_only_after_the_prefix_and_a_question() -> None:
    now = 0.0
    app = ConsoleApp(clock=lambda: now)
    async with app.run_test(size=(80, 12)) as pilot:
        session = app.attach(HELD)
        await pilot.pause()
        does = "^] t takes over the console of web1 on h1, ^] q leaves."
        assert app.lines == ["Active console session exists.", does]
        assert "held by another, ^] t takes over" in app.title_line
        await press(pilot, PREFIX, "t", "y")
        assert session.asked == [], "typed before the question could be read"
        now += 2
        await press(pilot, "enter")
        assert session.asked == [], "it starts on No"
        await press(pilot, PREFIX, "t")
        now += 2
        await press(pilot, "y")
        assert session.asked == ["take over"]
        assert session.written == b""


async def test_typing_never_takes_a_console_over() -> None:
    now = 0.0
    app = ConsoleApp(clock=lambda: now)
    async with app.run_test(size=(80, 12)) as pilot:
        session = app.attach(HELD)
        await pilot.pause()
        for key in ("y", "e", "s", "enter", "y", "y", "t", "y", "enter"):
            now += 60
            await press(pilot, key)
        assert session.asked == []
        assert len(app.screen_stack) == 1
        assert "not attached: keys are dropped" in app.title_line
        assert session.dropped == b"yes\ryyty\r"


async def test_an_open_console_cannot_be_taken_over() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        await press(pilot, PREFIX, "t")
        assert len(app.screen_stack) == 1
        assert session.asked == []


async def test_a_question_that_came_up_unseen_is_not_answered_at_once() -> None:
    now = 0.0
    app = ConsoleApp(clock=lambda: now)
    async with app.run_test(size=(80, 16)) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        app.attach(ConsoleOutput(b"$ "), key=VmKey("h1", "db1"))
        await pilot.pause()
        app.tell(ended(b"", "closed"))
        await pilot.pause()
        now += 60
        await press(pilot, PREFIX, "1", "enter")
        assert "Enter reattaches" in app.lines[-1]
        assert session.asked == []
        # Nor where it is seen again, after a look at another console, at the table or at the help.
        for *away, back in ((PREFIX, "2", PREFIX + " 1"), (PREFIX, "tab", ""), (PREFIX, "question_mark", "escape")):
            await press(pilot, *away)
            now += 60
            if back:
                await press(pilot, *back.split())
            else:
                app.panel.open(WEB1, "web1")
            await press(pilot, "enter")
            assert session.asked == []
        now += 1
        await press(pilot, "enter")
        assert session.asked == ["reattach"]


async def test_a_first_key_that_cannot_be_sent_is_told_of() -> None:
    app = ConsoleApp()
    async with app.run_test(size=(80, 12)) as pilot:
        session = app.attach(ConsoleOutput(b"", state=ConsoleState.WAITING, message="the VM is shut off"))
        await press(pilot, "r")
        assert "not attached: keys are dropped" in app.title_line
        assert (session.written, session.dropped) == (b"", b"r")
        app.post_message(events.Paste("more"))
        await pilot.pause()
        assert session.written == b""


async def test_a_line_whose_beginning_was_lost_is_marked_and_its_dropping_said() -> None:
    app = ConsoleApp()
    async with app.run_test(size=(80, 12)) as pilot:
        app.attach(ConsoleOutput(b"$ rm -rf /tmp/"))
        app.tell(ConsoleOutput(b"", state=ConsoleState.WAITING, message="gone"))
        await until(pilot, lambda: not app.terminal.live)
        app.tell(ConsoleOutput(b"x", mark="now on h2: what was typed meanwhile was dropped", dropped_until="^U or ^C"))
        await until(pilot, lambda: app.lines[-1] == "x")
        assert "[kvmtui: now on h2: what was typed meanwhile was dropped]" in app.lines
        assert "keys are dropped until ^U or ^C" in app.title_line


async def test_the_progress_of_a_paste_is_told() -> None:
    app = ConsoleApp()
    async with app.run_test(size=(80, 12)) as pilot:
        session = app.attach(ConsoleOutput(b"$ "))
        session.unsent_lines = 2900
        await pilot.pause()
        app.panel.bring_up_to_date()
        assert "pasting: 2900 lines left, ^C stops it" in app.title_line


async def test_a_paste_is_shown_before_it_is_sent() -> None:
    app = ConsoleApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.attach(ConsoleOutput(b"$ "))
        await pilot.pause()
        app.post_message(events.Paste("first \x1b[2J line\n" + "more\n" * 20))
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.pause()
        drawn = " ".join(strip.text for strip in app.screen._compositor.render_strips())
        assert "Paste 21 lines into web1 on h1?" in drawn
        assert "first \ufffd[2J line" in drawn
        assert "and 13 more" in drawn


async def test_a_console_follows_its_vm() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"$ "))
        await pilot.pause()
        assert "console of web1 on h1" in app.title_line
        app.tell(ConsoleOutput(b"", key=VmKey("h2", "web1")))
        await until(pilot, lambda: "console of web1 on h2   migrated here" in app.title_line)
        await press(pilot, "a")
        assert "migrated" not in app.title_line


async def test_skipped_output_is_named_until_a_key_is_typed() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        app.attach(ConsoleOutput(b"tail", skipped_bytes=2_345_678))
        await pilot.pause()
        assert "2345 kB skipped" in app.title_line
        await press(pilot, "a")
        assert "skipped" not in app.title_line


async def test_a_sequence_cut_by_skipping_does_not_swallow_what_follows() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"start \x1b[38;5;"))
        session.outputs.append(ConsoleOutput(b"mtail", skipped_bytes=5000))
        await until(pilot, lambda: app.lines == ["start mtail"])


async def test_a_flood_is_fed_in_frames_and_all_of_it() -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.001
        return now

    app = ConsoleApp(clock=clock)
    async with app.run_test(size=SIZE) as pilot:
        data = b"".join(b"line %d\r\n" % n for n in range(4000)) + b"END"
        session = app.attach(ConsoleOutput(data))
        session.outputs.append(ConsoleOutput(b" and more"))
        assert "line " in app.terminal.copy_text()
        assert "END" not in app.terminal.copy_text(), "the budget ends the first frame"
        await until(pilot, lambda: app.lines[-1:] == ["END and more"])


async def test_scrollback_by_wheel_and_back_by_typing() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach(ConsoleOutput(b"\r\n".join(b"line %d" % n for n in range(50))))
        await pilot.pause()
        app.pane.post_message(events.MouseScrollUp(app.pane, 1, 1, 0, -1, 0, False, False, False))
        await until(pilot, lambda: app.lines[-1] == "line 46")
        assert "3 lines back" in app.title_line
        assert session.written == b""
        await press(pilot, "a")
        assert app.lines[-1] == "line 49"
        assert "back" not in app.title_line


async def test_paste_of_a_line_goes_and_of_lines_asks() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach()
        await pilot.pause()
        app.post_message(events.Paste("ls \x1b[A-l"))
        await until(pilot, lambda: session.written == b"ls [A-l")
        app.post_message(events.Paste("rm x\n"))
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await press(pilot, "n")
        assert session.written == b"ls [A-l"
        app.post_message(events.Paste("rm x\n"))
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await press(pilot, "y")
        assert session.written == b"ls [A-lrm x\r"


async def test_resize_wraps_the_lines() -> None:
    app = ConsoleApp()
    async with app.run_test(size=(40, 12)) as pilot:
        app.attach(ConsoleOutput(b"0123456789" * 4))
        await pilot.pause()
        assert app.lines == ["0123456789" * 4]
        await pilot.resize_terminal(20, 12)
        await until(pilot, lambda: app.lines == ["01234567890123456789"] * 2)


async def test_the_session_is_closed_with_the_app() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach()
        await pilot.pause()
    assert session.closed


async def test_a_session_wakes_the_panel() -> None:
    app = ConsoleApp()
    async with app.run_test(size=SIZE) as pilot:
        session = app.attach()
        await pilot.pause()
        session.outputs.append(ConsoleOutput(b"hello"))
        session.wake()
        await until(pilot, lambda: app.lines == ["hello"])
        assert app.terminal.key == WEB1


async def test_a_session_that_wakes_the_panel_after_the_end_does_no_harm() -> None:
    class Closed:
        def call_soon_threadsafe(self, *arguments: object) -> None:
            raise RuntimeError("Event loop is closed")

    app = ConsoleApp()
    async with app.run_test(size=SIZE):
        with patch("kvmtui.ui.widgets.console_panel.asyncio.get_running_loop", Closed):
            session = app.attach()
        session.wake()
