"""What is said of a migration's end, for everything that its call and both hosts can tell."""

from dataclasses import replace

import pytest

from kvmtui.engine.migration_end import Case, Told, judge, unanswered
from kvmtui.engine.migration_queue import next_to_start
from kvmtui.hypervisor.errors import ConnectFailed, HypervisorError, JobCancelled, LinkLost, MigrationUnsafe
from kvmtui.hypervisor.samples import Identity
from kvmtui.model.migration import MigrationRequest, Phase, RepairKind
from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.vm import Job, VmKey, VmState

PATH = "/pool/web1.qcow2"
COPY = MigrationOptions(disks=DiskMove.COPY)


def request(options: MigrationOptions | None = None, source: str = "h1", destination: str = "h2") -> MigrationRequest:
    return MigrationRequest(VmKey(f"qemu://{source}", "u1"), "web1", 7, f"qemu://{destination}", options or COPY)


def told(state: VmState, reason: str = "", *, persistent: bool = True, job: str = "", volumes: str = "") -> Told:
    number = 3 if state.active else -1
    identity = Identity(number, state, persistent, autostart=False, reason=reason)
    return Told(identity, Job(job) if job else None, frozenset(filter(None, [volumes])))


GONE = Told()
LEFT = Told(volumes=frozenset({PATH}))
OFF = told(VmState.SHUT_OFF)
RUNS = told(VmState.RUNNING)
TRANSIENT = told(VmState.RUNNING, persistent=False)
PAUSED = told(VmState.PAUSED)
HALF = told(VmState.PAUSED, "migrating", persistent=False, job="migration in")
HALF_SOURCE = told(VmState.PAUSED, "migrating")
MOVING = told(VmState.RUNNING, job="migration")
BROKEN_SOURCE = told(VmState.PAUSED, "post-copy failed")
BROKEN_DESTINATION = told(VmState.RUNNING, "post-copy failed")

OK = Case(request(), persistent=True)
ERROR = replace(OK, error=HypervisorError("Unable to write to socket"))
CANCELLED = replace(OK, error=JobCancelled("canceled by client"))
LINK = replace(OK, error=LinkLost("End of file"), certain=False)
SEEN = replace(LINK, seen=True)
ADOPTED = replace(OK, certain=False, persistent=None)
COPYING = replace(ERROR, paths=(PATH,), absent=frozenset({PATH}))
OFFLINE = replace(OK, request=request(MigrationOptions(offline=True)))
COPIED = replace(OK, request=request(MigrationOptions(offline=True, undefine_source=False)))

R = RepairKind
DONE, FAILED, CANCEL, UNKNOWN, AGAIN, ON = (
    Phase.DONE,
    Phase.FAILED,
    Phase.CANCELLED,
    Phase.UNKNOWN,
    Phase.VERIFYING,
    Phase.RUNNING,
)


