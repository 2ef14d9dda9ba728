"""The poller of one host, attended by hand: when it asks, what it does with answers, and that it waits for none."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from math import nan
from types import SimpleNamespace

import pytest

from kvmtui.engine import deep_schedule
from kvmtui.engine.poller import HostPoller, default_name
from kvmtui.engine.sampler import HostSampler
from kvmtui.engine.watch import Watch
from kvmtui.hypervisor.errors import HypervisorError, LinkLost
from kvmtui.hypervisor.lanes import HostLanes
from kvmtui.hypervisor.samples import DeepVm, Flags, LightColumns, LightSample, LightVm, NodeSample
from kvmtui.model.history import History
from kvmtui.model.host import Host, HostFacts, Link
from kvmtui.model.vm import VmState

PATIENCE_S = 60.0


class Time:
    """Stands in for the poller's `time`: it moves when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.per_reading_s = 0.0

    def monotonic(self) -> float:
        self.now_s += self.per_reading_s
        return self.now_s


class Connection:
    """A host with one VM; its answers wait while `gate` is closed."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.daemon_hangs = False
        self.looks = 0
        self.flags_read = 0
        self.deep_asked: list[Sequence[str]] = []
        self.owing: dict[str, float] = {}
        self.takes: Callable[[], None] = lambda: None
        self.error: Exception | None = None

    def facts(self) -> HostFacts:
        assert not self.daemon_hangs or self.gate.wait(PATIENCE_S)
        return HostFacts("h1", "", 4, 1 << 30, "9.0.0", "QEMU", local=False)

    def light(self, interval_s: float) -> LightSample:
        self.looks += 1
        self.takes()
        assert self.gate.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        vm = LightVm("u", "web1", 1, VmState.RUNNING, "", 1, 1 << 30, 0.0, float(self.looks))
        return LightSample(float(self.looks), 0.001, False, LightColumns.of([vm]))

    def node(self) -> NodeSample:
        return NodeSample(float(self.looks), None, None, None, None, None)

    def flags(self) -> Flags:
        self.flags_read += 1
        return Flags(frozenset(), frozenset(), frozenset())

    def silent(self, uuids: Sequence[str]) -> dict[str, float]:
        return self.owing

    def deep(self, uuids: Sequence[str]) -> tuple[DeepVm, ...]:
        self.deep_asked.append(uuids)
        return ()

    def close(self) -> None:
        pass


class Bench:
    def __init__(self, uri: str = "demo://h1") -> None:
        self.time = Time()
        self.connection = Connection()
        self.published: list[Host] = []
        self.after_ticks = 0
        self.defect: Exception | None = None
        self.called = threading.Semaphore(0)
        connection = self.connection
        openers = dict.fromkeys(("watch", "deep", "act", "probe"), lambda: connection)
        self.lanes = HostLanes(uri, openers)  # type: ignore[arg-type]
        self.poller = HostPoller(
            uri,
            self.lanes,
            HostSampler(uri, History()),
            self.published.append,
            interval_s=1.0,
            read_only=True,
            after_tick=self._after_tick,
            call_me=lambda _: self.called.release(),
            clock=self.time.monotonic,
        )

    def _after_tick(self) -> None:
        self.after_ticks += 1
        if self.defect is not None:
            raise self.defect

    def answer(self) -> None:
        """Wait until the look that is under way calls, and attend to it."""
        assert self.called.acquire(timeout=PATIENCE_S)
        self.poller.attend()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a lane."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s
            threading.Event().wait(0.002)

    def attended(self) -> Host:
        """Attend, and return the host as it was told last."""
        self.poller.attend()
        return self.host

    def second(self) -> None:
        """Let a second pass, and both looks of it come back."""
        looks, self.time.now_s = self.connection.looks, self.time.now_s + 1
        self.until(lambda: bool(self.attended()) and self.connection.looks > looks and self.poller._asked is None)
        self.until(lambda: self.poller._deep._call is None or self.poller._deep._call.done)

    @property
    def host(self) -> Host:
        return self.published[-1]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench()
    monkeypatch.setattr("kvmtui.engine.poller.time", SimpleNamespace(monotonic=made.time.monotonic))
    yield made
    made.connection.gate.set()
    made.poller.close()


def test_the_first_look_connects_and_samples_in_one(bench: Bench) -> None:
    bench.poller.attend()
    assert bench.host.link is Link.CONNECTING
    bench.answer()
    assert (bench.host.link, len(bench.host.vms), bench.connection.looks) == (Link.UP, 1, 1)


def test_a_tick_that_finds_a_look_under_way_asks_for_no_other(bench: Bench) -> None:
    bench.connection.gate.clear()
    for _ in range(5):
        bench.poller.attend()
        bench.time.now_s += 1
    assert bench.connection.looks <= 1
    # What else is under way at that host has its deadlines all the same.
    assert bench.after_ticks == 4
    bench.connection.gate.set()
    bench.answer()
    assert bench.connection.looks == 1


def test_the_next_look_is_at_a_whole_multiple_of_the_interval(bench: Bench) -> None:
    bench.time.now_s = 1000.3
    bench.poller.attend()
    bench.answer()
    assert bench.poller.due_at_s == 1001.0
    bench.time.now_s = 1000.9
    bench.poller.attend()
    assert bench.connection.looks == 1
    bench.time.now_s = 1001.0
    bench.poller.attend()
    bench.answer()
    assert bench.connection.looks == 2


def test_events_bring_a_look_soon_and_not_many(bench: Bench) -> None:
    bench.poller.attend()
    bench.answer()
    flags_read = bench.connection.flags_read
    for _ in range(20):
        bench.poller.wake()
        bench.answer()
    assert bench.connection.looks == 1
    assert bench.poller.due_at_s == pytest.approx(bench.time.now_s + 0.1)
    bench.time.now_s += 0.11
    bench.poller.attend()
    bench.answer()
    assert (bench.connection.looks, bench.connection.flags_read) == (2, flags_read + 1)


def test_a_host_that_cannot_keep_up_is_looked_at_less_often_and_says_so(bench: Bench) -> None:
    def take_three_seconds() -> None:
        bench.time.now_s += 1.5

    bench.connection.takes = take_three_seconds
    bench.poller.attend()
    bench.answer()
    assert bench.host.interval_s == 3.0
    bench.connection.takes = lambda: None
    bench.time.now_s = 1005.0
    bench.poller.attend()
    bench.answer()
    assert bench.host.interval_s == 1.0


def test_a_look_that_does_not_return_is_given_up(bench: Bench) -> None:
    bench.poller.attend()
    bench.answer()
    bench.time.now_s += 1
    bench.connection.gate.clear()
    bench.connection.daemon_hangs = True
    looks = bench.connection.looks
    bench.poller.attend()
    bench.until(lambda: bench.connection.looks > looks)
    bench.time.now_s += 5
    bench.poller.attend()
    assert not bench.host.problem
    bench.time.now_s += 5
    bench.poller.attend()
    assert bench.host.link is Link.DOWN
    assert "no answer" in bench.host.problem
    assert len(bench.host.vms) == 1
    assert bench.lanes.hanging("watch") == 1
    # The next attempt has a lane of its own, and the deep figures, too, are asked for anew.
    bench.connection.gate.set()
    deep_asked = len(bench.connection.deep_asked)
    bench.time.now_s += 10
    bench.poller.attend()
    bench.until(lambda: len(bench.published) > 0 and bench.attended().link == Link.UP)
    bench.time.now_s += 10
    bench.poller.attend()
    bench.until(lambda: bench.attended() is not None and len(bench.connection.deep_asked) > deep_asked)


def test_a_daemon_that_one_vm_holds_up_is_not_called_down(bench: Bench) -> None:
    bench.poller.attend()
    bench.answer()
    bench.time.now_s += 1
    bench.connection.gate.clear()
    bench.poller.attend()
    bench.time.now_s += 5
    assert bench.poller.due_at_s <= bench.time.now_s
    bench.poller.attend()
    bench.until(lambda: bool(bench.poller._probe.held_up))
    bench.time.now_s += 10
    bench.poller.attend()
    assert (bench.host.link, bench.host.stale(bench.time.now_s)) == (Link.UP, True)
    assert "waits for one of its VMs" in bench.host.problem
    assert bench.poller.due_at_s > bench.time.now_s
    # It goes on as before when the VM lets go.
    bench.connection.gate.set()
    bench.until(lambda: not bench.attended().problem)
    assert (bench.host.link, bench.host.interval_s) == (Link.UP, 1.0)
    assert bench.lanes.hanging("watch") == 0
    assert not bench.poller._probe.begun


def test_a_connection_that_stands_still_is_given_up_where_another_works(bench: Bench) -> None:
    bench.poller.attend()
    bench.answer()
    bench.time.now_s += 1
    stuck, gate = threading.Event(), bench.connection.takes

    def stand_still() -> None:
        bench.connection.takes = gate
        assert stuck.wait(PATIENCE_S)

    bench.connection.takes = stand_still
    looks = bench.connection.looks
    bench.poller.attend()
    bench.until(lambda: bench.connection.looks > looks)
    bench.time.now_s += 5
    bench.poller.attend()
    probe = bench.poller._probe
    bench.until(lambda: probe._list is not None and probe._list.done)
    bench.time.now_s += 2
    bench.poller.attend()
    bench.time.now_s += 2
    bench.poller.attend()
    assert bench.host.link is Link.UP
    bench.time.now_s += 2
    bench.poller.attend()
    assert (bench.host.link, bench.host.problem) == (Link.DOWN, "no answer for 10 s")
    stuck.set()


def test_a_daemon_that_is_held_up_for_ever_is_called_down_in_the_end(bench: Bench) -> None:
    bench.poller.attend()
    bench.answer()
    bench.time.now_s += 1
    bench.connection.gate.clear()
    bench.poller.attend()
    bench.time.now_s += 5
    bench.poller.attend()
    bench.until(lambda: bool(bench.poller._probe.held_up))
    bench.time.now_s += 60
    bench.poller.attend()
    assert (bench.host.link, bench.host.problem) == (Link.DOWN, "no answer for 60 s")


def test_a_lost_link_is_told_and_tried_again_when_it_is_time(bench: Bench) -> None:
    bench.connection.error = LinkLost("cut")
    bench.poller.attend()
    bench.answer()
    assert (bench.host.link, bench.host.problem) == (Link.DOWN, "cut")
    assert bench.host.next_try_at_s is not None
    bench.connection.error = None
    bench.poller.attend()
    assert bench.connection.looks == 1
    bench.time.now_s = bench.host.next_try_at_s + 1
    bench.poller.attend()
    bench.answer()
    assert bench.host.link is Link.UP


@pytest.mark.parametrize(("uri", "least_s", "most_s"), [("qemu:///system", 1.0, 4.0), ("qemu+ssh://h/system", 40, 80)])
def test_what_costs_little_to_try_is_tried_often(
    uri: str, least_s: float, most_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(uri)
    monkeypatch.setattr("kvmtui.engine.poller.time", SimpleNamespace(monotonic=bench.time.monotonic))
    bench.connection.error = LinkLost("cut")
    for _ in range(10):
        bench.poller.retry()
        bench.time.now_s += 1
        bench.poller.attend()
        bench.poller.settle()
    assert bench.host.next_try_at_s is not None
    assert least_s < bench.host.next_try_at_s - bench.time.now_s < most_s
    bench.poller.close()


def test_a_defect_is_told_and_does_not_end_the_watching(bench: Bench) -> None:
    bench.connection.error = RuntimeError("oops")
    bench.poller.attend()
    bench.answer()
    assert "internal error" in bench.host.problem
    bench.connection.error = None
    bench.time.now_s += 10
    bench.poller.attend()
    bench.answer()
    assert (bench.host.link, bench.host.problem) == (Link.UP, "")


def test_a_defect_after_a_tick_is_not_met_again_before_the_next(bench: Bench) -> None:
    bench.connection.error = LinkLost("cut")
    bench.poller.attend()
    bench.answer()
    assert bench.host.link is Link.DOWN
    bench.defect = RuntimeError("oops")
    bench.poller._next_try_at_s = bench.time.now_s + 100
    with pytest.raises(RuntimeError):
        bench.time.now_s += 1
        bench.poller.attend()
    assert bench.poller.due_at_s > bench.time.now_s


def test_what_an_event_tells_of_is_not_lost_with_a_look_that_fails(bench: Bench) -> None:
    bench.poller.attend()
    bench.answer()
    flags_read = bench.connection.flags_read
    bench.connection.error = HypervisorError("busy")
    bench.poller.wake()
    bench.time.now_s += 1
    bench.answer()
    bench.answer()
    bench.connection.error = None
    bench.time.now_s += 1
    bench.poller.attend()
    bench.answer()
    assert bench.connection.flags_read == flags_read + 1


class Attended:
    """A poller that only notes who attends to it."""

    def __init__(self, due_at_s: float) -> None:
        self.uri = "demo://h"
        self.due_at_s = due_at_s
        self.attended = threading.Semaphore(0)
        self.threads: set[int] = set()

    def attend(self) -> None:
        self.threads.add(threading.get_ident())
        self.due_at_s = time.monotonic() + 3600
        self.attended.release()
        raise RuntimeError("a defect")


def test_one_thread_attends_to_all_when_due_or_called_and_survives_their_defects() -> None:
    due, called = Attended(float("-inf")), Attended(1e18)
    watch = Watch()
    watch.start([due, called])  # type: ignore[list-item]
    assert due.attended.acquire(timeout=PATIENCE_S)
    for _ in range(2):
        watch.call(called)  # type: ignore[arg-type]
        assert called.attended.acquire(timeout=PATIENCE_S)
    assert due.threads == called.threads
    watch.stop()


@pytest.fixture
def left_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A VM that is running, and of which no look is told anything."""
    monkeypatch.setattr(deep_schedule, "_AGAIN_AFTER_S", (0.0, 0.0))
    bench.poller.attend()
    bench.answer()
    return bench


