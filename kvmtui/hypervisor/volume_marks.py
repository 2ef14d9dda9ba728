"""Reads what a volume can be known by on another host."""

from decimal import Decimal, InvalidOperation
from typing import Any

from kvmtui.hypervisor.preflight_capabilities import parse_pool
from kvmtui.hypervisor.xml_reader import read_xml
from kvmtui.model.sharing import Mark

_NS_PER_S = 10**9


def read_mark(volume: Any) -> Mark:
    """Return the mark of a libvirt volume; libvirt opens a file anew for that."""
    allocated = int(volume.info()[2])
    pool = parse_pool(volume.storagePoolLookupByVolume().XMLDesc(0), active=True)
    written_ns, changed_ns = parse_times(volume.XMLDesc(0))
    return Mark(allocated, f"{pool.kind} {pool.source}" if pool.source else "", written_ns, changed_ns)


def parse_times(xml: str) -> tuple[int | None, int | None]:
    """Return when a file was written and changed, in nanoseconds; None of what is no file. Raises `HypervisorError`."""
    root = read_xml(xml, "a volume")
    if root.get("type") != "file":
        # A device's times are those of its node, which every host makes anew.
        return None, None
    return _ns(root.findtext("target/timestamps/mtime")), _ns(root.findtext("target/timestamps/ctime"))


def _ns(text: str | None) -> int | None:
    try:
        seconds = Decimal((text or "").strip()[:40])
    except InvalidOperation:
        return None
    return int(seconds * _NS_PER_S) if seconds.is_finite() and 0 < seconds < 10**12 else None
