"""What deep samples said of the VMs of one host, and for how long it may be shown."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan

from kvmtui.hypervisor.samples import DeepVm
from kvmtui.model.host_vms import DeepFigures
from kvmtui.model.rates import devices_rate, rate
from kvmtui.model.vm import Memory, MemorySource

_GAP_S = 180.0
"""Older than this, a sample is no base for rates, and rates are not shown any more."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """The last deep sample of a VM's present run."""

    sample: DeepVm
    link: int
    """The number of the connection it came over: counters of another are no base."""


class DeepRuns:
    """Deep figures by VM, and the columns of them that the history keeps; NaN: not known, or not known any more.

    What is handed out is not changed afterwards: another object takes its place.
    """

    def __init__(self) -> None:
        self.figures: dict[str, DeepFigures] = {}
        self.memory_bytes: list[float] = []
        self.disk_read: list[float] = []
        self.disk_write: list[float] = []
        self._looked: dict[str, _Looked] = {}
        self._taken: deque[tuple[float, str]] = deque()
        """When which VM was looked at, oldest first."""
        self._lapsed: set[str] = set()
        """Those whose rates have been taken back already."""
        self._uuids: Sequence[str] = ()
        self._link = 0
        self._all_lapsed = False

    def align(self, uuids: Sequence[str], going_on: Collection[str]) -> None:
        """Take another order of VMs, and forget what is not of the same run any more as `going_on`."""
        self._uuids = uuids
        self._looked = {uuid: looked for uuid, looked in self._looked.items() if uuid in going_on}
        self.figures = {uuid: figures for uuid, figures in self.figures.items() if uuid in going_on}
        self._lapsed &= self._looked.keys()
        kept = [self._kept(uuid) for uuid in uuids]
        self.memory_bytes = [memory for memory, _, _ in kept]
        self.disk_read = [read for _, read, _ in kept]
        self.disk_write = [write for _, _, write in kept]

    def take(self, samples: Iterable[DeepVm], index: Mapping[str, int]) -> bool:
        """Take in samples of VMs that run; return whether any was new."""
        fresh = [new for new in samples if not self._late(new)]
        if not fresh:
            return False
        figures = dict(self.figures)
        memory, read, write = self.memory_bytes.copy(), self.disk_read.copy(), self.disk_write.copy()
        for new in fresh:
            known = self._looked.get(new.uuid)
            base = known.sample if known is not None and known.link == self._link else None
            self._looked[new.uuid] = _Looked(new, self._link)
            self._taken.append((new.taken_at_s, new.uuid))
            self._lapsed.discard(new.uuid)
            figures[new.uuid] = _figures(base, new)
            at = index[new.uuid]
            memory[at], read[at], write[at] = _columns(new, figures[new.uuid])
        self.figures = figures
        # What says the same stays the same object, and costs the history nothing.
        self.memory_bytes = self.memory_bytes if memory == self.memory_bytes else memory
        self.disk_read = self.disk_read if read == self.disk_read else read
        self.disk_write = self.disk_write if write == self.disk_write else write
        return True

    def lapse(self, now_s: float, unread: Collection[str]) -> bool:
        """Take back what cannot be stood behind any more: rates that are too old, or of a VM that cannot be read."""
        gone = {uuid for uuid in unread if uuid in self._looked}
        if self._all_lapsed:
            gone |= {uuid for uuid, looked in self._looked.items() if looked.link != self._link}
            self._all_lapsed = False
        while self._taken and now_s - self._taken[0][0] > _GAP_S:
            at_s, uuid = self._taken.popleft()
            if uuid in self._looked and self._looked[uuid].sample.taken_at_s == at_s:
                gone.add(uuid)
        gone -= self._lapsed
        if not gone:
            return False
        self._lapsed |= gone
        self.figures = self.figures | {
            uuid: replace(
                self.figures[uuid], ready_fraction=None, disk_read_bytes_per_s=None, disk_write_bytes_per_s=None
            )
            for uuid in gone
        }
        keep = [uuid not in gone for uuid in self._uuids]
        self.memory_bytes, self.disk_read, self.disk_write = (
            [value if kept else nan for value, kept in zip(column, keep, strict=True)]
            for column in (self.memory_bytes, self.disk_read, self.disk_write)
        )
        return True

    def gap(self) -> None:
        """Take no counters for a base any more: the link was lost. What is shown stays until the host tells again."""
        self._link += 1
        self._all_lapsed = True

    def looked_at_s(self, uuid: str) -> float | None:
        """Return when the VM was last looked at in this run and on this link, or None."""
        known = self._looked.get(uuid)
        return None if known is None or known.link != self._link else known.sample.taken_at_s

    def samples(self) -> dict[str, DeepVm]:
        """Return the samples that can still be stood behind, by uuid; any thread may ask."""
        # What another thread changes is copied in one step.
        looked, link = self._looked.copy(), self._link
        return {uuid: each.sample for uuid, each in looked.items() if each.link == link and uuid not in self._lapsed}

    def _late(self, new: DeepVm) -> bool:
        known = self._looked.get(new.uuid)
        return known is not None and known.sample.taken_at_s >= new.taken_at_s

    def _kept(self, uuid: str) -> tuple[float, float, float]:
        known = self._looked.get(uuid)
        return (nan, nan, nan) if known is None or uuid in self._lapsed else _columns(known.sample, self.figures[uuid])


def _figures(old: DeepVm | None, new: DeepVm) -> DeepFigures:
    if old is None:
        return DeepFigures(new.taken_at_s, _memory(new), rss_bytes=new.rss_bytes)
    elapsed_s = new.taken_at_s - old.taken_at_s
    waited = rate(old.ready_ns, new.ready_ns, elapsed_s, _GAP_S) if old.vcpus == new.vcpus else None
    return DeepFigures(
        taken_at_s=new.taken_at_s,
        memory=_memory(new),
        ready_fraction=None if waited is None or not new.vcpus else waited / 1e9 / new.vcpus,
        disk_read_bytes_per_s=devices_rate(old.disk_read_bytes, new.disk_read_bytes, elapsed_s, _GAP_S),
        disk_write_bytes_per_s=devices_rate(old.disk_write_bytes, new.disk_write_bytes, elapsed_s, _GAP_S),
        rss_bytes=new.rss_bytes,
    )


def _columns(sample: DeepVm, figures: DeepFigures) -> tuple[float, float, float]:
    """Return memory in bytes, and bytes read and written per second."""
    used = sample.rss_bytes if sample.memory_used_bytes is None else sample.memory_used_bytes
    read, write = figures.disk_read_bytes_per_s, figures.disk_write_bytes_per_s
    return nan if used is None else used, nan if read is None else read, nan if write is None else write


def _memory(deep: DeepVm) -> Memory | None:
    if deep.memory_used_bytes is not None:
        return Memory(deep.memory_used_bytes, MemorySource.BALLOON, deep.taken_at_s - (deep.memory_age_s or 0.0))
    if deep.rss_bytes is not None:
        return Memory(deep.rss_bytes, MemorySource.RSS, deep.taken_at_s)
    return None
