"""Telling a daemon that one of its VMs holds up from one that does not answer, or not over this connection."""

from collections.abc import Callable

from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.hypervisor.lanes import Call, HostLanes


class DaemonProbe:
    """Asks a daemon over another connection while a look takes long.

    libvirt holds a VM's lock for as long as it takes to kill a QEMU that hangs, and who lists all VMs waits for that.
    Where another connection can list them, it is the first that stands still.
    """

    def __init__(self, lanes: HostLanes) -> None:
        self.begun = False
        """Whether it has been asked during this look."""
        self._lanes = lanes
        self._facts: Call | None = None
        self._list: Call | None = None
        self._listed_once = self._listed_before = False

    @property
    def held_up(self) -> bool:
        """Whether the daemon answers, but cannot list its VMs."""
        return _answered(self._facts) and not self._listed_before

    def begin(self, tell: Callable[[], None]) -> None:
        """Ask; `tell` is called from another thread when the daemon has answered."""
        self.begun = True
        try:
            self._facts = self._lanes.start("probe", lambda connection: connection.facts())
            self._list = self._lanes.start("probe", lambda connection: connection.light(1.0))
        except HypervisorError:
            return
        self._facts.future.add_done_callback(lambda _: tell())

    def tick(self) -> None:
        """Look whether the VMs can be listed after all; the look gets a tick more for its own answer."""
        self._listed_before = _answered(self._list) and self._listed_once
        self._listed_once = _answered(self._list)

    def end(self) -> None:
        """The look is over: nothing is expected any more."""
        if self.begun:
            self._lanes.drop("probe")
        self.begun = self._listed_once = self._listed_before = False
        self._facts = self._list = None


def _answered(call: Call | None) -> bool:
    return call is not None and call.done and call.future.exception() is None
