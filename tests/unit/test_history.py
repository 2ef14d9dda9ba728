import pytest

from kvmtui.model.history import COARSE, FINE, History, Metric

CPU = Metric.CPU_CORES
UNKNOWN = float("nan")


def about(*values: float | None) -> list[object]:
    """Return what reads as these values, to the half percent that is kept."""
    return [None if value is None else pytest.approx(value, rel=5e-3) for value in values]


def record(history: History, since_s: float, until_s: float, **cpu: float) -> None:
    """Commit a CPU figure for each VM named."""
    unknown = [UNKNOWN] * len(cpu)
    history.commit(tuple(cpu), [list(cpu.values()), *[unknown] * (len(Metric) - 1)], since_s, until_s)


def test_a_figure_fills_the_time_it_holds_for() -> None:
    history = History()
    record(history, 10.2, 13.1, a=2.0)
    assert history.read("a", CPU, 14.0, 1, 5) == about(None, 2.0, 2.0, 2.0, None)


def test_unknown_is_a_gap_and_old_values_are_overwritten() -> None:
    history = History()
    record(history, 0.0, 1.0, a=1.0)
    record(history, 1.0, 2.0, a=UNKNOWN)
    record(history, 2.0, 3.0, a=3.0)
    assert history.read("a", CPU, 3.0, 1, 3) == about(1.0, None, 3.0)
    later = 3.0 + FINE
    record(history, later - 1, later, a=9.0)
    assert history.read("a", CPU, later, 1, FINE) == about(*[None] * (FINE - 1), 9.0)


def test_metrics_do_not_mix() -> None:
    history = History()
    history.commit(("a",), [[float(metric + 1)] for metric in Metric], 0, 1)
    assert [history.read("a", metric, 1.0, 1, 1)[0] for metric in Metric] == about(*[m + 1.0 for m in Metric])


def test_time_not_written_is_unknown() -> None:
    history = History()
    assert history.read("a", CPU, 100.0, 1, 2) == [None, None]
    record(history, 0.0, 1.0, a=1.0)
    assert history.read("a", CPU, 5000.0, 1, 2) == [None, None]
    record(history, 5000.0, 5001.0, a=2.0)
    assert history.read("a", CPU, 5001.0, 1, 2) == about(None, 2.0)


def test_seconds_already_written_stay() -> None:
    history = History()
    record(history, 0.0, 5.0, a=1.0)
    record(history, 2.0, 6.0, a=2.0)
    assert history.read("a", CPU, 6.0, 1, 6) == about(1.0, 1.0, 1.0, 1.0, 1.0, 2.0)


@pytest.mark.parametrize("value", [0.0, 1e-6, 0.003, 1.0, 3.14159, 2.5e9, 7e13])
def test_values_are_kept_to_half_a_percent(value: float) -> None:
    history = History()
    record(history, 0.0, 1.0, a=value)
    assert history.read("a", CPU, 1.0, 1, 1) == about(value)


def test_steps_are_means_and_do_not_change_while_they_move() -> None:
    history = History()
    for second in range(1, 41):
        record(history, second - 1, second, a=float(second))
    assert history.read("a", CPU, 40.0, 10, 4) == about(5.5, 15.5, 25.5, 35.5)
    record(history, 40, 41, a=100.0)
    assert history.read("a", CPU, 41.0, 10, 4) == about(15.5, 25.5, 35.5, 100.0)


def test_hours_are_kept_by_ten_seconds() -> None:
    history = History()
    for second in range(1, 3601):
        record(history, second - 1, second, a=2.0 if second <= 1800 else 4.0)
    assert history.read("a", CPU, 3600.0, 60, 60) == about(*[2.0] * 30, *[4.0] * 30)
    assert history.read("a", CPU, 3600.0, 10, 361)[0] is None


def test_a_step_of_which_a_second_is_unknown_is_unknown_in_the_long_run() -> None:
    history = History()
    for second in range(1, 1001):
        record(history, second - 1, second, a=UNKNOWN if second == 15 else 2.0)
    assert history.read("a", CPU, 1000.0, 10, 100)[:3] == about(2.0, None, 2.0)


def test_the_oldest_hours_are_overwritten() -> None:
    history = History()
    end = COARSE * 10 + 100
    for second in range(1, end + 1):
        record(history, second - 1, second, a=1.0 if second <= 100 else 2.0)
    read = history.read("a", CPU, float(end), 10, COARSE + 10)
    assert read[:10] == [None] * 10
    assert read[10:] == about(*[2.0] * COARSE)


