"""Graphs of characters: pure functions."""

import math

import pytest

from kvmtui.model.format import Quantity
from kvmtui.ui.glyphs import ASCII, UNICODE, Glyphs
from kvmtui.ui.paint import Run, Tone, runs_width
from kvmtui.ui.widgets.graph import (
    Plot,
    Series,
    area,
    ascii_area,
    blocks,
    braille,
    levels,
    meter,
    mini,
    nice_maximum,
    plot_lines,
)

K, M = 1024.0, 1024.0**2


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], [0, 0, 0, 0]),
        ([None, 0.0, 1.0, 2.0], [0, 1, 4, 8]),
        ([1.0], [0, 0, 0, 4]),
        ([9.0, 0.01, 99.0, -1.0, 2.0], [1, 8, 1, 8]),
    ],
)
def test_levels(values: list[float | None], expected: list[int]) -> None:
    assert levels(values, 4, 8, 2.0) == expected


@pytest.mark.parametrize(
    ("values", "width", "height", "expected"),
    [
        ([], 2, 1, ["  "]),
        ([0.0] * 4, 2, 1, ["⣀⣀"]),
        ([1.0] * 4, 2, 1, ["⣿⣿"]),
        ([0.25, 0.5, 0.75, 1.0], 2, 1, ["⣠⣾"]),
        ([None, 1.0, None, None], 2, 1, ["⢸ "]),
        ([1.0, 1.0, 0.5, 0.5], 2, 2, ["⣿ ", "⣿⣿"]),
        ([0.0, 0.0], 2, 2, ["  ", " ⣀"]),
    ],
)
def test_braille(values: list[float | None], width: int, height: int, expected: list[str]) -> None:
    assert braille(values, width, height, 1.0) == expected


def test_braille_hanging() -> None:
    assert braille([0.25, 0.5, 0.75, 1.0], 2, 1, 1.0, down=True) == ["⠙⢿"]
    assert braille([1.0, 1.0, 0.5, 0.5], 2, 2, 1.0, down=True) == ["⣿⣿", "⣿ "]


def test_braille_without_a_maximum_is_flat() -> None:
    assert braille([5.0, 5.0], 1, 1, 0.0) == ["⣀"]


def test_blocks() -> None:
    assert blocks([0.0, 0.5, 1.0, None], 5, 1, 1.0) == [" ▁▄█ "]
    assert blocks([0.0, 0.5, 0.75, 1.0], 4, 2, 1.0) == ["  ▄█", "▁███"]


def test_mini() -> None:
    assert mini([0.0, 2.0, 4.0], 4, 4.0) == " ▁▄█"
    assert mini([0.0, 2.0, 4.0], 4, 4.0, ASCII) == " _-@".replace("-", ASCII.levels[3])
    assert mini([1.0], 0, 4.0) == ""


def test_ascii() -> None:
    assert ascii_area([0.0, 0.5, 1.0, None], 4, 2, 1.0) == ["  # ", ".## "]
    assert all(line.isascii() for line in area([0.3] * 9, 9, 3, 1.0, ASCII))


@pytest.mark.parametrize(("fraction", "full"), [(None, 0), (0.0, 0), (0.001, 1), (0.5, 5), (1.0, 10), (1.7, 10)])
def test_meter(fraction: float | None, full: int) -> None:
    filled, empty = meter(fraction, 10)
    assert (len(filled), len(empty)) == (full, 10 - full)


@pytest.mark.parametrize(
    ("peak", "current", "expected"),
    [
        (0.0, 0.0, 100 * K),
        (101 * K, 0.0, 200 * K),
        (600 * K, 0.0, M),
        (1.1 * M, 0.0, 2 * M),
        (30 * M, 20 * M, 50 * M),
        (19 * M, 20 * M, 20 * M),
        (4.1 * M, 20 * M, 20 * M),
        (3.9 * M, 20 * M, 5 * M),
        (0.0, 20 * M, 100 * K),
    ],
)
def test_nice_maximum(peak: float, current: float, expected: float) -> None:
    assert nice_maximum(peak, current) == expected


