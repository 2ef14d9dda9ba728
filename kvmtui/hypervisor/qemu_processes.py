"""What the kernel of this machine tells of QEMU processes: neither libvirt nor QEMU has to be asked for it."""

import os
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import nan
from pathlib import Path

_PROC = Path("/proc")
_MIN_SCAN_GAP_S = 5.0
# libvirt has QEMU name its threads (-name debug-threads=on); a TCG with one thread for all vCPUs names it otherwise.
_VCPU = re.compile(rb"CPU \d+/")


@dataclass(slots=True, eq=False)
class QemuProcess:
    """One QEMU process of this machine."""

    pid: int
    started_at_s: float
    """Monotonic time."""
    _is_vcpu: dict[str, bool] = field(default_factory=dict)
    """Of every thread."""
    _new: frozenset[str] = frozenset()
    """Threads seen once: their names are read again, for a thread names itself a moment after it is there."""

    def cpu_time_ns(self) -> float:
        """Return the CPU time of all its threads, the figure of libvirt's `info()`; NaN when it has ended."""
        try:
            # MAKE_PROCESS_CPUCLOCK of linux/posix-timers.h; the clock of a process may be read by everybody.
            return time.clock_gettime_ns((~self.pid << 3) | 2)
        except OSError:
            return nan

    def ready(self, proc: Path = _PROC) -> tuple[int, int] | None:
        """Return how long its vCPUs have waited for a CPU, in ns, and how many they are; None where it cannot be told.

        The sum of libvirt's `vcpu.N.delay`, from the file libvirt reads it from.
        """
        tasks = f"{proc}/{self.pid}/task"
        try:
            threads = os.listdir(tasks)
            if self._new or self._is_vcpu.keys() != set(threads):
                known = {thread: is_vcpu for thread, is_vcpu in self._is_vcpu.items() if thread not in self._new}
                self._new = frozenset(thread for thread in threads if thread not in self._is_vcpu)
                self._is_vcpu = {
                    thread: known[thread] if thread in known else _is_vcpu(f"{tasks}/{thread}/comm")
                    for thread in threads
                }
            vcpus = [thread for thread, is_vcpu in self._is_vcpu.items() if is_vcpu]
            # schedstat: time on a CPU, time waiting for one, times put on one (sched-stats.rst of the kernel).
            delays = [int(_read(f"{tasks}/{thread}/schedstat").split()[1]) for thread in vcpus]
        except (OSError, ValueError, IndexError):
            return None
        return (sum(delays), len(delays)) if delays else None


class QemuFinder:
    """Finds the QEMU processes of VMs by the `-uuid` in their command lines; not more often than it pays."""

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc
        self._scanned_at_s = float("-inf")

    def find(self, uuids: Collection[str]) -> Mapping[str, QemuProcess] | None:
        """Return those of `uuids` that are known to run, as they run now; None: it was too soon to look again."""
        now_s = time.monotonic()
        if not uuids or now_s - self._scanned_at_s < _MIN_SCAN_GAP_S:
            return None
        self._scanned_at_s = now_s
        qemus = find_qemus(self._proc)
        # During a migration within one machine two processes carry the uuid: then nothing can be said.
        return {uuid: qemus[uuid][0] for uuid in uuids if len(qemus.get(uuid, ())) == 1}


def find_qemus(proc: Path = _PROC) -> dict[str, list[QemuProcess]]:
    """Return the QEMU processes of this machine by the uuid of their VM."""
    qemus: dict[str, list[QemuProcess]] = {}
    try:
        # The numbers in another namespace's /proc are not those by which the kernel knows processes here.
        pids = os.listdir(proc) if os.readlink(proc / "self") == str(os.getpid()) else []
    except OSError:
        return {}
    # The kernel tells starts in time since boot, which also counts while the machine sleeps.
    slept_s = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    for pid in pids:
        if not pid.isdigit():
            continue
        try:
            name, _, fields = _read(f"{proc}/{pid}/stat").partition(b"(")[2].rpartition(b")")
            if b"qemu" not in name and b"kvm" not in name:
                continue
            arguments = _read(f"{proc}/{pid}/cmdline").split(b"\0")
            uuid = arguments[arguments.index(b"-uuid") + 1].decode().lower()
            # Field 22 of proc(5); the first after the name is number 3.
            started_at_s = int(fields.split()[19]) / ticks_per_s - slept_s
        except (OSError, ValueError, IndexError):
            continue
        qemus.setdefault(uuid, []).append(QemuProcess(int(pid), started_at_s))
    return qemus


def _is_vcpu(comm: str) -> bool:
    return _VCPU.match(_read(comm)) is not None


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()
