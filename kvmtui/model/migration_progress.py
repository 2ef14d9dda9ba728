"""How a migration fares: a bar that does not run backwards in silence, a time that is left, a verdict. Pure."""

from dataclasses import dataclass
from enum import Enum

from kvmtui.model.vm import Job


class Verdict(Enum):
    """What is to be expected."""

    EARLY = "too early to tell"
    CONVERGING = "converging"
    NOT_CONVERGING = "will not converge at this rate"
    """Memory is written at least as fast as it is sent, and the rest does not fit into the downtime."""
    STALLED = "nothing is moving"
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


class ProgressTracker:
    """Follows one migration's job figures."""

    def take(self, job: Job, now_s: float) -> Progress:
        """Return the progress after these figures, taken at a monotonic time."""
        raise NotImplementedError
