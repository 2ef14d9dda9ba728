"""What a domain's XML asks of a destination; the text may come from anyone, so nothing in it is trusted."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from kvmtui.hypervisor.xml_reader import read_xml
from kvmtui.model.clean import clean
from kvmtui.model.preflight_values import (
    GuestNeeds,
    HostIdentity,
    NeededDevice,
    NeededDisk,
    NeededInterface,
    Pin,
)

_UNITS = {
    "b": 1, "bytes": 1, "KB": 10**3, "k": 2**10, "KiB": 2**10, "MB": 10**6, "M": 2**20, "MiB": 2**20,
    "GB": 10**9, "G": 2**30, "GiB": 2**30, "TB": 10**12, "T": 2**40, "TiB": 2**40,
}  # fmt: skip
_MOST_CPUS = 8192
_MOST_DEVICES = 1000


def parse_needs(xml: str, name: str, uuid: str, source: HostIdentity) -> GuestNeeds:
    """Return what the definition asks for; what only the host can tell is left as it is by default."""
    root = read_xml(xml, "the definition")
    memory = _amount(root.find("memory"))
    mode = root.find("numatune/memory")
    tpm, security = root.find("devices/tpm/backend"), root.find("launchSecurity")
    return GuestNeeds(
        name=name,
        uuid=uuid,
        source=source,
        virt_type=clean(root.get("type", ""), 20),
        arch=_attribute(root, "os/type", "arch"),
        machine=_attribute(root, "os/type", "machine"),
        emulator=_text(root, "devices/emulator"),
        cpu_mode=_cpu_mode(root),
        invariant_tsc_unbound=_invariant_tsc_unbound(root),
        memory_bytes=memory,
        current_memory_bytes=_amount(root.find("currentMemory")) or memory,
        hugepage_kib=_hugepages(root),
        vcpus=int(_number(_text(root, "vcpu")) or 1),
        pins=tuple(_pins(root)),
        numa_nodes=cpu_set("" if mode is None else mode.get("nodeset", "")),
        numa_strict=mode is None or mode.get("mode", "strict") in ("strict", "restrictive"),
        disks=tuple(disk for element in _some(root, "devices/disk") if (disk := _disk(element)) is not None),
        interfaces=tuple(map(_interface, _some(root, "devices/interface"))),
        host_devices=tuple(map(_host_device, _some(root, "devices/hostdev"))),
        shared_memory=tuple(_shared_memory(element) for element in _some(root, "devices/shmem")),
        file_systems=tuple(_file_system(element) for element in _some(root, "devices/filesystem")),
        tpm="" if tpm is None else clean(tpm.get("type", ""), 20),
        nvram=_text(root, "os/nvram"),
        loader=_text(root, "os/loader"),
        host_files=tuple(_host_files(root)),
        own_arguments=any(child.tag.endswith("}commandline") for child in root),
        launch_security="" if security is None else clean(security.get("type") or "unknown kind", 20),
        secrets=tuple(dict.fromkeys(_secrets(root))),
        block_jobs=tuple(
            _attribute(element, "target", "dev")
            for element in _some(root, "devices/disk")
            if element.find("mirror") is not None
        ),
    )


def cpu_element(xml: str) -> str:
    """Return the <cpu> element of a definition, as it would be compared; empty where it has none."""
    element = read_xml(xml, "the definition").find("cpu")
    return "" if element is None else ET.tostring(element, encoding="unicode")


def cpu_set(text: str) -> frozenset[int]:
    """Return the numbers of "0-3,^2,8"; what is not such a list gives as much of it as can be read."""
    taken: set[int] = set()
    for part in text.split(",")[:_MOST_CPUS]:
        word = part.strip()
        first, _, last = word.removeprefix("^").partition("-")
        low, high = _number(first), _number(last or first)
        if low is None or high is None or high >= _MOST_CPUS:
            continue
        numbers = range(low, high + 1)
        if word.startswith("^"):
            taken.difference_update(numbers)
        else:
            taken.update(numbers)
    return frozenset(taken)


def _disk(element: ET.Element) -> NeededDisk | None:
    """Return a disk; None for an empty drive."""
    source, driver = element.find("source"), element.find("driver")
    device, kind = element.get("device", "disk"), element.get("type", "file")
    if source is None or not source.attrib:
        return None
    fixed = device in ("cdrom", "floppy") or any(element.find(tag) is not None for tag in ("readonly", "shareable"))
    volume = kind == "volume"
    return NeededDisk(
        target=_attribute(element, "target", "dev"),
        device=clean(device, 20),
        kind=clean(kind, 20),
        path=None if volume else source.get("file") or source.get("dev"),
        pool=source.get("pool", "") if volume else "",
        volume=source.get("volume", "") if volume else "",
        format="" if driver is None else clean(driver.get("type", ""), 20),
        cache="" if driver is None else clean(driver.get("cache", ""), 20),
        startup_policy=clean(source.get("startupPolicy", ""), 20),
        writable=not fixed,
        transient=element.find("transient") is not None,
        backing=next((base for tag in ("file", "dev") if (base := _backing(element, tag))), None),
    )


def _backing(element: ET.Element, kind: str) -> str | None:
    source = element.find("backingStore/source")
    return None if source is None else source.get(kind)


def _interface(element: ET.Element) -> NeededInterface:
    kind, source = element.get("type", ""), element.find("source")
    name = (
        ""
        if source is None
        else next((source.get(tag, "") for tag in ("network", "bridge", "dev") if source.get(tag)), "")
    )
    return NeededInterface(clean(kind, 20), name, _attribute(element, "teaming", "type") == "transient")


def _host_device(element: ET.Element) -> NeededDevice:
    if element.get("mode") == "capabilities":
        return NeededDevice("host", clean(element.get("type", "device"), 20))
    address = element.find("source/address")
    parts = [] if address is None else [address.get(tag, "") for tag in ("domain", "bus", "slot", "function", "uuid")]
    name = ":".join(part.removeprefix("0x") for part in parts if part)
    replaceable = _attribute(element, "teaming", "type") == "transient"
    return NeededDevice(clean(element.get("type", "device"), 20), clean(name, 60), replaceable)


def _shared_memory(element: ET.Element) -> NeededDevice:
    legacy = _attribute(element, "model", "type") == "ivshmem"
    return NeededDevice(
        "legacy" if legacy else clean(element.get("role", "peer"), 20), clean(element.get("name", ""), 60)
    )


def _file_system(element: ET.Element) -> NeededDevice:
    driver = _attribute(element, "driver", "type")
    return NeededDevice(driver or "9p", clean(_attribute(element, "target", "dir"), 60))


def _cpu_mode(root: ET.Element) -> str:
    cpu = root.find("cpu")
    return "" if cpu is None else clean(cpu.get("mode", "custom" if cpu.find("model") is not None else ""), 30)


def _invariant_tsc_unbound(root: ET.Element) -> bool:
    asked = any(
        feature.get("name") == "invtsc" and feature.get("policy", "require") in ("require", "force")
        for feature in root.iterfind("cpu/feature")
    )
    bound = any(timer.get("name") == "tsc" and timer.get("frequency") for timer in root.iterfind("clock/timer"))
    return asked and not bound


def _hugepages(root: ET.Element) -> tuple[int, ...]:
    backing = root.find("memoryBacking/hugepages")
    if backing is None:
        return ()
    sizes = [
        (_number(page.get("size", "")) or 0) * _UNITS.get(page.get("unit", "KiB"), 1024) // 1024
        for page in backing.iterfind("page")
    ]
    return tuple(dict.fromkeys(sizes[:_MOST_DEVICES])) or (0,)


def _pins(root: ET.Element) -> Iterator[Pin]:
    vcpu = root.find("vcpu")
    pairs = [("it", "" if vcpu is None else vcpu.get("cpuset", ""))]
    for element in _some(root, "cputune/*"):
        if element.tag in ("vcpupin", "emulatorpin", "iothreadpin"):
            number = element.get("vcpu") or element.get("iothread") or ""
            what = {"vcpupin": "vCPU", "emulatorpin": "QEMU", "iothreadpin": "I/O thread"}[element.tag]
            pairs.append((f"{what} {clean(number, 10)}".strip(), element.get("cpuset", "")))
    for what, text in pairs:
        if cpus := cpu_set(text):
            yield Pin(what, cpus)


def _host_files(root: ET.Element) -> Iterator[str]:
    for tag in ("os/kernel", "os/initrd", "os/dtb"):
        if path := _text(root, tag):
            yield path
    for element in _some(root, "devices//rom"):
        if rom := element.get("file"):
            yield rom


def _secrets(root: ET.Element) -> Iterator[str]:
    for element in _some(root, "devices//secret"):
        uuid, usage = element.get("uuid"), element.get("usage")
        if uuid or usage:
            yield clean(uuid or f"{element.get('type', '')}:{usage}", 100)


def _some(root: ET.Element, path: str) -> list[ET.Element]:
    return root.findall(path)[:_MOST_DEVICES]


def _amount(element: ET.Element | None) -> int:
    number = _number("" if element is None else (element.text or "").strip())
    return (number or 0) * _UNITS.get("KiB" if element is None else element.get("unit", "KiB"), 1024)


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None


def _text(root: ET.Element, path: str) -> str:
    return (root.findtext(path) or "").strip()


def _attribute(element: ET.Element, path: str, name: str) -> str:
    found = element.find(path)
    return "" if found is None else clean(found.get(name, ""), 100)
