"""What the terminal shows, cell by cell, and the fewest bytes that make it show something else.

Nearly all bytes of a frame are colours: `CSI 38;2;224;224;224 m` is 19 of them, a move of the cursor two to eight. So
the changed runs of a frame are sent pen by pen, each pen chosen once, and within a pen downwards, column by column.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import compress
from operator import is_not, ne, or_
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

# Of these every terminal knows that they take one cell; after others the cursor is placed anew.
_ONE_CELL = re.compile(r"[ -~\u2500-\u259f\u2800-\u28ff]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# What ends each attribute (ECMA-48, SGR); some end two.
_END = {"1": "22", "2": "22", "3": "23", "4": "24", "21": "24", "5": "25", "6": "25", "7": "27", "8": "28", "9": "29"}
_END |= {"51": "54", "52": "54", "53": "55"}
# Attributes that can be seen on a space: underline, blink, reverse, strike, frame, overline. Not bold, dim, italic.
_SEEN_ON_SPACE = {"4", "21", "5", "6", "7", "9", "51", "52", "53"}

_LONGEST_BRIDGE = 4
"""Bytes of unchanged cells that are rather sent again than jumped over, which costs `CSI n C`."""
_FAR_LEFT = 9
"""How far left of the end of a run the next may begin on the line below, and still be worth going on with."""


class Pen:
    """A way to draw, as the terminal understands it; equal pens are one object."""

    __slots__ = ("attributes", "background", "blank", "codes", "color", "link")

    def __init__(self, ansi: str, link: str) -> None:
        """Take the parameters of an SGR sequence, and the opening of a hyperlink or nothing."""
        attributes: list[str] = []
        color = background = ""
        codes = iter(ansi.split(";"))
        for code in codes:
            if code in ("38", "48"):
                kind = next(codes)
                parts = [code, kind, *(next(codes) for _ in range(1 if kind == "5" else 3))]
                code, layer = ";".join(parts), code[0]
            else:
                number = int(code or "0")
                layer = "3" if 30 <= number < 40 or 90 <= number < 98 else "4" if 40 <= number < 50 else ""
                layer = layer or ("4" if 100 <= number < 108 else "")
            if layer == "3":
                color = "" if code == "39" else code
            elif layer == "4":
                background = "" if code == "49" else code
            elif code in _END:
                if _END[code] != "22":  # of two kinds of underline the last counts; bold and dim go together
                    attributes = [other for other in attributes if _END[other] != _END[code]]
                attributes.append(code)
        self.attributes: Final = tuple(attributes)
        self.color: Final = color
        self.background: Final = background
        self.link: Final = link
        self.codes: Final = ";".join(filter(None, (*attributes, color, background)))
        # A space looks the same in all pens of one background, unless something is drawn on it.
        plain_space = not link and not _SEEN_ON_SPACE.intersection(attributes)
        self.blank: Final[Pen] = self if not plain_space or self.codes == background else pen_of(background, "")


@lru_cache(4096)
def pen_of(ansi: str, link: str) -> Pen:
    """Return the pen for an SGR sequence's parameters and a hyperlink's opening sequence."""
    pen = Pen(ansi, link)
    return pen if pen.codes == ansi else pen_of(pen.codes, link)


@lru_cache(4096)
def change_pen(old: Pen, new: Pen) -> str:
    """Return the shortest sequence that leads from one pen to another."""
    sequence = ""
    if old is not new and old.codes != new.codes:
        ended = {_END[code] for code in old.attributes if code not in new.attributes}
        codes = sorted(ended)
        codes += [code for code in new.attributes if code not in old.attributes or _END[code] in ended]
        if old.color != new.color:
            codes.append(new.color or "39")
        if old.background != new.background:
            codes.append(new.background or "49")
        step, afresh = ";".join(codes), f"0;{new.codes}" if new.codes else ""
        sequence = f"\x1b[{min(step, afresh, key=len)}m"
    if old.link != new.link:
        sequence += new.link or "\x1b]8;;\x1b\\"
    return sequence


@lru_cache(1 << 14)
def move_cursor(from_x: int, from_y: int, x: int, y: int) -> str:
    """Return the shortest sequence that moves the cursor; -1 stands for a column or line that is not known."""
    shortest = "\x1b[H" if x == y == 0 else f"\x1b[{y + 1}H" if x == 0 else f"\x1b[{y + 1};{x + 1}H"
    if from_y < 0 or not 0 <= y - from_y <= 3:
        return shortest
    # A vertical tab is a line feed that no tty driver turns into CR LF, so it keeps the column.
    down = "\x0b" * (y - from_y)
    ways = ["\r"] if x == 0 else [f"\x1b[{x + 1}G"]
    if from_x >= 0:
        columns = x - from_x
        if columns <= 0:
            ways += ["\b" * -columns, f"\x1b[{-columns}D"]
        else:
            ways.append("\x1b[C" if columns == 1 else f"\x1b[{columns}C")
    return min(down + min(ways, key=len), shortest, key=len)


@lru_cache(2048)
def clusters(text: str) -> tuple[tuple[str, int], ...]:
    """Return what stands in one cell or two, and how many; marks without a character before them have none."""
    # Whatever the installed Rich takes for the width of a prefix is what Textual has laid out with.
    found: list[tuple[str, int]] = []
    seen = width = 0
    for end in range(1, len(text) + 1):
        seen, width = width, cell_len(text[:end])
        sign = text[end - 1]
        if width > seen and cell_len(sign):
            found.append((sign, width - seen))
        elif found:
            found[-1] = (found[-1][0] + sign, found[-1][1] + width - seen)
        else:
            found.append((sign, width - seen))
    return tuple(found)


class Piece(NamedTuple):
    """Cells that stand side by side: line, first column, and what Textual wants there."""

    y: int
    x: int
    segments: Iterable[Segment]


_Runs = dict[int, tuple[str, int]]
"""By the number of its first cell, line after line: text, and number of the cell after it, or -1 if not sure."""


class ShownCells:
    """Knows what is in the cells of a terminal, and writes what changes them."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know nothing about the terminal any more."""
        self._size = (0, 0)
        self._texts: list[list[str | None]] = []
        """Per line and cell: a character with its marks; "" is the right half of a wide one, None is not known."""
        self._pens: list[list[Pen]] = []
        self._odd: set[int] = set()
        """Lines in which some cell holds more or less than one character."""

    def changes(self, pieces: Iterable[Piece], columns: int, lines: int, system: ColorSystem) -> tuple[str, int, int]:
        """Return what makes a terminal of this size show these pieces, and where it leaves the cursor (or -1)."""
        if (columns, lines) != self._size:
            self.forget()
            self._size = (columns, lines)
            self._texts = [[None] * columns for _ in range(lines)]
            self._pens = [[_PLAIN] * columns for _ in range(lines)]
        runs: dict[Pen, _Runs] = {}
        for y, x, segments in pieces:
            texts, pens, odd = _cells(segments, system)
            del texts[columns - x :], pens[columns - x :]
            if texts:
                self._compare(y, x, texts, pens, odd, runs)
        return self._sequence(runs)

    def _compare(self, y: int, x: int, texts: list[str], pens: list[Pen], odd: bool, runs: dict[Pen, _Runs]) -> None:
        """Take cells for shown, and add to `runs` those that are not."""
        line_texts, line_pens, end = self._texts[y], self._pens[y], x + len(texts)
        old_texts, old_pens = line_texts[x:end], line_pens[x:end]
        if texts == old_texts and pens == old_pens:
            return
        line_texts[x:end], line_pens[x:end] = texts, pens
        odd_before = y in self._odd
        if odd:
            self._odd.add(y)
        elif odd_before and len(texts) == len(line_texts):
            self._odd.remove(y)
        changed: Iterable[int]
        if odd or odd_before:
            # Terminals differ in how wide they take such characters, so that after one of them nothing may be where it
            # should; what Textual has drawn in one go is sent in one go, which repairs what it can. Half a wide
            # character that was overwritten is empty then, which is neither of what is remembered: it is sent, too.
            changed = range(len(texts))
        else:
            differ = map(or_, map(ne, texts, old_texts), map(is_not, pens, old_pens))
            changed = compress(range(len(texts)), differ)
        for start, stop, pen in _split(changed, texts, pens):
            text = "".join(texts[start:stop])
            sure = x + stop < len(line_texts) and (text.isascii() or _ONE_CELL.fullmatch(text))
            here = y * len(line_texts) + x
            runs.setdefault(pen, {})[here + start] = (text, here + stop if sure else -1)

    def _sequence(self, runs: dict[Pen, _Runs]) -> tuple[str, int, int]:
        # Blank cells of no pen in particular go with any that leaves them blank in the same way.
        for blank in [pen for pen in runs if pen.blank is pen]:
            host = next((pen for pen in runs if pen is not blank and pen.blank is blank), None)
            if host is not None and not any(text.strip(" ") for text, _ in runs[blank].values()):
                runs[host] |= runs.pop(blank)
        columns = self._size[0]
        pen, out = _PLAIN, list[str]()
        x = y = end = -1
        for new in sorted(runs, key=lambda pen: (pen.link, pen.background, pen.attributes, pen.color)):
            out.append(change_pen(pen, new))
            pen, left = new, runs[new]
            for first in sorted(left):
                at = first
                while (run := left.pop(at, None)) is not None:
                    from_x, from_y = x, y
                    y, x = divmod(at, columns)
                    text, end = run
                    out.append(move_cursor(from_x, from_y, x, y))
                    out.append(text)
                    x = end - y * columns if end >= 0 else -1
                    for at in range(end + columns + 1, end + columns - _FAR_LEFT, -1) if left and end >= 0 else ():
                        if at in left:
                            break
        out.append(change_pen(pen, _PLAIN))
        return "".join(out), x, y


