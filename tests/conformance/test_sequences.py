"""What single sequences draw in the console and in tmux: the corners that no recorded program goes into."""

from collections.abc import Iterator

import pytest

from kvmtui.ui.emulator import Emulator
from tests.conformance.screen import cells_of_capture, cells_of_emulator, difference
from tests.conformance.tmux import Pane, Server

COLUMNS, ROWS = 20, 6
RESET = b"\x1b[?1049l\x1bc"
# Written up to the last column, so that tmux shows the colours of erased cells too.
PAGE = b"\r\n".join(b"%c%s" % (row, bytes(range(0x61, 0x61 + COLUMNS - 1))) for row in b"012345")

SEQUENCES = {
    "16 colours": b"".join(b"\x1b[%dma\x1b[%dmb" % (n, n + 60) for n in (*range(30, 38), *range(40, 48))),
    "default colours": b"\x1b[31;42ma\x1b[39mb\x1b[49mc\x1b[32;43md\x1b[me",
    "256 colours": b"".join(b"\x1b[38;5;%d;48;5;%dmx" % (n, 255 - n) for n in range(0, 256, 7)),
    "true colours": b"".join(b"\x1b[38;2;%d;0;9m\x1b[48;2;1;%d;255mx" % (n, 255 - n) for n in range(0, 256, 37)),
    "colours with colons": b"\x1b[38:5:99ma\x1b[48:2::1:2:3mb\x1b[38:2:9:8:7mc",
    "attributes": b"".join(b"\x1b[%dm%d\x1b[m" % (n, n) for n in (1, 2, 3, 4, 7, 9, 21, 53)),
    "attributes off": b"\x1b[1;2;3;4;7;9ma\x1b[22mb\x1b[23mc\x1b[24md\x1b[27me\x1b[29mf",
    "curly underline": b"\x1b[4:0ma\x1b[4:1mb\x1b[4:2mc",
    "bold and bright": b"\x1b[1;31ma\x1b[91mb\x1b[22mc",
    "erased in colour": PAGE + b"\x1b[44m\x1b[2;5H\x1b[1K\x1b[4;3H\x1b[5X\x1b[5;4H\x1b[3P\x1b[5;20Hx",
    "lines deleted in colour": PAGE + b"\x1b[42m\x1b[2;1H\x1b[2M\x1b[5;20Hx\x1b[6;20Hy",
    "lines inserted in colour": PAGE + b"\x1b[43m\x1b[2;1H\x1b[2L\x1b[2;20Hx\x1b[3;20Hy",
    "scrolled in colour": PAGE + b"\x1b[45m\r\n\x1b[20Gx",
    "characters inserted": PAGE + b"\x1b[3;4H\x1b[41m\x1b[3@",
    "insert mode": b"world\x1b[4h\x1b[1Ghello \x1b[4l!",
    "erase line": PAGE + b"\x1b[1;5H\x1b[K\x1b[2;5H\x1b[1K\x1b[3;5H\x1b[2K",
    "erase below": PAGE + b"\x1b[3;5H\x1b[J",
    "erase above": PAGE + b"\x1b[3;5H\x1b[1J",
    "erase all": PAGE + b"\x1b[3;5H\x1b[2Jx",
    "region": PAGE + b"\x1b[2;4r\x1b[4;1Hnew\r\nnewer\r\nnewest",
    "region and reverse index": PAGE + b"\x1b[2;4r\x1b[2;1H\x1bM\x1bMtop",
    "region and lines": PAGE + b"\x1b[2;4r\x1b[3;1H\x1b[L\x1b[2;1H\x1b[M",
    "region left alone outside": PAGE + b"\x1b[2;3r\x1b[6;1H\nx\x1b[1;1H\x1bMy",
    "scroll up and down": PAGE + b"\x1b[2;5r\x1b[2S\x1b[1T",
    "origin mode": PAGE + b"\x1b[3;5r\x1b[?6h\x1b[1;1HX\x1b[9;9HY\x1b[?6l\x1b[1;1HZ",
    "index and next line": b"a\x1bDb\x1bEc\x0bd\x0ce",
    "wrap": b"x" * COLUMNS + b"y\r\n" + b"z" * COLUMNS + b"\rZ",
    "no wrap": b"\x1b[?7l" + b"0123456789" * 3 + b"\x1b[?7h",
    "tabs": b"a\tb\tc\r\n\x1b[3g\x1b[5G\x1bH\r\td\r\n\x1b[1Ze",
    "cursor moves": b"\x1b[3;3H*\x1b[A^\x1b[2Bv\x1b[5D<\x1b[9C>\x1b[2E#\x1b[F@\x1b[7G=\x1b[2d-\x1b[4`+\x1b[99;99H$",
    "saved cursor": b"\x1b[2;5H\x1b[31m\x1b7\x1b[H\x1b[mA\x1b8B\x1b[s\x1b[Hc\x1b[uD",
    "repeat": b"ab\x1b[5bc",
    "alternate screen": b"shell\x1b[31m\x1b[?1049halternate\x1b[2;2Hx\x1b[?1049l more",
    "alternate screen, shown": b"shell\r\n\x1b[?1049h\x1b[Halternate",
    "alternate screen, old ways": b"one\x1b[?47htwo\x1b[?47lthree",
    "wide": "世界 a世b\r\n".encode() + b"x" * (COLUMNS - 1) + "世".encode(),
    "combining": "e\u0301a\u0308 n\u0303o\u0302\u0323 世\u0301x".encode(),
    "combining at the margin": b"x" * COLUMNS + "\u0301y".encode(),
    "box drawing": "┌─┬─┐\r\n│ ╳ │\r\n╰─┴─╯ ▁▂▃▄▅▆▇█ ░▒▓".encode(),
    "DEC graphics by designation": b"\x1b(0lqwqk\x1b(B\r\n\x1b(0x x x\x1b(B|",
    "DEC graphics by shift": b"\x1b)0lq\x0elqk\x0flq",
    "DEC graphics, all": b"\x1b(0`afghijkl\r\nmnopqrstuvwx\r\nyz{|}~\x1b(B",
    "DEC graphics saved": b"\x1b(0\x1b7\x1b(Bq\x1b8q",
    "alignment pattern": b"\x1b#8",
    "hidden cursor": b"ab\x1b[?25l",
    "shown cursor": b"ab\x1b[?25l\x1b[3;4H\x1b[?25h",
    "soft reset": b"\x1b[2;3r\x1b[?6h\x1b[4h\x1b[31m\x1b(0\x1b[?25l\x1b[!pq",
    "titles and other strings": b"a\x1b]0;title\x07b\x1b]2;title\x1b\\c\x1b_apc\x1b\\d\x1bPq\x1b\\e\x1b^pm\x1b\\f",
    "links": b"\x1b]8;;http://example.org/\x07link\x1b]8;;\x07 text",
    "broken sequences": b"a\x1b[31\x18b\x1b[3\x1b[32mc\x1b[999zd\x1b[?;;he\x1b[<1;2Mf",
    "controls inside a sequence": b"ab\x1b[3\r1mc\x1b[\n7md",
}

