"""Looking at hosts' health: what hangs is named and left behind, what is silenced is not counted."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from kvmtui.engine import health_round
from kvmtui.engine.checkup import check_up
from kvmtui.engine.engine import Engine
from kvmtui.engine.health_watch import Standing
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.hypervisor.demo.clock import ManualClock
from kvmtui.model.actions import Verb
from kvmtui.model.findings import Finding, Limits, Severity

H1, H2 = "demo://h1", "demo://h2"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_round, "ITEM_S", 0.1)


class Bench:
    """Demo hosts that are looked at when told to."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.demo = DemoBackend(clock=self.clock)
        self.engine = Engine(self.demo, self.demo.uris, clock=self.clock, limits=Limits())
        self.health = self.engine.health
        self.told = 0
        self.engine.listeners.health_changed = self._changed

    def _changed(self) -> None:
        self.told += 1

    def look_until(self, condition: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline_s, self.standing.findings
            self.clock.advance(1)
            self.engine.tick()
            threading.Event().wait(0.005)

    @property
    def standing(self) -> Standing:
        return self.health.standing

    def of(self, rule: str) -> list[Finding]:
        return [each for each in self.standing.findings if each.rule == rule]


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    for uri in made.demo.uris:
        made.demo.hang_item(uri, "pool backup", hangs=False)
        made.demo.release_host(uri)
    made.engine.stop()


def test_the_demo_hosts_have_something_to_be_found(bench: Bench) -> None:
    bench.look_until(lambda: bench.of("pool-full") and bench.of("vm-snapshots"))
    full = bench.of("pool-full")[0]
    assert (full.host_name, full.subject, full.severity) == ("h2", "pool backup", Severity.WARNING)
    # What needs two looks, and a look at QEMU.
    bench.look_until(lambda: any(each.severity.wrong and each.vm_name == "db1" for each in bench.of("vm-ready")))
    assert bench.demo.find("db1") in bench.standing.marks
    # The other host is another machine.
    told = {each.host_name: each.severity for each in bench.health.everything() if each.rule == "swap"}
    assert told == {"h1": Severity.FINE, "h2": Severity.UNTOLD}


def test_a_pool_that_hangs_costs_its_own_figures_and_is_named(bench: Bench) -> None:
    bench.demo.hang_item(H2, "pool backup")
    bench.look_until(lambda: bench.of("pool-down"))
    found = bench.of("pool-down")[0]
    assert (found.severity, found.subject) == (Severity.CRITICAL, "pool backup")
    # What comes behind it was read.
    assert [each.vm_name for each in bench.of("vm-snapshots")] == ["win1"]
    assert not bench.of("pool-full")
    bench.demo.hang_item(H2, "pool backup", hangs=False)
    bench.look_until(lambda: bench.of("pool-full") and not bench.of("pool-down"))


def test_a_connection_that_is_given_up_has_heard_nothing_any_more(bench: Bench) -> None:
    def told() -> Severity:
        found = [each for each in bench.health.everything() if each.rule == "vm-disk-errors"]
        return next(each.severity for each in found if each.host_name == "h2")

    bench.look_until(lambda: bench.health.looked_at(H2))
    assert told() is Severity.UNTOLD
    bench.look_until(lambda: told() is Severity.FINE)
    bench.demo.hang_item(H2, "pool backup")
    bench.look_until(lambda: bench.of("pool-down"))
    assert told() is Severity.UNTOLD


def test_a_finding_goes_when_it_is_mended_and_keeps_since_when(bench: Bench) -> None:
    connection = bench.demo.open(H2, read_only=False)
    connection.perform(Verb.AUTOSTART_ON, bench.demo.uuid("old"))
    bench.look_until(lambda: bench.of("vm-autostart"))
    found = bench.of("vm-autostart")[0]
    since_s = bench.standing.since_s[found.key]
    bench.look_until(lambda: bench.clock() > since_s + 20)
    assert bench.standing.since_s[found.key] == since_s
    connection.perform(Verb.START, bench.demo.uuid("old"))
    bench.look_until(lambda: not bench.of("vm-autostart"))
    assert found.key not in bench.standing.since_s


def test_a_silenced_finding_is_not_loud_until_the_time_is_over(bench: Bench) -> None:
    bench.look_until(lambda: bench.of("pool-full"))
    key = bench.of("pool-full")[0].key
    bench.health.silence(key, 30)
    bench.look_until(lambda: key in bench.standing.silenced)
    assert key not in [each.key for each in bench.standing.loud]
    bench.look_until(lambda: key in [each.key for each in bench.standing.loud])


def test_a_vm_that_seems_to_run_twice_for_a_moment_is_on_its_way(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.look_until(lambda: bench.of("pool-full"))
    one = bench.of("pool-full")[0]
    twice = (replace(one, rule="vm-twice", severity=Severity.CRITICAL),)
    monkeypatch.setattr("kvmtui.engine.health_watch.judge", lambda *_: twice)
    bench.health._judge(bench.clock())
    bench.health._judge(bench.clock())
    assert not bench.of("vm-twice")
    bench.look_until(lambda: bench.of("vm-twice"))


def test_nobody_is_told_when_nothing_has_changed(bench: Bench) -> None:
    bench.look_until(lambda: bench.of("pool-full"))
    told, standing = bench.told, bench.standing
    before = [(each.rule, each.evidence) for each in standing.findings]
    bench.clock.advance(6)
    bench.engine.tick()
    after = [(each.rule, each.evidence) for each in bench.standing.findings]
    assert (bench.told == told) is (before == after)


def test_a_checkup_ends_in_time_with_a_host_that_hangs() -> None:
    demo = DemoBackend()
    demo.hang_host(H2)
    try:
        checked = check_up(demo, demo.uris, Limits(), 1.0, {})
        assert [(each.host, each.severity) for each in checked.findings if each.rule == "link"] == [
            (H2, Severity.UNKNOWN)
        ]
        # The other answered, with its pools and VMs.
        assert [each.vm_name for each in checked.findings if each.rule == "vm-snapshots"] == ["win1"]
    finally:
        demo.release_host(H2)


def test_a_checkup_ends_in_time_with_a_pool_that_hangs() -> None:
    demo = DemoBackend()
    demo.hang_item(H2, "pool backup")
    try:
        checked = check_up(demo, demo.uris, Limits(), 5.0, {})
        found = [each for each in checked.findings if each.rule == "pool-down" and each.severity > Severity.FINE]
        assert [(each.subject, each.severity) for each in found] == [("pool backup", Severity.CRITICAL)]
    finally:
        demo.hang_item(H2, "pool backup", hangs=False)
