"""What a domain's XML says; the text may come from anyone, so nothing in it is trusted."""

import re
import xml.etree.ElementTree as ET

from kvmtui.hypervisor.xml_reader import read_xml
from kvmtui.model.clean import clean
from kvmtui.model.vm import Disk, Interface, VmConfig

PLACEMENT = "https://kvmtui.invalid/placement/1"
"""The XML namespace of `<placement pinned="yes" apart="db"/>` in a domain's metadata; nothing is to be found there."""


def parse_definition(xml: str, addresses: tuple[str, ...], taken_at_s: float) -> VmConfig:
    """Return what the dashboard needs of a domain XML; raises `HypervisorError` when it cannot be read."""
    root = read_xml(xml, "the definition")
    return VmConfig(
        disks=tuple(_disk(element) for element in root.iterfind("devices/disk")),
        interfaces=tuple(_interface(element) for element in root.iterfind("devices/interface")),
        consoles=_consoles(root),
        addresses=addresses,
        balloon_period_s=_number(root.find("devices/memballoon/stats"), "period"),
        emulated=root.get("type") == "qemu",
        taken_at_s=taken_at_s,
        pinned=_tag(root, "pinned").lower() not in ("", "no", "false", "0"),
        apart=tuple(dict.fromkeys(clean(name, 40) for name in re.split(r"[,\s]+", _tag(root, "apart")) if name)),
    )


def _tag(root: ET.Element, name: str) -> str:
    return _attribute(root, f"metadata/{{{PLACEMENT}}}placement", name).strip()


def _disk(element: ET.Element) -> Disk:
    source = element.find("source")
    path = None if source is None else source.get("file") or source.get("dev")
    fixed = element.get("device", "disk") not in ("disk", "lun")
    return Disk(
        target=clean(_attribute(element, "target", "dev"), 20),
        path=path,
        writable=not fixed and element.find("readonly") is None and element.find("shareable") is None,
        kind=clean(element.get("type", "file"), 20),
    )


def _interface(element: ET.Element) -> Interface:
    source = element.find("source")
    names = () if source is None else (source.get(name) for name in ("network", "bridge", "dev"))
    return Interface(
        mac=clean(_attribute(element, "mac", "address"), 20),
        source=clean(next((name for name in names if name), element.get("type", "")), 40),
        model=clean(_attribute(element, "model", "type"), 20),
    )


def _consoles(root: ET.Element) -> tuple[str, ...]:
    """Return the aliases of the devices that `openConsole` can open: those on a pseudo-terminal.

    The first console of most VMs is the first serial device under another name, and has its alias. A VM that is off
    has no aliases yet: they will be these.
    """
    found: list[str] = []
    for kind in ("serial", "console"):
        for number, element in enumerate(root.iterfind(f"devices/{kind}")):
            again = kind == "console" and _attribute(element, "target", "type") == "serial"
            alias = _attribute(element, "alias", "name") or f"{'serial' if again else kind}{number}"
            if element.get("type") == "pty" and alias not in found:
                found.append(alias)
    return tuple(clean(alias, 40) for alias in found)


def _attribute(element: ET.Element, child: str, name: str) -> str:
    found = element.find(child)
    return "" if found is None else found.get(name, "")


def _number(element: ET.Element | None, name: str) -> int | None:
    text = "" if element is None else element.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else None
