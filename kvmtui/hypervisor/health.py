"""Reads from libvirt, and here from /proc and /sys, what a host's health is judged by; no QEMU is ever asked."""

import contextlib
import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from kvmtui.hypervisor import health_vms
from kvmtui.hypervisor.errors import HypervisorError, LinkLost, VmGone
from kvmtui.hypervisor.health_book import HealthBook, HeardErrors
from kvmtui.hypervisor.health_machine import ksm_running, process_state, read_machine
from kvmtui.hypervisor.library import libvirt, translate
from kvmtui.hypervisor.preflight_reading import Reading
from kvmtui.hypervisor.qemu_processes import find_qemus
from kvmtui.hypervisor.sampling import KIB
from kvmtui.hypervisor.xml_reader import read_xml
from kvmtui.model.clean import clean
from kvmtui.model.health import (
    MACHINE,
    NETWORKS,
    OFFER,
    POOLS,
    VMS,
    HostOffer,
    HugePages,
    NetworkHealth,
    NumaCell,
    PoolHealth,
    VmHealth,
)

_PAGE_BYTES = 4096
_SMALL_PAGE_KIB = 64
_MOST_VOLUMES = 300
_VOLUMES_FOR_S = 0.3
_ERROR_KEPT_S = 3600.0
_CONTROL_OCCUPIED, _CONTROL_ERROR = 2, 3
_MOST_MESSAGES = 20
_SAME_SIZE = 0.02


