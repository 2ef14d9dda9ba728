"""The console pane in a tiny app: output shows, every key but one is the guest's, and an ended stream says so."""

from collections import deque
from typing import ClassVar

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.pilot import Pilot
from textual.widgets import Input

from kvmtui.engine.consoles import ConsoleOutput, ConsoleState
from kvmtui.ui.widgets.console_pane import ConsolePane, guest_gets_key


class FakeSession:
    """A session whose output is put in by the test."""

    def __init__(self, *outputs: ConsoleOutput) -> None:
        self.outputs = deque(outputs)
        self.written = b""
        self.closed = False

    def take(self) -> ConsoleOutput:
        return self.outputs.popleft() if self.outputs else ConsoleOutput(b"")

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True


class PaneApp(App[None]):
    CSS = "Screen { layout: vertical; } Input { dock: bottom; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("x", "bell")]

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[object] = []

    def compose(self) -> ComposeResult:
        yield ConsolePane()
        yield Input()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return False if guest_gets_key(self, action) else super().check_action(action, parameters)

    def on_console_pane_leave_requested(self, message: ConsolePane.LeaveRequested) -> None:
        self.requests.append(message)

    def on_console_pane_reattach_requested(self, message: ConsolePane.ReattachRequested) -> None:
        self.requests.append(message)

    def on_console_pane_paste_requested(self, message: ConsolePane.PasteRequested) -> None:
        self.requests.append(message)


def lines(pane: ConsolePane) -> list[str]:
    drawn = [pane.render_line(y).text.rstrip() for y in range(pane.size.height)]
    while drawn and not drawn[-1]:
        drawn.pop()
    return drawn


def reversed_cells(pane: ConsolePane) -> list[tuple[int, int, str]]:
    found = []
    for y in range(pane.size.height):
        x = 0
        for text, style, _ in pane.render_line(y):
            if style and style.reverse:
                found.append((x, y, text))
            x += len(text)
    return found


async def until(pilot: Pilot[None], pane: ConsolePane, wanted: str) -> None:
    """Let frames pass until `wanted` is on the screen."""
    for _ in range(200):
        if any(wanted in line for line in lines(pane)):
            return
        await pilot.pause(0.01)
    raise AssertionError(f"{wanted!r} never came: {lines(pane)}")


def attach(app: PaneApp, *outputs: ConsoleOutput) -> tuple[ConsolePane, FakeSession]:
    pane, session = app.query_one(ConsolePane), FakeSession(*outputs)
    pane.attach(session, "web1 on h1")
    pane.focus()
    return pane, session


async def test_output_shows_with_the_cursor_after_it() -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        pane, session = attach(app, ConsoleOutput(b"web1 login: "))
        await pilot.pause()
        assert lines(pane) == ["web1 login:"]
        assert reversed_cells(pane) == [(12, 0, " ")]
        session.outputs.append(ConsoleOutput(b"root\r\n\x1b[31m#\x1b[m "))
        pane.wake()
        await until(pilot, pane, "#")
        assert lines(pane) == ["web1 login: root", "#"]
        app.query_one(Input).focus()
        await pilot.pause()
        assert reversed_cells(pane) == []


async def test_output_and_cursor_reach_the_real_screen() -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        attach(app, ConsoleOutput(b"one\r\ntwo"))
        await pilot.pause()
        svg = app.export_screenshot()
        assert "one" in svg
        assert "two" in svg


@pytest.mark.parametrize(
    ("key", "sent"),
    [
        ("a", b"a"),
        ("x", b"x"),
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
    ],
)
async def test_keys_go_to_the_guest_and_nowhere_else(key: str, sent: bytes) -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        pane, session = attach(app)
        await pilot.press(key)
        assert session.written == sent
        assert app.focused is pane
        assert app.is_running
        assert len(app.screen_stack) == 1
        assert app.requests == []


async def test_every_priority_binding_of_textual_is_covered() -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        attach(app)
        await pilot.pause()
        actions = [b.binding.action for b in app.active_bindings.values() if b.binding.priority and b.node is app]
        assert actions == [], "each of these would keep its key from the guest"
        app.query_one(Input).focus()
        await pilot.pause()
        assert not guest_gets_key(app, "quit")


async def test_leave_key_leaves_and_is_not_sent() -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        pane, session = attach(app)
        await pilot.press("ctrl+right_square_bracket")
        assert session.written == b""
        assert [type(request) for request in app.requests] == [ConsolePane.LeaveRequested]
        pane.detach()
        assert session.closed
        assert lines(pane) == []


async def test_replies_go_back_to_the_guest() -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        pane, session = attach(app, ConsoleOutput(b"\x1b[999;999H\x1b[6n"))
        await pilot.pause()
        assert session.written == b"\x1b[%d;40R" % pane.size.height


