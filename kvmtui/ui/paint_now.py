"""Paints a widget in the turn of the loop in which it has changed.

Textual paints when word of the change has gone from the widget's queue to the screen's and from there to a timer, with
everything before it that waits in these queues. For a key that is a third of its way. That uses what is private in
Textual, and only where it is known.
"""

from textual.screen import Screen
from textual.widget import Widget

from kvmtui.ui.known_textual import known

_KNOWN = known(
    (Widget, "_check_refresh", {"_repaint_required", "Update"}),
    (Screen, "_on_update", {"_dirty_widgets", "add"}),
    (Screen, "_on_timer_update", {"_update_timer", "pause", "_dirty_widgets", "update_widgets", "_compositor_refresh"}),
)


def paint_now(widget: Widget) -> None:
    """Paint what the widget has refreshed, or leave it to Textual."""
    screen = widget.screen
    if _KNOWN and widget._repaint_required and not widget._layout_required and screen.is_current:
        widget._repaint_required = False
        screen._dirty_widgets.add(widget)
        screen._on_timer_update()
