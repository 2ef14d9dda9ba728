"""What the engine asks of a host. libvirt (`libvirt_connection`) and the demo (`demo`) both answer."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from kvmtui.hypervisor.samples import DeepVm, Flags, Identity, LightSample, NodeSample
from kvmtui.model.actions import Verb
from kvmtui.model.host import HostFacts
from kvmtui.model.migration import RepairKind, Steer
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.vm import Job, VmConfig

if TYPE_CHECKING:
    from kvmtui.hypervisor.health_book import HealthBook
    from kvmtui.model.preflight_values import GuestNeeds, HostOffers
    from kvmtui.model.sharing import Mark


class ConsoleStream(Protocol):
    """An open serial console; a stream is used by the thread of its connection."""

    def write(self, data: bytes) -> int:
        """Send bytes to the guest and return how many were taken; blocks while the host takes none."""

    def send_break(self) -> str:
        """Let the guest see a break on the line and return what was done; raises `NotSupported`."""

    def close(self) -> None:
        """End the stream; the connection stays."""


class ConsoleSink(Protocol):
    """Where a console's bytes go; called from a foreign thread, must only store and return."""

    def output(self, data: bytes) -> None:
        """Take what the guest wrote."""

    def ended(self, reason: str, *, by_host: bool) -> None:
        """Take note that nothing more will come, and why.

        `by_host` says that the host told so over a link that is in order.
        """


class Connection(Protocol):
    """One connection to one host, used by one thread, one call at a time.

    Every call may block without limit and may raise a `HypervisorError`.
    """

    def facts(self) -> HostFacts:
        """Return what does not change while the connection lasts."""

    def light(self, interval_s: float) -> LightSample:
        """Return state, CPU time, memory and network counters of all VMs without asking any QEMU."""

    def flags(self) -> Flags:
        """Return persistence, autostart and managed save of all VMs."""

    def node(self) -> NodeSample:
        """Return how the host itself fares."""

    def deep(self, uuids: Sequence[str]) -> tuple[DeepVm, ...]:
        """Return ready time, guest memory and disk counters; blocks for ever on a QEMU that hangs.

        Nothing is told of a VM that another client's call has at this moment, be it short or for ever.
        """

    def silent(self, uuids: Sequence[str]) -> Mapping[str, float]:
        """Return those VMs whose QEMU owes libvirt an answer, with the seconds it has owed it; never blocks on QEMU.

        NaN stands for how long where libvirt tells only that a job, such as a migration, has the VM.
        """

    def health(self, book: "HealthBook") -> None:
        """Read into the book, item by item, what the host's health is judged by; asks no QEMU."""

    def config(self, uuid: str) -> VmConfig:
        """Return what the VM's definition says."""

    def identity(self, uuid: str) -> Identity:
        """Return what the VM is at this instant."""

    def perform(self, verb: Verb, uuid: str) -> None:
        """Do `verb`; returns when libvirt has taken it."""

    def job(self, uuid: str) -> Job | None:
        """Return the VM's running job, or None."""

    def known_paths(self, paths: Collection[str]) -> frozenset[str]:
        """Return those of `paths` that a storage pool of this host holds a volume at."""

    def volumes(self, paths: Collection[str]) -> Mapping[str, "Mark"]:
        """Return what those of `paths` can be known by that a storage pool of this host holds a volume at."""

    def needs(self, uuid: str) -> "GuestNeeds":
        """Return what the VM asks of a destination; what needs a connection for writing is unknown without one."""

    def offers(self, needs: "GuestNeeds") -> "HostOffers":
        """Return what this host can give to that VM; what needs a connection for writing is unknown without one."""

    def migrate(self, uuid: str, destination: str, options: MigrationOptions, *, peer_to_peer: bool) -> None:
        """Move a VM to the host at the URI `destination`; returns when it is there."""

    def steer(self, uuid: str, what: Steer, value: int | None = None) -> None:
        """Change the VM's migration that is under way."""

    def repair(self, uuid: str, kind: RepairKind, destination: str = "", *, peer_to_peer: bool = True) -> None:
        """Mend what a migration to `destination` left on this host; disk copies are `delete_volumes`' business.

        `peer_to_peer` is how the hosts connect again, where they have to.
        """

    def absent_volumes(self, paths: Collection[str]) -> Mapping[str, int]:
        """Return those of `paths` that are proven not to exist on this host, with the sizes of their file systems."""

    def delete_volumes(self, volumes: Mapping[str, int]) -> None:
        """Delete what `absent_volumes` once told to be absent; raises and deletes nothing where a VM of this host uses
        any of it, or its file system is another now.
        """

    def open_console(
        self, uuid: str, sink: ConsoleSink, device: str | None = None, *, force: bool = False
    ) -> ConsoleStream:
        """Attach to a serial console, the first where no device is named.

        Raises `ConsoleBusy` where another client holds it, unless `force` is to end that one's session, and
        `NoConsole` where there is none.
        """

    def close(self) -> None:
        """Close the connection; never raises."""


class Backend(Protocol):
    """Opens connections to hosts."""

    def open(self, uri: str, *, read_only: bool, on_event: Callable[[], None] | None = None) -> Connection:
        """Open a connection; blocks.

        `on_event` is called from a foreign thread when something on the host changed or the link broke, and must
        only take note of it; without it no events are asked for.
        """
