"""One demo VM in one place: its state, and its counters as functions of the time it has run."""

from math import exp, nan
from typing import TYPE_CHECKING

from kvmtui.hypervisor.demo.spec import MIB, VmSpec
from kvmtui.hypervisor.samples import DeepVm, LightVm
from kvmtui.model.vm import VmState

if TYPE_CHECKING:
    from kvmtui.hypervisor.demo.transfer import Transfer

BALLOON_PERIOD_S = 5
_QEMU_BYTES = 90 * MIB
"""What a QEMU process holds beside the guest's memory."""


class DemoVm:
    """A VM on a host. All calls happen under the world's lock; times are of the world's clock."""

    __slots__ = (
        "_executed_s",
        "_nic",
        "_since_s",
        "_ticks",
        "autostart",
        "booted_at_s",
        "defined",
        "hung",
        "id",
        "incoming",
        "job",
        "owed_since_s",
        "reason",
        "rebooting",
        "saved",
        "spec",
        "started_at_s",
        "state",
    )

    def __init__(self, spec: VmSpec, *, autostart: bool = False, saved: bool = False) -> None:
        self.spec = spec
        self.autostart = autostart
        self.saved = saved
        self.defined = spec.persistent
        """Whether its host has a definition of it, but for a migration under way."""
        self.state = VmState.SHUT_OFF
        self.reason = ""
        """In the words of `sampling.state_of`: "" where there is nothing to say."""
        self.id = -1
        self.started_at_s: float | None = None
        self.booted_at_s = 0.0
        """When the guest's kernel started; a reboot or a migration parts it from `started_at_s`."""
        self.hung = False
        """Whether its QEMU stands still, as after SIGSTOP."""
        self.owed_since_s: float | None = None
        """Since when a call waits for its QEMU, holding the VM's job."""
        self.rebooting = False
        self.job: Transfer | None = None
        self.incoming: Transfer | None = None
        """The migration that brings it here."""
        self._executed_s = 0.0
        self._since_s = 0.0
        self._ticks = False
        self._nic = ""

    def launch(self, vm_id: int, now_s: float, state: VmState, reason: str, age_s: float = 0.0) -> None:
        """Start a QEMU process, `age_s` ago: all counters begin at 0 there."""
        self.id = vm_id
        self.started_at_s = self.booted_at_s = now_s - age_s
        self._executed_s = age_s
        self._since_s = now_s
        self._nic = f"vnet{vm_id - 1}"
        self.saved = False
        self.change(now_s, state, reason)

    def change(self, now_s: float, state: VmState, reason: str) -> None:
        """Enter a state."""
        self.state, self.reason = state, reason
        if not state.active:
            self.id = -1
            self.started_at_s = self.owed_since_s = self.job = self.incoming = None
            self.hung = self.rebooting = False
        self.settle(now_s)

    def settle(self, now_s: float) -> None:
        """Count the time so far, and from now on as the state, `hung` and `rebooting` say."""
        self._executed_s = self.executed_s(now_s)
        self._since_s = max(now_s, self._since_s)
        self._ticks = self.state.executing and not self.hung and not self.rebooting

    @property
    def persistent(self) -> bool:
        """Whether this host has a definition of it, which comes last in a migration."""
        return self.defined and self.incoming is None

    @property
    def responsive(self) -> bool:
        """Whether the guest's CPUs get anywhere."""
        return self._ticks

    def executed_s(self, now_s: float) -> float:
        """Return the seconds the guest has executed since its QEMU process started."""
        if not self._ticks or now_s <= self._since_s:
            return self._executed_s
        return self._executed_s + now_s - self._since_s

    def _t(self, now_s: float) -> float:
        """Return `executed_s` in whole milliseconds.

        Two moments are then the same or far enough apart for the formulas' rounding not to make a counter go back.
        """
        return int(self.executed_s(now_s) * 1000) / 1000

    def cpu_time_ns(self, now_s: float) -> int:
        """Return the CPU time of this run."""
        return int(self.spec.cpu.total(self._t(now_s)) * 1e9)

    def rss_bytes(self, now_s: float) -> int:
        """Return what the QEMU process holds: what the guest has touched, which it never gives back."""
        spec = self.spec
        touched = min(1.0, spec.memory_low + spec.memory_swing + 0.06) * (1 - exp(-(self._t(now_s) + 15) / 90))
        return _QEMU_BYTES + int(spec.memory_bytes * touched)

    def used_bytes(self, t: float) -> int:
        """Return what the guest uses after `t` executed seconds: it grows, and drops when something cleans up."""
        spec = self.spec
        saw = t % spec.memory_period_s / spec.memory_period_s
        share = min(0.97, spec.memory_low + spec.memory_swing * saw) * (1 - exp(-(t + 10) / 60))
        return int(spec.memory_bytes * 0.97 * share)

    def light(self, now_s: float) -> LightVm:
        """Return the VM as a light sample shows it."""
        spec = self.spec
        if self.id < 0:
            name = spec.shown_name
            return LightVm(spec.uuid, name, -1, self.state, self.reason, spec.vcpus, spec.memory_bytes, nan, now_s)
        t = int(self.executed_s(now_s) * 1000) / 1000
        work = spec.cpu.total(t)
        return LightVm(
            spec.uuid,
            spec.shown_name,
            self.id,
            self.state,
            self.reason,
            spec.vcpus,
            spec.memory_bytes,
            int(work * 1e9),
            now_s,
            (self._nic,),
            (int(120 * t + spec.net_in_per_core * work),),
            (int(40 * t + spec.net_out_per_core * work),),
            started_at_s=self.started_at_s,
        )

    def deep(self, now_s: float, stamp_s: float) -> DeepVm:
        """Return the VM as a deep sample that was asked for at `stamp_s` shows it."""
        spec = self.spec
        if self.id < 0:
            return DeepVm(spec.uuid, stamp_s, None, spec.vcpus, None, None, None, None, None)
        t = self._t(now_s)
        ready_ns = int(spec.ready.total(t) * 1e9)
        used = age = None
        if spec.balloon and self.incoming is None:
            reported = t // BALLOON_PERIOD_S * BALLOON_PERIOD_S
            used = self.used_bytes(reported)
            # A guest that does not execute does not report: its last figure gets older.
            age = round(t - reported + (0.0 if self._ticks else max(0.0, now_s - self._since_s)), 3)
        reads, writes = spec.reads.total(t), spec.writes.total(t)
        names = [disk.target for disk in spec.disks]
        # Most of the work is on the last writable disk, where the data is.
        shares = dict.fromkeys(names, 0.0)
        writable = [disk.target for disk in spec.disks if disk.writable]
        shares[writable[0]] = 1.0 if len(writable) == 1 else 0.1
        if len(writable) > 1:
            shares[writable[-1]] = 0.9
        return DeepVm(
            spec.uuid,
            stamp_s,
            ready_ns,
            spec.vcpus,
            used,
            age,
            self.rss_bytes(now_s),
            {name: int(share * reads) for name, share in shares.items()},
            {name: int(share * writes) for name, share in shares.items()},
        )
