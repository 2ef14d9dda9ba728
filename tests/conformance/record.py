"""Records the programs anew: `python -m tests.conformance.record [NAME...]`.

Only for a developer: the recordings are kept, and the tests need none of the programs. It wants root, for htop's
namespace and the lab's image.
"""

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pexpect
from textual import events

from kvmtui.ui.emulator import Emulator
from tests.conformance import programs
from tests.conformance.recording import COLUMNS, ROWS, Step, write

AT_REST_S = 0.4
PATIENCE_S = 30.0


class Session:
    """A program in a pseudo-terminal of our own emulator, which answers what the program asks its terminal."""

    def __init__(self, argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._emulator = Emulator(COLUMNS, ROWS, self._reply)
        self._process: Any = pexpect.spawn(
            argv[0], list(argv[1:]), dimensions=(ROWS, COLUMNS), env=dict(environment), cwd=folder, timeout=None
        )
        self.steps: list[Step] = []

    def _reply(self, data: bytes) -> None:
        self._process.send(data)

    def step(self, label: str, keys: str = "", see: str = "") -> None:
        """Type `keys` and keep what comes until the screen shows `see` and nothing more comes for a while."""
        output = b""
        for key, text in re.findall(r"<([a-z0-9+]+)>|([^<]+|<)", keys):
            self._process.send(self._emulator.encode_key(events.Key(key, None)) if key else text)
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                data = self._process.read_nonblocking(1 << 16, timeout=AT_REST_S)
            except pexpect.TIMEOUT:
                if see in self._screen():
                    break
            except pexpect.EOF:
                break
            else:
                output += data
                self._emulator.feed(data)
            if time.monotonic() > deadline_s:
                raise SystemExit(f"{label}: {see!r} did not come:\n{self._screen()}")
        self.steps.append(Step(label, output))

    def end(self) -> None:
        """End the program without recording what it says to that."""
        self._process.close(force=True)

    def _screen(self) -> str:
        self._emulator.take_dirty()
        lines = (self._emulator.line(y) for y in range(ROWS))
        return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)


def record(program: programs.Program) -> list[Step]:
    """Run a program as its script says, in an empty folder and an environment that says nothing about the user."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "TERM": program.term,
            "PS1": "$ ",
            **program.environment,
        }
        session = Session(program.prepare(folder), folder, environment)
        try:
            program.play(session.step)
        finally:
            session.end()
    return session.steps


def main(wanted: Sequence[str]) -> None:
    """Record these programs, or all."""
    chosen = [program for program in programs.PROGRAMS if not wanted or program.name in wanted]
    missing = sorted({tool for program in chosen for tool in program.tools if not shutil.which(tool)})
    if missing:
        raise SystemExit(f"these programs are missing, install them first: {', '.join(missing)}")
    for program in chosen:
        steps = record(program)
        size = write(program.name, program.term, steps)
        print(f"{program.name}: {len(steps)} steps, {size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
