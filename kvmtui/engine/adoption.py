"""Finding migrations that this kvmtui did not start, or does not remember: by what the light samples show anyway."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kvmtui.engine.poller import HostPoller
from kvmtui.engine.whereabouts import AWAY
from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.hypervisor.lanes import Call, settle
from kvmtui.model.fleet import Fleet
from kvmtui.model.host import Host, Link
from kvmtui.model.vm import Job, VmKey

_ASK_EVERY_S = 3.0
_DEADLINE_S = 10.0


def pairs(fleet: Fleet, host: Host) -> list[tuple[VmKey, str]]:
    """Return where VMs that `host` shows as away may be on their way: which one from where, and to which host.

    Both ways where that is open.
    """
    if host.link is not Link.UP:
        return []
    up = [other for other in fleet.hosts.values() if other.link is Link.UP and other is not host]
    found: dict[tuple[VmKey, str], None] = {}
    for uuid, at in host.vms.index.items():
        if host.vms.reasons[at] not in AWAY:
            continue
        for other in up:
            vm = other.vms.get(uuid)
            if vm is not None and vm.state.active:
                found[VmKey(other.key, uuid), host.key] = None
                found[VmKey(host.key, uuid), other.key] = None
    return list(found)


@dataclass(slots=True)
class _Asked:
    call: Call | None
    again_at_s: float


class Adoption:
    """Asks those hosts from which a VM may be on its way whether it is."""

    def __init__(self, pollers: Mapping[str, HostPoller], adopt: Callable[[VmKey, str, Job], None]) -> None:
        """`adopt` is called, inside `look`, with each migration that was found: what moves, where to, how far it is."""
        self._pollers = pollers
        self._adopt = adopt
        self._asked: dict[str, dict[tuple[VmKey, str], _Asked]] = {}
        """By the host that shows a VM as away."""

    def look(self, fleet: Fleet, host: str, known: frozenset[str], now_s: float) -> None:
        """Take the answers that are there, and ask about VMs that `host` shows as away.

        Those whose uuids are `known` to be on their way are left out.
        """
        now = [pair for pair in pairs(fleet, fleet.hosts[host]) if pair[0].uuid not in known]
        before = self._asked.get(host, {})
        asked = self._asked[host] = {pair: before[pair] for pair in now if pair in before}
        for pair in now:
            key, last = pair[0], asked.get(pair)
            if last is not None and last.call is not None:
                if (job := self._answer(key, last)) is not None and job.operation == "migration":
                    self._adopt(*pair, job)
            elif last is None or now_s >= last.again_at_s:
                asked[pair] = _Asked(self._ask(key), now_s + _ASK_EVERY_S)

    def _ask(self, key: VmKey) -> Call | None:
        try:
            return self._pollers[key.host].lanes.start("jobs", lambda connection: connection.job(key.uuid))
        except HypervisorError:
            return None

    def _answer(self, key: VmKey, asked: _Asked) -> Job | None:
        """Return the job that was told of, if there is one; a call that hangs is given up."""
        call = asked.call
        if call is None:
            return None
        if not call.done:
            if time.monotonic() - call.submitted_at_s > _DEADLINE_S:
                self._pollers[key.host].lanes.abandon(call)
                asked.call = None
            return None
        asked.call = None
        try:
            job: Job | None = settle(call)
        except HypervisorError:
            return None
        return job
