"""Deep looks at one host: one call at a time, under a budget, and given up by name when a QEMU hangs in it."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import islice
from math import isnan

from kvmtui.engine.deep_schedule import DeepSchedule, look
from kvmtui.engine.sampler import HostSampler
from kvmtui.engine.stillness import Stillness
from kvmtui.hypervisor.errors import CallTimedOut, HypervisorError
from kvmtui.hypervisor.lanes import Call, HostLanes, settle
from kvmtui.model.clean import clean

_SUSPECT_S = 3.0
_GIVE_UP_S = 20.0
_UNREAD_S = 5.0
"""After so long the last rates of a VM that other clients' calls have are not shown any more."""
_URGENT_S = 10.0
"""For so long such a VM is looked at in every tick; then in its turn, unless its QEMU is silent."""
_JOB_S = 30.0
"""A job such as a migration has QEMU for moments; at every look for so long means that QEMU does not answer it."""
_MOST_AT_ONCE = 6


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
        self._stillness = Stillness()
        self._call: Call | None = None
        self._uuids: Sequence[str] = ()
        self._asked_about: frozenset[str] = frozenset()
        self._left_out: dict[str, float] = {}
        """VMs that the last look could not read, for another client's call has them, and since when that is so."""
        self._in_job: dict[str, float] = {}
        """VMs that a job has had at every look, and since when."""

    def suspects(self) -> frozenset[str]:
        """Return the VMs that may not answer, so that the next tick finds out which do not.

        They are those of a call that takes too long, ours or another client's.
        """
        call = self._call
        slow = call is not None and not call.done and _age_s(call) >= _SUSPECT_S
        self._asked_about = frozenset((*(self._uuids if slow else ()), *islice(self._left_out, _MOST_AT_ONCE)))
        return self._asked_about

    def tick(self, owing: Mapping[str, float], interval_s: float) -> None:
        """Take in what has come and ask for more; `owing` are those whose QEMU owes an answer, and for how long."""
        named = self._name(owing)
        if self._call is not None:
            if self._call.done:
                self._take(self._call)
            else:
                self._suspect(self._call, named)
                return
        sampler, interest = self._sampler, self.interest
        still = self._stillness.next(sampler.light_columns, self._clock())
        if still is not None and still not in sampler.silent:
            self._missed([still])
        uuids = self._schedule.next(
            sampler.active,
            interest.selected,
            interest.visible,
            sampler.silent,
            sampler.deep_at_s,
            self._clock(),
            interval_s,
        )
        urgent = [uuid for uuid in self._left_out if uuid not in uuids and uuid not in sampler.silent]
        uuids += urgent[:_MOST_AT_ONCE]
        if uuids:
            self._uuids = uuids
            try:
                self._call = self._lanes.start("deep", lambda connection: look(connection, uuids))
            except CallTimedOut as error:
                self._say_why(error)

    def forget(self) -> None:
        """Expect no answer any more: the link is lost."""
        self._call = None
        self._left_out.clear()
        self._in_job.clear()
        self._sampler.unread = ()

    def _name(self, owing: Mapping[str, float]) -> Set[str]:
        """Take those for silent of which the tick found out that they are, and return them."""
        now_s = self._clock()
        answers = [uuid for uuid in self._asked_about if uuid not in owing]
        in_job = [uuid for uuid in self._asked_about if isnan(owing.get(uuid, 0.0))]
        self._in_job = {uuid: self._in_job.get(uuid, now_s) for uuid in in_job}
        since_s = {uuid: now_s - owing[uuid] for uuid in self._asked_about - {*answers, *in_job}}
        since_s |= {uuid: at_s for uuid, at_s in self._in_job.items() if now_s - at_s >= _JOB_S}
        for uuid, at_s in since_s.items():
            self._sampler.silent.setdefault(uuid, at_s)
            self._left_out.pop(uuid, None)
        for uuid in answers:
            if now_s - self._left_out.get(uuid, now_s) >= _URGENT_S:
                del self._left_out[uuid]
        return since_s.keys()

    def _missed(self, uuids: Collection[str]) -> None:
        """Keep in mind which VMs could not be read."""
        now_s, active = self._clock(), frozenset(self._sampler.active if uuids or self._left_out else ())
        self._left_out = {uuid: at_s for uuid, at_s in self._left_out.items() if uuid in active}
        for uuid in active.intersection(uuids):
            self._left_out.setdefault(uuid, now_s)
        self._sampler.unread = [uuid for uuid, at_s in self._left_out.items() if now_s - at_s >= _UNREAD_S]

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
        told = {sample.uuid for sample in samples}
        for uuid in told:
            self._left_out.pop(uuid, None)
        self._missed([uuid for uuid in self._uuids if uuid not in told])

    def _suspect(self, call: Call, named: Set[str]) -> None:
        """Give the lane up once the VM that holds it up has a name, or it took too long."""
        age_s = _age_s(call)
        known = age_s >= _SUSPECT_S and not named.isdisjoint(self._uuids)
        if not known and age_s < _GIVE_UP_S:
            return
        self._lanes.abandon(call)
        self._call = None
        if not known:
            # It is one of these, and the next look is not to tell them late.
            self._missed(self._uuids)

    def _say_why(self, error: HypervisorError) -> None:
        self.problem = clean(f"no disk, memory and ready figures: {error}")


def _age_s(call: Call) -> float:
    return time.monotonic() - call.submitted_at_s
