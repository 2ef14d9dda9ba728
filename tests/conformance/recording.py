"""Recordings of programs in a terminal, as asciicast files: text that `asciinema play` shows."""

import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).with_name("recordings")
COLUMNS, ROWS = 80, 24


@dataclass(frozen=True, slots=True)
class Step:
    """What a program wrote until its screen was at rest again, after what `label` says was done."""

    label: str
    output: bytes


def names() -> list[str]:
    """Return the names of the recordings that are there."""
    return sorted(path.stem for path in FOLDER.glob("*.cast"))


def read(name: str) -> list[Step]:
    """Return a recording's steps."""
    lines = (FOLDER / f"{name}.cast").read_text(encoding="utf-8").splitlines()
    steps, output = [], ""
    for _, kind, text in map(json.loads, lines[1:]):
        if kind == "o":
            output += text
        elif kind == "m":
            steps.append(Step(text, output.encode()))
            output = ""
    return steps


def write(name: str, term: str, steps: list[Step]) -> int:
    """Write a recording, a step a second; return its size in bytes. A program that writes no UTF-8 cannot be kept."""
    header = {"version": 2, "width": COLUMNS, "height": ROWS, "env": {"TERM": term}, "title": name}
    events = []
    for number, step in enumerate(steps):
        events += [[float(number), "o", step.output.decode()], [float(number), "m", step.label]]
    # Escaped to ASCII: a reader of the file must not meet the control characters in it.
    text = "".join(json.dumps(line) + "\n" for line in (header, *events))
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.cast").write_text(text, encoding="utf-8")
    return len(text)
