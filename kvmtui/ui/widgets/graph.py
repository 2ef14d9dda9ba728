"""Graphs of characters: pure functions from values to lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from kvmtui.model.format import Quantity
from kvmtui.ui.glyphs import UNICODE, Glyphs
from kvmtui.ui.paint import Run, Tone, fit_runs, runs_width

Values = Sequence[float | None]

# Dots 1-2-3-7 are the left column of a braille cell, 4-5-6-8 the right, top to bottom (Unicode 17, U+2800 block).
# Here: the bits of a column filled with 0 to 4 dots from the bottom, and from the top.
_LEFT_UP, _RIGHT_UP = (0x00, 0x40, 0x44, 0x46, 0x47), (0x00, 0x80, 0xA0, 0xB0, 0xB8)
_LEFT_DOWN, _RIGHT_DOWN = (0x00, 0x01, 0x03, 0x07, 0x47), (0x00, 0x08, 0x18, 0x38, 0xB8)
_BLANK = 0x2800


def _signs(lefts: Sequence[int], rights: Sequence[int]) -> tuple[str, ...]:
    """Return the cells of 0 to 4 dots on the left (times five) and on the right."""
    # The empty braille cell is drawn as eight rings by some fonts; a space is empty everywhere.
    return tuple([chr(_BLANK + left + right) if left + right else " " for left in lefts for right in rights])


_UP, _DOWN = _signs(_LEFT_UP, _RIGHT_UP), _signs(_LEFT_DOWN, _RIGHT_DOWN)


def levels(values: Values, count: int, steps: int, maximum: float) -> list[int]:
    """Return the newest `count` values as heights of 1 to `steps`; 0 is a gap.

    The lowest step is the base line, which zero and all that is too small to see share: idle is flat.
    """
    scale = steps / maximum if maximum > 0 else 0.0
    heights = [
        # Comparisons, not min() and max(): graphs ask this of a thousand values a second.
        0 if value is None else 1 if (height := round(value * scale)) < 1 else height if height < steps else steps
        for value in (values[-count:] if count else ())
    ]
    return [0] * (count - len(heights)) + heights


@lru_cache(1 << 12)
def _column(left: int, right: int, height: int, down: bool) -> tuple[str, ...]:
    """Return the `height` cells under two values, top to bottom; the same two come again at every step to the left."""
    signs, bases = (_DOWN, range(0, 4 * height, 4)) if down else (_UP, range(4 * height - 4, -1, -4))
    return tuple([signs[5 * max(0, min(4, left - base)) + max(0, min(4, right - base))] for base in bases])


def braille(values: Values, width: int, height: int, maximum: float, *, down: bool = False) -> list[str]:
    """Return `height` lines of `width` cells, the area under 2 x `width` values filled with 2 x 4 dots per cell.

    `down` hangs the area from the top. None leaves a gap; more than `maximum` is cut off.
    """
    if not width:
        return [""] * height
    dots = iter(levels(values, width * 2, height * 4, maximum))
    columns = [_column(left, right, height, down) for left, right in zip(dots, dots, strict=True)]
    return ["".join(row) for row in zip(*columns, strict=True)]


def blocks(values: Values, width: int, height: int, maximum: float, glyphs: Glyphs = UNICODE) -> list[str]:
    """Return `height` lines of `width` cells, the area under `width` values filled in steps of 1/8 cell."""
    signs = " " + glyphs.levels
    steps = len(glyphs.levels)
    tops = levels(values, width, height * steps, maximum)
    if height == 1:
        return ["".join([signs[top] for top in tops])]
    return [
        "".join([signs[max(0, min(steps, top - base))] for top in tops])
        for base in range((height - 1) * steps, -1, -steps)
    ]


def ascii_area(values: Values, width: int, height: int, maximum: float, *, down: bool = False) -> list[str]:
    """Return `height` lines of `width` cells in ASCII: columns of "#" that end in one of ". : |"."""
    signs = " .:#"
    tops = levels(values, width, height * 3, maximum)
    bases = range(0, height * 3, 3) if down else range((height - 1) * 3, -1, -3)
    return ["".join([signs[max(0, min(3, top - base))] for top in tops]) for base in bases]


def mini(values: Values, width: int, maximum: float, glyphs: Glyphs = UNICODE) -> str:
    """Return a graph of one line and `width` cells for a table's row."""
    return blocks(values, width, 1, maximum, glyphs)[0] if glyphs.graphs else " " * width


