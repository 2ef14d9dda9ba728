"""Widgets whose lines are all that is to be seen of them, and go to the compositor as they are.

Textual's StylesCache looks at two dozen rules of style for every line, copies its segments twice, and copies them once
more for each filter. Where no rule changes anything, and the styles come from a `Palette`, which has passed them
through the filters already, all that gives the same line again.
"""

from collections.abc import Sequence

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class BareLines(Widget):
    """A widget that draws by `render_line`, in the styles of a `Palette`; each strip is as wide as the widget.

    With a border, padding, scrollbar or any effect of style it is drawn by Textual. That is looked up when the style
    sheet is applied, so an effect that is set on a single widget or on its parents by code is to be left to Textual
    by `bare = False`.
    """

    bare: bool | None = None
    """Whether nothing is to be added to the lines; None: not known yet."""

    def notify_style_update(self) -> None:
        """Look again."""
        self.bare = None
        super().notify_style_update()

    def refresh_lines(self, lines: Sequence[int]) -> None:
        """Draw lines again, given in order; those that follow each other are one region to Textual."""
        regions: list[Region] = []
        start = stop = -1
        for y in lines:
            if y == stop:
                stop += 1
                continue
            if stop > start:
                regions.append(Region(0, start, self.outer_size.width, stop - start))
            start, stop = y, y + 1
        if stop > start:
            self.refresh(*regions, Region(0, start, self.outer_size.width, stop - start))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines of a region."""
        if self.bare is None:
            self.bare = self._has_no_effects()
        width, height = size = self.outer_size
        if not self.bare or size != self.size or crop.bottom > height:
            return super().render_lines(crop)
        strips = [self.render_line(y) for y in crop.line_range]
        if any([strip.cell_length != width for strip in strips]):
            return super().render_lines(crop)
        return strips if crop.width == width else [strip.crop(crop.x, crop.right) for strip in strips]

    def _has_no_effects(self) -> bool:
        styles = self.styles
        outlined = any(edge for edge, _ in styles.outline)
        hatched = styles.has_rule("hatch") and styles.hatch != "none"
        return not (outlined or hatched or styles.tint.a or styles.text_opacity != 1.0 or self.opacity != 1.0)