# Where tmux differs from xterm, and ours does not: its cursor stands beyond the last column until the next character
# comes, a wide character stays when half of it is written over or erased, it moves no cursor when lines are inserted,
# and it has neither a British character set nor a sign for bytes that are no UTF-8.
AS_XTERM = {
    "erase after the last column": (b"x" * COLUMNS + b"\x1b[K!", "x" * (COLUMNS - 1) + "!"),
    "backspace after the last column": (b"x" * COLUMNS + b"\b\by", "x" * (COLUMNS - 3) + "yxx"),
    "wide, half written over": ("世界世界\x1b[2Ga\x1b[7Gb".encode(), " a界世b"),
    "wide, half erased": ("世界世界\x1b[3G\x1b[X\x1b[6G\x1b[P".encode(), "世   界"),
    "wide, inserted into": ("世界世\x1b[2G\x1b[@".encode(), "   界世"),
    "line inserted": (b"abc\x1b[L*", "*"),
    "British": (b"\x1b(A#\x1b(B#", "£#"),
    "invalid UTF-8": (b"a\xffb\xc3(c\xe4\xb8d", "a\ufffdb\ufffd(c\ufffdd"),
}


@pytest.fixture(scope="module")
def pane() -> Iterator[Pane]:
    with Server() as server:
        pane = server.pane(COLUMNS, ROWS)
        yield pane
        pane.close()


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence_draws_what_it_draws_in_tmux(pane: Pane, name: str) -> None:
    data = SEQUENCES[name]
    emulator = Emulator(COLUMNS, ROWS, lambda reply: None)
    emulator.feed(data)
    emulator.take_dirty()
    pane.feed(RESET + data)
    assert not difference(cells_of_emulator(emulator), cells_of_capture(pane.capture(), COLUMNS))
    cursor = emulator.cursor
    assert (cursor and (cursor.x, cursor.y)) == pane.cursor()


@pytest.mark.parametrize("name", AS_XTERM)
def test_a_sequence_draws_what_it_draws_in_xterm(name: str) -> None:
    data, line = AS_XTERM[name]
    emulator = Emulator(COLUMNS, ROWS, lambda reply: None)
    emulator.feed(data)
    emulator.take_dirty()
    assert "".join(segment.text for segment in emulator.line(0)).rstrip() == line