def test_a_vm_that_others_look_at_is_not_silent(left_out: Bench) -> None:
    for _ in range(40):
        left_out.second()
    assert not left_out.poller.sampler.silent


def test_a_vm_whose_qemu_owes_another_client_an_answer_is_silent(left_out: Bench) -> None:
    left_out.second()
    left_out.connection.owing = {"u": 44.0}
    left_out.second()
    left_out.second()
    (since_s,) = left_out.poller.sampler.silent.values()
    assert 44 <= left_out.time.now_s - since_s <= 46
    left_out.connection.owing = {}
    left_out.second()
    assert not left_out.poller.sampler.silent


def test_a_vm_that_a_job_has_now_and_then_is_not_silent(left_out: Bench) -> None:
    for _ in range(30):
        left_out.connection.owing = {"u": nan}
        left_out.second()
        left_out.second()
        left_out.connection.owing = {}
        left_out.second()
        assert not left_out.poller.sampler.silent


def test_a_vm_that_a_job_has_at_every_look_is_silent_in_the_end(left_out: Bench) -> None:
    left_out.connection.owing = {"u": nan}
    began_s = left_out.time.now_s
    while not left_out.poller.sampler.silent:
        left_out.second()
        assert left_out.time.now_s - began_s < 60
    assert left_out.time.now_s - began_s >= 30
    left_out.second()
    assert began_s <= left_out.poller.sampler.silent["u"] <= began_s + 5


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("qemu+ssh://root@h1/system?socket=/run/x", "h1"),
        ("qemu:///system", "qemu:///system"),
        ("qemu+unix:///system?socket=/run/h1/libvirt-sock&mode=direct", "/run/h1/libvirt-sock"),
        (f"qemu+unix:///system?socket=/{'long/' * 20}h2/libvirt-sock", f"…{('long/' * 20 + 'h2/libvirt-sock')[-39:]}"),
        ("qemu:///system?keyfile=/secret", "qemu:///system?keyfile=***"),
        ("qemu+unix:///system?socket=/a%1bb", "/a\ufffdb"),
    ],
)
def test_a_host_that_never_answered_is_called_by_what_tells_it_from_others(uri: str, name: str) -> None:
    assert default_name(uri) == name
