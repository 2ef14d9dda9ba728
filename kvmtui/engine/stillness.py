"""Finds QEMUs that may hang by what every light look tells: the CPU time of a VM that ran stands still.

That a QEMU hangs is known to libvirt only once somebody has asked it something. Most of the VMs are not on the screen,
and their turn to be asked comes once a minute; a VM that has stopped using its CPU is asked sooner.
"""

from kvmtui.hypervisor.samples import LightColumns
from kvmtui.model.vm import VmState

_EVERY_S = 5.0
"""Over so long a time the CPU time of a QEMU that is well moves, also where it is told in hundredths of a second."""


class Stillness:
    """Names one VM at a time, and each once until it moves again: one that is merely idle costs a single question."""

    def __init__(self) -> None:
        self._taken_at_s = float("-inf")
        self._cpu_time_ns: dict[str, float] = {}
        """Of those that are said to run, when they were last compared."""
        self._used_ns: dict[str, float] = {}
        """What each had used since the time before."""
        self._suspects: dict[str, float] = {}
        """Those that stand still and were not named yet, with what they used before that."""

    def next(self, now: LightColumns, now_s: float) -> str | None:
        """Return a VM to be asked out of its turn, or None; any tick may ask, however often."""
        if now_s - self._taken_at_s < _EVERY_S:
            return None
        before, used_before = self._cpu_time_ns, self._used_ns
        rows = zip(now.uuid, now.state, now.cpu_time_ns, strict=True)
        self._taken_at_s = now_s
        self._cpu_time_ns = {uuid: cpu_ns for uuid, state, cpu_ns in rows if state is VmState.RUNNING}
        self._used_ns = {uuid: cpu_ns - before[uuid] for uuid, cpu_ns in self._cpu_time_ns.items() if uuid in before}
        still = [uuid for uuid, used_ns in self._used_ns.items() if used_ns == 0]
        self._suspects = {uuid: used for uuid in still if (used := self._suspected(uuid, used_before)) > 0}
        if not self._suspects:
            return None
        # The busiest first: of those that hardly do anything many seem to stand still.
        named = max(self._suspects, key=self._suspects.__getitem__)
        del self._suspects[named]
        return named

    def _suspected(self, uuid: str, used_before: dict[str, float]) -> float:
        return self._suspects.get(uuid) or used_before.get(uuid, 0.0)
