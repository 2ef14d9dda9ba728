"""From rows of a recording back to the host as it was; everything in the file is taken for hostile."""

from collections import deque
from collections.abc import Callable
from dataclasses import fields
from math import nan, trunc
from typing import Any

from kvmtui.engine.recording.numbers import unpack
from kvmtui.engine.recording.rows import HOST_FIGURES, LAPSED, SOURCES, Damaged, Row
from kvmtui.engine.recording.values import moment, number
from kvmtui.model.clean import clean, clean_message
from kvmtui.model.host import Host, HostFacts, HostFigures, Link, Pressure
from kvmtui.model.host_vms import DeepFigures, HostVms
from kvmtui.model.vm import Job, Memory, VmState

_RECENT = 20


class Picture:
    """One host, to which row after row is applied; times are moved by `shift_s`."""

    def __init__(self, key: str, shift_s: float = 0.0) -> None:
        self._key = key
        self._shift_s = shift_s
        self._told: dict[str, Any] = {}
        self._uuids: list[str] = []
        self._recent: deque[list[float]] = deque(maxlen=_RECENT)
        self._host_recent: tuple[float | None, ...] = ()
        self._deep: dict[str, DeepFigures] = {}
        self._row: Row | None = None
        self._vms = HostVms(key)
        self._changed = False

    def apply(self, row: Row) -> None:
        """Take a row in; raises `Damaged`."""
        try:
            self._apply(row)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
            raise Damaged(str(error)) from error

    def _apply(self, row: Row) -> None:
        changes = row.changes
        if "uuids" in changes:
            self._align([clean(str(uuid), 60) for uuid in changes["uuids"]])
        for name, read in _READERS.items():
            if name in changes:
                self._told[name] = read(changes[name], self._shift_s)
        for name in _COLUMNS:
            if len(self._told[name]) != len(self._uuids):
                raise ValueError(f"the column {name} has another length")
        if len(row.codes) != HOST_FIGURES + 3 * len(self._uuids):
            raise ValueError("the figures are of other VMs")
        for uuid in changes.get("gone", ()):
            self._deep.pop(uuid, None)
        if row.looks or "gone" in changes:
            self._deep = dict(self._deep)
        for look in row.looks:
            self._deep[self._uuids[look[0]]] = self._look(look, row.at_ms)
        if row.counted & 1:
            self._recent.append(self._column(row, 0))
        figures = unpack(row.codes[:1])
        if row.counted & 2:
            self._host_recent = (*self._host_recent, _known(figures[0]))[-_RECENT:]
        same = self._row is not None and self._row.codes[HOST_FIGURES:] == row.codes[HOST_FIGURES:]
        self._changed = self._changed or not same or bool(row.looks or changes or row.counted & 1)
        self._row = row

    def _align(self, uuids: list[str]) -> None:
        places = {uuid: at for at, uuid in enumerate(self._uuids)}
        before = [places.get(uuid, -1) for uuid in uuids]
        if len(uuids) != len({*uuids}):
            raise ValueError("a VM is there twice")
        # At -1 is the NaN that is put at the end of each column.
        moved = [[[*column, nan][at] for at in before] for column in self._recent]
        self._recent = deque(moved, maxlen=_RECENT)
        self._deep = {uuid: deep for uuid, deep in self._deep.items() if uuid in set(uuids)}
        self._uuids = uuids

    def _column(self, row: Row, column: int) -> list[float]:
        count = len(self._uuids)
        start = HOST_FIGURES + column * count
        return [nan if value != value else value for value in unpack(row.codes[start : start + count])]

    def _look(self, look: tuple[int, ...], at_ms: int) -> DeepFigures:
        _, kind, taken_high, taken_low, told_high, told_low, *codes = look
        memory, ready, read, write, rss = map(_known, unpack(codes))
        source = SOURCES[kind & ~LAPSED]
        told_s = (at_ms - (told_high << 16) - told_low) / 1000 + self._shift_s
        return DeepFigures(
            taken_at_s=(at_ms - (taken_high << 16) - taken_low) / 1000 + self._shift_s,
            memory=None if source is None or memory is None else Memory(trunc(memory * 1024), source, told_s),
            ready_fraction=ready,
            disk_read_bytes_per_s=read,
            disk_write_bytes_per_s=write,
            rss_bytes=None if rss is None else trunc(rss * 1024),
        )

    def host(self) -> Host | None:
        """Return the host as it is now, its VMs the same object as long as nothing about them has changed."""
        row, told = self._row, self._told
        if row is None:
            return None
        if self._changed:
            self._vms, self._changed = self._all(row), False
        busy, used, cpu, memory, io, mean, mean_s, round_trip_s = map(_known, unpack(row.codes[:HOST_FIGURES]))
        known = cpu is not None and memory is not None and io is not None
        return Host(
            key=self._key,
            name=told["name"],
            link=told["link"],
            facts=told["facts"],
            figures=HostFigures(
                cpu_busy_fraction=busy,
                memory_total_bytes=told["memory_total_bytes"],
                memory_used_bytes=None if used is None else trunc(used * 1024),
                pressure=Pressure(cpu, memory, io) if known else None,  # type: ignore[arg-type]
                cpu_recent=self._host_recent,
                cpu_mean_fraction=mean,
                cpu_mean_s=mean_s or 0.0,
            ),
            vms=self._vms,
            sampled_at_s=None if row.sampled_ms is None else row.sampled_ms / 1000 + self._shift_s,
            round_trip_s=round_trip_s,
            interval_s=told["interval_s"],
            bulk_cpu=told["bulk_cpu"],
            problem=told["problem"],
            next_try_at_s=told["next_try_at_s"],
            read_only=True,
        )

    def _all(self, row: Row) -> HostVms:
        told = self._told
        states = told["states"]
        cpu = self._column(row, 0)
        return HostVms(
            host=self._key,
            index={uuid: at for at, uuid in enumerate(self._uuids)},
            **{name: told[name] for name in _COLUMNS},
            cpu_cores=cpu,
            net_in_bytes_per_s=self._column(row, 1),
            net_out_bytes_per_s=self._column(row, 2),
            cpu_recent=tuple(self._recent),
            deep=self._deep,
            persistent=told["persistent"],
            autostart=told["autostart"],
            saved=told["saved"],
            silent=told["silent"],
            jobs=told["jobs"],
            running=sum([state.executing for state in states]),
        )


