"""Finding migrations that this kvmtui did not start, or does not remember: by what the light samples show anyway."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kvmtui.engine.poller import HostPoller
from kvmtui.engine.whereabouts import AWAY
from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.hypervisor.lanes import Call, settle
from kvmtui.hypervisor.protocol import Connection
from kvmtui.model.fleet import Fleet
from kvmtui.model.host import Link
from kvmtui.model.vm import Job, VmKey

_ASK_EVERY_S = 3.0


def pairs(fleet: Fleet) -> list[tuple[VmKey, str]]:
    """Return where VMs may be on their way: which one from which host, and to which; both ways where that is open."""
    up = [host for host in fleet.hosts.values() if host.link is Link.UP]
    found: dict[tuple[VmKey, str], None] = {}
    for host in up:
        for uuid, at in host.vms.index.items():
            if host.vms.reasons[at] not in AWAY:
                continue
            for other in up:
                vm = other.vms.get(uuid) if other is not host else None
                if vm is not None and vm.state.active:
                    found[VmKey(other.key, uuid), host.key] = None
                    found[VmKey(host.key, uuid), other.key] = None
    return list(found)


@dataclass(frozen=True, slots=True)
class Found:
    """A migration under way."""

    job: Job
    paths: tuple[str, ...] = ()
    """The VM's disks, which it may be copying."""


@dataclass(slots=True)
class _Asked:
    call: Call | None
    again_at_s: float


class Adoption:
    """Asks those hosts from which a VM may be on its way whether it is."""

    def __init__(self, pollers: Mapping[str, HostPoller], adopt: Callable[[VmKey, str, Found], None]) -> None:
        """`adopt` is called, inside `look`, with each migration that was found: what moves, where to, how far it is."""
        self._pollers = pollers
        self._adopt = adopt
        self._asked: dict[tuple[VmKey, str], _Asked] = {}

    def look(self, fleet: Fleet, known: frozenset[str], now_s: float) -> None:
        """Take the answers that are there, and ask about VMs whose uuids are not `known` to be on their way."""
        now = {pair: pair[0] for pair in pairs(fleet) if pair[0].uuid not in known}
        self._asked = {pair: asked for pair, asked in self._asked.items() if pair in now}
        for pair, key in now.items():
            asked = self._asked.get(pair)
            if asked is not None and asked.call is not None and asked.call.done:
                found = _found(asked.call)
                asked.call = None
                if found is not None:
                    self._adopt(*pair, found)
            elif asked is None or (asked.call is None and now_s >= asked.again_at_s):
                self._asked[pair] = _Asked(self._ask(key), now_s + _ASK_EVERY_S)

    def _ask(self, key: VmKey) -> Call | None:
        try:
            return self._pollers[key.host].lanes.start("jobs", lambda connection: _look(connection, key.uuid))
        except HypervisorError:
            return None


def _look(connection: Connection, uuid: str) -> Found | None:
    """Return the migration of a VM away from this host."""
    job = connection.job(uuid)
    if job is None or job.operation != "migration":
        return None
    return Found(job, tuple(disk.path for disk in connection.config(uuid).disks if disk.writable and disk.path))


def _found(call: Call) -> Found | None:
    try:
        found: Found | None = settle(call)
    except HypervisorError:
        return None
    return found