@pytest.mark.parametrize(
    ("case", "source", "destination", "at_once", "in_the_end", "repairs", "says"),
    [
        # It moved.
        (OK, GONE, RUNS, DONE, DONE, [], ""),
        (OK, OFF, RUNS, DONE, DONE, [R.UNDEFINE_SOURCE], "still at the source"),
        (OK, GONE, TRANSIENT, DONE, DONE, [R.DEFINE_DESTINATION], "no definition"),
        # The last definition is never taken away.
        (OK, OFF, TRANSIENT, DONE, DONE, [R.DEFINE_DESTINATION], "no definition"),
        (ERROR, GONE, TRANSIENT, DONE, DONE, [R.DEFINE_DESTINATION], "Unable to write"),
        (replace(OK, persistent=False), GONE, TRANSIENT, DONE, DONE, [], ""),
        (OK, GONE, PAUSED, DONE, DONE, [R.RESUME_DESTINATION], "paused there"),
        (OK, GONE, told(VmState.PAUSED, "migrating"), AGAIN, DONE, [R.RESUME_DESTINATION], "paused there (migrating)"),
        (replace(OK, was_paused=True), GONE, PAUSED, DONE, DONE, [], ""),
        (replace(OK, request=request(MigrationOptions(undefine_source=False))), OFF, RUNS, DONE, DONE, [], ""),
        (LINK, GONE, RUNS, DONE, DONE, [], ""),
        (LINK, OFF, RUNS, AGAIN, DONE, [R.UNDEFINE_SOURCE], "still at the source"),
        (ADOPTED, GONE, RUNS, DONE, DONE, [], ""),
        (ADOPTED, OFF, RUNS, DONE, DONE, [], ""),
        # It stayed.
        (CANCELLED, RUNS, GONE, CANCEL, CANCEL, [], ""),
        (replace(ADOPTED, aborted=True), RUNS, GONE, AGAIN, CANCEL, [], ""),
        (ADOPTED, RUNS, GONE, AGAIN, FAILED, [], "was not migrated"),
        (ERROR, RUNS, GONE, FAILED, FAILED, [], "Unable to write to socket"),
        (ERROR, RUNS, OFF, FAILED, FAILED, [], "Unable to write to socket"),
        (LINK, RUNS, GONE, AGAIN, FAILED, [], "the link was lost"),
        # What libvirt was at, and is no more, does not begin again; what it was not seen at may still begin.
        (SEEN, RUNS, GONE, FAILED, FAILED, [], "the link was lost"),
        (SEEN, RUNS, OFF, FAILED, FAILED, [], "the link was lost"),
        (replace(SEEN, was_paused=True), PAUSED, GONE, FAILED, FAILED, [], "the link was lost"),
        (SEEN, PAUSED, GONE, FAILED, FAILED, [R.RESUME_SOURCE], "paused at the source"),
        (SEEN, HALF_SOURCE, GONE, AGAIN, FAILED, [R.RESUME_SOURCE], "paused at the source (migrating)"),
        (SEEN, MOVING, HALF, ON, ON, [], "go on"),
        (SEEN, RUNS, HALF, AGAIN, FAILED, [], "never resume that"),
        (replace(ADOPTED, seen=True), RUNS, GONE, FAILED, FAILED, [], "was not migrated"),
        (replace(ADOPTED, seen=True, aborted=True), RUNS, GONE, CANCEL, CANCEL, [], ""),
        (replace(OK, seen=True), RUNS, GONE, AGAIN, FAILED, [], "still at the source"),
        (OK, RUNS, GONE, AGAIN, FAILED, [], "still at the source"),
        (replace(OK, error=MigrationUnsafe("unsafe")), RUNS, GONE, FAILED, FAILED, [], "copy its disks"),
        (
            replace(OK, error=HypervisorError("Postcopy is not supported")),
            RUNS,
            GONE,
            FAILED,
            FAILED,
            [],
            "userfaultfd=1",
        ),
        (ERROR, PAUSED, GONE, FAILED, FAILED, [R.RESUME_SOURCE], "paused at the source"),
        (replace(ERROR, was_paused=True), PAUSED, GONE, FAILED, FAILED, [], "Unable to write to socket"),
        (CANCELLED, HALF_SOURCE, GONE, AGAIN, CANCEL, [R.RESUME_SOURCE], "paused at the source (migrating)"),
        (LINK, HALF_SOURCE, GONE, AGAIN, FAILED, [R.RESUME_SOURCE], "paused at the source (migrating)"),
        # Copies that were left.
        (COPYING, RUNS, LEFT, FAILED, FAILED, [R.DELETE_COPIES], PATH),
        (replace(COPYING, absent=frozenset()), RUNS, LEFT, FAILED, FAILED, [], "may be unfinished copies"),
        (COPYING, RUNS, GONE, FAILED, FAILED, [], "Unable to write to socket"),
        (COPYING, RUNS, told(VmState.SHUT_OFF, volumes=PATH), FAILED, FAILED, [], "are left at the destination"),
        # A job that goes on, or still stands.
        (LINK, MOVING, HALF, ON, ON, [], "go on"),
        (ADOPTED, MOVING, HALF, ON, ON, [], "go on"),
        (ERROR, MOVING, HALF, AGAIN, UNKNOWN, [R.ABORT_JOB], "a job still stands"),
        # Both have something of it.
        (ERROR, RUNS, HALF, AGAIN, FAILED, [], "never resume that"),
        (OK, HALF_SOURCE, RUNS, AGAIN, DONE, [], "never resume that"),
        (LINK, HALF_SOURCE, HALF, AGAIN, UNKNOWN, [], "resume neither"),
        (OK, RUNS, RUNS, AGAIN, UNKNOWN, [], "BOTH"),
        # It ended right after it had arrived.
        (OK, GONE, OFF, DONE, DONE, [], "it arrived, and is shut off now"),
        (replace(OK, seen=True), GONE, OFF, DONE, DONE, [], "it arrived, and is shut off now"),
        (OK, OFF, OFF, DONE, DONE, [R.UNDEFINE_SOURCE], "it arrived, and is shut off now"),
        (SEEN, OFF, OFF, FAILED, FAILED, [], "neither host"),
        (replace(ERROR, seen=True), OFF, OFF, FAILED, FAILED, [], "neither host"),
        # Nobody has.
        (OK, GONE, GONE, AGAIN, FAILED, [], "neither host"),
        (replace(OK, seen=True), GONE, GONE, AGAIN, FAILED, [], "neither host"),
        (ERROR, OFF, GONE, AGAIN, FAILED, [], "neither host"),
        (SEEN, OFF, GONE, FAILED, FAILED, [], "neither host"),
        (SEEN, GONE, HALF, AGAIN, DONE, [R.RESUME_DESTINATION, R.DEFINE_DESTINATION], "paused there (migrating)"),
        (ERROR, told(VmState.CRASHED), GONE, AGAIN, FAILED, [], "neither host"),
        # Post-copy broke: there is no way back.
        (ERROR, BROKEN_SOURCE, BROKEN_DESTINATION, FAILED, FAILED, [R.RECOVER_POST_COPY], "destroy neither"),
        (ERROR, BROKEN_SOURCE, GONE, AGAIN, FAILED, [], "a part of its memory is lost"),
        (ERROR, GONE, BROKEN_DESTINATION, AGAIN, FAILED, [], "a part of its memory is lost"),
        # Offline.
        (OFFLINE, GONE, OFF, DONE, DONE, [], ""),
        (OFFLINE, OFF, OFF, DONE, DONE, [R.UNDEFINE_SOURCE], "on both hosts"),
        (replace(OFFLINE, error=HypervisorError("no")), OFF, GONE, FAILED, FAILED, [], "no"),
        (replace(OFFLINE, error=HypervisorError("exists")), OFF, OFF, FAILED, FAILED, [], "exists"),
        (replace(COPIED, error=HypervisorError("exists")), OFF, OFF, FAILED, FAILED, [], "exists"),
        (COPIED, OFF, OFF, DONE, DONE, [], ""),
        (replace(OFFLINE, error=LinkLost("cut"), certain=False), OFF, GONE, AGAIN, FAILED, [], "cut"),
        (replace(OFFLINE, error=LinkLost("cut"), certain=False), OFF, OFF, AGAIN, FAILED, [], "cut"),
        (replace(OFFLINE, error=LinkLost("cut"), certain=False), GONE, OFF, DONE, DONE, [], ""),
        (OFFLINE, GONE, GONE, UNKNOWN, UNKNOWN, [], "neither"),
        (OFFLINE, RUNS, OFF, FAILED, FAILED, [], "started meanwhile"),
    ],
)
def test_every_end(
    case: Case,
    source: Told,
    destination: Told,
    at_once: Phase,
    in_the_end: Phase,
    repairs: list[RepairKind],
    says: str,
) -> None:
    first = judge(case, source, destination)
    assert first.phase is at_once
    if first.phase is AGAIN:
        assert first.message == f"asking both hosts where it is; source: {source}; destination: {destination}"
    judgement = judge(replace(case, settled=True), source, destination)
    assert judgement.phase is in_the_end
    assert [repair.kind for repair in judgement.repairs] == repairs
    assert says in judgement.words
    assert says or not judgement.words
    assert all(repair.consequence and repair.command.startswith("virsh -c qemu://h") for repair in judgement.repairs)


