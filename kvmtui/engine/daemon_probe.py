"""Telling a daemon that one of its VMs holds up from one that does not answer at all."""

from collections.abc import Callable

from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.hypervisor.lanes import Call, HostLanes


class DaemonProbe:
    """Asks a daemon on a lane of its own, while a look takes long, what it can tell whatever its VMs do.

    libvirt holds a VM's lock for as long as it takes to kill a QEMU that hangs, and who lists all VMs waits for that.
    """

    def __init__(self, lanes: HostLanes) -> None:
        self._lanes = lanes
        self.begun = False
        """Whether it has been asked during this look."""
        self._call: Call | None = None

    @property
    def answered(self) -> bool:
        """Whether the daemon has answered during this look."""
        call = self._call
        return call is not None and call.done and call.future.exception() is None

    def begin(self, tell: Callable[[], None]) -> None:
        """Ask; `tell` is called from another thread when there is an answer."""
        self.begun = True
        try:
            self._call = self._lanes.start("probe", lambda connection: connection.facts())
        except HypervisorError:
            return
        self._call.future.add_done_callback(lambda _: tell())

    def end(self) -> None:
        """The look is over: nothing is expected any more."""
        if self._call is not None:
            self._lanes.drop("probe")
        self._call, self.begun = None, False
