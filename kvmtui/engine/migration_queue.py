"""Which of the migrations that wait may start: so many at once from a host, and so many to it. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence

from kvmtui.model.migration import MigrationRequest

AT_ONCE = 2
"""More share the link without any being done earlier, and each one's last pass gets longer (vdsm has the same two)."""


def next_to_start(waiting: Sequence[MigrationRequest], under_way: Iterable[MigrationRequest]) -> list[MigrationRequest]:
    """Return those that may start now, in the order they were asked for."""
    leaving: Counter[str] = Counter()
    arriving: Counter[str] = Counter()
    for request in under_way:
        leaving[request.key.host] += 1
        arriving[request.destination] += 1
    chosen = []
    for request in waiting:
        source, destination = request.key.host, request.destination
        if leaving[source] < AT_ONCE and arriving[destination] < AT_ONCE:
            chosen.append(request)
            leaving[source] += 1
            arriving[destination] += 1
    return chosen
