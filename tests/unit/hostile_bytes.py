"""Feeds the console's emulator what no honest program prints, and tells how much memory that took.

`python -m tests.unit.hostile_bytes CASE...` prints by how many bytes its peak memory grew with each case: in a process
of its own, so that the test's memory hides nothing.
"""

import json
import random
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.cells import cell_len
from textual import events

from kvmtui.ui.emulator import REPLY_BYTES_PER_FEED, Emulator

COLUMNS, ROWS = 80, 24
SEQUENCES = 100_000
PIECE_BYTES = 64 << 10
STRING_PIECES = 64  # 4 MiB
ODD = ["\u202e", "\u200d", "\ufeff", "\u2028", "\x85", "\x9b", "\U000e0041", "\ue0b0", "🇩", "\ufe0f", "\u0301", "中"]
KEYS = ["a", "é", "enter", "escape", "up", "f1", "ctrl+c", "alt+x", "shift+tab", "home", "<ignore>"]
UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def random_sequence(rng: random.Random) -> bytes:
    """Return a sequence as a terminal knows it, filled with nonsense, or nonsense."""
    numbers = [0, 1, 2, 3, 5, 7, 25, 1049, 2004, 2026, 65535, 10**9]
    parameters = ";".join(str(rng.choice(numbers)) for _ in range(rng.randrange(4))).encode()
    match rng.randrange(8):
        case 0:
            between = rng.choice([b"", b"", b"", b" ", b"!", b"$", b"'", b'"'])
            final = bytes([rng.randrange(0x40, 0x7F)])
            return b"\x1b[" + rng.choice([b"", b"?", b">", b"="]) + parameters + between + final
        case 1:
            return b"\x1b" + bytes([rng.randrange(0x20, 0x7F)])
        case 2:
            introducer = b"\x1b" + rng.choice([b"]", b"P", b"_", b"^", b"X"])
            return introducer + parameters + b";" + rng.randbytes(8) + rng.choice([b"\x07", b"\x1b\\", b"", b"\r\n"])
        case 3:
            return rng.randbytes(rng.randrange(1, 40))
        case 4:
            points = (rng.choice([rng.randrange(0x20, 0xD800), rng.randrange(0xE000, 0x110000)]) for _ in range(5))
            return "".join(map(chr, points)).encode()
        case 5:
            return rng.choice(ODD).encode()
        case 6:
            return b"\x1b[38;2;%d;%d;%d;4%dm" % (*rng.randbytes(3), rng.randrange(8))
        case _:
            return b"text\r\n"


def random_sequences(emulator: Emulator) -> Iterator[bytes]:
    """Yield the same random sequences every time, and use the emulator meanwhile as the pane does."""
    rng = random.Random(20240607)  # noqa: S311 - the same run every time
    drawn: set[str] = set()
    for number in range(SEQUENCES):
        yield random_sequence(rng)
        if number % 100 == 0:
            emulator.resize(rng.randrange(1, 90), rng.randrange(1, 30))
            emulator.scroll(rng.randrange(-50, 50))
            emulator.encode_key(events.Key(rng.choice(KEYS), None))
            emulator.take_bell()
            total = emulator.lines_above + emulator.rows + emulator.lines_below
            assert len(emulator.text_lines(0, 50)) == min(total, 50)
            emulator.copy_text(rng.randrange(0, 10), rng.randrange(10, 50))
            drawn.update(check_lines(emulator))
    assert len(drawn) > 500, "the sequences draw something"


def check_lines(emulator: Emulator) -> str:
    """Check that each line fits into its columns and holds nothing that could act on the user's terminal."""
    screen = ""
    emulator.take_dirty()
    assert emulator.cursor is None or emulator.cursor.y < emulator.rows
    for y in range(emulator.rows):
        line = "".join(segment.text for segment in emulator.line(y))
        assert cell_len(line) <= emulator.columns
        assert not any(unicodedata.category(character) in UNSAFE for character in line), ascii(line)
        screen += line
    return screen


def unterminated(introducer: bytes) -> Callable[[Emulator], Iterator[bytes]]:
    """Return a case: a string that never ends."""

    def pieces(emulator: Emulator) -> Iterator[bytes]:
        yield introducer
        for _ in range(STRING_PIECES):
            yield b"A" * PIECE_BYTES

    return pieces


