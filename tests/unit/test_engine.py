"""The engine on the demo hosts, ticked by hand under a clock that only tests move."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from kvmtui.engine import audit
from kvmtui.engine.audit import Audit
from kvmtui.engine.engine import Engine
from kvmtui.engine.watch import Watch
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.hypervisor.demo.clock import ManualClock
from kvmtui.hypervisor.errors import HypervisorError, VmBusy
from kvmtui.model.actions import BY_ID, ActionRequest, ActionResult, Outcome, Verb
from kvmtui.model.history import Metric
from kvmtui.model.host import Link
from kvmtui.model.migration import Migration, MigrationRequest, Phase
from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.vm import MemorySource, Vm, VmKey, VmState
from tests.deep_answers import let_deep_answers_in


class Bench:
    """A demo, an engine over it, and what the engine told."""

    def __init__(self, *, read_only: bool = False, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.demo = DemoBackend(clock=self.clock)
        self.engine = Engine(self.demo, self.demo.uris, read_only=read_only, clock=self.clock)
        self.results: list[ActionResult] = []
        self.migrations: list[Migration] = []
        self.engine.listeners.action_finished = self.results.append
        self.engine.listeners.migration_changed = self.migrations.append

    def vm(self, name: str) -> Vm:
        vm = self.engine.fleet.vm(self.demo.find(name))
        assert vm is not None
        return vm

    def submit(self, action: str, name: str) -> None:
        vm = self.vm(name)
        self.engine.submit(ActionRequest(BY_ID[action], vm.key, vm.name, vm.id))

    def tick_until(self, condition: Callable[[], object], what: str) -> None:
        """Let seconds pass until something is so."""
        deadline = time.monotonic() + 60
        passed = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, what
            self.clock.advance(1)
            self.engine.tick()
            # The lanes' threads have their turn before the next second.
            passed.wait(0.002)

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a lane's thread, without any time passing on the hosts."""
        deadline = time.monotonic() + 60
        passed = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, what
            passed.wait(0.002)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    made.engine.tick()
    yield made
    made.engine.stop()


def test_the_first_look_shows_all_vms_and_no_invented_rates(bench: Bench) -> None:
    fleet = bench.engine.fleet
    assert {host.link for host in fleet.hosts.values()} == {Link.UP}
    assert sum(1 for _ in fleet.vms()) == 12
    assert {vm.cpu_cores for vm in fleet.vms()} == {None}


def test_rates_follow(bench: Bench) -> None:
    key = bench.demo.find("web1")
    bench.engine.show_interest(key, [key])
    bench.tick_until(lambda: bench.vm("web1").disk_write_bytes_per_s is not None, "deep figures")
    vm = bench.vm("web1")
    assert vm.cpu_cores is not None
    assert vm.cpu_cores > 0.1
    assert vm.memory is not None
    assert bench.engine.history(key, Metric.CPU_CORES, 1, 3)[-1] == pytest.approx(vm.cpu_cores, rel=5e-3)
    assert bench.vm("old").cpu_cores is None


def test_an_action_is_shown_pending_and_its_state_comes_with_the_next_sample(bench: Bench) -> None:
    bench.submit("pause", "web1")
    bench.wait_until(lambda: bench.results, "a result")
    assert bench.results[0].outcome is Outcome.DONE
    assert bench.results[0].command.endswith("suspend web1")
    assert bench.vm("web1").state is VmState.RUNNING
    bench.engine.tick()
    assert bench.vm("web1").state is VmState.PAUSED
    assert not bench.engine.fleet.pending


def test_a_shutdown_is_followed_until_the_guest_is_off(bench: Bench) -> None:
    bench.submit("shutdown", "web2")
    bench.engine.tick()
    assert bench.engine.fleet.pending == {bench.demo.find("web2"): "shutting down"}
    assert bench.results == []
    bench.tick_until(lambda: bench.results, "the guest to be off")
    assert bench.results[0].outcome is Outcome.DONE
    assert bench.vm("web2").state is VmState.SHUT_OFF
    assert not bench.engine.fleet.pending


