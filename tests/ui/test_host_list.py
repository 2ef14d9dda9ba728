"""The host list on hand-made fleets."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.reactive import reactive

from kvmtui.model.fleet import Fleet
from kvmtui.model.host import HostFigures, Link, Pressure
from kvmtui.model.vm import VmState
from kvmtui.ui.glyphs import ASCII, UNICODE, Glyphs
from kvmtui.ui.widgets.host_list import HostList
from tests.ui.fleets import GIB, NOW_S, make_fleet, make_host, make_vm


class HostsApp(App[None]):
    """The host list alone."""

    CSS = files("kvmtui.styles").joinpath("widgets.tcss").read_text()

    fleet: reactive[Fleet] = reactive(Fleet)
    now_s: reactive[float] = reactive(NOW_S)

    def __init__(self, fleet: Fleet, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.set_reactive(HostsApp.fleet, fleet)
        self._glyphs = glyphs

    def compose(self) -> ComposeResult:
        yield HostList(glyphs=self._glyphs).data_bind(HostsApp.fleet, HostsApp.now_s)

    @property
    def hosts(self) -> HostList:
        return self.query_one(HostList)

    def lines(self) -> list[str]:
        return [self.hosts.render_line(y).text for y in range(self.hosts.size.height)]


async def drawn(fleet: Fleet, width: int = 120, glyphs: Glyphs = UNICODE) -> list[str]:
    app = HostsApp(fleet, glyphs)
    async with app.run_test(size=(width, 12)) as pilot:
        await pilot.pause()
        lines = app.lines()
        assert {app.hosts.render_line(y).cell_length for y in range(len(lines))} == {width}
        return lines


async def test_one_line_each() -> None:
    vms = [make_vm("a"), make_vm("b"), make_vm("c", state=VmState.SHUT_OFF)]
    lines = await drawn(make_fleet(make_host("h1", vms), make_host("h2")))
    assert len(lines) == 3
    assert lines[0].split() == ["HOST", "CPU", "MEMORY", "VMS", "LINK", "PRESSURE"]
    for part in ("h1", "41 % of 16", "78 of 128 G", "2/3", "1 ms", "cpu  3 %  mem  0 %  io  1 %"):
        assert part in lines[1]
    # What stands under what: titles of figures that stand at the right end where their figures end.
    assert lines[0].index("VMS") + 3 == lines[1].index("2/3") + 3


@pytest.mark.parametrize("width", [80, 100, 120, 200])
async def test_eighty_columns_keep_figures_and_link(width: int) -> None:
    lines = await drawn(make_fleet(make_host("h1")), width)
    for part in ("41 % of 16", "78 of 128 G", "0/0", "1 ms"):
        assert part in lines[1]


async def test_a_host_that_is_down_says_why_and_when_it_is_tried() -> None:
    down = make_host(
        "h2", link=Link.DOWN, problem="ssh: No route to host [b]x[/b]", next_try_at_s=NOW_S + 4.2, figures=HostFigures()
    )
    lines = await drawn(make_fleet(make_host("h1"), down), 80)
    assert lines[2].startswith("▲ h2")
    assert "down  next try in 4 s  ·  ssh: No route to host [b]x[/b]" in lines[2]
    assert "%" not in lines[2]


async def test_what_is_degraded_takes_only_the_place_it_needs() -> None:
    lines = await drawn(make_fleet(make_host("h1", problem="deep lane lost: QEMU of web1 does not answer")), 100)
    assert lines[1].startswith("▲ h1")
    assert "41 % of 16" in lines[1]
    assert lines[1].rstrip().endswith("deep lane lost: QEMU of web1 does not answer")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"link": Link.CONNECTING, "sampled_at_s": None}, "connecting…"),
        ({"sampled_at_s": None}, "first sample…"),
        ({"sampled_at_s": NOW_S - 30}, "no answer, last figures 30 s ago"),
        ({"interval_s": 3.0, "bulk_cpu": True}, "every 3 s  bulk"),
        ({"figures": HostFigures(pressure=None, cpu_busy_fraction=0.1)}, "10 % of 16"),
        ({"round_trip_s": None}, "–"),
    ],
)
async def test_notes(changes: dict[str, Any], says: str) -> None:
    assert says in (await drawn(make_fleet(make_host("h1", **changes))))[1]


@pytest.mark.parametrize("width", [80, 120])
async def test_a_host_that_is_read_only_among_others(width: int) -> None:
    closed = make_host("h1", read_only=True)
    mixed = await drawn(make_fleet(closed, make_host("h2")), width)
    assert mixed[1].rstrip().endswith("read-only") is (width == 120)
    assert "41 % of 16" in mixed[1]
    assert "read-only" not in mixed[2]
    # Where all are, the title says it.
    assert "read-only" not in (await drawn(make_fleet(closed), width))[1]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
async def test_a_host_that_was_emptied_says_so_wherever_there_is_a_line(width: int) -> None:
    app = HostsApp(make_fleet(make_host("h1", read_only=True), make_host("h2")))
    async with app.run_test(size=(width, 12)) as pilot:
        await pilot.pause()
        before = app.lines()
        app.hosts.emptied = frozenset({"h1"})
        await pilot.pause()
        assert "takes no VMs" in app.lines()[1]
        assert "41 % of 16" in app.lines()[1]
        assert app.lines()[2] == before[2]
        app.hosts.emptied = frozenset()
        await pilot.pause()
        assert app.lines() == before


async def test_stale_figures_are_dimmed() -> None:
    app = HostsApp(make_fleet(make_host("h1")))
    async with app.run_test(size=(120, 12)) as pilot:
        await pilot.pause()
        fresh = {str(segment.style) for segment in app.hosts.render_line(1) if segment.text.strip()}
        app.now_s += 20
        await pilot.pause()
        old = {str(segment.style) for segment in app.hosts.render_line(1) if segment.text.strip()}
        # The name, the dimmed figures and the warning are left.
        assert len(old) == 3 < len(fresh) + 1
        assert "20 s ago" in app.lines()[1]


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 83, 100, 200])
async def test_the_note_of_hosts_below_covers_no_title(width: int) -> None:
    title = (await drawn(make_fleet(*(make_host(f"h{number}") for number in range(20))), width))[0]
    usual = (await drawn(make_fleet(make_host("h1")), width))[0]
    assert len(title.rstrip()) <= width
    if width >= 20:
        assert " 15 below " in f" {title} "
    if width >= 40:
        assert title.replace("15 below", "").split() == usual.split()


async def test_more_hosts_than_lines() -> None:
    hosts = [make_host(f"h{number}") for number in range(20)]
    hosts[17] = replace(hosts[17], link=Link.DOWN, problem="no")
    hosts[12] = replace(hosts[12], problem="slow")
    app = HostsApp(make_fleet(*hosts))
    async with app.run_test(size=(100, 20)) as pilot:
        await pilot.pause()
        lines = app.lines()
        assert len(lines) == 6
        assert [line[2:5].strip() for line in lines[1:]] == ["h17", "h12", "h0", "h1", "h2"]
        assert lines[0].rstrip().endswith("15 below")
        app.hosts.post_message(events.MouseScrollDown(app.hosts, 5, 2, 0, 1, 0, False, False, False))
        await pilot.pause()
        assert app.lines()[1][2:5].strip() == "h12"
        assert " 1 above, 14 below " in app.lines()[0]
        app.fleet = make_fleet(*hosts[:2])
        await pilot.pause()
        assert len(app.lines()) == 3
        assert app.lines()[1][2:5].strip() == "h0"


@pytest.fixture
def regions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Region]]:
    """The regions that were refreshed."""
    seen: list[Region] = []
    original = HostList.refresh

    def refresh(self: HostList, *areas: Region, **options: Any) -> HostList:
        seen.extend(areas or [Region(-1, -1, 0, 0)])
        return original(self, *areas, **options)

    monkeypatch.setattr(HostList, "refresh", refresh)
    yield seen


async def test_only_changed_lines_are_refreshed(regions: list[Region]) -> None:
    first, second = make_host("h1"), make_host("h2")
    app = HostsApp(make_fleet(first, second))
    async with app.run_test(size=(100, 12)) as pilot:
        await pilot.pause()
        regions.clear()
        busy = replace(second, figures=replace(second.figures, cpu_busy_fraction=0.9))
        app.fleet = make_fleet(replace(first), busy)
        await pilot.pause()
        assert regions == [Region(0, 2, 100, 1)]


@pytest.mark.parametrize("name", ["[b]h[/b]", "机器" * 20, "x" * 90])
@pytest.mark.parametrize("width", [20, 40, 80, 200])
async def test_hostile_names_and_widths(name: str, width: int) -> None:
    figures = HostFigures(1.0, 1024 * GIB, 1023 * GIB, Pressure(1.0, 0.5, 0.2), (1.0,) * 60)
    lines = await drawn(make_fleet(make_host(name, figures=figures), make_host("h2", link=Link.DOWN)), width)
    assert len(lines) == 3


async def test_ascii() -> None:
    hosts = (make_host("h1"), make_host("机", link=Link.DOWN, problem="é"), make_host("c", link=Link.CONNECTING))
    lines = await drawn(make_fleet(*hosts), 120, ASCII)
    assert all(line.isascii() for line in lines)
    assert lines[2].startswith("! ??")
