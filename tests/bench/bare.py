"""The least Textual app there is: one line that tells how many keys were pressed."""

from textual import events
from textual.app import App, ComposeResult
from textual.reactive import reactive
from textual.widget import Widget


class _Line(Widget, can_focus=True):
    DEFAULT_CSS = "_Line { height: 1; }"

    keys: reactive[int] = reactive(0)

    def render(self) -> str:
        return f"pressed {self.keys}."

    def on_key(self, event: events.Key) -> None:
        self.keys += event.key == "j"


class Bare(App[None]):
    """One line."""

    def compose(self) -> ComposeResult:
        """Return the line."""
        yield _Line()


if __name__ == "__main__":
    Bare().run()
