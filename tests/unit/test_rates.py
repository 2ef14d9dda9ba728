import pytest

from kvmtui.model.rates import devices_rate, rate


@pytest.mark.parametrize(
    ("old", "new", "elapsed_s", "expected"),
    [
        (100, 300, 2.0, 100.0),
        (100, 100, 1.0, 0.0),
        (300, 100, 1.0, None),
        (None, 100, 1.0, None),
        (100, None, 1.0, None),
        (100, 300, 0.0, None),
        (100, 300, -1.0, None),
        (100, 300, 11.0, None),
        (100, 300, float("inf"), None),
    ],
)
def test_rate(old: int | None, new: int | None, elapsed_s: float, expected: float | None) -> None:
    assert rate(old, new, elapsed_s, max_gap_s=10.0) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"vda": 10, "vdb": 20}, {"vdb": 120, "vda": 10}, 100.0),
        ({"vda": 10}, {"vda": 20, "vdb": 1_000_000}, 10.0),
        ({"vda": 10, "vdb": 5}, {"vda": 20}, 10.0),
        ({"vda": 10, "vdb": 50}, {"vda": 20, "vdb": 0}, None),
        ({"vda": 10}, {"vdb": 20}, None),
        ({}, {}, 0.0),
        (None, {"vda": 1}, None),
        ({"vda": 1}, None, None),
    ],
)
def test_devices_are_matched_by_name(
    old: dict[str, int] | None, new: dict[str, int] | None, expected: float | None
) -> None:
    assert devices_rate(old, new, 1.0, max_gap_s=10.0) == expected
