"""Lines that are whole as they are drawn: no border, padding, opacity or links are laid over them."""

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


def plain_lines(widget: Widget, crop: Region) -> list[Strip]:
    """Return what `render_lines` has to, as `render_line` gives it.

    Textual asks for all lines of a widget at each paint, also for a single changed one, and would lay its styles over
    each; for a table that costs more than everything else about a key.
    """
    strips = [widget.render_line(y) for y in crop.line_range]
    for line_filter in widget.get_line_filters():
        background = widget.background_colors[1]
        strips = [strip.apply_filter(line_filter, background) for strip in strips]
    if crop.column_span != (0, widget.size.width):
        strips = [strip.crop(*crop.column_span) for strip in strips]
    return strips
