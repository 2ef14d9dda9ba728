"""What a definition says of a VM's health: its agent, and what of it waits for a restart."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from typing import Any

from kvmtui.hypervisor.sampling import whole
from kvmtui.hypervisor.xml_reader import read_xml
from kvmtui.model.clean import clean

_AGENT = "org.qemu.guest_agent.0"
_MOST = 4096


def agent_connected(root: ET.Element) -> bool | None:
    """Return whether the guest agent is connected; None where there is no channel for one."""
    for target in root.iterfind("devices/channel/target"):
        if target.get("name") == _AGENT:
            return target.get("state") == "connected"
    return None


def balloon_period_s(root: ET.Element) -> int | None:
    """Return how often the guest shall tell its memory."""
    stats = root.find("devices/memballoon/stats")
    text = "" if stats is None else stats.get("period", "")
    return int(text) if text.isdecimal() and len(text) < 10 else None


def snapshot_time_s(xml: str) -> float | None:
    """Return when a snapshot was made (epoch)."""
    text = (read_xml(xml, "a snapshot").findtext("creationTime") or "").strip()
    return float(text) if text.isdecimal() and len(text) < 12 else None


def waiting(now: ET.Element, stored: ET.Element) -> tuple[str, ...]:
    """Return in which ways the stored definition differs from the one in force, as far as a restart is needed."""
    return tuple(clean(words, 80) for words in _differences(now, stored))


def _differences(now: ET.Element, stored: ET.Element) -> Iterator[str]:
    if (had := _vcpus(now)) != (wanted := _vcpus(stored)):
        yield f"vCPUs {had} → {wanted}"
    if (had := _text(now, "memory")) != (wanted := _text(stored, "memory")):
        yield f"memory {_mib(had)} → {_mib(wanted)}"
    # While it runs, host-model stands as the CPU that came of it.
    if (mode := _attribute(stored, "cpu", "mode")) != "host-model" and mode != _attribute(now, "cpu", "mode"):
        yield f"CPU {_attribute(now, 'cpu', 'mode') or 'default'} → {mode or 'default'}"
    if (wanted := _attribute(stored, "os/type", "machine")) != (had := _attribute(now, "os/type", "machine")):
        yield f"machine {had} → {wanted}"
    for what, had_all, wanted_all in (
        ("disk", _disks(now), _disks(stored)),
        ("interface", _interfaces(now), _interfaces(stored)),
    ):
        for name in sorted(had_all.keys() | wanted_all.keys()):
            if name not in wanted_all:
                yield f"{what} {name} goes"
            elif name not in had_all:
                yield f"{what} {name} comes"
            elif had_all[name] != wanted_all[name]:
                yield f"{what} {name} {had_all[name]} → {wanted_all[name]}"


def _vcpus(root: ET.Element) -> str:
    element = root.find("vcpu")
    return "" if element is None else element.get("current") or (element.text or "").strip()


def _mib(kib: str) -> str:
    return f"{int(kib) // 1024} MiB" if kib.isdecimal() and len(kib) < 16 else kib


def _disks(root: ET.Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for disk in root.findall("devices/disk")[:_MOST]:
        source = disk.find("source")
        if disk.get("device", "disk") == "disk" and source is not None:
            attributes = ("file", "dev", "volume", "name")
            found[_attribute(disk, "target", "dev")] = next(filter(None, map(source.get, attributes)), "") or ""
    return found


def _interfaces(root: ET.Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for card in root.findall("devices/interface")[:_MOST]:
        source = card.find("source")
        names = ("network", "bridge", "dev")
        found[_attribute(card, "mac", "address")] = (
            "" if source is None else next(filter(None, map(source.get, names)), "") or ""
        )
    return found


def _text(root: ET.Element, path: str) -> str:
    return (root.findtext(path) or "").strip()


def _attribute(root: ET.Element, path: str, name: str) -> str:
    found = root.find(path)
    return "" if found is None else found.get(name, "")


def packets(stats: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return how many packets the interfaces carried and how many they lost, of what `getAllDomainStats` tells."""
    count = stats.get("net.count")
    if type(count) is not int or not 0 <= count <= _MOST:
        return None
    carried = lost = 0
    for number in range(count):
        for way in ("rx", "tx"):
            told = [whole(stats.get(f"net.{number}.{way}.{what}")) for what in ("pkts", "drop", "errs")]
            if None in told:
                return None
            carried += told[0] or 0
            lost += (told[1] or 0) + (told[2] or 0)
    return carried, lost
