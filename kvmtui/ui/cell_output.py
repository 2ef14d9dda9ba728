"""What the terminal shows, cell by cell, and the fewest bytes that make it show something else.

Nearly all bytes of a frame are colours: `CSI 38;2;224;224;224 m` is 19 of them, a move of the cursor two to eight. So
the changed runs of a frame are sent pen by pen, each pen chosen once, and within a pen downwards, column by column.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain, compress, groupby
from operator import is_not
from typing import NamedTuple

from rich.cells import cell_len
from rich.color import ColorSystem
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from kvmtui.ui.paint import ONE_CELL
from kvmtui.ui.sequences import PLAIN, Pen, change_pen, move_cursor, pen_of

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# Changed cells, with the unchanged ones in between that are rather sent again than jumped over, which costs the four
# bytes of `CSI n C`. In the bytes this looks at, bit 7 is a cell that changed, bit 0 one that is not ASCII.
_RUN = re.compile(rb"[\x80\x81]+(?:(?:\0{1,4}|\x01\0?|\0\x01)[\x80\x81]+)*")
_AS_CHANGED, _AS_LONG = (bytes([0]) + bytes([flag]) * 255 for flag in (0x80, 0x01))
_FAR_LEFT = 9
"""How far left of the end of a run the next may begin on the line below, and still be worth going on with."""


_SHORT = 16
"""Words, numbers and units come again; long lines seldom do, and each would be kept as so many pairs."""


def clusters(text: str) -> tuple[tuple[str, int], ...]:
    """Return what stands in one cell or two, and how many; marks without a character before them have none."""
    return _of_short(text) if len(text) <= _SHORT else _of_long(text)


def _clusters(text: str) -> tuple[tuple[str, int], ...]:
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


_of_short, _of_long = lru_cache(2048)(_clusters), lru_cache(64)(_clusters)


class Piece(NamedTuple):
    """Cells that stand side by side: line, first column, and what Textual wants there."""

    y: int
    x: int
    segments: Iterable[Segment]


_Runs = dict[int, tuple[str, int]]
"""By the number of its first cell, line after line: text, and number of the cell after it, or -1 if not sure."""

_UNKNOWN = "\0"
"""The text of a cell of which nothing is known; controls are never shown."""
_LAST_BASIC = "\uffff"
"""Up to this each character is two bytes of UTF-16, by which lines are compared."""


class Stretch(NamedTuple):
    """Cells of one pen that Textual wants side by side."""

    text: str
    pen: Pen
    sure: bool
    """Whether every terminal knows that each character takes one cell."""
    odd: bool
    """Whether some cell holds more or less than one character, or one that UTF-16 has in two parts."""


class ShownCells:
    """Knows what is in the cells of a terminal, and writes what changes them."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Know nothing about the terminal any more."""
        self._size = (0, 0)
        self._texts: list[str | list[str]] = []
        """Per line its text; where some cell holds more or less than one character, the text of each cell."""
        self._pens: list[list[Pen]] = []

    def changes(self, pieces: Iterable[Piece], columns: int, lines: int, system: ColorSystem) -> tuple[str, int, int]:
        """Return what makes a terminal of this size show these pieces, and where it leaves the cursor (or -1)."""
        if (columns, lines) != self._size:
            self.forget()
            self._size = (columns, lines)
            self._texts = [_UNKNOWN * columns] * lines
            self._pens = [[PLAIN] * columns for _ in range(lines)]
        runs: dict[Pen, _Runs] = {}
        for y, x, segments in pieces:
            stretches = [_stretch(text, style, system) for text, style, _ in segments]
            line = self._texts[y]
            if isinstance(line, list) or any(stretch.odd for stretch in stretches):
                self._compare_odd(y, x, stretches, runs)
            else:
                self._compare(y, x, line, stretches, runs)
        return self._sequence(runs)

    def _compare(self, y: int, x: int, line: str, stretches: list[Stretch], runs: dict[Pen, _Runs]) -> None:
        """Take cells for shown, and add to `runs` those that are not."""
        columns, line_pens = self._size[0], self._pens[y]
        text = "".join([stretch.text for stretch in stretches])[: columns - x]
        pens = list(chain.from_iterable([[stretch.pen] * len(stretch.text) for stretch in stretches]))[: columns - x]
        end = x + len(text)
        old_text, old_pens = line[x:end], line_pens[x:end]
        if text == old_text and pens == old_pens:
            return
        self._texts[y] = line[:x] + text + line[end:]
        line_pens[x:end] = pens
        here = y * columns + x
        for first, run, pen, sure in _changed_runs(text, stretches, _differences(text, old_text, pens, old_pens)):
            after = first + len(run)
            placed = x + after < columns and (sure or run.isascii())
            runs.setdefault(pen, {})[here + first] = (run, here + after if placed else -1)

    def _compare_odd(self, y: int, x: int, stretches: list[Stretch], runs: dict[Pen, _Runs]) -> None:
        """The same for cells with more or less than one character, or in a line that has some.

        Terminals differ in how wide they take such characters, so that after one of them nothing may be where it
        should; what Textual has drawn in one go is sent in one go, which repairs what it can. Half a wide character
        that was overwritten is empty then, which is neither of what is remembered: it is sent, too.
        """
        texts, pens = _cells(stretches)
        columns, line, line_pens = self._size[0], list(self._texts[y]), self._pens[y]
        del texts[columns - x :], pens[columns - x :]
        end = x + len(texts)
        if any(
            text != old_text or (pen is not old_pen and (text != " " or pen.blank is not old_pen.blank))
            for text, old_text, pen, old_pen in zip(texts, line[x:end], pens, line_pens[x:end], strict=True)
        ):
            line[x:end], line_pens[x:end] = texts, pens
            start, here = 0, y * columns + x
            for pen, cells in groupby(pens):
                stop = start + len(list(cells))
                text = "".join(texts[start:stop])
                sure = x + stop < columns and ONE_CELL.fullmatch(text)
                runs.setdefault(pen, {})[here + start] = (text, here + stop if sure else -1)
                start = stop
        self._texts[y] = "".join(line) if all(len(text) == 1 and text <= _LAST_BASIC for text in line) else line

    def _sequence(self, runs: dict[Pen, _Runs]) -> tuple[str, int, int]:
        # Blank cells of no pen in particular go with any that leaves them blank in the same way.
        for blank in [pen for pen in runs if pen.blank is pen]:
            host = next((pen for pen in runs if pen is not blank and pen.blank is blank), None)
            if host is not None and not any(text.strip(" ") for text, _ in runs[blank].values()):
                runs[host] |= runs.pop(blank)
        columns = self._size[0]
        pen, out = PLAIN, list[str]()
        x = y = end = -1
        for new in sorted(runs, key=lambda pen: (pen.link, pen.background, pen.attributes, pen.color)):
            out.append(change_pen(pen, new))
            pen, left = new, runs[new]
            starts = sorted(left)
            for first in starts:
                at = first
                while (run := left.pop(at, None)) is not None:
                    from_x, from_y = x, y
                    y, x = divmod(at, columns)
                    text, end = run
                    out.append(move_cursor(from_x, from_y, x, y))
                    out.append(text)
                    if end < 0:
                        x = -1
                        break
                    x = end - y * columns
                    # The next is the one on the line below that begins about where this ended.
                    below = bisect_right(starts, end + columns + 1)
                    while below and (at := starts[below - 1]) > end + columns - _FAR_LEFT and at not in left:
                        below -= 1
                    if not below or at <= end + columns - _FAR_LEFT:
                        break
        out.append(change_pen(pen, PLAIN))
        return "".join(out), x, y


