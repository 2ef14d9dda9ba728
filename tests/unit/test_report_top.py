"""`kvmtui top` on the demo hosts: what it prints in each form, in which order, and how it ends."""

import csv
import io
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from kvmtui.arguments import COMMANDS, SORT_NAMES
from kvmtui.cli import run
from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.model.filter import parse_filter
from kvmtui.model.host import Host, Link
from kvmtui.model.order import SORT_KEYS
from kvmtui.report import top
from kvmtui.report.top import DONE, NOT_ALL, TopSettings, report_top
from kvmtui.report.top_forms import Look, csv_lines, json_lines
from kvmtui.report.top_values import FIELDS, Moment

H1, H2 = "demo://h1", "demo://h2"
RATES = ("cpu_cores", "net_in_bytes_per_s", "net_out_bytes_per_s")


class Bench:
    """The demo in a time that goes by `clock`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.demo = DemoBackend(clock=clock)
        self.engine = Engine(self.demo, self.demo.uris, clock=clock)
        self.out = io.StringIO()
        self.err = io.StringIO()

    def report(self, looks: int = 1, **how: Any) -> int:
        self.out = io.StringIO()
        return report_top(self.engine, TopSettings(looks=looks, **how), self.out, self.err)

    def objects(self, kind: str, look: int = 1) -> list[dict[str, Any]]:
        told = [json.loads(line) for line in self.out.getvalue().splitlines()]
        return [each for each in told if each["kind"] == kind and each["look"] == look]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.engine.stop()
    made.demo.release_host(H2)


@pytest.fixture
def steady(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Return hosts that are sampled once before each look, a second apart, however slow the machine is."""
    seconds = itertools.count(1000.0)
    now_s = next(seconds)
    made = Bench(lambda: now_s)

    def sample(*_: object) -> None:
        nonlocal now_s
        now_s = next(seconds)
        made.engine.tick()

    monkeypatch.setattr(made.engine, "start", sample)
    monkeypatch.setattr(top._Top, "_wait_for_next", sample)
    yield made
    made.engine.stop()


def test_rates_take_two_looks_and_are_those_of_the_dashboard(steady: Bench) -> None:
    bench = steady
    assert bench.report(2, as_json=True) == DONE
    first, second = bench.objects("vm", 1), bench.objects("vm", 2)
    assert len(first) == len(second) == 12
    assert all(each[rate] is None for each in first for rate in RATES)
    running = [each for each in second if each["state"] == "running"]
    assert running
    assert all(each[rate] is not None for each in running for rate in RATES)
    off = [each for each in second if each["state"] == "shut off"]
    assert off
    assert all(each[name] is None for each in off for name in (*RATES, "id", "memory_used_bytes", "up_s"))
    # By default what uses most CPU comes first, and what is not known last.
    known = [each["cpu_cores"] for each in second if each["cpu_cores"] is not None]
    assert known == sorted(known, reverse=True)
    assert [each["cpu_cores"] for each in second][: len(known)] == known
    hosts = bench.objects("host", 2)
    assert [(host["host"], host["link"], host["vms"]) for host in hosts] == [("h1", "up", 6), ("h2", "up", 6)]


def test_sort_and_filter_are_those_of_the_dashboard(bench: Bench) -> None:
    bench.report(as_json=True, sort="name", filter=parse_filter("host=h1 !db"))
    assert [each["name"] for each in bench.objects("vm")] == ["cache1", "mail", "web1", "web2", "win1"]
    # A host is told of, whatever is filtered.
    assert len(bench.objects("host")) == 2


def test_what_json_calls_it_can_be_sorted_by() -> None:
    parser = COMMANDS["top"]()
    for key in SORT_KEYS:
        [name] = [name for name, short in SORT_NAMES.items() if short == key] or [key]
        assert name in FIELDS
        assert parser.parse_args(["--sort", name]).sort == parser.parse_args(["--sort", key]).sort == key


def test_a_small_figure_is_not_0() -> None:
    host = Host(H1, "h1", Link.UP, sampled_at_s=1.0, round_trip_s=0.0000412345678)
    look = Look(Moment(1, datetime.now(UTC), 1.0), (host,), ())
    assert json.loads(json_lines(look))["round_trip_s"] == 0.0000412346


def test_a_host_that_does_not_answer_is_told_and_nothing_is_said_of_its_vms(bench: Bench) -> None:
    bench.engine.tick()
    bench.demo.host_down(H2, "Connection refused")
    bench.engine.tick()
    assert bench.report(as_json=True) == NOT_ALL
    here, there = bench.objects("host")
    assert (here["stale"], there["stale"], there["link"]) == (False, True, "down")
    assert there["problem"] == "Connection refused"
    assert there["vms"] is there["cpu_busy_fraction"] is None
    gone = [each for each in bench.objects("vm") if each["host"] == "h2"]
    assert len(gone) == 6
    assert all(
        each["stale"] and each["state"] is each["cpu_cores"] is each["memory_used_bytes"] is None for each in gone
    )
    assert bench.report() == NOT_ALL
    said = bench.out.getvalue()
    assert "hosts that answer: 1 of 2; VMs that run: " in said
    assert "Connection refused; last answer " in said
    assert "was running" in said


