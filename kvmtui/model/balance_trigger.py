"""When to hint that hosts are uneven: not at the first peak, and not for ever."""

from collections.abc import Iterable
from dataclasses import dataclass

from kvmtui.model.balance_load import HostLoad, Limits


@dataclass(frozen=True, slots=True)
class Trigger:
    """How long hosts have been uneven; each `look` returns the next state."""

    uneven_windows: int = 0
    raised: bool = False
    """Whether to hint at it."""
    reason: str = ""
    """Why, in words: "CPU 22-84 %", "h3 memory 91 %"; empty where not raised."""
    looked_at_s: float | None = None
    hosts: tuple[str, ...] = ()
    """Who took part; when that changes, counting starts again."""

    def look(self, hosts: Iterable[HostLoad], limits: Limits, now_s: float) -> "Trigger":
        """Return the state after a look; once per window is enough, looks in between change nothing."""
        raise NotImplementedError
