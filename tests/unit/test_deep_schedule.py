from kvmtui.engine.deep_schedule import DeepSchedule

ACTIVE = [f"vm{number}" for number in range(100)]


def pick(
    schedule: DeepSchedule,
    last: dict[str, float],
    *,
    now_s: float,
    selected: str | None = None,
    visible: tuple[str, ...] = (),
    silent: tuple[str, ...] = (),
) -> list[str]:
    return schedule.next(ACTIVE, selected, visible, silent, last.get, now_s, 1.0)


def test_selected_first_then_visible_then_the_rest() -> None:
    picked = pick(DeepSchedule(), {}, now_s=0.0, selected="vm50", visible=("vm60", "vm61"))
    assert picked[0] == "vm50"
    assert set(picked[1:3]) == {"vm60", "vm61"}
    assert 3 < len(picked) < 20


def test_a_silent_vm_is_left_alone() -> None:
    assert "vm50" not in pick(DeepSchedule(), {}, now_s=0.0, selected="vm50", silent=("vm50",))


def test_nothing_is_asked_before_it_is_due() -> None:
    last = dict.fromkeys(ACTIVE, 100.0)
    assert pick(DeepSchedule(), last, now_s=100.2, selected="vm1", visible=("vm2",)) == []
    assert pick(DeepSchedule(), last, now_s=101.0, selected="vm1", visible=("vm2",)) == ["vm1"]
    assert pick(DeepSchedule(), last, now_s=102.0, selected="vm1", visible=("vm2",)) == ["vm1", "vm2"]


def test_everybody_has_a_turn() -> None:
    schedule, last = DeepSchedule(), dict[str, float]()
    for second in range(30):
        for uuid in pick(schedule, last, now_s=float(second), selected="vm1", visible=("vm2", "vm3")):
            last[uuid] = float(second)
    assert set(last) == set(ACTIVE)


def test_an_expensive_host_is_asked_less() -> None:
    schedule = DeepSchedule()
    cheap = len(pick(schedule, {}, now_s=0.0))
    for _ in range(20):
        schedule.measured(1, 0.05)
    assert len(pick(schedule, {}, now_s=0.0)) == 1 < cheap
