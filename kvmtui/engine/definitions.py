"""Reading the definitions of many VMs at once, in small batches on a lane of their own, so that nobody waits for it."""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from kvmtui.engine.poller import HostPoller
from kvmtui.hypervisor.errors import HypervisorError, LinkLost
from kvmtui.hypervisor.lanes import Call, settle
from kvmtui.hypervisor.protocol import Connection
from kvmtui.model.clean import clean
from kvmtui.model.fleet import Fleet
from kvmtui.model.host import Link
from kvmtui.model.sharing import Mark, Sharing, compare
from kvmtui.model.vm import Disk, VmConfig, VmKey

LANE = "plans"
_AT_ONCE = 8
"""So few are asked in one go: whoever else uses the host waits for one go at most."""
_PATHS_AT_ONCE = 50
_PATHS_MOST = 2000
"""Of more disks only one of each folder is looked for at the other hosts."""
_DEADLINE_S = 10.0
_GOOD_FOR_S = 5.0
"""A pin is set while somebody looks at a plan: the next one has to know it."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What the definition of one VM says that matters for moving it."""

    config: VmConfig | None
    problem: str = ""
    """Why it could not be read."""
    volumes: Mapping[str, Mark] = field(default_factory=dict)
    """What its writable disks take up and can be known by, by path; those in no storage pool are missing."""
    read_at_s: float = float("-inf")

    @property
    def disk_paths(self) -> tuple[str, ...]:
        """The disks that a move has to bring along, or to find."""
        return tuple(disk.path for disk in self.disks if disk.path)

    @property
    def disks(self) -> tuple[Disk, ...]:
        """Its writable disks."""
        return () if self.config is None else tuple(disk for disk in self.config.disks if disk.writable)


@dataclass(slots=True)
class _Reading:
    """What one host is still to be asked."""

    uuids: deque[str] = field(default_factory=deque)
    paths: deque[str] = field(default_factory=deque)
    """Disks of VMs elsewhere to look for."""
    asked: tuple[str, ...] = ()
    call: Call | None = None


