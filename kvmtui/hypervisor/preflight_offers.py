"""Reads from libvirt what a destination can give to one VM."""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from kvmtui.hypervisor.errors import LinkLost
from kvmtui.hypervisor.library import libvirt, translate
from kvmtui.hypervisor.preflight_capabilities import HostCapabilities, parse_emulation, parse_pool
from kvmtui.hypervisor.preflight_needs import volume_of
from kvmtui.hypervisor.preflight_reading import Reading, missing
from kvmtui.hypervisor.sampling import KIB
from kvmtui.hypervisor.volume_marks import read_mark
from kvmtui.model.preflight_values import Emulation, GuestNeeds, HostOffers, Namesake, Pool
from kvmtui.model.sharing import Mark

# The codes of virErrorNumber in libvirt/virterror.h.
_NO_DOMAIN, _NO_NETWORK, _NO_POOL, _NO_VOLUME, _NO_SECRET = 42, 43, 49, 50, 66
# INVALID_ARG, SYSTEM_ERROR (no such emulator), CONFIG_UNSUPPORTED, CPU_INCOMPATIBLE: the host's no.
_REFUSALS = frozenset({8, 38, 67, 91})
_SMALL_PAGE_KIB = 64
_SECRET_USAGES = {"volume": 1, "ceph": 2, "iscsi": 3, "tls": 4, "vtpm": 5}


def read_offers(connection: Any, needs: GuestNeeds) -> HostOffers:
    """Return what the host behind `connection` has for the VM."""
    reading = Reading(connection)
    told = reading.capabilities()
    started_s = time.monotonic()
    reading.ask("round_trip_s", connection.getLibVersion)
    round_trip_s = time.monotonic() - started_s
    emulation = _emulation(reading, needs)
    pools = reading.ask("pools", lambda: tuple(map(_pool, connection.listAllStoragePools(0))))
    memory = reading.ask("memory_free_bytes", lambda: connection.getMemoryStats(-1)) or {}
    total = memory.get("total")
    free = sum(memory.get(name, 0) for name in ("free", "buffers", "cached"))
    return HostOffers(
        host=reading.identity(told),
        round_trip_s=round_trip_s,
        namesakes=reading.ask("namesakes", lambda: tuple(_namesakes(connection, needs))),
        emulation=emulation,
        cpu_refusal=_cpu_refusal(reading, needs, emulation),
        networks=reading.ask("networks", lambda: dict(_networks(connection, needs))),
        links=_links(reading, needs),
        volumes=reading.ask("volumes", lambda: dict(_volumes(connection, needs))),
        marks=dict(_marks(reading, needs)),
        pools=pools,
        memory_total_bytes=None if total is None else total * KIB,
        memory_free_bytes=free * KIB if "free" in memory else None,
        free_hugepages=_free_hugepages(reading, needs, told),
        cpus=told.cpus or _counted_cpus(reading),
        numa_nodes=told.numa_nodes,
        secrets=reading.ask("secrets", lambda: frozenset(_secrets(connection, needs))),
        unread=MappingProxyType(reading.unread),
    )


class _Refusal:
    """The host's no, with its reason."""

    def __init__(self, text: str) -> None:
        self.text = text


def _emulation(reading: Reading, needs: GuestNeeds) -> Emulation | None:
    asked = (*_machine(needs), 0)
    xml = reading.ask("emulation", lambda: _judged(reading, lambda: reading.connection.getDomainCapabilities(*asked)))
    if isinstance(xml, _Refusal):
        return Emulation(refusal=xml.text)
    return None if xml is None else reading.ask("emulation", lambda: parse_emulation(xml))


def _cpu_refusal(reading: Reading, needs: GuestNeeds, emulation: Emulation | None) -> str | None:
    """Return why the CPU cannot run the guest, "" where it can, None where it was not compared."""
    if needs.cpu_xml == "":
        return ""
    if needs.cpu_xml is None or needs.cpu_mode in ("host-passthrough", "maximum"):
        return None
    if emulation is not None and emulation.refusal:
        reading.unread["cpu_refusal"] = "that host cannot run such a machine"
        return None
    asked = (*_machine(needs), needs.cpu_xml, libvirt().VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE)
    found = reading.ask(
        "cpu_refusal", lambda: _judged(reading, lambda: reading.connection.compareHypervisorCPU(*asked))
    )
    return found.text if isinstance(found, _Refusal) else None if found is None else ""


