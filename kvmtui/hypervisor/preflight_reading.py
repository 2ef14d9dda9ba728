"""Asking a host many things of which some may not be answered: each answer, or why there is none."""

from collections.abc import Callable
from typing import Any, TypeVar

from kvmtui.hypervisor.errors import HypervisorError, LinkLost, NotPermitted, NotSupported
from kvmtui.hypervisor.library import libvirt, translate
from kvmtui.hypervisor.preflight_capabilities import HostCapabilities, parse_capabilities
from kvmtui.model.clean import clean
from kvmtui.model.preflight_values import HostIdentity

T = TypeVar("T")


class Reading:
    """Asks one connection, and remembers what was not answered."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.unread: dict[str, str] = {}
        """Why there is no answer, by what was asked for."""

    def ask(self, what: str, call: Callable[[], T]) -> T | None:
        """Return the answer; None where this host cannot or may not tell. A lost link is raised."""
        try:
            return call()
        except libvirt().libvirtError as error:
            failure = translate(error, self.connection)
        except HypervisorError as error:
            failure = error
        if isinstance(failure, LinkLost):
            raise failure
        self.unread[what] = _reason(failure)
        return None

    def find(self, what: str, call: Callable[[], T], *codes: int) -> T | None:
        """Return what is looked for; None where the error, by its code, says that there is no such thing."""
        return self.ask(what, lambda: missing(call, *codes))

    def capabilities(self) -> HostCapabilities:
        """Return what the host tells of itself."""
        found = self.ask("capabilities", lambda: parse_capabilities(self.connection.getCapabilities()))
        return found or HostCapabilities("", None, None, None, ())

    def identity(self, told: HostCapabilities) -> HostIdentity:
        """Return which host it is."""
        return HostIdentity(
            name=clean(self.ask("name", self.connection.getHostname) or "the host", 60),
            uuid=told.uuid,
            libvirt_version=self.ask("versions", self.connection.getLibVersion),
            hypervisor_version=self.ask("versions", self.connection.getVersion),
            cpu=told.cpu,
        )


def missing(call: Callable[[], T], *codes: int) -> T | None:
    """Return what is looked for; None where the error, by its code, says that there is no such thing."""
    module = libvirt()
    try:
        return call()
    except module.libvirtError as error:
        if error.get_error_code() in codes:
            return None
        raise


def _reason(failure: HypervisorError) -> str:
    if isinstance(failure, NotPermitted):
        return "this connection may only look" if "read only" in str(failure) else str(failure)
    return f"this host cannot tell ({failure})" if isinstance(failure, NotSupported) else str(failure)