def _known(value: float) -> float | None:
    return None if value != value else value


def _whole(value: Any) -> int:
    return int(number(value))


def _facts(told: Any) -> HostFacts:
    texts = {name: clean(str(told[name])) for name in ("hostname", "uuid", "libvirt_version", "hypervisor_version")}
    return HostFacts(
        **texts, cpus=_whole(told["cpus"]), memory_bytes=_whole(told["memory_bytes"]), local=bool(told["local"])
    )


_JOB_FIGURES = tuple(each.name for each in fields(Job) if each.name != "operation")


def _job(told: Any) -> Job:
    figures = {name: None if told.get(name) is None else number(told[name]) for name in _JOB_FIGURES}
    return Job(clean(str(told["operation"])), **figures)  # type: ignore[arg-type]


def _or_none(read: Callable[[Any], Any]) -> Callable[[Any, float], Any]:
    return lambda value, shift_s: None if value is None else read(value)


def _uuids(told: Any) -> frozenset[str]:
    return frozenset(map(str, told))


_READERS: dict[str, Callable[[Any, float], Any]] = {
    "name": lambda told, shift_s: clean(str(told)),
    "link": lambda told, shift_s: Link(told),
    "facts": _or_none(_facts),
    "memory_total_bytes": _or_none(_whole),
    "interval_s": lambda told, shift_s: number(told),
    "bulk_cpu": lambda told, shift_s: bool(told),
    "problem": lambda told, shift_s: clean_message(str(told)),
    "next_try_at_s": moment,
    "names": lambda told, shift_s: [clean(str(name)) for name in told],
    "ids": lambda told, shift_s: [_whole(each) for each in told],
    "states": lambda told, shift_s: [VmState(state) for state in told],
    "reasons": lambda told, shift_s: [clean_message(str(reason)) for reason in told],
    "vcpus": lambda told, shift_s: [_whole(each) for each in told],
    "memory_allocated_bytes": lambda told, shift_s: [_whole(amount) for amount in told],
    "started_at_s": lambda told, shift_s: [moment(at_s, shift_s) for at_s in told],
    "persistent": _or_none(_uuids),
    "autostart": _or_none(_uuids),
    "saved": _or_none(_uuids),
    "silent": lambda told, shift_s: {str(uuid): moment(at_s, shift_s) for uuid, at_s in told.items()},
    "jobs": lambda told, shift_s: {str(uuid): _job(job) for uuid, job in told.items()},
}
"""How what changes seldom is read."""
_COLUMNS = ("names", "ids", "states", "reasons", "vcpus", "memory_allocated_bytes", "started_at_s")
