"""Which VMs to look at deeply now: what is on screen first, the others in turn, under a budget of the host's time."""

from collections.abc import Callable, Collection, Sequence

# Of one CPU of the host; a deep look costs it about 4 ms per VM (libvirtd and QEMU together).
_SHARE_OF_CPU = 0.05
_FIRST_COST_S = 0.004
_SELECTED_EVERY_S = 1.0
_VISIBLE_EVERY_S = 2.0
_OTHERS_EVERY_S = 10.0
# The rates of a look that comes late by a fraction of a tick would jump between one period and two.
_SLACK_S = 0.3


class DeepSchedule:
    """Picks the VMs of the next deep sample of one host."""

    def __init__(self) -> None:
        self._cost_s = _FIRST_COST_S

    def measured(self, vms: int, duration_s: float) -> None:
        """Learn from a deep sample of `vms` VMs what one costs."""
        if vms:
            self._cost_s = 0.8 * self._cost_s + 0.2 * duration_s / vms

    def next(
        self,
        active: Collection[str],
        selected: str | None,
        visible: Sequence[str],
        silent: Collection[str],
        last_at_s: Callable[[str], float | None],
        now_s: float,
        interval_s: float,
    ) -> list[str]:
        """Return the uuids to look at, most urgent first; `last_at_s` tells when one was last looked at."""
        shown = set(visible)

        def overdue_s(uuid: str) -> float:
            last = last_at_s(uuid)
            period = _SELECTED_EVERY_S if uuid == selected else _VISIBLE_EVERY_S if uuid in shown else _OTHERS_EVERY_S
            return float("inf") if last is None else now_s - last - period + _SLACK_S

        def urgency(uuid: str) -> tuple[bool, bool, float]:
            return uuid != selected, uuid not in shown, -overdue_s(uuid)

        most = max(1, int(_SHARE_OF_CPU * interval_s / self._cost_s))
        due = [uuid for uuid in active if uuid not in silent and overdue_s(uuid) >= 0]
        return sorted(due, key=urgency)[:most]