async def test_an_ended_stream_keeps_the_screen_and_can_be_opened_again() -> None:
    app = PaneApp()
    async with app.run_test(size=(60, 10)) as pilot:
        output = ConsoleOutput(
            b"panic: \x1b[?1hoops", state=ConsoleState.ENDED, message="domain \ufffd[31mis not running"
        )
        pane, session = attach(app, output)
        await pilot.pause()
        assert lines(pane) == ["panic: oops", "stream ended: domain \ufffd[31mis not run… - r reattach, ^] leave"]
        assert not pane.attached
        assert reversed_cells(pane) == []
        await pilot.press("a", "up", "r")
        assert session.written == b""
        assert [type(request) for request in app.requests] == [ConsolePane.ReattachRequested]
        again = FakeSession(ConsoleOutput(b"booting"))
        pane.attach(again, pane.title)
        await pilot.pause()
        assert session.closed
        assert lines(pane) == ["panic: oops", "booting"]
        await pilot.press("up")
        assert again.written == b"\x1b[A", "the application mode of the dead program is gone"


async def test_the_notice_hides_no_line_of_a_full_screen() -> None:
    app = PaneApp()
    async with app.run_test(size=(60, 10)) as pilot:
        pane, _ = attach(
            app,
            ConsoleOutput(b"\r\n".join(b"line %d" % n for n in range(50)), state=ConsoleState.ENDED, message="closed"),
        )
        await pilot.pause()
        assert lines(pane)[-2] == "line 49"
        assert lines(pane)[-1].startswith("stream ended: closed")
        assert len(lines(pane)) == pane.size.height


async def test_keys_go_nowhere_after_the_end() -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        pane, session = attach(app, ConsoleOutput(b"", state=ConsoleState.ENDED, message="closed"))
        await pilot.press("tab", "m", "enter")
        assert app.focused is pane
        assert session.written == b""
        # Only quitting is the app's again.
        assert not guest_gets_key(app, "quit")


async def test_skipped_output_is_named_until_a_key_is_typed() -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        pane, _ = attach(app, ConsoleOutput(b"tail", skipped_bytes=2_345_678))
        await pilot.pause()
        assert lines(pane)[0] == "tail".ljust(22) + "… 2345 kB skipped"
        await pilot.press("a")
        assert lines(pane)[0] == "tail"


async def test_a_sequence_cut_by_skipping_does_not_swallow_what_follows() -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        pane, session = attach(app, ConsoleOutput(b"start \x1b[38;5;"))
        session.outputs.append(ConsoleOutput(b"mtail", skipped_bytes=5000))
        await until(pilot, pane, "start mtail")


async def test_a_flood_is_fed_in_frames_and_all_of_it() -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.001
        return now

    class FloodApp(PaneApp):
        def compose(self) -> ComposeResult:
            yield ConsolePane(clock=clock)

    app = FloodApp()
    async with app.run_test(size=(40, 10)) as pilot:
        data = b"".join(b"line %d\r\n" % n for n in range(4000)) + b"END"
        pane, session = attach(app, ConsoleOutput(data))
        session.outputs.append(ConsoleOutput(b" and more"))
        assert lines(pane) and "END" not in lines(pane)[-1], "the budget ends the first frame"
        await until(pilot, pane, "END and more")


async def test_scrollback_by_key_and_wheel_and_back_by_typing() -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        pane, session = attach(app, ConsoleOutput(b"\r\n".join(b"line %d" % n for n in range(50))))
        await pilot.pause()
        height = pane.size.height
        await pilot.press("shift+pageup")
        assert lines(pane)[0] == f"line {50 - height - (height - 1)}"
        await pilot.press("shift+pagedown")
        assert lines(pane)[-1] == "line 49"
        wheel = events.MouseScrollUp(pane, 1, 1, 0, -1, 0, False, False, False)
        pane.post_message(wheel)
        await pilot.pause()
        assert lines(pane)[-1] == "line 46"
        assert session.written == b""
        await pilot.press("a")
        assert lines(pane)[-1] == "line 49"


async def test_paste_of_a_line_goes_and_of_lines_asks() -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        pane, session = attach(app)
        await pilot.pause()
        pane.post_message(events.Paste("ls \x1b[A-l"))
        await pilot.pause()
        assert session.written == b"ls [A-l"
        pane.post_message(events.Paste("rm x\n"))
        await pilot.pause()
        (request,) = app.requests
        assert isinstance(request, ConsolePane.PasteRequested)
        assert session.written == b"ls [A-l"
        request.pane.paste(request.text)
        assert session.written == b"ls [A-lrm x\r"


async def test_resize_wraps_the_lines() -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        pane, _ = attach(app, ConsoleOutput(b"0123456789" * 4))
        await pilot.pause()
        assert lines(pane) == ["0123456789" * 4]
        await pilot.resize_terminal(20, 10)
        await pilot.pause()
        assert lines(pane) == ["01234567890123456789"] * 2


async def test_another_vm_gets_a_clear_screen_and_the_old_stream_is_closed() -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        pane, session = attach(app, ConsoleOutput(b"secret of web1"))
        await pilot.pause()
        pane.attach(FakeSession(ConsoleOutput(b"db1")), "db1 on h1")
        await pilot.pause()
        assert session.closed
        assert lines(pane) == ["db1"]


async def test_the_stream_is_closed_with_the_app() -> None:
    app = PaneApp()
    async with app.run_test(size=(40, 10)) as pilot:
        _, session = attach(app)
        await pilot.pause()
    assert session.closed