def test_a_guest_that_ignores_a_shutdown_is_told_of(bench: Bench) -> None:
    bench.demo.ignore_shutdown(bench.demo.uuid("web2"))
    bench.submit("shutdown", "web2")
    actions = bench.engine._actions
    assert actions is not None
    bench.wait_until(lambda: any(flight.following for flight in actions._flights), "it to be followed")
    for _ in range(50):
        bench.clock.advance(1)
    bench.engine.tick()
    # It can still be forced off, which ends the following, and both are told of.
    bench.submit("force_off", "web2")
    bench.wait_until(lambda: len(bench.results) == 2, "both results")
    told = [(result.request.action.id, result.outcome) for result in bench.results]
    assert told == [("shutdown", Outcome.UNKNOWN), ("force_off", Outcome.DONE)]
    for _ in range(60):
        bench.clock.advance(1)
    bench.engine.tick()
    assert len(bench.results) == 2


def test_following_ends_after_a_while(bench: Bench) -> None:
    bench.demo.ignore_shutdown(bench.demo.uuid("web2"))
    bench.submit("shutdown", "web2")
    bench.tick_until(lambda: bench.results, "the end of patience")
    assert bench.results[0].outcome is Outcome.UNKNOWN
    assert "K forces it off" in bench.results[0].message


def test_a_vm_in_another_run_than_the_user_saw_is_left_alone(bench: Bench) -> None:
    seen = bench.vm("web1")
    bench.submit("force_off", "web1")
    bench.wait_until(lambda: len(bench.results) == 1, "off")
    bench.engine.tick()
    bench.submit("start", "web1")
    bench.wait_until(lambda: len(bench.results) == 2, "started")
    bench.engine.submit(ActionRequest(BY_ID["reset"], seen.key, seen.name, seen.id))
    bench.wait_until(lambda: len(bench.results) == 3, "refused")
    assert bench.results[2].outcome is Outcome.REFUSED
    assert "another run" in bench.results[2].message


def test_a_vm_that_is_gone_or_changed_is_refused(bench: Bench) -> None:
    seen = bench.vm("web1")
    bench.submit("pause", "web1")
    bench.wait_until(lambda: len(bench.results) == 1, "paused")
    bench.engine.submit(ActionRequest(BY_ID["pause"], seen.key, seen.name, seen.id))
    bench.wait_until(lambda: len(bench.results) == 2, "refused")
    assert (bench.results[1].outcome, bench.results[1].message) == (Outcome.REFUSED, "it is paused now")
    bench.demo.remove_vm(seen.key.host, seen.key.uuid)
    bench.engine.submit(ActionRequest(BY_ID["resume"], seen.key, seen.name, seen.id))
    bench.wait_until(lambda: len(bench.results) == 3, "refused")
    assert "no longer exists" in bench.results[2].message


@pytest.mark.parametrize("error", [VmBusy("held by another job"), HypervisorError("no space left")])
def test_a_failure_is_told_with_its_reason(bench: Bench, error: HypervisorError) -> None:
    bench.demo.fail(Verb.START, error)
    bench.submit("start", "old")
    bench.wait_until(lambda: bench.results, "a result")
    assert bench.results[0].outcome is Outcome.FAILED
    assert str(error) in bench.results[0].message


def test_one_action_at_a_time_for_a_vm(bench: Bench) -> None:
    vm = bench.vm("web1")
    bench.demo.hang_host(vm.key.host)
    bench.submit("pause", "web1")
    bench.submit("reset", "web1")
    bench.wait_until(lambda: bench.results, "a refusal")
    assert bench.results[0].outcome is Outcome.REFUSED
    assert "still under way" in bench.results[0].message
    bench.demo.release_host(vm.key.host)


def test_what_was_given_up_is_not_done_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvmtui.engine.poller._CALL_DEADLINE_S", 0.05)
    vm = bench.vm("web1")
    bench.demo.hang_host(vm.key.host)
    bench.submit("pause", "web1")
    bench.clock.advance(100)
    bench.engine.tick()
    assert bench.results[0].outcome is Outcome.UNKNOWN
    bench.demo.release_host(vm.key.host)
    bench.tick_until(lambda: bench.engine.fleet.hosts[vm.key.host].link is Link.UP, "the host back")
    assert bench.vm("web1").state is VmState.RUNNING
    assert len(bench.results) == 1


