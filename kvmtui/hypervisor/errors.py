"""The few kinds of failure that anything above this layer has to tell apart."""


class HypervisorError(Exception):
    """A call to a host failed; the text is one cleaned line."""


class LibraryMissing(HypervisorError):
    """The libvirt binding cannot be imported."""


class LinkLost(HypervisorError):
    """The connection is gone; nothing can be said about what a pending call did."""


class ConnectFailed(HypervisorError):
    """The host could not be reached, or refused the connection."""


class NotPermitted(HypervisorError):
    """The daemon does not allow this user or this connection to do that."""


class VmGone(HypervisorError):
    """The VM does not exist on this host any more."""


class VmBusy(HypervisorError):
    """Another job holds the VM."""


class InvalidState(HypervisorError):
    """The VM is not in a state in which that can be done."""


class NotSupported(HypervisorError):
    """This host's libvirt or driver cannot do that."""


class JobCancelled(HypervisorError):
    """The job was cancelled on request; the VM goes on where it was."""


class MigrationUnsafe(HypervisorError):
    """Libvirt sees disks that the destination may not share."""


class ConsoleBusy(HypervisorError):
    """Another client holds the VM's console."""


class NoConsole(HypervisorError):
    """The VM has no serial console that libvirt can open."""


class CallTimedOut(HypervisorError):
    """No answer came in time; the call may still be under way."""


class NotStarted(CallTimedOut):
    """The call was given up before it began: nothing was done."""