class HealthReader:
    """Looks at one host over one connection, and hears meanwhile of I/O errors on it."""

    def __init__(self, connection: Any, heard: HeardErrors, *, local: bool, root: Path) -> None:
        """`heard` takes what is heard; `root` is where /proc, /sys and /dev are, of a host that is this machine."""
        self._connection = connection
        self._local = local
        self._root = root
        self._heard = heard
        self._listening_since_s: float | None = None

    def subscribe(self) -> int | None:
        """Hear of I/O errors from now on; return the number of the callback, None where there is none."""
        module = libvirt()
        with contextlib.suppress(module.libvirtError, AttributeError):
            number: int = self._connection.domainEventRegisterAny(
                None, module.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, self._had_error, None
            )
            self._listening_since_s = time.monotonic()
            return number
        return None

    def _had_error(self, _: Any, domain: Any, path: str, alias: str, *__: Any) -> None:
        # Called from libvirt's thread, and never to call libvirt: uuid and id are in the object already.
        self._heard[domain.UUIDString(), domain.ID(), clean(alias or path, 60)] = time.monotonic()

    def read(self, book: HealthBook) -> None:
        """Read item by item into the book; raises `libvirtError` or `LinkLost` where the link is lost."""
        reading = Reading(self._connection)
        if self._listening_since_s is not None:
            book.listened_s = time.monotonic() - self._listening_since_s
        if self._local and book.wants(MACHINE):
            with book.item(MACHINE):
                book.machine = read_machine(self._root)
        if book.wants(OFFER):
            with book.item(OFFER):
                book.offer = self._offer(reading)
        if book.wants(NETWORKS):
            with book.item(NETWORKS):
                found = reading.ask(NETWORKS, lambda: [*map(_network, self._connection.listAllNetworks(0))])
                book.networks = tuple(found or ())
        self._read_pools(reading, book)
        self._read_vms(reading, book)
        told = {part: why for part, why in reading.unread.items() if part in _PARTS or part.startswith("pool ")}
        book.unread.update(told)

    def _offer(self, reading: Reading) -> HostOffer:
        root = reading.ask(OFFER, lambda: read_xml(self._connection.getCapabilities(), "the host's capabilities"))
        if root is None:
            return HostOffer()
        types = {element.get("type") for element in root.iterfind("guest/arch/domain")}
        memory: Mapping[str, int] = reading.ask("ksm", lambda: self._connection.getMemoryParameters(0)) or {}
        sharing = memory.get("shm_pages_sharing")
        cells = root.findall("host/topology/cells/cell")
        pages: dict[int, int] = {}
        for element in root.iterfind("host/topology/cells/cell/pages"):
            kib = _number(element.get("size"))
            if kib > _SMALL_PAGE_KIB:
                pages[kib] = pages.get(kib, 0) + _number(element.text)
        return HostOffer(
            kvm="kvm" in types if types else None,
            ksm_running=ksm_running(self._root) if self._local else None,
            ksm_saved_bytes=None if sharing is None else int(sharing) * _PAGE_BYTES,
            huge_pages=self._huge_pages(reading, pages, len(cells)),
            cells=self._cells(reading, [(_number(c.get("id")), _number(c.findtext("memory")) * KIB) for c in cells]),
        )

    def _huge_pages(self, reading: Reading, totals: Mapping[int, int], cells: int) -> tuple[HugePages, ...] | None:
        if not totals or not any(totals.values()):
            return tuple(HugePages(kib, 0, 0) for kib in totals)
        free = reading.ask("pages", lambda: self._connection.getFreePages([*totals], 0, cells))
        if free is None:
            return None
        return tuple(
            HugePages(kib, total, sum(int(cell.get(kib, 0)) for cell in free.values())) for kib, total in totals.items()
        )

    def _cells(self, reading: Reading, cells: list[tuple[int, int]]) -> tuple[NumaCell, ...] | None:
        if len(cells) < 2:
            # Of a host with one node its memory says all.
            return tuple(NumaCell(number, total, total) for number, total in cells) or None
        free = reading.ask("cells", lambda: self._connection.getCellsFreeMemory(0, len(cells)))
        if free is None:
            return None
        return tuple(NumaCell(number, total, int(left)) for (number, total), left in zip(cells, free, strict=False))

    def _read_pools(self, reading: Reading, book: HealthBook) -> None:
        if not book.wants(POOLS):
            return
        with book.item(POOLS):
            found = reading.ask(POOLS, lambda: [(p, p.name()) for p in self._connection.listAllStoragePools(0)])
        for pool, name in found or ():
            if book.wants(item := f"pool {clean(name, 60)}"):
                with book.item(item):
                    told = reading.ask(item, partial(self._pool, reading, pool, name))
                    if told is not None:
                        book.pools.append(told)

    def _pool(self, reading: Reading, pool: Any, name: str) -> PoolHealth:
        active = bool(pool.isActive())
        told = PoolHealth(clean(name, 60), active, bool(pool.autostart()))
        if not active:
            return told
        _, capacity, _, available = pool.info()
        fresh = self._free_bytes(pool, capacity) if self._local else None
        return PoolHealth(
            told.name,
            active,
            told.autostart,
            int(capacity),
            int(available) if fresh is None else fresh,
            fresh is not None,
            reading.ask("volumes", lambda: _promised_bytes(pool)),
        )

    def _free_bytes(self, pool: Any, capacity_bytes: int) -> int | None:
        """Return what the pool's file system has free; None where it is not seen from here."""
        path = (read_xml(pool.XMLDesc(0), "a storage pool").findtext("target/path") or "").strip()
        if not path.startswith("/"):
            return None
        try:
            seen = os.statvfs(self._root / path.lstrip("/"))
        except OSError:
            return None
        size = seen.f_blocks * seen.f_frsize
        # In a container the same path may be elsewhere.
        return seen.f_bavail * seen.f_frsize if abs(size - capacity_bytes) <= _SAME_SIZE * capacity_bytes else None

    def _read_vms(self, reading: Reading, book: HealthBook) -> None:
        if not book.wants(VMS):
            return
        module = libvirt()
        listed_at_s = time.monotonic()
        with book.item(VMS):
            domains = reading.ask(
                VMS, lambda: {domain.UUIDString(): domain for domain in self._connection.listAllDomains(0)}
            )
            if domains is None:
                return
            self._forget(domains, listed_at_s)
            kept = module.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT
            found = reading.ask("snapshots", lambda: self._connection.listAllDomains(kept))
            with_snapshots = None if found is None else {domain.UUIDString() for domain in found}
            group, running = module.VIR_DOMAIN_STATS_INTERFACE, module.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
            rows = reading.ask("packets", lambda: self._connection.getAllDomainStats(group, running)) or ()
            carried = {domain.UUIDString(): health_vms.packets(stats) for domain, stats in rows}
            processes = find_qemus(self._root / "proc") if self._local else {}
        until_s = time.monotonic() + book.vms_for_s
        for uuid in sorted(domains, key=book.looked_at):
            if not book.wants(item := f"VM {uuid}") or (time.monotonic() > until_s and book.vms):
                continue
            with book.item(item), contextlib.suppress(VmGone):
                qemus = processes.get(uuid, ())
                book.vms[uuid] = self._vm(
                    domains[uuid],
                    None if with_snapshots is None else uuid in with_snapshots,
                    carried.get(uuid),
                    process_state(qemus[0].pid, self._root) if len(qemus) == 1 else "",
                )

    def _vm(self, domain: Any, has_snapshots: bool | None, carried: tuple[int, int] | None, process: str) -> VmHealth:
        module = libvirt()
        try:
            uuid, run = domain.UUIDString(), domain.ID()
            now = read_xml(domain.XMLDesc(0), "the definition")
            oldest: tuple[int | None, float | None] = (None if has_snapshots is None else 0, None)
            if has_snapshots:
                oldest = _oldest_snapshot(domain)
            if run == -1:
                return VmHealth(snapshots=oldest[0], oldest_snapshot_at_s=oldest[1])
            stored = None
            if domain.isPersistent():
                stored = read_xml(domain.XMLDesc(module.VIR_DOMAIN_XML_INACTIVE), "the definition")
            state, _, since_ms = domain.controlInfo(0)
            return VmHealth(
                run=run,
                emulated=now.get("type") == "qemu",
                agent=health_vms.agent_connected(now),
                messages=self._messages(domain),
                waiting=() if stored is None else health_vms.waiting(now, stored),
                balloon_period_s=health_vms.balloon_period_s(now),
                snapshots=oldest[0],
                oldest_snapshot_at_s=oldest[1],
                # In a job, such as a migration, the time is the job's.
                owed_s=since_ms / 1000 if state in (_CONTROL_OCCUPIED, _CONTROL_ERROR) else None,
                process=process,
                disk_errors=tuple(disk for of, number, disk in [*self._heard] if (of, number) == (uuid, run)),
                packets=None if carried is None else carried[0],
                lost_packets=None if carried is None else carried[1],
            )
        except module.libvirtError as error:
            failure = translate(error, self._connection)
            if isinstance(failure, LinkLost | VmGone):
                raise failure from error
            return VmHealth(run=-2)
        except LinkLost:
            raise
        except HypervisorError:
            return VmHealth(run=-2)

    def _messages(self, domain: Any) -> tuple[str, ...] | None:
        module = libvirt()
        try:
            return tuple(clean(text, 120) for text in (domain.messages(0) or ())[:_MOST_MESSAGES])
        except AttributeError:
            return None
        except module.libvirtError as error:
            if isinstance(failure := translate(error, self._connection), LinkLost):
                raise failure from error
            return None

    def _forget(self, domains: Mapping[str, Any], listed_at_s: float) -> None:
        """Forget what was heard of runs that have ended since, or longer ago than is told."""
        for (uuid, run, disk), at_s in [*self._heard.items()]:
            over = uuid not in domains or domains[uuid].ID() != run
            if at_s < listed_at_s and (over or at_s < listed_at_s - _ERROR_KEPT_S):
                del self._heard[uuid, run, disk]


