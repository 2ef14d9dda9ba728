"""Keys take effect one after the other, however fast they come.

Textual hands a key to the widget that has the focus when the key arrives. Keys typed in one go, or held up by a slow
link and let through together, all go to that widget, also those after a key that moved the focus: text meant for a
console or a question would act on VMs. Here the next key is handed on when the last has had its whole effect.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from textual import events
from textual.app import App, ReturnType
from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widget import Widget

from kvmtui.ui.changed_cells import terminal_busy
from kvmtui.ui.paint_now import paint_now

_LOST_S = 1.0


class TakesKeys:
    """A widget that some keys have their whole effect on at once: they need not be handed on from queue to queue."""

    def take_key(self, key: str) -> bool:
        """Do what a key means here, and return True; or do nothing and return False."""
        raise NotImplementedError


class KeyHandled(Message):
    """Follows a key the way it bubbles: when this is at the app, the key has been dealt with."""


class OrderedKeysApp(App[ReturnType]):
    """An app that deals with one key or paste at a time."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._waiting: deque[events.Key | events.Paste] = deque()
        self._sent_at_s: float | None = None
        self._sent_to: MessagePump = self
        self._seen_on: Screen[Any] | None = None
        """The screen on which the word of the last key came last."""

    async def on_event(self, event: events.Event) -> None:
        """Queue keys and pastes that come from the terminal; let everything else through."""
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
            return
        self._waiting.append(event)
        if self._sent_at_s is None:
            await self._send_next()
        elif len(self._waiting) == 1:
            self.set_timer(_LOST_S, self._send_if_lost)

    async def on_key_handled(self) -> None:
        """Go on with the next key when nothing of the last is under way any more."""
        if not self._screen_stack:
            # The program is ending, and what is still to be typed goes nowhere.
            return
        # A binding runs at the app. What it lets a widget tell, such as the choice that was made, comes the same way
        # once more; and what a question was answered with is done by who asked. So the word goes round until it finds
        # the screen that it found before.
        screen, before = self.screen, self._seen_on
        if screen is not before:
            self._seen_on = screen
            sent_to = self._sent_to
            still = before is None and isinstance(sent_to, Widget) and sent_to.is_attached and sent_to.screen is screen
            if self._follow(sent_to if still else self.focused or screen):
                return
        await self._send_next()

    async def _send_if_lost(self) -> None:
        """Go on without the word that a key was handled: a widget that went away took it along."""
        if self._waiting and self._sent_at_s is not None and self._clock() - self._sent_at_s >= _LOST_S:
            await self._send_next()

    async def _send_next(self) -> None:
        self._sent_at_s = None
        while self._waiting and self._sent_at_s is None and self._screen_stack:
            event, target = self._waiting.popleft(), self.focused or self.screen
            # A click that came before the key may still be on its way, by the queues of the screen and the widget.
            first = not target.message_queue_size and not self.screen.message_queue_size
            if first and isinstance(event, events.Key) and isinstance(target, TakesKeys) and target.take_key(event.key):
                # Of keys that came together only where they lead to is painted, and none where the terminal is behind.
                if not self._waiting and not self.message_queue_size and not terminal_busy(self):
                    paint_now(target)
                continue
            self._sent_to, self._seen_on = target, None
            await super().on_event(event)
            self._follow(target)

    def _follow(self, target: MessagePump) -> bool:
        """Send the word that a key was handled the way from `target`; return whether it will come."""
        comes = target.post_message(KeyHandled())
        if comes:
            self._sent_at_s = self._clock()
        return comes
