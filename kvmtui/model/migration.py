"""Moving a VM between hosts: what is asked, how it stands, how it ended, what can be done about it."""

from dataclasses import dataclass
from enum import Enum

from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.migration_progress import Progress
from kvmtui.model.vm import Job, VmKey


@dataclass(frozen=True, slots=True)
class MigrationRequest:
    """A VM, as it was at the key press, and where it shall go."""

    key: VmKey
    vm_name: str
    vm_id: int
    destination: str
    """The key (URI) of the destination host."""
    options: MigrationOptions


class Phase(Enum):
    """How far a migration is."""

    QUEUED = "waiting its turn"
    """As many as may are under way on one of its hosts."""
    STARTING = "starting"
    RUNNING = "running"
    VERIFYING = "verifying"
    DONE = "done"
    CANCELLED = "aborted"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The hosts could not be asked how it ended."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in (Phase.DONE, Phase.CANCELLED, Phase.FAILED, Phase.UNKNOWN)


class Steer(Enum):
    """What can be done to a migration under way."""

    DOWNTIME = "downtime"
    """Allow the guest to stand still longer at the end; value: milliseconds."""
    BANDWIDTH = "bandwidth"
    """Value: MiB/s; 0: no limit."""
    POST_COPY = "post-copy"
    PAUSE_GUEST = "pause the guest"
    """It then converges, and the guest goes on at the destination."""
    ABORT = "abort"
    """Also takes one out of the queue."""


class RepairKind(Enum):
    """What may be offered after a migration ended badly; never done without being asked for."""

    RESUME_SOURCE = "resume it at the source"
    RESUME_DESTINATION = "resume it at the destination"
    DEFINE_DESTINATION = "define it at the destination"
    UNDEFINE_SOURCE = "remove its definition from the source"
    RECOVER_POST_COPY = "go on with post-copy"
    ABORT_JOB = "abort the job that still stands at the source"
    DELETE_COPIES = "delete the unfinished disk copies at the destination"


@dataclass(frozen=True, slots=True)
class Repair:
    """One offered repair, safe by what both hosts have told."""

    kind: RepairKind
    consequence: str
    """One sentence: what it does and why it is safe."""
    command: str
    """The virsh line that does the same."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration at one moment."""

    request: MigrationRequest
    phase: Phase
    started_at_s: float
    ended_at_s: float | None = None
    job: Job | None = None
    progress: Progress | None = None
    paused_at_s: float | None = None
    """Since when the guest was seen to stand still at the source, paused on the way; None: it was not."""
    diskless: bool = False
    """Whether the VM is known to have no disk that could be copied."""
    peer_to_peer: bool = True
    adopted: bool = False
    """Found under way when kvmtui started, or begun by somebody else: its options are not known."""
    bandwidth_mib_per_s: int | None = None
    """The present limit for the memory; None: there is none, or it is not known."""
    message: str = ""
    """One cleaned line: what happened, or why not."""
    command: str = ""
    """The virsh line that does the same."""
    steers: frozenset[Steer] = frozenset()
    """What can be done to it now."""
    repairs: tuple[Repair, ...] = ()
    left_behind: tuple[str, ...] = ()
    """Where the source still has the old copies of its disks; until the VM is on its way again."""
    astray: bool = False
    """Whether the guest does not go on, alone, on one of the hosts as it did before: somebody has to see to it."""
