"""Which VMs the table shows and in which order."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from kvmtui.model.filter import Filter
from kvmtui.model.fleet import Fleet
from kvmtui.model.vm import Vm, VmKey
from kvmtui.ui.columns import COLUMN_BY_ID, Column, natural


@dataclass(slots=True)
class RowOrder:
    """The rows of the table, and where each VM is among them."""

    keys: list[VmKey] = field(default_factory=list)
    index: dict[VmKey, int] = field(default_factory=dict)
    _names: dict[VmKey, str] = field(default_factory=dict)
    _by_name: list[VmKey] = field(default_factory=list)

    def update(self, fleet: Fleet, column_id: str, reverse: bool, wanted: Filter | None) -> None:
        """Take the rows from `fleet`; unknown figures come last in both directions, equals are in order of name."""
        vms = {vm.key: vm for vm in fleet.vms()}
        self._order_by_name(fleet, vms)
        shown: Iterable[VmKey] = self._by_name
        if wanted is not None and wanted.tests:
            shown = [key for key in shown if wanted.matches(vms[key], fleet.hosts[key.host].name)]
        self.keys = _sorted(fleet, vms, shown, COLUMN_BY_ID[column_id], reverse)
        self.index = {key: row for row, key in enumerate(self.keys)}

    def _order_by_name(self, fleet: Fleet, vms: dict[VmKey, Vm]) -> None:
        """Sort by name when names have changed, which is seldom: the natural order is the dear part."""
        names = {key: vm.name for key, vm in vms.items()}
        if names == self._names:
            return
        self._names = names
        self._by_name = sorted(names, key=lambda key: (natural(names[key]), fleet.hosts[key.host].name, key))


def _sorted(fleet: Fleet, vms: dict[VmKey, Vm], keys: Iterable[VmKey], column: Column, reverse: bool) -> list[VmKey]:
    """Return keys, which come in order of name, by a column; sorts are stable, so equals keep that order."""
    if column.id == "name":
        ordered = list(keys)
        return ordered[::-1] if reverse else ordered
    if column.number is not None:
        number = column.number
        known: list[tuple[float, VmKey]] = []
        unknown: list[VmKey] = []
        for key in keys:
            value = number(vms[key], "")
            if value is None:
                unknown.append(key)
            else:
                known.append((value, key))
        known.sort(key=lambda pair: pair[0], reverse=reverse)
        return [key for _, key in known] + unknown
    hosts = {key: host.name for key, host in fleet.hosts.items()}
    text_key = column.text_key
    assert text_key is not None, column.id  # noqa: S101
    return sorted(keys, key=lambda key: text_key(vms[key], hosts[key.host]), reverse=reverse)  # type: ignore[arg-type,return-value]
