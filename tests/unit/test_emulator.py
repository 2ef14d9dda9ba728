"""The terminal emulator: what a guest's bytes draw, what they answer, and what they cannot do."""

import sys

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from textual import events

from kvmtui.ui.emulator import REPLY_BYTES_PER_FEED, Emulator, EmulatorUnavailable, StringGuard, load_emulator
from kvmtui.ui.emulator_screen import ScreenReader


def make(columns: int = 40, rows: int = 6) -> tuple[Emulator, list[bytes]]:
    replies: list[bytes] = []
    return Emulator(columns, rows, replies.append), replies


def text(emulator: Emulator) -> list[str]:
    emulator.take_dirty()
    lines = ["".join(s.text for s in emulator.line(y)).rstrip() for y in range(emulator.rows)]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def styles(data: bytes) -> list[str]:
    emulator, _ = make()
    emulator.feed(data)
    emulator.take_dirty()
    return [f"{segment.text}:{segment.style or 'plain'}" for segment in emulator.line(0)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a", ["a:plain"]),
        (b"a\x1b[31mb\x1b[mc", ["a:plain", "b:color(1)", "c:plain"]),
        (b"\x1b[91;44mx", ["x:color(9) on color(4)"]),
        (b"\x1b[38;5;200mx", ["x:color(200)"]),
        (b"\x1b[38;2;1;2;3;48;2;4;5;6mx", ["x:#010203 on #040506"]),
        (b"\x1b[1;2;3mx", ["x:bold dim italic"]),
        (b"\x1b[4mx\x1b[21my", ["x:underline", "y:underline2"]),
        (b"\x1b[7;9mx", ["x:reverse strike"]),
        (b"\x1b[31mone\x1b[31mtwo", ["onetwo:color(1)"]),
        (b"\x1b[8msecret", ["      :plain"]),
        (b"\x1b[5mx", ["x:plain"]),
        (b"\x1b[42m\x1b[5X", ["     :on color(2)"]),
        (b"\x1b[48;2;9;8;7m\x1b[3X", ["   :on #090807"]),
        (b"\x1b]8;;http://evil/\x07link\x1b]8;;\x07", ["link:plain"]),
        (b"\x1b]4;1;#00ff00\x07\x1b[31mx", ["x:color(1)"]),
    ],
)
def test_styles_become_merged_segments(data: bytes, expected: list[str]) -> None:
    assert styles(data) == expected