def test_a_save_can_be_cancelled_and_a_stuck_vm_forced_off(bench: Bench) -> None:
    bench.submit("save", "db2")
    bench.tick_until(lambda: bench.vm("db2").job is not None, "the save as a job")
    assert BY_ID["abort_job"].refusal(bench.vm("db2")) is None
    bench.submit("force_off", "db2")
    bench.tick_until(lambda: len(bench.results) == 2, "both ends")
    assert {result.request.action.id for result in bench.results} == {"save", "force_off"}
    bench.engine.tick()
    assert bench.vm("db2").state is VmState.SHUT_OFF
    assert not bench.engine.fleet.pending


def test_looking_again_does_not_wait_for_the_back_off(bench: Bench) -> None:
    uri = bench.demo.uris[0]
    bench.demo.host_down(uri, "link cut")
    for _ in range(8):
        bench.clock.advance(100)
        bench.engine.tick()
    bench.demo.host_up(uri)
    bench.engine.tick()
    assert bench.engine.fleet.hosts[uri].link is Link.DOWN
    bench.engine.refresh()
    bench.engine.tick()
    assert bench.engine.fleet.hosts[uri].link is Link.UP


def test_hosts_stand_in_the_order_they_were_given() -> None:
    demo = DemoBackend(vms=300)
    uris = tuple(reversed(demo.uris))
    assert tuple(Engine(demo, uris).fleet.hosts) == uris


def test_some_hosts_can_be_looked_at_before_the_others() -> None:
    bench = Bench()
    first, second = bench.demo.uris
    bench.engine.tick([first])
    hosts = bench.engine.fleet.hosts
    assert (hosts[first].link, hosts[second].link) == (Link.UP, Link.CONNECTING)


def test_watching_is_started_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(Watch, "start", lambda watch, pollers: started.append(watch))
    bench.engine.start()
    bench.engine.start()
    assert len(started) == 1


def test_read_only_reaches_no_writing_connection() -> None:
    bench = Bench(read_only=True)
    bench.engine.tick()
    bench.submit("pause", "web1")
    bench.wait_until(lambda: bench.results, "a refusal")
    assert bench.results[0].outcome is Outcome.FAILED
    bench.engine.tick()
    assert bench.vm("web1").state is VmState.RUNNING


def test_a_lost_host_keeps_its_vms_and_comes_back(bench: Bench) -> None:
    uri, other = bench.demo.uris
    bench.clock.advance(1)
    bench.engine.tick()
    bench.demo.host_down(uri, "link cut")
    bench.clock.advance(1)
    bench.engine.tick()
    host = bench.engine.fleet.hosts[uri]
    assert host.link is Link.DOWN
    assert "link cut" in host.problem
    assert host.next_try_at_s is not None
    assert len(host.vms) == 6
    assert host.stale(bench.clock())
    assert bench.engine.fleet.hosts[other].link is Link.UP
    bench.demo.host_up(uri)
    bench.tick_until(lambda: bench.engine.fleet.hosts[uri].link is Link.UP, "the host back")
    assert {vm.cpu_cores for vm in bench.engine.fleet.hosts[uri].vms.values()} == {None}


def test_backoff_grows(bench: Bench) -> None:
    uri = bench.demo.uris[0]
    bench.demo.host_down(uri, "link cut")
    waits = []
    for _ in range(4):
        bench.clock.advance(1)
        bench.engine.tick()
        next_try_s = bench.engine.fleet.hosts[uri].next_try_at_s
        assert next_try_s is not None
        waits.append(next_try_s - bench.clock())
        bench.clock.advance(waits[-1])
    assert waits[3] > 2 * waits[0]