@pytest.mark.parametrize(
    ("case", "source", "destination", "astray"),
    [
        (OK, GONE, RUNS, False),
        (OK, GONE, PAUSED, True),
        (OK, OFF, RUNS, True),
        (OK, GONE, OFF, False),
        (OK, OFF, OFF, True),
        (OK, HALF_SOURCE, RUNS, True),
        (ERROR, RUNS, GONE, False),
        (ERROR, RUNS, OFF, False),
        (COPYING, RUNS, LEFT, False),
        (ERROR, PAUSED, GONE, True),
        (ERROR, RUNS, HALF, True),
        (ERROR, GONE, GONE, True),
        (ERROR, BROKEN_SOURCE, BROKEN_DESTINATION, True),
        (ERROR, GONE, BROKEN_DESTINATION, True),
        (replace(OFFLINE, error=HypervisorError("no")), OFF, GONE, False),
        (replace(OFFLINE, error=HypervisorError("exists")), OFF, OFF, True),
        (OFFLINE, GONE, OFF, False),
        (COPIED, OFF, OFF, False),
    ],
)
def test_a_guest_that_somebody_has_to_see_to(case: Case, source: Told, destination: Told, *, astray: bool) -> None:
    assert judge(replace(case, settled=True), source, destination).astray is astray


