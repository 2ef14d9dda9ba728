import threading
from typing import Any, cast

import pytest

from kvmtui.hypervisor.errors import CallTimedOut, ConnectFailed, HypervisorError, LinkLost, NotStarted
from kvmtui.hypervisor.lanes import HostLanes, settle
from kvmtui.hypervisor.protocol import Connection


class FakeConnection:
    """Counts opens and closes."""

    opened = 0

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.thread = threading.get_ident()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def connections() -> list[FakeConnection]:
    return []


@pytest.fixture
def lanes(connections: list[FakeConnection]) -> HostLanes:
    def open_one() -> Connection:
        connections.append(FakeConnection())
        return cast("Connection", connections[-1])

    return HostLanes("h", {"watch": open_one, "act": open_one})


def hold(begun: threading.Event, release: threading.Event) -> None:
    """Be a call that hangs until it is released."""
    begun.set()
    release.wait()


def test_one_connection_one_thread(lanes: HostLanes, connections: list[FakeConnection]) -> None:
    threads = {lanes.run("watch", lambda _: threading.get_ident(), 5) for _ in range(3)}
    assert threads == {connections[0].thread}
    assert len(connections) == 1


def test_a_call_that_hangs_costs_only_its_lane(lanes: HostLanes, connections: list[FakeConnection]) -> None:
    release = threading.Event()
    with pytest.raises(CallTimedOut):
        lanes.run("watch", lambda _: release.wait(), 0.05)
    assert lanes.hanging("watch") == 1
    assert lanes.run("watch", lambda _: "next", 5) == "next"
    assert len(connections) == 2
    release.set()
    assert connections[0].closed.wait(5)


def test_what_waits_behind_a_hanging_call_is_told(lanes: HostLanes) -> None:
    begun, release = threading.Event(), threading.Event()
    first = lanes.start("act", lambda _: hold(begun, release))
    assert begun.wait(5)
    second = lanes.start("act", lambda _: "never")
    lanes.abandon(first)
    with pytest.raises(CallTimedOut):
        second.future.result(5)
    release.set()


def test_hanging_calls_are_bounded(lanes: HostLanes) -> None:
    release = threading.Event()
    for _ in range(4):
        with pytest.raises(CallTimedOut):
            lanes.run("watch", lambda _: release.wait(), 0.02)
    with pytest.raises(CallTimedOut, match="4 calls"):
        lanes.run("watch", lambda _: "refused", 5)
    release.set()


def test_a_lost_link_gets_a_new_connection(lanes: HostLanes, connections: list[FakeConnection]) -> None:
    def lose(_: Any) -> None:
        raise LinkLost("end of file")

    with pytest.raises(LinkLost):
        lanes.run("watch", lose, 5)
    assert lanes.run("watch", lambda _: 1, 5) == 1
    assert len(connections) == 2
    assert connections[0].closed.wait(5)


def test_a_failed_open_is_tried_again() -> None:
    attempts: list[int] = []

    def open_one() -> Connection:
        attempts.append(1)
        raise ConnectFailed("refused")

    lanes = HostLanes("h", {"watch": open_one})
    for _ in range(2):
        with pytest.raises(ConnectFailed):
            lanes.run("watch", lambda _: None, 5)
    assert len(attempts) == 2


def test_alone_calls_close_their_connection(lanes: HostLanes, connections: list[FakeConnection]) -> None:
    call = lanes.start_alone("act", "migration", lambda _: "moved")
    assert call.future.result(5) == "moved"
    assert connections[0].closed.wait(5)


def test_defects_reach_the_caller(lanes: HostLanes) -> None:
    with pytest.raises(ZeroDivisionError):
        lanes.run("watch", lambda _: 1 / 0, 5)
    assert lanes.run("watch", lambda _: 1, 5) == 1


def test_a_defect_does_not_end_who_settles_calls(lanes: HostLanes) -> None:
    call = lanes.start("watch", lambda _: 1 / 0)
    assert isinstance(call.future.exception(5), ZeroDivisionError)
    with pytest.raises(HypervisorError, match="internal error"):
        settle(call)


def test_what_hangs_in_one_kind_of_lane_does_not_keep_another_from_working(lanes: HostLanes) -> None:
    release = threading.Event()
    for _ in range(4):
        with pytest.raises(CallTimedOut):
            lanes.run("watch", lambda _: release.wait(), 0.02)
    assert lanes.run("act", lambda _: "acted", 5) == "acted"
    release.set()


def test_a_call_given_up_while_the_host_did_not_answer_is_never_made() -> None:
    answered, done = threading.Event(), threading.Event()

    def open_late() -> Connection:
        answered.wait(10)
        return cast("Connection", FakeConnection())

    lanes = HostLanes("h", {"act": open_late})
    call = lanes.start("act", lambda _: done.set())
    lanes.abandon(call)
    answered.set()
    with pytest.raises(NotStarted):
        call.future.result(5)
    assert not done.is_set()


def test_dropping_a_lane_with_a_call_in_flight_gives_it_up(lanes: HostLanes) -> None:
    begun, release = threading.Event(), threading.Event()
    lanes.start("watch", lambda _: hold(begun, release))
    assert begun.wait(5)
    behind = lanes.start("watch", lambda _: "never")
    lanes.drop("watch")
    with pytest.raises(NotStarted):
        behind.future.result(5)
    assert lanes.hanging("watch") == 1
    release.set()


def test_a_cancelled_future_does_not_end_the_lane(lanes: HostLanes) -> None:
    begun, release = threading.Event(), threading.Event()
    first = lanes.start("watch", lambda _: hold(begun, release))
    assert begun.wait(5)
    second = lanes.start("watch", lambda _: "cancelled")
    assert second.future.cancel()
    release.set()
    first.future.result(5)
    assert lanes.run("watch", lambda _: "next", 5) == "next"
