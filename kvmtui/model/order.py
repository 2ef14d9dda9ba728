"""Which VMs are shown and in which order."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from kvmtui.model.filter import Filter
from kvmtui.model.fleet import Fleet
from kvmtui.model.host_vms import HostVms
from kvmtui.model.vm import VmKey

SortKeys = Callable[[HostVms, str], Sequence[Any]]
"""Gives what the VMs of the host of that name are sorted by, in their order; None or NaN: not known."""


@lru_cache(maxsize=16384)
def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts web2 before web10, ignoring case."""
    parts = re.split(r"([0-9]+)", text.casefold())
    return tuple((0, int(item), item) if index % 2 else (1, 0, item) for index, item in enumerate(parts) if item)


def _starts(vms: HostVms, host: str) -> Sequence[float | None]:
    """Return how long VMs are up, against an arbitrary time: the earliest start is the longest."""
    return [
        None if started_at_s is None or not state.active else -started_at_s
        for started_at_s, state in zip(vms.started_at_s, vms.states, strict=True)
    ]


SORT_KEYS: Mapping[str, SortKeys] = MappingProxyType(
    {
        "name": lambda vms, host: [*map(natural, vms.names)],
        "host": lambda vms, host: [natural(host)] * len(vms),
        "state": lambda vms, host: vms.states,
        "cpu": lambda vms, host: vms.cpu_cores,
        "ready": lambda vms, host: vms.deep_column("ready_fraction"),
        "memory": lambda vms, host: vms.memory_used_column(),
        "disk_r": lambda vms, host: vms.deep_column("disk_read_bytes_per_s"),
        "disk_w": lambda vms, host: vms.deep_column("disk_write_bytes_per_s"),
        "net_in": lambda vms, host: vms.net_in_bytes_per_s,
        "net_out": lambda vms, host: vms.net_out_bytes_per_s,
        "up": _starts,
    }
)
"""By the id of the column."""
TEXTS = frozenset({"name", "host", "state"})
"""Of the others the interesting end is the large one."""


@dataclass(slots=True)
class RowOrder:
    """The rows of the table, and where each VM is among them."""

    keys: list[VmKey] = field(default_factory=list)
    index: dict[VmKey, int] = field(default_factory=dict)
    _ranked: Sequence[tuple[str, object, object]] = field(default_factory=list)
    """The hosts, VMs and names that the order of names is of; told again unchanged they are the same objects."""
    _ranks: dict[str, list[tuple[int, VmKey]]] = field(default_factory=dict)
    """By host, in the order of its columns: every VM's place in the order of names, and its key."""
    _ordered: tuple[object, ...] = ()
    """What the present order was made from, as far as it can be compared at once."""

    def update(self, fleet: Fleet, column_id: str, reverse: bool, wanted: Filter | None) -> None:
        """Take the rows from `fleet`; unknown figures come last in both directions, equals are in order of name."""
        ranked = self._rank(fleet)
        hosts, by_name = fleet.hosts.values(), column_id == "name" and not (wanted and wanted.tests)
        made_from = (column_id, reverse, wanted, *([] if by_name else [host.vms for host in hosts]))
        if not ranked and len(made_from) == len(self._ordered) and all(map(_same, made_from, self._ordered)):
            return
        self._ordered = made_from
        sort_keys = SORT_KEYS[column_id]
        known: list[tuple[Any, int, VmKey]] = []
        unknown: list[tuple[Any, int, VmKey]] = []
        for host in hosts:
            shown = wanted.matches(host.vms, host.name) if wanted else [True] * len(host.vms)
            for value, rank, is_shown in zip(sort_keys(host.vms, host.name), self._ranks[host.key], shown, strict=True):
                if is_shown:
                    # NaN is not equal to itself.
                    (known if value is not None and value == value else unknown).append((value, *rank))
        by_rank, by_value = itemgetter(1), itemgetter(0)
        known.sort(key=by_rank)
        unknown.sort(key=by_rank)
        # Sorting is stable, also in reverse, so equals keep the order of their names.
        known.sort(key=by_value, reverse=reverse)
        self.keys = [row[2] for row in (*known, *unknown)]
        self.index = {key: row for row, key in enumerate(self.keys)}

    def _rank(self, fleet: Fleet) -> bool:
        """Put the names in order when one has changed, which is seldom: the natural order is the dear part."""
        now = [(host.key, host.vms.index, host.vms.names) for host in fleet.hosts.values()]
        before, self._ranked = self._ranked, now
        if len(now) == len(before) and all(all(map(_same, *pair)) for pair in zip(now, before, strict=True)):
            return False
        rows = [
            (natural(name), host.name, VmKey(host.key, uuid))
            for host in fleet.hosts.values()
            for uuid, name in zip(host.vms.index, host.vms.names, strict=True)
        ]
        places = {key: place for place, (_, _, key) in enumerate(sorted(rows))}
        self._ranks = {
            host.key: [(places[key], key) for uuid in host.vms.index for key in (VmKey(host.key, uuid),)]
            for host in fleet.hosts.values()
        }
        return True


def _same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, str | bool) and one == other)
