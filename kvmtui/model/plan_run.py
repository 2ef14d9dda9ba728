"""A plan on its way: how far each of its moves is, and what there is to say of the whole."""

from dataclasses import dataclass
from enum import Enum

from kvmtui.model.balance_plan import Move, Plan
from kvmtui.model.migration import Migration
from kvmtui.model.preflight_values import Check


class Stage(Enum):
    """What is being done about a plan."""

    READING = "reading definitions"
    READY = "ready"
    """It stands there; nothing is done without being asked for."""
    CHECKING = "checking"
    """Both hosts are asked whether the next move can be made."""
    MOVING = "moving"
    MEASURING = "measuring again"
    """Figures from after the move are awaited, by which the rest is judged anew."""

    @property
    def running(self) -> bool:
        """Whether moves are being made."""
        return self in (Stage.CHECKING, Stage.MOVING, Stage.MEASURING)


class Outcome(Enum):
    """What became of a move."""

    PLANNED = "planned"
    CHECKING = "checking"
    MOVING = "moving"
    DONE = "moved"
    DROPPED = "dropped"
    """Its reason had gone."""
    REFUSED = "not possible"
    """A check failed; nothing was begun."""
    CANCELLED = "aborted"
    FAILED = "failed"
    UNKNOWN = "the end is not known"

    @property
    def over(self) -> bool:
        """Whether nothing more becomes of it."""
        return self not in (Outcome.PLANNED, Outcome.CHECKING, Outcome.MOVING)

    @property
    def bad(self) -> bool:
        """Whether the VM is not where the plan wanted it."""
        return self in (Outcome.REFUSED, Outcome.CANCELLED, Outcome.FAILED, Outcome.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a plan may do that it does not do by itself."""

    copy_disks: bool = False
    """Copy disks to where a volume is already, which is overwritten."""
    over_limits: bool = False
    """Empty a host although others come to be over their limits."""


@dataclass(frozen=True, slots=True)
class Step:
    """One move of a plan and what became of it."""

    move: Move
    outcome: Outcome = Outcome.PLANNED
    message: str = ""
    """One line: why it was dropped or refused, or how it ended."""
    warnings: tuple[Check, ...] = ()
    """Checks that warn; they did not keep it from being made."""
    migration: Migration | None = None


@dataclass(frozen=True, slots=True)
class PlanRun:
    """A plan at one moment."""

    stage: Stage
    evacuating: str = ""
    """The key of the host that is being emptied; empty: hosts are evened out."""
    allowed: Allowed = Allowed()
    plan: Plan | None = None
    """The moves that are left, with what the hosts look like before and after them; None while it is being made."""
    steps: tuple[Step, ...] = ()
    """All moves: those that are over, the one under way, those that are left."""
    read: tuple[int, int] = (0, 0)
    """How many definitions are known, and of how many."""
    watched_s: float = 0.0
    """Over how long the figures of the host that was watched shortest are averaged."""
    message: str = ""
    """Why there is nothing to move, or why it stopped; one line."""
    stopping: bool = False
    """Whether it ends after the move under way."""

    @property
    def left(self) -> tuple[Step, ...]:
        """The moves that can still be made."""
        return tuple(step for step in self.steps if step.outcome is Outcome.PLANNED)

    @property
    def done(self) -> tuple[Step, ...]:
        """The moves that were made."""
        return tuple(step for step in self.steps if step.outcome is Outcome.DONE)

    @property
    def current(self) -> Step | None:
        """The move under way."""
        return next((step for step in self.steps if step.outcome in (Outcome.CHECKING, Outcome.MOVING)), None)
