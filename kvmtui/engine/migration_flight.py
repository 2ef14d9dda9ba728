"""One migration: its call, its figures, what is asked about it, and how it is shown."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kvmtui.engine.audit import Entry
from kvmtui.engine.job_probe import JobProbe
from kvmtui.engine.migration_end import Case, Judgement, Told, judge, look_at_destination, look_at_source, unanswered
from kvmtui.engine.poller import HostPoller
from kvmtui.engine.store import Pending
from kvmtui.hypervisor.errors import CallTimedOut, HypervisorError, JobCancelled, LinkLost, NotStarted, VmGone
from kvmtui.hypervisor.lanes import Call, settle
from kvmtui.hypervisor.protocol import Connection
from kvmtui.model.clean import clean
from kvmtui.model.migration import Migration, Phase, RepairKind, Steer
from kvmtui.model.migration_options import DiskMove
from kvmtui.model.migration_progress import ProgressTracker, Verdict, copies_disks
from kvmtui.model.vm import Job, VmState

_log = logging.getLogger(__name__)
_ANSWER_DEADLINE_S = 10.0
_DISKS_DEADLINE_S = 10.0
_TIDYING_S = 30.0
"""How long what both hosts tell may not fit together before that is taken for the end."""
_UNSEEN_S = 45.0
"""The same for a call that was lost before libvirt was seen at it, which may wait 30 s for the VM before it begins."""
_TIDYING_ADOPTED_S = 3.0
"""The same for somebody else's, whose job was seen to end."""
_PATIENCE_S = 60.0
"""How long a host may not answer before the end is called unknown."""
_ASK_EVERY_S = 0.5
_ASK_ENDED_EVERY_S = 5.0
_ASK_OF_COPIES_EVERY_S = 60.0


class BothSides:
    """The question to both hosts of a migration where the VM is; never waits for the answers."""

    def __init__(self, pollers: Mapping[str, HostPoller], flight: "Flight", done: Callable[[], None]) -> None:
        """`done` is called from a foreign thread with each answer; it must only take note."""
        request, paths = flight.view.request, flight.paths
        uuid = request.key.uuid
        self._pollers = [pollers[request.key.host], pollers[request.destination]]
        self._asked: list[Call | HypervisorError] = []
        questions: tuple[Callable[[Connection], Told], ...] = (
            lambda connection: look_at_source(connection, uuid),
            lambda connection: look_at_destination(connection, uuid, paths),
        )
        for poller, question in zip(self._pollers, questions, strict=True):
            try:
                call = poller.lanes.start("jobs", question)
            except HypervisorError as error:
                self._asked.append(error)
            else:
                call.future.add_done_callback(lambda _: done())
                self._asked.append(call)

    def answers(self) -> list[Told | HypervisorError] | None:
        """Return what source and destination told, or why one did not; None while that is waited for."""
        for asked, poller in zip(self._asked, self._pollers, strict=True):
            if isinstance(asked, Call) and not asked.done:
                if time.monotonic() - asked.submitted_at_s <= _ANSWER_DEADLINE_S:
                    return None
                poller.lanes.abandon(asked)
        return [_answer(asked) for asked in self._asked]


def _answer(asked: Call | HypervisorError) -> Told | HypervisorError:
    if isinstance(asked, HypervisorError):
        return asked
    try:
        told: Told = settle(asked)
    except HypervisorError as error:
        return error
    return told


@dataclass(slots=True, eq=False)
class Errand:
    """A call that steers or mends a migration."""

    what: Steer | RepairKind
    value: int | None
    call: Call
    host: str
    entry: Entry


