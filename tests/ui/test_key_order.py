"""Keys that arrive in one go take effect one after the other."""

import time

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from kvmtui.ui.key_order import OrderedKeysApp, TakesKeys


class Table(Widget, can_focus=True):
    """Stands for the table of VMs: a key there acts."""


class Question(ModalScreen[None]):
    BINDINGS = [Binding("y", "app.note('yes')"), Binding("m", "app.note('m in the question')")]  # noqa: RUF012


class Program(OrderedKeysApp[None]):
    BINDINGS = [  # noqa: RUF012
        Binding("slash", "open"),
        Binding("m", "note('migrate')"),
        Binding("S", "ask"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def compose(self) -> ComposeResult:
        yield Table()
        yield Input()

    def on_mount(self) -> None:
        self.screen.set_focus(self.query_one(Table))

    def action_open(self) -> None:
        self.screen.set_focus(self.query_one(Input))

    def action_note(self, text: str) -> None:
        self.done.append(text)

    def action_ask(self) -> None:
        self.push_screen(Question())


def type_at_once(app: App[None], text: str) -> None:
    """Put keys into the app's queue before it looks at the first."""
    for character in text:
        key = {"/": "slash", "\r": "enter"}.get(character, character)
        app.post_message(events.Key(key, character))


async def settle(pilot: Pilot[None], app: Program) -> None:
    for _ in range(50):
        await pilot.pause()
        if not app._waiting and app._sent_at_s is None:
            return
    raise AssertionError("keys are still waiting")


async def test_text_after_a_key_that_moves_the_focus_goes_where_the_focus_went() -> None:
    app = Program()
    async with app.run_test() as pilot:
        await pilot.pause()
        type_at_once(app, "/mmm")
        await settle(pilot, app)
        assert app.query_one(Input).value == "mmm"
        assert app.done == []


async def test_text_after_a_key_that_asks_goes_to_the_question() -> None:
    app = Program()
    async with app.run_test() as pilot:
        await pilot.pause()
        type_at_once(app, "Smy")
        await settle(pilot, app)
        assert app.done == ["m in the question", "yes"]


async def test_pastes_keep_their_place() -> None:
    app = Program()
    async with app.run_test() as pilot:
        await pilot.pause()
        type_at_once(app, "/a")
        app.post_message(events.Paste("b"))
        type_at_once(app, "c")
        await settle(pilot, app)
        assert app.query_one(Input).value == "abc"


async def test_a_widget_that_vanishes_with_a_key_stops_nothing() -> None:
    app = Program()
    async with app.run_test() as pilot:
        await pilot.pause()
        # A key whose end never came back.
        app._sent_at_s = app._clock()
        type_at_once(app, "mm")
        await pilot.pause()
        assert app.done == []
        app._clock = lambda: time.monotonic() + 10
        await app._send_if_lost()
        await settle(pilot, app)
        assert app.done == ["migrate", "migrate"]


class QuickTable(TakesKeys, Table):
    """Deals with one key at once."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def take_key(self, key: str) -> bool:
        if key == "j" and isinstance(self.app, Program):
            self.app.done.append("j")
        return key == "j"

    def on_key(self, event: events.Key) -> None:
        # By the long way, when something is in front of the key.
        if not self.take_key(event.key):
            self.seen.append(event.key)


class QuickProgram(Program):
    def compose(self) -> ComposeResult:
        yield QuickTable()
        yield Input()


async def test_a_key_taken_at_once_keeps_its_place_and_goes_nowhere_else() -> None:
    app = QuickProgram()
    async with app.run_test() as pilot:
        await pilot.pause()
        type_at_once(app, "jmj/jm")
        await settle(pilot, app)
        assert app.done == ["j", "migrate", "j"]
        assert app.query_one(Input).value == "jm"
        assert app.query_one(QuickTable).seen == ["m", "slash"]
        app.screen.set_focus(app.query_one(QuickTable))
        type_at_once(app, "jSjm")
        await settle(pilot, app)
        assert app.done[3:] == ["j", "m in the question"]