def _machine(needs: GuestNeeds) -> tuple[str | None, ...]:
    return needs.emulator or None, needs.arch or None, needs.machine or None, needs.virt_type or None


def _judged(reading: Reading, call: Callable[[], Any]) -> Any:
    """Return the answer, or a `_Refusal` where the error is one."""
    module = libvirt()
    try:
        return call()
    except module.libvirtError as error:
        failure = translate(error, reading.connection)
        if isinstance(failure, LinkLost) or error.get_error_code() not in _REFUSALS:
            raise
        return _Refusal(_bare(str(failure)))


def _bare(text: str) -> str:
    """Return libvirt's text without the name of its error."""
    for prefix in ("invalid argument: ", "the CPU is incompatible with host CPU: "):
        text = text.removeprefix(prefix)
    return text


def _namesakes(connection: Any, needs: GuestNeeds) -> Iterator[Namesake]:
    seen = set()
    for look in (partial(connection.lookupByUUIDString, needs.uuid), partial(connection.lookupByName, needs.name)):
        domain = missing(look, _NO_DOMAIN)
        if domain is not None and domain.UUIDString() not in seen:
            seen.add(domain.UUIDString())
            yield Namesake(domain.name(), domain.UUIDString(), bool(domain.isActive()), bool(domain.isPersistent()))


def _networks(connection: Any, needs: GuestNeeds) -> Iterator[tuple[str, bool]]:
    for name in dict.fromkeys(interface.source for interface in needs.interfaces if interface.kind == "network"):
        network = missing(partial(connection.networkLookupByName, name), _NO_NETWORK)
        if network is not None:
            yield name, bool(network.isActive())


def _links(reading: Reading, needs: GuestNeeds) -> frozenset[str] | None:
    if not any(interface.kind in ("bridge", "direct") for interface in needs.interfaces):
        return None
    found = reading.ask("links", lambda: [link.name() for link in reading.connection.listAllInterfaces(0)])
    # Where not even the loopback device is told, the list is not one of all devices.
    return frozenset(found) if found and "lo" in found else None


def _volumes(connection: Any, needs: GuestNeeds) -> Iterator[tuple[str, int]]:
    for disk in needs.disks:
        for place in (disk.place, disk.backing):
            if place is None:
                continue
            look = partial(connection.storageVolLookupByPath, place)
            if disk.pool and place == disk.place:
                look = partial(volume_of, connection, disk)
            # It may be deleted in between.
            volume = missing(look, _NO_VOLUME, _NO_POOL)
            info = None if volume is None else missing(volume.info, _NO_VOLUME, _NO_POOL)
            if info is not None:
                yield place, int(info[1])


def _marks(reading: Reading, needs: GuestNeeds) -> Iterator[tuple[str, Mark]]:
    for disk in needs.disks:
        if disk.place is None or not disk.writable:
            continue
        volume = reading.find("marks", partial(volume_of, reading.connection, disk), _NO_VOLUME, _NO_POOL)
        mark = None if volume is None else reading.ask("marks", partial(read_mark, volume))
        if mark is not None:
            yield disk.place, mark


def _free_hugepages(reading: Reading, needs: GuestNeeds, told: HostCapabilities) -> Mapping[int, int] | None:
    sizes = [kib for kib in told.page_kib if kib > _SMALL_PAGE_KIB]
    if not needs.hugepage_kib or not sizes:
        return None
    cells = len(told.numa_nodes or (0,))
    found = reading.ask("free_hugepages", lambda: reading.connection.getFreePages(sizes, 0, cells))
    if found is None:
        return None
    return {kib: sum(int(cell.get(kib, 0)) for cell in found.values()) for kib in sizes}


def _counted_cpus(reading: Reading) -> frozenset[int] | None:
    info = reading.ask("cpus", reading.connection.getInfo)
    return None if info is None else frozenset(range(int(info[2])))


def _secrets(connection: Any, needs: GuestNeeds) -> Iterator[str]:
    for secret in needs.secrets:
        usage, _, name = secret.partition(":")
        look = partial(connection.secretLookupByUUIDString, secret)
        if name:
            look = partial(connection.secretLookupByUsage, _SECRET_USAGES.get(usage, 0), name)
        if missing(look, _NO_SECRET) is not None:
            yield secret


def _pool(pool: Any) -> Pool:
    return parse_pool(pool.XMLDesc(0), active=bool(pool.isActive()))
