"""Figures rounded as a recording keeps them, before they are shown: what is recorded is what was on the screen."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from kvmtui.engine.recording.numbers import rounded, rounded_bytes, rounded_one
from kvmtui.model.host import Host, HostFigures, Pressure
from kvmtui.model.host_vms import DeepFigures, HostVms

Column = Sequence[float]


class Rounding:
    """Rounds the figures of one host by less than a thousandth; what was the same object before still is."""

    def __init__(self) -> None:
        self._columns: dict[int, tuple[Column, Column]] = {}
        """By the id of a column: the column, which keeps its id from being taken again, and what it is rounded."""
        self._deep: dict[str, tuple[DeepFigures, DeepFigures]] = {}
        self._of: Mapping[str, DeepFigures] = {}
        self._deep_rounded: Mapping[str, DeepFigures] = {}
        self._vms: tuple[HostVms, HostVms] = (HostVms(), HostVms())
        self._figures: tuple[HostFigures, HostFigures] = (HostFigures(), HostFigures())

    def host(self, host: Host) -> Host:
        """Return a host with its figures rounded."""
        if host.vms is not self._vms[0]:
            self._vms = host.vms, self._all(host.vms)
        if host.figures is not self._figures[0]:
            self._figures = host.figures, _figures(host.figures)
        return replace(host, vms=self._vms[1], figures=self._figures[1], round_trip_s=rounded_one(host.round_trip_s))

    def _all(self, vms: HostVms) -> HostVms:
        old, self._columns = self._columns, {}

        def column(values: Column) -> Column:
            known = self._columns.get(id(values)) or old.get(id(values)) or (values, rounded(values))
            self._columns[id(values)] = known
            return known[1]

        if vms.deep is not self._of:
            self._of = vms.deep
            before = self._deep
            self._deep = {
                uuid: known
                if (known := before.get(uuid)) is not None and known[0] is figures
                else (figures, _deep(figures))
                for uuid, figures in vms.deep.items()
            }
            self._deep_rounded = {uuid: known[1] for uuid, known in self._deep.items()}
        return replace(
            vms,
            cpu_cores=column(vms.cpu_cores),
            net_in_bytes_per_s=column(vms.net_in_bytes_per_s),
            net_out_bytes_per_s=column(vms.net_out_bytes_per_s),
            cpu_recent=tuple(column(each) for each in vms.cpu_recent),
            deep=self._deep_rounded,
            _made={},
        )


def _deep(deep: DeepFigures) -> DeepFigures:
    memory = deep.memory
    return replace(
        deep,
        memory=None if memory is None else replace(memory, used_bytes=rounded_bytes(memory.used_bytes)),
        ready_fraction=rounded_one(deep.ready_fraction),
        disk_read_bytes_per_s=rounded_one(deep.disk_read_bytes_per_s),
        disk_write_bytes_per_s=rounded_one(deep.disk_write_bytes_per_s),
        rss_bytes=None if deep.rss_bytes is None else rounded_bytes(deep.rss_bytes),
    )


def _figures(figures: HostFigures) -> HostFigures:
    pressure, used = figures.pressure, figures.memory_used_bytes
    return replace(
        figures,
        cpu_busy_fraction=rounded_one(figures.cpu_busy_fraction),
        memory_used_bytes=None if used is None else rounded_bytes(used),
        pressure=None if pressure is None else Pressure(*map(_share, (pressure.cpu, pressure.memory, pressure.io))),
        cpu_recent=tuple(map(rounded_one, figures.cpu_recent)),
        cpu_mean_fraction=rounded_one(figures.cpu_mean_fraction),
        cpu_mean_s=_share(figures.cpu_mean_s),
    )


def _share(value: float) -> float:
    return rounded_one(value) or 0.0
