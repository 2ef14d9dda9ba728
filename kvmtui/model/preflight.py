"""What is checked before a VM moves: each check passes, warns, fails or cannot be made, with its evidence. Pure."""

from dataclasses import dataclass
from enum import IntEnum

from kvmtui.model.migration_options import MigrationOptions


class Grade(IntEnum):
    """How a check came out; the higher the worse."""

    PASS = 0
    UNKNOWN = 1
    """It could not be made; libvirt will decide."""
    WARN = 2
    FAIL = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One check."""

    id: str
    title: str
    """What is looked at, in a word or two: "machine type", "CPU", "memory"."""
    grade: Grade
    evidence: str
    """What was found, with its figures: "needs 4.0 GiB, 12 GiB free"; cleaned."""
    advice: str = ""
    """What to do about it; empty where it passed."""


@dataclass(frozen=True, slots=True)
class GuestNeeds:
    """What a VM asks of a destination: from its definition and its host."""

    # (the fields are the reader's and the checks' business)


@dataclass(frozen=True, slots=True)
class HostOffers:
    """What a destination can give to one VM."""


def preflight(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> tuple[Check, ...]:
    """Return all checks of a move with these options, worst first."""
    return ()