def _stretch(text: str, style: Style | None, system: ColorSystem) -> Stretch:
    """Return what a segment puts into cells."""
    return _short_stretch(text, style, system) if len(text) <= _SHORT else _new_stretch(text, style, system)


def _new_stretch(text: str, style: Style | None, system: ColorSystem) -> Stretch:
    pen = PLAIN if style is None else _pen(style, system)
    if (text.isascii() and text.isprintable()) or ONE_CELL.fullmatch(text):
        return Stretch(text, pen, sure=True, odd=False)
    # Controls take no cell in Textual's count; sent, they would do anything at all.
    text = _CONTROL.sub("", text)
    odd = any(width != 1 or len(cluster) > 1 or cluster > _LAST_BASIC for cluster, width in clusters(text))
    return Stretch(text, pen, sure=False, odd=odd)


_short_stretch = lru_cache(2048)(_new_stretch)


def _cells(stretches: list[Stretch]) -> tuple[list[str], list[Pen]]:
    """Return text and pen of each cell; "" is the right half of a wide character."""
    texts: list[str] = []
    pens: list[Pen] = []
    for text, pen, _, _ in stretches:
        for cluster, width in clusters(text):
            if width:
                texts += [cluster, *[""] * (width - 1)]
                pens += [pen.blank if cluster == " " else pen] * width
            elif texts:
                texts[-1 if texts[-1] else -2] += cluster
    return texts, pens


