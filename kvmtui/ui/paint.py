"""Lines of text in tones: from runs of text to the strips that widgets return.

A tone says what a text means; styles/widgets.tcss says how that looks, by the component class `tone--<tone>`.
Text is plain text all the way: nothing here reads markup.
"""

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from kvmtui.ui.glyphs import Glyphs, in_ascii


class Tone(StrEnum):
    """What a piece of text means."""

    TEXT = "text"
    MUTED = "muted"
    """Units, separators, zeros, and all of a VM that is off."""
    TITLE = "title"
    SORTED = "sorted"
    """The title of the column the rows are sorted by."""
    GOOD = "good"
    BUSY = "busy"
    """Something is under way."""
    WARNING = "warning"
    ERROR = "error"
    GRAPH = "graph"
    GRAPH2 = "graph2"
    """The second series of a graph."""
    STALE = "stale"
    """An old value."""
    MARKED = "marked"


_CALM = (Tone.MUTED, Tone.GOOD, Tone.GRAPH)
"""Tones in which nothing calls for attention."""

Run = tuple[str, Tone]
Runs = tuple[Run, ...]

TONE_CLASSES = {f"tone--{tone}" for tone in Tone} | {"tone--cursor"}
"""For a widget's COMPONENT_CLASSES."""

ONE_CELL = re.compile(r"[ -~\u2500-\u259f\u2800-\u28ff]*")
"""Characters of which every terminal knows that they take one cell: ASCII, lines, blocks, and braille."""

_VARIATION = dict.fromkeys((0xFE0E, 0xFE0F))


def cells(text: str) -> int:
    """Return how many cells a text takes."""
    # Nearly all of what is drawn is ASCII or a graph, and this is asked some thousand times a refresh.
    return len(text) if text.isascii() or ONE_CELL.fullmatch(text) else cell_len(text)


def fit(text: str, width: int, ellipsis: str = "…", right: bool = False) -> str:
    """Return `text` in exactly `width` cells, cut with an ellipsis or padded."""
    if not text.isascii():
        # Terminals disagree on the width of a character with a variation selector; without it they agree.
        text = text.translate(_VARIATION)
    length = cells(text)
    if length > width:
        return set_cell_size(text, width - 1) + ellipsis if width > 1 else ellipsis[:width]
    padding = " " * (width - length)
    return padding + text if right else text + padding


def runs_width(runs: Iterable[Run]) -> int:
    """Return how many cells runs take."""
    return sum([len(text) if text.isascii() else cells(text) for text, _ in runs])


def fit_runs(runs: Sequence[Run], width: int, ellipsis: str = "…", right: bool = False) -> list[Run]:
    """Return runs in exactly `width` cells, cut with an ellipsis or padded."""
    length = runs_width(runs)
    if length <= width:
        padding = (" " * (width - length), Tone.TEXT)
        return [padding, *runs] if right else [*runs, padding]
    fitted: list[Run] = []
    left = width
    for text, tone in runs:
        length = cells(text)
        if length >= left:
            fitted.append((fit(text + " " * (length == left), left, ellipsis), tone))
            break
        fitted.append((text, tone))
        left -= length
    return fitted


def _filter(widget: Widget, palettes: Iterable[dict[Tone, Style]]) -> None:
    """Pass styles through Textual's line filters: once here, instead of at every line that is drawn."""
    background = widget.background_colors[1]
    filtered: dict[Style, Style] = {}
    for styles in palettes:
        for tone, style in styles.items():
            if style not in filtered:
                segments = [Segment(" ", style)]
                for line_filter in widget.get_line_filters():
                    segments = line_filter.apply(segments, background)
                filtered[style] = segments[0].style or style
            styles[tone] = filtered[style]


class LeanStrip(Strip):
    """A strip that is made without the seven caches of each strip, which most are thrown away without having used."""

    def __init__(self, segments: list[Segment], cell_length: int) -> None:
        self._segments = segments
        self._cell_length = cell_length

    def __getattr__(self, name: str) -> Any:
        """Become a whole strip when something is asked for that is not here yet."""
        super().__init__(self._segments, self._cell_length)
        return object.__getattribute__(self, name)

    def divide(self, cuts: Iterable[int]) -> Sequence[Strip]:
        """Return the strip in parts; the compositor mostly asks for all of it in one."""
        return [self] if cuts == [self._cell_length] else super().divide(cuts)


class Palette:
    """The styles of all tones on one widget, on a plain line, on the cursor's line, and for old values."""

    def __init__(self, widget: Widget, glyphs: Glyphs) -> None:
        self._ascii = glyphs.ascii
        plain = {tone: widget.get_visual_style(f"tone--{tone}").rich_style for tone in Tone}
        if widget.app.native_ansi_color or widget.app.no_color:
            # Sixteen colours leave no background on which all of them can be read, so the line is reversed, which is a
            # text style that only the component's own style has.
            on_cursor = dict.fromkeys(Tone, widget.get_component_rich_style("tone--cursor"))
        else:
            on_cursor = {tone: widget.get_visual_style("tone--cursor", f"tone--{tone}").rich_style for tone in Tone}
            # One bright line: what calls for attention keeps its colour. It is also a quarter fewer bytes a key.
            on_cursor |= dict.fromkeys(_CALM, on_cursor[Tone.TEXT])
        self._styles: dict[tuple[bool, bool], dict[Tone, Style]] = {
            (False, False): plain,
            (True, False): on_cursor,
            (False, True): dict.fromkeys(Tone, plain[Tone.STALE]),
            (True, True): dict.fromkeys(Tone, on_cursor[Tone.STALE]),
        }
        _filter(widget, self._styles.values())

    def strip(self, runs: Iterable[Run], width: int, *, cursor: bool = False, stale: bool = False) -> Strip:
        """Return runs as a line of `width` cells; neighbours of one style become one segment."""
        styles = self._styles[cursor, stale]
        segments: list[Segment] = []
        pending, style, used = "", styles[Tone.TEXT], 0
        for text, tone in runs:
            if not text:
                continue
            if self._ascii:
                text = in_ascii(text)
            used += cells(text)
            tone_style = styles[tone]
            # A space looks the same in every tone, so it joins the run before it.
            if tone_style is style or text.isspace():
                pending += text
                continue
            if pending:
                segments.append(Segment(pending, style))
            pending, style = text, tone_style
        if used < width:
            pending += " " * (width - used)
        if pending:
            segments.append(Segment(pending, style))
        strip = LeanStrip(segments, max(used, width))
        return strip if used <= width else strip.crop(0, width)