def test_a_host_that_hangs_holds_no_look_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "_CONNECT_S", 0.3)
    bench.demo.hang_host(H2)
    bench.engine.tick([H1])
    assert bench.report(2, as_json=True) == NOT_ALL
    here, there = bench.objects("host", 2)
    assert (here["link"], there["link"]) == ("up", "connecting")
    assert [each["host"] for each in bench.objects("vm", 2)] == ["h1"] * 6


def test_the_next_look_is_of_what_is_newer_than_the_one_before(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Look] = []
    waited_for: list[Mapping[str, float | None]] = []
    real = top._Top._look

    def look(self: top._Top, number: int) -> Look:
        # The hosts tell anew just before.
        bench.engine.tick()
        shown.append(real(self, number))
        return shown[-1]

    monkeypatch.setattr(bench.engine, "start", bench.engine.tick)
    monkeypatch.setattr(top._Top, "_look", look)
    monkeypatch.setattr(top._Top, "_wait_for_next", lambda _, seen: waited_for.append(seen))
    bench.report(2)
    assert waited_for == [{host.key: host.sampled_at_s for host in shown[0].hosts}]


def test_csv_says_the_same_as_json(steady: Bench) -> None:
    bench = steady
    bench.demo.add_vm(H1, '=1+1,"x"')
    bench.report(as_csv=True, sort="name")
    header, *rows = csv.reader(io.StringIO(bench.out.getvalue()))
    assert tuple(header) == FIELDS
    told = [dict(zip(header, row, strict=True)) for row in rows]
    assert [each["kind"] for each in told] == ["host"] * 2 + ["vm"] * 13
    named = {each["name"]: each for each in told if each["kind"] == "vm"}
    # A spreadsheet must not take a name for a formula.
    assert '\'=1+1,"x"' in named
    assert named["web1"]["cpu_cores"] == ""
    assert named["web1"]["memory_allocated_bytes"] == str(4 * 1024**3)
    assert named["web1"]["stale"] == "false"


def test_a_table_that_can_be_cut_into_words(steady: Bench) -> None:
    bench = steady
    bench.demo.add_vm(H1, "宽\x1b[2J")
    bench.report(filter=parse_filter("state=running"), sort="name")
    titles = ["NAME", "HOST", "STATE", "CPU", "READY", "MEMORY", "DISK-R", "W", "NET-IN", "OUT", "UP"]
    lines = bench.out.getvalue().splitlines()
    start = next(number for number, line in enumerate(lines) if line.split() == titles)
    web1 = next(line for line in lines[start:] if line.startswith("web1 ")).split()
    assert len(web1) == len(titles)
    assert web1[:5] == ["web1", "h1", "running", "-", "-"]
    assert "\x1b" not in bench.out.getvalue()
    assert "shut off" not in bench.out.getvalue()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-n", "0"], "'0' is not a number of looks"),
        (["-n", "x"], "'x' is not a number of looks"),
        (["--sort", "size"], "invalid choice: 'size'"),
        (["--filter", "foo=1"], "nothing is called 'foo'"),
        (["--filter", "cpu>"], "cpu> is not finished"),
        (["--interval", "0"], "between 0.2 and 60 seconds"),
        (["--json", "--csv"], "not allowed with argument"),
    ],
)
def test_wrong_arguments(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["top", "--demo", *arguments]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert says in printed.err


def test_the_header_comes_once() -> None:
    moment = Moment(1, datetime.now(UTC), 0.0)
    assert csv_lines(Look(moment, (), ())).splitlines() == [",".join(FIELDS)]
    assert csv_lines(Look(moment._replace(look=2), (), ())) == ""


def started(*arguments: str, out: int = subprocess.PIPE) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "kvmtui", "top", "--demo", "--interval", "0.2", *arguments]
    return subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_signal_ends_it_without_a_word(number: signal.Signals, code: int) -> None:
    with started("--json") as process:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (code, "")


def test_when_nobody_reads_any_more_it_ends_without_a_word() -> None:
    with started() as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == ""


def test_a_full_disk_is_said() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with started("-n", "1", out=full) as process:
            _, said = process.communicate(timeout=60)
    finally:
        os.close(full)
    assert (process.returncode, said) == (1, "kvmtui: the output cannot be written: No space left on device\n")