def _changed_runs(text: str, stretches: list[Stretch], differ: bytes) -> list[tuple[int, str, Pen, bool]]:
    """Return runs of changed cells: where they begin, text, pen, and whether each character surely takes one cell."""
    changed = differ.translate(_AS_CHANGED)
    if not text.isascii():
        changed = _either(changed, _utf16(text)[1::2].translate(_AS_LONG))
    runs: list[tuple[int, str, Pen, bool]] = []
    start, end, following = 0, -1, _RUN.search(changed)
    for part, pen, sure, _ in stretches:
        if following is None:
            break
        stop = start + len(part)
        if following.start() < stop:
            for match in _RUN.finditer(changed, start, stop):
                first, after = match.span()
                run = text[first:after]
                empty = not run.strip(" ")
                if first == end and runs[-1][2].blank is pen.blank and (empty or not runs[-1][1].strip(" ")):
                    # Side by side, and one of them is empty, in either pen.
                    before, before_run, before_pen, before_sure = runs.pop()
                    joint_pen = before_pen if empty else pen
                    runs.append((before, before_run + run, joint_pen, before_sure and sure))
                else:
                    runs.append((first, run, pen.blank if empty else pen, sure))
                end = after
            following = _RUN.search(changed, stop)
        start = stop
    return runs


def _differences(text: str, other: str, pens: list[Pen], other_pens: list[Pen]) -> bytes:
    """Return a byte for each cell, 0 where they look the same."""
    # Three times as fast as looking at one after the other.
    here, there = int.from_bytes(_utf16(text), "little"), int.from_bytes(_utf16(other), "little")
    halves = (here ^ there).to_bytes(2 * len(text), "little")
    differ = _either(halves[::2], halves[1::2])
    if pens == other_pens:
        return differ
    differ_in_pen = bytearray(map(is_not, pens, other_pens))
    for at in compress(range(len(text)), differ_in_pen):
        if text[at] == " " and pens[at].blank is other_pens[at].blank:
            differ_in_pen[at] = 0
    return _either(differ, bytes(differ_in_pen))


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


def _either(these: bytes, those: bytes) -> bytes:
    return (int.from_bytes(these, "little") | int.from_bytes(those, "little")).to_bytes(len(these), "little")


def _pen(style: Style, system: ColorSystem) -> Pen:
    # As Strip.render_style does it, with its cache.
    ansi = style._ansi
    if ansi is None:
        ansi = Strip.render_ansi(style, system)
    return pen_of(ansi, f"\x1b]8;id={style.link_id};{style.link}\x1b\\" if style.link else "")