@pytest.mark.parametrize(
    ("written", "drawn"),
    [
        ("中a", "中a"),
        ("e\u0301x", "e\u0301x"),
        ("x" * 39 + "中", "x" * 39),  # the wide one goes to the next line, its half cell stays blank
        ("a\u202eb\u2066c", "abc"),  # bidi controls take no cell
        ("a\x7fb", "a\ufffdb"),
        ("🇩🇪x", "\ufffd \ufffd x"),  # some terminals join neighbours into one picture and shift the rest
        ("👍🏽x", "👍\ufffd x"),
        ("a\u0085b", "ab"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\U0001f469"),
        ("e" + "\u0301" * 500, "e\u0301\u0301\u0301"),
    ],
)
def test_wide_combining_and_hostile_characters(written: str, drawn: str) -> None:
    emulator, _ = make()
    emulator.feed(written.encode())
    assert text(emulator)[0] == drawn


@pytest.mark.parametrize(
    "odd", ["🇩🇪", "❤️", "👍🏽", "각", "\u1100\u1161", "\u3164", "\u1160", "\ue0b0", "\U0001fae8", "\u0e33"]
)
def test_a_line_is_as_wide_as_its_cells(odd: str) -> None:
    emulator, _ = make()
    emulator.feed(odd.encode() + b"a" + odd.encode() + b"\x1b[1;40HX")
    emulator.take_dirty()
    line = "".join(segment.text for segment in emulator.line(0))
    assert cell_len(line) == 40
    assert line.endswith("X")


def test_only_changed_lines_are_dirty() -> None:
    emulator, _ = make()
    assert emulator.take_dirty() == []
    emulator.feed(b"one\r\ntwo\r\nthree")
    assert emulator.take_dirty() == [0, 1, 2]
    emulator.feed(b"\x1b[2;1HTWO")
    assert emulator.take_dirty() == [1]
    emulator.feed(b"\x1b[1;1H")
    assert emulator.take_dirty() == [], "moving the cursor changes no line"


def test_only_dirty_rows_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    emulator, _ = make()
    emulator.feed(b"one\r\ntwo\r\nthree")
    emulator.take_dirty()
    read: list[int] = []
    reading = ScreenReader._read_row

    def spy(reader: ScreenReader, y: int) -> list[Segment]:
        read.append(y)
        return reading(reader, y)

    monkeypatch.setattr(ScreenReader, "_read_row", spy)
    emulator.feed(b"!")
    assert emulator.take_dirty() == [2]
    assert read == [2]


def test_cursor_position_and_visibility() -> None:
    emulator, _ = make()
    emulator.feed("ab\r\n中".encode() + b"\x1b[2;1H")
    emulator.take_dirty()
    cursor = emulator.cursor
    assert cursor is not None
    assert (cursor.x, cursor.y, cursor.columns) == (0, 1, 2)
    emulator.feed(b"\x1b[?25l")
    emulator.take_dirty()
    assert emulator.cursor is None


@pytest.mark.parametrize(
    ("number", "shape"),
    [(0, "block"), (1, "block"), (2, "block"), (3, "underline"), (4, "underline"), (5, "bar"), (6, "bar")],
)
def test_cursor_shape(number: int, shape: str) -> None:
    emulator, _ = make()
    emulator.feed(b"\x1b[4 q\x1b[%d q" % number)
    emulator.take_dirty()
    assert emulator.cursor is not None
    assert emulator.cursor.shape == shape
    emulator.feed(b"\x1b[!p\x1b[ q")
    emulator.take_dirty()
    assert emulator.cursor.shape == "block"


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        (b"\x1b[3;5H\x1b[6n", [b"\x1b[3;5R"]),
        (b"\x1b[5n", [b"\x1b[0n"]),
        (b"\x1b[c", [b"\x1b[?62;22c"]),
        (b"\x1b[?25$p", [b"\x1b[?25;1$y"]),
        (b"\x1b]0;evil\x07\x1b[21t", []),
        (b"\x1b]4;1;?\x07\x1b]10;?\x07\x1b]11;?\x07", []),
        (b"\x1b]52;c;?\x07\x1b]52;c;ZXZpbA==\x07", []),
        (b"\x1bP$qm\x1b\\\x1bP$qr\x1b\\\x1bP$q q\x1b\\\x1bP+q544e\x1b\\\x1bP+q636f6c6f7273\x1b\\", []),
        (b"\x1b]21;foreground=?\x07\x1b]12;?\x1b\\\x1b]5522;type=read\x07\x1b]99;i=1:p=?;\x07", []),
        (b"\x1b[=c\x1b[?996n\x1b[?26n\x1b[1;1;1;1;1;1*y\x1b[11t\x1b[13t\x1b[19t\x1b[20t\x1b[22t\x1b[23t", []),
        (b"\x1b[>c", [b"\x1b[>1;0;0c"]),
        (b"\x1b[14t\x1b[16t\x1b[18t\x1b[?u\x05\x1b[>q\x07", []),
        (b"\x1b_Gi=1,a=q;AAAA\x1b\\", []),
    ],
)
def test_only_plain_reports_are_answered(asked: bytes, answers: list[bytes]) -> None:
    emulator, replies = make()
    emulator.feed(asked)
    assert replies == answers


def test_replies_are_bounded_per_feed_and_none_come_unasked() -> None:
    emulator, replies = make()
    emulator.feed(b"\x1b[6n" * 10_000)
    assert 0 < len(b"".join(replies)) <= REPLY_BYTES_PER_FEED
    emulator.feed(b"\x1b[?2048h")  # report every resize
    replies.clear()
    emulator.resize(50, 10)
    assert replies == []


def test_alternate_screen_gives_the_first_back() -> None:
    emulator, _ = make()
    emulator.feed(b"shell\r\n\x1b[?1049h\x1b[H\x1b[2Jvi")
    assert text(emulator) == ["vi"]
    emulator.feed(b"\x1b[?1049l")
    assert text(emulator) == ["shell"]


def test_resize_wraps_anew() -> None:
    emulator, _ = make(20, 5)
    emulator.feed(b"0123456789abcdefghij")
    emulator.resize(10, 5)
    assert text(emulator) == ["0123456789", "abcdefghij"]
    emulator.resize(30, 5)
    assert text(emulator) == ["0123456789abcdefghij"]
    assert emulator.columns == 30


FULL = b"".join(b"line %d\r\n" % number for number in range(39))


