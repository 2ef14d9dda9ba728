"""Deep looks at one host: one call at a time, under a budget, and given up by name when a QEMU hangs in it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from kvmtui.engine.deep_schedule import DeepSchedule, look
from kvmtui.engine.sampler import HostSampler
from kvmtui.hypervisor.errors import CallTimedOut, HypervisorError
from kvmtui.hypervisor.lanes import Call, HostLanes, settle
from kvmtui.model.clean import clean

_SUSPECT_S = 3.0
_GIVE_UP_S = 20.0


@dataclass(slots=True)
class Interest:
    """What the screen shows of a host; set by the screen, read at every tick."""

    selected: str | None = None
    visible: Sequence[str] = field(default_factory=tuple)


class DeepLooks:
    """Looks deeply at the VMs of one host, as the schedule says; used by its poller only."""

    def __init__(self, lanes: HostLanes, sampler: HostSampler, clock: Callable[[], float]) -> None:
        self.interest = Interest()
        self.problem = ""
        """Why there are no deep figures; cleaned."""
        self._lanes = lanes
        self._sampler = sampler
        self._clock = clock
        self._schedule = DeepSchedule()
        self._call: Call | None = None
        self._uuids: Sequence[str] = ()
        self._asked_about: frozenset[str] = frozenset()

    def suspects(self) -> frozenset[str]:
        """Return the VMs that may hold up the call, when it takes too long; the next tick is to find out which does."""
        call = self._call
        slow = call is not None and not call.done and time.monotonic() - call.submitted_at_s >= _SUSPECT_S
        self._asked_about = frozenset(self._uuids if slow else ())
        return self._asked_about

    def tick(self, owing: Mapping[str, float], interval_s: float) -> None:
        """Take in what has come and ask for more; `owing` are those whose QEMU owes an answer, and for how long."""
        if self._call is not None:
            if self._call.done:
                self._take(self._call)
            else:
                self._suspect(self._call, owing)
                return
        sampler, interest = self._sampler, self.interest
        uuids = self._schedule.next(
            sampler.active,
            interest.selected,
            interest.visible,
            sampler.silent,
            sampler.deep_at_s,
            self._clock(),
            interval_s,
        )
        if uuids:
            self._uuids = uuids
            try:
                self._call = self._lanes.start("deep", lambda connection: look(connection, uuids))
            except CallTimedOut as error:
                self._say_why(error)

    def forget(self) -> None:
        """Expect no answer any more: the link is lost."""
        self._call = None

    def _take(self, call: Call) -> None:
        self._call = None
        try:
            samples, duration_s = settle(call)
        except HypervisorError as error:
            # The watch lane decides whether the link is lost; without deep figures the host is still watched.
            self._say_why(error)
            return
        self.problem = ""
        self._schedule.measured(len(samples), duration_s)
        self._sampler.deep(samples)

    def _suspect(self, call: Call, owing: Mapping[str, float]) -> None:
        """Give the lane up once the VM that holds it up has a name, or it took too long."""
        named = [uuid for uuid in self._asked_about if uuid in owing]
        if not named and time.monotonic() - call.submitted_at_s < _GIVE_UP_S:
            return
        for uuid in named:
            self._sampler.silent.setdefault(uuid, self._clock() - owing[uuid])
        self._lanes.abandon(call)
        self._call = None

    def _say_why(self, error: HypervisorError) -> None:
        self.problem = clean(f"no disk, memory and ready figures: {error}")
