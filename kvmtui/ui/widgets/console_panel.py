"""The console's place on the main screen: a title line and the terminal below it."""

from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from kvmtui.engine.engine import Engine
from kvmtui.model.vm import VmKey
from kvmtui.ui.messages import ConsoleWoke
from kvmtui.ui.widgets.console_pane import ConsolePane


class ConsolePanel(Vertical):
    """Shows one VM's console at a time."""

    @dataclass
    class Closed(Message):
        """The user left the console."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self._key: VmKey | None = None
        self._title = ""

    def compose(self) -> ComposeResult:
        """Lay the panel out."""
        yield Static("", id="console-title")
        yield ConsolePane()

    def open(self, key: VmKey, title: str) -> None:
        """Attach to a VM's console and give it the keys."""
        from kvmtui.ui.emulator import EmulatorUnavailable

        if key != self._key:
            self.pane.detach()
        self._key, self._title = key, title
        self.query_one("#console-title", Static).update(
            Content.assemble(
                (f" console of {title} ", "bold $primary"), ("  ^] leaves · Enter wakes a silent one", "dim")
            )
        )
        session = self._engine.open_console(key, self._woke)
        try:
            self.pane.attach(session, title)
        except EmulatorUnavailable as error:
            session.close()
            self.query_one("#console-title", Static).update(Content.styled(f" no console: {error}", "$text-error"))

    @property
    def pane(self) -> ConsolePane:
        """The terminal."""
        return self.query_one(ConsolePane)

    def wake(self) -> None:
        """Take what the guest wrote."""
        self.pane.wake()

    def _woke(self) -> None:
        if self.is_running:
            self.screen.post_message(ConsoleWoke())

    @on(ConsolePane.LeaveRequested)
    def _leave(self) -> None:
        self.pane.detach()
        self.post_message(self.Closed())

    @on(ConsolePane.ReattachRequested)
    def _reattach(self) -> None:
        if self._key is not None:
            self.open(self._key, self._title)

    @on(ConsolePane.PasteRequested)
    def _paste(self, message: ConsolePane.PasteRequested) -> None:
        from kvmtui.ui.screens.ask import ConfirmScreen

        lines = message.text.count("\n") + 1
        question = ConfirmScreen(
            f"Paste {lines} lines into {self._title}?", (), "The guest's shell runs each line.", destructive=False
        )

        def agreed(answer: bool | None) -> None:
            if answer:
                message.pane.paste(message.text)

        self.app.push_screen(question, agreed)
