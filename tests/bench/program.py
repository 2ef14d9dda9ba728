"""A program in a pseudo-terminal of which every read is timed; its screen is made from the bytes afterwards."""

import contextlib
import fcntl
import os
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from kvmtui.ui.emulator import Emulator
from tests.bench.figures import NotMeasured

REPOSITORY = Path(__file__).resolve().parents[2]
COLUMNS, ROWS = 120, 40
CURSOR = "▸"

_READ_BYTES = 1 << 16
_LINK_PERIOD_S = 0.01
_ASKS_SYNC, _HAS_SYNC = b"\x1b[?2026$p", b"\x1b[?2026;2$y"
"""The question for synchronized output (DECRQM), and "yes, reset": what modern terminals answer."""

_PYCACHE = tempfile.TemporaryDirectory(prefix="kvmtui-bench-")


def environment(*, from_repository: bool = True) -> dict[str, str]:
    """Return the environment of everything that is measured, with the repository's packages or without."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TEXTUAL", "COV"))}
    kept.pop("NO_COLOR", None)
    return {
        **kept,
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        **({"PYTHONPATH": str(REPOSITORY)} if from_repository else {}),
        # An installed program is compiled. Here writing that down may be forbidden, and must not leave root's files.
        "PYTHONPYCACHEPREFIX": _PYCACHE.name,
    }


def module(name: str, *arguments: str) -> list[str]:
    """Return the command that runs one of the programs of this folder."""
    return [sys.executable, "-m", f"tests.bench.{name}", *arguments]


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one read brought."""

    at_s: float
    data: bytes


class Program:
    """A running program; use as a context manager, which kills it in the end."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = COLUMNS,
        rows: int = ROWS,
        bytes_per_s: float | None = None,
        variables: dict[str, str] | None = None,
    ) -> None:
        """`bytes_per_s` is how fast the terminal takes what the program writes; None: at once."""
        self.rows = rows
        self.received = 0
        self._bytes_per_s = bytes_per_s
        self._read_at_s = 0.0
        self._unseen: list[Chunk] = []
        self._emulator = Emulator(columns, rows, lambda reply: None)
        variables = variables or environment()
        self.started_s = time.perf_counter()
        self.pid, self._fd = os.forkpty()
        if self.pid == 0:
            # Nothing but this in the child: it is a copy of the whole benchmark.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execve(command[0], list(command), variables)  # noqa: S606 - a child on a terminal of its own

    def __enter__(self) -> "Program":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._fd)
        os.waitpid(self.pid, 0)

    def press(self, keys: str) -> float:
        """Type, and return when that was."""
        at_s = time.perf_counter()
        os.write(self._fd, keys.encode())
        return at_s

    def stop(self) -> None:
        """Hold the program."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def take(self, seconds: float) -> Chunk | None:
        """Return the next bytes, or None when none come in time."""
        deadline_s = time.perf_counter() + seconds
        wanted = _READ_BYTES
        if self._bytes_per_s is not None:
            # Like a line that takes a few bytes at a time, without a burst after a rest.
            wait_s = self._read_at_s + _LINK_PERIOD_S - time.perf_counter()
            if wait_s > seconds:
                time.sleep(seconds)
                return None
            time.sleep(max(0.0, wait_s))
            wanted = int(self._bytes_per_s * _LINK_PERIOD_S)
        if not select.select([self._fd], [], [], max(0.0, deadline_s - time.perf_counter()))[0]:
            return None
        try:
            data = os.read(self._fd, wanted)
        except OSError as error:
            raise NotMeasured(f"the program ended:\n{self.screen}") from error
        chunk = Chunk(time.perf_counter(), data)
        self._read_at_s = chunk.at_s
        self.received += len(data)
        self._unseen.append(chunk)
        if _ASKS_SYNC in data:
            os.write(self._fd, _HAS_SYNC)
        return chunk

    def read(self, seconds: float) -> list[Chunk]:
        """Take all that comes in this time."""
        taken: list[Chunk] = []
        deadline_s = time.perf_counter() + seconds
        while (left_s := deadline_s - time.perf_counter()) > 0:
            chunk = self.take(left_s)
            if chunk is not None:
                taken.append(chunk)
        return taken

    def line(self, row: int) -> str:
        """Return a line of the screen as far as it has been looked at."""
        return "".join(segment.text for segment in self._emulator.line(row)).rstrip()

    @property
    def screen(self) -> str:
        """The screen with all that has come."""
        for _ in self._look():
            pass
        return "\n".join(self.line(row) for row in range(self.rows))

    @property
    def cursor_row(self) -> int | None:
        """The line that the table's cursor is on."""
        lines = self.screen.split("\n")
        return next((row for row, line in enumerate(lines) if CURSOR in line[:3]), None)

    def wait(self, shown: Callable[[], bool], seconds: float) -> float | None:
        """Return when the bytes came after which the screen shows what is wanted; None when it does not in time."""
        deadline_s = time.perf_counter() + seconds
        while True:
            left_s = deadline_s - time.perf_counter()
            if left_s <= 0:
                return None
            # The screen is made only when nothing waits to be read, for that would be timed late.
            if self.take(0) is not None:
                continue
            for at_s in self._look():
                if shown():
                    return at_s
            self.take(min(0.5, left_s))

    def must_show(self, shown: Callable[[], bool], what: str, seconds: float = 30.0) -> float:
        """Return when the screen showed what is wanted, or raise `NotMeasured`."""
        at_s = self.wait(shown, seconds)
        if at_s is None:
            raise NotMeasured(f"the screen did not show {what} in {seconds:.0f} s:\n{self.screen}")
        return at_s

    def must_show_table(self) -> float:
        """Wait for the table of VMs; return when it was there."""
        return self.must_show(self._has_table, "the table")

    def _has_table(self) -> bool:
        return any(CURSOR in self.line(row)[:3] for row in range(self.rows))

    def _look(self) -> Iterator[float]:
        """Feed what was read to the emulator, one read after the other; give the time of each."""
        while self._unseen:
            chunk = self._unseen.pop(0)
            self._emulator.feed(chunk.data)
            self._emulator.take_dirty()
            yield chunk.at_s