@pytest.mark.parametrize(
    ("case", "source", "destination", "says"),
    [
        (OK, OFF, RUNS, "libvirt refuses where it has snapshots"),
        (OK, GONE, TRANSIENT, "as it runs now; changes meant for"),
    ],
)
def test_what_a_repair_does_not_do_is_said(case: Case, source: Told, destination: Told, says: str) -> None:
    assert says in judge(case, source, destination).repairs[0].consequence


ALL_TOLD = [
    *(GONE, LEFT, OFF, RUNS, TRANSIENT, PAUSED, HALF, HALF_SOURCE, MOVING, BROKEN_SOURCE, BROKEN_DESTINATION),
    *(told(VmState.CRASHED), told(VmState.SUSPENDED), told(VmState.PAUSED, "I/O error")),
]


@pytest.mark.parametrize("case", [OK, ERROR, CANCELLED, LINK, SEEN, ADOPTED, COPYING, OFFLINE, COPIED])
def test_no_guest_is_resumed_or_deleted_while_the_other_host_has_it(case: Case) -> None:
    for source in ALL_TOLD:
        for destination in ALL_TOLD:
            judgement = judge(replace(case, settled=True), source, destination)
            kinds = {repair.kind for repair in judgement.repairs}
            assert judgement.phase.ended or judgement.phase is ON
            assert R.RESUME_SOURCE not in kinds or not destination.active
            assert R.RESUME_DESTINATION not in kinds or not source.active
            assert R.UNDEFINE_SOURCE not in kinds or (destination.identity is not None and not source.active)
            assert R.DELETE_COPIES not in kinds or destination.identity is None
            assert judgement.phase is not DONE or destination.identity is not None
            assert judgement.phase is not CANCEL or (source.active and not destination.active)


@pytest.mark.parametrize(
    ("case", "source", "destination", "phase", "says"),
    [
        (LINK, MOVING, ConnectFailed("refused"), ON, "go on"),
        (ERROR, RUNS, ConnectFailed("refused"), AGAIN, "source: running; destination does not answer: refused"),
        (replace(ERROR, settled=True), RUNS, ConnectFailed("refused"), UNKNOWN, "Unable to write"),
        (replace(OK, settled=True), LinkLost("gone"), RUNS, UNKNOWN, "source does not answer: gone"),
    ],
)
def test_a_host_that_does_not_answer(
    case: Case, source: Told | HypervisorError, destination: Told | HypervisorError, phase: Phase, says: str
) -> None:
    judgement = unanswered(case, source, destination)
    assert judgement.phase is phase
    assert says in judgement.words
    assert not judgement.repairs


@pytest.mark.parametrize(
    ("waiting", "under_way", "chosen"),
    [
        ("12 12 12", "", "12 12"),
        ("12 13 12", "12", "12"),
        ("13 31", "12 12", "31"),
        ("12 21", "", "12 21"),
        ("34", "12 12", "34"),
        ("32 34", "12 12", "34"),
        ("42", "12 32", ""),
        ("", "12", ""),
    ],
)
def test_at_most_two_leave_a_host_and_two_come_to_it(waiting: str, under_way: str, chosen: str) -> None:
    def moves(words: str) -> list[MigrationRequest]:
        return [request(source=f"h{pair[0]}", destination=f"h{pair[1]}") for pair in words.split()]

    assert next_to_start(moves(waiting), moves(under_way)) == moves(chosen)
