"""Defining, starting and removing guests on the hosts of a lab, and the guests of the demonstration."""

import contextlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import libvirt

from tests.lab import guests
from tests.lab.guests import GuestSpec
from tests.lab.lab import Host, Lab, wait_until

#: What the demonstration runs on each host; `off` are shut off, `paused` are suspended once they have booted.
DEMONSTRATION = {
    "h1": (
        GuestSpec("web1", role="net"),
        GuestSpec("web2"),
        GuestSpec("db1", role="disk", memory_mib=192, disk=True),
        GuestSpec("cache1"),
        GuestSpec("old1"),
    ),
    "h2": (
        GuestSpec("build1", role="cpu", vcpus=2),
        GuestSpec("mail1"),
        GuestSpec("batch1"),
        GuestSpec("backup1", disk=True),
    ),
}
OFF = frozenset({"old1", "backup1"})
PAUSED = frozenset({"batch1"})

READY_S = 90.0


def define(connection: Any, spec: GuestSpec) -> Any:
    """Define a guest with its disk on a host and return its libvirt domain."""
    if spec.disk:
        connection.storagePoolLookupByName(guests.POOL).createXML(guests.volume_xml(spec.volume))
    return connection.defineXML(guests.guest_xml(spec))


def console_output(host: Host, spec: GuestSpec) -> str:
    """Return what a guest's console has printed on this host since the guest was started there."""
    try:
        return (host.folder / "log/qemu" / spec.console_log).read_text(errors="replace")
    except FileNotFoundError:
        return ""


def ready_count(host: Host, spec: GuestSpec) -> int:
    """Return how often a guest has come up since it was started: once, and once more for every reboot."""
    return len(re.findall(rf"lab: {re.escape(spec.name)} ready ", console_output(host, spec)))


def wait_ready(host: Host, spec: GuestSpec, count: int = 1) -> None:
    """Return when a guest has come up so many times."""
    wait_until(lambda: ready_count(host, spec) >= count, f"{spec.name} to come up on {host.name}", READY_S)


def populate(lab: Lab, tiny_count: int, tell: Callable[[str], None]) -> None:
    """Start the demonstration's guests on both hosts, and so many tiny ones on the second."""
    with ThreadPoolExecutor(len(lab.hosts)) as pool:
        for _ in pool.map(lambda host: _populate_host(host, DEMONSTRATION[host.name]), lab.hosts):
            pass
    if tiny_count:
        tell(f"starting {tiny_count} idle guests")
        add_tiny(lab.h2, tiny_count)
    for host in lab.hosts:
        _pause(host)


def _populate_host(host: Host, specs: Sequence[GuestSpec]) -> None:
    connection = host.connect()
    try:
        # All are on the screen at once; they start one by one.
        domains = [(spec, define(connection, spec)) for spec in specs]
        for spec, domain in domains:
            if spec.name not in OFF:
                domain.create()
    finally:
        connection.close()


def _pause(host: Host) -> None:
    connection = host.connect()
    try:
        for spec in DEMONSTRATION[host.name]:
            if spec.name in PAUSED:
                wait_ready(host, spec)
                connection.lookupByUUIDString(spec.uuid).suspend()
    finally:
        connection.close()


def add_tiny(host: Host, count: int) -> list[str]:
    """Start domains that cost next to nothing, `idle001` and on, paused; return their names."""
    names = [f"idle{number:03d}" for number in range(1, count + 1)]

    def start(share: Sequence[str]) -> None:
        connection = host.connect()
        try:
            for name in share:
                connection.defineXML(guests.tiny_xml(name)).createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(start, (names[0::2], names[1::2])):
            pass
    return names


def remove(connection: Any, name: str, volume: str | None = None) -> bool:
    """Destroy and undefine a domain with all it has left, and delete its volume; return whether it is gone."""
    with contextlib.suppress(libvirt.libvirtError):
        connection.lookupByName(name).destroy()
    flags = (
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    )
    with contextlib.suppress(libvirt.libvirtError):
        connection.lookupByName(name).undefineFlags(flags)
    if volume is not None:
        pool = connection.storagePoolLookupByName(guests.POOL)
        pool.refresh()
        with contextlib.suppress(libvirt.libvirtError):
            pool.storageVolLookupByName(volume).delete()
    return name not in [domain.name() for domain in connection.listAllDomains()]
