"""A private tmux server, as the terminal to compare with."""

import os
import select
import shutil
import subprocess
import tempfile
import termios
import time
import tty
from pathlib import Path
from types import TracebackType

STATUS_ASKED, STATUS = b"\x1b[5n", b"\x1b[0n"
PATIENCE_S = 60.0


class Server:
    """A server with a socket and settings of its own; use as a context manager."""

    def __init__(self) -> None:
        # Not in a longer folder: the socket's whole path has to fit into 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="kvmtui-tmux-", dir="/tmp"))
        self._windows = 0

    def __enter__(self) -> "Server":
        # The panes' program waits for the end of this; it comes, and ends the server too, when this process is gone.
        os.mkfifo(self._folder / "life")
        self._life = os.open(self._folder / "life", os.O_RDWR)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._windows:
            self.run("kill-server")
        os.close(self._life)
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, *arguments: str) -> str:
        """Give tmux a command and return what it prints."""
        command = ["tmux", "-u", "-S", str(self._folder / "socket"), "-f", "/dev/null", *arguments]
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color", "SHELL": "/bin/sh"}
        done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=PATIENCE_S)
        assert done.returncode == 0, f"tmux {arguments}: {done.stderr.decode()}"
        return done.stdout.decode()

    def pane(self, columns: int, rows: int) -> "Pane":
        """Open a pane of this size whose program does nothing."""
        size = ("-x", str(columns), "-y", str(rows))
        # Unlike other terminals tmux keeps a cleared screen as scrollback, if it is not told otherwise.
        clear = ("set", "-q", "scroll-on-clear", "off")
        self._windows += 1
        # Before it starts the program, tmux sets the device's modes: not before that may they be changed for good.
        started = f"started-{self._windows}"
        program = f"tmux wait-for -S {started}; exec cat {self._folder}/life"
        where = self.run(
            "new-session", "-d", "-P", "-F", "#{pane_id} #{pane_tty}", *size, program,
            ";", "set", "status", "off", ";", *clear, ";", "resize-window", *size,
        )  # fmt: skip
        self.run("wait-for", started)
        pane_id, device = where.split()
        return Pane(self, pane_id, Path(device), columns)


class Pane:
    """One pane; bytes are written to it as its program would write them."""

    def __init__(self, server: Server, pane_id: str, device: Path, columns: int) -> None:
        self._server, self._id, self._columns = server, pane_id, columns
        self._device = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        # The recording was made behind a line discipline already; a second one would change it.
        tty.setraw(self._device, termios.TCSANOW)

    def feed(self, data: bytes) -> bytes:
        """Write `data` and return, when tmux has acted on all of it, what it answered."""
        rest, answers = memoryview(data + STATUS_ASKED), b""
        deadline_s = time.monotonic() + PATIENCE_S
        while not answers.endswith(STATUS) or rest:
            assert time.monotonic() < deadline_s, f"tmux did not answer; so far {answers!r}"
            readable, writable, _ = select.select([self._device], [self._device] if rest else [], [], 1.0)
            if readable:
                answers += os.read(self._device, 1 << 16)
            if writable:
                rest = rest[os.write(self._device, rest[: 1 << 12]) :]
        return answers.removesuffix(STATUS)

    def capture(self, *, scrollback: bool = False) -> str:
        """Return the screen as tmux writes it, a line each, colours as escape sequences; or with all above it."""
        return self._server.run("capture-pane", "-p", "-e", "-N", "-t", self._id, *(("-S", "-") if scrollback else ()))

    def cursor(self) -> tuple[int, int] | None:
        """Return the cursor's column and line, or None if it is hidden."""
        x, y, visible = self._server.run(
            "display-message", "-p", "-t", self._id, "#{cursor_x} #{cursor_y} #{cursor_flag}"
        ).split()
        # After the last column was written tmux has the cursor beyond it, where others leave it on it.
        return (min(int(x), self._columns - 1), int(y)) if visible == "1" else None

    def close(self) -> None:
        """Let go of the pane's device."""
        os.close(self._device)
