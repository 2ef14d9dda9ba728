"""The columns of the VM table: layout, sorting and what cells say."""

from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len

from kvmtui.model.filter import parse_filter
from kvmtui.model.host_vms import HostVms
from kvmtui.model.order import SORT_KEYS, RowOrder, natural
from kvmtui.model.vm import ARRIVING, Job, Memory, MemorySource, VmState
from kvmtui.ui.columns import COLUMNS, GUTTER, Layout, Row, lay_out, state_texts
from kvmtui.ui.glyphs import ASCII, UNICODE, glyphs_for
from kvmtui.ui.paint import Tone, fit, fit_runs, runs_width
from kvmtui.ui.widgets.vm_lines import header_runs, row_runs
from tests.ui.fleets import GIB, NOW_S, fleet_of, make_fleet, make_host, make_vm

COLUMN_BY_ID = {column.id: column for column in COLUMNS}
BIG = Memory(15 * GIB, MemorySource.BALLOON, NOW_S)


def ids(layout: Layout) -> list[str]:
    return [column.id for column, _ in layout.columns]


def taken(layout: Layout) -> int:
    return GUTTER + sum(width for _, width in layout.columns) + layout.gap * (len(layout.columns) - 1) + 1


def test_eighty_columns_show_what_an_admin_needs() -> None:
    assert ids(lay_out(80, 4, single_host=False)) == ["name", "host", "state", "cpu", "memory", "net_in", "net_out"]


def test_one_host_needs_no_column() -> None:
    assert "host" not in ids(lay_out(200, 4, single_host=True))


def test_every_column_can_be_sorted_by() -> None:
    assert list(COLUMN_BY_ID) == list(SORT_KEYS)


def test_all_columns_in_order_at_120() -> None:
    assert ids(lay_out(120, 4, single_host=False)) == list(COLUMN_BY_ID)


@pytest.mark.parametrize("width", range(5, 260))
@pytest.mark.parametrize("host_width", [4, 12])
def test_layout_uses_exactly_the_width(width: int, host_width: int) -> None:
    layout = lay_out(width, host_width, single_host=False)
    assert taken(layout) == width


def test_pairs_vanish_together() -> None:
    for width in range(20, 200):
        shown = ids(lay_out(width, 4, single_host=False))
        assert ("disk_r" in shown) == ("disk_w" in shown)
        assert ("net_in" in shown) == ("net_out" in shown)


@pytest.mark.parametrize(
    "name", ["web1", "[b]x[/]", "数据库-主" * 9, "🚀rocket👍🏽", "❤️heart", "x" * 300, "e\u0301" * 40, "\\[red]"]
)
@pytest.mark.parametrize("width", [40, 80, 121, 200])
def test_hostile_names_stay_aligned(name: str, width: int) -> None:
    layout = lay_out(width, 4, single_host=False)
    row = Row(make_vm(name), "h1", now_s=NOW_S)
    plain = Row(make_vm("web1"), "h1", now_s=NOW_S)
    runs = row_runs(row, layout, cursor=False, marked=False, thumb=True)
    expected = row_runs(plain, layout, cursor=False, marked=False, thumb=True)
    assert runs_width(runs) == runs_width(expected) == width
    name_cells = GUTTER + layout.columns[0][1]
    text, expected_text = ("".join(run for run, _ in some) for some in (runs, expected))
    assert cell_len(text) == width
    # What follows the name is the same, cell by cell.
    assert text.endswith(expected_text[name_cells:])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("column", list(COLUMN_BY_ID))
def test_header_is_as_wide_as_its_columns(column: str, reverse: bool) -> None:
    layout = lay_out(120, 4, single_host=False)
    runs = header_runs(layout, column, reverse, UNICODE)
    assert runs_width(runs) == 119
    assert sum(tone is Tone.SORTED for _, tone in runs) == 1
    assert (UNICODE.down if reverse else UNICODE.up) in "".join(text for text, _ in runs)


def test_natural_order() -> None:
    names = ["web10", "Web2", "web1", "db", "web2b", "10", "9"]
    assert sorted(names, key=natural) == ["9", "10", "db", "web1", "Web2", "web2b", "web10"]


@pytest.mark.parametrize("reverse", [False, True])
def test_unknown_sorts_last_both_ways(reverse: bool) -> None:
    vms = [make_vm("a", cpu_cores=None), make_vm("b", cpu_cores=0.5), make_vm("c", cpu_cores=10.0)]
    rows = RowOrder()
    rows.update(make_fleet(make_host("h1", vms)), "cpu", reverse, None)
    assert [key.uuid for key in rows.keys] == (["c", "b", "a"] if reverse else ["b", "c", "a"])


@pytest.mark.parametrize("column", list(COLUMN_BY_ID))
def test_every_column_sorts_with_equals_by_name(column: str) -> None:
    rows = RowOrder()
    rows.update(fleet_of(12), column, False, None)
    assert [key.uuid for key in rows.keys] == [f"vm{number}" for number in range(12)]