@pytest.mark.parametrize("columns", [80, 120])
def test_the_cursors_line_stays_in_sight_when_there_is_text_below_it(columns: int) -> None:
    emulator, _ = make(120, 40)
    emulator.feed(FULL + b"\x1b[10;1H\x1b[2K\x1b[42mPROMPT")
    emulator.resize(columns, 12)
    assert text(emulator) == [*(f"line {number}" for number in range(9)), "PROMPT", "line 10", "line 11"]
    emulator.feed(b"> ok")
    assert text(emulator)[9] == "PROMPT> ok"
    assert str(emulator.line(9)[0].style) == "on color(2)"


def test_what_is_above_the_cursor_is_in_the_scrollback_where_little_room_is_left() -> None:
    emulator, _ = make(120, 40)
    emulator.feed(FULL + b"\x1b[30;1H\x1b[2KPROMPT\x1b[10;1H")
    emulator.resize(120, 5)
    emulator.feed(b"here")
    assert text(emulator) == ["line 5", "line 6", "line 7", "line 8", "here 9"]
    assert emulator.text_lines()[:2] == ["line 0", "line 1"]


def test_lines_below_that_wrap_do_not_push_the_cursor_out() -> None:
    emulator, _ = make(20, 6)
    emulator.feed(b"0123456789abcdefghij" * 6 + b"\x1b[2;1H")
    emulator.resize(10, 6)
    emulator.feed(b"X")
    assert "X123456789" in text(emulator)


def test_nothing_is_erased_where_the_cursor_stays_in_sight_or_within_a_sequence() -> None:
    emulator, _ = make(120, 40)
    emulator.feed(FULL + b"\x1b[35;1H")
    emulator.resize(120, 12)
    assert text(emulator)[-1] == "line 38"
    emulator.feed(b"\x1b[1;1H\x1b[3")
    emulator.resize(120, 8)
    emulator.feed(b"1mred")
    assert "1mred" not in "".join(text(emulator))


def test_a_guest_cannot_change_the_size() -> None:
    emulator, _ = make(40, 6)
    emulator.feed(b"\x1b[?40h\x1b[?3h\x1b[8;60;200t")
    emulator.feed(b"x\x1b[1;132HY")
    assert len(text(emulator)) == 1
    assert text(emulator)[0] == "x".ljust(39) + "Y"
    assert (emulator.columns, emulator.rows) == (40, 6)


@pytest.mark.parametrize("introducer", [b"\x1b]", b"\x1b]0;", b"\x1bP", b"\x1b_", b"\x1b^", b"\x1bX", b"\x1b]P0"])
@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
def test_an_unterminated_string_ends_with_its_line(introducer: bytes, piece: int) -> None:
    emulator, _ = make()
    data = b"ab" + introducer + b"runaway\r\nnext\r\n\x1b]0;title\x07more\x1bPq\x1b\\!"
    for start in range(0, len(data), piece):
        emulator.feed(data[start : start + piece])
    assert text(emulator) == ["ab", "next", "more!"]


def test_the_guard_leaves_good_sequences_alone() -> None:
    data = b"a\x1b]0;t\x07\r\n\x1bPq#0\x1b\\\n\x1b[31m\x1b]2;x\x1b\\\r\nend"
    for piece in range(1, len(data)):
        guard = StringGuard()
        assert b"".join(guard.filter(data[i : i + piece]) for i in range(0, len(data), piece)) == data


def test_a_huge_parameter_is_harmless() -> None:
    emulator, _ = make()
    emulator.feed(b"\x1b[" + b"9" * 5000 + b"Cx\x1b[" + b"1;" * 5000 + b"mok")
    assert text(emulator)[-1].endswith("ok")


def test_scrollback_and_back() -> None:
    emulator, _ = make(40, 4)
    emulator.feed(b"\r\n".join(b"line %d" % n for n in range(20)))
    assert text(emulator) == ["line 16", "line 17", "line 18", "line 19"]
    emulator.scroll(-3)
    assert text(emulator)[0] == "line 13"
    assert (emulator.lines_above, emulator.lines_below) == (13, 3)
    assert emulator.cursor is None
    emulator.feed(b"\r\nline 20")
    assert text(emulator)[0] == "line 13", "output does not move a view that is scrolled back"
    emulator.scroll_to_end()
    assert text(emulator)[-1] == "line 20"
    emulator.scroll(-1000)
    assert text(emulator)[0] == "line 0"


