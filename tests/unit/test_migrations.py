"""Migrations on the demo hosts: queue, steering, adoption, ends that are proven, and repairs that are safe."""

import math
import threading
from collections.abc import Callable
from dataclasses import replace
from unittest.mock import patch

import pytest

from kvmtui.engine import adoption
from kvmtui.engine.adoption import Adoption
from kvmtui.engine.engine import Engine
from kvmtui.engine.job_probe import JobProbe
from kvmtui.engine.migration_end import look_at_source
from kvmtui.engine.migration_flight import Flight
from kvmtui.hypervisor.demo.connection import DemoConnection
from kvmtui.hypervisor.demo.migration import HALFWAY, PERSIST, RESUME, UNDEFINE
from kvmtui.hypervisor.demo.verbs import abort
from kvmtui.hypervisor.errors import HypervisorError, InvalidState, JobCancelled, LinkLost
from kvmtui.hypervisor.lanes import Call
from kvmtui.hypervisor.protocol import Connection
from kvmtui.model.actions import BY_ID, ActionRequest, Verb
from kvmtui.model.host import Link
from kvmtui.model.migration import Migration, MigrationRequest, Phase, RepairKind, Steer
from kvmtui.model.migration_options import DiskMove, MigrationOptions, PartCopy
from kvmtui.model.migration_progress import ProgressTracker, Verdict
from kvmtui.model.vm import Disk, Job, VmKey, VmState
from kvmtui.ui.widgets.migration_lines import standing
from tests.unit.test_engine import Bench, bench

__all__ = ["bench"]
H1, H2 = "demo://h1", "demo://h2"
SLOW = MigrationOptions(bandwidth_mib_per_s=1)


def ask(bench: Bench, name: str, options: MigrationOptions | None = None) -> VmKey:
    """Have a VM of the first host or the second moved to the other."""
    vm = bench.vm(name)
    destination = H2 if vm.key.host == H1 else H1
    bench.engine.migrate(MigrationRequest(vm.key, vm.name, vm.id, destination, options or MigrationOptions()))
    return vm.key


def now(bench: Bench, key: VmKey) -> Migration:
    """Return how the newest migration of a VM stands."""
    return next(one for one in bench.engine.migrations if one.request.key == key)


def see(bench: Bench, key: VmKey, condition: Callable[[Migration], object]) -> Migration:
    bench.tick_until(lambda: condition(now(bench, key)), f"not so, but {bench.engine.migrations}")
    return now(bench, key)


def running(one: Migration) -> bool:
    return one.phase is Phase.RUNNING


def ended(one: Migration) -> bool:
    return one.phase.ended


def state(bench: Bench, host: str, key: VmKey) -> VmState | None:
    bench.engine.tick()
    vm = bench.engine.fleet.vm(VmKey(host, key.uuid))
    return None if vm is None else vm.state


def repaired(bench: Bench, key: VmKey, kind: RepairKind) -> Migration:
    bench.engine.repair(key, kind)
    return see(bench, key, lambda one: f"{kind.value}: done" in one.message and not one.repairs)


def test_two_at_once_and_the_others_wait_their_turn(bench: Bench) -> None:
    keys = [ask(bench, name, SLOW) for name in ("web1", "web2", "cache1", "mail")]
    phases = [now(bench, key).phase for key in keys]
    assert phases == [Phase.STARTING, Phase.STARTING, Phase.QUEUED, Phase.QUEUED]
    assert now(bench, keys[3]).steers == {Steer.ABORT}
    assert bench.engine.fleet.pending[keys[3]] == "waiting to migrate"
    bench.engine.steer(keys[2], Steer.ABORT)
    assert now(bench, keys[2]).phase is Phase.CANCELLED
    see(bench, keys[0], running)
    bench.engine.steer(keys[0], Steer.BANDWIDTH, 0)
    see(bench, keys[0], lambda one: one.phase is Phase.DONE)
    see(bench, keys[3], running)
    order = [(one.request.vm_name, one.phase) for one in bench.engine.migrations]
    assert order[:2] == [("web2", Phase.RUNNING), ("mail", Phase.RUNNING)]
    assert order[2:] == [("web1", Phase.DONE), ("cache1", Phase.CANCELLED)]
    assert keys[2] not in bench.engine.fleet.pending


def test_what_has_not_ended_when_kvmtui_does_is_told_the_audit(bench: Bench) -> None:
    keys = [ask(bench, name, SLOW) for name in ("web1", "web2", "cache1")]
    keys.append(ask(bench, "build3", replace(SLOW, peer_to_peer=False)))
    for key in (keys[0], keys[3]):
        see(bench, key, running)
    bench.engine.stop()
    told = {each.vm: f"{each.result}: {each.message}" for each in bench.engine.audit.read().result(10) if each.result}
    assert told == {
        "web1": "unknown: kvmtui ended while it was under way: the hosts go on by themselves",
        "web2": "unknown: kvmtui ended while it was under way: the hosts go on by themselves",
        "cache1": "aborted: kvmtui ended before its turn came: it was not migrated",
        "build3": "unknown: kvmtui ended while it was under way: it breaks off with it",
    }


