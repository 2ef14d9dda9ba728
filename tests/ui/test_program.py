"""The real program in a pseudo-terminal: how it begins, and that every way out leaves the terminal as it was."""

import io
import os
import re
import signal
import sys
import termios
from pathlib import Path

import pexpect
import pytest

from tests.terminal import Terminal

LEAVES_ALTERNATE_SCREEN, SHOWS_CURSOR = b"\x1b[?1049l", b"\x1b[?25h"
ENTERS_ALTERNATE_SCREEN, HIDES_CURSOR = b"\x1b[?1049h", b"\x1b[?25l"
LINE_MODES = termios.ICANON | termios.ECHO | termios.ISIG
MOUSE_OFF = (b"\x1b[?1000l", b"\x1b[?1003l", b"\x1b[?1006l")


class Watched:
    """A dashboard that runs in a terminal, all its output kept."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal
        self.output = terminal.process.logfile_read = io.BytesIO()
        # Outlives the process and what pexpect holds.
        self._terminal_fd = os.dup(terminal.process.child_fd)
        terminal.see("web1", "running")
        assert not self._line_modes, "it reads keys, not lines"

    @property
    def _line_modes(self) -> int:
        """Which of the modes in which a shell leaves a terminal are set."""
        return int(termios.tcgetattr(self._terminal_fd)[3]) & LINE_MODES

    def assert_sane(self) -> None:
        """The terminal is as it was."""
        written = self.output.getvalue()
        assert written.rfind(LEAVES_ALTERNATE_SCREEN) > written.rfind(ENTERS_ALTERNATE_SCREEN) >= 0
        assert written.rfind(SHOWS_CURSOR) > written.rfind(HIDES_CURSOR) >= 0
        assert all(off in written for off in MOUSE_OFF)
        assert b"Traceback" not in written
        assert self._line_modes == LINE_MODES
        os.close(self._terminal_fd)


def test_it_starts_and_q_leaves_the_terminal_as_it_was() -> None:
    with Terminal(["--demo"]) as terminal:
        watched = Watched(terminal)
        terminal.press("q")
        assert terminal.end() == 0
        watched.assert_sane()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_soon_and_sanely(number: signal.Signals) -> None:
    with Terminal(["--demo"]) as terminal:
        watched = Watched(terminal)
        os.kill(terminal.process.pid, number)
        assert terminal.end() == 128 + number
        watched.assert_sane()


def test_stopped_and_continued_it_goes_on_and_leaves_the_terminal_as_it_was() -> None:
    with Terminal(["--demo"]) as terminal:
        watched = Watched(terminal)
        threads = Path(f"/proc/{terminal.process.pid}/task")
        counts: list[int] = []
        for _ in range(5):
            starts = watched.output.getvalue().count(ENTERS_ALTERNATE_SCREEN)
            # Not ^Z: of this signal the program hears nothing.
            os.kill(terminal.process.pid, signal.SIGSTOP)
            # One comes while the one before is dealt with.
            for _ in range(20):
                os.kill(terminal.process.pid, signal.SIGCONT)
                terminal.read(0.001)
            terminal.wait(
                lambda starts=starts: watched.output.getvalue().count(ENTERS_ALTERNATE_SCREEN) > starts,  # type: ignore[misc]
                "the screen set up anew",
            )
            terminal.press("?")
            terminal.see("Esc closes")
            terminal.press("\x1b")
            terminal.see("web1", "running")
            counts.append(len(list(threads.iterdir())))
        # Lanes come and go; a writer that was left behind each time would be four more.
        assert counts[-1] < counts[0] + 3
        terminal.press("q")
        assert terminal.end() == 0
        watched.assert_sane()
        written = watched.output.getvalue()
        assert len(re.findall(rb"\x1b\[>\d+u", written)) == written.count(b"\x1b[<u")


HANGING = """
import sys
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.hypervisor import demo

class Hanging(DemoBackend):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        for uri in self.uris:
            self.hang_host(uri)

demo.DemoBackend = Hanging
from kvmtui.cli import main
sys.argv = ["kvmtui", "--demo"]
main()
"""


def test_quitting_waits_for_no_host() -> None:
    process = pexpect.spawn(
        sys.executable,
        ["-c", HANGING],
        dimensions=(40, 120),
        env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"},
        timeout=30,
    )
    process.logfile_read = output = io.BytesIO()
    process.expect("onnecting")
    process.send("q")
    process.expect(pexpect.EOF, timeout=20)
    process.close()
    assert process.exitstatus == 0
    assert LEAVES_ALTERNATE_SCREEN in output.getvalue()
