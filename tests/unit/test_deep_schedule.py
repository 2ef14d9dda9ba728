import time
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from kvmtui.engine import deep_schedule
from kvmtui.engine.deep_schedule import DeepSchedule
from kvmtui.hypervisor.protocol import Connection

ACTIVE = frozenset(f"vm{number}" for number in range(100))
SCREEN = [f"vm{number}" for number in range(40)]


def never(uuid: str) -> None:
    """Tell that a VM has not been looked at yet."""


def pick(
    schedule: DeepSchedule,
    last_at_s: Callable[[str], float | None],
    *,
    now_s: float,
    active: frozenset[str] = ACTIVE,
    selected: str | None = None,
    visible: Sequence[str] = (),
    silent: tuple[str, ...] = (),
    interval_s: float = 1.0,
) -> list[str]:
    return schedule.next(active, selected, visible, silent, last_at_s, now_s, interval_s)


class Watched:
    """A host that is looked at every tick, and when each of its VMs was."""

    def __init__(
        self, active: frozenset[str] = ACTIVE, visible: Sequence[str] = SCREEN, interval_s: float = 1.0
    ) -> None:
        self.schedule = DeepSchedule()
        self.active = active
        self.visible = visible
        self.interval_s = interval_s
        self.now_s = 1000.0
        self.last: dict[str, float] = {}

    def ticks(self, count: int) -> Iterator[list[str]]:
        for _ in range(count):
            picked = pick(
                self.schedule,
                self.last.get,
                now_s=self.now_s,
                active=self.active,
                selected=self.visible[0],
                visible=self.visible,
                interval_s=self.interval_s,
            )
            assert len(picked) == len(set(picked))
            yield picked
            # Told a little after the tick began, as in life.
            self.last |= dict.fromkeys(picked, self.now_s + 0.02)
            self.now_s += self.interval_s

    def oldest_s(self) -> float:
        """How old the oldest figure on the screen is at a tick that comes before the answer to the present one."""
        return max(self.now_s - self.last[uuid] for uuid in self.visible)


def test_selected_first_then_visible_then_the_rest() -> None:
    picked = pick(DeepSchedule(), never, now_s=0.0, selected="vm50", visible=("vm60", "vm61"))
    assert picked[:3] == ["vm50", "vm60", "vm61"]
    assert 3 < len(picked) < 40


def test_a_silent_vm_and_one_that_does_not_run_are_left_alone() -> None:
    picked = pick(DeepSchedule(), never, now_s=0.0, selected="vm50", visible=("vm60", "off"), silent=("vm50",))
    assert picked[0] == "vm60"
    assert not {"vm50", "off"} & set(picked)


def test_nothing_is_asked_before_it_is_due() -> None:
    last = dict.fromkeys(ACTIVE, 100.0)

    def picked(now_s: float) -> list[str]:
        return pick(DeepSchedule(), last.get, now_s=now_s, selected="vm1", visible=("vm2",))

    assert picked(100.2) == []
    assert picked(101.0) == ["vm1"]
    assert picked(103.0) == ["vm1", "vm2"]
    assert set(picked(161.0)) > {"vm1", "vm2"}


def test_what_appears_on_screen_is_looked_at_at_once() -> None:
    first = next(Watched().ticks(1))
    assert first[:40] == SCREEN


def test_no_figure_on_screen_gets_too_old_and_the_looks_are_spread() -> None:
    for interval_s in (0.5, 1.0, 2.0, 5.0):
        watched = Watched(interval_s=interval_s)
        for tick, picked in enumerate(watched.ticks(60)):
            if tick < 10:
                continue
            # What a tick asks is told by the next.
            assert watched.oldest_s() + interval_s <= max(5.0, 2 * interval_s) + 0.5
            if interval_s == 1.0:
                assert watched.oldest_s() + interval_s < 4.5
                assert len(set(picked) & set(SCREEN)) <= 14
                assert picked[0] == SCREEN[0]


