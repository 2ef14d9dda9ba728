"""The health of all hosts: each is looked at once a minute, and all are judged every few seconds."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kvmtui.engine.health_round import HealthRound
from kvmtui.engine.poller import HostPoller
from kvmtui.hypervisor.health_book import HeardErrors
from kvmtui.model.findings import Finding, judge
from kvmtui.model.findings_values import Limits, Severity
from kvmtui.model.fleet import Fleet
from kvmtui.model.health import HostHealth, VmHealth
from kvmtui.model.host import Link
from kvmtui.model.vm import VmKey

_EVERY_S = 60.0
_JUDGE_EVERY_S = 5.0
_GOOD_FOR_S = 900.0
"""How long a look at a VM counts, where there are too many for one round."""
_AGAIN_S = 300.0
"""After how long what hung is asked again."""
_TWICE, _TWICE_FOR_S = "vm-twice", 4.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How all hosts stand."""

    findings: tuple[Finding, ...] = ()
    """Worst first, down to notes."""
    since_s: Mapping[tuple[str, ...], float] = field(default_factory=lambda: MappingProxyType({}))
    """When each finding was first seen (monotonic), by key; that it is older is possible."""
    silenced: frozenset[tuple[str, ...]] = frozenset()
    marks: Mapping[VmKey, Severity] = field(default_factory=lambda: MappingProxyType({}))
    """The worst of each VM with a warning or more, but for what is silenced."""

    @property
    def loud(self) -> tuple[Finding, ...]:
        """Warnings and worse that are not silenced."""
        return tuple(each for each in self.findings if each.severity.wrong and each.key not in self.silenced)


@dataclass(slots=True)
class _Looked:
    """What is known of one host."""

    due_at_s: float = float("-inf")
    round: HealthRound | None = None
    now: HostHealth | None = None
    before: HostHealth | None = None
    vms_at_s: dict[str, float] = field(default_factory=dict)
    hung_at_s: dict[str, float] = field(default_factory=dict)
    heard: HeardErrors = field(default_factory=dict)
    """Of the host's disks, whichever connection it was heard over."""


class HealthWatch:
    """Used by the thread that watches; `standing` is for any thread."""

    def __init__(
        self,
        pollers: Mapping[str, HostPoller],
        fleet: Callable[[], Fleet],
        changed: Callable[[], None],
        limits: Limits,
        clock: Callable[[], float],
    ) -> None:
        """`changed` is called when there is something else to be told."""
        self.standing = Standing()
        self._pollers = pollers
        self._fleet = fleet
        self._changed = changed
        self._limits = limits
        self._clock = clock
        self._looked = {uri: _Looked() for uri in pollers}
        self._judged_at_s = float("-inf")
        self._twice: dict[tuple[str, ...], float] = {}
        """Since when VMs have seemed to run twice, which a migration does for a moment."""
        self._silenced: dict[tuple[str, ...], float] = {}
        """Until when."""
        self._lock = threading.Lock()

    def watch(self, uri: str) -> None:
        """Begin or go on with the look at a host, and judge when it is time; called after every tick of a host."""
        looked, now_s = self._looked[uri], self._clock()
        host = self._fleet().hosts[uri]
        if looked.round is not None:
            # A link that is lost ends the round by itself.
            found = looked.round.advance()
            if found is not None:
                looked.round = None
                self._take(looked, found, now_s)
                self._judged_at_s = float("-inf")
        elif now_s >= looked.due_at_s and host.link is Link.UP:
            looked.due_at_s = now_s + _EVERY_S
            looked.hung_at_s = {item: at_s for item, at_s in looked.hung_at_s.items() if now_s - at_s < _AGAIN_S}
            looked.round = HealthRound(
                self._pollers[uri].lanes,
                self._clock,
                looked_at=lambda uuid: looked.vms_at_s.get(uuid, 0.0),
                skip=frozenset(looked.hung_at_s),
                heard=looked.heard,
            )
        if now_s - self._judged_at_s >= _JUDGE_EVERY_S:
            self._judge(now_s)

    def look(self) -> None:
        """Look at all hosts at their next tick."""
        for looked in self._looked.values():
            looked.due_at_s = float("-inf")

    def looked_at(self, uri: str) -> bool:
        """Tell whether a host was looked at; any thread may ask."""
        return self._looked[uri].now is not None

    def silence(self, key: tuple[str, ...], seconds: float) -> None:
        """Do not count a finding for so long; 0: count it again. Any thread may say so."""
        with self._lock:
            self._silenced[key] = self._clock() + seconds
            self._publish(self.standing.findings, self._clock())

    def everything(self) -> tuple[Finding, ...]:
        """Judge now, and return also what is fine or not told; any thread may ask."""
        now_s = self._clock()
        return self._believed(self._judgement(now_s, Severity.FINE), now_s)

    def _take(self, looked: _Looked, found: HostHealth, now_s: float) -> None:
        """Take a look in: VMs that it had no time for are as they were."""
        before = looked.now
        kept: dict[str, VmHealth] = {}
        if before is not None:
            kept = {uuid: vm for uuid, vm in before.vms.items() if now_s - looked.vms_at_s.get(uuid, 0.0) < _GOOD_FOR_S}
        looked.vms_at_s.update(dict.fromkeys(found.vms, now_s))
        looked.vms_at_s = {uuid: at for uuid, at in looked.vms_at_s.items() if uuid in kept or uuid in found.vms}
        silent = dict(found.silent)
        for item in found.silent:
            looked.hung_at_s[item] = now_s
        for item, at_s in looked.hung_at_s.items():
            silent.setdefault(item, now_s - at_s)
        looked.before = before
        looked.now = replace(found, vms=MappingProxyType({**kept, **found.vms}), silent=MappingProxyType(silent))

    def _judge(self, now_s: float) -> None:
        self._judged_at_s = now_s
        found = self._judgement(now_s, Severity.NOTE)
        self._twice = {each.key: self._twice.get(each.key, now_s) for each in found if each.rule == _TWICE}
        with self._lock:
            self._publish(self._believed(found, now_s), now_s)

    def _believed(self, found: tuple[Finding, ...], now_s: float) -> tuple[Finding, ...]:
        seen_s, sure_s = self._twice, now_s - _TWICE_FOR_S
        return tuple(each for each in found if each.rule != _TWICE or seen_s.get(each.key, now_s) <= sure_s)

    def _judgement(self, now_s: float, least: Severity) -> tuple[Finding, ...]:
        looks = {uri: looked.now for uri, looked in self._looked.items() if looked.now is not None}
        before = {uri: looked.before for uri, looked in self._looked.items() if looked.before is not None}
        return judge(self._fleet().hosts.values(), looks, before, now_s, self._limits, least)

    def _publish(self, found: tuple[Finding, ...], now_s: float) -> None:
        self._silenced = {key: until_s for key, until_s in self._silenced.items() if until_s > now_s}
        silenced, old = frozenset(self._silenced), self.standing
        if found == old.findings and silenced == old.silenced:
            return
        since_s = {each.key: old.since_s.get(each.key, now_s) for each in found}
        marks = marks_of(each for each in found if each.key not in silenced)
        self.standing = Standing(found, MappingProxyType(since_s), silenced, MappingProxyType(marks))
        self._changed()


def marks_of(findings: Iterable[Finding]) -> dict[VmKey, Severity]:
    """Return the worst of each VM with a warning or more."""
    marks: dict[VmKey, Severity] = {}
    for each in findings:
        if each.vm is not None and each.severity.wrong:
            marks[each.vm] = max(each.severity, marks.get(each.vm, Severity.FINE))
    return marks
