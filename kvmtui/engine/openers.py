"""How each kind of lane of a host connects: for reading wherever that is enough."""

from collections.abc import Callable
from contextlib import suppress

from kvmtui.hypervisor.errors import NotPermitted
from kvmtui.hypervisor.lanes import Opener
from kvmtui.hypervisor.protocol import Backend, Connection


def openers(backend: Backend, uri: str, *, read_only: bool, woken: Callable[[], None]) -> dict[str, Opener]:
    """Return how the lanes of a host connect, by kind; `woken` is called when something has happened on it."""

    def reading() -> Connection:
        return backend.open(uri, read_only=True)

    def as_much_as_allowed() -> Connection:
        # Without a connection for writing libvirt tells less.
        if not read_only:
            with suppress(NotPermitted):
                return backend.open(uri, read_only=False)
        return reading()

    return {
        "watch": lambda: backend.open(uri, read_only=True, on_event=woken),
        "deep": reading,
        "jobs": reading,
        "probe": reading,
        "act": lambda: backend.open(uri, read_only=read_only),
        "plans": reading,
        "health": reading,
        "preflight": as_much_as_allowed,
    }


def console_opener(backend: Backend, uri: str, why_not: str) -> Opener:
    """Return how a console of a host connects; `why_not` says why the host may not be written to, or is empty."""

    def open_it() -> Connection:
        if why_not:
            raise NotPermitted(f"{why_not}, and a console writes to the guest")
        return backend.open(uri, read_only=False)

    return open_it
