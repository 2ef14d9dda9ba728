"""How a migration ended, by what its call said and what both hosts tell: judged by pure functions, never guessed.

The rows are those of libvirt's own recovery: src/qemu/qemu_process.c, qemuProcessRecoverMigration*.
"""

import contextlib
from dataclasses import dataclass, replace

from kvmtui.engine.job_probe import UNNAMED
from kvmtui.hypervisor.errors import HypervisorError, InvalidState, JobCancelled, MigrationUnsafe, VmGone
from kvmtui.hypervisor.protocol import Connection
from kvmtui.hypervisor.samples import Identity
from kvmtui.model.clean import clean
from kvmtui.model.migration import MigrationRequest, Phase, Repair, RepairKind
from kvmtui.model.migration_repairs import offer
from kvmtui.model.vm import Job, VmState

_ON_THE_WAY = ("migrating", "starting up")
"""Why a VM is paused that libvirt itself is about to resume, or to end."""
_MAY_BE_MIGRATION = ("migration", UNNAMED)
_NO_POST_COPY = "Postcopy is not supported"
"""What QEMU says where its user may not catch page faults (userfaultfd)."""


_NOT_MOVED = "it was not migrated: it was aborted elsewhere, or it failed"


@dataclass(frozen=True, slots=True)
class Told:
    """What one host knows of the VM."""

    identity: Identity | None = None
    """None: it is not there."""
    job: Job | None = None
    """What may be its migration away from there."""
    volumes: frozenset[str] = frozenset()
    """Those of the disks' paths that a volume of this host is at."""

    @property
    def active(self) -> bool:
        """Whether a QEMU process stands behind it here."""
        return self.identity is not None and self.identity.state.active

    @property
    def executing(self) -> bool:
        """Whether the guest's CPUs run here."""
        return self.identity is not None and self.identity.state.executing

    @property
    def reason(self) -> str:
        """Why it is in its state; "" where there is nothing to say."""
        return "" if self.identity is None else self.identity.reason

    def __str__(self) -> str:
        """Return what is said of it: "paused (migrating)"."""
        if self.identity is None:
            return "not there"
        return f"{self.identity.state}{f' ({self.reason})' if self.reason else ''}"


def look_at_source(connection: Connection, uuid: str) -> Told:
    """Return what the source knows of a VM, and of its migration; other jobs tell nothing of that."""
    job = None
    try:
        # In this order: a daemon that was just started tells of jobs only when it has put the VM in order.
        with contextlib.suppress(InvalidState):
            job = connection.job(uuid)
        identity = connection.identity(uuid)
    except VmGone:
        return Told()
    return Told(identity, job if job is not None and job.operation in _MAY_BE_MIGRATION else None)


def look_at_destination(connection: Connection, uuid: str, paths: tuple[str, ...]) -> Told:
    """Return what the destination knows of a VM, and which volumes it has at `paths`; asks no QEMU.

    One whose memory is still elsewhere may not answer.
    """
    volumes = connection.known_paths(paths) if paths else frozenset()
    try:
        return Told(connection.identity(uuid), volumes=volumes)
    except VmGone:
        return Told(volumes=volumes)


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a migration apart from what the hosts tell."""

    request: MigrationRequest
    error: HypervisorError | None = None
    """Why its call failed."""
    certain: bool = True
    """Whether its call has returned with libvirt's own word, and not because the link broke or as somebody else's."""
    seen: bool = False
    """Whether libvirt was seen to be at it: while it is, there is a job at the source and a half at the destination."""
    settled: bool = False
    """Whether both hosts have had the time to tidy up."""
    persistent: bool | None = None
    """Whether it had a definition when it started; None: not known."""
    was_paused: bool = False
    peer_to_peer: bool = True
    aborted: bool = False
    absent: frozenset[str] = frozenset()
    """Volumes that were proven not to exist at the destination before it started."""
    paths: tuple[str, ...] = ()
    """All disks that are copied."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What can be said."""

    phase: Phase
    """`VERIFYING`: ask again; `RUNNING`: it goes on."""
    message: str = ""
    repairs: tuple[Repair, ...] = ()
    astray: bool = False
    """As in `Migration`."""
    copies: str = ""
    """Which unfinished copies of its disks are, or may be, at the destination: until somebody deletes them."""

    @property
    def words(self) -> str:
        """All that is said of it."""
        return "; ".join(filter(None, (self.message, self.copies)))


ASKING = "asking both hosts where it is"
_ASK_AGAIN = Judgement(Phase.VERIFYING, ASKING)


