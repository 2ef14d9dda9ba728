"""What balancing looks at: how loaded hosts and VMs are, and the limits it keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from kvmtui.model.vm import VmKey

GIB = 1 << 30
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan keeps to and aims at; fractions are of a host's CPUs or memory.

    Sources: ovirt-engine's evenly_distributed policy (thresholds, destinations well below them), Ganeti's hbal
    (smallest gain), Proxmox CRS (three rounds in a row). The numbers are those with which tests/bench/balancing.py
    gets the most evenness per move.
    """

    trigger_spread: float = 0.20
    """From this difference between the most and the least loaded host on, hosts are uneven."""
    settled_spread: float = 0.15
    """Below this they are even again."""
    trigger_windows: int = 3
    window_s: float = 60.0
    cpu_busy: float = 0.80
    """A host above this is over its limit and is relieved first."""
    memory_used: float = 0.85
    cpu_after_move: float = 0.75
    """No host is given VMs beyond this, so that the next peak does not send them back."""
    memory_after_move: float = 0.80
    reserve_bytes: int = 2 * GIB
    """Memory that stays free on every host, however small it is."""
    least_gain: float = 0.01
    """A move that brings less is not worth a migration. Gains are in squared fractions, see `Standing.gain`."""
    gain_share: float = 0.8
    """A move brings at least this share of the best one at hand: few large steps instead of many small ones."""
    cooldown_s: float = 3600.0
    """So long a moved VM stays where it is."""
    bandwidth_bytes_per_s: float = 120 * MIB
    """Assumed of the link between two hosts: gigabit Ethernet."""
    overhead_s: float = 15.0
    """What a migration takes besides copying."""
    most_moves: int = 40
    """A longer plan would be out of date before its end."""


@dataclass(frozen=True, slots=True)
class HostLoad:
    """How loaded a host is, and whether it takes part; unknown figures are None."""

    key: str
    name: str
    cpus: int | None
    cpu_busy_fraction: float | None
    """Mean of the last five minutes: its own share plus the means of the VMs it has now.

    A plain mean of its CPU would count VMs that have just left, and send more of them after those.
    """
    memory_total_bytes: int | None
    memory_used_bytes: int | None
    """Without what the kernel could give back (buffers, cache)."""
    connected: bool = True
    """Whether its link is up and its figures are fresh."""
    may_receive: bool = True
    """Whether VMs may be moved to it; not where it is watched read-only."""
    in_maintenance: bool = False
    """Whether it is being or has been evacuated: it gets no VMs, and balancing looks past it."""

    @property
    def why_out(self) -> str:
        """Why balancing leaves it out; empty where it takes part."""
        if not self.connected:
            return "it is not connected, or its figures are old"
        if self.in_maintenance:
            return "it was emptied, or is to be, and takes no VMs"
        return self.unknown

    @property
    def unknown(self) -> str:
        """Which figure is missing; empty where all are known."""
        if not self.cpus or self.cpu_busy_fraction is None:
            return "its CPU use is not known yet"
        if not self.memory_total_bytes or self.memory_used_bytes is None:
            return "its memory use is not known yet"
        return ""


@dataclass(frozen=True, slots=True)
class VmLoad:
    """What a VM uses, what moving it costs and what binds it; unknown figures are None.

    All VMs of a host belong in the input, those that cannot move too: they count for the groups kept apart.
    """

    key: VmKey
    name: str
    cores_used: float | None
    """Host CPUs it keeps busy, mean of the last five minutes; 0.0 when it is off."""
    memory_bytes: int | None
    """What it takes of a host's memory; 0 when it is off."""
    copy_bytes: int | None
    """What a move copies: its memory, and its disks where they are not shared."""
    cores_lasting: float | None = None
    """As `cores_used`, mean of the last hour; where it is not known, `cores_used` stands for it.

    A move has to bring something by both: a burst is over before the move has paid.
    """
    immovable: str = ""
    """Why it cannot be moved at all, in words; empty where it can."""
    pinned: bool = False
    """Whether it is tagged to stay where it is."""
    apart: tuple[str, ...] = ()
    """Groups whose members are to be on different hosts."""
    forbidden: Mapping[str, str] = field(default_factory=dict)
    """Hosts (by key) it cannot go to, with why, in words."""
    moved_at_s: float | None = None
    """When it was last moved, on the clock of `now_s`."""
    off: bool = False
    """Whether it is off, so that only its definition moves."""

    @property
    def unknown(self) -> str:
        """Which figure is missing; empty where all that are needed are known."""
        if self.cores_used is None:
            return "its CPU use is not known yet"
        if self.memory_bytes is None:
            return "its memory use is not known yet"
        if self.copy_bytes is None:
            return "how much there is to copy is not known yet"
        return ""
