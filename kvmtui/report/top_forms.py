"""The forms in which `kvmtui top` prints a look: JSON lines, CSV, and a table for people."""

import csv
import io
import json
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from kvmtui.model.format import UNKNOWN, Quantity, duration, part, percent, round_trip, size
from kvmtui.model.host import Host, Link
from kvmtui.model.vm import MemorySource, Vm
from kvmtui.report.top_values import FIELDS, Moment, Values, host_values, vm_values


class Look(NamedTuple):
    """What one look shows."""

    moment: Moment
    hosts: Sequence[Host]
    vms: Sequence[tuple[Vm, Host]]
    """Those that are shown, in their order."""


Form = Callable[[Look], str]


def json_lines(look: Look) -> str:
    """Return an object for each host and then each VM, one a line."""
    return "".join(
        json.dumps({name: _rounded(value) for name, value in values.items()}) + "\n" for values in _all(look)
    )


def csv_lines(look: Look) -> str:
    """Return the same as CSV (RFC 4180, with plain line ends); what a row has nothing to say of is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, restval="", lineterminator="\n")
    if look.moment.look == 1:
        writer.writeheader()
    writer.writerows({name: _csv_cell(value) for name, value in values.items()} for values in _all(look))
    return text.getvalue()


def table(look: Look) -> str:
    """Return a table of the hosts and one of the VMs."""
    now_s = look.moment.now_s
    up = sum(not host.stale(now_s) for host in look.hosts)
    running = sum(host.running for host in look.hosts if not host.stale(now_s))
    lines = [
        f"{look.moment.at:%Y-%m-%d %H:%M:%S}  hosts that answer: {up} of {len(look.hosts)}; "
        f"VMs that run: {running}; shown: {len(look.vms)}"
    ]
    lines += _aligned([_HOST_TITLES, *[_host_cells(host, now_s) for host in look.hosts]], _HOST_LEFT)
    lines.append("")
    lines += _aligned([_VM_TITLES, *[_vm_cells(vm, host, now_s) for vm, host in look.vms]], _VM_LEFT)
    return ("" if look.moment.look == 1 else "\n") + "\n".join(lines) + "\n"


def _all(look: Look) -> Iterable[Values]:
    yield from (host_values(host, look.moment) for host in look.hosts)
    yield from (vm_values(vm, host, look.moment) for vm, host in look.vms)


def _rounded(value: Any) -> Any:
    # More digits than were measured only cost, but what is small is not 0.
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _csv_cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@")):
        # A spreadsheet would take a name that begins like this for a formula.
        return f"'{value}"
    return "" if value is None else _rounded(value)


# For people

_HOST_TITLES = ("HOST", "LINK", "CPU", "MEMORY", "VMS", "")
_HOST_LEFT = (0, 5)
_VM_TITLES = ("NAME", "HOST", "STATE", "CPU", "READY", "MEMORY", "DISK-R", "W", "NET-IN", "OUT", "UP")
_VM_LEFT = (0, 1, 2)


def _host_cells(host: Host, now_s: float) -> tuple[str, ...]:
    if host.stale(now_s):
        # A link that is up and does not tell is no better than one that is down.
        link = "silent" if host.link is Link.UP else host.link.value
        ago = "" if host.sampled_at_s is None else f"last answer {duration(now_s - host.sampled_at_s)} ago"
        return (host.name, link, "-", "-", "-", "; ".join(text for text in (host.problem, ago) if text))
    figures, facts = host.figures, host.facts
    cpu = _cell(percent(figures.cpu_busy_fraction)) + (f" of {facts.cpus}" if facts is not None else "")
    memory = part(figures.memory_used_bytes, figures.memory_total_bytes)
    link = _cell(round_trip(host.round_trip_s))
    return (host.name, link, cpu, _of(memory), f"{host.running}/{len(host.vms)}", host.problem)


def _vm_cells(vm: Vm, host: Host, now_s: float) -> tuple[str, ...]:
    if host.stale(now_s):
        return (vm.name, host.name, f"was {vm.state}", *"-" * 8)
    used = vm.memory if vm.state.active else None
    memory = _of(part(used.used_bytes if used else None, vm.memory_allocated_bytes or None))
    up_s = None if vm.started_at_s is None or not vm.state.active else now_s - vm.started_at_s
    return (
        vm.name,
        host.name,
        _state(vm, now_s),
        _cell(percent(vm.cpu_cores)),
        _cell(percent(vm.ready_fraction, decimals=1)),
        ("~" if used is not None and used.source is MemorySource.RSS else "") + memory,
        _cell(size(vm.disk_read_bytes_per_s)),
        _cell(size(vm.disk_write_bytes_per_s)),
        _cell(size(vm.net_in_bytes_per_s)),
        _cell(size(vm.net_out_bytes_per_s)),
        _cell(duration(up_s)),
    )


def _state(vm: Vm, now_s: float) -> str:
    if vm.monitor_silent_since_s is not None:
        return f"monitor silent {duration(now_s - vm.monitor_silent_since_s)}"
    if vm.job is not None:
        return vm.job.operation + ("" if vm.job.progress is None else f" {percent(vm.job.progress)}")
    return f"{vm.state}, {vm.reason}" if vm.reason else vm.state.value


def _cell(quantity: Quantity) -> str:
    """Return a figure as one word, so that columns can be cut apart."""
    return "-" if quantity.number == UNKNOWN else quantity.number + quantity.unit


def _of(amounts: tuple[str, str, str]) -> str:
    used, whole, unit = ("-" if text == UNKNOWN else text for text in amounts)
    return "-" if used == whole == "-" else f"{used}/{whole}{unit}"


def _aligned(rows: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for at, (text, width) in enumerate(zip(row, widths, strict=True)):
            room = " " * (width - _width(text))
            cells.append(text + room if at in left else room + text)
        lines.append("  ".join(cells).rstrip())
    return lines


def _width(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF") for each in text)
