"""A terminal's screen as cells, read from tmux's capture and from our emulator, so that the two can be compared."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.color import Color, ColorType
from rich.segment import Segment

from kvmtui.ui.emulator import Emulator

Rgb = tuple[int, int, int]
# A palette's number, or red, green and blue; None is the terminal's own.
Colour = int | Rgb | None

_ESCAPE = re.compile(r"\x1b\[([\d;:]*)m|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|([\x0e\x0f])|([^\x1b])")
_DEC_GRAPHICS = dict(zip("`abcdefghijklmnopqrstuvwxyz{|}~", "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·", strict=True))
_FLAGS = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "strike", 21: "underline2"}
_FLAGS |= {53: "overline"}
_OFF = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline", "underline2"), 27: ("reverse",), 29: ("strike",)}
_OFF |= {55: ("overline",)}


@dataclass(frozen=True, slots=True)
class Look:
    """Colours and attributes."""

    foreground: Colour = None
    background: Colour = None
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Cell:
    """One column; the second one of a wide character has the text ""."""

    text: str = " "
    look: Look = Look()

    def looks_like(self, captured: "Cell") -> bool:
        """Whether this cell of ours is what tmux has; of an unseen one only that nothing is drawn in it."""
        if captured is UNSEEN:
            return self.text == " " and not self.look.flags
        return self == captured


UNSEEN = Cell(look=Look(flags=frozenset({"unseen"})))


def cells_of_capture(capture: str, columns: int) -> list[list[Cell]]:
    """Return the cells of `tmux capture-pane -p -e -N`; a look goes on from one line to the next.

    tmux 3.3 leaves out what follows the last cell that was written to, even where erasing has coloured it; those cells
    are `UNSEEN`.
    """
    look, graphics = Look(), False
    rows = []
    for line in capture.removesuffix("\n").split("\n"):
        row: list[Cell] = []
        for match in _ESCAPE.finditer(line):
            codes, shift, character = match.groups()
            if codes is not None:
                look = _apply(look, codes)
            elif shift:
                graphics = shift == "\x0e"
            elif character:
                _add(row, _DEC_GRAPHICS.get(character, character) if graphics else character, look)
        rows.append([*row, *[UNSEEN] * (columns - len(row))])
    return rows


def cells_of_emulator(emulator: Emulator) -> list[list[Cell]]:
    """Return the cells of our emulator's lines, which must be up to date."""
    rows = []
    for y in range(emulator.rows):
        row: list[Cell] = []
        for segment in emulator.line(y):
            look = _look_of(segment)
            for character in segment.text:
                _add(row, character, look)
        rows.append([*row, *[Cell()] * (emulator.columns - len(row))])
    return rows


def difference(ours: list[list[Cell]], tmux: list[list[Cell]]) -> str:
    """Return the cells that differ, in words, or nothing."""
    places = [
        f"line {y} column {x}: {a} where tmux has {b}"
        for y, (our_row, their_row) in enumerate(zip(ours, tmux, strict=True))
        for x, (a, b) in enumerate(zip(our_row, their_row, strict=True))
        if not a.looks_like(b)
    ]
    return "\n".join([*places[:20], f"{len(places)} cells differ"]) if places else ""


def _add(row: list[Cell], character: str, look: Look) -> None:
    width = cell_len(character)
    if not width and row:
        at = -2 if row[-1].text == "" else -1
        row[at] = replace(row[at], text=row[at].text + character)
        return
    row.append(Cell(character, look))
    if width == 2:
        row.append(Cell("", look))


def _look_of(segment: Segment) -> Look:
    style = segment.style
    if style is None:
        return Look()
    names = ("bold", "dim", "italic", "underline", "underline2", "reverse", "strike", "overline")
    flags = frozenset(name for name in names if getattr(style, name))
    return Look(_colour_of(style.color), _colour_of(style.bgcolor), flags)


def _colour_of(color: Color | None) -> Colour:
    if color is None or color.type is ColorType.DEFAULT:
        return None
    return color.number if color.number is not None else tuple(color.triplet or ())  # type: ignore[return-value]


def _apply(look: Look, codes: str) -> Look:
    """Return the look after one SGR sequence, in the forms in which tmux writes them."""
    numbers = _numbers(codes)
    for number in numbers:
        if number == 0:
            look = Look()
        elif number in _FLAGS:
            look = replace(look, flags=look.flags | {_FLAGS[number]})
        elif number in _OFF:
            look = replace(look, flags=look.flags - set(_OFF[number]))
        elif number in (38, 48):
            colour = _extended(numbers)
            look = replace(look, foreground=colour) if number == 38 else replace(look, background=colour)
        elif 30 <= number <= 39 or 90 <= number <= 97:
            look = replace(look, foreground=_indexed(number, 30))
        elif 40 <= number <= 49 or 100 <= number <= 107:
            look = replace(look, background=_indexed(number, 40))
        else:
            raise AssertionError(f"tmux wrote an SGR that this test does not know: {codes!r}")
    return look


def _numbers(codes: str) -> Iterator[int]:
    for code in codes.split(";"):
        # tmux writes its own numbers of two digits so: a double underline (42), and by mistake an overline (53).
        if code in ("4:2", "5:3"):
            yield {"4:2": 21, "5:3": 53}[code]
        else:
            yield int(code or 0)


def _extended(numbers: Iterator[int]) -> Colour:
    if next(numbers) == 5:
        return next(numbers)
    return next(numbers), next(numbers), next(numbers)


def _indexed(number: int, base: int) -> int | None:
    if number >= 90:
        return number - base - 60 + 8
    return None if number == base + 9 else number - base
