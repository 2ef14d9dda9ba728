"""Reads from libvirt what a VM asks of a destination."""

import time
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from kvmtui.hypervisor import guest
from kvmtui.hypervisor.library import libvirt
from kvmtui.hypervisor.preflight_capabilities import parse_pool
from kvmtui.hypervisor.preflight_definition import cpu_element, parse_needs
from kvmtui.hypervisor.preflight_reading import Reading
from kvmtui.hypervisor.sampling import state_of
from kvmtui.hypervisor.volume_marks import read_mark
from kvmtui.model.preflight_shared import goes_to
from kvmtui.model.preflight_values import GuestNeeds, NeededDisk, Pool

# virDomainControlState, virDomainPausedReason and the codes of virErrorNumber, in libvirt's headers.
_CONTROL_OK = 0
_BUSY_S, _LOOK_AGAIN_S = 1.0, 0.02
_PAUSED, _IO_ERROR = 3, 5
_NO_POOL, _NO_VOLUME = 49, 50


def read_needs(connection: Any, domain: Any) -> GuestNeeds:
    """Return what the domain needs; blocks on a QEMU that hangs without libvirt knowing it yet."""
    reading = Reading(connection)
    state, reason = domain.state()
    source = reading.identity(reading.capabilities())
    needs = parse_needs(domain.XMLDesc(0), domain.name(), domain.UUIDString(), source)
    needs = replace(
        needs,
        active=state_of(state, reason)[0].active,
        persistent=bool(domain.isPersistent()),
        saved=bool(reading.ask("saved", lambda: domain.hasManagedSaveImage(0))),
        io_error=(state, reason) == (_PAUSED, _IO_ERROR),
        snapshots=reading.ask("snapshots", lambda: domain.snapshotNum(0)),
        cpu_xml=_cpu_xml(reading, domain, needs),
    )
    needs = _with_job(reading, domain, needs) if needs.active else needs
    needs = replace(
        needs,
        disks=tuple(
            _marked(reading, _measured(reading, domain, disk, ask=needs.active and needs.job == ""))
            for disk in needs.disks
        ),
        pools=_pools_of(reading, needs),
    )
    return replace(needs, unread=MappingProxyType(reading.unread))


def _cpu_xml(reading: Reading, domain: Any, needs: GuestNeeds) -> str | None:
    """Return what the guest sees of a CPU, as a migration would send it."""
    if needs.emulated or not needs.cpu_mode:
        return ""
    migratable = libvirt().VIR_DOMAIN_XML_MIGRATABLE
    return reading.ask("cpu_xml", lambda: cpu_element(domain.XMLDesc(migratable)))


def _with_job(reading: Reading, domain: Any, needs: GuestNeeds) -> GuestNeeds:
    """Return the needs with the job that holds the VM, and its block jobs where its QEMU may be asked."""
    job = reading.ask("job", lambda: _holder(domain) or _running_job(domain))
    if job != "":
        # QEMU is busy, silent, or not to be asked: who asks it now might wait for ever.
        reading.unread.setdefault("block_jobs", "a job holds the VM")
        return replace(needs, job=job, block_jobs=needs.block_jobs or None)
    jobs = list(needs.block_jobs or ())
    for disk in needs.disks:
        info = reading.ask("block_jobs", partial(domain.blockJobInfo, disk.target, 0))
        if info and disk.target not in jobs:
            jobs.append(disk.target)
    unasked = not jobs and "block_jobs" in reading.unread
    return replace(needs, job="", block_jobs=None if unasked else tuple(jobs))


def _holder(domain: Any) -> str:
    """Return what QEMU is busy with for longer than a usual question takes; empty: nothing."""
    until_s = time.monotonic() + _BUSY_S
    while True:
        state, _, since_ms = domain.controlInfo(0)
        if state == _CONTROL_OK:
            return ""
        if since_ms / 1000 >= _BUSY_S or time.monotonic() >= until_s:
            return f"a call to its QEMU has waited {since_ms / 1000:.0f} s for the answer"
        time.sleep(_LOOK_AGAIN_S)


def _running_job(domain: Any) -> str:
    """Return the job that runs; empty: none. Blocks while another call holds the VM."""
    job = guest.job(domain)
    return "" if job is None else job.operation


def _measured(reading: Reading, domain: Any, disk: NeededDisk, *, ask: bool) -> NeededDisk:
    """Return the disk with its sizes."""
    if not ask or not disk.writable:
        return disk
    sizes = reading.ask("sizes", lambda: domain.blockInfo(disk.target))
    if sizes is None:
        return disk
    capacity, allocation, physical = sizes
    return replace(disk, capacity_bytes=int(capacity), allocated_bytes=max(int(allocation), min(physical, capacity)))


def _marked(reading: Reading, disk: NeededDisk) -> NeededDisk:
    """Return the disk with what its volume can be known by."""
    if disk.place is None or not disk.writable:
        return disk
    volume = reading.find("marks", partial(volume_of, reading.connection, disk), _NO_VOLUME, _NO_POOL)
    return disk if volume is None else replace(disk, mark=reading.ask("marks", partial(read_mark, volume)))


def volume_of(connection: Any, disk: NeededDisk) -> Any:
    """Return the volume that a disk is on; raises libvirt's error where there is none."""
    if disk.pool:
        return connection.storagePoolLookupByName(disk.pool).storageVolLookupByName(disk.volume)
    return connection.storageVolLookupByPath(disk.path)


def _pools_of(reading: Reading, needs: GuestNeeds) -> tuple[Pool, ...]:
    """Return the pools of this host that its disks are in."""
    found: dict[str, Pool] = {}
    for disk in needs.disks:
        if disk.place is None or any(goes_to(disk, pool) for pool in found.values()):
            continue
        volume = reading.find("pools", partial(volume_of, reading.connection, disk), _NO_VOLUME, _NO_POOL)
        if volume is None:
            continue
        pool = reading.ask("pools", partial(_pool_of, volume))
        if pool is not None:
            found[pool.name] = pool
    return tuple(found.values())


def _pool_of(volume: Any) -> Pool:
    return parse_pool(volume.storagePoolLookupByVolume().XMLDesc(0), active=True)