def test_text_of_scrollback_and_screen() -> None:
    emulator, _ = make(10, 4)
    emulator.feed(b"\r\n".join(b"line %d" % n for n in range(1000)))
    emulator.feed("\r\n\r\n0123456789abc\r\n世界 e\u0301\x7f\u202e  \r\n\r\n".encode())
    lines = emulator.text_lines()
    assert len(lines) == emulator.lines_above + emulator.rows == 1006
    assert lines[:2] == ["line 0", "line 1"]
    assert lines[-7:] == ["line 999", "", "0123456789", "abc", "世界 e\u0301\ufffd", "", ""]
    assert emulator.text_lines(998, 1001) == ["line 998", "line 999", ""]
    assert emulator.text_lines(-3, 1) == ["line 0"]
    assert emulator.text_lines(1005, 2000) == [""]
    assert emulator.text_lines(5, 5) == emulator.text_lines(3000) == []
    assert emulator.copy_text(999, 1006) == "line 999\n\n0123456789abc\n世界 e\u0301\ufffd"
    assert emulator.copy_text(5, 3) == ""


def test_the_text_of_a_line_that_ends_in_a_wide_character() -> None:
    emulator, _ = make(10, 3)
    emulator.feed("xxxxxxxx世\r\nxxxxxxxxx世\x1b[1;1H".encode())
    assert emulator.text_lines(0, 1) == ["xxxxxxxx世"]
    assert emulator.text_lines(1, 2) == ["xxxxxxxxx"]
    assert emulator.copy_text(0, 3) == "xxxxxxxx世\nxxxxxxxxx世"


def test_the_text_of_the_alternate_screen_is_its_own() -> None:
    emulator, _ = make(10, 3)
    emulator.feed(b"1\r\n2\r\n3\r\n4\x1b[?1049h\x1b[Hvi")
    assert emulator.text_lines() == ["vi", "", ""]
    emulator.feed(b"\x1b[?1049l")
    assert emulator.text_lines() == ["1", "2", "3", "4"]


def test_a_bell_leaves_only_a_mark() -> None:
    emulator, replies = make()
    emulator.feed(b"a\x1b]0;title\x07b")
    assert not emulator.take_bell(), "that one ended a title"
    for _ in range(2):
        emulator.feed(b"\a" * 1000)
        assert emulator.take_bell()
        assert not emulator.take_bell()
    assert text(emulator) == ["ab"]
    assert replies == []


def test_calm_undoes_what_a_dead_program_left() -> None:
    emulator, _ = make()
    emulator.feed(b"panic\r\n\x1b[?1049h\x1b[?1;2004h\x1b[?25l\x1b[?7l\x1b[2;3r\x1b(0\x1b[4h\x1b[31m\x1b]0;half")
    emulator.calm()
    emulator.feed(b"qxq\x1b[9;9H.")
    assert text(emulator)[0] == "panic"
    assert "qxq" in text(emulator)
    assert text(emulator)[-1] == "        .", "the margins are gone"
    assert emulator.cursor is not None
    assert emulator.encode_key(events.Key("up", None)) == b"\x1b[A"
    assert emulator.paste("x") == b"x"


@pytest.mark.parametrize("leaves", [b"", b"\x1b[?69h\x1b[9;12s\x1b[3;1H", b"\x1b[2;3r\x1b[?6h\x1b[2;1H", b"\x1b[20h"])
def test_calm_leaves_the_text_of_the_primary_screen_alone(leaves: bytes) -> None:
    emulator, _ = make()
    emulator.feed(b"one\r\n\x1b[?1049hvi\x1b[?1049ltwo\r\n" + leaves + b"$ \x1b[5 q\x1b[?67h")
    emulator.calm()
    emulator.feed(b"login: abcdefghij")
    assert text(emulator) == ["one", "two", "$", "login: abcdefghij"]
    assert emulator.cursor is not None
    assert emulator.cursor.shape == "block"
    assert emulator.encode_key(events.Key("backspace", None)) == b"\x7f"


def test_a_missing_library_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyghostty._ffi", None)
    with pytest.raises(EmulatorUnavailable, match="pyghostty"):
        load_emulator.__wrapped__()


