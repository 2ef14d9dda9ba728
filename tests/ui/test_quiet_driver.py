"""The driver that reads the keys on the loop, on a real pseudo-terminal."""

import asyncio
import contextlib
import os
import pty
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.message import Message

from kvmtui.ui import quiet_driver
from kvmtui.ui.app import Dashboard
from kvmtui.ui.quiet_driver import QuietDriver, QuietDriverApp
from tests.terminal import Terminal

PATIENCE_S = 60.0


class Listener:
    """What a driver needs of an app."""

    is_inline = False

    def __init__(self) -> None:
        self.got: list[str] = []
        self.exits = 0

    def post_message(self, message: Message) -> bool:
        if isinstance(message, events.Key):
            self.got.append(message.key)
        elif isinstance(message, events.Paste):
            self.got.append(f"paste {message.text}")
        return True

    async def _post_message(self, message: Message) -> bool:
        return self.post_message(message)

    def call_later(self, callback: Callable[..., None], *arguments: Any) -> bool:
        callback(*arguments)
        return True

    def exit(self, *arguments: Any) -> None:
        self.exits += 1


class Line:
    """A driver, the app it tells, and the other end of its terminal."""

    def __init__(self, driver: QuietDriver, app: Listener, keyboard: int) -> None:
        self.driver, self.app, self.keyboard = driver, app, keyboard

    def type(self, data: bytes) -> None:
        os.write(self.keyboard, data)

    async def gets(self, *wanted: str) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while self.app.got != list(wanted):
            assert time.monotonic() < deadline_s, self.app.got
            await asyncio.sleep(0.005)
        self.app.got.clear()


@contextlib.asynccontextmanager
async def driver_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    keyboard, terminal = pty.openpty()
    old = {number: signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)}
    with open(terminal, "r+b", buffering=0, closefd=False) as raw, open(terminal, "w", closefd=False) as screen:
        monkeypatch.setattr("sys.__stdin__", raw)
        monkeypatch.setattr("sys.__stderr__", screen)
        app = Listener()
        driver = QuietDriver(app)  # type: ignore[arg-type]
        driver.start_application_mode()
        try:
            yield Line(driver, app, keyboard)
        finally:
            driver.stop_application_mode()
            driver.close()
            for number, handler in old.items():
                signal.signal(number, handler)
    for end in {keyboard, terminal}:
        with contextlib.suppress(OSError):
            os.close(end)


async def test_keys_sequences_and_pastes(monkeypatch: pytest.MonkeyPatch) -> None:
    async with driver_on_a_terminal(monkeypatch) as line:
        line.type(b"j")
        await line.gets("j")
        line.type(b"k\x1b[A\x1b[200~a b\x1b[201~G")
        await line.gets("k", "up", "paste a b", "G")
        line.type("ä".encode()[:1])
        line.type("ä".encode()[1:] + b"x")
        await line.gets("ä", "x")


async def test_esc_alone_is_a_key_and_esc_with_what_follows_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async with driver_on_a_terminal(monkeypatch) as line:
        line.type(b"\x1b")
        await line.gets("escape")
        line.type(b"\x1b")
        line.type(b"[B")
        await line.gets("down")


async def test_no_thread_reads_and_nothing_wakes_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with driver_on_a_terminal(monkeypatch) as line:
        line.type(b"\x1b")
        await line.gets("escape")
        thread = line.driver._key_thread
        assert thread is not None
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert line.driver._escape is None or line.driver._escape.when() <= asyncio.get_running_loop().time()


async def test_between_a_stop_and_a_start_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with driver_on_a_terminal(monkeypatch) as line:
        line.driver.suspend_application_mode()
        assert not asyncio.get_running_loop().remove_reader(line.driver.fileno)
        line.driver.resume_application_mode()
        line.type(b"j")
        await line.gets("j")


async def test_a_terminal_that_is_gone_ends_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    async with driver_on_a_terminal(monkeypatch) as line:
        monkeypatch.setattr(os, "read", lambda *_: b"")
        line.driver._readable()
        assert line.app.exits == 1
        assert not asyncio.get_running_loop().remove_reader(line.driver.fileno)


def test_the_dashboard_reads_quietly_with_a_textual_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert issubclass(Dashboard, QuietDriverApp)
    assert QuietDriverApp().driver_class is QuietDriver
    monkeypatch.setattr(quiet_driver, "_RELIED", ((QuietDriver, "_readable", {"no such name"}),))
    assert QuietDriverApp().driver_class is not QuietDriver


def test_ctrl_z_stops_it_and_afterwards_keys_work_again() -> None:
    with Terminal(["--demo"]) as terminal:
        terminal.see("web1", "running")
        process = terminal.process
        for _ in range(2):
            terminal.press("\x1a")
            deadline_s = time.monotonic() + PATIENCE_S
            while Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
                assert time.monotonic() < deadline_s, "it does not stop"
                terminal.read(0.05)
            os.kill(process.pid, signal.SIGCONT)
            terminal.see("web1", "running")
            terminal.press("?")
            terminal.see("half a page")
            terminal.press("\x1b")
            terminal.see("web1", "running")
        terminal.press("q")
        assert terminal.end() == 0
