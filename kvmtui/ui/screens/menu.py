"""The menu of what can be done with a VM now."""

from collections.abc import Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Label, OptionList
from textual.widgets.option_list import Option

from kvmtui.model.actions import Action, Danger
from kvmtui.ui.screens.ask import ExpiringScreen


class MenuScreen(ExpiringScreen[Action]):
    """Offers actions; the answer is the one chosen."""

    def __init__(self, title: str, actions: Sequence[Action]) -> None:
        super().__init__()
        self._title = title
        self._actions = {action.id: action for action in actions}

    def compose(self) -> ComposeResult:
        """Lay the menu out."""
        with Vertical(classes="dialog"):
            yield Label(self._title, classes="title", markup=False)
            yield OptionList(*(Option(_line(action), id=action.id) for action in self._actions.values()), compact=True)
            yield Label("Enter does it · Esc closes", classes="hint", markup=False)

    def on_key(self, event: events.Key) -> None:
        """Take an action's own key as well."""
        for action in self._actions.values():
            if action.key == event.character:
                # Or the screen below would take the key for its own as well.
                event.stop()
                event.prevent_default()
                self.answer(action)
                return

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.answer(self._actions[event.option.id or ""])


def _line(action: Action) -> Content:
    tone = {Danger.NONE: "", Danger.DISRUPTIVE: "$warning", Danger.DESTRUCTIVE: "$error"}[action.danger]
    return Content.assemble(
        (f" {action.key} ", "bold $primary"), (f"{action.label:<14}", tone), (action.description, "$foreground-muted")
    )
