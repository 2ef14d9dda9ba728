"""How a migration fares: a bar that does not run backwards in silence, a time that is left, a verdict. Pure."""

from collections import deque
from dataclasses import dataclass
from enum import Enum

from kvmtui.model.vm import Job

_MIB = 1024**2
_EVIDENCE_S = 5.0
"""For how long it must look as if it would not converge before that is said."""
_STALLED_AFTER_S = 10.0
_DISKS_STALLED_AFTER_S = 75.0
"""Disks are told of in steps of 32 MiB, which take 32 s at 1 MiB/s, the least limit there is."""
_STEPS_FOR_S = 90.0
_SMOOTHED_S = 5.0
_FALL = 0.005
"""A fall of the bar that is worth a word."""
_USUAL_DOWNTIME_S = 0.3
"""What QEMU allows where nobody says otherwise."""


def copies_disks(job: Job | None) -> bool:
    """Return whether disks are being copied still; the memory follows when they are there."""
    return job is not None and bool(job.disk_remaining_bytes)


class Verdict(Enum):
    """What is to be expected."""

    EARLY = "too early to tell"
    CONVERGING = "converging"
    NOT_CONVERGING = "will not converge at this rate"
    """Memory is written at least as fast as it is sent, and the rest does not fit into the downtime."""
    STALLED = "nothing is being sent"
    """No byte has gone over for a while: the link between the hosts may be cut."""
    POST_COPY = "post-copy: the guest runs at the destination"
    SWITCHING = "switching over"


@dataclass(frozen=True, slots=True)
class Progress:
    """What is shown of a running migration; unknown is None."""

    verdict: Verdict
    fraction: float | None = None
    """The most that was reached, 0 to 1."""
    fallen_to: float | None = None
    """Where it stands now, when that is less than what was reached."""
    eta_s: float | None = None
    """Seconds that are left, where the rates allow a statement."""
    why: str = ""
    """One sentence with the figures behind the verdict: "dirties 120 MiB/s, sends 80"."""
    sent_per_s: float | None = None
    """How fast data goes over, also where the hypervisor tells only how much has."""
    total_bytes: int | None = None
    """What there is to bring over, with the memory whose turn comes after the disks."""
    remaining_bytes: int | None = None

    @property
    def now(self) -> float | None:
        """Where it stands now, 0 to 1."""
        return self.fraction if self.fallen_to is None else self.fallen_to


