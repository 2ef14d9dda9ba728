"""Plans on the demo hosts: made, edited, run and judged anew, under a clock that only tests move."""

import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from kvmtui.engine import plans
from kvmtui.engine.engine import Engine
from kvmtui.engine.plan_runner import PlanRunner
from kvmtui.engine.plans import Plans
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.hypervisor.demo.clock import ManualClock
from kvmtui.hypervisor.demo.migration import HALFWAY, RESUME
from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.model import plan_check
from kvmtui.model.balance_load import Limits
from kvmtui.model.migration import MigrationRequest, Phase
from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.plan_run import Allowed, Outcome, PlanRun, Stage, Step
from kvmtui.model.preflight import preflight
from kvmtui.model.preflight_values import Check, Grade, GuestNeeds, HostOffers
from kvmtui.model.vm import VmState

H1, H2 = "demo://h1", "demo://h2"
Checks = dict[str, Check]


class Bench:
    """The demo, watched for a minute, and the plans of its engine."""

    def __init__(self, *, read_only: bool = False, read_only_hosts: Collection[str] = ()) -> None:
        self.clock = ManualClock()
        self.demo = DemoBackend(clock=self.clock)
        # Of two hosts, one could not be emptied of it.
        self.demo.tag("db1")
        self.engine = Engine(
            self.demo, self.demo.uris, clock=self.clock, read_only=read_only, read_only_hosts=read_only_hosts
        )
        self.watch(60)

    def watch(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            self.engine.tick()

    @property
    def plans(self) -> Plans:
        return self.engine.plans

    @property
    def run(self) -> PlanRun:
        run = self.plans.run
        assert run is not None
        return run

    def where(self, name: str) -> str:
        return self.demo.find(name).host

    def step(self, name: str) -> Step:
        return next(step for step in self.run.steps if step.move.name == name)

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for threads, without any time passing on the hosts."""
        deadline, passed = time.monotonic() + 60, threading.Event()
        while not condition():
            assert time.monotonic() < deadline, f"{what}; {self.plans.run}"
            passed.wait(0.002)

    def tick_until(self, condition: Callable[[], object], what: str) -> None:
        """Let seconds pass until something is so."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, f"{what}; {self.plans.run}"
            self.clock.advance(1)
            self.engine.tick()

    def look(self, evacuating: str = "", allowed: Allowed | None = None) -> PlanRun:
        """Return the plan of now."""
        before = self.plans.run
        self.plans.look(evacuating, allowed)
        self.wait_until(lambda: self.plans.run is not before and self.run.stage is Stage.READY, "no plan")
        return self.run

    def run_to_the_end(self) -> PlanRun:
        self.plans.go()
        self.wait_until(lambda: self.plans.running or self.run.steps[0].outcome.over, "it does not begin")
        self.tick_until(lambda: not self.plans.running, "it does not end")
        return self.run


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.engine.stop()


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every host take every VM: which figures are there when a move is judged depends on how threads run."""
    most = Limits(
        cpu_busy=10.0, memory_used=10.0, cpu_after_move=10.0, memory_after_move=10.0, reserve_bytes=-(1 << 50)
    )
    monkeypatch.setattr(plans, "Limits", lambda: most)


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Checks:
    """What the checks of a move shall find, where a test says so."""
    found: Checks = {}
    monkeypatch.setattr(
        plan_check, "preflight", lambda *asked: (*found.values(), *(() if found else preflight(*asked)))
    )
    return found


def outcomes(run: PlanRun) -> dict[str, Outcome]:
    return {step.move.name: step.outcome for step in run.steps}


def test_a_plan_evens_the_hosts_out_and_touches_nothing_by_itself(bench: Bench) -> None:
    run = bench.look()
    assert [(step.move.name, step.move.destination) for step in run.steps] == [("web1", H2)]
    assert run.plan is not None
    assert run.plan.after.cpu < run.plan.before.cpu
    bench.watch(30)
    assert bench.where("web1") == H1
    assert bench.engine.migrations == ()


def test_nothing_is_done_about_plans_before_one_is_asked_for(bench: Bench) -> None:
    assert bench.plans.run is None
    bench.plans.discard()
    bench.watch(3)
    assert bench.plans._thread is None
    bench.look()
    assert bench.plans._thread is not None


def test_after_a_defect_no_move_is_said_to_be_under_way(
    bench: Bench, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.look(H1).steps[0].move.name
    bench.plans.go()
    bench.wait_until(lambda: bench.run.stage is Stage.MOVING, "it does not begin")

    def defect(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(PlanRunner, "follow", defect)
        bench.tick_until(lambda: not bench.plans.running, "it does not come to rest")
    assert bench.run.current is None
    assert bench.step(first).outcome is Outcome.UNKNOWN
    bench.plans.go()
    bench.tick_until(lambda: bench.run.current is not None, "it does not begin again")
    assert bench.run.current not in (None, bench.step(first))


def test_who_is_pinned_stays(bench: Bench) -> None:
    run = bench.look(H1)
    assert run.plan is not None
    assert {each.name: each.why for each in run.plan.unmoved} == {"win1": "it is pinned to its host"}


def test_who_is_kept_apart_stays_unless_it_is_allowed(bench: Bench) -> None:
    bench.demo.tag("db1", apart=("db",))
    bench.watch(6)
    run = bench.look(H1)
    assert run.plan is not None
    assert {each.name: each.why for each in run.plan.unmoved}["db1"] == "db2 of group db is on h2"
    bench.look(H1, Allowed(over_limits=True))
    assert bench.step("db1").move.broken == "db2 of group db is on h2"


@pytest.mark.usefixtures("roomy")
def test_all_moves_of_an_evacuation_are_made_one_at_a_time(bench: Bench, checks: Checks) -> None:
    assert len(bench.look(H1).left) == 5
    most = 0

    def told() -> None:
        nonlocal most
        most = max(most, sum(step.outcome is Outcome.MOVING for step in bench.run.steps))

    bench.engine.listeners.plans_changed = told
    run = bench.run_to_the_end()
    assert set(outcomes(run).values()) == {Outcome.DONE}, [step.message for step in run.steps]
    assert most == 1
    assert {vm.name for vm in bench.engine.fleet.hosts[H1].vms.values()} == {"win1"}
    assert bench.plans.maintenance == (H1,)


@pytest.mark.usefixtures("roomy")
def test_a_host_that_was_emptied_gets_nothing_until_it_is_taken_back(bench: Bench, checks: Checks) -> None:
    bench.look(H1)
    assert bench.plans.maintenance == ()
    bench.run_to_the_end()
    assert all(step.move.destination != H1 for step in bench.look().steps)
    run = bench.look(H2)
    assert run.steps == ()
    bench.plans.take_back(H1)
    bench.wait_until(lambda: bench.plans.maintenance == (), "not taken back")
    assert bench.look(H2).steps


@pytest.mark.usefixtures("roomy")
def test_only_one_can_be_run(bench: Bench, checks: Checks) -> None:
    key = bench.demo.find("mail")
    bench.look(H1)
    bench.plans.go(key)
    bench.wait_until(lambda: bench.plans.running, "it does not begin")
    bench.tick_until(lambda: not bench.plans.running, "it does not end")
    assert {name for name, outcome in outcomes(bench.run).items() if outcome is Outcome.DONE} == {"mail"}
    assert {bench.where(name) for name in ("db1", "web1", "web2", "cache1")} == {H1}


def test_moves_are_left_out_and_sent_elsewhere(bench: Bench) -> None:
    bench.look(H1)
    bench.plans.remove(bench.demo.find("db1"))
    bench.wait_until(lambda: "db1" not in outcomes(bench.run), "not removed")
    plan = bench.run.plan
    assert plan is not None
    change = next(host for host in plan.hosts if host.key == H1)
    assert change.cpu is not None
    # Its work stays on the host: about 3 of 8 CPUs.
    assert change.cpu.after > 0.3


def test_a_failed_check_keeps_a_move_from_being_made(bench: Bench, checks: Checks) -> None:
    checks["cpu"] = Check("cpu", "CPU", Grade.FAIL, "needs avx512", "")
    bench.look()
    run = bench.run_to_the_end()
    assert (run.steps[0].outcome, run.steps[0].message) == (Outcome.REFUSED, "CPU: needs avx512")
    assert bench.engine.migrations == ()
    # It is not proposed again for a while, in which somebody may see to it.
    run = bench.look()
    assert run.plan is not None
    assert all(step.move.name != "web1" for step in run.steps)
    bench.watch(600)
    assert [step.move.name for step in bench.look().steps] == ["web1"]


def test_no_volume_is_overwritten_without_anybody_being_asked(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.demo.add_vm(H1, "ledger", role="db")
    bench.watch(60)
    told = bench.engine.read_offers

    def one_is_there(host: str, needs: GuestNeeds) -> "Future[HostOffers]":
        answer: Future[HostOffers] = Future()
        answer.set_result(replace(told(host, needs).result(10), volumes={needs.disks[0].place or "": 2**40}))
        return answer

    monkeypatch.setattr(bench.engine, "read_offers", one_is_there)
    bench.look(H1)
    bench.plans.go(next(step.move.vm for step in bench.run.steps if step.move.name == "ledger"))
    bench.tick_until(lambda: bench.step("ledger").outcome.over, "it does not end")
    assert bench.step("ledger").outcome is Outcome.REFUSED
    assert "vda: h2 has a volume at" in bench.step("ledger").message
    assert bench.where("ledger") == H1


def test_a_defect_in_a_check_costs_that_move_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.look(H1)
    first = bench.run.left[0].move.name

    def broken(needs: GuestNeeds, *asked: HostOffers) -> tuple[Check, ...]:
        if needs.name == first:
            raise ZeroDivisionError
        return ()

    monkeypatch.setattr(plan_check, "preflight", broken)
    run = bench.run_to_the_end()
    assert outcomes(run).pop(first) is Outcome.REFUSED
    assert "an internal error" in bench.step(first).message
    assert Outcome.DONE in outcomes(run).values()


def test_no_device_is_taken_for_shared_without_anybody_being_asked(bench: Bench, checks: Checks) -> None:
    checks["shared"] = Check("shared", "shared storage", Grade.WARN, "one device on both hosts or two", "")
    bench.look()
    run = bench.run_to_the_end()
    assert (run.steps[0].outcome, run.steps[0].message) == (Outcome.REFUSED, "one device on both hosts or two")
    assert bench.engine.migrations == ()


def test_warnings_are_shown_and_do_not_stop(bench: Bench, checks: Checks) -> None:
    checks["cpu"] = Check("cpu", "CPU", Grade.WARN, "host-passthrough", "")
    checks["port"] = Check("port", "port", Grade.UNKNOWN, "cannot be checked from here", "")
    bench.look()
    run = bench.run_to_the_end()
    assert run.steps[0].outcome is Outcome.DONE
    assert [check.title for check in run.steps[0].warnings] == ["CPU"]


@pytest.mark.usefixtures("roomy")
def test_a_move_that_fails_does_not_end_an_evacuation(bench: Bench, checks: Checks) -> None:
    first = bench.look(H1).steps[0].move.name
    bench.demo.fail("migrate", HypervisorError("operation failed: no luck"))
    # Managed migration is tried where peer to peer fails before anything has moved.
    bench.plans.go()
    bench.tick_until(lambda: bench.step(first).outcome is not Outcome.PLANNED, "it does not begin")
    bench.tick_until(lambda: not bench.plans.running, "it does not end")
    assert list(outcomes(bench.run).values()).count(Outcome.DONE) >= 4


@pytest.mark.usefixtures("roomy")
@pytest.mark.parametrize(
    ("failures", "outcome"), [((HALFWAY, RESUME), Outcome.FAILED), ((RESUME,), Outcome.DONE), ((HALFWAY,), None)]
)
def test_a_move_that_leaves_a_guest_paused_stops_the_plan(
    bench: Bench, checks: Checks, failures: tuple[str, ...], outcome: Outcome | None
) -> None:
    first = bench.look(H1).steps[0].move.name
    for failure in failures:
        bench.demo.fail(failure, HypervisorError("Unable to write to socket"))
    run = bench.run_to_the_end()
    if outcome is None:
        # It goes on where it was: that does not end an evacuation.
        assert list(outcomes(run).values()).count(Outcome.DONE) >= 4
        return
    assert bench.step(first).outcome is outcome
    assert run.message.startswith(f"stopped: {first} has to be seen to first: ")
    assert "paused" in run.message
    assert len(run.left) == 4


@pytest.mark.usefixtures("roomy")
def test_stop_lets_the_move_under_way_end(bench: Bench, checks: Checks) -> None:
    bench.look(H1)
    bench.plans.go()
    bench.wait_until(lambda: bench.run.stage is Stage.MOVING, "it does not begin")
    bench.plans.stop()
    bench.wait_until(lambda: bench.run.stopping, "not told")
    bench.tick_until(lambda: not bench.plans.running, "it does not end")
    assert list(outcomes(bench.run).values()).count(Outcome.DONE) == 1
    assert len(bench.run.left) == 4


@pytest.mark.usefixtures("roomy")
def test_abort_leaves_the_vm_where_it_was_and_the_rest_can_be_planned_again(bench: Bench, checks: Checks) -> None:
    name = bench.look(H1).steps[0].move.name
    bench.plans.go()
    bench.tick_until(
        lambda: (migration := bench.step(name).migration) is not None and migration.phase is Phase.RUNNING, "not moving"
    )
    bench.plans.abort()
    bench.tick_until(lambda: not bench.plans.running, "it does not end")
    assert bench.step(name).outcome is Outcome.CANCELLED
    assert f"the migration of {name} was aborted" in bench.run.message
    assert bench.where(name) == H1
    assert len(bench.look(H1).left) == 5


def test_a_move_whose_reason_has_gone_is_dropped_and_says_so(bench: Bench, checks: Checks) -> None:
    crowd = [bench.demo.add_vm(H1, f"db{number}", role="db", vcpus=2) for number in range(10, 14)]
    bench.watch(60)
    first, second = [step.move.name for step in bench.look().steps]
    # Those that filled the host's memory end before the second move is due.
    for uuid in crowd:
        bench.demo.remove_vm(H1, uuid)
    bench.run_to_the_end()
    assert bench.step(first).outcome is Outcome.DONE
    assert bench.step(second).outcome is Outcome.DROPPED
    assert bench.step(second).message.startswith("by the figures of now: ")
    assert bench.where(second) == H1


def test_a_move_that_breaks_a_limit_by_now_is_dropped_with_that_reason(bench: Bench, checks: Checks) -> None:
    bench.look(H1)
    for number in range(2):
        bench.demo.add_vm(H2, f"newcomer{number}", memory_bytes=bench.engine.fleet.hosts[H2].figures.memory_total_bytes)
    bench.watch(3)
    run = bench.run_to_the_end()
    dropped = [step.message for step in run.steps if step.outcome is Outcome.DROPPED]
    assert dropped
    assert all(
        why.startswith("by the figures of now: h2 is at ") and "over the limit of 80 %" in why for why in dropped
    )


def test_read_only_plans_but_runs_nothing() -> None:
    bench = Bench(read_only=True)
    try:
        assert bench.look().left
        bench.plans.go()
        bench.plans.wake()
        bench.watch(3)
        assert bench.run.stage is Stage.READY
        assert bench.engine.migrations == ()
    finally:
        bench.engine.stop()


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("closed", "why"), [(H1, "its host is watched read-only"), (H2, "there is no other host that takes VMs")]
)
def test_a_host_that_is_watched_read_only_is_in_no_plan(closed: str, why: str, *, read_only: bool) -> None:
    bench = Bench(read_only=read_only, read_only_hosts=[closed])
    try:
        assert bench.look().steps == ()
        run = bench.look(H1)
        assert run.steps == ()
        assert run.plan is not None
        assert why in {each.why for each in run.plan.unmoved}
    finally:
        bench.engine.stop()


def test_a_host_that_is_down_takes_no_part(bench: Bench) -> None:
    bench.demo.host_down(H2)
    bench.watch(2)
    run = bench.look()
    assert run.steps == ()
    assert run.plan is not None
    assert next(host for host in run.plan.hosts if host.key == H2).why_out


def test_what_is_off_moves_with_its_host_where_all_see_its_disks(bench: Bench, checks: Checks) -> None:
    bench.demo.add_vm(H1, "spare", role="dev", state=VmState.SHUT_OFF)
    bench.demo.add_vm(H1, "spare-db", role="db", state=VmState.SHUT_OFF)
    bench.watch(2)
    run = bench.look(H1)
    assert "spare" in outcomes(run)
    assert run.plan is not None
    why = next(each.why for each in run.plan.unmoved if each.name == "spare-db")
    assert why == f"it is off, and only its definition can be migrated: h2 does not list {path_of(bench, 'spare-db')}"
    assert bench.step("spare").move.words == "spare h1→h2: it is off: only its definition is migrated"


def path_of(bench: Bench, name: str) -> str:
    return bench.engine.read_config(bench.demo.find(name)).result(10).disks[0].path or ""


def why_stays(run: PlanRun, name: str) -> str:
    assert run.plan is not None
    return next((each.why for each in run.plan.unmoved if each.name == name), "")


def test_what_is_off_is_not_moved_to_where_another_volume_has_the_path_of_its_disk(bench: Bench) -> None:
    bench.demo.add_vm(H1, "spare-db", role="db", state=VmState.SHUT_OFF)
    bench.demo.leave_volume(H2, path_of(bench, "spare-db"))
    # One of the same folder is there, too.
    bench.demo.leave_volume(H2, path_of(bench, "db1"))
    bench.watch(2)
    assert "only its definition can be migrated: h2 has another volume at" in why_stays(bench.look(H1), "spare-db")
    # Nobody allows that: it would start with the other's data.
    allowed = Allowed(copy_disks=True, over_limits=True)
    assert "h2 has another volume at" in why_stays(bench.look(H1, allowed), "spare-db")


@pytest.mark.parametrize(
    ("there", "says"), [({"volumes": {}}, "h2 does not list"), ({"volumes": None}, "could not be asked")]
)
def test_what_is_off_is_not_moved_where_a_check_of_its_disks_does_not_pass(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, there: dict[str, Any], says: str
) -> None:
    bench.demo.add_vm(H1, "spare", role="dev", state=VmState.SHUT_OFF)
    bench.watch(2)
    bench.look(H1)
    told = bench.engine.read_offers

    def changed(host: str, needs: GuestNeeds) -> "Future[HostOffers]":
        answer: Future[HostOffers] = Future()
        answer.set_result(replace(told(host, needs).result(10), **there))
        return answer

    monkeypatch.setattr(bench.engine, "read_offers", changed)
    bench.plans.go(bench.demo.find("spare"))
    bench.tick_until(lambda: bench.step("spare").outcome.over, "it does not end")
    assert bench.step("spare").outcome is Outcome.REFUSED
    assert says in bench.step("spare").message
    assert bench.where("spare") == H1


def there(bench: Bench, name: str) -> None:
    """Move a VM from h1 to h2, its disks copied."""
    vm = bench.engine.fleet.vm(bench.demo.find(name))
    assert vm is not None
    options = MigrationOptions(disks=DiskMove.COPY)
    bench.engine.migrate(MigrationRequest(vm.key, vm.name, vm.id, H2, options))
    bench.tick_until(lambda: bench.engine.migrations[0].phase.ended, "it does not arrive")
    bench.watch(60)
    assert bench.where(name) == H2


def test_what_a_move_of_this_run_left_is_overwritten_on_the_way_back(bench: Bench) -> None:
    # Put down last, db2 leaves its room to others.
    bench.demo.tag("db1", apart=("db",))
    bench.demo.add_vm(H1, "ledger", role="db", vcpus=1, memory_bytes=2**31)
    bench.watch(2)
    there(bench, "ledger")
    # h1 is full.
    assert "ledger" in outcomes(bench.look(H2, Allowed(over_limits=True))), why_stays(bench.run, "ledger")
    bench.plans.go(bench.demo.find("ledger"))
    bench.tick_until(lambda: bench.step("ledger").outcome.over, "it does not end")
    step = bench.step("ledger")
    assert (step.outcome, bench.where("ledger")) == (Outcome.DONE, H1), step.message
    assert "the old copy at" in " ".join(check.evidence for check in step.warnings)
    # Where it is, it has its disk in use; the old copy is at the other host now.
    uuid, path = bench.demo.uuid("ledger"), path_of(bench, "ledger")
    assert path not in bench.engine.old_copies(uuid, H1)
    assert path in bench.engine.old_copies(uuid, H2)


def test_what_somebody_left_is_overwritten_only_where_that_is_allowed(bench: Bench) -> None:
    bench.demo.add_vm(H1, "ledger", role="db", vcpus=1, memory_bytes=2**31)
    bench.demo.leave_volume(H2, path_of(bench, "ledger"))
    bench.watch(60)
    run = bench.look(H1)
    assert "ledger" not in outcomes(run)
    assert "h2 has another volume at" in why_stays(run, "ledger")
    assert "ledger" in outcomes(bench.look(H1, Allowed(copy_disks=True)))
    bench.plans.go(bench.demo.find("ledger"))
    bench.tick_until(lambda: bench.step("ledger").outcome.over, "it does not end")
    assert (bench.step("ledger").outcome, bench.where("ledger")) == (Outcome.DONE, H2), bench.step("ledger").message


def test_a_pin_that_is_set_meanwhile_is_seen_by_the_next_plan(bench: Bench) -> None:
    assert "web1" in outcomes(bench.look(H1))
    bench.demo.tag("web1", pinned=True)
    bench.watch(6)
    assert why_stays(bench.look(H1), "web1") == "it is pinned to its host"


def test_a_pin_that_is_set_after_the_plan_was_made_keeps_the_vm(bench: Bench, checks: Checks) -> None:
    bench.look(H1)
    bench.demo.tag("web1", pinned=True)
    bench.watch(6)
    bench.plans.go(bench.demo.find("web1"))
    bench.tick_until(lambda: bench.step("web1").outcome.over, "it does not end")
    assert (bench.step("web1").outcome, bench.step("web1").message) == (Outcome.REFUSED, "it is pinned to its host")
    assert bench.where("web1") == H1


def test_a_group_that_is_formed_after_the_plan_was_made_is_kept_apart(bench: Bench, checks: Checks) -> None:
    bench.look(H1)
    for name in ("web1", "build3"):
        bench.demo.tag(name, apart=("x",))
    bench.watch(6)
    bench.plans.go(bench.demo.find("web1"))
    bench.tick_until(lambda: bench.step("web1").outcome.over, "it does not end")
    assert (bench.step("web1").outcome, bench.step("web1").message) == (Outcome.REFUSED, "another of group x is on h2")


def test_a_pin_that_is_set_while_a_plan_runs_keeps_the_vm(bench: Bench, checks: Checks) -> None:
    last = bench.look(H1).steps[-1].move.name
    bench.plans.go()
    bench.tick_until(lambda: bench.run.stage is Stage.MOVING, "it does not begin")
    bench.demo.tag(last, pinned=True)
    bench.tick_until(lambda: not bench.plans.running, "it does not end")
    assert bench.step(last).outcome is Outcome.DROPPED
    assert "pinned" in bench.step(last).message
    assert bench.where(last) == H1