def test_a_forgotten_vm_leaves_its_place_to_another_but_not_its_past() -> None:
    history = History()
    record(history, 0.0, 5.0, a=1.0, b=2.0)
    record(history, 5.0, 6.0, c=3.0, b=2.0)
    assert history.read("a", CPU, 6.0, 1, 6) == [None] * 6
    assert history.read("c", CPU, 6.0, 1, 3) == about(None, None, 3.0)
    assert history.read("b", CPU, 6.0, 1, 3) == about(2.0, 2.0, 2.0)


def test_a_place_taken_over_in_the_middle_of_a_step_has_no_share_in_that_step() -> None:
    history = History()
    for second in range(1, 1001):
        record(history, second - 1, second, **{"a" if second <= 315 else "b": 1.0 if second <= 315 else 3.0})
    steps = history.read("b", CPU, 1000.0, 10, 100)
    assert steps[31:34] == about(None, 3.0, 3.0)


def test_a_step_that_begins_in_a_gap_is_the_mean_of_its_own_seconds_only() -> None:
    history = History()
    record(history, 0, 5, a=1.0)
    record(history, 13, 20, a=3.0)
    for second in range(21, 1001):
        record(history, second - 1, second, a=2.0)
    assert history.read("a", CPU, 1000.0, 10, 100)[:3] == about(None, 3.0, 2.0)


def test_what_stands_still_is_the_same_row_and_what_moves_a_new_one() -> None:
    history = History()
    uuids, still = ("a", "b"), [1.0, 2.0]
    for second in range(1, 31):
        moving = [float(second), 0.0]
        history.commit(uuids, [moving, still, still, still, still, still], second - 1, second)
    assert history.read("a", CPU, 30.0, 1, 3) == about(28.0, 29.0, 30.0)
    assert history.read("a", CPU, 30.0, 10, 3) == about(5.5, 15.5, 25.5)
    assert history.read("b", Metric.DISK_READ, 30.0, 10, 3) == about(2.0, 2.0, 2.0)
    kept = [[history._fine.packed(second, metric) for second in range(1, 31)] for metric in (Metric.NET_IN, CPU)]
    assert [len(set(map(id, rows))) for rows in kept] == [1, 30]


def test_another_order_of_the_columns_does_not_mix_vms() -> None:
    history = History()
    record(history, 0, 1, a=1.0, b=2.0, c=3.0)
    record(history, 1, 2, c=3.0, a=1.0)
    record(history, 2, 3, d=4.0, c=3.0, a=1.0)
    assert history.read("a", CPU, 3.0, 1, 3) == about(1.0, 1.0, 1.0)
    assert history.read("c", CPU, 3.0, 1, 3) == about(3.0, 3.0, 3.0)
    assert history.read("d", CPU, 3.0, 1, 3) == about(None, None, 4.0)


def test_means_are_of_what_is_known_in_the_time_asked_for() -> None:
    history = History()
    record(history, 0.0, 10.0, a=100.0, b=100.0)
    record(history, 10.0, 14.0, a=1.0, b=UNKNOWN)
    record(history, 14.0, 20.0, a=6.0, b=2.0)
    means = history.means(CPU, 10.0, 20.0)
    assert means["a"][0] == pytest.approx(4.0, rel=5e-3)
    assert means["b"][0] == pytest.approx(2.0, rel=5e-3)
    assert (means["a"][1], means["b"][1]) == (10, 6)
    assert history.means(CPU, 100.0, 110.0) == {}


def test_means_know_nothing_of_who_had_the_slot_before() -> None:
    history = History()
    record(history, 0.0, 5.0, a=8.0, b=1.0)
    record(history, 5.0, 6.0, b=1.0)
    record(history, 6.0, 10.0, b=1.0, c=2.0)
    means = history.means(CPU, 0.0, 10.0)
    assert means["c"][0] == pytest.approx(2.0, rel=5e-3)
    assert means["c"][1] == 4
    assert "a" not in means


def test_means_of_an_hour_are_of_whole_steps() -> None:
    history = History()
    for second in range(1, 3606):
        record(history, second - 1, second, a=2.0 if second <= 1800 else 4.0, b=UNKNOWN if second == 15 else 1.0)
    means = history.means(CPU, 5.0, 3605.0)
    assert [means[name][0] for name in "ab"] == about((179 * 2.0 + 180 * 4.0) / 359, 1.0)
    assert [means[name][1] for name in "ab"] == [3590, 3580]


def test_means_of_an_hour_know_nothing_of_who_had_the_slot_before() -> None:
    history = History()
    record(history, 0.0, 595.0, a=8.0, b=1.0)
    record(history, 595.0, 605.0, b=1.0)
    record(history, 605.0, 1200.0, b=1.0, c=2.0)
    mean, seconds = history.means(CPU, 0.0, 1200.0)["c"]
    assert [mean] == about(2.0)
    assert seconds == 590