def test_few_on_the_screen_are_looked_at_together() -> None:
    watched = Watched(active=ACTIVE, visible=SCREEN[:5])
    looks = [[uuid for uuid in picked if uuid in SCREEN[1:5]] for picked in watched.ticks(30)]
    assert {len(together) for together in looks} == {0, 4}
    assert watched.oldest_s() < 4.5


def test_everybody_has_a_turn_and_not_more_than_one_in_a_minute() -> None:
    watched = Watched()
    looks = dict.fromkeys(ACTIVE, 0)
    for picked in watched.ticks(62):
        for uuid in picked:
            looks[uuid] += 1
    others = [looks[uuid] for uuid in ACTIVE - set(SCREEN)]
    assert min(others) == 1
    assert max(others) <= 2
    # After the first time they come spread.
    later = [len(set(picked) - set(SCREEN)) for picked in watched.ticks(60)]
    assert max(later) <= 6
    assert all(not any(later[at + 1 : at + 3]) for at, looks in enumerate(later) if looks)
    assert sum(later) >= len(others) - 10


def test_one_that_came_meanwhile_has_its_turn() -> None:
    watched = Watched()
    for _ in watched.ticks(20):
        pass
    watched.active |= {"new"}
    assert any("new" in picked for picked in watched.ticks(61))
    watched.active -= {"new"}
    watched.last.clear()
    assert not any("new" in picked for picked in watched.ticks(61))


def test_an_expensive_host_is_asked_less() -> None:
    schedule = DeepSchedule()
    cheap = len(pick(schedule, never, now_s=0.0))
    for _ in range(20):
        schedule.measured(1, 0.05)
    assert len(pick(schedule, never, now_s=3.0)) == 1 < cheap
    # What is on screen goes further, but has its bounds too; the selected one is always among it.
    picked = pick(schedule, never, now_s=6.0, selected="vm30", visible=SCREEN)
    assert picked[0] == "vm30"
    assert 3 <= len(picked) <= 5
    assert len(set(picked) - set(SCREEN)) == 1


def test_a_big_host_is_not_gone_through() -> None:
    asked: list[str] = []

    def last_at_s(uuid: str) -> float:
        asked.append(uuid)
        return 999.9

    active = frozenset(f"vm{number}" for number in range(5000))
    schedule = DeepSchedule()
    for tick in range(3):
        assert pick(schedule, last_at_s, now_s=1000.0 + tick / 10, active=active, visible=SCREEN) == []
        assert len(asked) <= 150
        asked.clear()


class Slow:
    """A connection that notes what it is asked, and a clock that every call moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 0.0
        self.calls: list[list[str]] = []
        self.busy: dict[str, int] = {}
        """How often VMs are left out yet, for somebody else looks at them."""
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(time, "sleep", self.pass_s)

    def pass_s(self, seconds: float) -> None:
        self.now_s += seconds

    def deep(self, uuids: list[str]) -> tuple[SimpleNamespace, ...]:
        self.calls.append(uuids)
        self.now_s += len(uuids)
        left_out = {uuid for uuid in uuids if self.busy.get(uuid)}
        self.busy |= {uuid: self.busy[uuid] - 1 for uuid in left_out}
        return tuple(SimpleNamespace(uuid=uuid) for uuid in uuids if uuid not in left_out)


def test_a_look_at_many_lets_others_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    samples, asked_s = deep_schedule.look(cast("Connection", slow), SCREEN)
    assert [uuid for call in slow.calls for uuid in call] == SCREEN
    assert len(samples) == len(SCREEN)
    assert max(len(call) for call in slow.calls) <= 10
    # The breathers cost the host nothing.
    assert asked_s == 40 < slow.now_s


def test_a_vm_that_somebody_else_looks_at_is_tried_again_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow(monkeypatch)
    slow.busy = {"vm3": 2, "vm4": 1000}
    samples, asked_s = deep_schedule.look(cast("Connection", slow), ["vm2", "vm3", "vm4"])
    assert [sample.uuid for sample in samples] == ["vm2", "vm3"]
    assert slow.calls == [["vm2", "vm3", "vm4"], ["vm3", "vm4"], ["vm3", "vm4"]]
    assert asked_s == 7 < slow.now_s < 7.5