def test_renamed_vm_moves() -> None:
    rows = RowOrder()
    rows.update(make_fleet(make_host("h1", [make_vm("a", uuid="1"), make_vm("b", uuid="2")])), "name", False, None)
    rows.update(make_fleet(make_host("h1", [make_vm("z", uuid="1"), make_vm("b", uuid="2")])), "name", False, None)
    assert [key.uuid for key in rows.keys] == ["2", "1"]


def test_equals_follow_a_new_name_and_a_new_vm() -> None:
    rows = RowOrder()
    rows.update(make_fleet(make_host("h1", [make_vm("a", uuid="1"), make_vm("b", uuid="2")])), "cpu", False, None)
    rows.update(make_fleet(make_host("h1", [make_vm("z", uuid="1"), make_vm("b", uuid="2")])), "cpu", False, None)
    assert [key.uuid for key in rows.keys] == ["2", "1"]
    rows.update(make_fleet(make_host("h1", [make_vm("c", uuid="3"), make_vm("b", uuid="2")])), "cpu", False, None)
    assert [key.uuid for key in rows.keys] == ["2", "3"]


def test_variation_selectors_are_not_drawn() -> None:
    assert fit("\u2764\ufe0fx", 4) == "\u2764x  "


def cell_text(column: str, width: int, row: Row) -> str:
    col = COLUMN_BY_ID[column]
    return "".join(text for text, _ in fit_runs(col.cell(row, width), width, right=col.right))


STOPPED_JOB = Job("migration", total_bytes=100, remaining_bytes=57)
STOPPED = {"state": VmState.PAUSED, "reason": "migrating", "job": STOPPED_JOB}


@pytest.mark.parametrize(
    ("changes", "pending", "stale", "width", "text", "tone"),
    [
        ({}, "", False, 11, "running", Tone.GOOD),
        ({}, "shutting down", False, 11, "shutting d…", Tone.BUSY),
        ({"state": VmState.SHUT_OFF}, "starting", False, 11, "starting…", Tone.BUSY),
        ({"job": Job("migration", total_bytes=100, remaining_bytes=57)}, "", False, 14, "migrating 43 %", Tone.BUSY),
        ({"job": Job("migration", total_bytes=100, remaining_bytes=57)}, "", False, 11, "migr. 43 %", Tone.BUSY),
        (STOPPED, "migrating", False, 22, "migrating 43 %, paused", Tone.WARNING),
        (STOPPED, "", False, 18, "migr. 43 %, paused", Tone.WARNING),
        (STOPPED, "", False, 11, "43 % paused", Tone.WARNING),
        # For the last moment of a move, nobody having paused it.
        (
            STOPPED | {"job": replace(STOPPED_JOB, done_fraction=0.96, eta_s=0.4)},
            "",
            False,
            11,
            "migr. 96 %",
            Tone.BUSY,
        ),
        (STOPPED | {"job": replace(STOPPED_JOB, eta_s=40.0)}, "", False, 11, "43 % paused", Tone.WARNING),
        (STOPPED | {"reason": "post-copy"}, "", False, 20, "migrating 43 %", Tone.BUSY),
        (
            STOPPED | {"job": Job(ARRIVING, total_bytes=100, remaining_bytes=57)},
            "",
            False,
            14,
            "arriving 43 %",
            Tone.BUSY,
        ),
        (STOPPED | {"job": Job(ARRIVING, total_bytes=100, remaining_bytes=57)}, "", False, 11, "arriving", Tone.BUSY),
        ({"job": Job("saving")}, "", False, 11, "saving…", Tone.BUSY),
        ({"monitor_silent_since_s": NOW_S - 42}, "", False, 20, "monitor silent 42 s", Tone.ERROR),
        ({"monitor_silent_since_s": NOW_S - 42}, "", False, 11, "silent 42 s", Tone.ERROR),
        ({"state": VmState.PAUSED, "reason": "I/O error"}, "", False, 20, "paused, I/O error", Tone.ERROR),
        ({"state": VmState.PAUSED, "reason": "I/O error"}, "", False, 11, "I/O error", Tone.ERROR),
        ({"state": VmState.PAUSED, "reason": "snapshot"}, "", False, 11, "paused", Tone.WARNING),
        ({"state": VmState.CRASHED, "reason": "panicked"}, "", False, 20, "crashed, panicked", Tone.ERROR),
        ({}, "starting", True, 11, "was running", Tone.STALE),
        ({}, "forcing off", True, 30, "forcing off, was running", Tone.STALE),
        ({"state": VmState.SHUT_OFF}, "", True, 11, "was off", Tone.STALE),
    ],
)
def test_state(changes: dict[str, Any], pending: str, stale: bool, width: int, text: str, tone: Tone) -> None:
    row = Row(make_vm("a", **changes), "h1", pending, stale, NOW_S)
    assert cell_text("state", width, row).rstrip() == text
    assert state_texts(row)[0] is tone


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"memory": Memory(int(3.1 * GIB), MemorySource.BALLOON, NOW_S)}, " 3.1 of 4.0 G"),
        ({"memory": Memory(int(3.1 * GIB), MemorySource.RSS, NOW_S)}, "~3.1 of 4.0 G"),
        ({"memory": None}, "        4.0 G"),
        ({"state": VmState.SHUT_OFF}, "        4.0 G"),
        (
            {"memory": BIG, "memory_allocated_bytes": 16 * GIB},
            "  15 of  16 G",
        ),
    ],
)
def test_memory_says_where_it_comes_from(changes: dict[str, Any], text: str) -> None:
    assert cell_text("memory", 13, Row(make_vm("a", **changes), "h1")) == text


