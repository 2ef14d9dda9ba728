from kvmtui.model.history import SECONDS, History, Metric


def test_a_rate_fills_the_time_it_was_measured_over() -> None:
    history = History()
    history.record("a", Metric.CPU_CORES, 10.2, 13.1, 2.0)
    assert history.read("a", Metric.CPU_CORES, 14.0, 5) == [None, 2.0, 2.0, 2.0, None]


def test_unknown_is_a_gap_and_old_values_are_overwritten() -> None:
    history = History()
    history.record("a", Metric.NET_IN, 0.0, 1.0, 1.0)
    history.record("a", Metric.NET_IN, 1.0, 2.0, None)
    history.record("a", Metric.NET_IN, 2.0, 3.0, 3.0)
    assert history.read("a", Metric.NET_IN, 3.0, 3) == [1.0, None, 3.0]
    later = 3.0 + SECONDS
    history.record("a", Metric.NET_IN, later - 1, later, 9.0)
    assert history.read("a", Metric.NET_IN, later, SECONDS) == [None] * (SECONDS - 1) + [9.0]


def test_a_time_never_written_is_unknown() -> None:
    history = History()
    assert history.read("a", Metric.CPU_CORES, 100.0, 2) == [None, None]
    history.record("a", Metric.CPU_CORES, 0.0, 1.0, 1.0)
    assert history.read("a", Metric.CPU_CORES, 5000.0, 2) == [None, None]


def test_forgotten_vms_cost_nothing() -> None:
    history = History()
    history.record("a", Metric.CPU_CORES, 0.0, 1.0, 1.0)
    history.record("b", Metric.CPU_CORES, 0.0, 1.0, 1.0)
    history.forget({"b"})
    assert history.read("a", Metric.CPU_CORES, 1.0, 1) == [None]
    assert history.read("b", Metric.CPU_CORES, 1.0, 1) == [1.0]