def judge(case: Case, source: Told, destination: Told) -> Judgement:
    """Return how the migration stands or ended."""
    judgement = _judge(case, source, destination)
    if judgement is _ASK_AGAIN:
        return replace(judgement, message=f"{ASKING}; source: {source}; destination: {destination}")
    ended_there = judgement.phase is Phase.DONE and not source.active
    alone = ended_there or source.active != destination.active
    if case.request.options.offline:
        copied = not case.request.options.undefine_source
        alone = copied or (source.identity is None) != (destination.identity is None)
    to_mend = any(each.kind is not RepairKind.DELETE_COPIES for each in judgement.repairs)
    return replace(judgement, astray=judgement.phase.ended and (to_mend or not alone or _broken(source, destination)))


def _broken(source: Told, destination: Told) -> bool:
    return "post-copy failed" in (source.reason, destination.reason)


def _judge(case: Case, source: Told, destination: Told) -> Judgement:
    if _broken(source, destination):
        return _post_copy_broken(case, source, destination)
    if source.active and source.job is not None:
        return _job_at_source(case, source, destination)
    if case.request.options.offline:
        return _offline(case, source, destination)
    here = source.identity if source.active else None
    there = destination.identity if destination.active else None
    if here is not None:
        return _stayed(case, here, destination) if there is None else _on_both(case, source, destination)
    if there is None and case.certain and case.error is None:
        # What libvirt reports as done was there, whatever became of it since.
        there = destination.identity
    return _nowhere(case, source, destination) if there is None else _moved(case, source, there)


def unanswered(case: Case, source: Told | HypervisorError, destination: Told | HypervisorError) -> Judgement:
    """Return what can be said although at least one host does not answer."""
    if isinstance(source, Told) and source.active and source.job is not None and not case.certain:
        return Judgement(Phase.RUNNING, "the link was lost; the hosts go on by themselves")
    sides = (("source", source), ("destination", destination))
    words = [f"{name}: {side}" if isinstance(side, Told) else f"{name} does not answer: {side}" for name, side in sides]
    said = f"{case.error}; " if case.error is not None else ""
    return Judgement(Phase.UNKNOWN if case.settled else Phase.VERIFYING, f"{said}{'; '.join(words)}")


def _job_at_source(case: Case, source: Told, destination: Told) -> Judgement:
    if not case.certain:
        return Judgement(Phase.RUNNING, "the hosts go on by themselves")
    if not case.settled:
        return _ASK_AGAIN
    words = f"{case.error or 'libvirt reports success'}; but a job still stands at the source ({source})"
    return Judgement(
        Phase.UNKNOWN, f"{words}; destination: {destination}", (offer(RepairKind.ABORT_JOB, case.request),)
    )


def _moved(case: Case, source: Told, there: Identity) -> Judgement:
    """It is at the destination, or was until it ended there, and the source does not run it."""
    request = case.request
    paused = there.state is VmState.PAUSED and not case.was_paused
    waits = paused and there.reason in _ON_THE_WAY
    leaves = bool(case.persistent) and request.options.undefine_source
    undefined = source.identity is not None and leaves
    transient = bool(case.persistent) and request.options.persist and not there.persistent
    if not case.settled and (waits or (not case.certain and (undefined or transient))):
        return _ASK_AGAIN
    said, repairs = [], []
    if not there.state.active:
        said.append(f"it arrived, and is {there.state} now")
    if paused:
        said.append(f"it is paused there{f' ({there.reason})' if there.reason else ''}")
        repairs.append(offer(RepairKind.RESUME_DESTINATION, request))
    if transient:
        said.append("it has no definition there and is gone when it ends")
        repairs.append(offer(RepairKind.DEFINE_DESTINATION, request))
    elif undefined:
        said.append("its definition is still at the source: started there, it would run twice")
        repairs.append(offer(RepairKind.UNDEFINE_SOURCE, request))
    if case.certain and case.error is not None:
        said.append(str(case.error))
    return Judgement(Phase.DONE, "; ".join(said), tuple(repairs))


