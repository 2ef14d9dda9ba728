"""Noticing that hosts have been uneven for minutes: a hint, never a plan."""

from kvmtui.engine.loads import Moved, host_loads
from kvmtui.model.balance_load import Limits
from kvmtui.model.balance_trigger import Trigger
from kvmtui.model.fleet import Fleet


class Unevenness:
    """Looks at the hosts about once a minute; used by the watch's thread, but for `reason`."""

    def __init__(self) -> None:
        self._trigger = Trigger()
        self._limits = Limits()

    @property
    def reason(self) -> str:
        """In which way the hosts are uneven, in words: "CPU 22-84 %"; empty where they are not."""
        return self._trigger.reason

    def look(self, fleet: Fleet, moved: list[Moved], maintenance: tuple[str, ...], now_s: float) -> bool:
        """Look at the hosts; return whether there is something else to say than before."""
        before = self._trigger.reason
        self._trigger = self._trigger.look(host_loads(fleet, moved, maintenance, now_s), self._limits, now_s)
        return self._trigger.reason != before
