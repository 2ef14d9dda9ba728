"""Widgets whose lines are all that is to be seen of them, and go to the compositor as they are.

Textual's StylesCache looks at two dozen rules of style for every line, copies its segments twice, and copies them once
more for each filter. Where no rule changes anything, and the styles come from a `Palette`, which has passed them
through the filters already, all that gives the same line again.
"""

from collections.abc import Sequence

from textual.geometry import Region, Size
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from kvmtui.ui.glyphs import UNICODE, Glyphs
from kvmtui.ui.known_textual import known
from kvmtui.ui.paint import TONE_CLASSES, Palette, Run

# What `Widget.refresh` and the screen's answer to it do in this Textual, and `BareLines` does itself.
_SCREEN_IS_KNOWN = known(
    (Widget, "refresh", {"_set_dirty"}),
    (Screen, "_on_update", {"_dirty_widgets", "check_idle"}),
)


class BareLines(Widget):
    """A widget that draws by `render_line`, in the styles of a `Palette`; each strip is as wide as the widget.

    With a border, padding, scrollbar or any effect of style it is drawn by Textual. That is looked up when the style
    sheet is applied, so an effect that is set on a single widget or on its parents by code is to be left to Textual
    by `bare = False`. Beside another widget it is the last base, for Textual takes the rules of style of the first.
    """

    bare: bool | None = None
    """Whether nothing is to be added to the lines; None: not known yet."""

    def notify_style_update(self) -> None:
        """Look again."""
        self.bare = None
        super().notify_style_update()

    def repaint_lines(self, lines: Sequence[int]) -> None:
        """Draw lines again, given in order; those that follow each other are one region to Textual."""
        regions: list[Region] = []
        start = stop = -1
        for y in (*lines, -1):
            if y != stop:
                if stop > start:
                    regions.append(Region(0, start, self.outer_size.width, stop - start))
                start = y
            stop = y + 1
        if regions:
            self._refresh_at_once(regions)

    def _refresh_at_once(self, regions: list[Region]) -> None:
        """Do what `refresh` leads to, without the two messages in between, each of which wakes a task."""
        if not (_SCREEN_IS_KNOWN and self.is_mounted and self.display):
            self.refresh(*regions)
            return
        self._set_dirty(*regions)
        screen = self.screen
        screen._dirty_widgets.add(self)
        screen.check_idle()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines of a region."""
        if self.bare is None:
            self.bare = self._has_no_effects()
        width, height = size = self.outer_size
        if not self.bare or size != self.size or crop.bottom > height:
            return super().render_lines(crop)
        strips = [self.render_line(y) for y in crop.line_range]
        if any(strip.cell_length != width for strip in strips):
            return super().render_lines(crop)
        return strips if crop.width == width else [strip.crop(crop.x, crop.right) for strip in strips]

    def _has_no_effects(self) -> bool:
        styles = self.styles
        outlined = any(edge for edge, _ in styles.outline)
        hatched = styles.has_rule("hatch") and styles.hatch != "none"
        return not (outlined or hatched or styles.tint.a or styles.text_opacity != 1.0 or self.opacity != 1.0)


class RunLines(BareLines):
    """A widget that is all lines of runs, of which those that come out different are drawn again."""

    COMPONENT_CLASSES = TONE_CLASSES

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self._glyphs = glyphs
        self._palette: Palette | None = None
        self._drawn_size: Size | None = None
        """For which `outer_size` the lines are; None: they are to be made anew."""
        self._width = 0
        self._stale = False
        self._lines: list[list[Run]] = []
        self._strips: dict[int, Strip] = {}
        """Those of `_lines` that have been drawn."""

    def draw(self, width: int, height: int) -> tuple[bool, list[list[Run]]]:
        """Return whether what is shown is old, and at most `height` lines."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Make all lines, and repaint those that look different."""
        if self._drawn_size != self.outer_size:
            self.refresh()
            return
        stale, old = self._stale, self._lines
        self._make(self._width, len(old))
        changed = [
            y
            for y, (before, line) in enumerate(zip(old, self._lines, strict=True))
            if before != line or stale is not self._stale
        ]
        for y in changed:
            self._strips.pop(y, None)
        self.repaint_lines(changed)

    def forget(self) -> None:
        """Make all lines anew when they are next asked for."""
        self._drawn_size = None

    def notify_style_update(self) -> None:
        """Forget the styles of the theme that was."""
        self._palette = None
        self.forget()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        # Not `size`, which is looked up on the screen: this is asked for every line.
        if self._drawn_size != self.outer_size:
            self._drawn_size, self._width = self.outer_size, self.size.width
            self._make(*self.size)
            self._strips.clear()
        strip = self._strips.get(y)
        if strip is None:
            if self._palette is None:
                self._palette = Palette(self, self._glyphs)
            runs = self._lines[y] if y < len(self._lines) else []
            strip = self._strips[y] = self._palette.strip(runs, self._width, stale=self._stale)
        return strip

    def _make(self, width: int, height: int) -> None:
        self._stale, lines = self.draw(width, height)
        self._lines = lines[:height] + [[]] * (height - len(lines))