def test_a_hung_vm_is_named_and_the_others_go_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvmtui.engine.deep_looks._SUSPECT_S", 0.05)
    hung, other = bench.demo.find("web1"), bench.demo.find("web2")
    bench.demo.hang_vm(hung.host, hung.uuid)
    bench.engine.show_interest(None, [hung, other])
    bench.tick_until(lambda: bench.vm("web1").monitor_silent_since_s is not None, "the hung VM named")
    assert bench.vm("web2").monitor_silent_since_s is None
    bench.tick_until(lambda: bench.vm("web2").disk_write_bytes_per_s is not None, "figures of the other")
    bench.demo.release_vm(hung.host, hung.uuid)
    bench.tick_until(lambda: bench.vm("web1").monitor_silent_since_s is None, "the VM back")


def test_a_vm_out_of_sight_that_hangs_is_asked_before_its_turn(bench: Bench) -> None:
    key = bench.vm("web1").key
    poller = bench.engine._pollers[key.host]

    def look() -> None:
        bench.clock.advance(1)
        bench.engine.tick()

    def looked_at_s() -> float | None:
        # What has been asked is answered by then.
        let_deep_answers_in(bench.engine)
        look()
        return poller.sampler.deep_at_s(key.uuid)

    first_s = looked_at_s()
    while first_s is None:
        first_s = looked_at_s()
    while (second_s := looked_at_s()) == first_s:
        pass
    # Its turn has just been.
    assert second_s is not None
    assert second_s - first_s > 30
    bench.demo.hang_vm(key.host, key.uuid)
    seconds = 0
    while not (key.uuid in poller._deep._left_out and key.uuid in poller._deep._uuids):
        seconds += 1
        assert seconds <= 15
        let_deep_answers_in(bench.engine)
        look()


def request(bench: Bench, name: str, *, copy_disks: bool = False) -> MigrationRequest:
    vm = bench.vm(name)
    destination = next(uri for uri in bench.demo.uris if uri != vm.key.host)
    return MigrationRequest(
        vm.key, vm.name, vm.id, destination, MigrationOptions(disks=DiskMove.COPY if copy_disks else DiskMove.SHARED)
    )


def test_migration_moves_the_vm_and_proves_it(bench: Bench) -> None:
    asked = request(bench, "cache1")
    bench.engine.migrate(asked)
    assert bench.engine.fleet.pending[asked.key] == "migrating"
    bench.tick_until(lambda: any(state.job is not None for state in bench.migrations), "progress")
    assert bench.engine.fleet.vm(asked.key) is not None
    bench.tick_until(lambda: bench.migrations[-1].phase.ended, "the end")
    assert bench.migrations[-1].phase is Phase.DONE
    bench.engine.tick()
    assert bench.engine.fleet.vm(asked.key) is None
    moved = bench.engine.fleet.vm(VmKey(asked.destination, asked.key.uuid))
    assert moved is not None
    assert moved.state is VmState.RUNNING
    assert not bench.engine.fleet.pending


def test_a_cancelled_migration_leaves_the_vm_where_it_was(bench: Bench) -> None:
    asked = request(bench, "cache1")
    bench.engine.migrate(asked)
    bench.tick_until(lambda: bench.vm("cache1").job is not None, "a job")
    bench.submit("abort_job", "cache1")
    bench.tick_until(lambda: bench.migrations[-1].phase.ended, "the end")
    assert bench.migrations[-1].phase is Phase.CANCELLED
    assert bench.vm("cache1").key.host == asked.key.host
    assert bench.vm("cache1").state is VmState.RUNNING


def test_what_is_unsafe_says_what_to_do(bench: Bench) -> None:
    bench.engine.migrate(request(bench, "db1"))
    bench.tick_until(lambda: bench.migrations[-1].phase.ended, "the end")
    assert bench.migrations[-1].phase is Phase.FAILED
    assert "copy its disks" in bench.migrations[-1].message
    bench.engine.migrate(request(bench, "db1", copy_disks=True))
    bench.tick_until(lambda: bench.migrations[-1].phase is Phase.DONE, "moved")
    assert "--copy-storage-all" in bench.migrations[-1].command


