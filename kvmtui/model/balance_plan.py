"""A plan: proposed moves with their reasons, what they change, and what is not moved and why."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from kvmtui.model.balance_load import HostLoad, Limits, VmLoad
from kvmtui.model.balance_words import amount, span
from kvmtui.model.vm import VmKey


class Why(StrEnum):
    """What a move is for."""

    EVEN = "evens out the hosts"
    RELIEVE = "relieves a host over its limits"
    APART = "keeps a group apart"
    EVACUATE = "empties the host"
    LITTLE = "brings little"
    """Chosen by the user, or its reason is gone by now."""


@dataclass(frozen=True, slots=True)
class Change:
    """A fraction (1.0 is all of it) before and after."""

    before: float
    after: float


def step(change: Change) -> str:
    """Return a change in words: "84→61 %"."""
    return f"{change.before * 100:.0f}→{change.after * 100:.0f} %"


@dataclass(frozen=True, slots=True)
class Spread:
    """The difference between the most and the least loaded host, 0 to 1."""

    cpu: float
    memory: float


@dataclass(frozen=True, slots=True)
class Move:
    """One proposed move; the changes are those of this move, after all moves before it."""

    vm: VmKey
    name: str
    source_name: str
    destination: str
    """The key of the host it goes to."""
    destination_name: str
    why: Why
    detail: str
    """What the reason rests on, in words: "db2 of group db is on h1, too"; empty where the figures say it all."""
    source_cpu: Change | None
    """None where its use is not known, which matters not when the host is to be emptied."""
    source_memory: Change | None
    destination_cpu: Change
    destination_memory: Change
    copy_bytes: int
    seconds: float
    """About how long it takes at the bandwidth assumed."""
    gain: float
    """What it brings, see `Standing.gain`; below `Limits.least_gain` it is not worth a migration."""
    broken: str = ""
    """Which limit it breaks, in words: only where the user chose or allowed it."""
    off: bool = False
    """Whether the VM is off, so that only its definition moves."""

    @property
    def words(self) -> str:
        """The move in one line: "web3 h1→h2: h1 CPU 84→61 %, h2 22→38 %, ~14 GiB, ~2 min"."""
        if self.off:
            return f"{self.name} {self.source_name}→{self.destination_name}: it is off: only its definition is migrated"
        cost = f"~{amount(self.copy_bytes)}, ~{span(self.seconds)}"
        route = f"{self.name} {self.source_name}→{self.destination_name}"
        if self.why is Why.EVACUATE or self.source_cpu is None or self.source_memory is None:
            there = f"CPU {step(self.destination_cpu)}, memory {step(self.destination_memory)}"
            return f"{route}: {self.destination_name} {there}, {cost}{f'; {self.broken}' if self.broken else ''}"
        what, here, there_too = "CPU", self.source_cpu, self.destination_cpu
        if here.before - here.after < self.source_memory.before - self.source_memory.after:
            what, here, there_too = "memory", self.source_memory, self.destination_memory
        figures = f"{self.source_name} {what} {step(here)}, {self.destination_name} {step(there_too)}"
        return f"{route}: {self.detail + '; ' if self.detail else ''}{figures}, {cost}"


@dataclass(frozen=True, slots=True)
class HostChange:
    """A host before and after the plan."""

    key: str
    name: str
    cpu: Change | None
    """None where its use is not known."""
    memory: Change | None
    vms_before: int
    vms_after: int
    why_out: str
    """Why it takes no part; empty where it does."""


@dataclass(frozen=True, slots=True)
class Unmoved:
    """A VM, or a host as a whole (`vm` is None), that stays as it is, and why."""

    vm: VmKey | None
    name: str
    host_name: str
    why: str
    """In words: "needs 16 GiB, the most free within limits is 9.0 GiB on h3"."""

    @property
    def words(self) -> str:
        """It in one line: "db1 on h1: it is pinned"."""
        return f"{self.name}: {self.why}" if self.vm is None else f"{self.name} on {self.host_name}: {self.why}"


@dataclass(frozen=True, slots=True)
class Basis:
    """What a plan was made from, so that it can be reckoned again after an edit."""

    hosts: tuple[HostLoad, ...]
    vms: tuple[VmLoad, ...]
    limits: Limits
    now_s: float
    evacuated: str | None
    """The key of the host to be emptied; None for balancing."""
    over_limits: bool = False
    """Whether emptying it may take others over the limits for taking VMs, but for the memory they keep free."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Proposed moves in the order in which to run them."""

    moves: tuple[Move, ...]
    hosts: tuple[HostChange, ...]
    """All hosts, by name."""
    before: Spread
    """Over the hosts that take part (without the one to be emptied)."""
    after: Spread
    unmoved: tuple[Unmoved, ...]
    summary: str
    """The plan in one line, or why nothing is to do: "hosts are even: CPU 41-48 %, memory 30-35 %"."""
    basis: Basis = field(repr=False)

    @property
    def copy_bytes(self) -> int:
        """How much all moves copy."""
        return sum(move.copy_bytes for move in self.moves)

    @property
    def seconds(self) -> float:
        """About how long they take one after the other."""
        return sum(move.seconds for move in self.moves)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a VM of a plan could go instead."""

    key: str
    name: str
    cpu: Change
    memory: Change
    broken: str
    """Which limit it would break, in words; empty where it fits."""


Choice = tuple[VmKey, str]
"""A move as the user edits it: the VM and the key of the host it goes to."""


def choices(moves: Sequence[Move]) -> tuple[Choice, ...]:
    """Return moves as they can be edited and handed to `reconsider`."""
    return tuple((move.vm, move.destination) for move in moves)
