"""The display that sends only changed cells, against Textual's own: both must leave the same on a terminal."""

import inspect
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import textual
from rich.color import ColorSystem
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual._compositor import ChopsUpdate
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.driver import Driver
from textual.drivers._writer_thread import WriterThread
from textual.drivers.headless_driver import HeadlessDriver
from textual.geometry import Offset, Region, Size
from textual.pilot import Pilot
from textual.screen import ModalScreen, Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Label, Static

from kvmtui.model.vm import VmState
from kvmtui.ui import changed_cells
from kvmtui.ui.app import Dashboard
from kvmtui.ui.cell_output import Piece, ShownCells, clusters
from kvmtui.ui.changed_cells import ChangedCellsApp, _chop_pieces, terminal_busy
from kvmtui.ui.emulator import Emulator
from kvmtui.ui.sequences import change_pen, move_cursor, pen_of
from kvmtui.ui.widgets.vm_table import VmTable
from tests.ui.fleets import NOW_S, make_fleet, make_host, make_vm

COLUMNS, ROWS = 100, 30
Cell = tuple[str, Style]
Picture = list[list[Cell]]
NO_STYLE = Style()


class PictureDriver(HeadlessDriver):
    """A terminal that is seen by nobody, but is one to Textual."""

    is_headless = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.written: list[str] = []
        self.cells: Picture = [[]]
        self.terminal = Emulator(COLUMNS, ROWS, lambda reply: None)
        self.clear()

    def write(self, data: str) -> None:
        self.written.append(data)
        self.terminal.feed(data.encode())

    def clear(self) -> None:
        """Be as the terminal is after Textual has set it up, with nothing on it."""
        self.terminal.feed(b"\x1b[?1049h\x1b[?7l\x1b[?25l\x1b[m\x1b[2J\x1b[H")

    def taken(self) -> str:
        """Return what was written since the last call."""
        text = "".join(self.written)
        self.written.clear()
        return text

    def picture(self) -> Picture:
        """Return all cells; of a space without lines only the background, all that can be seen of it."""
        dirty = self.terminal.take_dirty()
        columns, rows = self.terminal.columns, self.terminal.rows
        if (len(self.cells), len(self.cells[0])) != (rows, columns):
            self.cells = [[(" ", NO_STYLE)] * columns for _ in range(rows)]
            dirty = [*range(rows)]
        for y in dirty:
            line: list[Cell] = []
            for text, style, _ in self.terminal.line(y):
                for sign, width in clusters(text):
                    line += [_seen(sign, style or NO_STYLE), *[("", NO_STYLE)] * (width - 1)]
            self.cells[y] = line + [(" ", NO_STYLE)] * (columns - len(line))
        return [*self.cells]


def _seen(sign: str, style: Style) -> Cell:
    lines = style.underline or style.underline2 or style.strike or style.overline or style.reverse
    return (sign, style) if sign != " " or lines else (" ", _background(style))


@cache
def _background(style: Style) -> Style:
    return Style(bgcolor=style.bgcolor)


