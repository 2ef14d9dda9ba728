"""The line in which a filter is typed."""

from collections.abc import Callable

from textual.binding import Binding
from textual.widgets import Input

from kvmtui.model.filter import Filter, FilterError, nothing, parse_filter
from kvmtui.ui.alt_keys import WORD_KEYS


class FilterField(Input):
    """Applies the filter with every key, before the next key is looked at: whoever types a name, Enter and an action
    in one go must hit the VM of that name.
    """

    BINDINGS = [
        Binding("down,up", "keep", "back to the table", show=False),
        Binding("escape", "drop", "show all", show=False),
        *WORD_KEYS,
    ]

    def __init__(self, changed: Callable[[Filter | None, str], None], left: Callable[[], None]) -> None:
        """`changed` gets the filter and what is wrong with it; `left` is called when the table has the keys again."""
        super().__init__(placeholder="name, !not, state=run, host=h1, cpu>50, re:^db", compact=True)
        self._changed = changed
        self._left = left

    def open(self) -> None:
        """Show the line and take the keys."""
        self.display = True
        self.screen.set_focus(self)

    def watch_value(self, value: str) -> None:
        """Apply what is typed so far."""
        self._apply(value, finished=False)

    def _apply(self, value: str, *, finished: bool) -> None:
        try:
            self._changed(parse_filter(value, finished=finished) if value.strip() else None, "")
        except FilterError as error:
            self._changed(nothing(value), str(error))

    def action_keep(self) -> None:
        """Go back to the table; the filter stays, and so does the line that shows it."""
        self.display = bool(self.value.strip())
        self._left()

    async def action_submit(self) -> None:
        """Do the same on Enter; what is not finished then is wrong."""
        self._apply(self.value, finished=True)
        self.action_keep()

    def action_drop(self) -> None:
        """Show all VMs again."""
        self.value = ""
        self.action_keep()
