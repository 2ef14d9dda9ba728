"""The menu of what can be done with a VM now."""

from collections.abc import Sequence

from textual import events
from textual.content import Content
from textual.widgets.option_list import Option

from kvmtui.model.actions import Action, Danger
from kvmtui.ui.screens.choice import ChoiceScreen


class MenuScreen(ChoiceScreen[Action]):
    """Offers actions; the answer is the one chosen."""

    def __init__(self, title: str, actions: Sequence[Action]) -> None:
        super().__init__(title, [(Option(_line(action)), action) for action in actions], "does it")

    def on_key(self, event: events.Key) -> None:
        """Take an action's own key as well."""
        for _, action in self._offers:
            if action.key == event.character:
                # Or the screen below would take the key for its own as well.
                event.stop()
                event.prevent_default()
                self.answer(action)
                return


def _line(action: Action) -> Content:
    tone = {Danger.NONE: "", Danger.DISRUPTIVE: "$warning", Danger.DESTRUCTIVE: "$error"}[action.danger]
    return Content.assemble(
        (f" {action.key} ", "bold $primary"), (f"{action.label:<14}", tone), (action.description, "$foreground-muted")
    )