class Canvas(Widget):
    """Lines of any characters in any style, of which any region can be drawn again."""

    POOL: tuple[str, ...] = (
        *"abcdefgh 0123456789    ",
        "─",
        "│",
        "▂",
        "▇",
        "⣀",
        "⣿",
        "é",
        "…",
        "●",
        "𝒳",
        "中",
        "日",
        "é",
        "ñ̃",
    )

    def __init__(self, seed: int, *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.random = Random(seed)  # noqa: S311 - a die, not a secret
        self.lines: list[list[tuple[str, int, Style]]] = []
        self.styles_known = [NO_STYLE, Style(color="red"), *(self._style() for _ in range(8))]

    def _style(self) -> Style:
        draw = self.random
        color, background = (
            draw.choice(["", "red", "bright_blue", f"#{draw.randrange(1 << 24):06x}", "color(123)"]) for _ in range(2)
        )
        marks = draw.sample(["bold", "dim", "italic", "underline", "reverse", "strike", "overline", "underline2"], 2)
        words = [*marks[: draw.choice([0, 0, 1, 2])], color]
        return Style.parse(" ".join(filter(None, [*words, background and f"on {background}"])))

    def fill(self, width: int) -> list[tuple[str, int, Style]]:
        """Return random cells."""
        cells: list[tuple[str, int, Style]] = []
        style = self.random.choice(self.styles_known)
        while width > 0:
            if self.random.random() < 0.3:
                style = self.random.choice(self.styles_known)
            sign = self.random.choice(self.POOL)
            size = clusters(sign)[0][1]
            if size <= width:
                cells.append((sign, size, style))
                width -= size
        return cells

    def change(self) -> None:
        """Change a random region."""
        width, height = self.size
        if not self.size:
            return
        while len(self.lines) < height:
            self.lines.append([])
        draw = self.random
        x, y = draw.randrange(width), draw.randrange(height)
        region = Region(x, y, draw.randint(1, width - x), draw.randint(1, min(4, height - y)))
        for row in range(region.y, region.bottom):
            line = self.line(row)
            left = right = 0
            before: list[tuple[str, int, Style]] = []
            after: list[tuple[str, int, Style]] = []
            for cell in line:
                if left + cell[1] <= region.x and not after:
                    before.append(cell)
                    left += cell[1]
            for cell in reversed(line):
                if right + cell[1] <= width - region.right:
                    after.insert(0, cell)
                    right += cell[1]
            self.lines[row] = before + self.fill(width - left - right) + after
        self.refresh(region if draw.random() < 0.8 else region.grow((0, 2, 0, 2)).intersection(self.size.region))

    def line(self, y: int) -> list[tuple[str, int, Style]]:
        """Return a line in the present width."""
        width = self.size.width
        if y >= len(self.lines) or sum(cell[1] for cell in self.lines[y]) != width:
            return [(".", 1, self.styles_known[0])] * width
        return self.lines[y]

    def render_line(self, y: int) -> Strip:
        return Strip([Segment(sign, style) for sign, _, style in self.line(y)], self.size.width)


class Question(ModalScreen[None]):
    """A question over the rest."""

    CSS = "Question { align: center middle; } Question Label { width: 31; height: 5; border: round red; }"

    def compose(self) -> ComposeResult:
        yield Label("日本 shall I? 中")


class Other(Screen[None]):
    """A screen with nothing of the first."""

    def compose(self) -> ComposeResult:
        yield Static("[b]elsewhere[/b] " * 30)


class PlayMixin(App[int]):
    """All that the two apps have in common."""

    CSS = """
    Screen { layers: below above; }
    #left { width: 40%; height: 1fr; dock: left; }
    #over { layer: above; width: 21; height: 6; offset: 30 9; }
    VmTable { height: 12; scrollbar-size: 0 0; }
    VerticalScroll { height: 6; }
    """

    def __init__(self) -> None:
        super().__init__()
        # From the start: Rich and Textual keep the sequences of the first color system a style was drawn in.
        self.console._color_system = ColorSystem.TRUECOLOR
        self.random = Random(5)  # noqa: S311
        self.driver: PictureDriver

    def compose(self) -> ComposeResult:
        yield Canvas(1, id="left")
        yield Canvas(2, id="over")
        yield VmTable()
        with VerticalScroll(can_focus=False):
            yield Static("\n".join(f"[{color}]line {n} {'中' * (n % 5)}[/] é" for n, color in enumerate(_COLORS * 4)))
        yield Canvas(3, id="low")

    def _build_driver(self, headless: bool, inline: bool, mouse: bool, size: tuple[int, int] | None) -> Driver:
        self.driver = PictureDriver(self, size=size)
        self._driver = self.driver
        return self.driver


_COLORS = ["red", "green on blue", "b", "dim", "reverse", "u"]


class StockApp(PlayMixin):
    """As Textual draws."""


class ChangesApp(PlayMixin, ChangedCellsApp[int]):
    """As it is to be drawn."""


Play = StockApp | ChangesApp
Step = Callable[[Play, Pilot[int]], Awaitable[None] | None]


async def settle(app: App[Any], pilot: Pilot[Any]) -> None:
    """Wait until the app has nothing more to draw."""
    for _ in range(100):
        await pilot._wait_for_screen()
        screen = app.screen
        screen._on_timer_update()  # instead of waiting a sixtieth of a second for it
        waiting = (screen._dirty_widgets, screen._layout_required, screen._repaint_required, screen._callbacks)
        if not any(waiting) and app._resize_timer is None and not screen._compositor._dirty_regions:
            return
    raise AssertionError("never done drawing")


def canvas(name: str) -> Step:
    def change(app: Play, pilot: Pilot[int]) -> None:
        if app.screen is app.screen_stack[0]:
            app.query_one(f"#{name}", Canvas).change()

    return change


def table_shows(number: int) -> Step:
    def show(app: Play, pilot: Pilot[int]) -> None:
        draw = app.random
        names = ["web", "日本語", "cafe\u0301", "x" * 40, "db"]
        vms = [
            make_vm(
                f"{names[at % 5]}{at}",
                cpu_cores=draw.random() * 4,
                cpu_recent=tuple(draw.random() * 4 for _ in range(20)),
                state=draw.choice([VmState.RUNNING, VmState.PAUSED, VmState.SHUT_OFF]),
                net_in_bytes_per_s=10 ** draw.uniform(0, 9),
            )
            for at in range(number)
        ]
        table = app.query_one(VmTable)
        table.now_s = NOW_S
        table.fleet = make_fleet(make_host("h1", vms))

    return show


def press(*keys: str) -> Step:
    async def pressing(app: Play, pilot: Pilot[int]) -> None:
        app.query_one(VmTable).focus()
        await pilot.press(*keys)

    return pressing


def scroll(lines: int) -> Step:
    return lambda app, pilot: app.query_one(VerticalScroll).scroll_to(
        y=app.query_one(VerticalScroll).scroll_y + lines, animate=False
    )


def resize(columns: int, rows: int, *, refreshes: int = 0) -> Step:
    """The terminal is another size, loses what it showed, and gets `refreshes` in the old size before the app knows."""

    async def resizing(app: Play, pilot: Pilot[int]) -> None:
        app.driver.terminal.resize(columns, rows)
        app.driver.write("\x1b[2J\x1b[5;5Hgarbage\x1b[m")
        for _ in range(refreshes):
            app.query_one("#low", Canvas).change()
            await pilot.pause()
        await pilot.resize_terminal(columns, rows)

    return resizing


def theme(name: str) -> Step:
    def change(app: Play, pilot: Pilot[int]) -> None:
        app.theme = name

    return change


def input_method_at(x: int, y: int) -> Step:
    def move(app: Play, pilot: Pilot[int]) -> None:
        app.cursor_position = Offset(x, y)
        app.query_one("#low", Canvas).change()

    return move


def show(shown: bool) -> Step:
    def change(app: Play, pilot: Pilot[int]) -> None:
        app.query_one("#over").display = shown

    return change


def offset(x: int, y: int) -> Step:
    def move(app: Play, pilot: Pilot[int]) -> None:
        app.query_one("#over").styles.offset = (x, y)

    return move


def push(screen: type[Screen[None]]) -> Step:
    return lambda app, pilot: app.push_screen(screen())


def pop(app: Play, pilot: Pilot[int]) -> None:
    app.pop_screen()


def others_write(app: Play, pilot: Pilot[int]) -> None:
    app.bell()
    app.driver.write("\x1b]2;a title\x07\x1b[?1003l")
    app.query_one("#left", Canvas).change()


def batch(app: Play, pilot: Pilot[int]) -> None:
    with app.batch_update():
        app.query_one("#left", Canvas).change()
        app.query_one("#low", Canvas).change()


def everything(app: Play, pilot: Pilot[int]) -> None:
    app.refresh()


FUZZ = [canvas(name) for name in ("left", "over", "low") * 7]

SCRIPT: list[tuple[str, list[Step]]] = [
    ("table", [table_shows(300), table_shows(300), table_shows(9), table_shows(300)]),
    ("cursor", [press("j"), press("j", "j"), press("k"), press("pagedown"), press("G"), press("j"), press("g")]),
    ("fuzz", FUZZ * 3),
    ("scrolling", [scroll(1), scroll(1), scroll(5), scroll(-2), scroll(90), scroll(-90)]),
    ("modal", [push(Question), canvas("left"), pop, canvas("left"), push(Question), pop]),
    ("screens", [push(Other), push(Question), pop, pop, canvas("over")]),
    ("show", [show(False), *FUZZ, show(True), *FUZZ]),
    ("moved", [offset(31, 9), offset(32, 10), offset(-3, 2), offset(90, 20), *FUZZ]),
    ("resize", [resize(77, 25), *FUZZ, resize(130, 41), *FUZZ, resize(COLUMNS, ROWS), *FUZZ]),
    ("resize late", [resize(61, 19, refreshes=3), *FUZZ, resize(COLUMNS, ROWS, refreshes=3), *FUZZ]),
    ("theme", [theme("textual-light"), *FUZZ, theme("ansi-dark"), *FUZZ, table_shows(90), theme("textual-dark")]),
    ("input method", [input_method_at(7, 3), input_method_at(99, 29), input_method_at(500, 500), *FUZZ]),
    ("others", [others_write, others_write, batch, everything, canvas("left")]),
    ("table again", [table_shows(300), press("G"), table_shows(300), table_shows(3), *FUZZ]),
]


async def play(app: Play) -> tuple[list[tuple[str, Picture, tuple[int, int]]], int]:
    """Return what can be seen after each step, and how much was written in all."""
    seen = []
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        app.theme = "textual-dark"
        await settle(app, pilot)
        for name, steps in SCRIPT:
            for number, step in enumerate(steps):
                result = step(app, pilot)
                if inspect.isawaitable(result):
                    await result
                await settle(app, pilot)
                seen.append((f"{name} {number}", app.driver.picture(), app.driver.terminal._terminal.cursor))
        return seen, len(app.driver.taken().encode())


async def test_terminal_shows_what_textual_would_show() -> None:
    expected, stock_bytes = await play(StockApp())
    actual, sent_bytes = await play(ChangesApp())
    assert len(actual) == len(expected) > 300
    for (step, picture, cursor), (_, wanted, wanted_cursor) in zip(actual, expected, strict=True):
        for y, (line, wanted_line) in enumerate(zip(picture, wanted, strict=True)):
            wrong = [
                (x, cell, right) for x, (cell, right) in enumerate(zip(line, wanted_line, strict=True)) if cell != right
            ]
            assert not wrong, f"after {step}, line {y}: {wrong[:5]}"
        # A move alone may be written with this frame or with the next; the steps after it show where it ended.
        if not step.startswith(("input method 0", "input method 1", "input method 2")):
            assert cursor == wanted_cursor, step
    assert sent_bytes < stock_bytes / 3


class Clock(Widget):
    """One line that can be told what to say."""

    says = "12:00:00"

    def render_line(self, y: int) -> Strip:
        return Strip([Segment(self.says, Style(color="red"))]).extend_cell_length(self.size.width)


class SmallMixin(PlayMixin):
    CSS = "Clock { height: 1; }"

    def compose(self) -> ComposeResult:
        yield Clock()
        yield Static("nothing ever changes here " * 20)


class SmallApp(SmallMixin, ChangedCellsApp[int]):
    """Little to draw."""

    displays = 0

    def post_display_hook(self) -> None:
        self.displays += 1


async def says(app: SmallApp, pilot: Pilot[int], text: str) -> str:
    """Let the clock say something; return what was written."""
    app.query_one(Clock).says = text
    app.query_one(Clock).refresh()
    await settle(app, pilot)
    return app.driver.taken()


def shown(app: SmallApp) -> str:
    """Return what is on the terminal."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in app.driver.picture())


@pytest.fixture(autouse=True)
def no_late_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changed_cells, "_RESIZED_S", 1000.0)


async def test_only_changed_cells_are_sent_and_nothing_for_no_change() -> None:
    app = SmallApp()
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        await settle(app, pilot)
        await says(app, pilot, "12:00:00")
        assert await says(app, pilot, "12:00:00") == ""
        app.screen.refresh(layout=True)
        await settle(app, pilot)
        assert app.driver.taken() == ""
        assert re.fullmatch("\x1b\\[[0-9;]+m\x1b\\[1;8H1\x1b\\[m\r", await says(app, pilot, "12:00:01"))


async def test_frame_is_one_write_in_synchronized_output_where_the_terminal_knows_it() -> None:
    app = SmallApp()
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        app._sync_available = True
        await settle(app, pilot)
        await says(app, pilot, "12:00:00")
        assert await says(app, pilot, "12:00:00") == ""
        app.query_one(Clock).says = "12:00:02"
        app.query_one(Clock).refresh()
        await settle(app, pilot)
        (frame,) = app.driver.written
        assert frame.startswith("\x1b[?2026h")
        assert frame.endswith("\x1b[?2026l")


async def test_display_hook_is_called_and_input_method_follows_where_no_cell_changed() -> None:
    app = SmallApp()
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        await settle(app, pilot)
        await says(app, pilot, "12:00:00")
        displays = app.displays
        app.cursor_position = Offset(7, 3)
        assert await says(app, pilot, "12:00:00") == "\x1b[4;8H"
        assert await says(app, pilot, "12:00:00") == ""
        assert app.displays >= displays + 2


async def test_color_system_is_the_consoles(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ColorSystem] = []
    changes = ShownCells.changes

    def spy(
        cells: ShownCells, pieces: Iterable[Piece], columns: int, lines: int, system: ColorSystem
    ) -> tuple[str, int, int]:
        seen.append(system)
        return changes(cells, pieces, columns, lines, ColorSystem.TRUECOLOR)

    monkeypatch.setattr(ShownCells, "changes", spy)
    app = SmallApp()
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        app.console._color_system = ColorSystem.STANDARD
        seen.clear()
        await says(app, pilot, "12:00:01")
        app.console._color_system = None
        await says(app, pilot, "12:00:02")
    assert seen[0] is ColorSystem.STANDARD
    assert seen[-1] is ColorSystem.TRUECOLOR


def test_chops_that_do_not_touch_are_two_pieces() -> None:
    chops = {0: Strip([Segment("abcde")]), 5: None, 9: Strip([Segment("xyz")]), 12: Strip([Segment("uvw")])}
    update = ChopsUpdate([chops], [(0, 2, 14)], [[5, 9, 12, 15]])
    pieces = [(y, x, "".join(segment.text for segment in segments)) for y, x, segments in _chop_pieces(update)]
    assert pieces == [(0, 0, "abcde"), (0, 9, "xyzuv")]


async def test_redraw_sends_everything() -> None:
    app = SmallApp()
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        await settle(app, pilot)
        before = app.driver.picture()
        app.driver.clear()
        assert app.driver.picture() != before
        app.refresh()
        await settle(app, pilot)
        assert app.driver.picture() == before


async def test_focus_of_the_terminals_window_redraws_nothing() -> None:
    app = SmallApp()
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        await settle(app, pilot)
        app.driver.taken()
        for event in (events.AppBlur(), events.AppFocus()):
            app.post_message(event)
            await settle(app, pilot)
            await settle(app, pilot)
            assert app.driver.taken() == ""
        app.refresh()
        await settle(app, pilot)
        assert "nothing ever changes" in app.driver.taken()


@pytest.mark.parametrize("event", [events.Resize(Size(COLUMNS, ROWS), Size(COLUMNS, ROWS)), Driver.SignalResume()])
async def test_screen_comes_back_after_suspend_and_after_a_resize_to_the_same_size(
    event: events.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = SmallApp()
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        await settle(app, pilot)
        before = app.driver.picture()
        app.driver.clear()
        monkeypatch.setattr(changed_cells, "_RESIZED_S", 0.001)
        app.post_message(event)
        deadline_s = time.monotonic() + 60
        while app.driver.picture() != before and time.monotonic() < deadline_s:
            await settle(app, pilot)
        assert app.driver.picture() == before


async def test_new_writer_thread_means_an_empty_terminal() -> None:
    app = SmallApp()
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        await settle(app, pilot)
        app.driver._writer_thread = object()  # type: ignore[attr-defined]
        app.driver.clear()
        await says(app, pilot, "12:00:00")
        assert "12:00:00" in shown(app)


@pytest.mark.parametrize("colors", list(ColorSystem)[:3])
def test_colors_are_those_the_console_has(colors: ColorSystem) -> None:
    """Lines of random styles, drawn by Textual and by changes, in each color system."""
    expected, actual = (Emulator(60, 2, lambda reply: None) for _ in range(2))
    source, cells = Canvas(4, id="source"), ShownCells()
    source.POOL = tuple(sign for sign in Canvas.POOL if clusters(sign) == ((sign, 1),) and len(sign) == 1)
    console = Console(force_terminal=True)
    console._color_system = colors
    line = source.fill(60)
    for number in range(300):
        if number % 10 == 0:
            line = source.fill(60)
        for at in source.random.sample(range(len(line)), 4):
            sign, size, _ = line[at]
            line[at] = (
                source.random.choice("x  ") if size == 1 else sign,
                size,
                source.random.choice(source.styles_known),
            )
        copies = [Segment(sign, _anew(style)) for sign, _, style in line]
        expected.feed(("\x1b[H" + Strip(copies).render(console)).encode())
        actual.feed(cells.changes([Piece(0, 0, copies)], 60, 2, colors)[0].encode())
        for terminal in (expected, actual):
            terminal.take_dirty()
        assert seen_line(actual) == seen_line(expected)


def _anew(style: Style) -> Style:
    """Return an equal style that has not been drawn in another color system."""
    names = ("bold", "dim", "italic", "underline", "reverse", "strike", "overline", "underline2")
    marks: Any = {name: True for name in names if getattr(style, name)}
    return Style(color=style.color, bgcolor=style.bgcolor, **marks)


def seen_line(terminal: Emulator) -> list[Cell]:
    """Return the cells of the first line."""
    return [_seen(sign, style or NO_STYLE) for text, style, _ in terminal.line(0) for sign, _ in clusters(text)]


async def check_stands_aside(app: SmallApp, pilot: Pilot[int], caplog: pytest.LogCaptureFixture, why: str) -> None:
    await settle(app, pilot)
    await settle(app, pilot)
    app.driver.taken()
    sent = await says(app, pilot, "13:00:00")
    assert "13:00:00\x1b[0m" in sent  # all of it, in Textual's own way
    await says(app, pilot, "13:00:01")
    assert "nothing ever changes" in shown(app)
    assert [why in record.message for record in caplog.records] == [True]


@pytest.mark.parametrize("version", ["8.2.7", "9.0.0", "0.1", "new"])
async def test_unknown_textual_draws_itself(
    version: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(changed_cells, "_version", lambda: version)
    monkeypatch.setattr(changed_cells, "_VERSION_S", 0.001)
    app = SmallApp()
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        while not caplog.records:
            await pilot.pause(0.001)
        await check_stands_aside(app, pilot, caplog, f"Textual {version}")


async def test_textual_of_another_shape_draws_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def changed(self: object, screen: object, renderable: object, extra: object) -> None:
        """Take more than it did."""

    shapes = ((changed, ("self", "screen", "renderable")), *changed_cells._SHAPES[1:])
    monkeypatch.setattr(changed_cells, "_SHAPES", shapes)
    app = SmallApp()
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        await check_stands_aside(app, pilot, caplog, "other parameters")


def test_display_that_looks_at_other_things_is_strange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changed_cells, "_LOOKED_AT", changed_cells._LOOKED_AT | {"_no_longer_there"})
    assert changed_cells.strange_shape() == "App._display does not use _no_longer_there"


def test_installed_textual_is_known() -> None:
    assert changed_cells.strange_shape() == ""
    assert changed_cells._version() == textual.__version__
    assert changed_cells.strange_version() == ""


async def test_error_leaves_drawing_to_textual(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = SmallApp()
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        await settle(app, pilot)
        before = app.driver.picture()
        app.driver.clear()

        def fail(*arguments: object) -> None:
            raise ZeroDivisionError("on purpose")

        monkeypatch.setattr(ShownCells, "changes", fail)
        app.query_one(Clock).refresh()
        await settle(app, pilot)
        await settle(app, pilot)
        assert app.driver.picture() == before  # not the one line alone: nobody knows what was shown
        await check_stands_aside(app, pilot, caplog, "on purpose")


async def test_headless_and_inline_drivers_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("is_headless", "is_inline", "is_web"):
        monkeypatch.setattr(PictureDriver, "is_headless", False)
        monkeypatch.setattr(PictureDriver, kind, True)
        app = SmallApp()

        def never(*arguments: object) -> str:
            raise AssertionError("must not be asked")

        monkeypatch.setattr(app, "_frame", never)
        async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
            await pilot.pause()
            app.query_one(Clock).refresh()
            await pilot.pause()
            assert app._shown is not None
        monkeypatch.setattr(PictureDriver, kind, False)


@pytest.mark.parametrize(
    ("old", "new", "sequence"),
    [
        ("", "", ""),
        ("1;31", "1;31", ""),
        ("", "31", "\x1b[31m"),
        ("31", "", "\x1b[m"),
        ("39;49", "", ""),
        ("31;44", "32;44", "\x1b[32m"),
        ("38;2;1;2;3;48;2;4;5;6", "38;2;1;2;9;48;2;4;5;6", "\x1b[38;2;1;2;9m"),
        ("38;2;1;2;3;48;2;4;5;6", "48;2;4;5;6", "\x1b[39m"),
        ("1;38;2;1;2;3;48;2;4;5;6", "38;2;1;2;3;48;2;4;5;6", "\x1b[22m"),
        ("1;2;38;2;1;2;3", "2;38;2;1;2;3", "\x1b[22;2m"),  # 22 ends both
        ("4;48;5;123", "21;48;5;123", "\x1b[24;21m"),
        ("21", "4;21", ""),  # of two kinds of underline the last counts
        ("1;3;4;7;9;31", "1", "\x1b[0;1m"),
        ("31;44", "97;104", "\x1b[97;104m"),
        ("53;38;5;9", "38;5;9", "\x1b[55m"),
        ("31;44", "31", "\x1b[49m"),
    ],
)
def test_pen_changes_are_short(old: str, new: str, sequence: str) -> None:
    assert change_pen(pen_of(old, ""), pen_of(new, "")) == sequence


def test_link_is_opened_and_closed() -> None:
    link = "\x1b]8;id=1;http://a\x1b\\"
    assert change_pen(pen_of("31", ""), pen_of("31", link)) == link
    assert change_pen(pen_of("31", link), pen_of("", "")) == "\x1b[m\x1b]8;;\x1b\\"


def test_spaces_of_one_background_look_the_same_unless_something_is_drawn_on_them() -> None:
    assert pen_of("1;31;44", "").blank is pen_of("32;44", "").blank is pen_of("44", "")
    assert pen_of("1;31", "").blank is pen_of("", "")
    for seen in ("4;31", "7;31", "9;31"):
        assert pen_of(seen, "").blank is pen_of(seen, "")
    assert pen_of("31", "a link").blank is pen_of("31", "a link")


@pytest.mark.parametrize(
    ("start", "end", "sequence"),
    [
        ((-1, -1), (0, 0), "\x1b[H"),
        ((-1, -1), (0, 6), "\x1b[7H"),
        ((-1, -1), (9, 6), "\x1b[7;10H"),
        ((4, 6), (4, 6), ""),
        ((4, 6), (5, 6), "\x1b[C"),
        ((4, 6), (90, 6), "\x1b[91G"),
        ((4, 6), (2, 6), "\b\b"),
        ((40, 6), (2, 6), "\x1b[3G"),
        ((40, 6), (0, 6), "\r"),
        ((4, 6), (4, 7), "\x0b"),
        ((4, 6), (1, 7), "\x0b\b\b\b"),
        ((4, 6), (0, 8), "\x0b\x0b\r"),
        ((-1, 6), (30, 7), "\x0b\x1b[31G"),
        ((4, 6), (4, 5), "\x1b[6;5H"),
        ((115, 6), (105, 6), "\x1b[10D"),
    ],
)
def test_cursor_moves_are_short(start: tuple[int, int], end: tuple[int, int], sequence: str) -> None:
    assert move_cursor(*start, *end) == sequence


class Line:
    """One line of cells; tells what is sent to change it."""

    def __init__(self, columns: int = 20) -> None:
        self.cells, self.columns = ShownCells(), columns

    def send(self, *words: tuple[str, str], x: int = 0) -> str:
        """Show words, each with its style."""
        segments = [Segment(text, Style.parse(style) if style else None) for text, style in words]
        return self.cells.changes([Piece(0, x, segments)], self.columns, 1, ColorSystem.TRUECOLOR)[0]


def test_control_characters_are_not_sent() -> None:
    assert Line().send(("a\x1b]0;title\x07b\x9bc\x7f\td", "")) == "\x1b[Ha]0;titlebcd"


def test_nothing_is_sent_beyond_the_edge() -> None:
    assert Line(3).send(("abcdef", "")) == "\x1b[Habc"


def test_mark_belongs_to_the_character_before_it_even_in_another_style() -> None:
    line = Line()
    line.send(("e", "red"), ("\u0302x", ""))
    assert "e\u0303" in line.send(("e", "red"), ("\u0303x", ""))


def test_line_with_disputed_widths_is_sent_in_one_go() -> None:
    line = Line(13)
    line.send(("web⚠\ufe0f one two", ""))
    assert "web⚠\ufe0f one twa" in line.send(("web⚠\ufe0f one twa", ""))
    assert "web.. one twa" in line.send(("web.. one twa", ""))
    assert line.send(("web.. one twi", "")) == "\x1b[1;13Hi"


def test_cursor_is_placed_anew_after_characters_of_disputed_width() -> None:
    line = Line()
    line.send(("…abcdefghij", ""))
    assert line.send(("●abcdefghXj", "")) == "\x1b[H●\x1b[10GX"
    line.send(("-abcdefghij", ""))
    assert line.send(("+abcdefghXj", "")) == "\x1b[H+\x1b[8CX"


def test_few_unchanged_bytes_are_sent_again_rather_than_jumped_over() -> None:
    line = Line()
    line.send(("abcdefghij⣿⣿⣿⣿", ""))
    assert line.send(("Abcd  ghij⣿⣿⣿⣿", "")) == "\x1b[HAbcd  "
    assert line.send(("Abcd  Ghij⣇⣿⣿⣇", "")) == "\x1b[1;7HGhij⣇\x1b[2C⣇"


def test_runs_of_one_style_go_downwards_with_the_style_chosen_once() -> None:
    cells = ShownCells()

    def send(*numbers: str) -> str:
        pieces = [
            Piece(
                y, 0, [Segment(" load ", Style.parse("red")), Segment(f"{number}      {number}", Style.parse("blue"))]
            )
            for y, number in enumerate(numbers)
        ]
        return cells.changes(pieces, 20, 3, ColorSystem.TRUECOLOR)[0]

    send("1", "2", "3")
    # Down the first column, then down the second.
    wanted = "\x1b\\[[0-9;]+m\x1b\\[1;7H5\x0b\b6\x0b\b7\x1b\\[1;14H5\x0b\b6\x0b\b7\x1b\\[m"
    assert re.fullmatch(wanted, send("5", "6", "7"))


def test_terminal_of_another_size_is_another_terminal() -> None:
    line = Line(20)
    line.send(("abc", ""))
    line.columns = 30
    assert "abc" in line.send(("abc", ""))


async def test_batch_is_not_drawn() -> None:
    app = SmallApp()
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        await settle(app, pilot)
        app.driver.taken()
        app.query_one(Clock).says = "14:00:00"
        app.query_one(Clock).refresh()
        app.query_one(Clock)._styles_cache.clear()
        with app.batch_update():
            app._display(app.screen, app.screen._compositor.render_full_update())
            assert app.driver.taken() == ""


async def test_dashboard_sends_changes() -> None:
    assert issubclass(Dashboard, ChangedCellsApp)


class SlowFile:
    """Takes what is written when it is told to."""

    def __init__(self) -> None:
        self.writing, self.go_on = threading.Event(), threading.Event()

    def write(self, text: str) -> None:
        self.writing.set()
        assert self.go_on.wait(20)

    def flush(self) -> None:
        """Have nothing left."""


def test_terminal_is_busy_until_it_has_taken_all() -> None:
    file = SlowFile()
    writer = WriterThread(file)  # type: ignore[arg-type]
    app: Any = SimpleNamespace(_driver=SimpleNamespace(_writer_thread=writer))
    writer.start()
    writer.write("a frame")
    assert file.writing.wait(20)
    assert writer._queue.qsize() == 0
    assert terminal_busy(app)
    file.go_on.set()
    idle = threading.Event()
    for _ in range(20_000):
        if not terminal_busy(app):
            break
        idle.wait(0.001)
    assert not terminal_busy(app)
    writer.stop()


@pytest.mark.parametrize("driver", [None, SimpleNamespace(), SimpleNamespace(_writer_thread=None)])
def test_terminal_without_a_writer_is_never_busy(driver: object) -> None:
    app: Any = SimpleNamespace(_driver=driver)
    assert not terminal_busy(app)
