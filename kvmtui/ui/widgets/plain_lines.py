"""Lines that are whole as they are drawn: no border, padding, opacity or links are laid over them."""

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class PlainLines(Widget):
    """Hands its lines on as `render_line` gives them.

    Textual asks for all lines of a widget at each paint, also for a single changed one, and lays its styles over each;
    for a table that costs more than everything else about a key.
    """

    def render_lines(self, crop: Region) -> list[Strip]:
        """Return the lines of a part of the widget."""
        strips = [self.render_line(y) for y in crop.line_range]
        for line_filter in self.get_line_filters():
            background = self.background_colors[1]
            strips = [strip.apply_filter(line_filter, background) for strip in strips]
        if crop.column_span != (0, self.size.width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips
