"""What a domain's XML says; the text may come from anyone, so nothing in it is trusted."""

import xml.etree.ElementTree as ET

from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.model.clean import clean
from kvmtui.model.vm import Disk, Interface, VmConfig


def parse_definition(xml: str, addresses: tuple[str, ...], taken_at_s: float) -> VmConfig:
    """Return what the dashboard needs of a domain XML; raises `HypervisorError` when it cannot be read."""
    try:
        root = ET.fromstring(xml)  # noqa: S314 - from the daemon, whose own parser (libxml2) wrote it
    except ET.ParseError as error:
        raise HypervisorError(f"the definition cannot be read: {clean(str(error))}") from error
    return VmConfig(
        disks=tuple(_disk(element) for element in root.iterfind("devices/disk")),
        interfaces=tuple(_interface(element) for element in root.iterfind("devices/interface")),
        consoles=tuple(_alias(element) for element in root.iterfind("devices/serial")),
        addresses=addresses,
        balloon_period_s=_number(root.find("devices/memballoon/stats"), "period"),
        emulated=root.get("type") == "qemu",
        taken_at_s=taken_at_s,
    )


def _disk(element: ET.Element) -> Disk:
    source = element.find("source")
    path = None if source is None else source.get("file") or source.get("dev")
    fixed = element.get("device", "disk") not in ("disk", "lun")
    return Disk(
        target=clean(_attribute(element, "target", "dev"), 20),
        path=path,
        writable=not fixed and element.find("readonly") is None and element.find("shareable") is None,
    )


def _interface(element: ET.Element) -> Interface:
    source = element.find("source")
    names = () if source is None else (source.get(name) for name in ("network", "bridge", "dev"))
    return Interface(
        mac=clean(_attribute(element, "mac", "address"), 20),
        source=clean(next((name for name in names if name), element.get("type", "")), 40),
        model=clean(_attribute(element, "model", "type"), 20),
    )


def _alias(element: ET.Element) -> str:
    return clean(_attribute(element, "alias", "name"), 40)


def _attribute(element: ET.Element, child: str, name: str) -> str:
    found = element.find(child)
    return "" if found is None else found.get(name, "")


def _number(element: ET.Element | None, name: str) -> int | None:
    text = "" if element is None else element.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else None
