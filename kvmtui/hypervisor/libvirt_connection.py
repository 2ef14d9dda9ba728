"""One libvirt connection: joins sampling, guests, migration, console and storage behind the protocol."""

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kvmtui.hypervisor import definition, guest, migrate
from kvmtui.hypervisor.deep_sampler import DeepSampler
from kvmtui.hypervisor.errors import LinkLost, NotSupported, VmGone
from kvmtui.hypervisor.library import libvirt, open_uri, translate, translated
from kvmtui.hypervisor.light_sampler import LightSampler
from kvmtui.hypervisor.local import node_sample
from kvmtui.hypervisor.protocol import ConsoleSink
from kvmtui.hypervisor.qemu_processes import QemuFinder
from kvmtui.hypervisor.samples import DeepVm, Flags, Identity, LightSample, NodeSample
from kvmtui.hypervisor.sampling import KIB
from kvmtui.hypervisor.serial_console import LibvirtConsole
from kvmtui.hypervisor.xml_reader import read_xml
from kvmtui.model.actions import Verb
from kvmtui.model.clean import clean
from kvmtui.model.host import HostFacts
from kvmtui.model.migration import RepairKind, Steer
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.vm import Job, VmConfig

if TYPE_CHECKING:
    from kvmtui.hypervisor.health import HealthReader
    from kvmtui.hypervisor.health_book import HealthBook
    from kvmtui.model.preflight_values import GuestNeeds, HostOffers
    from kvmtui.model.sharing import Mark

T = TypeVar("T")
_log = logging.getLogger(__name__)
_CONTROL_JOB, _CONTROL_OCCUPIED, _CONTROL_ERROR = 1, 2, 3
_SILENT_AFTER_S = 3.0


