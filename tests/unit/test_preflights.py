"""Asking hosts before a move: through the engine, on demo hosts of which some may not answer."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from kvmtui.engine.engine import Engine
from kvmtui.engine.preflights import LANE, Preflights
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.hypervisor.demo.clock import ManualClock
from kvmtui.hypervisor.errors import CallTimedOut, ConnectFailed, NotPermitted, VmGone
from kvmtui.hypervisor.lanes import HostLanes
from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.preflight import Check, Grade, default_disks, preflight
from kvmtui.model.vm import VmKey, VmState

H1, H2 = "demo://h1", "demo://h2"
EngineFactory = Callable[..., Engine]


@pytest.fixture
def demo() -> DemoBackend:
    return DemoBackend(clock=ManualClock())


@pytest.fixture
def start(demo: DemoBackend) -> Iterator[EngineFactory]:
    made: list[Engine] = []

    def make(*, read_only: bool = False) -> Engine:
        made.append(Engine(demo, demo.uris, read_only=read_only))
        return made[-1]

    yield make
    for engine in made:
        engine.stop()


def look(engine: Engine, key: VmKey, options: MigrationOptions | None = None) -> dict[str, Check]:
    other = H2 if key.host == H1 else H1
    needs, offers = engine.look_before_move(key, [other])[other].result(10)
    chosen = options or MigrationOptions(disks=default_disks(needs, offers), offline=not needs.active)
    return {check.id: check for check in preflight(needs, offers, chosen)}


def grades(checks: dict[str, Check], grade: Grade) -> list[str]:
    return [check.id for check in checks.values() if check.grade is grade]


def test_a_vm_of_the_demo_can_move(demo: DemoBackend, start: EngineFactory) -> None:
    engine = start()
    for name in ("web1", "db1", "old"):
        checks = look(engine, demo.find(name))
        assert grades(checks, Grade.FAIL) == grades(checks, Grade.WARN) == [], name
        assert grades(checks, Grade.UNKNOWN) == ["reach"]


def test_disks_that_only_one_host_sees_are_copied(demo: DemoBackend, start: EngineFactory) -> None:
    engine = start()
    key = demo.find("db1")
    needs, offers = engine.look_before_move(key, [H2])[H2].result(10)
    assert default_disks(needs, offers) is DiskMove.COPY
    assert grades(look(engine, key, MigrationOptions()), Grade.WARN) == ["disks"]


def test_what_a_demo_host_lacks_fails(demo: DemoBackend, start: EngineFactory) -> None:
    engine = start()
    assert grades(look(engine, demo.find("win1")), Grade.FAIL) == ["snapshots"]
    demo.take_away(H2, "default", "br0", "pc-q35-7.2")
    assert grades(look(engine, demo.find("web1")), Grade.FAIL) == ["machine", "networks"]
    demo.take_away(H2)
    demo.add_vm(H2, "web1", state=VmState.SHUT_OFF)
    assert grades(look(engine, VmKey(H1, demo.uuid("web1"))), Grade.FAIL) == ["name"]


@pytest.mark.parametrize("denied", [False, True])
def test_without_writing_less_is_known_and_nothing_fails(demo: DemoBackend, start: EngineFactory, denied: bool) -> None:
    if denied:
        for uri in demo.uris:
            demo.deny_writes(uri)
    checks = look(start(read_only=not denied), demo.find("web1"))
    assert sorted(grades(checks, Grade.UNKNOWN)) == ["cpu", "machine", "reach"]
    assert grades(checks, Grade.FAIL) == []


def test_a_vm_that_is_gone_is_said(start: EngineFactory) -> None:
    with pytest.raises(VmGone):
        start().look_before_move(VmKey(H1, "00000000-0000-4000-8000-000000000000"), [H2])[H2].result(10)


def test_a_destination_that_is_down_is_said_and_costs_no_other(demo: DemoBackend, start: EngineFactory) -> None:
    engine = start()
    demo.host_down(H2, "Connection refused")
    told = engine.look_before_move(demo.find("web1"), [H2, H1])
    with pytest.raises(ConnectFailed):
        told[H2].result(10)
    assert told[H1].result(10)[1].host.name == "h1"


def test_a_host_that_hangs_costs_only_its_own_answer(demo: DemoBackend, start: EngineFactory) -> None:
    engine = start()
    demo.hang_host(H2)
    asked = engine.look_before_move(demo.find("web1"), [H2])[H2]
    assert engine.read_needs(demo.find("web2")).result(10).name == "web2"
    assert not asked.done()
    demo.release_host(H2)
    assert asked.result(10)[1].host.name == "h2"


def wait(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 60
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline_s
        pause.wait(0.002)


def lanes(demo: DemoBackend, uri: str) -> HostLanes:
    return HostLanes(uri, {LANE: lambda: demo.open(uri, read_only=True)})


def test_what_is_not_answered_in_time_is_given_up(demo: DemoBackend) -> None:
    hosts = {uri: lanes(demo, uri) for uri in (H1, H2)}
    preflights = Preflights(hosts, deadline_s=0.0)
    patient = Preflights(hosts, deadline_s=1000.0)
    key = demo.find("web1")
    demo.hang_host(H1)
    asked = [preflights.ask(H1, lambda connection: connection.needs(key.uuid)) for _ in range(2)]
    other: Future[Any] = patient.ask(H2, lambda connection: connection.facts())
    assert other.result(10).hostname == "h2"
    # Only the host that was looked at; and only once.
    preflights.watch(H2)
    patient.watch(H1)
    assert not any(future.done() for future in asked)
    preflights.watch(H1)
    preflights.watch(H1)
    for future in asked:
        with pytest.raises(CallTimedOut):
            future.result(0)
    assert hosts[H1].hanging(LANE) == 1
    demo.release_host(H1)
    # The next question gets a lane of its own, and the late answer disturbs nobody.
    assert patient.ask(H1, lambda connection: connection.needs(key.uuid)).result(10).name == "web1"
    wait(lambda: hosts[H1].hanging(LANE) == 0)


def test_a_defect_of_a_question_reaches_who_asked(demo: DemoBackend) -> None:
    preflights = Preflights({H1: lanes(demo, H1)})

    def refuse(_: object) -> None:
        raise NotPermitted("no")

    with pytest.raises(NotPermitted):
        preflights.ask(H1, refuse).result(10)