def test_a_guest_that_is_paused_on_the_way_stands_still_since_then(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    assert see(bench, key, running).paused_at_s is None
    bench.engine.steer(key, Steer.PAUSE_GUEST)
    one = see(bench, key, lambda one: one.paused_at_s is not None)
    for _ in range(5):
        bench.clock.advance(1)
        bench.engine.tick()
    assert now(bench, key).paused_at_s == one.paused_at_s
    assert standing(now(bench, key), (one.paused_at_s or 0.0) + 12)[0] == "guest paused for 12 s"
    bench.engine.steer(key, Steer.BANDWIDTH, 0)
    see(bench, key, lambda one: one.phase is Phase.DONE)


def test_a_combination_that_libvirt_refuses_is_not_tried(bench: Bench) -> None:
    ask(bench, "web1", MigrationOptions(post_copy=True, connections=2))
    assert bench.migrations[-1].phase is Phase.FAILED
    assert "10.1" in bench.migrations[-1].message
    assert not bench.engine.fleet.pending


def test_the_bar_rises_and_figures_are_told(bench: Bench) -> None:
    key = ask(bench, "web1", MigrationOptions(bandwidth_mib_per_s=200))
    one = see(bench, key, lambda one: one.progress is not None and (one.progress.fraction or 0) > 0.2)
    assert one.progress is not None
    assert one.progress.eta_s is not None
    assert one.steers == {Steer.DOWNTIME, Steer.BANDWIDTH, Steer.PAUSE_GUEST, Steer.ABORT}
    assert "--bandwidth 200" in one.command
    see(bench, key, lambda one: one.phase is Phase.DONE)
    reached = [one.progress.fraction or 0 for one in bench.migrations if one.progress]
    assert reached == sorted(reached)


def test_what_does_not_converge_says_so_and_more_downtime_ends_it(bench: Bench) -> None:
    key = ask(bench, "build3", MigrationOptions(auto_converge=False))
    one = see(bench, key, lambda one: one.progress and one.progress.verdict is Verdict.NOT_CONVERGING)
    assert one.progress is not None
    assert "dirties" in one.progress.why
    bench.engine.steer(key, Steer.DOWNTIME, 0)
    assert "at least 1 ms" in now(bench, key).message
    bench.engine.steer(key, Steer.DOWNTIME, 60_000)
    see(bench, key, lambda one: "60000 ms" in one.message)
    see(bench, key, lambda one: one.phase is Phase.DONE)


def test_auto_converge_brings_it_over(bench: Bench) -> None:
    key = ask(bench, "build3")
    see(bench, key, lambda one: one.job and (one.job.throttle_fraction or 0) > 0.3)
    see(bench, key, lambda one: one.phase is Phase.DONE)


def test_a_downtime_that_was_asked_for_is_set_when_it_runs(bench: Bench) -> None:
    key = ask(bench, "build3", MigrationOptions(auto_converge=False, downtime_ms=60_000))
    assert "migrate-setmaxdowntime build3 60000" in now(bench, key).command
    see(bench, key, lambda one: one.phase is Phase.DONE)


def test_post_copy_only_where_it_was_asked_for(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    bench.engine.steer(key, Steer.POST_COPY)
    assert "not possible" in now(bench, key).message
    bench.engine.steer(key, Steer.ABORT)
    see(bench, key, ended)
    key = ask(bench, "build3", MigrationOptions(post_copy=True, bandwidth_mib_per_s=100))
    see(bench, key, running)
    bench.engine.steer(key, Steer.POST_COPY)
    one = see(bench, key, lambda one: one.progress and one.progress.verdict is Verdict.POST_COPY)
    # There is no way back.
    assert one.steers == {Steer.BANDWIDTH}
    assert state(bench, H1, key) is VmState.RUNNING
    bench.engine.steer(key, Steer.BANDWIDTH, 0)
    see(bench, key, lambda one: one.phase is Phase.DONE)


def test_a_broken_post_copy_goes_on_by_its_repair(bench: Bench) -> None:
    key = ask(bench, "build3", MigrationOptions(post_copy=True, bandwidth_mib_per_s=1))
    see(bench, key, running)
    bench.engine.steer(key, Steer.POST_COPY)
    see(bench, key, lambda one: one.progress and one.progress.verdict is Verdict.POST_COPY)
    bench.demo.host_down(H1)
    bench.demo.host_up(H1)
    one = see(bench, key, lambda one: ended(one) and one.repairs)
    assert [repair.kind for repair in one.repairs] == [RepairKind.RECOVER_POST_COPY]
    bench.engine.repair(key, RepairKind.RECOVER_POST_COPY)
    assert see(bench, key, lambda one: one.phase is Phase.DONE)
    assert len(bench.engine.migrations) == 1
    assert state(bench, H1, key) is VmState.RUNNING
    assert state(bench, H2, key) is None


def test_a_post_copy_that_kvmtui_managed_goes_on_the_same_way(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ways: list[object] = []
    does = DemoConnection.repair

    def repair(connection: DemoConnection, uuid: str, kind: RepairKind, to: str = "", *, peer_to_peer: bool) -> None:
        ways.append(peer_to_peer)
        does(connection, uuid, kind, to, peer_to_peer=peer_to_peer)

    monkeypatch.setattr(DemoConnection, "repair", repair)
    key = ask(bench, "build3", MigrationOptions(post_copy=True, bandwidth_mib_per_s=1, peer_to_peer=False))
    see(bench, key, running)
    bench.engine.steer(key, Steer.POST_COPY)
    see(bench, key, lambda one: one.progress and one.progress.verdict is Verdict.POST_COPY)
    bench.demo.host_down(H1)
    bench.demo.host_up(H1)
    one = see(bench, key, lambda one: ended(one) and one.repairs)
    assert "--postcopy-resume" in one.repairs[0].command
    assert "--p2p" not in one.repairs[0].command
    bench.engine.repair(key, RepairKind.RECOVER_POST_COPY)
    assert see(bench, key, lambda one: one.phase is Phase.DONE)
    assert ways == [False]


def test_a_guest_that_was_paused_to_get_it_over_goes_on_there(bench: Bench) -> None:
    key = ask(bench, "build3", MigrationOptions(auto_converge=False))
    see(bench, key, running)
    bench.engine.steer(key, Steer.PAUSE_GUEST)
    see(bench, key, lambda one: one.phase is Phase.DONE)
    assert state(bench, H1, key) is VmState.RUNNING


def test_a_paused_guest_that_came_back_is_offered_to_go_on(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    bench.engine.steer(key, Steer.PAUSE_GUEST)
    see(bench, key, lambda one: "paused until" in one.message)
    bench.demo.fail(RESUME, HypervisorError("cannot resume"))
    bench.engine.steer(key, Steer.ABORT)
    one = see(bench, key, ended)
    assert one.phase is Phase.CANCELLED
    assert [repair.kind for repair in one.repairs] == [RepairKind.RESUME_SOURCE]
    assert one.repairs[0].command == "virsh -c demo://h1 resume web1"
    assert repaired(bench, key, RepairKind.RESUME_SOURCE).phase is Phase.CANCELLED
    assert state(bench, H1, key) is VmState.RUNNING


def test_a_repair_that_is_not_safe_any_more_is_not_done(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    bench.demo.fail(RESUME, HypervisorError("cannot resume"))
    bench.engine.steer(key, Steer.ABORT)
    see(bench, key, lambda one: one.repairs)
    # Somebody starts it at the other host meanwhile.
    bench.demo.add_vm(H2, "web1", uuid=key.uuid)
    bench.engine.repair(key, RepairKind.RESUME_SOURCE)
    one = see(bench, key, lambda one: "nothing was done" in one.message)
    assert "destination: running" in one.message
    assert not one.repairs
    assert state(bench, H1, key) is VmState.PAUSED


def test_no_repair_while_a_host_does_not_answer(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    bench.demo.fail(RESUME, HypervisorError("cannot resume"))
    bench.engine.steer(key, Steer.ABORT)
    see(bench, key, lambda one: one.repairs)
    bench.demo.host_down(H2)
    bench.engine.repair(key, RepairKind.RESUME_SOURCE)
    one = see(bench, key, lambda one: "nothing was done" in one.message)
    assert one.repairs
    assert state(bench, H1, key) is VmState.PAUSED
    bench.demo.host_up(H2)
    repaired(bench, key, RepairKind.RESUME_SOURCE)
    assert state(bench, H1, key) is VmState.RUNNING


def test_a_definition_that_was_not_kept_is_made(bench: Bench) -> None:
    bench.demo.fail(PERSIST, HypervisorError("cannot write the definition"))
    key = ask(bench, "web1")
    one = see(bench, key, ended)
    assert (one.phase, [repair.kind for repair in one.repairs]) == (Phase.DONE, [RepairKind.DEFINE_DESTINATION])
    assert "cannot write the definition" in one.message
    repaired(bench, key, RepairKind.DEFINE_DESTINATION)
    bench.engine.refresh()
    bench.tick_until(lambda: bench.vm("web1").persistent, "a definition")


def test_a_definition_that_was_left_is_removed(bench: Bench) -> None:
    bench.demo.fail(UNDEFINE, HypervisorError(""))
    key = ask(bench, "web1")
    one = see(bench, key, ended)
    assert [repair.kind for repair in one.repairs] == [RepairKind.UNDEFINE_SOURCE]
    assert state(bench, H1, key) is VmState.SHUT_OFF
    assert repaired(bench, key, RepairKind.UNDEFINE_SOURCE).phase is Phase.DONE
    assert state(bench, H1, key) is None
    assert state(bench, H2, key) is VmState.RUNNING


def test_a_guest_that_stands_paused_at_the_destination_goes_on_there(bench: Bench) -> None:
    bench.demo.fail(RESUME, HypervisorError("cannot get the lock"))
    key = ask(bench, "web1")
    one = see(bench, key, ended)
    assert [repair.kind for repair in one.repairs] == [RepairKind.RESUME_DESTINATION]
    assert repaired(bench, key, RepairKind.RESUME_DESTINATION).phase is Phase.DONE
    assert state(bench, H2, key) is VmState.RUNNING


def test_only_copies_that_were_not_there_before_are_deleted(bench: Bench) -> None:
    bench.demo.fail(HALFWAY, HypervisorError("Unable to write to socket"))
    key = ask(bench, "db1", MigrationOptions(disks=DiskMove.COPY))
    one = see(bench, key, ended)
    assert [repair.kind for repair in one.repairs] == [RepairKind.DELETE_COPIES]
    assert "db1" in one.repairs[0].command
    paths = bench.engine.read_config(key).result(10).disks[0].path or ""
    assert bench.demo.open(H2, read_only=True).known_paths([paths])
    repaired(bench, key, RepairKind.DELETE_COPIES)
    done = next(one for one in bench.migrations if f"{RepairKind.DELETE_COPIES.value}: done" in one.message)
    assert not done.repairs, "what is done is offered no more"
    assert not bench.demo.open(H2, read_only=True).known_paths([paths])
    # What is there when it begins is somebody's, perhaps.
    for _ in range(2):
        bench.demo.fail(HALFWAY, HypervisorError("Unable to write to socket"))
        ask(bench, "db1", MigrationOptions(disks=DiskMove.COPY))
        one = see(bench, key, ended)
    assert not one.repairs
    assert "may be unfinished copies" in one.message


def test_old_copies_are_named_until_the_vm_is_on_its_way_again(bench: Bench) -> None:
    copy = MigrationOptions(disks=DiskMove.COPY)
    key = ask(bench, "db1", copy)
    disks = bench.engine.read_config(key).result(10).disks
    assert see(bench, key, ended).left_behind == tuple(disk.path for disk in disks if disk.writable)
    # It goes back to where they are.
    bench.engine.tick()
    back = ask(bench, "db1", copy)
    assert back != key
    assert now(bench, key).left_behind == ()
    see(bench, back, ended)
    key = ask(bench, "web1")
    assert see(bench, key, ended).left_behind == ()


def test_a_cut_link_is_named_and_only_an_abort_ends_it(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    bench.demo.cut_migrations(H2)
    one = see(bench, key, lambda one: one.progress and one.progress.verdict is Verdict.STALLED)
    assert one.phase is Phase.RUNNING
    assert one.job is not None
    assert one.job.bytes_per_s == 0
    bench.engine.steer(key, Steer.ABORT)
    assert see(bench, key, ended).phase is Phase.CANCELLED
    assert state(bench, H1, key) is VmState.RUNNING
    assert state(bench, H2, key) is None


def test_an_abort_before_the_host_has_answered_is_one_at_once(bench: Bench) -> None:
    bench.demo.hang_host(H1)
    key = ask(bench, "web1", SLOW)
    bench.engine.steer(key, Steer.ABORT)
    assert (now(bench, key).phase, now(bench, key).message) == (Phase.CANCELLED, "it had not begun")
    bench.demo.release_host(H1)
    for _ in range(3):
        bench.clock.advance(1)
        bench.engine.tick()
    assert state(bench, H1, key) is VmState.RUNNING
    assert state(bench, H2, key) is None


def test_an_abort_before_there_is_a_job_is_tried_again(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    bench.demo.fail(Steer.ABORT.value, InvalidState("no job is active on the domain"))
    bench.engine.steer(key, Steer.ABORT)
    assert see(bench, key, ended).phase is Phase.CANCELLED
    assert state(bench, H1, key) is VmState.RUNNING


def test_a_change_that_fails_says_why_and_the_migration_goes_on(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    bench.demo.fail(Steer.BANDWIDTH.value, HypervisorError("no such luck"))
    bench.engine.steer(key, Steer.BANDWIDTH, 100)
    assert see(bench, key, lambda one: "no such luck" in one.message).phase is Phase.RUNNING
    assert see(bench, key, lambda one: not one.message).phase is Phase.RUNNING


def test_while_both_hosts_are_asked_nothing_is_said_to_move_and_an_end_that_is_proven_is_said_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, lambda one: one.job is not None and one.progress is not None)
    # The source's daemon ends, and with it the move that it carries.
    bench.demo.host_down(H1)
    one = see(bench, key, lambda one: "source does not answer" in one.message)
    assert (one.phase, one.job, one.progress) == (Phase.VERIFYING, None, None)
    assert bench.engine.fleet.pending[key] == "verifying"
    with bench.demo._world.transact() as at_s:
        source = bench.demo._world.hosts[H1]
        abort(bench.demo._world, source, source.vms[key.uuid], at_s, HypervisorError("the daemon ended"))
    bench.demo.host_up(H1)
    bench.tick_until(lambda: bench.engine.fleet.hosts[H1].link is Link.UP, "the link to be up")
    # It ends because of what both hosts tell, and not because time has passed.
    monkeypatch.setattr("kvmtui.engine.migration_flight._TIDYING_S", math.inf)
    one = see(bench, key, ended)
    assert (one.phase, one.repairs) == (Phase.FAILED, ())
    assert "it stays at the source" in one.message
    assert key not in bench.engine.fleet.pending


def test_what_goes_on_without_us_is_called_moving_again(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    bench.demo.host_down(H1)
    see(bench, key, lambda one: one.phase is Phase.VERIFYING)
    bench.demo.host_up(H1)
    one = see(bench, key, lambda one: running(one) and one.job is not None and one.progress is not None)
    assert one.message == "the hosts go on by themselves"
    assert bench.engine.fleet.pending[key] == "migrating"
    bench.engine.steer(key, Steer.BANDWIDTH, 0)
    see(bench, key, lambda one: one.phase is Phase.DONE)


def test_an_end_that_could_not_be_known_is_told_when_the_host_is_back(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    bench.demo.host_down(H2)
    one = see(bench, key, ended)
    assert one.phase is Phase.UNKNOWN
    assert "source: running" in one.message
    bench.demo.host_up(H2)
    assert see(bench, key, lambda one: one.phase is not Phase.UNKNOWN).phase is Phase.FAILED
    assert key not in bench.engine.fleet.pending


def test_an_end_that_could_not_be_known_is_not_told_by_a_later_move(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    bench.demo.host_down(H2)
    assert see(bench, key, ended).phase is Phase.UNKNOWN
    bench.demo.host_up(H2)
    ask(bench, "web1")
    assert see(bench, key, lambda one: one.phase is Phase.DONE)
    for _ in range(20):
        bench.clock.advance(1)
        bench.engine.tick()
    assert [one.phase for one in bench.engine.migrations] == [Phase.DONE, Phase.UNKNOWN]


def test_a_host_that_is_away_is_not_asked_how_it_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    bench.demo.host_down(H2)
    assert see(bench, key, ended).phase is Phase.UNKNOWN
    bench.tick_until(lambda: bench.engine.fleet.hosts[H2].link is Link.DOWN, "the link to be down")
    asked: list[str] = []
    lanes = bench.engine._pollers[H2].lanes
    starts = lanes.start

    def start(kind: str, call: Callable[[Connection], object]) -> Call:
        asked.append(kind)
        return starts(kind, call)

    monkeypatch.setattr(lanes, "start", start)
    for _ in range(60):
        bench.clock.advance(1)
        bench.engine.tick()
    assert "jobs" not in asked
    bench.demo.host_up(H2)
    assert see(bench, key, lambda one: one.phase is not Phase.UNKNOWN).phase is Phase.FAILED


def test_a_probe_follows_no_other_job_than_its_own(bench: Bench) -> None:
    key = bench.vm("db2").key
    bench.submit("save", "db2")
    bench.tick_until(lambda: (job := bench.vm("db2").job) is not None and job.total_bytes, "the save as a job")
    told: set[Job | None] = set()

    def over() -> bool:
        told.add(migrating.poll())
        return migrating.over

    saving, migrating = (JobProbe(bench.engine._pollers[key.host], key.uuid, what) for what in ("saving", "migration"))
    bench.wait_until(lambda: saving.poll() is not None, "the save")
    bench.wait_until(over, "no migration")
    assert told == {None}


def test_another_job_of_a_vm_is_not_taken_for_its_migration(bench: Bench) -> None:
    key = bench.vm("db2").key
    bench.submit("save", "db2")
    bench.tick_until(lambda: bench.vm("db2").job is not None, "the save as a job")
    connection = bench.demo.open(key.host, read_only=True)
    bench.wait_until(lambda: connection.job(key.uuid), "the save at the host")
    assert look_at_source(connection, key.uuid).job is None
    connection.close()


def test_what_another_started_is_adopted_steered_and_proven(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    other = Engine(bench.demo, bench.demo.uris, clock=bench.clock)
    try:
        for _ in range(20):
            bench.clock.advance(1)
            other.tick()
            if other.migrations and other.migrations[0].job is not None:
                break
        found = other.migrations[0]
        assert (found.adopted, found.phase, found.request.destination) == (True, Phase.RUNNING, H2)
        assert Steer.POST_COPY not in found.steers
        assert other.fleet.pending[key] == "migrating"
        # Also by the key that cancels any job: who follows the migration knows then that it was meant to end.
        other.submit(ActionRequest(BY_ID["abort_job"], key, "web1", found.request.vm_id))
        for _ in range(60):
            bench.clock.advance(1)
            other.tick()
            if other.migrations[0].phase.ended:
                break
        assert other.migrations[0].phase is Phase.CANCELLED
        assert len(other.migrations) == 1
    finally:
        other.stop()
    # Whoever started it learns of it.
    assert see(bench, key, ended).phase is Phase.CANCELLED


def test_an_adopted_one_that_is_cancelled_says_what_may_be_left_and_where(bench: Bench) -> None:
    path = bench.engine.read_config(bench.vm("db1").key).result(10).disks[0].path or ""
    key = ask(bench, "db1", replace(SLOW, disks=DiskMove.COPY))
    see(bench, key, running)
    other = Engine(bench.demo, bench.demo.uris, clock=bench.clock)

    def found(condition: Callable[[Migration], object]) -> Migration:
        for _ in range(200):
            bench.clock.advance(1)
            other.tick()
            if other.migrations and condition(other.migrations[0]):
                return other.migrations[0]
        raise AssertionError(other.migrations)

    try:
        found(lambda one: one.job is not None and one.job.disk_total_bytes)
        bench.engine.steer(key, Steer.ABORT)
        said = see(bench, key, ended).message
        assert "unfinished copies of its disks are left at the destination" in said
        assert path in said
        one = found(ended)
        assert one.message.startswith("it was not migrated: it was aborted elsewhere, or it failed")
        assert "at the destination may be unfinished copies" in one.message
        assert "to delete them is not offered: they may have been there before" in one.message
        assert path in one.message
        assert one.repairs == ()
        # Whoever deletes them, or moves the VM after all: then none are left, and that is said of none.
        repaired(bench, key, RepairKind.DELETE_COPIES)
        one = found(lambda one: "unfinished" not in one.message)
        assert (one.phase, one.message) == (Phase.FAILED, "it was not migrated: it was aborted elsewhere, or it failed")
    finally:
        other.stop()


def test_what_an_adopted_one_may_have_left_is_forgotten_when_the_vm_is_moved_after_all(bench: Bench) -> None:
    key = ask(bench, "db1", replace(SLOW, disks=DiskMove.COPY))
    see(bench, key, running)
    other = Engine(bench.demo, bench.demo.uris, clock=bench.clock)

    def look_until(condition: Callable[[Migration], object]) -> None:
        for _ in range(200):
            bench.clock.advance(1)
            other.tick()
            bench.engine.tick()
            if other.migrations and condition(other.migrations[0]):
                return
        raise AssertionError(other.migrations)

    try:
        look_until(lambda one: one.job is not None and one.job.disk_total_bytes)
        bench.engine.steer(key, Steer.ABORT)
        look_until(lambda one: ended(one) and "may be unfinished copies" in one.message)
        ask(bench, "db1", MigrationOptions(disks=DiskMove.COPY, bandwidth_mib_per_s=600))
        look_until(lambda one: one.phase is Phase.DONE)
        first = other.migrations[-1]
        assert (first.phase, first.message) == (
            Phase.FAILED,
            "it was not migrated: it was aborted elsewhere, or it failed",
        )
    finally:
        other.stop()


class LostCall:
    """A call to migrate that libvirt has, and waits for the VM's lock with, while the link breaks."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._out = threading.Event()
        self._breaks = threading.Event()

    def __call__(self, *_: object, **__: object) -> None:
        self._out.set()
        assert self._breaks.wait(30)
        raise LinkLost("End of file while reading data")

    def let(self, seconds: int) -> None:
        for _ in range(seconds):
            self._bench.clock.advance(1)
            self._bench.engine.tick()

    def seconds_to_the_end(self, key: VmKey, *, abort: bool = False) -> float:
        """Return how long it takes, after the link broke, until its end is told."""
        self._bench.tick_until(self._out.is_set, "the call")
        self.let(3)
        self._breaks.set()
        began_s = self._bench.clock()
        if abort:
            see(self._bench, key, lambda one: one.phase is Phase.VERIFYING)
            self._bench.engine.steer(key, Steer.ABORT)
        one = see(self._bench, key, ended)
        assert one.phase is (Phase.CANCELLED if abort else Phase.FAILED)
        assert "the link was lost" in one.message
        return self._bench.clock() - began_s


@pytest.mark.parametrize("abort", [False, True])
def test_what_libvirt_may_still_begin_is_not_called_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, abort: bool
) -> None:
    call = LostCall(bench)
    monkeypatch.setattr(DemoConnection, "migrate", call)
    assert call.seconds_to_the_end(ask(bench, "web1"), abort=abort) >= 45


def test_what_libvirt_begins_after_all_is_aborted_where_that_was_asked_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, cancelled = DemoConnection.migrate, threading.Event()
    key = bench.vm("web1").key

    def late() -> None:
        connection = bench.demo.open(H1, read_only=False)
        with pytest.raises(JobCancelled):
            begin(connection, key.uuid, H2, SLOW, peer_to_peer=True)
        cancelled.set()

    def lost(*_: object, **__: object) -> None:
        raise LinkLost("End of file while reading data")

    monkeypatch.setattr(DemoConnection, "migrate", lost)
    ask(bench, "web1", SLOW)
    see(bench, key, lambda one: one.phase is Phase.VERIFYING)
    bench.engine.steer(key, Steer.ABORT)
    assert "as soon as it does" in now(bench, key).message
    threading.Thread(target=late, daemon=True).start()
    assert see(bench, key, ended).phase is Phase.CANCELLED
    bench.tick_until(cancelled.is_set, "it to be cancelled")
    assert state(bench, H1, key) is VmState.RUNNING


def test_an_old_row_of_a_host_that_is_down_is_not_the_half_that_arrives(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ask(bench, "web1")
    see(bench, key, running)
    bench.demo.host_down(H1)
    see(bench, key, ended)
    old, there = bench.engine.fleet.vm(key), bench.engine.fleet.vm(VmKey(H2, key.uuid))
    assert old is not None
    assert old.state.active
    assert there is not None
    call = LostCall(bench)
    monkeypatch.setattr(DemoConnection, "migrate", call)
    bench.engine.migrate(MigrationRequest(there.key, there.name, there.id, H1, MigrationOptions()))
    call.let(3)
    bench.demo.host_up(H1)
    assert call.seconds_to_the_end(there.key) >= 45


def test_what_was_seen_of_the_first_way_says_nothing_of_the_second(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, lost = DemoConnection.job, LostCall(bench)
    first, fails = threading.Event(), threading.Event()

    def migrate(*_: object, peer_to_peer: bool, **__: object) -> None:
        if not peer_to_peer:
            lost()
        first.set()
        assert fails.wait(30)
        raise HypervisorError("unable to connect to server at 'h2:49152'")

    def seen(connection: DemoConnection, uuid: str) -> Job | None:
        return Job("migration") if first.is_set() and not fails.is_set() else job(connection, uuid)

    monkeypatch.setattr(DemoConnection, "migrate", migrate)
    monkeypatch.setattr(DemoConnection, "job", seen)
    key = ask(bench, "web1")
    see(bench, key, running)
    fails.set()
    assert lost.seconds_to_the_end(key) >= 45
    assert not now(bench, key).peer_to_peer


def test_what_is_not_copied_is_none_of_the_moves_business(bench: Bench) -> None:
    vm = bench.vm("db1")
    first, second = (each for each in bench.engine.read_config(vm.key).result(10).disks if each.writable)
    options = MigrationOptions(disks=DiskMove.COPY, partly=PartCopy((second.target,), (first.target,)))
    request = MigrationRequest(vm.key, vm.name, vm.id, H2, options)
    flight = Flight(Migration(request, Phase.STARTING, 0.0), None, ProgressTracker(None))
    connection = bench.demo.open(H1, read_only=False)
    bench.demo.fail("migrate", HypervisorError("no luck"))
    with pytest.raises(HypervisorError, match="no luck"):
        flight.carry(connection, bench.engine._pollers[H2], peer_to_peer=True)
    connection.close()
    assert first.path
    assert flight.paths == tuple(flight.absent) == (second.path,)
    flight.show(Phase.STARTING)
    assert not flight.view.diskless


@pytest.mark.parametrize("disks", [("vda", "vdb", "vdz"), ("vda",)])
def test_where_some_disks_are_copied_none_may_come_or_go_before_it_begins(bench: Bench, disks: tuple[str, ...]) -> None:
    vm = bench.vm("db1")
    spec = bench.demo._world.hosts[H1].vms[vm.key.uuid].spec
    spec.disks = tuple(Disk(target, f"/images/{target}.qcow2", writable=True) for target in disks)
    key = ask(bench, "db1", MigrationOptions(disks=DiskMove.COPY, partly=PartCopy(("vda",), ("vdb",))))
    one = see(bench, key, ended)
    assert one.phase is Phase.FAILED
    assert one.message == "its disks have changed since they were looked at: migrate it again"


def test_a_vm_without_disks_is_known_as_that(bench: Bench) -> None:
    vm = bench.vm("web1")
    bench.demo._world.hosts[H1].vms[vm.key.uuid].spec.disks = ()
    key = ask(bench, "web1")
    assert see(bench, key, ended).diskless


def test_what_stands_still_sends_nothing_however_fast_qemu_says_it_was(bench: Bench) -> None:
    vm = bench.vm("web1")
    request = MigrationRequest(vm.key, vm.name, vm.id, H2, MigrationOptions())
    flight = Flight(Migration(request, Phase.RUNNING, 0.0), None, ProgressTracker(300))
    job = Job("migration", total_bytes=100, remaining_bytes=15, bytes_per_s=7.0, iteration=1, sent_bytes=85)
    rates = []
    for now_s in (0.0, 5.0, 60.0):
        flight.take(job, VmState.RUNNING, "", now_s, None)
        assert flight.view.job is not None
        rates.append(flight.view.job.bytes_per_s)
    assert rates == [7.0, 7.0, 0.0]


def test_the_table_and_the_moves_say_one_share(bench: Bench) -> None:
    vm = bench.vm("db1")
    request = MigrationRequest(vm.key, vm.name, vm.id, H2, MigrationOptions(disks=DiskMove.COPY))
    flight = Flight(Migration(request, Phase.RUNNING, 0.0), None, ProgressTracker(300))
    # As libvirt tells it: nothing of the memory before its turn.
    job = Job("migration", total_bytes=100, remaining_bytes=15, disk_total_bytes=100, disk_remaining_bytes=15)
    for left in (25, 20, 15):
        step = replace(job, remaining_bytes=left, disk_remaining_bytes=left, sent_bytes=100 - left)
        flight.take(step, VmState.RUNNING, "", 25.0 - left, None)
    assert flight.view.progress is not None
    assert flight.view.job is not None
    assert flight.view.job.progress == flight.view.progress.now == pytest.approx(85 / 400)
    assert (flight.view.job.total_bytes, flight.view.job.remaining_bytes) == (400, 315)
    assert flight.view.job.eta_s == flight.view.progress.eta_s == pytest.approx(315)
    key = ask(bench, "db1", MigrationOptions(disks=DiskMove.COPY, bandwidth_mib_per_s=600))
    see(bench, key, lambda one: one.progress is not None and one.progress.now)
    bench.engine.tick()
    job_of_vm = bench.vm("db1").job
    assert job_of_vm is not None
    assert job_of_vm.done_fraction


def test_the_limit_is_the_present_one_and_does_not_claim_to_hold_for_disks(bench: Bench) -> None:
    key = ask(bench, "db1", replace(SLOW, disks=DiskMove.COPY))
    assert now(bench, key).bandwidth_mib_per_s == 1
    see(bench, key, lambda one: one.job is not None and one.job.disk_remaining_bytes)
    bench.engine.steer(key, Steer.BANDWIDTH, 50)
    one = see(bench, key, lambda one: "50 MiB/s" in one.message)
    assert one.message == "at most 50 MiB/s; the disks are copied at the rate they began with"
    assert one.bandwidth_mib_per_s == 50
    bench.engine.steer(key, Steer.BANDWIDTH, 0)
    assert see(bench, key, lambda one: "no limit" in one.message).bandwidth_mib_per_s is None


def test_a_question_that_hangs_does_not_keep_one_from_being_adopted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    released, told, opens = threading.Event(), DemoConnection.job, bench.demo.open
    hangs = [released]
    opened: list[DemoConnection] = []

    def open_it(uri: str, *, read_only: bool, on_event: Callable[[], None] | None = None) -> DemoConnection:
        opened.append(opens(uri, read_only=read_only, on_event=on_event))
        return opened[-1]

    def job(connection: DemoConnection, uuid: str) -> Job | None:
        # The first question of the other kvmtui to the source.
        if hangs and connection in opened and connection._host.vm(uuid).job is not None:
            hangs.pop().wait(60)
        return told(connection, uuid)

    monkeypatch.setattr(bench.demo, "open", open_it)
    monkeypatch.setattr(DemoConnection, "job", job)
    monkeypatch.setattr(adoption, "_DEADLINE_S", 0.2)
    other = Engine(bench.demo, bench.demo.uris, clock=bench.clock)
    try:

        def found() -> bool:
            bench.clock.advance(1)
            other.tick()
            return bool(other.migrations)

        bench.wait_until(found, "not found")
        assert not hangs
    finally:
        released.set()
        other.stop()


def test_what_has_ended_is_looked_after_no_more(bench: Bench) -> None:
    key = ask(bench, "web1")
    see(bench, key, ended)
    aftermath = bench.engine._moves()._aftermath
    bench.tick_until(lambda: not aftermath.restless, "restless")
    assert [flight.view.phase for flight in aftermath.ended] == [Phase.DONE]


def test_one_that_another_is_moving_already_is_refused(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    other = Bench(clock=bench.clock)
    other.demo, other.engine = bench.demo, Engine(bench.demo, bench.demo.uris, clock=bench.clock)
    try:
        with patch.object(Adoption, "look"):
            other.engine.tick()
            ask(other, "web1")
            one = see(other, key, ended)
        assert (one.phase, one.message) == (Phase.FAILED, "it is being migrated already: w shows how")
        see(other, key, lambda one: one.adopted)
    finally:
        other.engine.stop()
    assert now(bench, key).phase is Phase.RUNNING


def test_one_that_another_has_moved_already_is_not_called_moved(bench: Bench) -> None:
    bench.demo.add_vm(H1, "idle9", state=VmState.SHUT_OFF)
    bench.engine.tick()
    key = bench.vm("idle9").key
    bench.demo.remove_vm(H1, key.uuid)
    bench.demo.add_vm(H2, "idle9", state=VmState.SHUT_OFF, uuid=key.uuid)
    bench.engine.migrate(MigrationRequest(key, "idle9", -1, H2, MigrationOptions(offline=True)))
    one = see(bench, key, ended)
    assert (one.phase, one.message) == (Phase.FAILED, "nothing was done: it is not at the source any more")


def test_nobody_has_to_wait_for_a_host_that_does_not_tell_how_it_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kvmtui.engine.migration_flight._PATIENCE_S", math.inf)
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    bench.demo.host_down(H2)
    one = see(bench, key, lambda one: one.phase is Phase.VERIFYING)
    assert one.steers == {Steer.ABORT}
    bench.engine.steer(key, Steer.ABORT)
    one = see(bench, key, ended)
    assert one.phase is Phase.UNKNOWN
    assert "destination does not answer" in one.message


def test_an_adopted_one_that_arrives_is_done(bench: Bench) -> None:
    key = ask(bench, "cache1", MigrationOptions(bandwidth_mib_per_s=600))
    see(bench, key, running)
    other = Engine(bench.demo, bench.demo.uris, clock=bench.clock)
    try:
        for _ in range(200):
            bench.clock.advance(1)
            other.tick()
            if other.migrations and other.migrations[0].phase.ended:
                break
        assert [one.phase for one in other.migrations] == [Phase.DONE]
    finally:
        other.stop()


def test_a_read_only_kvmtui_follows_but_cannot_steer(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    other = Engine(bench.demo, bench.demo.uris, read_only=True, clock=bench.clock)
    try:
        for _ in range(20):
            bench.clock.advance(1)
            other.tick()
            if other.migrations:
                break
        assert other.migrations[0].steers == frozenset()
        other.steer(key, Steer.ABORT)
        assert "not possible" in other.migrations[0].message
    finally:
        other.stop()


def test_one_that_is_off_moves_offline(bench: Bench) -> None:
    bench.demo.add_vm(H1, "idle9", state=VmState.SHUT_OFF)
    bench.engine.tick()
    key = ask(bench, "idle9", MigrationOptions(offline=True))
    assert see(bench, key, ended).phase is Phase.DONE
    assert state(bench, H1, key) is None
    assert state(bench, H2, key) is VmState.SHUT_OFF


@pytest.mark.parametrize(("peer_to_peer", "phase"), [(True, Phase.FAILED), (None, Phase.DONE)])
def test_a_second_way_is_tried_unless_one_was_asked_for(bench: Bench, peer_to_peer: bool | None, phase: Phase) -> None:
    bench.demo.fail("migrate", HypervisorError("cannot connect to remote libvirt URI"))
    key = ask(bench, "web2", MigrationOptions(peer_to_peer=peer_to_peer))
    assert see(bench, key, ended).phase is phase


def test_whether_it_was_paused_is_asked_before_the_first_try_alone(bench: Bench) -> None:
    vm = bench.vm("web1")
    request = MigrationRequest(vm.key, vm.name, vm.id, H2, MigrationOptions())
    flight = Flight(Migration(request, Phase.STARTING, 0.0), None, ProgressTracker(None))
    connection = bench.demo.open(H1, read_only=False)
    destination = bench.engine._pollers[H2]
    for peer_to_peer in (True, False):
        bench.demo.fail("migrate", HypervisorError("no luck"))
        with pytest.raises(HypervisorError, match="no luck"):
            flight.carry(connection, destination, peer_to_peer=peer_to_peer)
        flight.show(Phase.STARTING, peer_to_peer=False)
        connection.perform(Verb.PAUSE, vm.key.uuid)
    assert (flight.was_paused, flight.persistent) == (False, True)
    connection.close()


def test_a_guest_that_another_forced_off_is_said_to_be_nowhere(bench: Bench) -> None:
    key = ask(bench, "web1", SLOW)
    see(bench, key, running)
    bench.demo.open(H1, read_only=False).perform(Verb.FORCE_OFF, key.uuid)
    one = see(bench, key, ended)
    assert one.phase is Phase.FAILED
    assert "neither host" in one.message


def test_another_run_of_the_same_vm_is_not_moved(bench: Bench) -> None:
    vm = bench.vm("web1")
    bench.engine.migrate(MigrationRequest(vm.key, vm.name, vm.id + 1, H2, MigrationOptions()))
    one = see(bench, vm.key, ended)
    assert one.phase is Phase.FAILED
    assert "not in the same run" in one.message
    assert state(bench, H1, vm.key) is VmState.RUNNING
