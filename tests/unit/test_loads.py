"""What the planner is told of VMs, by histories made up for it."""

from math import nan

import pytest

from kvmtui.engine.definitions import Definitions
from kvmtui.engine.engine import Engine
from kvmtui.engine.loads import Knowledge, vm_loads
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.hypervisor.demo.clock import ManualClock
from kvmtui.model.balance_load import VmLoad
from kvmtui.model.fleet import Fleet
from kvmtui.model.history import History, Metric

H1, H2 = "demo://h1", "demo://h2"


@pytest.fixture
def fleet() -> Fleet:
    demo = DemoBackend(clock=ManualClock())
    engine = Engine(demo, demo.uris)
    engine.tick()
    return engine.fleet


def load_of(fleet: Fleet, name: str, *held: tuple[int, float]) -> VmLoad:
    """Return the load of a VM of h1 whose CPU use was so much for so many seconds, one after the other."""
    history, now_s = History(), 0
    uuids = tuple(fleet.hosts[H1].vms.index)
    for seconds, cores in held:
        for _ in range(seconds // 10):
            history.commit(uuids, [[cores] * len(uuids), *[[nan] * len(uuids)] * (len(Metric) - 1)], now_s, now_s + 10)
            now_s += 10
    known = Knowledge(
        Definitions({}, lambda: None, lambda: now_s), {H1: history, H2: History()}, lambda *_: frozenset()
    )
    return next(load for load in vm_loads(fleet, known, now_s, whole=H1) if load.name == name)


def test_a_burst_is_told_from_what_lasts(fleet: Fleet) -> None:
    load = load_of(fleet, "web1", (3300, 0.1), (300, 4.0))
    assert load.cores_used == pytest.approx(4.0, rel=5e-3)
    assert load.cores_lasting == pytest.approx((3300 * 0.1 + 300 * 4.0) / 3600, rel=1e-2)


def test_what_lasts_is_not_known_from_a_few_minutes(fleet: Fleet) -> None:
    assert load_of(fleet, "web1", (1190, 4.0)).cores_lasting is None
    assert load_of(fleet, "web1", (1210, 4.0)).cores_lasting == pytest.approx(4.0, rel=5e-3)