ONE = Plot("CPU", (Series([0.5] * 400, Quantity("50", "%")),), 1.0, "of 100 %", note="ready 0.4 %", absolute=True)
TWO = Plot(
    "DISK",
    (Series([0.5] * 400, Quantity("1.2", "M/s"), "read"), Series([0.2] * 400, Quantity("0"), "write")),
    1.0,
    "of 2.0 M/s",
)


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("plot", [ONE, TWO])
@pytest.mark.parametrize("height", range(7))
@pytest.mark.parametrize("width", [0, 1, 5, 20, 38, 100])
def test_plots_never_overflow(plot: Plot, width: int, height: int, glyphs: object) -> None:
    lines = plot_lines(plot, width, height, glyphs)  # type: ignore[arg-type]
    assert len(lines) == (height if width else 0)
    assert all(runs_width(line) <= width for line in lines)


def test_title_and_scale() -> None:
    text = "".join(text for text, _ in plot_lines(ONE, 40, 3, UNICODE)[0])
    assert text.startswith("CPU 50 %")
    assert text.endswith("ready 0.4 %   of 100 %")


def test_second_series_hangs_in_its_own_tone() -> None:
    lines = plot_lines(TWO, 40, 5, UNICODE)
    assert [line[0][1] for line in lines[1:]] == [Tone.GRAPH, Tone.GRAPH, Tone.GRAPH2, Tone.GRAPH2]


def test_two_series_in_one_line_stand_side_by_side() -> None:
    line = plot_lines(TWO, 41, 2, UNICODE)[1]
    assert [tone for _, tone in line if tone is not Tone.TEXT] == [Tone.GRAPH, Tone.GRAPH2]


def test_near_a_real_limit_it_is_a_warning() -> None:
    assert [line[0][1] for line in plot_lines(ONE, 40, 5, UNICODE)[1:]] == [
        Tone.WARNING,
        Tone.GRAPH,
        Tone.GRAPH,
        Tone.GRAPH,
    ]


WANDERING = [0.5 + 0.45 * math.sin(number * 1.7) for number in range(60)]


def drawn_until(newest: int, *, series: int = 1, marked: int = -1, glyphs: Glyphs = UNICODE) -> list[list[Run]]:
    """Return the lines of a graph of ten cells of which `newest` is the number of the newest value."""
    values = WANDERING[: newest + 1]
    plot = Plot("", (Series(values, Quantity("")),) * series, 1.0, newest=newest, marked=marked)
    return plot_lines(plot, 10, 5, glyphs)[1:]


def texts(lines: list[list[Run]]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


@pytest.mark.parametrize("series", [1, 2])
@pytest.mark.parametrize("even", range(24, 50, 2))
def test_a_graph_that_moves_by_one_value_changes_all_cells_every_other_time_only(even: int, series: int) -> None:
    before, first, second = (texts(drawn_until(newest, series=series)) for newest in (even - 1, even, even + 1))
    assert [line[:-1] for line in first] == [line[1:] for line in before]
    assert [line[:-1] for line in second] == [line[:-1] for line in first]
    assert first != before


@pytest.mark.parametrize("newest", [40, 41])
def test_the_newest_value_is_seen_at_once(newest: int) -> None:
    pair = [WANDERING[newest]] * 2 if newest % 2 == 0 else WANDERING[newest - 1 : newest + 1]
    assert [line[-1] for line in texts(drawn_until(newest))] == braille(pair, 1, 4, 1.0)


def test_a_flat_graph_stands_still() -> None:
    plots = [Plot("", (Series([0.2] * 99, Quantity("")),), 1.0, newest=newest) for newest in range(4)]
    assert len({tuple(texts(plot_lines(plot, 10, 5, UNICODE))) for plot in plots}) == 1


@pytest.mark.parametrize(
    ("newest", "marked", "cell"), [(41, 0, 9), (41, 1, 9), (41, 2, 8), (40, 0, 9), (40, 1, 8), (40, 2, 8), (40, 18, 0)]
)
def test_the_mark_is_where_the_value_is(newest: int, marked: int, cell: int) -> None:
    assert [line.index(UNICODE.mark) for line in texts(drawn_until(newest, marked=marked))] == [cell] * 4


def test_where_each_value_has_a_cell_a_graph_moves_by_one() -> None:
    before, after = (texts(drawn_until(newest, glyphs=ASCII)) for newest in (40, 41))
    assert [line[:-1] for line in after] == [line[1:] for line in before]
    assert texts(drawn_until(40, marked=3, glyphs=ASCII))[0].index(ASCII.mark) == 6