def test_where_peers_cannot_meet_the_client_carries_it(bench: Bench) -> None:
    bench.demo.fail("migrate", HypervisorError("cannot connect to remote libvirt URI"))
    bench.engine.migrate(request(bench, "web2"))
    bench.tick_until(lambda: bench.migrations[-1].phase.ended, "the end")
    assert bench.migrations[-1].phase is Phase.DONE
    assert not bench.migrations[-1].peer_to_peer
    assert "--p2p" not in bench.migrations[-1].command


def test_a_vm_is_moved_once_at_a_time(bench: Bench) -> None:
    bench.engine.migrate(request(bench, "cache1"))
    bench.engine.migrate(request(bench, "cache1"))
    assert bench.migrations[-1].phase is Phase.FAILED
    assert "already" in bench.migrations[-1].message


def test_a_migration_outlives_a_short_loss_of_the_link(bench: Bench) -> None:
    asked = request(bench, "db2", copy_disks=True)
    bench.engine.migrate(asked)
    bench.tick_until(lambda: bench.migrations[-1].phase is Phase.RUNNING, "it under way")
    bench.demo.host_down(asked.key.host, "blip")
    bench.engine.tick()
    bench.demo.host_up(asked.key.host)
    bench.tick_until(lambda: bench.migrations[-1].phase.ended, "the end")
    assert bench.migrations[-1].phase is Phase.DONE
    moved = bench.engine.fleet.vm(VmKey(asked.destination, asked.key.uuid))
    assert moved is not None


def test_when_a_host_cannot_be_asked_the_end_is_unknown(bench: Bench) -> None:
    asked = request(bench, "cache1")
    bench.engine.migrate(asked)
    bench.tick_until(lambda: bench.vm("cache1").job is not None, "a job")
    bench.demo.host_down(asked.destination, "dead")
    bench.tick_until(lambda: bench.migrations[-1].phase.ended, "the end")
    assert bench.migrations[-1].phase is Phase.UNKNOWN


def test_definitions_are_read_in_the_background(bench: Bench) -> None:
    config = bench.engine.read_config(bench.demo.find("db1")).result(10)
    assert [disk.path for disk in config.disks if disk.path]


def test_two_threads_that_act_for_the_first_time_share_one_audit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Audit] = []
    other = threading.Thread(target=lambda: found.append(bench.engine.audit))

    def made_slowly() -> Audit:
        if other.ident is None:
            other.start()
            # As long as the other would take to make one of its own.
            other.join(0.2)
        return Audit()

    monkeypatch.setattr(audit, "Audit", made_slowly)
    mine = bench.engine.audit
    other.join()
    assert found == [mine]


def test_a_vm_that_hangs_in_the_call_of_another_client_is_silent_and_nothing_old_is_shown_of_it(bench: Bench) -> None:
    key = bench.vm("web1").key
    bench.tick_until(lambda: bench.vm("web1").disk_read_bytes_per_s is not None, "figures")
    bench.demo.hang_vm(key.host, key.uuid)
    other = bench.demo.open(key.host, read_only=True)
    threading.Thread(target=other.deep, args=([key.uuid],), daemon=True).start()
    try:
        bench.wait_until(lambda: other.silent([key.uuid]), "the other client")
        bench.tick_until(lambda: bench.vm("web1").monitor_silent_since_s is not None, "that it is silent")
        bench.tick_until(lambda: bench.vm("web1").ready_fraction is None, "that nothing is known")
        assert bench.vm("web1").disk_read_bytes_per_s is None
        # That nobody could ask does not mean that the guest has stopped to tell its memory.
        memory = bench.vm("web1").memory
        assert memory is not None
        assert memory.source is MemorySource.BALLOON
        looked_at_s = bench.engine._pollers[key.host].sampler.deep_at_s(key.uuid)
        assert looked_at_s is not None
        assert looked_at_s <= bench.vm("web1").monitor_silent_since_s  # type: ignore[operator]
    finally:
        bench.demo.release_vm(key.host, key.uuid)
    bench.tick_until(lambda: bench.vm("web1").monitor_silent_since_s is None, "that it answers")
    bench.tick_until(lambda: bench.vm("web1").ready_fraction is not None, "figures again")
