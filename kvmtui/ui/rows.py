"""Which VMs the table shows and in which order."""

from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from kvmtui.model.filter import Filter
from kvmtui.model.fleet import Fleet
from kvmtui.model.vm import VmKey
from kvmtui.ui.columns import COLUMN_BY_ID, natural


@dataclass(slots=True)
class RowOrder:
    """The rows of the table, and where each VM is among them."""

    keys: list[VmKey] = field(default_factory=list)
    index: dict[VmKey, int] = field(default_factory=dict)
    _ranks: dict[VmKey, tuple[str, int]] = field(default_factory=dict)
    """Every VM's name and its place in the order of names."""

    def update(self, fleet: Fleet, column_id: str, reverse: bool, wanted: Filter | None) -> None:
        """Take the rows from `fleet`; unknown figures come last in both directions, equals are in order of name."""
        self._rank(fleet)
        ranks, sort_key = self._ranks, COLUMN_BY_ID[column_id].sort_key
        matches = wanted.matches if wanted is not None and wanted.tests else None
        known: list[tuple[Any, int, VmKey]] = []
        unknown: list[tuple[Any, int, VmKey]] = []
        for host in fleet.hosts.values():
            for vm in host.vms.values():
                if matches is None or matches(vm, host.name):
                    value = sort_key(vm, host.name)
                    (known if value is not None else unknown).append((value, ranks[vm.key][1], vm.key))
        by_rank, by_value = itemgetter(1), itemgetter(0)
        known.sort(key=by_rank)
        unknown.sort(key=by_rank)
        # Sorting is stable, also in reverse, so equals keep the order of their names.
        known.sort(key=by_value, reverse=reverse)
        self.keys = [row[2] for row in (*known, *unknown)]
        self.index = {key: row for row, key in enumerate(self.keys)}

    def _rank(self, fleet: Fleet) -> None:
        """Put the names in order when one has changed, which is seldom: the natural order is the dear part."""
        ranks, unknown = self._ranks, ("", 0)
        if sum(len(host.vms) for host in fleet.hosts.values()) == len(ranks) and all(
            ranks.get(vm.key, unknown)[0] == vm.name for vm in fleet.vms()
        ):
            return
        names = {vm.key: vm.name for vm in fleet.vms()}
        ordered = sorted(names, key=lambda key: (natural(names[key]), fleet.hosts[key.host].name, key))
        self._ranks = {key: (names[key], rank) for rank, key in enumerate(ordered)}
