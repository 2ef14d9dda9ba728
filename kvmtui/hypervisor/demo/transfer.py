"""How far a demo job that moves a guest's memory is: pass after pass, each sending what was written in the last."""

from collections.abc import Callable
from math import inf

from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.model.vm import Job, VmState

BYTES_PER_S = 1.2 * 1024**3
"""About what one stream over 10 Gbit/s carries."""
_USUAL_DIRTY_SHARE = 0.22
"""What a guest writes while memory is copied, as a share of what is sent."""
_WORKING_SET = 0.6
"""Share of its memory that a guest goes on writing to."""
_SHORTEST_S = 1.5
_DOWNTIME_S = 0.3
_THROTTLE = (0.2, 0.1, 0.99)
"""By how much auto-converge slows a guest down at first, then more each pass, and at most (QEMU's defaults)."""


class Transfer:
    """A migration or a managed save under way; all is guarded by the world's lock, and one caller waits for its end."""

    def __init__(
        self,
        operation: str,
        started_at_s: float,
        memory_bytes: int,
        disk_bytes: int = 0,
        *,
        dirtying: bool = False,
        dirty_share: float = _USUAL_DIRTY_SHARE,
        auto_converge: bool = False,
    ) -> None:
        self.operation = operation
        self.interrupted: tuple[VmState, str] | None = None
        """The state to go back to when it comes to nothing, where it stops the guest."""
        self.started_at_s = started_at_s
        self.total_bytes = memory_bytes + disk_bytes
        self.disk_bytes = disk_bytes
        self.post_copy = False
        """Whether the guest runs at the destination already."""
        self.may_post_copy = False
        self.downtime_s = _DOWNTIME_S
        self.finished = False
        self.error: HypervisorError | None = None
        self.rearrange: Callable[[], None] = lambda: None
        """Has its end come when it is due now, after a change."""
        self.turn = 0
        """Counts the changes of what is to come: what was arranged before the last is void."""
        self._memory_bytes = memory_bytes
        self._auto_converge = auto_converge
        self._usual_bytes_per_s = self._bytes_per_s = min(BYTES_PER_S, self.total_bytes / _SHORTEST_S)
        self._dirty_bytes_per_s = dirty_share * self._bytes_per_s if dirtying else 0.0
        self._throttle = 0.0
        self._stopped = False
        self._iteration = 1
        self._pass_bytes = float(self.total_bytes)
        self._sent_bytes = 0.0
        """In this pass, up to `_since_s`."""
        self._sent_before_bytes = 0.0
        self._since_s = self._pass_began_s = started_at_s
        self._last = not dirtying

    @property
    def duration_s(self) -> float:
        """How long its first pass takes when nothing comes between."""
        return self.total_bytes / self._usual_bytes_per_s

    @property
    def pass_ends_at_s(self) -> float:
        """When the present pass ends, if nothing comes between; infinite while nothing goes over."""
        rate = self._rate
        return self._since_s + max(0.0, self._pass_bytes - self._sent_bytes) / rate if rate else inf

    def settle(self, now_s: float, *, limit_bytes_per_s: float | None = None, stopped: bool | None = None) -> None:
        """Count what was sent so far; from now on under this limit (0: none), or not at all."""
        self._sent_bytes = self._sent(now_s)
        self._since_s = max(now_s, self._since_s)
        self.turn += 1
        if limit_bytes_per_s is not None:
            self._bytes_per_s = min(limit_bytes_per_s or inf, self._usual_bytes_per_s)
        if stopped is not None:
            self._stopped = stopped

    def freeze_guest(self) -> None:
        """Take note that the guest writes no more."""
        self._dirty_bytes_per_s = 0.0

    def begin_post_copy(self) -> None:
        """Go on with the guest at the destination: what is left is sent once."""
        self.post_copy = self._last = True

    def next_pass(self, now_s: float) -> bool:
        """Begin the next pass, at the end of one; return False when all is sent."""
        self.settle(now_s)
        if self._last:
            return False
        took_s = (now_s - self._pass_began_s) * (self._memory_bytes / self.total_bytes if self._iteration == 1 else 1)
        dirty = min(_WORKING_SET * self._memory_bytes, self._dirty_now * took_s)
        self._last = dirty <= self._rate * self.downtime_s
        if self._auto_converge and self._iteration > 1 and not self._last and dirty > 0.5 * self._pass_bytes:
            first, step, most = _THROTTLE
            self._throttle = min(most, self._throttle + step) if self._throttle else first
        self._iteration += 1
        self._sent_before_bytes += self._pass_bytes
        self._pass_bytes, self._sent_bytes, self._pass_began_s = dirty, 0.0, now_s
        return True

    def finish(self, error: HypervisorError | None = None) -> None:
        """Take note that it is over."""
        self.finished, self.error = True, error

    @property
    def remaining_bytes(self) -> int:
        """What is left of this pass, as last settled."""
        return int(self._pass_bytes - self._sent_bytes)

    def report(self, now_s: float) -> Job:
        """Return the job as libvirt would report it; what remains grows again when a pass begins."""
        sent = self._sent(now_s)
        disk_left = max(0.0, self.disk_bytes - sent) if self._iteration == 1 else 0.0
        left = max(0.0, self._pass_bytes - sent)
        moving = self.operation == "migration"
        known = moving and self._iteration > 1
        return Job(
            self.operation,
            max(0.0, now_s - self.started_at_s),
            self.total_bytes,
            int(left),
            self._rate,
            self._iteration,
            memory_total_bytes=self._memory_bytes,
            memory_remaining_bytes=int(left - disk_left),
            disk_total_bytes=self.disk_bytes,
            disk_remaining_bytes=int(disk_left),
            dirty_bytes_per_s=self._dirty_now if known else None,
            expected_downtime_s=left / self._rate if known and self._rate else None,
            throttle_fraction=self._throttle if moving and self._auto_converge else None,
            post_copy_requests=int(40 * (now_s - self._pass_began_s)) if self.post_copy else None,
            sent_bytes=int(self._sent_before_bytes + sent),
        )

    @property
    def _rate(self) -> float:
        return 0.0 if self._stopped else self._bytes_per_s

    @property
    def _dirty_now(self) -> float:
        return self._dirty_bytes_per_s * (1 - self._throttle)

    def _sent(self, now_s: float) -> float:
        return min(self._pass_bytes, self._sent_bytes + self._rate * max(0.0, now_s - self._since_s))
