"""Searching a terminal while its guest goes on writing whatever it likes."""

import random

import pytest

from kvmtui.ui.emulator import Emulator
from kvmtui.ui.emulator_search import EmulatorSearch, Match


def emulator(data: bytes, columns: int = 20, rows: int = 5) -> Emulator:
    made = Emulator(columns, rows, lambda reply: None)
    made.feed(data)
    return made


def look(terminal: Emulator, search: EmulatorSearch) -> tuple[int, int | None, tuple[Match, ...]]:
    terminal.take_dirty()
    search.update()
    return search.total, search.selected, search.matches


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one", (2, 0, (Match(0, 0, 3, False), Match(1, 4, 7, True)))),
        ("ONE", (2, 0, (Match(0, 0, 3, False), Match(1, 4, 7, True)))),
        ("two", (1, 0, (Match(1, 0, 3, True),))),
        ("好", (1, 0, (Match(2, 2, 4, True),))),
        # Over the end of the line that the screen's edge has wrapped.
        ("abcd", (1, 0, (Match(3, 18, 1 << 16, True), Match(4, 0, 2, True)))),
        ("three", (0, None, ())),
        ("", (0, None, ())),
        ("\x00\udcff", (0, None, ())),
    ],
)
def test_finds_text(text: str, found: tuple[int, int | None, tuple[Match, ...]]) -> None:
    terminal = emulator("one\r\ntwo one\r\n你好\r\n".encode() + b"." * 18 + b"abcd")
    search = terminal.search()
    search.look_for(text)
    assert look(terminal, search) == found
    search.close()


def test_a_closed_search_knows_nothing() -> None:
    terminal = emulator(b"one")
    search = terminal.search()
    search.look_for("one")
    search.close()
    search.step(1)
    assert look(terminal, search) == (0, None, ())
    search.close()


def test_whatever_the_guest_does_meanwhile() -> None:
    dice = random.Random(1)  # noqa: S311
    terminal = emulator(b"line\r\n" * 1000, 80, 24)
    search = terminal.search()
    pieces = [b"\x1b[?1049h", b"\x1b[?1049l", b"\x1bc", b"\x1b[3J", b"\x1b[2J", b"\x1b[H\x1b[L", b"\x1b[5;10r"]
    pieces += [b"\n" * 99, b"a line\r\n" * 50, b"x" * 3000, "你好".encode() * 500]
    for _ in range(600):
        match dice.randrange(6):
            case 0 | 1:
                terminal.feed(dice.choice(pieces))
            case 2:
                terminal.resize(dice.randrange(1, 200), dice.randrange(1, 60))
            case 3:
                search.look_for(dice.choice(("line", "x", "xx", "你", "好你", "")))
            case 4:
                terminal.scroll(dice.randrange(-100, 100))
            case _:
                search.step(dice.choice((1, -1)))
        total, selected, matches = look(terminal, search)
        assert selected is None or selected < total
        assert all(0 <= match.y < terminal.rows and match.start < match.end for match in matches)
    search.close()
