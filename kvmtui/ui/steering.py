"""What can be done to a move under way: its keys, what is asked first, and the next of the downtimes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from kvmtui.model.format import size
from kvmtui.model.migration import Migration, Phase, Steer
from kvmtui.ui.widgets.migration_lines import HostName, span

_DOWNTIMES_MS = (100, 200, 300, 400, 500, 750, 1000, 1500, 2000, 3000, 5000, 10_000, 20_000, 30_000)
"""oVirt's steps up to 500 ms; from there by about a half each."""
DEFAULT_DOWNTIME_MS = 300
"""QEMU's downtime-limit."""


@dataclass(frozen=True, slots=True)
class SteerKey:
    """A key of the cockpit that acts on a move."""

    key: str
    steer: Steer
    label: str
    """In the key bar; empty: it is in the help alone."""
    help: str
    asks_value: bool = False


STEER_KEYS: tuple[SteerKey, ...] = (
    SteerKey(
        "d", Steer.DOWNTIME, "downtime", "let the guest stand still longer at the end: 400, 500, 750 ms and so on"
    ),
    SteerKey("D", Steer.DOWNTIME, "", "set that time to a number", asks_value=True),
    SteerKey("b", Steer.BANDWIDTH, "bandwidth", "set how much may be sent", asks_value=True),
    SteerKey("o", Steer.POST_COPY, "post-copy", "let the guest go on at the destination now; asks first"),
    SteerKey("p", Steer.PAUSE_GUEST, "pause guest", "pause it until it is there; asks first"),
    SteerKey("X", Steer.ABORT, "abort", "leave the VM where it is; asks first"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """What has to be agreed to first."""

    text: str
    consequence: str
    lines: Sequence[str] = ()
    destructive: bool = False


def possible(move: Migration) -> list[SteerKey]:
    """Return the keys that can be used now."""
    return [key for key in STEER_KEYS if key.steer in move.steers]


def label(key: SteerKey, move: Migration) -> str:
    """Return what the key bar calls a key: while both hosts are asked there is nothing to abort but that."""
    return "stop asking" if key.steer is Steer.ABORT and move.phase is Phase.VERIFYING else key.label


def next_downtime_ms(allowed_ms: int | None) -> int | None:
    """Return the next longer of the usual downtimes, or None at their end."""
    now = DEFAULT_DOWNTIME_MS if allowed_ms is None else allowed_ms
    return next((step for step in _DOWNTIMES_MS if step > now), None)


def question(move: Migration, steer: Steer, host_name: HostName) -> Question | None:
    """Return what is to be agreed to before this is done, or None."""
    vm = move.request.vm_name
    source, destination = host_name(move.request.key.host), host_name(move.request.destination)
    if steer is Steer.ABORT and move.phase is Phase.QUEUED:
        return Question(f"Do not migrate {vm} from {source} to {destination}?", "It waits its turn; nothing has begun.")
    if steer is Steer.ABORT and move.phase is Phase.VERIFYING:
        return Question(
            f"Ask no longer how migrating {vm} from {source} to {destination} ended?",
            "What both hosts tell by now is taken for its end; nothing is done to the VM.",
        )
    if steer is Steer.ABORT:
        left = ""
        if move.job is not None and move.job.disk_total_bytes:
            more = "" if move.adopted else "; that is offered afterwards where it is safe"
            left = f" Unfinished copies of its disks stay at {destination} until they are deleted{more}."
        return Question(
            f"Abort migrating {vm} from {source} to {destination}?", f"The guest goes on at {source}.{left}"
        )
    if steer is Steer.POST_COPY:
        return Question(
            f"Switch {vm} to post-copy, from {source} to {destination}?",
            f"The guest goes on at {destination} at once and fetches the rest of its memory from {source}. There is no "
            "way back: where the link or a host fails before it is done, the guest stops and may be lost.",
            destructive=True,
        )
    if steer is Steer.PAUSE_GUEST:
        job = move.job
        rest = None if job is None else job.memory_remaining_bytes or job.remaining_bytes
        seconds = rest / job.bytes_per_s if job is not None and rest is not None and job.bytes_per_s else None
        about = "" if rest is None else f": {size(rest)}" + ("" if seconds is None else f", about {span(seconds)}")
        return Question(
            f"Pause {vm} on {source} until it is at {destination}?",
            f"The guest stands still while the rest is sent{about}; it goes on at {destination}.",
        )
    return None
