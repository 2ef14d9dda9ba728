"""The VM table on hand-made fleets."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.reactive import reactive

from kvmtui.model.filter import parse_filter
from kvmtui.model.fleet import Fleet
from kvmtui.model.host import Host, Link
from kvmtui.model.host_vms import HostVms
from kvmtui.model.vm import VmKey, VmState
from kvmtui.ui.glyphs import ASCII, UNICODE, Glyphs
from kvmtui.ui.widgets.vm_table import VmTable
from tests.ui.fleets import NOW_S, fleet_of, make_fleet, make_host, make_vm


class TableApp(App[None]):
    """The table alone, fed by reactives as the real screen feeds it."""

    CSS = files("kvmtui.styles").joinpath("widgets.tcss").read_text()

    fleet: reactive[Fleet] = reactive(Fleet)
    now_s: reactive[float] = reactive(NOW_S)

    def __init__(self, fleet: Fleet, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.set_reactive(TableApp.fleet, fleet)
        self._glyphs = glyphs
        self.messages: list[object] = []

    def compose(self) -> ComposeResult:
        yield VmTable(glyphs=self._glyphs).data_bind(TableApp.fleet, TableApp.now_s)

    @property
    def table(self) -> VmTable:
        return self.query_one(VmTable)

    def lines(self) -> list[str]:
        return [self.table.render_line(y).text for y in range(self.table.size.height)]

    def names(self) -> list[str]:
        return [key.uuid for key in self.table.visible_keys]

    def on_vm_table_cursor_moved(self, message: VmTable.CursorMoved) -> None:
        self.messages.append(message)

    def on_vm_table_marks_changed(self, message: VmTable.MarksChanged) -> None:
        self.messages.append(message)

    def on_vm_table_visible_changed(self, message: VmTable.VisibleChanged) -> None:
        self.messages.append(message)

    def last(self, kind: type[Any]) -> Any:
        return [message for message in self.messages if isinstance(message, kind)][-1]


def key(name: str, host: str = "h1") -> VmKey:
    return VmKey(host, name)


def loaded(**cores: float) -> Fleet:
    return make_fleet(make_host("h1", [make_vm(name, cpu_cores=value) for name, value in cores.items()]))


async def test_draws_header_and_rows() -> None:
    app = TableApp(fleet_of(3))
    async with app.run_test(size=(80, 10)) as pilot:
        await pilot.pause()
        lines = app.lines()
        assert lines[0].startswith("  NAME▲")
        assert [line[:6] for line in lines[1:5]] == ["▸ vm0 ", "  vm1 ", "  vm2 ", "      "]
        assert all(len(line) == 80 for line in lines)
        assert app.table.selected == key("vm0")
        assert app.last(VmTable.CursorMoved).key == key("vm0")


async def test_cursor_follows_its_vm_through_resorting_and_stays_visible() -> None:
    app = TableApp(loaded(**{f"v{number:02}": float(number) for number in range(50)}))
    async with app.run_test(size=(80, 11)) as pilot:
        table = app.table
        table.sort_by("cpu")
        await pilot.pause()
        assert table.sort_reversed
        # Nobody has chosen a VM yet, so the new order is seen from its top.
        assert app.names()[0] == "v49"
        table.select(key("v49"))
        await pilot.pause()
        # The busiest becomes the idlest.
        app.fleet = loaded(**{f"v{number:02}": float(number) if number != 49 else -1.0 for number in range(50)})
        await pilot.pause()
        assert table.selected == key("v49")
        assert app.names()[-1] == "v49"
        assert app.lines()[-1].startswith("▸ v49")


async def test_refresh_leaves_a_view_that_was_scrolled_away_alone() -> None:
    app = TableApp(fleet_of(100))
    async with app.run_test(size=(80, 11)) as pilot:
        app.table.scroll_to(y=50, animate=False)
        await pilot.pause()
        app.fleet = fleet_of(100, cpu_cores=2.0)
        await pilot.pause()
        assert app.names()[0] == "vm50"
        assert app.table.selected == key("vm0")


async def test_cursor_goes_to_the_nearest_when_its_vm_vanishes() -> None:
    app = TableApp(fleet_of(5))
    async with app.run_test(size=(80, 11)) as pilot:
        await pilot.pause()
        app.table.select(key("vm4"))
        app.fleet = fleet_of(3)
        await pilot.pause()
        assert app.table.selected == key("vm2")
        app.fleet = fleet_of(0)
        await pilot.pause()
        assert app.table.selected is None
        assert app.last(VmTable.CursorMoved).key is None
        app.fleet = fleet_of(2)
        await pilot.pause()
        assert app.table.selected == key("vm0")


async def test_cursor_waits_at_the_top_until_all_hosts_have_told_or_it_is_moved() -> None:
    h1 = make_host("h1", [make_vm("db1")])
    h2 = make_host("h2", [make_vm("batch1", "h2")])
    h3 = make_host("h3", [make_vm("app1", "h3")])

    def untold(name: str, link: Link = Link.CONNECTING) -> Host:
        return make_host(name, link=link, sampled_at_s=None)

    app = TableApp(make_fleet(untold("h1"), untold("h2"), untold("h3")))
    async with app.run_test(size=(80, 11)) as pilot:
        for fleet, name, host in (
            (make_fleet(h1, untold("h2"), untold("h3")), "db1", "h1"),
            (make_fleet(h1, h2, untold("h3", Link.DOWN)), "batch1", "h2"),
            # By then the table was full, as far as anybody knew.
            (make_fleet(h1, h2, h3), "batch1", "h2"),
        ):
            app.fleet = fleet
            await pilot.pause()
            assert app.table.selected == key(name, host)
    app = TableApp(make_fleet(h1, untold("h2")))
    async with app.run_test(size=(80, 11)) as pilot:
        await pilot.press("down")
        app.fleet = make_fleet(h1, h2)
        await pilot.pause()
        assert app.table.selected == key("db1")


async def test_cursor_comes_back_when_the_filter_lets_its_vm_through_again() -> None:
    app = TableApp(loaded(web1=0.1, web2=0.2, db1=0.3))
    async with app.run_test(size=(80, 11)) as pilot:
        await pilot.pause()
        app.table.select(key("db1"))
        app.table.filter = parse_filter("web")
        await pilot.pause()
        assert app.names() == ["web1", "web2"]
        assert app.table.selected == key("web1")
        # Until then it stays on the VM it is on, wherever that goes.
        app.fleet = loaded(web0=0.1, web1=0.1, web2=0.2, db1=0.3)
        await pilot.pause()
        assert app.names() == ["web0", "web1", "web2"]
        assert app.table.selected == key("web1")
        app.table.filter = None
        await pilot.pause()
        assert app.table.selected == key("db1")


async def test_two_hosts_may_have_one_uuid() -> None:
    both = make_fleet(make_host("h1", [make_vm("web")]), make_host("h2", [make_vm("web", "h2")]))
    app = TableApp(both)
    async with app.run_test(size=(80, 11)) as pilot:
        await pilot.pause()
        app.table.select(key("web", "h2"))
        h2 = make_host("h2", [make_vm("web", "h2", cpu_cores=1.0)])
        app.fleet = make_fleet(make_host("h1", [make_vm("web")]), h2)
        await pilot.pause()
        assert app.table.selected == key("web", "h2")


@pytest.mark.parametrize(
    ("keys", "row"),
    [
        ("j j", 2),
        ("down k", 0),
        ("G", 99),
        ("end g", 0),
        ("pagedown", 9),
        ("pagedown pageup", 0),
        ("ctrl+d", 5),
        ("ctrl+d ctrl+u", 0),
        ("k", 0),
    ],
)
async def test_movement(keys: str, row: int) -> None:
    app = TableApp(fleet_of(100))
    async with app.run_test(size=(80, 11)) as pilot:
        app.table.focus()
        await pilot.press(*keys.split())
        await pilot.pause()
        assert app.table.selected == key(f"vm{row}")
        assert f"vm{row}" in app.names()


async def test_marks() -> None:
    app = TableApp(fleet_of(5))
    async with app.run_test(size=(80, 11)) as pilot:
        table = app.table
        await pilot.pause()
        table.toggle_mark()
        table.toggle_mark()
        await pilot.pause()
        assert table.marked == {key("vm0"), key("vm1")}
        assert table.selected == key("vm2")
        assert app.last(VmTable.MarksChanged).marked == table.marked
        assert app.lines()[1].startswith(" ●vm0")
        # A VM that vanishes takes its mark along; a filter does not.
        app.fleet = make_fleet(make_host("h1", [make_vm(f"vm{number}") for number in (1, 2, 3, 4)]))
        table.filter = parse_filter("vm3")
        await pilot.pause()
        assert table.marked == {key("vm1")}
        table.mark_shown()
        await pilot.pause()
        assert table.marked == {key("vm3")}
        table.clear_marks()
        await pilot.pause()
        assert app.last(VmTable.MarksChanged).marked == frozenset()


async def test_visible_keys() -> None:
    app = TableApp(fleet_of(30))
    async with app.run_test(size=(80, 6)) as pilot:
        await pilot.pause()
        assert app.last(VmTable.VisibleChanged).keys == tuple(key(f"vm{number}") for number in range(5))
        app.table.scroll_to(y=20, animate=False)
        await pilot.pause()
        assert app.table.visible_keys == tuple(key(f"vm{number}") for number in range(20, 25))
        assert app.last(VmTable.VisibleChanged).keys == app.table.visible_keys
        count = len(app.messages)
        app.fleet = fleet_of(30, cpu_cores=3.0)
        await pilot.pause()
        assert len(app.messages) == count


@pytest.fixture
def regions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Region]]:
    """The regions of the table that were refreshed."""
    seen: list[Region] = []
    original = VmTable.refresh

    def refresh(self: VmTable, *areas: Region, **options: Any) -> VmTable:
        seen.extend(areas or [Region(-1, -1, 0, 0)])
        return original(self, *areas, **options)

    monkeypatch.setattr(VmTable, "refresh", refresh)
    yield seen


async def test_only_changed_lines_are_refreshed(regions: list[Region]) -> None:
    fleet = fleet_of(20)
    app = TableApp(fleet)
    async with app.run_test(size=(80, 11)) as pilot:
        await pilot.pause()
        regions.clear()
        host = fleet.hosts["h1"]
        vms = dict(host.vms)
        vms["vm11"] = replace(vms["vm11"], cpu_cores=3.9)
        vms["vm3"] = replace(vms["vm3"], cpu_cores=3.9)
        # Another object that looks the same is not drawn again.
        vms["vm4"] = replace(vms["vm4"])
        app.fleet = fleet.with_host(replace(host, vms=HostVms.of(vms.values())))
        await pilot.pause()
        assert regions == [Region(0, 4, 80, 1)]
        regions.clear()
        app.now_s += 1
        await pilot.pause()
        assert regions == []
        await pilot.press("j")
        await pilot.pause()
        assert regions == [Region(0, 1, 80, 1), Region(0, 2, 80, 1)]


async def test_ages_grow_with_time_alone(regions: list[Region]) -> None:
    app = TableApp(make_fleet(make_host("h1", [make_vm("a", monitor_silent_since_s=NOW_S - 42), make_vm("b")])))
    async with app.run_test(size=(120, 11)) as pilot:
        await pilot.pause()
        regions.clear()
        app.now_s += 1
        await pilot.pause()
        assert "silent 43 s" in app.lines()[1]
        assert [region.y for region in regions] == [1]


async def test_vms_of_a_lost_host_are_dimmed_with_their_last_values() -> None:
    lost = make_host("h2", [make_vm("b", "h2")], link=Link.DOWN)
    app = TableApp(make_fleet(make_host("h1", [make_vm("a")]), lost))
    async with app.run_test(size=(100, 11)) as pilot:
        await pilot.pause()
        # The cursor's own line has few colours.
        app.table.select(key("b", "h2"))
        lines = app.lines()
        assert "was running" in lines[2]
        assert "2.2 of 4.0 G" in lines[2]
        styles = [{str(segment.style) for segment in app.table.render_line(y) if segment.text.strip()} for y in (1, 2)]
        assert len(styles[0]) > 2
        assert len(styles[1]) == 1
        # A host that is up grows stale by time alone.
        app.now_s += 10
        await pilot.pause()
        assert "was running" in app.lines()[1]


async def test_pending_is_shown_and_hidden() -> None:
    fleet = make_fleet(make_host("h1", [make_vm("a", state=VmState.SHUT_OFF)]))
    app = TableApp(fleet)
    async with app.run_test(size=(80, 11)) as pilot:
        app.fleet = fleet.with_pending({key("a"): "starting"})
        await pilot.pause()
        assert "starting…" in app.lines()[1]
        app.fleet = fleet.with_pending({})
        await pilot.pause()
        assert "shut off" in app.lines()[1]


@pytest.mark.parametrize(
    ("fleet", "filter_text", "says"),
    [
        (Fleet(), "", "No hosts yet"),
        (make_fleet(make_host("h1")), "", "No VMs yet"),
        (make_fleet(make_host("h1", link=Link.CONNECTING)), "", "Connecting…"),
        (make_fleet(make_host("h1", link=Link.DOWN)), "", "No host answers"),
        (fleet_of(3), "[b]nothing", "No VM matches [b]nothing.  Esc clears the filter."),
    ],
)
async def test_empty_states_say_what_to_do(fleet: Fleet, filter_text: str, says: str) -> None:
    app = TableApp(fleet)
    async with app.run_test(size=(100, 11)) as pilot:
        app.table.filter = parse_filter(filter_text) if filter_text else None
        await pilot.pause()
        assert says in app.lines()[2]
        await pilot.press("j", "G", "pagedown", "k")


async def test_mouse() -> None:
    app = TableApp(fleet_of(30))
    async with app.run_test(size=(80, 11)) as pilot:
        await pilot.click(VmTable, offset=(5, 3))
        assert app.table.selected == key("vm2")
        app.table.scroll_to(y=10, animate=False)
        await pilot.pause()
        await pilot.click(VmTable, offset=(5, 1))
        assert app.table.selected == key("vm10")
        await pilot.click(VmTable, offset=(2, 0))
        assert (app.table.sort_column, app.table.sort_reversed) == ("name", True)
        cpu = app.lines()[0].index("CPU")
        await pilot.click(VmTable, offset=(cpu, 0))
        assert (app.table.sort_column, app.table.sort_reversed) == ("cpu", True)


async def test_sort_goes_round_the_columns_that_are_shown() -> None:
    app = TableApp(fleet_of(3))
    async with app.run_test(size=(80, 11)) as pilot:
        await pilot.pause()
        seen = []
        for _ in range(6):
            app.table.sort_next(1)
            seen.append(app.table.sort_column)
        assert seen[:3] == ["state", "cpu", "memory"] or seen[:3] == ["state", "cpu", "ready"]
        assert "host" not in seen
        await pilot.pause()


async def test_hostile_names_are_plain_text() -> None:
    names = ["[b]x[/]", "数据库", "🚀🚀", "y" * 300, "[/nope"]
    app = TableApp(make_fleet(make_host("h1", [make_vm(name) for name in names])))
    async with app.run_test(size=(80, 11)) as pilot:
        await pilot.pause()
        assert {app.table.render_line(y).cell_length for y in range(11)} == {80}
        assert any("[b]x[/]" in line for line in app.lines())


async def test_ascii() -> None:
    app = TableApp(make_fleet(make_host("h1", [make_vm("数据库"), make_vm("b", state=VmState.PAUSED)])), ASCII)
    async with app.run_test(size=(120, 11)) as pilot:
        app.table.toggle_mark()
        await pilot.pause()
        assert all(line.isascii() and len(line) == 120 for line in app.lines())


async def test_5000_vms() -> None:
    app = TableApp(fleet_of(5000))
    async with app.run_test(size=(120, 40)) as pilot:
        app.table.focus()
        await pilot.press("G")
        assert app.table.selected == key("vm4999")
        for _ in range(20):
            app.table.action_page(-2)
        # Only what is on the screen is kept, and not much besides.
        assert len(app.table._painter) < 300
        assert app.table.selected == key("vm4239")
        app.table.sort_by("net_in")
        await pilot.pause()
        assert app.table.selected == key("vm4239")
        assert "vm4239" in app.names()


@pytest.mark.parametrize("size", [(1, 1), (5, 2), (20, 3), (300, 90)])
async def test_any_size(size: tuple[int, int]) -> None:
    app = TableApp(fleet_of(9))
    async with app.run_test(size=size) as pilot:
        await pilot.press("j", "G", "pageup")
        await pilot.pause()
        assert {app.table.render_line(y).cell_length for y in range(size[1])} == {size[0]}


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-dark", "ansi-light"])
async def test_cursor_is_told_apart_in_every_theme(theme: str) -> None:
    app = TableApp(fleet_of(3))
    async with app.run_test(size=(80, 11)) as pilot:
        app.theme = theme
        app.table.focus()
        await pilot.pause()
        cursor, other = (next(iter(app.table.render_line(y))).style for y in (1, 2))
        assert cursor is not None
        assert other is not None
        assert (cursor.bgcolor, cursor.reverse) != (other.bgcolor, other.reverse)