def meter(fraction: float | None, width: int, glyphs: Glyphs = UNICODE) -> tuple[str, str]:
    """Return the filled and the empty part of a bar."""
    filled = 0 if fraction is None else max(0, min(width, round(fraction * width)))
    if fraction and not filled:
        filled = 1
    return glyphs.bar * filled, glyphs.track * (width - filled)


def area(
    values: Values,
    width: int,
    height: int,
    maximum: float,
    glyphs: Glyphs,
    *,
    down: bool = False,
    half_cell: bool = False,
) -> list[str]:
    """Return the area under the values in the finest signs the terminal has; `columns_per_cell` values a cell.

    With `half_cell` the newest is drawn twice where two share a cell, as the first of them.
    """
    if not glyphs.graphs:
        return [" " * width] * height
    if glyphs.ascii:
        return ascii_area(values, width, height, maximum, down=down)
    if half_cell and values:
        values = [*values, values[-1]]
    return braille(values, width, height, maximum, down=down)


def columns_per_cell(glyphs: Glyphs) -> int:
    """Return how many values `area` draws in one cell."""
    return 1 if glyphs.ascii else 2


_STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_LEAST = 100 * 1024.0
"""The smallest scale for rates: a guest's background chatter is drawn flat."""
_SHRINK = 5.0


def nice_maximum(peak: float, current: float = 0.0) -> float:
    """Return the 1-2-5 step of a binary unit that holds `peak` bytes per second.

    It grows at once, and shrinks only when the peak is under a fifth of `current`, so that scales do not flicker.
    """
    if 0 < peak <= current and peak * _SHRINK > current:
        return current
    unit = 1.0
    while True:
        for step in _STEPS:
            if step * unit >= peak and step * unit >= _LEAST:
                return step * unit
        unit *= 1024


@dataclass(frozen=True, slots=True)
class Series:
    """One line of values with its name and its value now."""

    values: Values
    now: Quantity
    label: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """What a graph shows."""

    title: str
    series: tuple[Series, ...]
    """One, or two of one kind: the first stands up, the second hangs down."""
    maximum: float
    scale: str = ""
    """The maximum as text, where the title does not say it."""
    note: str = ""
    """Where the value comes from and how old it is."""
    warning: bool = False
    absolute: bool = False
    """Whether the maximum is a real limit, so that coming near it is worth a colour."""
    marked: int = -1
    """The value, counted from the newest, at which a line is drawn through the graph; less than 0: none."""
    newest: int = 1
    """The number of the newest value.

    Where two share a cell, an even one is the first, and has all of it until the next comes: so a graph that moves by
    one value changes only its last cells, and every other time all of them.
    """

    @property
    def half_cell(self) -> bool:
        """Whether the second value of the last cell is yet to come, where two share one."""
        return self.newest % 2 == 0


_HOT = 0.75
"""From this share of a real limit on, the area is drawn in the colour of a warning."""
_INLINE_GRAPH = 8