class LibvirtConnection:
    """A `Connection` to libvirt."""

    def __init__(
        self, connection: Any, on_event: Callable[[], None] | None, *, local: bool, root: Path = Path("/")
    ) -> None:
        """`root` is where /proc, /sys and /dev are, which tell of a host that is this machine."""
        self._module = libvirt()
        self._root = root
        self._health: HealthReader | None = None
        self._connection = connection
        self._local = local
        self._light = LightSampler(connection, QemuFinder() if local else None)
        self._deep = DeepSampler(connection, QemuFinder() if local else None)
        self._domains: dict[str, Any] = {}
        self._callbacks: list[int] = []
        self._on_event = on_event
        if on_event is not None:
            self._subscribe(on_event, self._module.libvirtError)

    def _subscribe(self, on_event: Callable[[], None], module_error: type[Exception]) -> None:
        names = ("LIFECYCLE", "REBOOT", "IO_ERROR_REASON", "JOB_COMPLETED", "CONTROL_ERROR", "DEVICE_ADDED")
        for name in names:
            number = getattr(self._module, f"VIR_DOMAIN_EVENT_ID_{name}", None)
            if number is not None:
                with contextlib.suppress(module_error):
                    self._callbacks.append(
                        self._connection.domainEventRegisterAny(None, number, lambda *_: on_event(), None)
                    )
        with contextlib.suppress(module_error):
            self._connection.registerCloseCallback(lambda *_: on_event(), None)

    def close(self) -> None:
        """Close the connection, letting go of everything that would keep it open."""
        self._domains.clear()
        error = self._module.libvirtError
        # One by one: each that stays holds the connection open, and on a dead link each raises.
        for number in self._callbacks:
            with contextlib.suppress(error):
                self._connection.domainEventDeregisterAny(number)
        if self._on_event is not None:
            with contextlib.suppress(error):
                self._connection.unregisterCloseCallback()
        with contextlib.suppress(error):
            self._connection.close()

    def facts(self) -> HostFacts:
        """Return what does not change while the connection lasts."""
        with translated(self._connection):
            info = self._connection.getInfo()
            return HostFacts(
                hostname=clean(self._connection.getHostname(), 60),
                uuid=self._host_uuid(),
                cpus=int(info[2]),
                memory_bytes=int(info[1]) * KIB * KIB,
                libvirt_version=_version(self._connection.getLibVersion()),
                hypervisor_version=f"{clean(self._connection.getType(), 20)} {_version(self._connection.getVersion())}",
                local=self._local,
            )

    def light(self, interval_s: float) -> LightSample:
        """Return state, CPU time, memory and network counters of all VMs."""
        with translated(self._connection):
            return self._light.sample(interval_s)

    def flags(self) -> Flags:
        """Return persistence, autostart and managed save of all VMs."""
        with translated(self._connection):
            return Flags(
                persistent=self._listed(self._module.VIR_CONNECT_LIST_DOMAINS_PERSISTENT),
                autostart=self._listed(self._module.VIR_CONNECT_LIST_DOMAINS_AUTOSTART),
                saved=self._listed(self._module.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE),
            )

    def _listed(self, flag: int) -> frozenset[str]:
        return frozenset(domain.UUIDString() for domain in self._connection.listAllDomains(flag))

    def node(self) -> NodeSample:
        """Return how the host itself fares: by psutil here, by libvirt elsewhere."""
        if self._local:
            return node_sample()
        taken_at_s = time.monotonic()
        cpu: dict[str, int] = self._optional(lambda: self._connection.getCPUStats(-1)) or {}
        memory: dict[str, int] = self._optional(lambda: self._connection.getMemoryStats(-1)) or {}
        total = memory.get("total")
        free = sum(memory.get(name, 0) for name in ("free", "buffers", "cached"))
        return NodeSample(
            taken_at_s=taken_at_s,
            cpu_total_ns=sum(cpu[name] for name in ("kernel", "user", "idle", "iowait") if name in cpu) or None,
            cpu_idle_ns=cpu["idle"] + cpu.get("iowait", 0) if "idle" in cpu else None,
            memory_total_bytes=None if total is None else total * KIB,
            memory_used_bytes=None if total is None else (total - free) * KIB,
            pressure=None,
        )

    def deep(self, uuids: Sequence[str]) -> tuple[DeepVm, ...]:
        """Return ready time, guest memory and disk counters; blocks for ever on a QEMU that hangs."""
        with translated(self._connection):
            domains = [domain for uuid in uuids if (domain := self._find(uuid)) is not None]
            return tuple(self._deep.sample(domains))

    def silent(self, uuids: Sequence[str]) -> Mapping[str, float]:
        """Return those VMs whose QEMU owes libvirt an answer, with the seconds it has owed it; NaN: in a job."""
        owing: dict[str, float] = {}
        for uuid in uuids:
            with translated(self._connection):
                domain = self._find(uuid)
                if domain is None:
                    continue
                try:
                    state, _, since_ms = domain.controlInfo(0)
                except self._module.libvirtError as error:
                    if isinstance(translate(error, self._connection), LinkLost):
                        raise
                    continue
            if state == _CONTROL_JOB:
                # The time is the job's, not that of a question to QEMU.
                owing[uuid] = nan
            elif state == _CONTROL_ERROR or (state == _CONTROL_OCCUPIED and since_ms / 1000 >= _SILENT_AFTER_S):
                owing[uuid] = since_ms / 1000
        return owing

    def health(self, book: "HealthBook") -> None:
        """Read into the book what the host's health is judged by."""
        if self._health is None:
            from kvmtui.hypervisor.health import HealthReader

            self._health = HealthReader(self._connection, book.heard, local=self._local, root=self._root)
            number = self._health.subscribe()
            if number is not None:
                self._callbacks.append(number)
        with translated(self._connection):
            self._health.read(book)

    def config(self, uuid: str) -> VmConfig:
        """Return what the VM's definition says, with its addresses by the DHCP leases."""
        taken_at_s = time.monotonic()
        with translated(self._connection):
            domain = self._fresh(uuid)
            xml = domain.XMLDesc(0)
            found: dict[str, Any] = {}
            if domain.ID() != -1:
                source = self._module.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE
                found = self._optional(lambda: domain.interfaceAddresses(source, 0)) or {}
        addresses = tuple(
            clean(str(address.get("addr", "")), 50) for card in found.values() for address in card.get("addrs") or ()
        )
        return definition.parse_definition(xml, addresses, taken_at_s)

    def identity(self, uuid: str) -> Identity:
        """Return what the VM is at this instant."""
        with translated(self._connection):
            return guest.identity(self._fresh(uuid))

    def perform(self, verb: Verb, uuid: str) -> None:
        """Do `verb`; returns when libvirt has taken it."""
        with translated(self._connection):
            guest.perform(self._fresh(uuid), verb)

    def job(self, uuid: str) -> Job | None:
        """Return the VM's running job, or None."""
        with translated(self._connection):
            return guest.job(self._fresh(uuid))

    def known_paths(self, paths: Collection[str]) -> frozenset[str]:
        """Return those of `paths` that a storage pool of this host holds a volume at."""
        return frozenset(self._at_paths(paths, lambda volume: volume.info()))

    def volumes(self, paths: Collection[str]) -> Mapping[str, "Mark"]:
        """Return what those of `paths` can be known by that a storage pool of this host holds a volume at."""
        from kvmtui.hypervisor.volume_marks import read_mark

        return self._at_paths(paths, read_mark)

    def _at_paths(self, paths: Collection[str], read: Callable[[Any], T]) -> Mapping[str, T]:
        """Return what is read from the volumes that are at `paths`."""
        found: dict[str, T] = {}
        for path in paths:
            try:
                found[path] = read(self._connection.storageVolLookupByPath(path))
            except self._module.libvirtError as error:
                failure = translate(error, self._connection)
                if isinstance(failure, LinkLost):
                    raise failure from error
        return found

    def needs(self, uuid: str) -> "GuestNeeds":
        """Return what the VM asks of a destination."""
        from kvmtui.hypervisor.preflight_needs import read_needs

        with translated(self._connection):
            return read_needs(self._connection, self._fresh(uuid))

    def offers(self, needs: "GuestNeeds") -> "HostOffers":
        """Return what this host can give to that VM."""
        from kvmtui.hypervisor.preflight_offers import read_offers

        with translated(self._connection):
            return read_offers(self._connection, needs)

    def migrate(self, uuid: str, destination: str, options: MigrationOptions, *, peer_to_peer: bool) -> None:
        """Move a VM to the host at `destination`; returns when it is there."""
        with translated(self._connection):
            domain = self._fresh(uuid)
            if peer_to_peer:
                migrate.to_uri(domain, destination, options)
                return
            with self._opened(destination) as other:
                migrate.to_connection(domain, other, options)

    def steer(self, uuid: str, what: Steer, value: int | None = None) -> None:
        """Change the VM's migration that is under way."""
        with translated(self._connection):
            migrate.steer(self._fresh(uuid), what, value)

    def repair(self, uuid: str, kind: RepairKind, destination: str = "", *, peer_to_peer: bool = True) -> None:
        """Mend what a migration left on this host."""
        with translated(self._connection):
            domain = self._fresh(uuid)
            if kind is not RepairKind.RECOVER_POST_COPY:
                migrate.repair(domain, kind)
            elif peer_to_peer:
                migrate.to_uri(domain, destination, migrate.POST_COPY, again=True)
            else:
                with self._opened(destination) as other:
                    migrate.to_connection(domain, other, migrate.POST_COPY, again=True)

    @contextlib.contextmanager
    def _opened(self, uri: str) -> Iterator[Any]:
        other = open_uri(uri, read_only=False)
        try:
            yield other
        finally:
            with contextlib.suppress(self._module.libvirtError):
                other.close()

    def absent_volumes(self, paths: Collection[str]) -> Mapping[str, int]:
        """Return those of `paths` that are proven not to exist on this host, with the sizes of their file systems."""
        with translated(self._connection):
            return migrate.absent_volumes(self._connection, paths)

    def delete_volumes(self, volumes: Mapping[str, int]) -> None:
        """Delete volumes that no VM of this host uses and that are on the file systems they were absent from."""
        with translated(self._connection):
            migrate.delete_volumes(self._connection, volumes)

    def open_console(
        self, uuid: str, sink: ConsoleSink, device: str | None = None, *, force: bool = False
    ) -> LibvirtConsole:
        """Attach to a serial console, the first where no device is named."""
        with translated(self._connection):
            return LibvirtConsole(self._connection, self._fresh(uuid), sink, device, force=force)

    def _fresh(self, uuid: str) -> Any:
        domain = self._domains[uuid] = self._connection.lookupByUUIDString(uuid)
        return domain

    def _find(self, uuid: str) -> Any | None:
        """Return the domain, looked up once; None when it is gone."""
        known = self._domains.get(uuid)
        if known is not None:
            return known
        try:
            return self._fresh(uuid)
        except self._module.libvirtError as error:
            if isinstance(translate(error, self._connection), VmGone):
                return None
            raise

    def _optional(self, call: Callable[[], Any]) -> Any:
        """Return the answer, or None where this host cannot or may not tell; a lost link is raised."""
        try:
            return call()
        except self._module.libvirtError as error:
            failure = translate(error, self._connection)
            if isinstance(failure, LinkLost):
                raise failure from error
            if not isinstance(failure, NotSupported):
                _log.debug("optional figure: %s", failure)
            return None

    def _host_uuid(self) -> str:
        text = self._optional(self._connection.getCapabilities)
        return clean(read_xml(text or "<none/>", "the host's capabilities").findtext("host/uuid") or "", 40)


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
