"""What a host's XMLs tell of it: its processor and topology, what its QEMU can do, its storage pools."""

from collections.abc import Iterable
from dataclasses import dataclass

from kvmtui.hypervisor.xml_reader import read_xml
from kvmtui.model.clean import clean
from kvmtui.model.preflight_values import Emulation, HostCpu, Pool

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class HostCapabilities:
    """What a host tells of itself; what it does not tell is None or empty."""

    uuid: str
    cpu: HostCpu | None
    cpus: frozenset[int] | None
    numa_nodes: frozenset[int] | None
    page_kib: tuple[int, ...]
    """The sizes of its huge pages."""


def parse_capabilities(xml: str) -> HostCapabilities:
    """Return what `virConnectGetCapabilities` tells of the host; raises `HypervisorError`."""
    host = read_xml(xml, "the host's capabilities").find("host")
    if host is None:
        return HostCapabilities("", None, None, None, ())
    cpu = host.find("cpu")
    model = None
    if cpu is not None and cpu.findtext("model"):
        microcode = cpu.find("microcode")
        model = HostCpu(
            clean(cpu.findtext("model") or "", 60),
            clean(cpu.findtext("vendor") or "", 60),
            "" if microcode is None else clean(microcode.get("version", ""), 20),
            frozenset(clean(feature.get("name", ""), 60) for feature in cpu.findall("feature")[:_MOST]),
        )
    cells = "topology/cells/cell"
    return HostCapabilities(
        clean((host.findtext("uuid") or "").strip(), 40),
        model,
        _numbers(cpu.get("id", "") for cpu in host.findall(f"{cells}/cpus/cpu")[:_MOST]),
        _numbers(cell.get("id", "") for cell in host.findall(cells)[:_MOST]),
        tuple(sorted(_numbers(page.get("size", "") for page in host.findall("cpu/pages")[:10]) or ())),
    )


def parse_emulation(xml: str) -> Emulation:
    """Return what `virConnectGetDomainCapabilities` tells; raises `HypervisorError`."""
    root = read_xml(xml, "the domain capabilities")
    vcpu = root.find("vcpu")
    limit = "" if vcpu is None else vcpu.get("max", "")
    backends = [
        (value.text or "").strip()
        for enum in root.findall("devices/tpm/enum")
        if enum.get("name") == "backendModel"
        for value in enum.findall("value")
    ]
    return Emulation(
        max_vcpus=next(iter(_numbers([limit]) or ()), None),
        tpm_backends=frozenset(backends),
        loaders=frozenset((value.text or "").strip() for value in root.findall("os/loader/value")[:_MOST]),
    )


def parse_pool(xml: str, *, active: bool) -> Pool:
    """Return a storage pool; raises `HypervisorError`."""
    root = read_xml(xml, "a storage pool")
    free = next(iter(_numbers([(root.findtext("available") or "").strip()]) or ()), None)
    hosts = [host.get("name", "") for host in root.findall("source/host")[:10]]
    folder = root.find("source/dir")
    device = root.find("source/device")
    where = "" if folder is None else folder.get("path", "")
    shown = where or (root.findtext("source/name") or "") or ("" if device is None else device.get("path", ""))
    path = (root.findtext("target/path") or "").strip()
    return Pool(
        name=root.findtext("name") or "",
        kind=clean(root.get("type", ""), 20),
        active=active,
        path=path.rstrip("/") or path,
        # A folder or a disk of the host itself is nobody else's, whatever it is called.
        source=f"{','.join(hosts)}:{shown}" if hosts else "",
        free_bytes=free if active else None,
    )


def _numbers(words: Iterable[str]) -> frozenset[int] | None:
    """Return those words that are numbers; None where none is."""
    return frozenset(int(word) for word in words if word.isascii() and word.isdecimal() and len(word) < 19) or None
