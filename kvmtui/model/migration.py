"""Moving a VM between hosts: what is asked, how it stands, how it ended."""

from dataclasses import dataclass
from enum import Enum

from kvmtui.model.vm import Job, VmKey


@dataclass(frozen=True, slots=True)
class MigrationOptions:
    """How a VM is moved."""

    copy_disks: bool = False
    """Copy the writable disks to the destination; otherwise both hosts must see the same storage."""


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

    STARTING = "starting"
    RUNNING = "running"
    VERIFYING = "verifying"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The hosts could not be asked how it ended."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in (Phase.DONE, Phase.CANCELLED, Phase.FAILED, Phase.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration at one moment."""

    request: MigrationRequest
    phase: Phase
    started_at_s: float
    job: Job | None = None
    peer_to_peer: bool = True
    message: str = ""
    """One cleaned line: what happened, or why not."""
    command: str = ""
    """The virsh line that does the same."""
