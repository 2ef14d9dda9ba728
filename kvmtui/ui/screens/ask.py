"""The confirmation: names VM and host, starts on No, and expires."""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.timer import Timer
from textual.widgets import Button, Label

from kvmtui.model.clean import clean
from kvmtui.ui.screens.too_small import make_fit

T = TypeVar("T")
_EXPIRES_S = 60.0
_LISTED = 8
_PASTED_CHARACTERS = 60
_MEANT_S = 1.0
"""How long no key must have come before one is taken for an answer to what has come up meanwhile."""
# Timers stand still while the machine sleeps; this clock does not, where there is one.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _now_s() -> float:
    return time.clock_gettime(_CLOCK)


class ExpiringScreen(ModalScreen[T]):
    """A question that closes by itself: after a suspended laptop wakes, no old question must be answered."""

    BINDINGS = [Binding("escape,q", "cancel", "cancel", show=False)]

    def __init__(self) -> None:
        super().__init__()
        self._answered = False
        self._asked_at_s = _now_s()
        self._expiry: Timer | None = None

    def on_mount(self) -> None:
        """Start the time to live."""
        self._expiry = self.set_timer(_EXPIRES_S, self.expire)
        self.app.call_later(make_fit, self.app)

    @property
    def expired(self) -> bool:
        """Whether the time to live has run out."""
        return _now_s() - self._asked_at_s > _EXPIRES_S

    def on_screen_resume(self) -> None:
        """Expire, where the time ran out while another question stood over this one."""
        if self.expired:
            self.expire()

    def expire(self) -> None:
        """Close at the end of the time to live, or when no other screen stands over this one any more."""
        # Textual takes the topmost screen away, whichever it was that was closed.
        if self.is_active:
            self.action_cancel()

    def stay(self) -> None:
        """Begin the time to live anew, where it has not run out: somebody is at it."""
        if self._expiry is not None and not self.expired:
            self._asked_at_s = _now_s()
            self._expiry.reset()

    def renew(self) -> None:
        """Begin the time to live anew, also where it has run out: what was asked is asked afresh."""
        self._asked_at_s = _now_s()
        if self._expiry is not None:
            self._expiry.stop()
        self._expiry = self.set_timer(_EXPIRES_S, self.expire)

    def action_cancel(self) -> None:
        """Close without doing anything."""
        self.answer(None)

    def answer(self, result: T | None) -> None:
        """Close with an answer; of several keys typed at once the first counts."""
        # While another screen is over it it cannot be closed.
        if not self._answered and self.is_active:
            self._answered = True
            self.dismiss(None if self.expired else result)


class ConfirmScreen(ExpiringScreen[bool]):
    """Asks whether to do something to the VMs named."""

    BINDINGS = [
        Binding("y", "yes", "yes", show=False),
        Binding("n", "cancel", "no", show=False),
        Binding("left,right", "app.focus_next", "other", show=False),
        Binding("down,pagedown", "scroll(1)", show=False),
        Binding("up,pageup", "scroll(-1)", show=False),
    ]

    def __init__(self, question: str, vms: Sequence[str], consequence: str, *, destructive: bool) -> None:
        """`vms` are lines such as "web1 on h1"."""
        super().__init__()
        self._question = question
        self._vms = vms
        self._consequence = consequence
        self._destructive = destructive

    def compose(self) -> ComposeResult:
        """Lay the question out."""
        with Vertical(classes="dialog destructive" if self._destructive else "dialog"):
            yield Label(self._question, classes="title", markup=False)
            lines = [*self._vms[:_LISTED]]
            if len(self._vms) > _LISTED:
                lines.append(f"and {len(self._vms) - _LISTED} more")
            if lines:
                yield VerticalScroll(*(Label(line, classes="vm", markup=False) for line in lines), can_focus=False)
            yield Label(self._consequence, classes="consequence", markup=False)
            with Horizontal(classes="buttons"):
                yield Button("No", id="no", compact=True)
                yield Button("Yes", id="yes", compact=True)
            yield Label("y yes · n or Esc no", classes="hint", markup=False)

    def on_mount(self) -> None:
        """Start on No."""
        self.query_one("#no", Button).focus()

    def action_yes(self) -> None:
        """Agree."""
        self.answer(True)

    def action_scroll(self, pages: int) -> None:
        """Scroll the lines, where they are more than fit."""
        for lines in self.query(VerticalScroll):
            lines.scroll_relative(y=pages * max(1, lines.size.height - 1), animate=False)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.answer(event.button.id == "yes")


class MeantScreen(ConfirmScreen):
    """A question that comes up where somebody types: what is typed right behind is no consent."""

    def __init__(self, question: str, consequence: str, clock: Callable[[], float]) -> None:
        super().__init__(question, (), consequence, destructive=True)
        self._clock = clock
        self._quiet_since_s = clock()
        self._typed_ahead = False

    def on_key(self) -> None:
        """Note whether a key follows others so soon that it cannot be an answer to what was read."""
        now_s = self._clock()
        self._typed_ahead, self._quiet_since_s = now_s - self._quiet_since_s < _MEANT_S, now_s

    def answer(self, result: bool | None) -> None:
        """Close with an answer, unless it was typed ahead and says yes."""
        if result and self._typed_ahead:
            self.query_one(".hint", Label).update("Typed too soon to be meant. y yes · n or Esc no")
        else:
            super().answer(result)


def ask_paste(app: App[Any], where: str, text: str, agreed: Callable[[bool | None], None]) -> None:
    """Ask whether lines shall be pasted into a guest's console; `where` is "web1 on h1"."""
    lines = text.splitlines()
    question = f"Paste {len(lines)} line{'' if len(lines) == 1 else 's'} into {where}?"
    shown = [clean(line, _PASTED_CHARACTERS) for line in lines]
    app.push_screen(ConfirmScreen(question, shown, "The guest's shell runs each line.", destructive=False), agreed)
