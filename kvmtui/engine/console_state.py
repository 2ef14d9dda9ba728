"""How a console stands, and what it has to tell. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from kvmtui.model.vm import VmKey


class ConsoleState(StrEnum):
    """How a console stands."""

    OPENING = "opening"
    OPEN = "open"
    WAITING = "waiting"
    """The guest is off or its host unreachable; it is attached by itself."""
    HELD = "held"
    """Another client has it; it is attached when that one leaves, and `take_over` attaches all the same."""
    ENDED = "ended"
    """Nothing more will come by itself; `reattach` tries again."""


@dataclass(frozen=True, slots=True)
class ConsoleDeed:
    """Something that was done to a console on request, and what came of it."""

    what: str
    """Such as "send a break to"."""
    done: bool
    message: str = ""
    command: str = ""
    """The equivalent virsh line."""


@dataclass(frozen=True, slots=True)
class ConsoleOutput:
    """What has come since the last look."""

    data: bytes
    skipped_bytes: int = 0
    """How much was dropped before `data` because it came faster than it could be shown."""
    state: ConsoleState = ConsoleState.OPEN
    message: str = ""
    """Why it is not open and what to do, or, once, what came of a request; cleaned."""
    key: VmKey | None = None
    """Where the guest is now: it follows a migration."""
    mark: str = ""
    """What the console itself has to show before `data`, on a line of its own; cleaned."""
    deeds: tuple[ConsoleDeed, ...] = ()
    """What has ended of what was asked for."""
    drops_line: bool = False
    """Whether what is typed is dropped up to the next Enter or ^C, for its beginning was lost."""
