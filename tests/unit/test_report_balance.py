"""`kvmtui balance` on the demo hosts: what it prints, as text and as JSON, and its exit codes."""

import errno
import io
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from kvmtui.config import BalanceSettings, ConfigError
from kvmtui.engine.engine import Engine
from kvmtui.engine.plan_runner import PlanRunner
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.model.plan_run import Outcome
from kvmtui.report import balance
from kvmtui.report.balance import DONE, NOT_ALL, NOT_KNOWN, report_balance

H1, H2 = "demo://h1", "demo://h2"


class Bench:
    """The demo in real time, looked at five times a second."""

    def __init__(self) -> None:
        self.demo = DemoBackend()
        self.engine = Engine(self.demo, self.demo.uris, interval_s=0.2)
        self.out = io.StringIO()
        self.err = io.StringIO()

    def report(
        self, evacuate: str | None = None, *, as_json: bool = False, run: bool = False, watch_s: float = 2.5
    ) -> int:
        wanted = BalanceSettings(evacuate, as_json, run, watch_s=watch_s)
        return report_balance(self.engine, wanted, self.out, self.err)

    def hosts(self, *names: str) -> set[str]:
        return {self.demo.find(name).host for name in names}


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.engine.stop()


def test_a_plan_is_printed_and_nothing_is_moved(bench: Bench) -> None:
    assert bench.report() == DONE
    said = bench.out.getvalue()
    assert said.startswith("Balancing, by what was seen in ")
    assert "  1  web1 h1→h2: h1 CPU " in said
    titles, *rows = [line for line in said.splitlines() if line.startswith(("HOST", "h1 ", "h2 "))]
    assert len(rows) == 2
    # Aligned: a percent sign stands in the column of its title.
    assert all(row[titles.index("CPU") :].split(" ", 1)[0].isdigit() for row in rows)
    assert bench.err.getvalue() == ""
    assert bench.engine.migrations == ()
    assert bench.hosts("web1") == {H1}


def test_json_has_units_in_its_names(bench: Bench) -> None:
    assert bench.report(as_json=True) == DONE
    told = json.loads(bench.out.getvalue())
    move = told["moves"][0]
    assert (move["name"], move["source_uri"], move["destination_uri"]) == ("web1", H1, H2)
    assert move["outcome"] == "planned"
    assert move["copy_bytes"] > 2**30
    assert 0 < move["source_cpu_fraction"]["after"] < move["source_cpu_fraction"]["before"] <= 1
    assert {host["uri"] for host in told["hosts"]} == {H1, H2}
    assert told["spread"]["cpu_fraction"]["after"] < told["spread"]["cpu_fraction"]["before"]


def test_run_makes_the_moves_with_a_line_for_each_state(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    check = PlanRunner._check

    def once_it_is_said(runner: PlanRunner, *asked: Any) -> None:
        if ": checking" in bench.out.getvalue():
            check(runner, *asked)

    monkeypatch.setattr(PlanRunner, "_check", once_it_is_said)
    assert bench.report(run=True) == DONE
    lines = [line for line in bench.out.getvalue().splitlines() if line.startswith("1/1 web1 h1→h2: ")]
    assert lines[0].endswith(": checking")
    assert lines[-1].endswith(": moved")
    assert bench.hosts("web1") == {H2}


def test_what_cannot_leave_is_listed_with_why_and_told_by_the_exit_code(bench: Bench) -> None:
    assert bench.report("h1") == NOT_ALL
    assert "  win1 on h1: it is pinned to its host" in bench.out.getvalue()


def test_run_with_json_tells_what_became_of_it_and_keeps_the_output_clean(bench: Bench) -> None:
    for name in ("db1", "cache1", "web2", "win1", "mail"):
        bench.demo.remove_vm(H1, bench.demo.uuid(name))
    assert bench.report(H1, as_json=True, run=True) == DONE
    told = json.loads(bench.out.getvalue())
    assert [move["outcome"] for move in told["moves"]] == [Outcome.DONE.value]
    assert told["evacuating"] == "h1"
    assert "web1 h1→h2: moved" in bench.err.getvalue()


def test_too_short_a_look_is_not_taken_for_even_hosts(bench: Bench) -> None:
    assert bench.report(watch_s=0.5) == NOT_KNOWN


def test_a_host_that_is_not_there_is_named_with_those_that_are(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="no host is called 'h9'; there are h1, h2"):
        bench.report("h9")


def test_a_host_that_cannot_be_reached_is_told_in_a_line(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvmtui.report.balance._CONNECT_S", 1.0)
    bench.demo.host_down(H2, "Connection refused")
    assert bench.report() == NOT_KNOWN
    assert bench.out.getvalue() == ""
    assert "h2: not connected: " in bench.err.getvalue()
    assert "a move takes two connected hosts" in bench.err.getvalue()


def test_control_c_aborts_the_move_under_way_and_says_what_stands(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = balance._Report._wait
    typed: list[None] = []

    def wait(report: balance._Report) -> None:
        run = bench.engine.plans.run
        step = run.current if run is not None else None
        if not typed and step is not None and step.migration is not None and step.outcome is Outcome.MOVING:
            typed.append(None)
            raise KeyboardInterrupt
        waits(report)

    monkeypatch.setattr(balance._Report, "_wait", wait)
    assert bench.report("h1", run=True) == NOT_ALL
    assert typed
    said = bench.err.getvalue()
    assert "aborting; ^C again leaves at once" in said
    assert "stopped: the migration of " in said
    assert bench.hosts("db1", "web1", "web2", "cache1") == {H1}


class _Full(io.StringIO):
    """A file on a disk that is full when a text is written."""

    def __init__(self, last: str, number: int) -> None:
        super().__init__()
        self._last = last
        self._number = number

    def write(self, text: str) -> int:
        if self._last in text:
            raise OSError(self._number, os.strerror(self._number))
        return super().write(text)


def test_a_plan_that_cannot_be_written_is_not_run(bench: Bench) -> None:
    bench.out = _Full("Balancing", errno.ENOSPC)
    assert bench.report(run=True) == NOT_ALL
    assert bench.err.getvalue() == "kvmtui: the output cannot be written: No space left on device\n"
    assert bench.engine.migrations == ()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE])
def test_a_move_is_aborted_when_it_cannot_be_told_of(bench: Bench, number: int) -> None:
    bench.out = _Full(": moving", number)
    if number == errno.EPIPE:
        with pytest.raises(BrokenPipeError):
            bench.report("h1", run=True)
    else:
        assert bench.report("h1", run=True) == NOT_ALL
        assert "the output cannot be written: No space left on device" in bench.err.getvalue()
    [migration] = bench.engine.migrations
    assert migration.phase.ended
    assert bench.hosts("db1", "web1", "web2", "cache1") == {H1}


@pytest.mark.parametrize(
    ("broken", "code"),
    [("engine.definitions.Definitions.advance", NOT_KNOWN), ("engine.engine.Engine.look_before_move", NOT_ALL)],
)
def test_a_defect_ends_it_with_a_line(bench: Bench, monkeypatch: pytest.MonkeyPatch, broken: str, code: int) -> None:
    def defect(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(f"kvmtui.{broken}", defect)
    assert bench.report(run=True) == code
    assert "kvmtui: an internal error; run with --log FILE to see it" in bench.err.getvalue()
    assert bench.hosts("web1") == {H1}