class ProgressTracker:
    """Follows one migration's job figures."""

    def __init__(self, memory_bytes: int | None = None) -> None:
        """`memory_bytes` stands for the memory that is to be sent as long as only disks are."""
        self._memory_bytes = memory_bytes
        self._reached: float | None = None
        self._mark: tuple[int | None, ...] = ()
        """The counters as they were when one of them moved last."""
        self._moved_at_s = 0.0
        self._outpaced_since_s: float | None = None
        """Since when memory is written at least as fast as it is sent."""
        self._sent: deque[tuple[float, float]] = deque()
        """The rates told lately, with their times: QEMU reckons each over a tenth of a second."""
        self._steps: deque[tuple[float, int]] = deque()
        """When how much had gone over, as that grew; disks are told of in steps of many seconds."""
        self._told: int | None = None
        """How much of the disks had gone over when that was told last."""

    def take(
        self,
        job: Job,
        now_s: float,
        *,
        post_copy: bool = False,
        downtime_s: float | None = None,
        one_limit: bool = True,
    ) -> Progress:
        """Return the progress after these figures, taken at a monotonic time.

        `post_copy`: the guest was seen to run at the destination already; `downtime_s`: how long it may stand still;
        `one_limit`: whether the memory, when its turn comes, may be sent as fast as the disks are, and no faster.
        """
        total, remaining = self._amounts(job)
        now = None if not total or remaining is None else max(0.0, min(1.0, 1 - remaining / total))
        if now is not None:
            self._reached = max(now, self._reached or 0.0)
        fallen = now if now is not None and self._reached is not None and self._reached - now > _FALL else None
        sent, dirty = self._sent_per_s(job, now_s), job.dirty_bytes_per_s
        verdict, why = self._verdict(job, now_s, remaining, sent, downtime_s or _USUAL_DOWNTIME_S)
        if verdict is not Verdict.STALLED and (post_copy or job.post_copy_requests):
            verdict, why = Verdict.POST_COPY, _post_copy_words(job)
            # What is left at the source is written there no more.
            dirty = 0.0
        eta_s = None
        unforeseen = verdict is Verdict.STALLED or (copies_disks(job) and not one_limit)
        if not unforeseen and remaining is not None and sent is not None and sent > (dirty or 0.0):
            eta_s = remaining / (sent - (dirty or 0.0))
        return Progress(verdict, self._reached, fallen, eta_s, why, sent, total, remaining)

    def _amounts(self, job: Job) -> tuple[int | None, int | None]:
        """Return how much there is in all, and what of it is left."""
        if not job.disk_total_bytes:
            return job.total_bytes, job.remaining_bytes
        # The disks come first; until the memory's turn libvirt tells 0 of it.
        begun = bool(job.memory_total_bytes)
        total = job.memory_total_bytes if begun else self._memory_bytes
        left = job.memory_remaining_bytes if begun else self._memory_bytes
        return job.disk_total_bytes + (total or 0), (job.disk_remaining_bytes or 0) + (left or 0)

    def _sent_per_s(self, job: Job, now_s: float) -> float | None:
        if copies_disks(job) or job.bytes_per_s is None:
            self._sent.clear()
            return self._grown_per_s(job, now_s)
        self._steps.clear()
        self._sent.append((now_s, job.bytes_per_s))
        while self._sent and now_s - self._sent[0][0] > _SMOOTHED_S:
            self._sent.popleft()
        return sum(rate for _, rate in self._sent) / len(self._sent) if self._sent else None

    def _grown_per_s(self, job: Job, now_s: float) -> float | None:
        """Return the mean from one step to another, the first and the last of the last minutes."""
        sent = job.sent_bytes
        if sent is None:
            return None
        if self._told is not None and sent != self._told:
            self._steps.append((now_s, sent))
        self._told = sent
        while len(self._steps) > 2 and now_s - self._steps[1][0] > _STEPS_FOR_S:
            self._steps.popleft()
        if len(self._steps) < 2:
            # Since when the first amount that was told had been there is not known.
            return None
        (first_s, first), (last_s, last) = self._steps[0], self._steps[-1]
        if last <= first or last_s <= first_s:
            return None
        # What is late counts, too.
        pace_s = (last_s - first_s) / (len(self._steps) - 1)
        until_s = last_s if now_s - last_s <= 2 * pace_s else now_s
        return (last - first) / (until_s - first_s)

    def _verdict(
        self, job: Job, now_s: float, remaining: int | None, sent: float | None, downtime_s: float
    ) -> tuple[Verdict, str]:
        mark = (remaining, job.sent_bytes, job.iteration)
        if mark != self._mark:
            self._mark, self._moved_at_s = mark, now_s
        still_s = now_s - self._moved_at_s
        patience_s = _DISKS_STALLED_AFTER_S if copies_disks(job) else _STALLED_AFTER_S
        if remaining is not None and still_s >= patience_s:
            return Verdict.STALLED, f"no byte has gone over for {still_s:.0f} s: the link between the hosts may be cut"
        dirty = job.dirty_bytes_per_s
        outpaced = None not in (sent, dirty, remaining) and (dirty or 0) >= (sent or 0) > 0
        if not outpaced or (remaining or 0) <= (sent or 0) * downtime_s:
            self._outpaced_since_s = None
        elif self._outpaced_since_s is None:
            self._outpaced_since_s = now_s
        if remaining == 0 and job.total_bytes:
            return Verdict.SWITCHING, ""
        if dirty is None or sent is None:
            return Verdict.EARLY, "what the guest writes meanwhile is known when the first pass over its memory ends"
        words = f"dirties {_rate(dirty)}, sends {_rate(sent)}"
        if self._outpaced_since_s is None:
            return Verdict.CONVERGING, words
        if now_s - self._outpaced_since_s < _EVIDENCE_S:
            return Verdict.EARLY, words
        return Verdict.NOT_CONVERGING, words


def _post_copy_words(job: Job) -> str:
    if job.post_copy_requests is None:
        return ""
    return f"it has waited {job.post_copy_requests} times for a page from the source"


def _rate(bytes_per_s: float) -> str:
    mib = bytes_per_s / _MIB
    return f"{mib:.0f} MiB/s" if mib >= 10 else f"{mib:.1f} MiB/s"
