"""CPU time of any process, and how fast this machine is at the moment."""

import time
from collections.abc import Iterable

from tests.bench.figures import median

_LOOPS = 100_000
_QUIET_S = 0.0150
"""What the loop takes on a quiet core of the machine on which the budgets were set (performance.md)."""


def cpu_s(pid: int) -> float:
    """Return the CPU time that all threads of a process have used, 0 when there is no such process."""
    try:
        # MAKE_PROCESS_CPUCLOCK of linux/posix-timers.h: nanoseconds, where /proc/PID/stat has hundredths.
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def cpu_of_all_s(pids: Iterable[int]) -> float:
    """Return the CPU time of several processes together."""
    return sum(cpu_s(pid) for pid in pids)


class Calibration:
    """Tells by how much the machine is slower than a quiet one, from a fixed loop run now and then."""

    def __init__(self) -> None:
        self._taken_s: list[float] = []

    def sample(self) -> None:
        """Run the loop once."""
        started_s = time.thread_time()
        table: dict[int, int] = {}
        number = 0
        for index in range(_LOOPS):
            number = (number * 1103515245 + index) & 0xFFFFFFFF
            table[number & 255] = index
        self._taken_s.append(time.thread_time() - started_s)

    @property
    def slowness(self) -> float:
        """How much slower this machine is than a quiet one; less than 1 where it is faster."""
        return median(self._taken_s) / _QUIET_S

    @property
    def correction(self) -> float:
        """What a CPU time measured here is to be divided by.

        At least 1: it makes up for a machine that is slow or busy. A share of a core of a fast machine is told as it
        is, for work that begins with a sleeping thread and cold caches gains less there than this loop.
        """
        return max(1.0, self.slowness)
