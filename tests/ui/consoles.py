"""The console panel in a tiny app, on sessions whose output a test puts in."""

from collections import deque
from collections.abc import Callable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widgets import Input, Static

from kvmtui.engine.console_state import ConsoleOutput, ConsoleState
from kvmtui.model.vm import VmKey
from kvmtui.ui.app import Dashboard
from kvmtui.ui.console_layout import Surroundings
from kvmtui.ui.console_terminal import ConsoleTerminal
from kvmtui.ui.glyphs import UNICODE
from kvmtui.ui.key_order import OrderedKeysApp
from kvmtui.ui.widgets.console_pane import ConsolePane, guest_gets_key
from kvmtui.ui.widgets.console_panel import ConsolePanel

PREFIX = "ctrl+right_square_bracket"
WEB1, DB1 = VmKey("h1", "web1"), VmKey("h1", "db1")


class FakeSession:
    """A session that tells how it stands with every `take`, as the engine's does."""

    def __init__(self, *outputs: ConsoleOutput) -> None:
        self.outputs = deque(outputs)
        self.state, self.message = ConsoleState.OPEN, ""
        self.written = self.dropped = b""
        self.unsent_lines = 0
        self.asked: list[str] = []
        self.wake: Callable[[], None] = lambda: None

    def take(self) -> ConsoleOutput:
        if self.outputs:
            output = self.outputs.popleft()
            self.state, self.message = output.state, "" if output.state is ConsoleState.OPEN else output.message
            return output
        return ConsoleOutput(b"", state=self.state, message=self.message)

    def write(self, data: bytes) -> None:
        self.written += data

    def reply(self, data: bytes) -> None:
        self.written += data

    def take_over(self) -> None:
        self.asked.append("take over")

    def reattach(self) -> None:
        self.asked.append("reattach")

    def send_break(self) -> None:
        self.asked.append("break")

    def missed(self, data: bytes) -> None:
        self.dropped += data

    def close(self) -> None:
        self.asked.append("close")

    @property
    def closed(self) -> bool:
        return "close" in self.asked


class ConsoleApp(OrderedKeysApp[None]):
    """Panel and a field to give the keys back to."""

    CSS = (
        Dashboard.CSS
        + """
    #outside { dock: bottom; }
    ConsolePane > .console--match { text-style: underline; background: transparent; }
    """
    )
    BINDINGS = [Binding("x", "bell"), Binding("n", "bell")]  # noqa: RUF012

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        super().__init__()
        self.sessions: dict[VmKey, FakeSession] = {}
        self.left = 0
        self.stands_still = ""
        self.journal: list[tuple[str, str]] = []
        self.followed: list[VmKey] = []
        """The VMs whose tabs were chosen."""
        options = {} if clock is None else {"clock": clock}
        self.panel = ConsolePanel(
            self._open,
            Surroundings(
                lambda name, host: f"{name} on {host}",
                lambda key: self.stands_still,
                self._give_back,
                lambda: None,
                self.followed.append,
                lambda text, tone, command: self.journal.append((text, command)),
            ),
            UNICODE,
            **options,
        )

    def compose(self) -> ComposeResult:
        yield self.panel
        yield Input(id="outside")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return False if guest_gets_key(self, action) else super().check_action(action, parameters)

    def on_console_woke(self) -> None:
        self.panel.wake()

    def _open(self, key: VmKey, wake: Callable[[], None], device: str | None) -> FakeSession:
        self.sessions[key].wake = wake
        return self.sessions[key]

    def _give_back(self) -> None:
        self.left += 1
        self.screen.set_focus(self.query_one("#outside"))

    # What a test does

    def attach(self, *outputs: ConsoleOutput, key: VmKey = WEB1) -> FakeSession:
        """Open a console that has this to tell."""
        session = self.sessions[key] = FakeSession(*outputs)
        self.panel.open(key, key.uuid)
        return session

    def tell(self, output: ConsoleOutput, key: VmKey = WEB1) -> None:
        """Let a session tell something."""
        self.sessions[key].outputs.append(output)
        self.panel.wake()

    # What a test sees

    @property
    def pane(self) -> ConsolePane:
        return self.panel.pane

    @property
    def terminal(self) -> ConsoleTerminal:
        assert self.pane.terminal is not None
        return self.pane.terminal

    @property
    def title_line(self) -> str:
        return str(self.query_one("#console-title", Static).content)

    @property
    def tabs(self) -> str:
        """The line of tabs; empty while there is none."""
        line = self.query_one("#console-tabs", Static)
        return str(line.content) if line.display and self.panel.display else ""

    @property
    def lines(self) -> list[str]:
        drawn = [self.pane.render_line(y).text.rstrip() for y in range(self.pane.size.height)]
        while drawn and not drawn[-1]:
            drawn.pop()
        return drawn

    def cells(self, attribute: str) -> list[tuple[int, int, str]]:
        """Where in the pane text has a style such as "reverse": column, line, text."""
        found = []
        for y in range(self.pane.size.height):
            x = 0
            for text, style, _ in self.pane.render_line(y):
                if style and getattr(style, attribute):
                    found.append((x, y, text))
                x += len(text)
        return found


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Let frames pass until the condition holds."""
    for _ in range(400):
        if condition():
            return
        await pilot.pause(0.01)
    app = pilot.app
    assert isinstance(app, ConsoleApp)
    raise AssertionError(f"never came; title {app.title_line!r}, tabs {app.tabs!r}, lines {app.lines}")


async def press(pilot: Pilot[None], *keys: str) -> None:
    """Type, and return when the last key has had its effect."""
    await pilot.press(*keys)
    app = pilot.app
    assert isinstance(app, ConsoleApp)
    await until(pilot, lambda: not app._waiting and app._sent_at_s is None)
    await pilot.pause()
