"""Figures as text, as tables."""

import pytest

from kvmtui.model.format import age, duration, part, percent, rate, round_trip, size

K, M, G = 1024, 1024**2, 1024**3


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (None, 0, "–"),
        (0.0, 0, "0 %"),
        (1.43, 0, "143 %"),
        (0.004, 1, "0.4 %"),
        (0.9994, 1, "99.9 %"),
        (0.9996, 1, "100 %"),
        (64.0, 0, "6400 %"),
    ],
)
def test_percent(value: float | None, decimals: int, text: str) -> None:
    assert str(percent(value, decimals)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (0.4, "0"),
        (12, "12 B"),
        (999, "999 B"),
        (1000, "1.0 k"),
        (340 * K, "340 k"),
        (9.94 * K, "9.9 k"),
        (9.96 * K, "10 k"),
        (999.4 * K, "999 k"),
        (999.6 * K, "1.0 M"),
        (3.1 * G, "3.1 G"),
        (128 * G, "128 G"),
        (1.2 * 1024 * G, "1.2 T"),
    ],
)
def test_size(value: float | None, text: str) -> None:
    assert str(size(value)) == text


def test_sizes_never_need_more_than_five_cells() -> None:
    assert max(len(str(size(1.07**power))) for power in range(600)) == 5


def test_rate() -> None:
    assert str(rate(1.2 * M)) == "1.2 M/s"
    assert str(rate(0)) == "0"
    assert str(rate(None)) == "–"


@pytest.mark.parametrize(
    ("used", "whole", "text"),
    [
        (3.1 * G, 4 * G, "3.1 of 4.0 G"),
        (15 * G, 16 * G, "15 of 16 G"),
        (0.34 * G, 4 * G, "0.3 of 4.0 G"),
        (20 * M, 4 * G, "<0.1 of 4.0 G"),
        (0, 4 * G, "0.0 of 4.0 G"),
        (None, 8 * G, "– of 8.0 G"),
        (300 * M, None, "300 of – M"),
        (512 * M, 768 * M, "512 of 768 M"),
    ],
)
def test_part(used: float | None, whole: float | None, text: str) -> None:
    assert str(part(used, whole)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (-3, "0 s"),
        (15.9, "15 s"),
        (60, "1 m"),
        (41 * 60 + 59, "41 m"),
        (3 * 3600, "3 h"),
        (86399, "23 h"),
        (12 * 86400, "12 d"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert str(duration(seconds)) == text


def test_age() -> None:
    assert [age(None), age(0.4), age(2.7), age(200)] == ["never", "now", "2 s ago", "3 m ago"]


@pytest.mark.parametrize(("seconds", "text"), [(None, "–"), (0.0002, "<1 ms"), (0.014, "14 ms"), (1.34, "1.3 s")])
def test_round_trip(seconds: float | None, text: str) -> None:
    assert str(round_trip(seconds)) == text
