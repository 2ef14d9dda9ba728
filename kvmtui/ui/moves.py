"""The moves of this run as the screen follows them: their rates so far, and which of them need somebody."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kvmtui.model.migration import Migration, Phase
from kvmtui.model.vm import Job, VmKey

REMEMBERED = 600
"""Job figures that the graphs of one move go back."""
Ident = tuple[VmKey, float]


def ident(migration: Migration) -> Ident:
    """Return what tells a move from all others of this run."""
    return migration.request.key, migration.started_at_s


def needs_somebody(migration: Migration) -> bool:
    """Return whether it ended in a way that somebody has to look at."""
    return migration.phase.ended and (migration.phase is Phase.UNKNOWN or bool(migration.repairs))


@dataclass(slots=True)
class Trace:
    """How fast a move sent, and its guest wrote, oldest first; unknown is None."""

    sent: deque[float | None] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    dirtied: deque[float | None] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    elapsed_s: float | None = None
    """Of the last figures."""

    def add(self, job: Job) -> None:
        """Take in figures, unless they are those that were taken last."""
        if job.elapsed_s is None or job.elapsed_s != self.elapsed_s:
            self.elapsed_s = job.elapsed_s
            self.sent.append(job.bytes_per_s)
            self.dirtied.append(job.dirty_bytes_per_s)


class Moves:
    """Takes note of every state of every migration."""

    def __init__(self, migrations: Callable[[], Sequence[Migration]]) -> None:
        """`migrations` returns those of this run, under way first."""
        self._migrations = migrations
        self._traces: dict[Ident, Trace] = {}
        self._said: dict[Ident, tuple[Phase, str]] = {}
        self._looked_at: set[Ident] = set()
        self.asked_ms: dict[Ident, int] = {}
        """The downtime that was asked for on the way."""
        self.changed: Callable[[], None] = lambda: None
        """Called after each change; for the screen that shows them."""

    @property
    def all(self) -> Sequence[Migration]:
        """All of this run, under way first."""
        return self._migrations()

    def take(self, migration: Migration) -> bool:
        """Take note of a new state; return whether it says something that it did not say before."""
        key, job = ident(migration), migration.job
        if job is not None and not migration.phase.ended:
            self._traces.setdefault(key, Trace()).add(job)
        before, self._said[key] = self._said.get(key), (migration.phase, migration.message)
        known = {ident(each) for each in self.all} | {key}
        for book in (self._traces, self._said, self.asked_ms):
            for old in [old for old in book if old not in known]:
                del book[old]
        self._looked_at &= known
        self.changed()
        return before != (migration.phase, migration.message)

    def trace(self, migration: Migration) -> Trace:
        """Return the rates of a move so far."""
        return self._traces.get(ident(migration), Trace())

    def look_at(self, migration: Migration) -> None:
        """Take note that somebody has seen how it ended."""
        if migration.phase.ended:
            self._looked_at.add(ident(migration))

    def of(self, key: VmKey) -> Migration | None:
        """Return the move under way of the VM that is, or arrives, there."""
        return next(
            (
                each
                for each in self.all
                if not each.phase.ended
                and each.request.key.uuid == key.uuid
                and key.host in (each.request.key.host, each.request.destination)
            ),
            None,
        )

    def calls(self, migration: Migration) -> bool:
        """Return whether it needs somebody, and nobody has looked yet."""
        return needs_somebody(migration) and ident(migration) not in self._looked_at

    @property
    def under_way(self) -> int:
        """How many have not ended."""
        return sum(not each.phase.ended for each in self.all)

    @property
    def calling(self) -> int:
        """How many need somebody, and nobody has looked yet."""
        return sum(map(self.calls, self.all))
