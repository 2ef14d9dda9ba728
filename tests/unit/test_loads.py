"""What the planner is told of VMs, by histories made up for it."""

import random
from dataclasses import replace
from math import nan

import pytest

from kvmtui.engine.definitions import Definition, Definitions
from kvmtui.engine.engine import Engine
from kvmtui.engine.loads import Knowledge, vm_loads
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.hypervisor.demo.clock import ManualClock
from kvmtui.model.balance_load import VmLoad
from kvmtui.model.fleet import Fleet
from kvmtui.model.history import History, Metric
from kvmtui.model.host_vms import HostVms
from kvmtui.model.sharing import Mark, Sharing
from kvmtui.model.vm import Disk, VmConfig

H1, H2, H3 = "demo://h1", "demo://h2", "demo://h3"


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


def sights(fleet: Fleet, seed: int, *, by_folder: bool, carried: bool) -> list[VmLoad]:
    """Return loads whose disks stand at the other host in one way or another."""
    chance = random.Random(seed)  # noqa: S311 - a test's own dice
    fleet = Fleet({**fleet.hosts, H3: replace(fleet.hosts[H2], key=H3, name="h3", vms=HostVms())})
    marks = [Mark(1, "netfs nas:/a"), Mark(2), Mark(3, "", 5, 5), Mark(4, "", 10**12, 10**12)]
    definitions = Definitions({}, lambda: None, lambda: 0.0)
    for key in [vm.key for vm in fleet.vms()]:
        folders = chance.sample("abc", chance.randint(0, 3))
        disks = [Disk(f"vd{each}", f"/{each}/{key.uuid}", writable=True) for each in folders]
        config = VmConfig(tuple(disks), (), (), (), None, emulated=False, taken_at_s=0.0)
        volumes = {disk.path or "": chance.choice(marks) for disk in disks if chance.random() < 0.9}
        for path, mark in volumes.items():
            probe = path
            if by_folder:
                probe, _ = definitions._probes.setdefault((key.host, path[:2]), (path, mark))
            for other in sorted({H1, H2, H3} - {key.host}):
                if chance.random() < 0.9:
                    definitions._seen.setdefault((other, probe), chance.choice([None, *marks]))
        definitions._known[key] = Definition(config, volumes=volumes)
    histories = {H1: History(), H2: History(), H3: History()}
    uuids = frozenset(vm.key.uuid for vm in fleet.vms()) if carried else frozenset()
    known = Knowledge(definitions, histories, lambda uuid, host: frozenset(), carried=lambda: uuids)
    return vm_loads(fleet, known, 0.0, whole=H1)


@pytest.mark.parametrize("by_folder", [False, True])
def test_what_stands_alike_is_told_as_if_each_were_looked_at(fleet: Fleet, *, by_folder: bool) -> None:
    told: set[tuple[object, ...]] = set()
    for seed in range(60):
        loads = sights(fleet, seed, by_folder=by_folder, carried=False)
        assert loads == sights(fleet, seed, by_folder=by_folder, carried=True)
        told |= {(load.immovable, load.copy_bytes, *load.forbidden.values()) for load in loads}
    # All kinds have come about.
    assert len(told) > 20


def test_disks_of_one_folder_are_looked_at_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []

    def look(*asked: object, running: bool) -> Sharing:
        looks.append(str(asked[-1]))
        return Sharing.ONE

    monkeypatch.setattr(Definitions, "disk_at", look)
    definitions = Definitions({}, lambda: None, lambda: 0.0)
    for number, key in enumerate(sorted(vm.key for vm in fleet.vms())):
        disk = Disk("vda", f"/a/{number}", writable=True)
        definitions._known[key] = Definition(VmConfig((disk,), (), (), (), None, emulated=False, taken_at_s=0.0))
        definitions._probes.setdefault((key.host, "/a"), (f"/a/{number}", None))
    assert len(vm_loads(fleet, Knowledge(definitions, {H1: History(), H2: History()}, lambda *_: frozenset()), 0.0)) > 8
    # The one that stands for its folder, and the others.
    assert sorted(looks) == [H1, H1, H2, H2]