def _cells(segments: Iterable[Segment], system: ColorSystem) -> tuple[list[str], list[Pen], bool]:
    """Return text and pen of each cell, and whether some hold more or less than one character."""
    texts: list[str] = []
    pens: list[Pen] = []
    odd = False
    for text, style, _ in segments:
        pen = _PLAIN if style is None else _pen(style, system)
        if not (text.isascii() and text.isprintable()) and _ONE_CELL.fullmatch(text) is None:
            # Controls take no cell in Textual's count; sent, they would do anything at all.
            text = _CONTROL.sub("", text)
            parts = clusters(text)
            odd = odd or any(width != 1 or len(cluster) > 1 for cluster, width in parts)
            if odd:
                for cluster, width in parts:
                    if width:
                        texts += [cluster, *[""] * (width - 1)]
                        pens += [pen.blank if cluster == " " else pen] * width
                    elif texts:
                        texts[-1 if texts[-1] else -2] += cluster
                continue
        texts += text
        blank = pen.blank
        solid = text.rstrip(" ")
        if blank is pen or " " not in solid:
            pens += [pen] * len(solid)
        else:
            pens += [blank if sign == " " else pen for sign in solid]
        pens += [blank] * (len(text) - len(solid))
    return texts, pens, odd


def _pen(style: Style, system: ColorSystem) -> Pen:
    # As Strip.render_style does it, with its cache.
    ansi = style._ansi
    if ansi is None:
        ansi = Strip.render_ansi(style, system)
    return pen_of(ansi, f"\x1b]8;id={style.link_id};{style.link}\x1b\\" if style.link else "")


def _split(changed: Iterable[int], texts: list[str], pens: list[Pen]) -> Iterator[tuple[int, int, Pen]]:
    """Return runs `[start, stop)` of changed cells that one pen can draw, and that pen."""
    start = stop = -1
    pen = _PLAIN
    for at in changed:
        here = pens[at]
        if start >= 0:
            joint: Pen | None = None
            if here is pen or (here is pen.blank and texts[at] == " "):
                joint = pen
            elif here.blank is pen and not "".join(texts[start:stop]).strip(" "):
                joint = here  # blanks so far
            if joint is not None and (at == stop or _bridged(texts[stop:at], pens[stop:at], joint)):
                stop, pen = at + 1, joint
                continue
            yield start, stop, pen
        start, stop, pen = at, at + 1, here
    if start >= 0:
        yield start, stop, pen


def _bridged(texts: list[str], pens: list[Pen], pen: Pen) -> bool:
    """Return whether sending unchanged cells again costs no more than jumping over them."""
    return len("".join(texts).encode()) <= _LONGEST_BRIDGE and all(
        here is pen or (here is pen.blank and text == " ") for text, here in zip(texts, pens, strict=True)
    )


_PLAIN = pen_of("", "")