KEYS = [
    ("a", "a", b"a"),
    ("A", "A", b"A"),
    ("é", "é", "é".encode()),
    ("plus", "+", b"+"),
    ("space", " ", b" "),
    ("enter", "\r", b"\r"),
    ("shift+enter", None, b"\r"),
    ("ctrl+enter", None, b"\r"),
    ("tab", "\t", b"\t"),
    ("shift+tab", None, b"\x1b[Z"),
    ("escape", "\x1b", b"\x1b"),
    ("backspace", "\x7f", b"\x7f"),
    ("delete", None, b"\x1b[3~"),
    ("insert", None, b"\x1b[2~"),
    ("pageup", None, b"\x1b[5~"),
    ("home", None, b"\x1b[H"),
    ("up", None, b"\x1b[A"),
    ("ctrl+right", None, b"\x1b[1;5C"),
    ("shift+up", None, b"\x1b[1;2A"),
    ("alt+up", None, b"\x1b[1;3A"),
    ("f1", None, b"\x1bOP"),
    ("f3", None, b"\x1bOR"),
    ("f5", None, b"\x1b[15~"),
    ("f10", None, b"\x1b[21~"),
    ("f11", None, b"\x1b[23~"),
    ("f12", None, b"\x1b[24~"),
    ("f13", None, b"\x1b[1;2P"),
    ("f15", None, b"\x1b[1;2R"),
    ("f24", None, b"\x1b[24;2~"),
    ("ctrl+f3", None, b"\x1b[1;5R"),
    ("ctrl+f5", None, b"\x1b[15;5~"),
    ("alt+f1", None, b"\x1b[1;3P"),
    ("ctrl+alt+up", None, b"\x1b[1;7A"),
    ("shift+insert", None, b"\x1b[2;2~"),
    ("ctrl+delete", None, b"\x1b[3;5~"),
    ("alt+enter", None, b"\x1b\r"),
    ("alt+escape", None, b"\x1b\x1b"),
    ("ctrl+backspace", None, b"\x08"),
    ("alt+backspace", None, b"\x1b\x7f"),
    ("ctrl+tab", None, b"\t"),
    ("ctrl+a", "\x01", b"\x01"),
    ("ctrl+c", None, b"\x03"),
    ("ctrl+i", None, b"\t"),
    ("ctrl+p", None, b"\x10"),
    ("ctrl+q", None, b"\x11"),
    ("ctrl+z", None, b"\x1a"),
    ("ctrl+@", "\x00", b"\x00"),
    ("ctrl+space", None, b"\x00"),
    ("ctrl+backslash", None, b"\x1c"),
    ("ctrl+right_square_bracket", None, b"\x1d"),
    ("ctrl+circumflex_accent", None, b"\x1e"),
    ("ctrl+underscore", None, b"\x1f"),
    ("ctrl+slash", None, b"\x1f"),
    ("ctrl+grave_accent", None, b"\x00"),
    ("ctrl+tilde", None, b"\x1e"),
    ("ctrl+1", None, b"1"),
    ("ctrl+3", None, b"\x1b"),
    ("ctrl+shift+c", None, b"\x03"),
    ("alt+x", "x", b"\x1bx"),
    ("alt+shift+x", "X", b"\x1bX"),
    ("alt+full_stop", None, b"\x1b."),
    ("ctrl+alt+c", None, b"\x1b\x03"),
    ("super+a", None, b""),
    ("caps_lock", None, b""),
    ("<ignore>", "\x1b[E", b""),
]


@pytest.mark.parametrize(("key", "character", "sent"), KEYS)
@pytest.mark.parametrize("modes", [b"", b"\x1b[>31u\x1b[>4;2m"], ids=["plain", "kitty protocol asked for"])
def test_keys(key: str, character: str | None, sent: bytes, modes: bytes) -> None:
    emulator, _ = make()
    emulator.feed(modes)
    assert emulator.encode_key(events.Key(key, character)) == sent


def test_keys_follow_application_mode() -> None:
    emulator, _ = make()
    emulator.feed(b"\x1b[?1h")
    sent = [emulator.encode_key(events.Key(key, None)) for key in ("up", "left", "home", "end", "ctrl+up")]
    assert sent == [b"\x1bOA", b"\x1bOD", b"\x1bOH", b"\x1bOF", b"\x1b[1;5A"]
    emulator.feed(b"\x1b[?1l\x1b[?67h")
    assert emulator.encode_key(events.Key("up", None)) == b"\x1b[A"
    assert emulator.encode_key(events.Key("backspace", None)) == b"\x08"


def test_paste_is_stripped_and_bracketed_when_asked_for() -> None:
    emulator, _ = make()
    assert emulator.paste("ls\t-l\r\nrm\n\x1b[201~\x03\x04é\x9b") == "ls\t-l\rrm\r[201~é".encode()
    emulator.feed(b"\x1b[?2004h")
    assert emulator.paste("a\x1b[201~b") == b"\x1b[200~a[201~b\x1b[201~"
