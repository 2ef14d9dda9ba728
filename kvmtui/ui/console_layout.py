"""Where the console is on the main screen. Pure."""

from enum import StrEnum

BESIDE_COLUMNS = 140
"""From how many columns on there is room for a console of 80 beside the table."""


class Layout(StrEnum):
    """Where the console is."""

    BELOW = "below"
    BESIDE = "beside"
    FULL = "full"

    def in_columns(self, columns: int) -> "Layout":
        """Return this layout, or the one that stands in for it where there is no room."""
        return Layout.BELOW if self is Layout.BESIDE and columns < BESIDE_COLUMNS else self

    def after(self, columns: int) -> "Layout":
        """Return the next one that there is room for."""
        fitting = [each for each in Layout if each.in_columns(columns) is each]
        return fitting[(fitting.index(self.in_columns(columns)) + 1) % len(fitting)]
