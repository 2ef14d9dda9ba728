"""One look at all hosts at once, for who asks only once: what has not answered in time is left out."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from kvmtui.engine.health_round import LANE, HealthRound
from kvmtui.engine.poller import default_name
from kvmtui.engine.sampler import HostSampler
from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.hypervisor.lanes import Call, HostLanes, settle
from kvmtui.hypervisor.protocol import Backend, Connection
from kvmtui.hypervisor.samples import Flags, LightSample, NodeSample
from kvmtui.model.clean import clean
from kvmtui.model.findings import Finding, judge
from kvmtui.model.findings_values import Limits
from kvmtui.model.health import HostHealth
from kvmtui.model.history import History
from kvmtui.model.host import Host, HostFacts, Link

_TWICE = "vm-twice"
_WATCH = "watch"
_PAUSE_S = 0.25
_VMS_FOR_S = 60.0
_Seen = tuple[HostFacts, LightSample, Flags, NodeSample]


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of it."""

    hosts: tuple[Host, ...]
    healths: Mapping[str, HostHealth]
    findings: tuple[Finding, ...]
    """Worst first, with what is fine and what is not known."""
    at_s: float
    """When it was judged (monotonic)."""
    took_s: float


def check_up(
    backend: Backend,
    uris: Sequence[str],
    limits: Limits,
    timeout_s: float,
    names: Mapping[str, str],
    clock: Callable[[], float] = time.monotonic,
) -> Checked:
    """Look at all hosts, over reading connections alone, and judge them; returns within the timeout."""
    began_s = time.monotonic()
    news = threading.Event()
    looks = [_Look(backend, uri, names.get(uri, ""), news.set, clock) for uri in uris]
    deadline_s = began_s + timeout_s
    try:
        _wait(looks, news, deadline_s)
        checked = _judged(looks, limits, clock())
        if any(each.rule == _TWICE for each in checked):
            # In the moment between two looks a VM may have moved: it is believed when seen again.
            for look in looks:
                look.again()
            _wait(looks, news, deadline_s)
            checked = _judged(looks, limits, clock())
    finally:
        for look in looks:
            look.lanes.close()
    return Checked(
        tuple(look.host() for look in looks),
        {look.uri: look.health for look in looks if look.health is not None},
        checked,
        clock(),
        time.monotonic() - began_s,
    )


def _judged(looks: Sequence["_Look"], limits: Limits, now_s: float) -> tuple[Finding, ...]:
    healths = {look.uri: look.health for look in looks if look.health is not None}
    return judge([look.host() for look in looks], healths, {}, now_s, limits)


def _wait(looks: Sequence["_Look"], news: threading.Event, deadline_s: float) -> None:
    # Every one of them, not only up to the first that is not there yet.
    while [look for look in looks if not look.advance()]:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            for look in looks:
                look.give_up()
            return
        news.wait(min(left_s, _PAUSE_S))
        news.clear()


class _Look:
    """One host, asked on two lanes at once."""

    def __init__(
        self, backend: Backend, uri: str, name: str, wake: Callable[[], None], clock: Callable[[], float]
    ) -> None:
        self.uri = uri
        self.health: HostHealth | None = None
        self.lanes = HostLanes(uri, dict.fromkeys((_WATCH, LANE), lambda: backend.open(uri, read_only=True)))
        self._name = name
        self._wake = wake
        self._began_s = time.monotonic()
        self._seen: _Seen | None = None
        self._problem = ""
        self._sampler = HostSampler(uri, History())
        self._call: Call | None = None
        self.again()
        self._round: HealthRound | None = HealthRound(self.lanes, clock, wake=wake, vms_for_s=_VMS_FOR_S)

    def again(self) -> None:
        """Look at its VMs anew."""
        try:
            self._call = self.lanes.start(_WATCH, _look)
        except HypervisorError as error:
            self._problem = clean(str(error))
            return
        self._call.future.add_done_callback(self._answered)

    def _answered(self, _: "Future[_Seen]") -> None:
        self._wake()

    def advance(self) -> bool:
        """Return whether there is no more to come."""
        if self._call is not None and self._call.done:
            self._take(self._call)
            self._call = None
        if self._round is not None:
            self.health = self._round.advance()
            if self.health is not None:
                self._round = None
        return self._call is None and self._round is None

    def give_up(self) -> None:
        """Take what there is; the rest came too late."""
        late = f"no answer for {time.monotonic() - self._began_s:.0f} s"
        if self._call is not None:
            self.lanes.abandon(self._call)
            self._call, self._problem = None, late
            # What was seen before is not seen again: whether it still holds is not known.
            self._seen = None
        if self._round is not None:
            self.health, self._round = self._round.stop(late), None

    def _take(self, call: Call) -> None:
        try:
            self._seen = settle(call)
        except HypervisorError as error:
            self._problem, self._seen = clean(str(error)), None
            return
        _, light, flags, node = self._seen
        self._sampler.light(light, 1.0)
        self._sampler.flags(flags)
        self._sampler.node(node, 1.0)

    def host(self) -> Host:
        """Return the host as it was seen."""
        facts = None if self._seen is None else self._seen[0]
        return Host(
            key=self.uri,
            name=self._name or (facts.hostname if facts else default_name(self.uri)),
            link=Link.DOWN if facts is None else Link.UP,
            facts=facts,
            figures=self._sampler.figures,
            vms=self._sampler.vms(),
            problem=self._problem,
            read_only=True,
        )


def _look(connection: Connection) -> _Seen:
    return connection.facts(), connection.light(1.0), connection.flags(), connection.node()