@dataclass(slots=True, eq=False)
class Flight:
    """One migration and the calls that belong to it; changed only under the lock of `Migrations`."""

    view: Migration
    persistent: bool | None
    tracker: ProgressTracker
    entry: Entry | None = None
    """What the audit was told of it; None: it is somebody else's."""
    call: Call | None = None
    """None: it waits its turn, or is somebody else's."""
    probe: JobProbe | None = None
    pending: Pending | None = None
    was_paused: bool = False
    paths: tuple[str, ...] = ()
    """The disks that are copied; of somebody else's, those that would be."""
    diskless: bool = False
    """Whether the VM has no disk that could be copied."""
    copies: bool = False
    """Whether disks were seen to be copied."""
    absent: Mapping[str, int] = field(default_factory=dict)
    """Those that were proven not to exist at the destination when it began, with the sizes of their file systems."""
    adrift: bool = False
    """Whether it goes on without a call of ours: the link broke, or it is somebody else's."""
    moved_bytes: bool = False
    """Whether any guest data was seen to move, after which no second way is tried."""
    seen: bool = False
    """Whether libvirt was seen to be at it: by its job, or after the call by the half at the destination."""
    begun: bool = False
    """Whether libvirt may have been told to begin; set by the call's thread."""
    aborting: bool = False
    abort_due: bool = False
    """Whether libvirt is still to be told: it may have had no job to abort yet."""
    post_copy_due: bool = False
    """Whether QEMU has been told to switch; the guest goes over a little later."""
    post_copy: bool = False
    """Whether the guest was seen to have gone over."""
    downtime_ms: int | None = None
    recovering: bool = False
    broken: bool = False
    """Whether its post-copy was seen to have broken off, of which its call may never tell."""
    fades_at_s: float | None = None
    """When the message, which is of a moment, goes."""
    errands: list[Errand] = field(default_factory=list)
    sides: BothSides | None = None
    returned_at_s: float | None = None
    """Since when neither the call nor a job has told that it goes on."""
    ask_at_s: float = 0.0
    """When the hosts are to be asked again."""
    ended_as: Judgement | None = None
    """How it was judged to have ended, last."""
    repairing: RepairKind | None = None
    superseded: bool = False
    """Whether the VM was moved again since, after which where it is does not tell how this one ended."""
    look_again: bool = False
    """Whether both hosts are to be asked how it stands after a repair."""

    @property
    def error(self) -> HypervisorError | None:
        """Why its call failed, or None."""
        if self.call is None or not self.call.done:
            return None
        told = _answer(self.call)
        return told if isinstance(told, HypervisorError) else None

    @property
    def refused(self) -> str:
        """Why its call ended before libvirt was told anything, or ""."""
        error = self.error
        if error is None or _lost(error) or self.begun or self.adrift or self.recovering:
            return ""
        return "nothing was done: it is not at the source any more" if isinstance(error, VmGone) else str(error)

    @property
    def certain(self) -> bool:
        """Whether libvirt itself has said how its call ended."""
        return not self.adrift and not _lost(self.error)

    @property
    def may_begin(self) -> bool:
        """Whether libvirt may still begin it, although its call was lost."""
        return not (self.view.adopted or self.certain or self.seen)

    @property
    def copies_left(self) -> bool:
        """Whether unfinished copies may be at the destination, which anybody may delete."""
        return self.ended_as is not None and bool(self.ended_as.copies) and not self.superseded

    @property
    def over(self) -> bool:
        """Whether nothing tells any more that it goes on."""
        if self.broken:
            return True
        if self.adrift:
            return self.probe is not None and self.probe.over
        return self.call is not None and self.call.done

    def case(self, *, settled: bool) -> Case:
        """Return what is to be judged."""
        return Case(
            self.view.request,
            self.error,
            certain=self.certain,
            seen=self.seen,
            settled=settled,
            persistent=self.persistent,
            was_paused=self.was_paused,
            peer_to_peer=self.view.peer_to_peer,
            aborted=self.aborting,
            absent=frozenset(self.absent),
            paths=() if self.view.adopted and not self.copies else self.paths,
        )

    def judge(self, source: Told | HypervisorError, destination: Told | HypervisorError, waited_s: float) -> Judgement:
        """Return what is to be said of the answers, so long after nothing told any more that it goes on."""
        if isinstance(source, Told) and isinstance(destination, Told):
            return judge(self.case(settled=waited_s >= self._tidying_s), source, destination)
        return unanswered(self.case(settled=waited_s >= _PATIENCE_S), source, destination)

    @property
    def _tidying_s(self) -> float:
        if self.view.adopted:
            return _TIDYING_ADOPTED_S
        return _UNSEEN_S if self.may_begin else _TIDYING_S

    def take(self, job: Job, state: VmState | None, reason: str, now_s: float, message: str | None) -> None:
        """Take in the job's figures, and the VM's state at the source and why it is in it, where that is known."""
        self.seen = True
        self.moved_bytes = self.moved_bytes or bool(job.bytes_per_s) or (job.iteration or 0) > 0
        self.copies = self.copies or bool(job.disk_total_bytes)
        self.broken = not self.recovering and reason == "post-copy failed"
        self.post_copy = self.post_copy or bool(job.post_copy_requests) or reason == "post-copy"
        downtime_s = None if self.downtime_ms is None else self.downtime_ms / 1000
        # A new limit is one for the memory only.
        one_limit = self.view.bandwidth_mib_per_s == self.view.request.options.bandwidth_mib_per_s
        progress = self.tracker.take(job, now_s, post_copy=self.post_copy, downtime_s=downtime_s, one_limit=one_limit)
        if message is None and self.fades_at_s is not None and now_s >= self.fades_at_s:
            message, self.fades_at_s = "", None
        if progress.verdict is Verdict.STALLED:
            # QEMU tells for ever how fast it was.
            job = replace(job, bytes_per_s=0.0)
        elif copies_disks(job) or job.bytes_per_s is None:
            job = replace(job, bytes_per_s=progress.sent_per_s)
        job = replace(
            job,
            total_bytes=progress.total_bytes,
            remaining_bytes=progress.remaining_bytes,
            done_fraction=progress.now,
            eta_s=progress.eta_s,
        )
        paused = state is VmState.PAUSED and not self.was_paused and not self.post_copy
        paused_at_s = (self.view.paused_at_s or now_s) if paused else None
        self.show(Phase.RUNNING, message, job=job, progress=progress, paused_at_s=paused_at_s)
        if self.probe is not None:
            self.probe.show(job)

    def show(self, phase: Phase, message: str | None = None, **more: Any) -> None:
        """Bring what is shown up to date; what is not given stays."""
        text = self.view.message if message is None else clean(message, 500)
        self.view = replace(self.view, phase=phase, message=text, diskless=self.diskless, **more)

    @property
    def left_behind(self) -> tuple[str, ...]:
        """The paths at the source of disks that were copied away; of somebody else's move that is not known."""
        view = self.view
        moved = view.phase is Phase.DONE and not view.astray and not view.adopted
        return self.paths if moved and view.request.options.disks is DiskMove.COPY and not self.superseded else ()

    def told_end(self) -> None:
        """Tell the audit how it ended, and again where that is corrected later."""
        if self.entry is not None:
            self.entry.outcome(self.view.phase.value, self.view.message)

    def ask(
        self, pollers: Mapping[str, HostPoller], now_s: float, done: Callable[[], None]
    ) -> list[Told | HypervisorError] | None:
        """Return what both hosts told, asking them when it is time; None while that is waited for."""
        if self.sides is None:
            if now_s < self.ask_at_s:
                return None
            self.sides = BothSides(pollers, self, done)
        answers = self.sides.answers()
        if answers is not None:
            self.sides = None
            every_s = _ASK_ENDED_EVERY_S if self.view.phase.ended else _ASK_EVERY_S
            only_copies = self.copies_left and not self.look_again and self.view.phase is not Phase.UNKNOWN
            self.ask_at_s = now_s + (_ASK_OF_COPIES_EVERY_S if only_copies else every_s)
        return answers

    def __str__(self) -> str:
        """Return what the log calls it."""
        request = self.view.request
        return f"{request.vm_name} ({request.key.uuid}) from {request.key.host} to {request.destination}"

    def carry(self, connection: Connection, destination: HostPoller, *, peer_to_peer: bool) -> None:
        """Do the migration; runs in the thread of its own lane, and blocks until it is over."""
        request = self.view.request
        now = connection.identity(request.key.uuid)
        if now.id != request.vm_id:
            raise HypervisorError("it is not in the same run any more as when the key was pressed")
        job = connection.job(request.key.uuid) if now.state.active else None
        if job is not None and job.operation == "migration":
            # Somebody else's: libvirt would let this one wait for it, and then say something else.
            raise HypervisorError("it is being migrated already: w shows how")
        disks = [disk for disk in connection.config(request.key.uuid).disks if disk.writable]
        partly = request.options.partly
        if partly is not None and {disk.target for disk in disks} != {*partly.copied, *partly.shared}:
            # Of one that came meanwhile nobody knows whether it is to be copied.
            raise HypervisorError("its disks have changed since they were looked at: migrate it again")
        if not self.begun:
            self.persistent, self.was_paused = now.persistent, now.state is VmState.PAUSED
            self.diskless = not disks
            self.paths = tuple(disk.path for disk in disks if disk.path and request.options.copies(disk.target))
            if request.options.disks is DiskMove.COPY:
                self.absent = _absent(destination, self.paths)
        # In this order: whoever aborts sets the one and then looks at the other.
        self.begun = True
        if self.aborting:
            raise JobCancelled("aborted before it began")
        connection.migrate(request.key.uuid, request.destination, request.options, peer_to_peer=peer_to_peer)


def _absent(destination: HostPoller, paths: tuple[str, ...]) -> Mapping[str, int]:
    """Return which volumes are proven not to exist there; none where that host does not say in time."""
    try:
        asked = destination.lanes.start("act", lambda connection: connection.absent_volumes(paths))
        found: Mapping[str, int] = asked.future.result(_DISKS_DEADLINE_S)
    except (HypervisorError, TimeoutError) as error:
        _log.info("%s: not known which disks exist there: %s", destination.uri, error)
        return {}
    return found


def _lost(error: HypervisorError | None) -> bool:
    return isinstance(error, LinkLost | CallTimedOut) and not isinstance(error, NotStarted)
