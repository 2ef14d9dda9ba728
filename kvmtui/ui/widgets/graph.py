"""Graphs of characters: pure functions from values to lines, and the widget that shows one."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from kvmtui.ui.format import Quantity
from kvmtui.ui.glyphs import UNICODE, Glyphs
from kvmtui.ui.paint import TONE_CLASSES, Palette, Run, Tone, fit_runs, runs_width

Values = Sequence[float | None]

# Dots 1-2-3-7 are the left column of a braille cell, 4-5-6-8 the right, top to bottom (Unicode 17, U+2800 block).
# Here: the bits of a column filled with 0 to 4 dots from the bottom, and from the top.
_LEFT_UP, _RIGHT_UP = (0x00, 0x40, 0x44, 0x46, 0x47), (0x00, 0x80, 0xA0, 0xB0, 0xB8)
_LEFT_DOWN, _RIGHT_DOWN = (0x00, 0x01, 0x03, 0x07, 0x47), (0x00, 0x08, 0x18, 0x38, 0xB8)
_BLANK = 0x2800
# The empty braille cell is drawn as eight rings by some fonts; a space is empty everywhere.
_NOTHING = chr(_BLANK)


def levels(values: Values, count: int, steps: int, maximum: float) -> list[int]:
    """Return the newest `count` values as heights of 1 to `steps`; 0 is a gap.

    The lowest step is the base line, which zero and all that is too small to see share: idle is flat.
    """
    newest = list(values[-count:]) if count else []
    scale = steps / maximum if maximum > 0 else 0.0
    heights = [0 if value is None else max(1, min(steps, round(value * scale))) for value in newest]
    return [0] * (count - len(heights)) + heights


def braille(values: Values, width: int, height: int, maximum: float, *, down: bool = False) -> list[str]:
    """Return `height` lines of `width` cells, the area under 2 x `width` values filled with 2 x 4 dots per cell.

    `down` hangs the area from the top. None leaves a gap; more than `maximum` is cut off.
    """
    dots = levels(values, width * 2, height * 4, maximum)
    left, right = (_LEFT_DOWN, _RIGHT_DOWN) if down else (_LEFT_UP, _RIGHT_UP)
    lines = []
    for row in range(height):
        base = 4 * (row if down else height - 1 - row)
        lines.append(
            "".join(
                chr(_BLANK + left[max(0, min(4, dots[i] - base))] + right[max(0, min(4, dots[i + 1] - base))])
                for i in range(0, width * 2, 2)
            ).replace(_NOTHING, " ")
        )
    return lines


def blocks(values: Values, width: int, height: int, maximum: float, glyphs: Glyphs = UNICODE) -> list[str]:
    """Return `height` lines of `width` cells, the area under `width` values filled in steps of 1/8 cell."""
    signs = " " + glyphs.levels
    steps = len(glyphs.levels)
    tops = levels(values, width, height * steps, maximum)
    return [
        "".join(signs[max(0, min(steps, top - base))] for top in tops)
        for base in range((height - 1) * steps, -1, -steps)
    ]


def ascii_area(values: Values, width: int, height: int, maximum: float, *, down: bool = False) -> list[str]:
    """Return `height` lines of `width` cells in ASCII: columns of "#" that end in one of ". : |"."""
    signs = " .:#"
    tops = levels(values, width, height * 3, maximum)
    bases = range(0, height * 3, 3) if down else range((height - 1) * 3, -1, -3)
    return ["".join(signs[max(0, min(3, top - base))] for top in tops) for base in bases]


def mini(values: Values, width: int, maximum: float, glyphs: Glyphs = UNICODE) -> str:
    """Return a graph of one line and `width` cells for a table's row."""
    return blocks(values, width, 1, maximum, glyphs)[0] if glyphs.graphs else " " * width


def meter(fraction: float | None, width: int, glyphs: Glyphs = UNICODE) -> tuple[str, str]:
    """Return the filled and the empty part of a bar."""
    filled = 0 if fraction is None else max(0, min(width, round(fraction * width)))
    if fraction and not filled:
        filled = 1
    return glyphs.bar * filled, glyphs.track * (width - filled)


def area(values: Values, width: int, height: int, maximum: float, glyphs: Glyphs, *, down: bool = False) -> list[str]:
    """Return the area under the values in the finest signs the terminal has; `columns_per_cell` values a cell."""
    if not glyphs.graphs:
        return [" " * width] * height
    if glyphs.ascii:
        return ascii_area(values, width, height, maximum, down=down)
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
        return [(area(plot.series[0].values, width, 1, plot.maximum, glyphs)[0], Tone.GRAPH)]
    half = (width - 1) // 2
    first, second = (area(series.values, half, 1, plot.maximum, glyphs)[0] for series in plot.series)
    return [(first, Tone.GRAPH), (" ", Tone.TEXT), (second, Tone.GRAPH2)]


def _areas(plot: Plot, width: int, height: int, glyphs: Glyphs) -> list[list[Run]]:
    if len(plot.series) == 1:
        lines = area(plot.series[0].values, width, height, plot.maximum, glyphs)
        return [[(line, _tone(plot, row, height))] for row, line in enumerate(lines)]
    if height == 1:
        return [_one_line(plot, width, glyphs)]
    upper = ceil(height / 2)
    first, second = plot.series
    up = area(first.values, width, upper, plot.maximum, glyphs)
    down = area(second.values, width, height - upper, plot.maximum, glyphs, down=True)
    return [*([(line, Tone.GRAPH)] for line in up), *([(line, Tone.GRAPH2)] for line in down)]


def _mark(plot: Plot, line: list[Run], width: int, glyphs: Glyphs) -> list[Run]:
    """Draw the line of a marked time over one line of one graph."""
    if plot.marked < 0 or len(line) != 1:
        return line
    text, tone = line[0]
    cell = width - 1 - plot.marked // columns_per_cell(glyphs)
    if not 0 <= cell < len(text):
        return line
    return [(text[:cell], tone), (glyphs.mark, Tone.SORTED), (text[cell + 1 :], tone)]


def _tone(plot: Plot, row: int, height: int) -> Tone:
    """One tone a line: it costs one segment, where a colour per column costs one per cell."""
    return Tone.WARNING if plot.absolute and (height - 1 - row) / height >= _HOT else Tone.GRAPH


class Graph(Widget):
    """One graph with its title, current value and scale."""

    COMPONENT_CLASSES = TONE_CLASSES

    plot: reactive[Plot | None] = reactive(None)

    def __init__(self, plot: Plot | None = None, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._glyphs = glyphs
        self._palette: Palette | None = None
        self._lines: tuple[object, list[list[Run]]] = (None, [])
        self.set_reactive(Graph.plot, plot)

    def notify_style_update(self) -> None:
        """Forget the styles of the theme that was."""
        self._palette = None
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        width, height = self.size
        if self._palette is None:
            self._palette = Palette(self, self._glyphs)
        key = (id(self.plot), width, height)
        if self._lines[0] != key:
            self._lines = (key, plot_lines(self.plot, width, height, self._glyphs) if self.plot else [])
        lines = self._lines[1]
        return self._palette.strip(lines[y] if y < len(lines) else [], width)
