"""A real kvmtui in a pseudo-terminal, its screen read by a terminal emulator."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import pexpect

from kvmtui.ui.emulator import Emulator

REPOSITORY = Path(__file__).parent.parent


class Terminal:
    """Runs `python -m kvmtui` with these arguments; use as a context manager."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        columns: int = 120,
        rows: int = 40,
        code: str | None = None,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Run Python `code` instead of the program where it is given; `variables` are added to the environment."""
        environment = {
            **os.environ,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(REPOSITORY),
            **variables,
        }
        # Textual would believe the last two more than the terminal.
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            environment.pop(name, None)
        self.received = 0
        self.process: Any = pexpect.spawn(
            sys.executable,
            [*(("-m", "kvmtui") if code is None else ("-c", code)), *arguments],
            dimensions=(rows, columns),
            env=environment,
            encoding=None,
            timeout=None,
        )
        self._rows = rows
        self._emulator = Emulator(columns, rows, lambda reply: None)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.close(force=True)

    @property
    def lines(self) -> list[str]:
        """The lines on the screen."""
        return ["".join(segment.text for segment in self._emulator.line(row)).rstrip() for row in range(self._rows)]

    @property
    def screen(self) -> str:
        """The whole screen as text."""
        return "\n".join(self.lines)

    def line(self, *words: str) -> str:
        """Return the first line that holds all the words, or nothing."""
        return next((line for line in self.lines if all(word in line for word in words)), "")

    def read(self, seconds: float) -> int:
        """Take what the program writes within this time at most; return the number of bytes."""
        try:
            data = self.process.read_nonblocking(1 << 16, timeout=seconds)
        except pexpect.TIMEOUT:
            return 0
        self._emulator.feed(data)
        self._emulator.take_dirty()
        self.received += len(data)
        return len(data)

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
        """Return when the screen shows what is wanted; fail with the screen when it does not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"the screen did not show {what} in {seconds:.0f} s:\n{self.screen}")
            try:
                self.read(0.2)
            except pexpect.EOF:
                raise AssertionError(f"the program ended before the screen showed {what}:\n{self.screen}") from None

    def see(self, *words: str, seconds: float = 30.0) -> None:
        """Wait for a line that holds all the words."""
        self.wait(lambda: self.line(*words), f"a line with {' and '.join(words)}", seconds)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the window, as its user does."""
        self._rows = rows
        self._emulator.resize(columns, rows)
        self.process.setwinsize(rows, columns)

    def press(self, keys: str | bytes) -> None:
        """Type."""
        self.process.send(keys)

    def end(self, seconds: float = 20.0) -> int:
        """Wait for the end of the program, as something that hangs would never let it; return its exit code."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self.read(0.1)
            except pexpect.EOF:
                self.process.close()
                return int(
                    self.process.exitstatus if self.process.exitstatus is not None else -self.process.signalstatus
                )
        raise AssertionError(f"the program did not end in {seconds:.0f} s:\n{self.screen}")