def plot_lines(plot: Plot, width: int, height: int, glyphs: Glyphs) -> list[list[Run]]:
    """Return a title line and `height` - 1 lines of graph; one line alone holds both, side by side."""
    if height <= 0 or width <= 0:
        return []
    title = _title(plot)
    if height == 1:
        scaled = [*title, *_scale(plot)] if runs_width(title) + runs_width(_scale(plot)) <= width * 2 // 3 else title
        room = width - runs_width(scaled) - 2
        if room < _INLINE_GRAPH:
            return [fit_runs(scaled, width, glyphs.ellipsis)]
        return [[*scaled, ("  ", Tone.TEXT), *_one_line(plot, min(room, width // 2), glyphs)]]
    room = width - runs_width(title)
    right = [*_note(plot), *_scale(plot)]
    if runs_width(right) > room:
        right = _scale(plot)
    if runs_width(right) > room:
        right = []
    head = [*fit_runs(title, width - runs_width(right), glyphs.ellipsis), *right]
    return [head, *(_mark(plot, line, width, glyphs) for line in _areas(plot, width, height - 1, glyphs))]


def _title(plot: Plot) -> list[Run]:
    runs: list[Run] = [(plot.title, Tone.TITLE)]
    for number, (series, colour) in enumerate(zip(plot.series, (Tone.GRAPH, Tone.GRAPH2), strict=False)):
        if series.label:
            # The label in the colour of its graph is the legend; the order, first above second, is another.
            runs.append((f"{'  ' if number else ' '}{series.label}", colour))
        tone = Tone.WARNING if plot.warning else Tone.MUTED if series.now.number == "0" else Tone.TEXT
        runs += [(f" {series.now.number}", tone), (f" {series.now.unit}".rstrip(), Tone.MUTED)]
    return runs


def _scale(plot: Plot) -> list[Run]:
    return [(f" {plot.scale}", Tone.MUTED)] if plot.scale else []


def _note(plot: Plot) -> list[Run]:
    return [(f"  {plot.note}{'  ' if plot.scale else ''}", Tone.MUTED)] if plot.note else []


def _one_line(plot: Plot, width: int, glyphs: Glyphs) -> list[Run]:
    """Return the graph in one line: two series stand side by side, where half a line each would show nothing."""
    if len(plot.series) == 1:
        return [(_area(plot, 0, width, 1, glyphs)[0], Tone.GRAPH)]
    half = (width - 1) // 2
    first, second = (_area(plot, number, half, 1, glyphs)[0] for number in range(2))
    return [(first, Tone.GRAPH), (" ", Tone.TEXT), (second, Tone.GRAPH2)]


def _area(plot: Plot, number: int, width: int, height: int, glyphs: Glyphs, *, down: bool = False) -> list[str]:
    values = plot.series[number].values
    return area(values, width, height, plot.maximum, glyphs, down=down, half_cell=plot.half_cell)


def _areas(plot: Plot, width: int, height: int, glyphs: Glyphs) -> list[list[Run]]:
    if len(plot.series) == 1:
        lines = _area(plot, 0, width, height, glyphs)
        return [[(line, _tone(plot, row, height))] for row, line in enumerate(lines)]
    if height == 1:
        return [_one_line(plot, width, glyphs)]
    upper = ceil(height / 2)
    up = _area(plot, 0, width, upper, glyphs)
    down = _area(plot, 1, width, height - upper, glyphs, down=True)
    return [*([(line, Tone.GRAPH)] for line in up), *([(line, Tone.GRAPH2)] for line in down)]


def _mark(plot: Plot, line: list[Run], width: int, glyphs: Glyphs) -> list[Run]:
    """Draw the line of a marked time over one line of one graph."""
    if plot.marked < 0 or len(line) != 1:
        return line
    text, tone = line[0]
    each = columns_per_cell(glyphs)
    cell = width - 1 - (plot.marked + (plot.half_cell and each == 2)) // each
    if not 0 <= cell < len(text):
        return line
    return [(text[:cell], tone), (glyphs.mark, Tone.SORTED), (text[cell + 1 :], tone)]


def _tone(plot: Plot, row: int, height: int) -> Tone:
    """One tone a line: it costs one segment, where a colour per column costs one per cell."""
    return Tone.WARNING if plot.absolute and (height - 1 - row) / height >= _HOT else Tone.GRAPH
