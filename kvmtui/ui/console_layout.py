"""Where the console is on the main screen, and what it has to do with it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from kvmtui.model.vm import VmKey

_BESIDE_COLUMNS = 140
"""From how many columns on there is room for a console of 80 beside the table."""
_BELOW_COLUMNS, _BELOW_ROWS = 56, 14
"""From how many on there is room for some lines of a console below the table."""

NOT_ATTACHED = "not attached: keys are dropped"


class Layout(StrEnum):
    """Where the console is."""

    BELOW = "below"
    BESIDE = "beside"
    FULL = "full"

    def within(self, columns: int, rows: int) -> "Layout":
        """Return this layout, or the one that stands in for it where there is no room."""
        if self is Layout.FULL or (self is Layout.BESIDE and columns >= _BESIDE_COLUMNS):
            return self
        return Layout.BELOW if columns >= _BELOW_COLUMNS and rows >= _BELOW_ROWS else Layout.FULL

    def after(self, columns: int, rows: int) -> "Layout":
        """Return the next one that there is room for."""
        fitting = [each for each in Layout if each.within(columns, rows) is each]
        return fitting[(fitting.index(self.within(columns, rows)) + 1) % len(fitting)]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the panel needs of the screen that it is on."""

    where: Callable[[str, str], str]
    """Words a VM and its host's key: "web1 on h1"."""
    stands_still: Callable[[VmKey], str]
    """Says that a guest or its host takes no keys now, and why; "" of one that runs, or is off."""
    left: Callable[[], None]
    """Called when the keys shall be the table's again."""
    changed: Callable[[], None]
    """Called when the screen has to be divided anew or offers other keys."""
    chosen: Callable[[VmKey], None]
    """Called when another console was chosen by its tab."""
    done: Callable[[str, str, str], None]
    """Called with what came of something that was done to a guest: a text, a tone, and the virsh line."""
