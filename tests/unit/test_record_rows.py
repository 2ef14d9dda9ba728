"""Rows of a recording: what is packed is what comes out, whatever the hosts and VMs do."""

from dataclasses import replace
from math import isnan, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvmtui.engine.recording.numbers import rounded, rounded_bytes
from kvmtui.engine.recording.picture import Picture
from kvmtui.engine.recording.rounding import Rounding
from kvmtui.engine.recording.rows import Damaged, Piece, RowMaker, base_of, pack_rows
from kvmtui.model.clean import clean_message
from kvmtui.model.history import _packed
from kvmtui.model.host import Host, HostFacts, HostFigures, Link, Pressure
from kvmtui.model.host_vms import DeepFigures, HostVms
from kvmtui.model.vm import Job, Memory, MemorySource, VmState

_RATES = st.one_of(st.just(0.0), st.just(nan), st.floats(1e-6, 1e11), st.integers(0, 1 << 40).map(float))
_MAYBE = st.one_of(st.none(), st.just(0.0), st.floats(1e-6, 1e11))
_TEXTS = st.text(max_size=12).map(clean_message)
_WORDS = st.sampled_from(["", "user", "I/O error", "migrating"])
_UUIDS = st.lists(st.sampled_from([f"uuid-{number}" for number in range(6)]), unique=True, max_size=6)


def _yes(draw: st.DrawFn) -> bool:
    return draw(st.booleans())


@st.composite
def hosts(draw: st.DrawFn) -> list[tuple[float, Host]]:
    """Return a host at some moments, as a poller would publish it."""
    at_s, host = 1000.0, Host("h", "h", Link.CONNECTING)
    moments = [(at_s, host)]
    for _ in range(draw(st.integers(1, 8))):
        at_s += draw(st.sampled_from([0.0, 0.25, 1.0, 1.125, 60.0]))
        vms = host.vms
        if _yes(draw):
            vms = _new_vms(draw, vms, at_s)
        elif vms.index and _yes(draw):
            cpu = draw(st.lists(_RATES, min_size=len(vms.index), max_size=len(vms.index)))
            vms = replace(vms, cpu_cores=cpu, cpu_recent=(*vms.cpu_recent, cpu)[-20:], _made={})
        if vms.index and _yes(draw):
            uuid = draw(st.sampled_from([*vms.index]))
            vms = replace(vms, deep={**vms.deep, uuid: _deep(draw, at_s)}, _made={})
        busy = draw(_MAYBE)
        figures = HostFigures(
            busy,
            draw(st.one_of(st.none(), st.integers(0, 1 << 45))),
            draw(st.one_of(st.none(), st.integers(0, 1 << 45))),
            draw(st.one_of(st.none(), st.builds(Pressure, *[st.floats(0, 1)] * 3))),
            (*host.figures.cpu_recent, busy)[-20:],
            draw(_MAYBE),
            draw(st.floats(0, 300)),
        )
        host = Host(
            "h",
            draw(_TEXTS),
            draw(st.sampled_from([*Link])),
            draw(st.one_of(st.none(), st.just(HostFacts("h", "u", 4, 1 << 30, "9.0.0", "7.2", True)))),
            draw(st.sampled_from([figures, host.figures])),
            vms,
            draw(st.sampled_from([None, at_s, at_s - 0.125])),
            draw(_MAYBE),
            draw(st.sampled_from([1.0, 5.0])),
            _yes(draw),
            draw(_TEXTS),
            draw(st.one_of(st.none(), st.just(at_s + 3))),
            read_only=True,
        )
        moments.append((at_s, host))
    return moments


def _new_vms(draw: st.DrawFn, old: HostVms, at_s: float) -> HostVms:
    uuids = draw(_UUIDS)
    count = len(uuids)

    def column(values: st.SearchStrategy[object]) -> list[object]:
        return draw(st.lists(values, min_size=count, max_size=count))

    def some() -> frozenset[str] | None:
        return draw(st.one_of(st.none(), st.frozensets(st.sampled_from(uuids) if uuids else st.nothing())))

    before = [old.index.get(uuid, -1) for uuid in uuids]
    cpu = column(_RATES)
    states = column(st.sampled_from([*VmState]))
    return HostVms(
        "h",
        {uuid: at for at, uuid in enumerate(uuids)},
        column(_TEXTS),  # type: ignore[arg-type]
        column(st.integers(-1, 99)),  # type: ignore[arg-type]
        states,  # type: ignore[arg-type]
        column(_WORDS),  # type: ignore[arg-type]
        column(st.integers(0, 8)),  # type: ignore[arg-type]
        column(st.integers(0, 1 << 40)),  # type: ignore[arg-type]
        column(st.one_of(st.none(), st.floats(0, 999))),  # type: ignore[arg-type]
        cpu,  # type: ignore[arg-type]
        column(_RATES),  # type: ignore[arg-type]
        column(_RATES),  # type: ignore[arg-type]
        (*([[*each, nan][at] for at in before] for each in old.cpu_recent[-19:]), cpu),  # type: ignore[arg-type]
        {uuid: deep for uuid, deep in old.deep.items() if uuid in uuids and _yes(draw)},
        some(),
        some(),
        some(),
        {uuids[0]: at_s - 7} if uuids and _yes(draw) else {},
        {uuids[0]: Job("migration", 3.5, 1 << 40, 17)} if uuids and _yes(draw) else {},
        sum(state.executing for state in states),  # type: ignore[attr-defined]
    )


