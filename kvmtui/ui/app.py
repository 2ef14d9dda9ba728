"""The application: wires the engine's threads to the main screen, and leaves the terminal as it found it."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from pathlib import Path

from rich.segment import Segment
from textual.app import App, SystemCommand
from textual.binding import Binding
from textual.color import Color
from textual.filter import LineFilter
from textual.screen import Screen

from kvmtui.engine.engine import Engine
from kvmtui.ui.changed_cells import ChangedCellsApp
from kvmtui.ui.closed_screens import ClosedScreensApp
from kvmtui.ui.glyphs import Glyphs, glyphs_for, in_ascii
from kvmtui.ui.key_order import OrderedKeysApp
from kvmtui.ui.quiet_driver import QuietDriverApp
from kvmtui.ui.rest_of_start import finish_start
from kvmtui.ui.screens.main import MainScreen
from kvmtui.ui.screens.too_small import make_fit
from kvmtui.ui.theme import THEME
from kvmtui.ui.widgets.console_pane import guest_gets_key

# Not through importlib.resources, which would import much more than it takes to read four files.
_STYLES = Path(import_module("kvmtui.styles").__path__[0])
_FIRST_STYLES, _LATER_STYLES = ("main.tcss", "widgets.tcss"), ("moves.tcss", "screens.tcss")
"""Reading those of dialogs takes as long as reading the others, and the first picture has none."""
_GRACE_S = 1.5
_SWITCH_INTERVAL_S = 0.0002
"""How long a lane that converts a big sample may hold the interpreter lock while a key waits for it."""
_STARTED_S = 0.3
"""How long after the first picture the program is taken for started."""


class _AsciiFilter(LineFilter):
    """Draws borders, signs and texts of all widgets with what the terminal has."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments of a line in ASCII."""
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]


class Dashboard(ChangedCellsApp[int], OrderedKeysApp[int], QuietDriverApp[int], ClosedScreensApp[int]):
    """kvmtui's dashboard over an engine."""

    TITLE = "kvmtui"
    CSS = "\n".join((_STYLES / name).read_text(encoding="utf-8") for name in _FIRST_STYLES)
    ENABLE_COMMAND_PALETTE = True
    ESCAPE_TO_MINIMIZE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (72, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (18, "-usual"), (30, "-high")]
    BINDINGS = [
        Binding("ctrl+q", "quit", "quit", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", "suspend", show=False),
    ]

    def __init__(
        self,
        engine: Engine,
        *,
        glyphs: Glyphs | None = None,
        low_bandwidth: bool = False,
        wall_clock: Callable[[], datetime] = datetime.now,
        main: Callable[..., MainScreen] = MainScreen,
    ) -> None:
        """Show what `engine` sees; `glyphs` are chosen by the terminal unless given; `wall_clock` is the local time.

        `main` makes the main screen: a recording has another.

        With `low_bandwidth` there are no graphs, and what changes by itself does so seldom.
        """
        super().__init__()
        self.engine = engine
        glyphs = replace(glyphs or glyphs_for(sys.stdout.encoding or "", os.environ), graphs=not low_bandwidth)
        if glyphs.ascii:
            self._filters.append(_AsciiFilter())
        self.main_screen = main(engine, glyphs, wall_clock=wall_clock)
        self.register_theme(THEME)
        # Setting `theme` itself would have all styles read and applied twice.
        self.set_reactive(App.theme, THEME.name)
        self.stylesheet.set_variables(self.get_css_variables())

    def get_default_screen(self) -> MainScreen:
        """Return the main screen, without an empty one below it."""
        return self.main_screen

    def on_mount(self) -> None:
        """Take the signals that end a terminal session."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._end_by_signal, number)

    def on_resize(self) -> None:
        """Say so where the terminal is too small."""
        # The screens are told of the new size after this.
        self.call_later(self._make_fit)

    def _make_fit(self) -> None:
        if self.screen_stack:
            make_fit(self)

    def on_ready(self) -> None:
        """Do the rest of the start when the first pictures are out; in tests the process is not this app's own."""
        for name in _LATER_STYLES:
            self.stylesheet.read(_STYLES / name)
        if len(self.screen_stack) > 1:
            # A key was faster.
            self.stylesheet.update(self)
        if not self.is_headless:
            self.set_timer(_STARTED_S, finish_start)

    def run_until_quit(self) -> int:
        """Run until the user quits; return the exit code."""
        sys.setswitchinterval(_SWITCH_INTERVAL_S)
        code = self.run()
        self.engine.stop()
        return self.return_code or code or 0

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let ^Q and ^P reach the guest while its console has the focus; the palette is the main screen's."""
        if action == "command_palette" and self.screen_stack[-1:] != [self.main_screen]:
            return False
        return not guest_gets_key(self, action) and super().check_action(action, parameters)

    async def action_quit(self) -> None:
        """Quit, or ask first."""
        self.main_screen.quit()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Fill the palette from the tables of actions and keys."""
        main = self.main_screen
        for action in main.offered:
            yield SystemCommand(
                action.label, f"{action.description}  [{action.key}]", lambda action=action: main.begin(action)
            )
        if main.record_label:
            yield SystemCommand(main.record_label, "keep what is sampled, for kvmtui replay", main.record)
        for view in main.view_keys:
            if view.label:
                yield SystemCommand(
                    view.label,
                    f"key {view.shown_as or view.key}",
                    lambda view=view: self.call_later(main.run_action, view.action),
                )

    def _end_by_signal(self, number: int) -> None:
        # The terminal may be gone, and with it the way out through Textual.
        watchdog = threading.Timer(_GRACE_S, os._exit, (128 + number,))
        watchdog.daemon = True
        watchdog.start()
        self.exit(return_code=128 + number)
