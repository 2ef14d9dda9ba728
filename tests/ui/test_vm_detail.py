"""The detail of the selected VM on hand-made fleets."""

from importlib.resources import files
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.reactive import reactive

from kvmtui.model.fleet import Fleet
from kvmtui.model.history import Metric
from kvmtui.model.host import Link
from kvmtui.model.vm import Disk, Interface, Job, Memory, MemorySource, Vm, VmConfig, VmKey, VmState
from kvmtui.ui.glyphs import ASCII, UNICODE, Glyphs
from kvmtui.ui.widgets.vm_detail import VmDetail
from tests.ui.fleets import GIB, MIB, NOW_S, make_fleet, make_host, make_vm

CONFIG = VmConfig(
    disks=(Disk("vda", "/images/web1.qcow2", True), Disk("sda", None, False)),
    interfaces=(Interface("52:54:00:12:34:56", "default", "virtio"),),
    consoles=("serial0",),
    addresses=("192.168.122.107",),
    balloon_period_s=2,
    emulated=False,
    taken_at_s=NOW_S,
)


def read_series(key: VmKey, metric: Metric, step_s: int, points: int, until_s: float) -> list[float | None]:
    """Half of what there is, with a gap at the start."""
    value = {Metric.CPU_CORES: 2.0, Metric.MEMORY_BYTES: 2.0 * GIB}.get(metric, 1.5 * MIB)
    return [None] * (points // 2) + [value] * (points - points // 2)


class DetailApp(App[None]):
    """The detail alone, filling the screen."""

    CSS = files("kvmtui.styles").joinpath("widgets.tcss").read_text() + "VmDetail { height: 1fr; }"

    fleet: reactive[Fleet] = reactive(Fleet)
    now_s: reactive[float] = reactive(NOW_S)

    def __init__(self, vm: Vm | None, glyphs: Glyphs = UNICODE, **host: Any) -> None:
        super().__init__()
        self._vm = vm
        self._glyphs = glyphs
        self.set_reactive(DetailApp.fleet, make_fleet(make_host("h1", [vm] if vm else [], **host)))

    def compose(self) -> ComposeResult:
        detail = VmDetail(read_series, glyphs=self._glyphs).data_bind(DetailApp.fleet, DetailApp.now_s)
        detail.key = self._vm.key if self._vm else None
        yield detail

    @property
    def detail(self) -> VmDetail:
        return self.query_one(VmDetail)

    def lines(self) -> list[str]:
        return [self.detail.render_line(y).text for y in range(self.detail.size.height)]


async def drawn(
    vm: Vm | None,
    size: tuple[int, int] = (120, 16),
    config: VmConfig | None = CONFIG,
    glyphs: Glyphs = UNICODE,
    **host: Any,
) -> list[str]:
    app = DetailApp(vm, glyphs, **host)
    async with app.run_test(size=size) as pilot:
        app.detail.vm_config = config
        await pilot.pause()
        lines = app.lines()
        assert {app.detail.render_line(y).cell_length for y in range(size[1])} == {size[0]}
        return lines


async def test_title_says_which_vm_and_how_it_stands() -> None:
    lines = await drawn(make_vm("web1", autostart=True, persistent=False), size=(160, 16))
    assert lines[0].startswith("  web1 on h1  ·  running  ·  up 12 d  ·  192.168.122.107  ·  autostart  ·  transient")
    assert lines[0].rstrip().endswith("last 3 min")


async def test_emulation_is_told() -> None:
    config = VmConfig((), (), (), (), None, True, NOW_S)
    assert "emulated, no KVM" in (await drawn(make_vm("web1"), config=config))[0]


async def test_four_graphs_with_their_values() -> None:
    text = "\n".join(await drawn(make_vm("web1", cpu_cores=1.43, ready_fraction=0.004)))
    for part in ("CPU 143 of 400 %", "ready 0.4 %", "MEMORY 2.2 of 4.0 G", "balloon, 2 s ago", "DISK read 0  write 0"):
        assert part in text
    assert "NET in 340 k/s  out 120 k/s" in text
    # The scale of the rates.
    assert text.count("of 2.0 M/s") == 2


@pytest.mark.parametrize("height", range(1, 30))
async def test_any_height(height: int) -> None:
    lines = await drawn(make_vm("web1"), size=(80, height))
    text = "\n".join(lines)
    assert "web1 on h1" in lines[0]
    for title in ("CPU", "MEMORY", "DISK", "NET") if height >= 3 else ():
        assert title in text
    if height >= 3:
        assert any("⣀" <= character <= "⣿" for character in text)


@pytest.mark.parametrize("width", [1, 9, 12, 30, 59, 60, 200])
async def test_any_width(width: int) -> None:
    await drawn(make_vm("web1"), size=(width, 12))


async def test_graphs_share_the_height_evenly() -> None:
    lines = await drawn(make_vm("web1"), size=(120, 16))
    tops = [y for y, line in enumerate(lines) if "CPU" in line or "DISK" in line]
    assert tops == [1, 9]


async def test_memory_without_a_balloon_says_so() -> None:
    vm = make_vm("web1", memory=Memory(3 * GIB, MemorySource.RSS, NOW_S - 5))
    text = "\n".join(await drawn(vm))
    assert "MEMORY ~3.0 of 4.0 G" in text
    assert "RSS of QEMU, 5 s ago" in text
    assert "not known" in "\n".join(await drawn(make_vm("web1", memory=None)))


async def test_a_migration_shows_its_progress() -> None:
    job = Job("migration", 12.0, 4 * GIB, int(2.3 * GIB), 110.0 * MIB, 2)
    lines = await drawn(make_vm("web1", job=job), size=(100, 16))
    assert "migrating 43 %" in lines[0]
    for part in ("43 %", "1.7 of 4.0 G", "110 M/s", "round 2", "about 21 s left"):
        assert part in lines[1]
    lines = await drawn(make_vm("web1", job=Job("saving", 9.0)), size=(100, 16))
    assert "saving" in lines[1]
    assert "for 9 s" in lines[1]


async def test_a_vm_that_is_off_says_how_to_start_it() -> None:
    lines = await drawn(make_vm("old", state=VmState.SHUT_OFF))
    text = "\n".join(lines)
    assert "It is shut off.  s starts it." in text
    [said] = [
        line for line in await drawn(make_vm("old", state=VmState.SHUT_OFF), link=Link.DOWN) if "shut off w" in line
    ]
    assert said.strip() == "It was shut off when its host answered last."
    for part in (
        "vCPUs 4",
        "memory 4.0 G",
        "vda /images/web1.qcow2, sda (empty)",
        "default (virtio, 52:54:00:12:34:56)",
    ):
        assert part in text
    saved = await drawn(make_vm("old", state=VmState.SHUT_OFF, saved=True), config=None)
    assert "s resumes it from its saved memory" in "\n".join(saved)


async def test_no_vm() -> None:
    assert "No VM selected" in (await drawn(None))[0]


async def test_a_lost_host_dims_everything() -> None:
    app = DetailApp(make_vm("web1"), link=Link.DOWN)
    async with app.run_test(size=(120, 12)) as pilot:
        await pilot.pause()
        assert "was running" in app.lines()[0]
        styles = {
            str(segment.style) for y in range(12) for segment in app.detail.render_line(y) if segment.text.strip()
        }
        assert len(styles) == 1


@pytest.mark.parametrize("name", ["[b]x[/]", "数据库" * 30, "🚀" * 50, "z" * 300])
async def test_hostile_names(name: str) -> None:
    lines = await drawn(make_vm(name), size=(80, 9))
    assert lines[0].startswith(f"  {name[:6]}")
    assert "running" in lines[0]


async def test_ascii() -> None:
    job = Job("migration", 12.0, 4 * GIB, GIB, 110.0 * MIB, 2)
    lines = await drawn(make_vm("数", job=job, cpu_cores=None, memory=None), glyphs=ASCII)
    assert all(line.isascii() for line in lines)


async def test_only_changed_lines_are_refreshed(monkeypatch: pytest.MonkeyPatch) -> None:
    refreshed: list[int] = []
    app = DetailApp(make_vm("web1"))
    async with app.run_test(size=(120, 12)) as pilot:
        await pilot.pause()
        monkeypatch.setattr(app.detail, "repaint_lines", refreshed.extend)
        app.fleet = make_fleet(make_host("h1", [make_vm("web1", net_in_bytes_per_s=99.0)]))
        await pilot.pause()
        assert refreshed == [next(y for y, line in enumerate(app.lines()) if "NET" in line)]


async def test_one_repaint_however_much_is_set() -> None:
    app = DetailApp(make_vm("web1"))
    async with app.run_test(size=(120, 12)) as pilot:
        await pilot.pause()
        drawn = count_draws(app.detail)
        app.now_s += 1
        app.fleet = make_fleet(make_host("h1", [make_vm("web1", cpu_cores=3.0)]))
        app.detail.vm_config = CONFIG
        await pilot.pause()
        assert len(drawn) == 1


def count_draws(detail: VmDetail) -> list[None]:
    """Return what grows whenever all lines are made."""
    drawn: list[None] = []
    original = detail.draw

    def draw(width: int, height: int) -> Any:
        drawn.append(None)
        return original(width, height)

    detail.draw = draw  # type: ignore[method-assign]
    return drawn


async def test_nothing_is_drawn_while_nothing_to_be_read_has_changed() -> None:
    app = DetailApp(make_vm("web1"), sampled_at_s=NOW_S)
    async with app.run_test(size=(120, 12)) as pilot:
        await pilot.pause()
        drawn = count_draws(app.detail)
        app.now_s += 0.4
        app.fleet = make_fleet(make_host("h1", [make_vm("web1")], sampled_at_s=NOW_S + 0.3))
        await pilot.pause()
        assert not drawn
        app.fleet = make_fleet(make_host("h1", [make_vm("web1")], sampled_at_s=NOW_S + 1))  # another second of history
        await pilot.pause()
        assert len(drawn) == 1
        app.now_s += 0.7  # the memory's age
        await pilot.pause()
        assert len(drawn) == 2


async def test_hidden_it_draws_nothing_and_then_all() -> None:
    app = DetailApp(make_vm("web1", cpu_cores=1.0))
    async with app.run_test(size=(120, 12)) as pilot:
        await pilot.pause()
        app.detail.display = False
        await pilot.pause()
        drawn = count_draws(app.detail)
        app.fleet = make_fleet(make_host("h1", [make_vm("web1", cpu_cores=3.0)]))
        await pilot.pause()
        assert not drawn
        app.detail.display = True
        await pilot.pause()
        assert "CPU 300" in "\n".join(app.lines())


async def test_graphs_end_with_the_newest_sample_and_go_on_without_it() -> None:
    asked: list[float] = []

    def read(key: VmKey, metric: Metric, step_s: int, points: int, until_s: float) -> list[float | None]:
        asked.append(until_s)
        return [None] * points

    vm = make_vm("web1")
    app = DetailApp(vm, sampled_at_s=NOW_S - 0.9)
    async with app.run_test(size=(120, 12)) as pilot:
        app.detail._plots.read_series = read
        app.detail.span_s = 600
        await pilot.pause()
        assert set(asked) == {NOW_S - 0.9}
        asked.clear()
        app.now_s += 60
        await pilot.pause()
        assert set(asked) == {NOW_S + 60}


async def test_reading_the_past_shows_at_once() -> None:
    app = DetailApp(make_vm("web1"))
    async with app.run_test(size=(120, 12)) as pilot:
        await pilot.pause()
        app.detail.mark(1)
        await pilot.pause()
        assert app.lines()[0].rstrip().endswith("0 s ago")
        assert UNICODE.mark in "".join(app.lines()[2:])
        app.detail.mark(10_000)
        await pilot.pause()
        assert all(UNICODE.mark in line[2:4] for line in app.lines()[2:4])
        app.detail.mark(-10_000)
        await pilot.pause()
        assert UNICODE.mark not in "".join(app.lines())


@pytest.mark.parametrize(("span_s", "label"), [(60, "last 2 min"), (300, "last 6 min"), (600, "last 10 min")])
async def test_span(span_s: int, label: str) -> None:
    app = DetailApp(make_vm("web1"))
    async with app.run_test(size=(120, 12)) as pilot:
        app.detail.span_s = span_s
        await pilot.pause()
        assert app.lines()[0].rstrip().endswith(label)
