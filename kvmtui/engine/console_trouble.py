"""What becomes of a console that could not be attached to: by the error, and by what the fleet tells. Pure."""

from math import inf
from typing import NamedTuple

from kvmtui.engine.console_state import ConsoleState
from kvmtui.engine.whereabouts import has_left, why_absent
from kvmtui.hypervisor.errors import (
    CallTimedOut,
    ConnectFailed,
    ConsoleBusy,
    HypervisorError,
    InvalidState,
    LinkLost,
    NoConsole,
    VmGone,
)
from kvmtui.model.actions import virsh_line
from kvmtui.model.fleet import Fleet
from kvmtui.model.vm import VmKey

_BY_ITSELF = "it is tried again by itself"
_NOT_FREE = f"another client has it, or the host has not let go of the last session yet; {_BY_ITSELF}"
# After these the same may succeed in a moment, when the VM runs again or its host is back.
_PASSING = (LinkLost, ConnectFailed, CallTimedOut, VmGone)


class Trouble(NamedTuple):
    """How the console stands now."""

    state: ConsoleState
    message: str
    connected: bool = False
    """Whether the connection is kept: a guest is attached to as soon as it starts, or the other client leaves."""


def trouble(error: HypervisorError, fleet: Fleet, key: VmKey, *, lingers: bool, was_ours: bool) -> Trouble:
    """Return what follows from an error.

    With `lingers` the host may still hold our own last session; with `was_ours` the console was open here until then.
    """
    if isinstance(error, InvalidState):
        why = why_absent(fleet, key, -inf) if has_left(fleet, key, -inf) else f"{error}; {_BY_ITSELF}"
        return Trouble(ConsoleState.WAITING, why, connected=True)
    if isinstance(error, _PASSING):
        return Trouble(ConsoleState.WAITING, f"{error}; {_BY_ITSELF}")
    if isinstance(error, ConsoleBusy) and lingers:
        return Trouble(ConsoleState.WAITING, _NOT_FREE)
    if isinstance(error, ConsoleBusy):
        what = "has taken this console over" if was_ours else "has this console open"
        who = f"another client {what} (libvirt does not tell who)"
        then = "it is attached here when that one leaves; taking it over ends that session"
        return Trouble(ConsoleState.HELD, f"{who}: {then}", connected=True)
    return Trouble(ConsoleState.ENDED, _how_to_add(error, fleet, key) if isinstance(error, NoConsole) else str(error))


def _how_to_add(error: HypervisorError, fleet: Fleet, key: VmKey) -> str:
    vm = fleet.vm(key)
    edit = virsh_line(key.host, "edit", vm.name if vm is not None else "", key.uuid)
    return (
        f"{error}. Add a serial console: {edit}, and among its devices <serial type='pty'/>; then shut the VM down "
        "and start it. In the guest: console=ttyS0 on the kernel's command line, and a login there: "
        "systemctl enable --now serial-getty@ttyS0"
    )