def _stayed(case: Case, here: Identity, destination: Told) -> Judgement:
    """The source has it, and the destination does not run it."""
    paused = here.state is VmState.PAUSED and not case.was_paused
    # What was at it once and is no more will not begin again, whoever has lost the link.
    over = case.seen if not case.certain else case.error is not None
    if not case.settled and (not over or (paused and here.reason in _ON_THE_WAY)):
        return _ASK_AGAIN
    repairs, said = [], []
    if isinstance(case.error, MigrationUnsafe):
        said.append(f"{case.error}; copy its disks instead")
    elif case.error is not None and not isinstance(case.error, JobCancelled):
        said.append(str(case.error) if case.certain else f"the link was lost: {case.error}")
        if _NO_POST_COPY in str(case.error):
            said.append("set vm.unprivileged_userfaultfd=1 by sysctl on both hosts, or migrate it without post-copy")
    elif case.error is None and not case.aborted:
        said.append("libvirt reports success, but it is still at the source" if case.certain else _NOT_MOVED)
    if not paused and case.error is not None and not isinstance(case.error, JobCancelled):
        said.insert(1, "it stays at the source")
    if paused:
        said.append(f"it is paused at the source{f' ({here.reason})' if here.reason else ''}")
        repairs.append(offer(RepairKind.RESUME_SOURCE, case.request))
    copies = []
    if left := sorted(destination.volumes & case.absent):
        copies.append(f"unfinished copies of its disks are left at the destination: {_paths(left)}")
        if destination.identity is None:
            repairs.append(offer(RepairKind.DELETE_COPIES, case.request, tuple(left)))
        else:
            copies.append("to delete them is not offered: the VM is defined there, too, and may use them")
    if unsure := sorted(destination.volumes.intersection(case.paths) - case.absent):
        copies.append(f"at the destination may be unfinished copies: {_paths(unsure)}")
        copies.append("to delete them is not offered: they may have been there before")
    cancelled = case.aborted or isinstance(case.error, JobCancelled)
    phase = Phase.CANCELLED if cancelled else Phase.FAILED
    return Judgement(phase, "; ".join(said), tuple(repairs), copies="; ".join(copies))


def _on_both(case: Case, source: Told, destination: Told) -> Judgement:
    if not case.settled:
        return _ASK_AGAIN
    said = f"{case.error}; " if case.error is not None else ""
    if source.executing and destination.executing:
        return Judgement(
            Phase.UNKNOWN,
            f"{said}it runs on BOTH hosts, which ruins its disks: force off the one that is not wanted now",
        )
    if source.executing:
        words = "it goes on at the source; the destination holds a paused half of it: never resume that, destroy it"
        return Judgement(Phase.FAILED, f"{said}{words}")
    if destination.executing:
        words = "it goes on at the destination; the source holds a paused half of it: never resume that, destroy it"
        return Judgement(Phase.DONE, f"{said}{words}")
    words = (
        f"it is paused on both hosts; source: {source}, destination: {destination}; resume neither while both have it"
    )
    return Judgement(Phase.UNKNOWN, f"{said}{words}")


def _nowhere(case: Case, source: Told, destination: Told) -> Judgement:
    if not case.settled and (not case.seen or (case.certain and case.error is None)):
        return _ASK_AGAIN
    said = f"{case.error}; " if case.error is not None else ""
    words = f"it runs on neither host: source: {source}, destination: {destination}"
    return Judgement(Phase.FAILED, f"{said}{words}")


def _post_copy_broken(case: Case, source: Told, destination: Told) -> Judgement:
    said = f"{case.error}; " if case.error is not None else ""
    if source.active and destination.active:
        words = "post-copy broke off: its memory is on both hosts, so destroy neither"
        return Judgement(Phase.FAILED, f"{said}{words}", (_recovery(case),))
    if not case.settled:
        return _ASK_AGAIN
    words = "post-copy broke off and a part of its memory is lost: force it off and start it anew"
    return Judgement(Phase.FAILED, f"{said}{words}; source: {source}, destination: {destination}")


def _recovery(case: Case) -> Repair:
    return offer(RepairKind.RECOVER_POST_COPY, case.request, peer_to_peer=case.peer_to_peer)


def _offline(case: Case, source: Told, destination: Told) -> Judgement:
    if source.active or destination.active:
        return Judgement(Phase.FAILED, f"it was started meanwhile; source: {source}, destination: {destination}")
    has_left = source.identity is None and destination.identity is not None
    if not (has_left or case.certain or case.settled):
        return _ASK_AGAIN
    if destination.identity is None:
        if source.identity is None:
            return Judgement(Phase.UNKNOWN, "it is defined on neither host")
        return Judgement(Phase.FAILED, str(case.error or "libvirt reports success, but it is not at the destination"))
    failed = case.certain and case.error is not None
    if source.identity is not None and (failed or case.request.options.undefine_source):
        words = "it is defined on both hosts"
        said = f"{case.error}; {words}" if case.error is not None else words
        repairs = () if case.error is not None else (offer(RepairKind.UNDEFINE_SOURCE, case.request),)
        return Judgement(Phase.DONE if case.error is None else Phase.FAILED, said, repairs)
    return Judgement(Phase.DONE)


def _paths(paths: list[str]) -> str:
    return ", ".join(clean(path) for path in paths)
