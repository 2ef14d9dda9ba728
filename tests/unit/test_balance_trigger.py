"""When the hint comes and goes."""

from collections.abc import Sequence

import pytest

from kvmtui.model.balance_load import GIB, HostLoad, Limits
from kvmtui.model.balance_trigger import Trigger

LIMITS = Limits()
Look = tuple[float, float, float]
"""When, and the CPU of both hosts."""


def hosts(first: float, second: float, memory: float = 0.3) -> list[HostLoad]:
    used = int(memory * 100 * GIB)
    return [
        HostLoad("a", "h1", 16, first, 100 * GIB, used),
        HostLoad("b", "h2", 16, second, 100 * GIB, 30 * GIB),
    ]


def watch(looks: Sequence[Look]) -> Trigger:
    trigger = Trigger()
    for now_s, first, second in looks:
        trigger = trigger.look(hosts(first, second), LIMITS, now_s)
    return trigger


@pytest.mark.parametrize(
    ("looks", "raised"),
    [
        ([(0, 0.8, 0.2), (60, 0.8, 0.2), (120, 0.8, 0.2)], False),
        ([(0, 0.8, 0.2), (60, 0.8, 0.2), (120, 0.8, 0.2), (180, 0.8, 0.2)], True),
        # Many looks in one window are one.
        ([(0, 0.8, 0.2), (60, 0.8, 0.2), (61, 0.8, 0.2), (62, 0.8, 0.2), (63, 0.8, 0.2)], False),
        # A window that was even in between begins anew.
        ([(0, 0.8, 0.2), (60, 0.8, 0.2), (120, 0.8, 0.2), (180, 0.3, 0.2), (240, 0.8, 0.2)], False),
        ([(0, 0.39, 0.2), (60, 0.39, 0.2), (120, 0.39, 0.2), (180, 0.39, 0.2)], False),
        # Even, but both over their limit.
        ([(0, 0.9, 0.9), (60, 0.9, 0.9), (120, 0.9, 0.9), (180, 0.9, 0.9)], True),
        # Once raised, it goes only when they are clearly even again.
        ([(0, 0.8, 0.2), (60, 0.8, 0.2), (120, 0.8, 0.2), (180, 0.8, 0.2), (240, 0.37, 0.2)], True),
        ([(0, 0.8, 0.2), (60, 0.8, 0.2), (120, 0.8, 0.2), (180, 0.8, 0.2), (240, 0.34, 0.2)], False),
    ],
)
def test_hint(looks: Sequence[Look], raised: bool) -> None:
    trigger = watch(looks)
    assert (trigger.raised, bool(trigger.reason)) == (raised, raised)


RAISED = [(0.0, 0.7, 0.2), (60.0, 0.7, 0.2), (120.0, 0.7, 0.2), (180.0, 0.7, 0.2)]


def test_says_why() -> None:
    assert watch(RAISED).reason == "CPU 20-70 %"
    assert watch([(now_s, 0.9, 0.2) for now_s, _, _ in RAISED]).reason == "h1 CPU 90 %"
    trigger = Trigger()
    for now_s, _, _ in RAISED:
        trigger = trigger.look(hosts(0.2, 0.2, memory=0.6), LIMITS, now_s)
    assert trigger.reason == "memory 30-60 %"


def test_begins_anew_when_other_hosts_take_part() -> None:
    trigger = watch(RAISED)
    one = hosts(0.7, 0.2)[:1]
    assert not trigger.look(one, LIMITS, 240).raised
    back = trigger.look(one, LIMITS, 240).look(hosts(0.7, 0.2), LIMITS, 300)
    assert (back.uneven_windows, back.raised) == (0, False)
