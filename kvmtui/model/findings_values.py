"""What a rule is given and what it returns, and the limits it goes by."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from kvmtui.model.health import HostHealth, HostOffer, Machine
from kvmtui.model.host import Host
from kvmtui.model.vm import VmKey


class Severity(IntEnum):
    """How bad it is; the higher the worse."""

    FINE = 0
    UNTOLD = 1
    """Unknown, because such a host never tells."""
    NOTE = 2
    UNKNOWN = 3
    """It should have been told, and was not."""
    WARNING = 4
    CRITICAL = 5

    @property
    def word(self) -> str:
        """How it is called."""
        return {Severity.UNTOLD: "unknown"}.get(self, self.name.lower())

    @property
    def wrong(self) -> bool:
        """Whether somebody should do something about it."""
        return self >= Severity.WARNING


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something is wrong; shares are 0 to 1."""

    pool_full: float = 0.90
    ready: float = 0.05
    pressure: float = 0.20
    vcpus_per_cpu: float = 4.0
    snapshot_days: float = 30.0
    ignore: frozenset[str] = frozenset()
    """Ids of rules that are not asked."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule found; its texts are not cleaned yet."""

    severity: Severity
    evidence: str
    advice: str = ""
    """What to do about it: a command where there is one."""
    uuid: str = ""
    """Of the VM that it is about."""
    subject: str = ""
    """The pool, network or disk that it is about."""
    since_s: float | None = None
    """Since when (monotonic), where that is known."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a host or a VM, or what one rule had to say that is not."""

    severity: Severity
    rule: str
    title: str
    host: str
    """The key of the host."""
    host_name: str
    vm: VmKey | None
    vm_name: str
    subject: str
    evidence: str
    """With its figures; cleaned."""
    advice: str
    since_s: float | None
    """Since when, as the host tells (monotonic); None: it does not tell."""

    @property
    def key(self) -> tuple[str, ...]:
        """What makes it the same finding at the next look."""
        return self.rule, self.host, "" if self.vm is None else self.vm.uuid, self.subject

    @property
    def where(self) -> str:
        """Whom it is about, in words."""
        subject = f"{self.vm_name} on {self.host_name}" if self.vm is not None else self.host_name
        return f"{subject}: {self.subject}" if self.subject else subject


class Basis(NamedTuple):
    """What the rules for one host go by."""

    host: Host
    health: HostHealth | None
    before: HostHealth | None
    """The look before, for what takes two."""
    now_s: float
    limits: Limits

    @property
    def look(self) -> HostHealth:
        """The look at its health; with nothing in it where there was none."""
        return self.health or HostHealth(self.now_s, 0.0)

    @property
    def offer(self) -> HostOffer:
        """What the host has to give, as far as it is known."""
        return self.look.offer or HostOffer()

    @property
    def machine(self) -> Machine:
        """The machine kvmtui runs on, as far as it is known."""
        return self.look.machine or Machine()


Rule = Iterator[Found]


def unknown(what: str) -> Found:
    """Return that something should have been told and was not."""
    return Found(Severity.UNKNOWN, what)


def untold(what: str) -> Found:
    """Return that such a host does not tell it."""
    return Found(Severity.UNTOLD, what)


def fine(evidence: str = "") -> Found:
    """Return that all is well, with the figure."""
    return Found(Severity.FINE, evidence)


def gib(amount: float) -> str:
    """Return an amount of bytes in words."""
    for limit, unit in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB")):
        if amount >= limit:
            return f"{amount / limit:.1f} {unit}"
    return f"{amount / 1024:.0f} KiB"
