"""Where the storm plays: the lab, its guests, the program in its terminal, and what is broken at the moment."""

import contextlib
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pexpect

from tests.lab import guests, population
from tests.lab.guests import GuestSpec
from tests.lab.lab import Host, Lab
from tests.lab.tools import LabError
from tests.soak import view
from tests.soak.witness import Written, log_calls, read_audit
from tests.terminal import Terminal

T = TypeVar("T")
COLUMNS, ROWS = 160, 50
#: At least so large the table has all its columns of states and hosts, and the title its clock.
LEAST_COLUMNS, LEAST_ROWS = 80, 24
#: How long the clock on the screen may stand still, and a key be without an answer.
PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Breach:
    """An invariant that did not hold."""

    at_s: float
    """Seconds since the storm began."""
    what: str
    screen: str


@dataclass(slots=True)
class Broken:
    """A fault that lasts until it is mended."""

    target: str
    name: str
    until_s: float
    mend: Callable[[], None]


@dataclass(slots=True)
class Field:
    """All of one run; the storm's thread alone reads the terminal, which it must never stop doing for long."""

    lab: Lab
    terminal: Terminal
    specs: dict[str, GuestSpec]
    """The VMs by name; real guests, and paused ones that run no system."""
    real: Sequence[str]
    """The names of those that boot."""
    audit_file: Path
    log_file: Path
    began_s: float = field(default_factory=time.monotonic)
    hands: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, "hand"))
    broken: list[Broken] = field(default_factory=list)
    breaches: list[Breach] = field(default_factory=list)
    taken_away: set[str] = field(default_factory=set)
    """VMs whose definition the storm has removed since the last calm: they may end for good."""
    counts: Counter[str] = field(default_factory=Counter)
    pressed: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often keys asked for something, by (uuid, the audit's verb)."""
    held: bool = False
    """Whether the program itself is stopped."""
    size: tuple[int, int] = (COLUMNS, ROWS)
    longest_still_s: float = 0.0
    _clock: str = ""
    _moved_s: float = field(default_factory=time.monotonic)
    _told_still: bool = False

    @property
    def elapsed_s(self) -> float:
        """Seconds since the storm began."""
        return time.monotonic() - self.began_s

    @property
    def hosts(self) -> tuple[Host, Host]:
        """Both hosts."""
        return self.lab.hosts

    def tell(self, text: str) -> None:
        """Say what is done."""
        print(f"{self.elapsed_s:7.1f} s  {text}", flush=True)

    def breach(self, what: str) -> None:
        """Note that an invariant did not hold."""
        self.breaches.append(Breach(self.elapsed_s, what, self.terminal.screen))
        self.tell(f"BREACH: {what}")

    # The terminal

    def pump(self, seconds: float) -> None:
        """Read what the program writes for so long, and see that its clock goes on."""
        deadline_s = time.monotonic() + seconds
        while True:
            left_s = deadline_s - time.monotonic()
            try:
                self.terminal.read(max(0.0, min(0.1, left_s)))
            except pexpect.EOF:
                raise ProgramEnded(self.terminal.screen) from None
            self._watch_clock()
            if left_s <= 0:
                return

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Read on until something is so; tell whether it came about in time."""
        deadline_s = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline_s:
                return False
            self.pump(0.05)
        return True

    def wait(self, what: "Future[T]") -> T:
        """Return what a hand brings, reading on meanwhile."""
        self.until(what.done, float("inf"))
        return what.result()

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the window."""
        self.size = (columns, rows)
        self.terminal.resize(columns, rows)
        self._start_clock()

    def hold(self, stopped: bool) -> None:
        """Stop the program, or let it go on."""
        os.kill(self.terminal.process.pid, signal.SIGSTOP if stopped else signal.SIGCONT)
        self.held = stopped
        self._start_clock()

    def _start_clock(self) -> None:
        self._moved_s, self._told_still = time.monotonic(), False

    def _watch_clock(self) -> None:
        shown = view.clock(self.terminal.lines)
        if shown != self._clock or self.held or self.size[0] < LEAST_COLUMNS or self.size[1] < LEAST_ROWS:
            self._clock = shown
            self._start_clock()
            return
        still_s = time.monotonic() - self._moved_s
        self.longest_still_s = max(self.longest_still_s, still_s)
        if still_s > PATIENCE_S and not self._told_still:
            self._told_still = True
            self.breach(f"the clock stands at {shown or 'nothing'} for {still_s:.1f} s")

    # The hosts

    def is_broken(self, target: str) -> bool:
        """Tell whether a fault is at work there."""
        return any(broken.target == target for broken in self.broken)

    def break_for(self, target: str, name: str, seconds: float, mend: Callable[[], None]) -> None:
        """Note a fault that was begun, and how it is mended."""
        self.broken.append(Broken(target, name, time.monotonic() + seconds, mend))

    def mend(self, *, everything: bool = False) -> None:
        """Mend what has lasted long enough, or everything: QEMUs first, for a stopped one holds a daemon up."""
        due = [one for one in self.broken if everything or time.monotonic() >= one.until_s]
        for one in sorted(due, key=lambda one: (not one.target.startswith("qemu"), one.target)):
            # What is done to the terminal and the program is done by who reads it.
            if one.target in ("terminal", "program"):
                one.mend()
            else:
                self.wait(self.hands.submit(one.mend))
            self.broken.remove(one)
            self.tell(f"mended: {one.name}")

    def reachable(self, host: Host) -> bool:
        """Tell whether the storm has left a host's daemon alone, so that asking it does not hang."""
        return not self.is_broken(f"daemon {host.name}")

    def host_of(self, name: str) -> Host | None:
        """Return the host that runs a VM; None where it is off or changes places just now."""
        runs = []
        for host in self.hosts:
            with contextlib.suppress(LabError):
                runs.append((host, host.qemu_pid(name)))
        return runs[0][0] if len(runs) == 1 else None

    def written(self) -> dict[str, Written]:
        """Return what the audit has."""
        return read_audit(self.audit_file)


class ProgramEnded(Exception):
    """The program is gone; the text is its last screen."""


def furnish(lab: Lab, real: Sequence[str], still: Sequence[str]) -> dict[str, GuestSpec]:
    """Define and start the VMs, half of them on each host."""
    specs = {}
    for host in lab.hosts:
        log_calls(host)
    for number, name in enumerate([*real, *still]):
        host = lab.hosts[number % 2]
        spec = specs[name] = GuestSpec(name)
        connection = host.connect()
        try:
            define(connection, spec, real=name in real)
        finally:
            connection.close()
        # Not by kvmtui's own call, so that the daemons' log tells them apart.
        host.virsh("start", name, "--force-boot" if name in real else "--paused")
    for number, name in enumerate(real):
        population.wait_ready(lab.hosts[number % 2], specs[name])
    return specs


def define(connection: object, spec: GuestSpec, *, real: bool) -> None:
    """Define a VM, again where it has been."""
    xml = guests.guest_xml(spec) if real else guests.tiny_xml(spec.name, spec.uuid)
    connection.defineXML(xml)  # type: ignore[attr-defined]