_PARTS = frozenset({MACHINE, OFFER, NETWORKS, POOLS, VMS})


def _network(network: Any) -> NetworkHealth:
    return NetworkHealth(clean(network.name(), 60), bool(network.isActive()), bool(network.autostart()))


def _promised_bytes(pool: Any) -> int | None:
    """Return what the volumes may grow to; None where they are too many, or too far, to be asked in a moment."""
    volumes = pool.listAllVolumes(0)
    if len(volumes) > _MOST_VOLUMES:
        return None
    until_s = time.monotonic() + _VOLUMES_FOR_S
    promised = 0
    for volume in volumes:
        if time.monotonic() > until_s:
            return None
        promised += int(volume.info()[1])
    return promised


def _oldest_snapshot(domain: Any) -> tuple[int, float | None]:
    """Return how many snapshots there are, and when the oldest was made (epoch)."""
    roots = libvirt().VIR_DOMAIN_SNAPSHOT_LIST_ROOTS
    count = domain.snapshotNum(0)
    times = [health_vms.snapshot_time_s(snapshot.getXMLDesc(0)) for snapshot in domain.listAllSnapshots(roots)]
    return count, min((time_s for time_s in times if time_s is not None), default=None)


def _number(text: str | None) -> int:
    word = (text or "").strip()
    return int(word) if word.isascii() and word.isdecimal() and len(word) < 19 else 0
