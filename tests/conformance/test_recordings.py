"""Recorded programs look in the console as they look in tmux: text, colours, attributes, cursor and scrollback."""

import re
from collections.abc import Iterator

import pytest

from kvmtui.ui.emulator import Emulator
from tests.conformance import recording
from tests.conformance.screen import cells_of_capture, cells_of_emulator, difference
from tests.conformance.tmux import Server

PROGRAMS = ["boot", "busybox", "dialog", "dialog-vt220", "htop", "ls", "vim"]

USED = {
    "16 colours": rb"\x1b\[[\d;]*3[1-7][m;]",
    "256 colours": rb"\x1b\[[\d;]*38;5;\d",
    "true colours": rb"\x1b\[[\d;]*48;2;\d",
    "bold": rb"\x1b\[(\d+;)*1[m;]",
    "underline": rb"\x1b\[(\d+;)*4[m;]",
    "reverse": rb"\x1b\[(\d+;)*7[m;]",
    "alternate screen": rb"\x1b\[\?1049h",
    "scroll region": rb"\x1b\[\d+;\d+r",
    "lines inserted": rb"\x1b\[\d*L",
    "DEC special charset": rb"\x1b\(0",
    "box drawing": "[┌│└├]".encode(),
    "wide characters": "世".encode(),
    "combining characters": "e\u0301".encode(),
    "cursor hidden": rb"\x1b\[\?25l",
    "cursor shape": rb"\x1b\[[246] q",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_recorded_program_looks_as_in_tmux(server: Server, name: str) -> None:
    columns, rows = recording.COLUMNS, recording.ROWS
    emulator = Emulator(columns, rows, lambda reply: None)
    pane = server.pane(columns, rows)
    steps = recording.read(name)
    assert len(steps) > 2
    for step in steps:
        emulator.feed(step.output)
        emulator.take_dirty()
        pane.feed(step.output)
        cells = cells_of_capture(pane.capture(), columns)
        assert not difference(cells_of_emulator(emulator), cells), f"after: {step.label}"
        cursor = emulator.cursor
        assert (cursor and (cursor.x, cursor.y)) == pane.cursor(), f"after: {step.label}"
    everything = cells_of_capture(pane.capture(scrollback=True), columns)
    assert emulator.text_lines() == ["".join(cell.text for cell in row).rstrip() for row in everything]
    pane.close()


def test_the_cursor_has_the_shape_that_vim_gave_it() -> None:
    # tmux 3.3 cannot be asked for it.
    emulator = Emulator(recording.COLUMNS, recording.ROWS, lambda reply: None)
    shapes = {}
    for step in recording.read("vim"):
        emulator.feed(step.output)
        emulator.take_dirty()
        shapes[step.label] = emulator.cursor and emulator.cursor.shape
    assert (shapes["insert"], shapes["replace"], shapes["true colours"]) == ("bar", "underline", "block")


def test_the_recordings_are_those_that_are_compared() -> None:
    assert recording.names() == PROGRAMS


@pytest.mark.parametrize("feature", USED)
def test_some_program_uses(feature: str) -> None:
    everything = b"".join(step.output for name in PROGRAMS for step in recording.read(name))
    assert re.search(USED[feature], everything)