def repeated(data: bytes, total_bytes: int = 4 << 20) -> Callable[[Emulator], Iterator[bytes]]:
    """Return a case: the same again and again."""

    def pieces(emulator: Emulator) -> Iterator[bytes]:
        times = max(1, PIECE_BYTES // len(data))
        for _ in range(max(1, total_bytes // (times * len(data)))):
            yield data * times

    return pieces


def numbered(template: bytes, count: int = 200_000) -> Callable[[Emulator], Iterator[bytes]]:
    """Return a case: a sequence with another number each time, so that nothing can be shared."""

    def pieces(emulator: Emulator) -> Iterator[bytes]:
        for start in range(0, count, 1000):
            yield b"".join(template.replace(b"#", b"%d" % number) for number in range(start, start + 1000))

    return pieces


def new_colours(emulator: Emulator) -> Iterator[bytes]:
    """Yield characters that have a colour each."""
    for start in range(0, 1 << 16, 1 << 10):
        yield b"".join(
            b"\x1b[38;2;%d;%d;%d;48;2;%d;1;2mx" % (n >> 16, n >> 8 & 255, n & 255, n & 255)
            for n in range(start, start + (1 << 10))
        )


CASES: dict[str, Callable[[Emulator], Iterator[bytes]]] = {
    "random": random_sequences,
    **{
        f"unterminated {text}": unterminated(b"\x1b" + text.encode())
        for text in (
            *(
                "[",
                "[?",
                "[>",
                "]",
                "]0;",
                "]2;",
                "]4;",
                "]7;",
                "]8;;",
                "]9;",
                "]10;",
                "]21;",
                "]22;",
                "]52;c;",
                "]66;",
            ),
            *(
                "]99;",
                "]133;A;",
                "]777;",
                "]1337;File=:",
                "]5522;",
                "P",
                "P+q",
                "P$q",
                "Pq",
                "P1000p",
                "P>|",
                "_",
                "_G",
            ),
            *("_Ga=t,f=24;", "^", "X", "k", "(", "#"),
        )
    },
    "long number": repeated(b"\x1b[" + b"9" * 5000 + b"Cx\x1b[" + b"9" * 5000 + b"mx"),
    "long list of numbers": repeated(b"\x1b[" + b"1;" * 5000 + b"mx\x1b[38" + b":1" * 5000 + b"mx"),
    "long intermediates": repeated(b"\x1b" + b"!" * 5000 + b"x\x1b[" + b"$" * 5000 + b"p"),
    "combining marks": repeated(b"e" + "\u0301".encode() * 16_000 + b"\r\n", 32 << 20),
    "joined characters": repeated(b"e" + "\u200d\U0001f468".encode() * 16_000 + b"\r\n", 16 << 20),
    "a few marks everywhere": repeated(b"e" + "\u0301".encode() * 5, 8 << 20),
    "wide characters": repeated("世".encode(), 8 << 20),
    "new colours": new_colours,
    "links": numbered(b"\x1b]8;id=#;http://example.org/#\x07x\x1b]8;;\x07"),
    "titles": numbered(b"\x1b]2;title #\x07\x1b[22t"),
    "kitty keyboard stack": repeated(b"\x1b[>31u"),
    "colour stack": repeated(b"\x1b[#P\x1b[#{\x1b7"),
    "images": numbered(b"\x1b_Ga=T,f=24,s=1,v=1,i=#;AAAA\x1b\\", 50_000),
    "clipboard": repeated(b"\x1b]52;c;" + b"QUFB" * 5000 + b"\x07"),
    "questions": repeated(b"\x1b[6n\x1b[c\x1b[>c\x1b[5n\x1b[?1$p", 1 << 20),
    "bells": repeated(b"\a"),
    "alternate screens": repeated(b"\x1b[?1049h" + b"x\r\n" * 30 + b"\x1b[?1049l"),
    "lines": repeated(b"the quick brown fox\r\n", 16 << 20),
    "empty lines": repeated(b"\n", 8 << 20),
    "cleared screens": repeated(b"x\x1b[2J\x1b[3J\x1b[H"),
    "repeated characters": repeated(b"x\x1b[65535b", 1 << 12),
}


def peak_bytes() -> int:
    """Return this process's largest resident memory so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def run(case: str) -> int:
    """Feed a case as the pane would and return the growth in bytes."""
    replies: list[int] = []
    emulator = Emulator(COLUMNS, ROWS, lambda reply: replies.append(len(reply)))
    emulator.feed(b"warm\r\n")
    check_lines(emulator)
    before = peak_bytes()
    for piece in CASES[case](emulator):
        replies.clear()
        emulator.feed(piece)
        assert sum(replies) <= REPLY_BYTES_PER_FEED
        emulator.take_dirty()
    # It still is a terminal.
    emulator.calm()
    emulator.feed(b"\x1bc\r\nalive")
    check_lines(emulator)
    assert emulator.text_lines()[-emulator.rows :][1 if emulator.rows > 1 else 0] == "alive"[: emulator.columns]
    return peak_bytes() - before


if __name__ == "__main__":
    print(json.dumps({case: run(case) for case in sys.argv[1:]}))
