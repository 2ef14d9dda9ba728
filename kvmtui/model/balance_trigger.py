"""When to hint that hosts are uneven: not at the first peak, and not for ever."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from kvmtui.model.balance_load import HostLoad, Limits
from kvmtui.model.balance_words import reach


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
        if self.looked_at_s is not None and now_s - self.looked_at_s < limits.window_s:
            return self
        taking_part = sorted((host for host in hosts if not host.why_out), key=lambda host: (host.name, host.key))
        keys = tuple(host.key for host in taking_part)
        if keys != self.hosts or len(keys) < 2:
            # A host that comes back or leaves changes the spread without any VM being busier.
            return Trigger(looked_at_s=now_s, hosts=keys)
        spread, reason = _unevenness(taking_part, limits)
        if spread < limits.settled_spread:
            return replace(self, uneven_windows=0, raised=False, reason="", looked_at_s=now_s)
        windows = self.uneven_windows + 1 if spread >= limits.trigger_spread else 0
        raised = self.raised or windows >= limits.trigger_windows
        return replace(self, uneven_windows=windows, raised=raised, reason=reason if raised else "", looked_at_s=now_s)


def _unevenness(hosts: list[HostLoad], limits: Limits) -> tuple[float, str]:
    """Return the wider of both spreads (1.0 where a host is over its limits) and what it is in words."""
    for host in hosts:
        for what, fraction, most in (
            ("CPU", _cpu(host), limits.cpu_busy),
            ("memory", _memory(host), limits.memory_used),
        ):
            if fraction > most:
                return 1.0, f"{host.name} {what} {fraction * 100:.0f} %"
    spreads = [
        (max(fractions) - min(fractions), f"{what} {reach(fractions)}")
        for what, fractions in (("CPU", [_cpu(host) for host in hosts]), ("memory", [_memory(host) for host in hosts]))
    ]
    return max(spreads, key=lambda spread: spread[0])


def _cpu(host: HostLoad) -> float:
    return host.cpu_busy_fraction or 0.0


def _memory(host: HostLoad) -> float:
    return (host.memory_used_bytes or 0) / (host.memory_total_bytes or 1)
