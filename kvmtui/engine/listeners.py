"""What the screen hears of the engine."""

from collections.abc import Callable
from dataclasses import dataclass, field

from kvmtui.model.actions import ActionResult
from kvmtui.model.migration import Migration


@dataclass(slots=True)
class Listeners:
    """What the screen wants to hear of; called from foreign threads, each must only take note."""

    fleet_changed: Callable[[], None] = field(default=lambda: None)
    action_finished: Callable[[ActionResult], None] = field(default=lambda result: None)
    migration_changed: Callable[[Migration], None] = field(default=lambda migration: None)
    trouble: Callable[[str], None] = field(default=lambda text: None)
    """Something of kvmtui's own does not work; the text is one cleaned line."""
    plans_changed: Callable[[], None] = field(default=lambda: None)
    health_changed: Callable[[], None] = field(default=lambda: None)
