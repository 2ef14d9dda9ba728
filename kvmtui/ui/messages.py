"""What the engine's threads tell the app; each is posted from outside and handled on the app's loop."""

from dataclasses import dataclass

from textual.message import Message

from kvmtui.model.actions import ActionResult
from kvmtui.model.migration import Migration
from kvmtui.model.vm import VmKey


class FleetChanged(Message):
    """There is a newer fleet; which one is read when the message is handled."""


class CursorSettled(Message):
    """The cursor was moved a moment ago."""


class TimePassed(Message):
    """Nothing came from the hosts for a while, and what tells a time is out of date."""


class ConsoleWoke(Message):
    """An open console has output to take."""

    def can_replace(self, message: Message) -> bool:
        """One of several waiting is enough."""
        return isinstance(message, ConsoleWoke)


class PlansChanged(Message):
    """There is something new to see of a plan."""

    def can_replace(self, message: Message) -> bool:
        """One of several waiting is enough."""
        return isinstance(message, PlansChanged)


class HealthChanged(Message):
    """Something else is wrong than before."""

    def can_replace(self, message: Message) -> bool:
        """One of several waiting is enough."""
        return isinstance(message, HealthChanged)


@dataclass
class ActionFinished(Message):
    """An action has ended."""

    result: ActionResult


@dataclass
class MigrationChanged(Message):
    """A migration went on or ended."""

    migration: Migration


@dataclass
class TroubleCame(Message):
    """Something of kvmtui's own does not work."""

    text: str


@dataclass
class RecordingSaid(Message):
    """Something happened in a recording that is played."""

    text: str
    tone: str
    vm: VmKey | None
    """What it happened to, where that was gone to."""