class Definitions:
    """The definitions of all VMs of a fleet, and which hosts see their disks; used by one thread."""

    def __init__(self, pollers: Mapping[str, HostPoller], wake: Callable[[], None], clock: Callable[[], float]) -> None:
        """`wake` is called from a foreign thread when an answer has come; it must only take note."""
        self._pollers = pollers
        self._wake = wake
        self._clock = clock
        self._known: dict[VmKey, Definition] = {}
        self._wanted: set[VmKey] = set()
        self._probes: dict[tuple[str, str], tuple[str, Mark | None]] = {}
        """The disk that stands for all of a folder of a host; empty where each stands for itself."""
        self._seen: dict[tuple[str, str], Mark | None] = {}
        """By host and path: the volume that the host has there, or None; what could not be asked is missing."""
        self._readings: dict[str, _Reading] = {}
        self._probing = False

    def get(self, key: VmKey) -> Definition | None:
        """Return what is known of a VM, or None."""
        return self._known.get(key)

    def at(self, key: VmKey, host: str, *, running: bool) -> Mapping[str, Sharing] | None:
        """Return how each of a VM's disks stands at `host`, by its path or else its target; None: it is not known."""
        known = self._known.get(key)
        if known is None or known.config is None:
            return None
        return {disk.path or disk.target: self.disk_at(key, known, disk, host, running=running) for disk in known.disks}

    def alike(self, host: str, path: str) -> str:
        """Return what the disks of a host have in common that stand alike elsewhere: a folder, or the path of one."""
        folder = _folder(path)
        stands_for_all, _ = self._probes.get((host, folder), (path, None))
        return path if stands_for_all == path else folder

    def disk_at(self, key: VmKey, known: Definition, disk: Disk, host: str, *, running: bool) -> Sharing:
        """Return how one of a VM's disks stands at `host`."""
        if disk.path is None:
            return Sharing.ONE if disk.kind == "network" else Sharing.UNKNOWN
        path, ours = self._probes.get((key.host, _folder(disk.path)), (disk.path, known.volumes.get(disk.path)))
        if (host, path) not in self._seen:
            return Sharing.UNKNOWN
        theirs = self._seen[host, path]
        if theirs is None:
            return Sharing.ABSENT
        stands = compare(ours, theirs, running=running)
        # One disk of a folder does not tell of the others: before each move all are looked at.
        return Sharing.ABSENT if self._probes and stands is not Sharing.ONE else stands

    @property
    def progress(self) -> tuple[int, int]:
        """How many of the VMs asked for are known, and how many were asked for."""
        return sum(key in self._known for key in self._wanted), len(self._wanted)

    def refresh(self, fleet: Fleet, *, whole: str | None = None) -> None:
        """Ask for what is not known, or too old, of all active VMs, and of all of the host `whole`."""
        now_s = self._clock()
        present = {VmKey(host.key, uuid) for host in fleet.hosts.values() for uuid in host.vms}
        self._known = {
            key: known for key, known in self._known.items() if key in present and now_s - known.read_at_s < _GOOD_FOR_S
        }
        self._wanted.clear()
        self._readings.clear()
        self._probing = False
        for host in fleet.hosts.values():
            if host.link is not Link.UP:
                continue
            vms = host.vms
            uuids = [uuid for uuid, at in vms.index.items() if vms.states[at].active or host.key == whole]
            self._wanted |= {VmKey(host.key, uuid) for uuid in uuids}
            missing = deque(uuid for uuid in uuids if VmKey(host.key, uuid) not in self._known)
            self._readings[host.key] = _Reading(uuids=missing)

    def advance(self) -> bool:
        """Take what has come and ask on; return whether nothing more will come."""
        while True:
            busy = [host for host, reading in self._readings.items() if self._advance(host, reading)]
            if busy:
                return False
            if self._probing:
                return True
            self._probing = True
            self._plan_probes()

    def _plan_probes(self) -> None:
        """Look for the disks at all other hosts; where they are very many, for one of each folder."""
        known = [(key, self._known[key]) for key in sorted(self._wanted) if key in self._known]
        paths = [(key.host, path, of.volumes.get(path)) for key, of in known for path in of.disk_paths]
        self._probes, self._seen = {}, {}
        if len(paths) > _PATHS_MOST:
            for home, path, mark in paths:
                self._probes.setdefault((home, _folder(path)), (path, mark))
            paths = [(home, path, mark) for (home, _), (path, mark) in self._probes.items()]
        for host, reading in self._readings.items():
            reading.paths = deque({path for home, path, _ in paths if home != host})

    def _advance(self, host: str, reading: _Reading) -> bool:
        """Bring one host forward; return whether something is still to come from it."""
        if reading.call is not None:
            if not reading.call.done:
                if time.monotonic() - reading.call.submitted_at_s < _DEADLINE_S:
                    return True
                self._pollers[host].lanes.abandon(reading.call)
            self._take(host, reading, reading.call)
            reading.call = None
        if not reading.uuids and not reading.paths:
            return False
        queue, most = (reading.uuids, _AT_ONCE) if reading.uuids else (reading.paths, _PATHS_AT_ONCE)
        asked = reading.asked = tuple(queue.popleft() for _ in range(min(most, len(queue))))
        question = _definitions if queue is reading.uuids else _volumes
        try:
            reading.call = self._pollers[host].lanes.start(LANE, lambda connection: question(connection, asked))
        except HypervisorError as error:
            self._fail(host, reading, error)
            return False
        reading.call.future.add_done_callback(lambda _: self._wake())
        return True

    def _take(self, host: str, reading: _Reading, call: Call) -> None:
        try:
            told = settle(call)
        except HypervisorError as error:
            self._fail(host, reading, error)
            return
        for asked in reading.asked:
            if self._probing:
                self._seen[host, asked] = told.get(asked)
            elif asked in told:
                self._known[VmKey(host, asked)] = replace(told[asked], read_at_s=self._clock())

    def _fail(self, host: str, reading: _Reading, error: HypervisorError) -> None:
        """Take note that a host answers nothing of this any more."""
        if not self._probing:
            problem = Definition(None, clean(str(error), 200))
            self._known.update({VmKey(host, uuid): problem for uuid in (*reading.asked, *reading.uuids)})
        reading.uuids.clear()
        reading.paths.clear()


def _definitions(connection: Connection, uuids: Collection[str]) -> Mapping[str, Definition]:
    """Return the definitions of these VMs, or for each why it could not be read."""
    found: dict[str, Definition] = {}
    for uuid in uuids:
        try:
            config = connection.config(uuid)
        except LinkLost:
            raise
        except HypervisorError as error:
            found[uuid] = Definition(None, clean(str(error), 200))
        else:
            definition = Definition(config)
            found[uuid] = replace(definition, volumes=connection.volumes(definition.disk_paths))
    return found


def _volumes(connection: Connection, paths: Collection[str]) -> Mapping[str, Mark]:
    return connection.volumes(paths)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