@pytest.mark.parametrize(
    ("column", "changes", "text"),
    [
        ("cpu", {"cpu_cores": 1.43, "cpu_recent": (0.0,) * 8}, "▁▁▁▁▁▁▁▁  143 %"),
        ("cpu", {"cpu_cores": None, "cpu_recent": ()}, "            –  "),
        ("cpu", {"cpu_cores": 4.0, "cpu_recent": (None, 4.0)}, "       █  400 %"),
        ("ready", {"ready_fraction": 0.061}, " 6.1 %"),
        ("disk_w", {"disk_write_bytes_per_s": 0.0}, "  0  "),
        ("net_out", {"net_out_bytes_per_s": None}, "  –  "),
        ("up", {"started_at_s": NOW_S - 3 * 3600}, "   3 h"),
        ("up", {"started_at_s": NOW_S - 3 * 3600, "state": VmState.SHUT_OFF}, "   –  "),
    ],
)
def test_cells(column: str, changes: dict[str, Any], text: str) -> None:
    row = Row(make_vm("a", **changes), "h1", now_s=NOW_S)
    assert cell_text(column, COLUMN_BY_ID[column].width, row) == text


def test_ascii_rows_are_ascii() -> None:
    layout = lay_out(120, 4, single_host=False)
    for vm in (make_vm("a"), make_vm("b" * 90, cpu_cores=None, memory=None), make_vm("c", state=VmState.SHUT_OFF)):
        runs = row_runs(
            Row(vm, "h1", "starting", now_s=NOW_S, glyphs=ASCII), layout, cursor=True, marked=True, thumb=True
        )
        assert "".join(text for text, _ in runs).isascii()


@pytest.mark.parametrize(
    ("encoding", "term", "ascii_only"),
    [("utf-8", "xterm", False), ("UTF-8", "linux", True), ("ascii", "xterm", True), ("iso-8859-1", "xterm", True)],
)
def test_glyphs_for(encoding: str, term: str, ascii_only: bool) -> None:
    assert glyphs_for(encoding, {"TERM": term}).ascii is ascii_only


@pytest.mark.parametrize("width", range(12))
@pytest.mark.parametrize("text", ["abcdef", "日本語", "a日b本", "", "❤️❤️"])
def test_fit_is_exact(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width
    assert cell_len(fit(text, width, right=True)) == width
    assert runs_width(fit_runs([(text, Tone.TEXT), (text, Tone.MUTED)], width)) == width


def test_the_order_is_made_anew_only_when_something_it_is_made_from_has_changed() -> None:
    rows = RowOrder()
    fleet = fleet_of(20)
    rows.update(fleet, "cpu", True, None)
    made = rows.keys
    rows.update(fleet.with_host(replace(fleet.hosts["h1"], round_trip_s=0.5)), "cpu", True, None)
    assert rows.keys is made
    host = fleet.hosts["h1"]
    vms = [replace(vm, cpu_cores=3.0) if vm.name == "vm7" else vm for vm in host.vms.values()]
    busier = fleet.with_host(replace(host, vms=HostVms.of(vms)))
    rows.update(busier, "cpu", True, None)
    assert rows.keys[0].uuid == "vm7"
    rows.update(busier, "cpu", True, parse_filter("vm1"))
    assert {key.uuid for key in rows.keys} == {f"vm{number}" for number in (1, *range(10, 20))}
    rows.update(busier, "name", False, None)
    assert [key.uuid for key in rows.keys] == [f"vm{number}" for number in range(20)]


def test_a_vm_that_was_renamed_takes_its_new_place() -> None:
    rows = RowOrder()
    rows.update(make_fleet(make_host("h1", [make_vm("a"), make_vm("b")])), "name", False, None)
    rows.update(make_fleet(make_host("h1", [make_vm("c", uuid="a"), make_vm("b")])), "name", False, None)
    assert [key.uuid for key in rows.keys] == ["b", "a"]
