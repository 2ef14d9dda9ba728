"""Widgets that give their lines to the compositor as they are: it must get what Textual would have given it."""

from importlib.resources import files

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from kvmtui.model.format import Quantity
from kvmtui.ui import bare_lines
from kvmtui.ui.glyphs import UNICODE
from kvmtui.ui.paint import LeanStrip
from kvmtui.ui.widgets.graph import Plot, Series, plot_lines
from tests.graph import Graph
from tests.ui.test_changed_cells import settle

VALUES = [0.5, 0.9, 0.2, 0.7] * 60


def plot(newest: int, number: str = "7") -> Plot:
    return Plot("GRAPH", (Series(VALUES[: 200 + newest], Quantity(number, "%")),), 1.0, absolute=True, newest=newest)


class GraphApp(App[None]):
    """One graph that fills the screen."""

    CSS = files("kvmtui.styles").joinpath("widgets.tcss").read_text()

    def compose(self) -> ComposeResult:
        yield Graph(plot(1))

    @property
    def graph(self) -> Graph:
        return self.query_one(Graph)


def seen(strips: list[Strip]) -> list[tuple[str, Style | None]]:
    """Return every cell."""
    return [(sign, style) for strip in strips for text, style, _ in strip for sign in text]


def check_as_textual(graph: Graph) -> None:
    size = graph.outer_size
    for crop in (size.region, Region(0, 3, size.width, 2), Region(4, 1, 9, 5)):
        actual = graph.render_lines(crop)
        assert [strip.cell_length for strip in actual] == [crop.width] * crop.height
        graph._styles_cache.clear()
        assert seen(actual) == seen(Widget.render_lines(graph, crop))


@pytest.mark.parametrize("no_color", [False, True])
@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-dark"])
async def test_lines_are_those_of_textual(theme: str, no_color: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    app = GraphApp()
    async with app.run_test(size=(60, 10)) as pilot:
        await settle(app, pilot)
        check_as_textual(app.graph)
        before = seen(app.graph.render_lines(app.graph.outer_size.region))
        app.theme = theme
        await settle(app, pilot)
        await settle(app, pilot)
        assert app.graph.bare
        check_as_textual(app.graph)
        changes = theme == "ansi-dark" or (theme == "textual-light" and not no_color)
        assert not changes or seen(app.graph.render_lines(app.graph.outer_size.region)) != before
        await pilot.resize_terminal(44, 7)
        await settle(app, pilot)
        assert app.graph.outer_size == (44, 7)
        check_as_textual(app.graph)
        wanted = ["".join(text for text, _ in line).ljust(44) for line in plot_lines(plot(1), 44, 7, UNICODE)]
        assert [strip.text for strip in app.graph.render_lines(app.graph.outer_size.region)] == wanted


@pytest.mark.parametrize(
    "rule",
    ["border: round red", "padding: 1 2", "opacity: 50%", "tint: red 20%", "outline: round red", "text-opacity: 50%"],
)
async def test_what_style_adds_is_left_to_textual(rule: str) -> None:
    class StyledApp(GraphApp):
        CSS = GraphApp.CSS + f"Graph {{ {rule}; }}"

    app, plain = StyledApp(), GraphApp()
    async with app.run_test(size=(60, 10)) as pilot:
        await settle(app, pilot)
        strips = app.graph.render_lines(app.graph.outer_size.region)
        app.graph._styles_cache.clear()
        assert seen(strips) == seen(Widget.render_lines(app.graph, app.graph.outer_size.region))
    async with plain.run_test(size=(60, 10)) as pilot:
        await settle(plain, pilot)
        assert seen(strips) != seen(plain.graph.render_lines(plain.graph.outer_size.region))


async def test_only_lines_that_look_different_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    app = GraphApp()
    async with app.run_test(size=(60, 10)) as pilot:
        await settle(app, pilot)
        graph = app.graph
        regions: list[Region] = []
        monkeypatch.setattr(graph, "_set_dirty", lambda *areas: regions.extend(areas))
        graph.plot = plot(1)
        assert regions == []
        graph.plot = plot(1, number="8")
        assert regions == [Region(0, 0, 60, 1)]
        regions.clear()
        before = [strip.text for strip in graph.render_lines(graph.outer_size.region)]
        graph.plot = plot(2)
        after = [strip.text for strip in graph.render_lines(graph.outer_size.region)]
        changed = {y for y in range(10) if before[y] != after[y]}
        assert {y for region in regions for y in range(region.y, region.bottom)} == changed
        assert len(regions) < len(changed)


async def test_what_changed_is_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for known in (True, False):
        monkeypatch.setattr(bare_lines, "_SCREEN_IS_KNOWN", known)
        app = GraphApp()
        async with app.run_test(size=(60, 10)) as pilot:
            await settle(app, pilot)
            app.graph.plot = plot(1, number="42")
            await settle(app, pilot)
            assert "GRAPH 42 %" in app.screen._compositor.render_strips()[0].text


def test_installed_textual_is_known() -> None:
    assert bare_lines._SCREEN_IS_KNOWN


async def test_lines_next_to_each_other_are_one_region(monkeypatch: pytest.MonkeyPatch) -> None:
    app = GraphApp()
    async with app.run_test(size=(60, 10)) as pilot:
        await settle(app, pilot)
        regions: list[Region] = []
        monkeypatch.setattr(app.graph, "_set_dirty", lambda *areas: regions.extend(areas))
        app.graph.repaint_lines([])
        assert regions == []
        app.graph.repaint_lines([0, 1, 4, 6, 7, 8])
        assert regions == [Region(0, 0, 60, 2), Region(0, 4, 60, 1), Region(0, 6, 60, 3)]


def test_a_lean_strip_is_a_strip() -> None:
    segments = [Segment("abc", Style(bold=True)), Segment("defg", Style(dim=True))]
    lean, whole = LeanStrip([*segments], 7), Strip(segments, 7)
    assert lean == whole
    assert (lean.text, lean.cell_length, [*lean]) == (whole.text, 7, [*whole])
    assert lean.divide([7]) == [whole]
    assert LeanStrip([*segments], 7).divide([2, 7]) == whole.divide([2, 7])
    assert LeanStrip([*segments], 7).crop(2, 5) == whole.crop(2, 5)
    assert LeanStrip([*segments], 7).apply_style(Style(italic=True)) == whole.apply_style(Style(italic=True))
    with pytest.raises(AttributeError):
        LeanStrip([*segments], 7).nothing_like_it  # noqa: B018
