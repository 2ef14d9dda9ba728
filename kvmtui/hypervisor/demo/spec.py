"""What a demo VM is: a pure function of a seed and its name."""

import re
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID

from kvmtui.hypervisor.demo.load import Dice, Load, Shape, batch, bursty, daily, idle, steady
from kvmtui.model.clean import clean
from kvmtui.model.vm import Disk, Interface

GIB = 1024**3
MIB = 1024**2
SHARED = "/srv/shared/"
"""Where disks live that all hosts see."""
LOCAL = "/var/lib/libvirt/images/"
"""Where disks live that only their host sees."""


class Role(NamedTuple):
    """What a VM does, and so how it fares."""

    vcpus: int
    memory_gib: int
    shape: Shape
    cores: float
    """Mean CPU use."""
    net_in_per_core: float
    """Bytes received for each second of CPU."""
    net_out_per_core: float
    reads: float
    """Mean bytes per second read from disk."""
    writes: float
    memory_low: float
    """Share of its memory the guest uses at least."""
    memory_swing: float
    """By how much the use rises before it drops again."""
    balloon: bool = True
    local_disk: bool = False


ROLES: Mapping[str, Role] = MappingProxyType(
    {
        "web": Role(4, 4, daily, 0.16, 9e6, 24e6, 6e3, 60e3, 0.46, 0.06),
        "db": Role(8, 16, steady, 0.60, 1.2e6, 1.6e6, 6e6, 2.5e6, 0.86, 0.04, local_disk=True),
        "cache": Role(2, 32, steady, 0.22, 40e6, 44e6, 0, 8e3, 0.35, 0.40),
        "mail": Role(2, 2, bursty, 0.06, 4e6, 3e6, 20e3, 160e3, 0.55, 0.05),
        "build": Role(8, 16, batch, 0.90, 0.6e6, 0.1e6, 1e6, 6e6, 0.18, 0.45),
        "batch": Role(2, 2, batch, 0.40, 0.2e6, 0.1e6, 2e6, 0.4e6, 0.30, 0.30),
        "win": Role(4, 8, bursty, 0.10, 0.5e6, 0.2e6, 40e3, 90e3, 0.60, 0.05, balloon=False),
        "dev": Role(2, 4, idle, 0.012, 0.1e6, 0.1e6, 0, 2e3, 0.25, 0.05),
        "test": Role(2, 2, idle, 0.008, 0.1e6, 0.1e6, 0, 1e3, 0.22, 0.04),
        "dns": Role(1, 1, idle, 0.015, 6e6, 8e6, 0, 1e3, 0.30, 0.03),
        "git": Role(4, 8, bursty, 0.15, 2e6, 8e6, 0.5e6, 0.3e6, 0.50, 0.08),
        "old": Role(1, 1, idle, 0.010, 0.1e6, 0.1e6, 0, 1e3, 0.40, 0.02, balloon=False),
        "warehouse": Role(16, 64, steady, 1.10, 3e6, 2e6, 40e6, 9e6, 0.70, 0.15, local_disk=True),
    }
)


class VmSpec:
    """What a demo VM is wherever and whenever it runs.

    What a list of VMs does not need is made when it is first asked for: a thousand of them are there at once.
    """

    def __init__(
        self,
        seed: int,
        name: str,
        role: str = "web",
        *,
        uuid: str | None = None,
        serial: int = 0,
        heat: float = 1.0,
        vcpus: int | None = None,
        memory_bytes: int | None = None,
        ready_fraction: float | None = None,
        persistent: bool = True,
        emulated: bool = False,
        consoles: tuple[str, ...] = ("serial0",),
        pinned: bool = False,
        apart: tuple[str, ...] = (),
    ) -> None:
        """The VM `name` doing the work of `role`, `heat` times as hard as usual."""
        kind = self._kind = ROLES[role]
        dice = self._dice = Dice(seed, serial, name)
        self.role = role
        self._busy = min(heat, 3.0)
        self._ready_fraction = ready_fraction
        self.name = name
        """As its creator wrote it: possibly hostile."""
        self.shown_name = clean(name)
        """Cleaned, as a connection must hand it out."""
        self.uuid = uuid or str(UUID(int=dice.bits("uuid", 128), version=4))
        self.vcpus = vcpus or kind.vcpus
        self.memory_bytes = memory_bytes or int(kind.memory_gib * GIB)
        cpu = kind.shape(kind.cores * heat * dice.between("heat", 0.6, 1.4), dice)
        self.cpu = cpu.scaled(min(1.0, 0.95 * self.vcpus / cpu.peak))
        """In cores."""
        self.net_in_per_core = kind.net_in_per_core
        self.net_out_per_core = kind.net_out_per_core
        self.memory_swing = kind.memory_swing
        self.balloon = kind.balloon
        self.local_disk = kind.local_disk
        self.persistent = persistent
        self.emulated = emulated
        self.consoles = consoles
        """Aliases of its serial devices."""
        self.pinned = pinned
        self.apart = apart
        """How it is tagged for balancing."""

    @cached_property
    def hostname(self) -> str:
        """What the guest calls itself."""
        return re.sub("[^a-z0-9-]+", "-", self.name.lower()).strip("-")[:32] or "guest"

    @cached_property
    def reads(self) -> Load:
        """In bytes per second."""
        return self._kind.shape(self._kind.reads * self._busy, self._dice.of("reads"))

    @cached_property
    def writes(self) -> Load:
        """In bytes per second."""
        return self._kind.shape(self._kind.writes * self._busy, self._dice.of("writes"))

    @cached_property
    def ready(self) -> Load:
        """In waiting vCPUs."""
        fraction = self._ready_fraction
        waiting = self._dice.between("ready", 0.0, 0.003) if fraction is None else fraction
        return steady(waiting * self.vcpus, self._dice.of("ready"))

    @cached_property
    def memory_low(self) -> float:
        """The share of its memory the guest uses at least."""
        return self._kind.memory_low * self._dice.between("memory", 0.85, 1.1)

    @cached_property
    def memory_period_s(self) -> float:
        """How long its use rises before it drops again."""
        return self._dice.between("saw", 90, 600)

    @cached_property
    def disks(self) -> tuple[Disk, ...]:
        """Its disks."""
        image = f"{LOCAL if self.local_disk else SHARED}{self.shown_name}"
        disks = [Disk("vda", f"{image}.qcow2", writable=True)]
        if self._kind.memory_gib >= 16:
            disks.append(Disk("vdb", f"{image}-data.qcow2", writable=True))
        if self.role in ("win", "old"):
            disks.append(Disk("sda", None, writable=False))
        return tuple(disks)

    @property
    def snapshots(self) -> int:
        """How many it has."""
        return 1 if self.role == "win" else 0

    @cached_property
    def disk_bytes(self) -> int:
        """How much is on them."""
        return int(self._dice.between("disk", 6, 30)) * GIB

    @cached_property
    def interfaces(self) -> tuple[Interface, ...]:
        """Its network interfaces."""
        bits = self._dice.bits("mac", 24)
        mac = f"52:54:00:{bits >> 16:02x}:{bits >> 8 & 255:02x}:{bits & 255:02x}"
        return (Interface(mac, "default" if bits % 3 else "br0", "virtio" if self.balloon else "e1000"),)

    @cached_property
    def address(self) -> str:
        """Its address."""
        bits = self._dice.bits("mac", 24)
        return f"192.168.{122 + (bits >> 8) % 8}.{2 + bits % 250}"

    @cached_property
    def shutdown_s(self) -> float:
        """How long the guest takes to shut down."""
        return round(self._dice.between("shutdown", 2, 6), 1)
