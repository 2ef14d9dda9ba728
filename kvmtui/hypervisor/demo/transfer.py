"""How far a demo job that moves a guest's memory is: closed formulas of the time since it began."""

from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.model.vm import Job, VmState

BYTES_PER_S = 1.2 * 1024**3
"""About what one stream over 10 Gbit/s carries."""
_DIRTIED = (0.22, 0.04)
"""Share of the memory that a running guest makes dirty while it is copied, to be sent again."""
_SHORTEST_S = 1.5


class Transfer:
    """A migration or a managed save under way. Set `finished` under the world's lock; one caller waits for it."""

    def __init__(
        self, operation: str, started_at_s: float, memory_bytes: int, disk_bytes: int = 0, *, dirtying: bool = False
    ) -> None:
        self.operation = operation
        self.interrupted: tuple[VmState, str] | None = None
        """The state to go back to when it comes to nothing, where it stops the guest."""
        self.started_at_s = started_at_s
        self.total_bytes = memory_bytes + disk_bytes
        dirty = [int(memory_bytes * share) for share in _DIRTIED] if dirtying else []
        self._rounds = (self.total_bytes, *dirty)
        self._bytes_per_s = min(BYTES_PER_S, sum(self._rounds) / _SHORTEST_S)
        self.finished = False
        self.error: HypervisorError | None = None

    @property
    def duration_s(self) -> float:
        """How long it takes when nothing comes between."""
        return sum(self._rounds) / self._bytes_per_s

    def finish(self, error: HypervisorError | None = None) -> None:
        """Take note that it is over."""
        self.finished, self.error = True, error

    def report(self, now_s: float) -> Job:
        """Return the job as libvirt would report it; what remains grows again when a round begins."""
        elapsed = max(0.0, now_s - self.started_at_s)
        sent = self._bytes_per_s * elapsed
        remaining, iteration = 0, len(self._rounds)
        for number, size in enumerate(self._rounds, 1):
            if sent < size:
                remaining, iteration = int(size - sent), number
                break
            sent -= size
        return Job(self.operation, elapsed, self.total_bytes, remaining, self._bytes_per_s, iteration)
