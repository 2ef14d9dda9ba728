"""Whether what two hosts have at one path is one volume or two, by what their storage pools tell of it. Pure."""

from dataclasses import dataclass
from enum import Enum

_MARGIN_NS = 120 * 10**9
"""Clocks of hosts differ, and a network file system may tell times that are a while old."""
_SOON_NS = 30 * 10**9
"""So soon after the one host the other is asked; a guest that runs may have written in between."""


class Sharing(Enum):
    """How a disk of a VM stands at another host."""

    ONE = "the same volume"
    TWO = "another volume at the same path"
    ABSENT = "no volume at that path"
    UNSURE = "a volume at that path, the same or another"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True)
class Mark:
    """What a volume can be known by on another host."""

    allocated_bytes: int = 0
    store: str = ""
    """The storage on the network that its pool shows, as "netfs nas:/vms"; empty where the pool is the host's own."""
    written_ns: int | None = None
    """When its contents changed last, by the file system; None for what is not a file."""
    changed_ns: int | None = None
    """When anything about it changed last, which no program can set to another time."""


def compare(ours: Mark | None, theirs: Mark | None, *, running: bool) -> Sharing:
    """Return whether both are one volume: `ours` was read first, and written to meanwhile where its VM is `running`.

    That two are one is said too readily only of a VM that runs: libvirt itself looks again before it moves that.
    """
    if ours is None or theirs is None:
        return Sharing.UNSURE
    if ours.store and ours.store == theirs.store:
        return Sharing.ONE
    if None in (ours.written_ns, ours.changed_ns, theirs.written_ns, theirs.changed_ns):
        return Sharing.UNSURE
    written = (theirs.written_ns or 0) - (ours.written_ns or 0)
    changed = (theirs.changed_ns or 0) - (ours.changed_ns or 0)
    if written == changed == 0:
        return Sharing.ONE
    if abs(written) > _MARGIN_NS:
        return Sharing.TWO
    if running and 0 <= written <= _SOON_NS and 0 <= changed <= _SOON_NS:
        return Sharing.ONE
    return Sharing.UNSURE