def _deep(draw: st.DrawFn, at_s: float) -> DeepFigures:
    source = draw(st.sampled_from([None, *MemorySource]))
    memory = None if source is None else Memory(draw(st.integers(0, 1 << 45)), source, at_s - draw(st.integers(0, 9)))
    rss = draw(st.one_of(st.none(), st.integers(0, 1 << 45)))
    return DeepFigures(at_s - 0.5, memory, draw(_MAYBE), draw(_MAYBE), draw(_MAYBE), rss)


@settings(deadline=None)
@given(moments=hosts(), cut=st.integers(0, 8), small=st.booleans())
def test_a_host_comes_out_as_it_went_in(moments: list[tuple[float, Host]], cut: int, small: bool) -> None:
    rounding, maker, picture = Rounding(), RowMaker(), Picture("h")
    seen = [(at_s, rounding.host(host)) for at_s, host in moments]
    rows = [maker.make(at_s, host) for at_s, host in seen]
    pieces = [Piece(pack_rows(rows[: cut + 1], whole=True, small=small), base_of(rows[0]))]
    if rows[cut + 1 :]:
        pieces.append(Piece(pack_rows(rows[cut + 1 :], whole=False, small=small), None))
    out = [row for piece in pieces for row in piece.rows()]
    assert len(out) == len(seen)
    for (at_s, host), row in zip(seen, out, strict=True):
        picture.apply(row)
        again = picture.host()
        assert again is not None
        assert row.at_ms == int(at_s * 1000)
        assert replace(again, vms=host.vms) == replace(host, read_only=True)
        assert dict(again.vms) == dict(host.vms)
        assert again.vms.running == host.vms.running


@settings(deadline=None)
@given(moments=hosts())
def test_a_row_that_says_everything_is_enough(moments: list[tuple[float, Host]]) -> None:
    rounding, maker = Rounding(), RowMaker()
    seen = [(at_s, rounding.host(host)) for at_s, host in moments]
    for at_s, host in seen[:-1]:
        maker.make(at_s, host)
    maker.say_everything()
    row = maker.make(*seen[-1])
    picture = Picture("h")
    picture.apply(Piece(pack_rows([row], whole=True, small=True), base_of(row)).rows()[0])
    again = picture.host()
    assert again is not None
    host = seen[-1][1]
    assert [(vm.name, vm.cpu_cores, vm.memory, vm.state, vm.job) for vm in again.vms.values()] == [
        (vm.name, vm.cpu_cores, vm.memory, vm.state, vm.job) for vm in host.vms.values()
    ]


@given(values=st.lists(st.floats(2**-23, 1e11), min_size=1))
def test_figures_are_kept_to_within_a_thousandth_and_alike_by_the_history(values: list[float]) -> None:
    kept = rounded(values)
    assert all(0 <= value - near <= value / 1000 for value, near in zip(values, kept, strict=True))
    assert rounded(kept) == kept
    assert _packed(kept) == _packed(values)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (0.0, 0.0),
        (1.0, 1.0),
        (-1.0, 0.0),
        (-0.0, 0.0),
        (1e-9, 0.0),
        (1e30, 2**40 - 2**29),
        (float("inf"), 2**40 - 2**29),
    ],
)
def test_figures_at_the_edges(value: float, kept: float) -> None:
    assert rounded([value, nan])[0] == pytest.approx(kept, rel=1e-3)
    assert isnan(rounded([value, nan])[1])


def test_memory_is_kept_as_it_is_where_it_is_round() -> None:
    assert [rounded_bytes(amount) for amount in (0, 1 << 30, 3 << 40)] == [0, 1 << 30, 3 << 40]


@given(data=st.binary(max_size=200))
def test_rubbish_is_called_damaged(data: bytes) -> None:
    for start in (b"x", b"z", b""):
        with pytest.raises(Damaged):
            Piece(start + data, None)
