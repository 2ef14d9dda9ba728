"""Which VMs to look at deeply now: what is on screen first, the others in turn, under a budget of the host's time."""

import math
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from kvmtui.hypervisor.protocol import Connection
from kvmtui.hypervisor.samples import DeepVm

# Of one CPU of the host. What is on screen comes late only where a look at one VM takes tens of milliseconds.
_SHARE_FOR_ALL = 0.2
_SHARE_FOR_OTHERS = 0.02
_FIRST_COST_S = 0.002
_SELECTED_EVERY_S = 1.0
_OTHERS_EVERY_S = 60.0
_OTHERS_PAUSE_S = 3.0
"""Between two looks at others: a few at once wake as many threads, here and there, as one."""
_VISIBLE_OLDEST_S = 5.0
"""How old the figures of a VM on screen may get before newer ones are told."""
# The rates of a look that comes late by a fraction of a tick would jump between one period and two.
_SLACK_S = 0.3
# So many of the others are considered at a time, whether they are due or not.
_CONSIDERED = 100
# So few are asked in one go, and so long the host is left alone then: whoever else uses it waits for one go at most.
_AT_ONCE = 6
_BREATHER_S = 0.03
# Another client's look has a VM for milliseconds, and may come at the same moments as ours.
_TRIES = 3
_AGAIN_AFTER_S = 0.02, 0.08


class DeepSchedule:
    """Picks the VMs of the next deep sample of one host; it takes the same time however many VMs the host has."""

    def __init__(self) -> None:
        self._cost_s = _FIRST_COST_S
        self._active: Collection[str] = ()
        self._running: frozenset[str] = frozenset()
        """The same, quick to tell whether it holds a uuid."""
        self._round: tuple[str, ...] = ()
        """The VMs that ran when the present round of the others began."""
        self._turn = 0
        """Whose turn it is in the round."""
        self._others_at_s = -math.inf
        """When others were last looked at."""

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
        """Return the uuids to look at, most urgent first; `last_at_s` tells when one was last looked at.

        `active` should be the same object for as long as it holds the same.
        """
        if active is not self._active:
            self._active, self._running = active, frozenset(active)

        def age_s(uuid: str) -> float:
            last = last_at_s(uuid)
            return math.inf if last is None else now_s - last + _SLACK_S

        on_screen = dict.fromkeys(visible if selected is None else (selected, *visible))
        ages_s = {uuid: age_s(uuid) for uuid in on_screen if uuid in self._running and uuid not in silent}
        most = self._affordable(_SHARE_FOR_ALL, interval_s)
        picked = _due(ages_s, selected, interval_s)[:most]
        since_s = now_s - self._others_at_s + _SLACK_S
        if since_s < _OTHERS_PAUSE_S:
            return picked
        self._others_at_s = now_s
        span_s = max(interval_s, _OTHERS_PAUSE_S)
        most = min(max(1, most - len(picked)), self._affordable(_SHARE_FOR_OTHERS, span_s))
        return picked + self._others({*on_screen, *silent}, age_s, most, span_s)

    def _affordable(self, share: float, interval_s: float) -> int:
        return max(1, int(share * interval_s / self._cost_s))

    def _others(
        self,
        left_out: Collection[str],
        age_s: Callable[[str], float],
        most: int,
        span_s: float,
    ) -> list[str]:
        """Return the next in turn: the first looks as the budget allows, later ones spread over the period."""
        picked: list[str] = []
        again = math.ceil(len(self._running) * span_s / _OTHERS_EVERY_S)
        for _ in range(min(_CONSIDERED, len(self._running))):
            if len(picked) >= most:
                break
            if self._turn >= len(self._round):
                self._round, self._turn = tuple(self._active), 0
            uuid = self._round[self._turn]
            if uuid in self._running and uuid not in left_out and (age := age_s(uuid)) >= _OTHERS_EVERY_S:
                if age < math.inf:
                    if not again:
                        break
                    again -= 1
                picked.append(uuid)
            self._turn += 1
        return picked


def _due(ages_s: Mapping[str, float], selected: str | None, interval_s: float) -> list[str]:
    """Return which VMs on screen to look at: in every tick an equal part of many, but all that would get too old."""
    # A look is told of a tick later, and one that is left out can only be had in the next tick.
    period_s = max(interval_s, _VISIBLE_OLDEST_S - 2 * interval_s)
    part = math.ceil(len(ages_s) * interval_s / period_s) if len(ages_s) > _AT_ONCE else 0
    oldest_first = sorted(ages_s, key=lambda uuid: (uuid != selected, -ages_s[uuid]))
    return [
        uuid
        for rank, uuid in enumerate(oldest_first)
        if ages_s[uuid] >= (_SELECTED_EVERY_S if uuid == selected or rank < part else period_s)
    ]


def look(connection: Connection, uuids: Sequence[str]) -> tuple[tuple[DeepVm, ...], float]:
    """Return the deep figures of the VMs, and how long the host needed for them.

    Those are left out that other clients' calls have, again and again.
    """
    samples: list[DeepVm] = []
    asked_s = 0.0
    for tried in range(_TRIES):
        if tried:
            time.sleep(random.uniform(*_AGAIN_AFTER_S))  # noqa: S311 - spreads looks, guards nothing
        for start in range(0, len(uuids), _AT_ONCE):
            if start:
                time.sleep(_BREATHER_S)
            started_s = time.monotonic()
            samples += connection.deep(uuids[start : start + _AT_ONCE])
            asked_s += time.monotonic() - started_s
        told = {sample.uuid for sample in samples}
        uuids = [uuid for uuid in uuids if uuid not in told]
        if not uuids:
            break
    return tuple(samples), asked_s
