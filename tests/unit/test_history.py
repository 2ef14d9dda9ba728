import pytest

from kvmtui.model.history import COARSE, FINE, History, Metric

CPU = Metric.CPU_CORES


def about(*values: float | None) -> list[object]:
    """Return what reads as these values, to the four digits that are kept."""
    return [None if value is None else pytest.approx(value, rel=5e-4) for value in values]


def test_a_rate_fills_the_time_it_was_measured_over() -> None:
    history = History()
    history.record("a", CPU, 10.2, 13.1, 2.0)
    assert history.read("a", CPU, 14.0, 1, 5) == about(None, 2.0, 2.0, 2.0, None)


def test_unknown_is_a_gap_and_old_values_are_overwritten() -> None:
    history = History()
    history.record("a", CPU, 0.0, 1.0, 1.0)
    history.record("a", CPU, 1.0, 2.0, None)
    history.record("a", CPU, 2.0, 3.0, 3.0)
    assert history.read("a", CPU, 3.0, 1, 3) == about(1.0, None, 3.0)
    later = 3.0 + FINE
    history.record("a", CPU, later - 1, later, 9.0)
    assert history.read("a", CPU, later, 1, FINE) == about(*[None] * (FINE - 1), 9.0)


def test_time_not_written_is_unknown() -> None:
    history = History()
    assert history.read("a", CPU, 100.0, 1, 2) == [None, None]
    history.record("a", CPU, 0.0, 1.0, 1.0)
    assert history.read("a", CPU, 5000.0, 1, 2) == [None, None]
    history.record("a", CPU, 5000.0, 5001.0, 2.0)
    assert history.read("a", CPU, 5001.0, 1, 2) == about(None, 2.0)


@pytest.mark.parametrize("value", [0.0, 1e-6, 0.003, 1.0, 3.14159, 2.5e9, 7e13])
def test_four_digits_are_kept(value: float) -> None:
    history = History()
    history.record("a", CPU, 0.0, 1.0, value)
    assert history.read("a", CPU, 1.0, 1, 1) == [pytest.approx(value, rel=5e-4)]


def test_steps_are_means_and_do_not_change_while_they_move() -> None:
    history = History()
    for second in range(1, 41):
        history.record("a", CPU, second - 1, second, float(second))
    assert history.read("a", CPU, 40.0, 10, 4) == about(5.5, 15.5, 25.5, 35.5)
    history.record("a", CPU, 40, 41, 100.0)
    assert history.read("a", CPU, 41.0, 10, 4) == about(15.5, 25.5, 35.5, 100.0)


def test_a_step_of_which_little_is_known_is_the_mean_of_what_is() -> None:
    history = History()
    history.record("a", CPU, 4.0, 6.0, 8.0)
    assert history.read("a", CPU, 10.0, 10, 1) == about(8.0)


def test_hours_are_kept_by_ten_seconds() -> None:
    history = History()
    for second in range(1, 3601):
        history.record("a", CPU, second - 1, second, 2.0 if second <= 1800 else 4.0)
    hour = history.read("a", CPU, 3600.0, 60, 60)
    assert hour == about(*[2.0] * 30, *[4.0] * 30)
    assert history.read("a", CPU, 3600.0, 10, 361)[0] is None


def test_the_oldest_hours_are_overwritten() -> None:
    history = History()
    end = COARSE * 10 + 100
    for second in range(1, end + 1):
        history.record("a", CPU, second - 1, second, 1.0 if second <= 100 else 2.0)
    read = history.read("a", CPU, float(end), 10, COARSE + 10)
    assert read[:10] == [None] * 10
    assert read[10:] == about(*[2.0] * COARSE)


def test_forgotten_vms_cost_nothing() -> None:
    history = History()
    history.record("a", CPU, 0.0, 1.0, 1.0)
    history.record("b", CPU, 0.0, 1.0, 1.0)
    history.forget({"b"})
    assert history.read("a", CPU, 1.0, 1, 1) == [None]
    assert history.read("b", CPU, 1.0, 1, 1) == about(1.0)
