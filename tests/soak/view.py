"""What the screen of kvmtui says: pure functions of its lines."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

#: Where there is no room for both, the table says the reason in place of the state.
REASONS = {
    "shut off": frozenset({"crashed", "failed to start"}),
    "paused": frozenset({"I/O error", "API error", "watchdog", "guest crashed"}),
}
#: "starting…", "migrating 21 %", and shortened "migr. 21 %".
_PENDING = re.compile(r"(…|\.\.\.|\w\.? \d+ %)$")
CURSOR = "▸"

#: On which host a VM of which name is.
Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Row:
    """One VM in the table."""

    host: str
    name: str
    state: str
    selected: bool

    @property
    def pending(self) -> bool:
        """Whether something is said to be under way with it."""
        return _PENDING.search(self.state) is not None


def rows(lines: Sequence[str]) -> list[Row]:
    """Return the VMs in the table; none where a dialog or a small screen hides their hosts or states."""
    top = next((number for number, line in enumerate(lines) if "NAME" in line and "STATE" in line), None)
    if top is None or "HOST" not in lines[top]:
        return []
    header = lines[top]
    at_name, at_host, at_state = (header.index(title) for title in ("NAME", "HOST", "STATE"))
    at_cpu = header.index("CPU") if "CPU" in header else len(header) + 40
    found = []
    for line in lines[top + 1 :]:
        name, host = line[at_name:at_host].strip(), line[at_host:at_state].strip()
        if not name or not host or " " in name + host:
            break
        found.append(Row(host, name, line[at_state:at_cpu].strip(), line.startswith(CURSOR)))
    return found


def clock(lines: Sequence[str]) -> str:
    """Return the time of day in the title, or nothing."""
    found = re.search(r"\d\d:\d\d:\d\d\s*$", lines[0]) if lines else None
    return found[0].strip() if found else ""


def says(shown: str, state: str) -> bool:
    """Tell whether the table's words mean this state of virsh's."""
    return shown == state or shown.startswith(f"{state}, ") or shown in REASONS.get(state, ())


def mismatches(shown: Iterable[Row], truth: Mapping[Place, str], under_way: Iterable[str]) -> list[str]:
    """Return what the table says wrongly, one line each.

    `truth` is what virsh says; `under_way` names the VMs with an action that has no outcome yet.
    """
    by_place = {(row.host, row.name): row for row in shown}
    busy = set(under_way)
    wrong = [f"{name} on {host} is {truth[host, name]} and not shown" for host, name in truth.keys() - by_place.keys()]
    for (host, name), row in by_place.items():
        state = truth.get((host, name))
        if state is None:
            wrong.append(f"{name} on {host} is shown as {row.state!r} and not there")
        elif not says(row.state, state) and not (row.pending and name in busy):
            wrong.append(f"{name} on {host} is {state} and shown as {row.state!r}")
    return sorted(wrong)


def misplaced(truth: Mapping[Place, str], names: Iterable[str], told: Collection[str] = ()) -> list[str]:
    """Return which VMs are nowhere or run twice, one line each.

    Where the destination's daemon is restarted while it takes over, libvirt itself lets both halves run; `told` names
    the VMs of which the program has said that it does not know where they ended.
    """
    found = []
    for name in names:
        places = {host: state for (host, other), state in truth.items() if other == name}
        if not places:
            found.append(f"{name} is nowhere")
        if sum(state != "shut off" for state in places.values()) > 1 and name not in told:
            found.append(f"{name} runs twice: {places}")
    return found
