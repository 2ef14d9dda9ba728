"""Where a VM can be attached to, as the fleet tells, once a console of it has ended."""

from kvmtui.model.fleet import Fleet
from kvmtui.model.host import Host, Link
from kvmtui.model.vm import Vm, VmKey, VmState

AWAY = frozenset({"migrating", "post-copy"})
"""Why a VM is paused that is on its way from or to this host."""


def find_vm(fleet: Fleet, key: VmKey, since_s: float) -> VmKey | None:
    """Return where the VM is, on its own host or another; None while it is nowhere, or its host was not seen since."""
    own = fleet.hosts.get(key.host)
    if own is not None and own.link is Link.UP:
        if not _seen(own, since_s):
            return None
        if _stays(own.vms.get(key.uuid)):
            return key
    for host in fleet.hosts.values():
        if host is not own and host.link is Link.UP and _stays(host.vms.get(key.uuid)):
            return VmKey(host.key, key.uuid)
    return None


def has_left(fleet: Fleet, key: VmKey, since_s: float) -> bool:
    """Return whether its host was seen since then and does not run the VM any more."""
    own = fleet.hosts.get(key.host)
    if own is None or own.link is not Link.UP or not _seen(own, since_s):
        return False
    vm = own.vms.get(key.uuid)
    return vm is None or not vm.state.active


def why_absent(fleet: Fleet, key: VmKey, since_s: float) -> str:
    """Return why `find_vm` finds nothing, and what is waited for; "" while nothing newer is known."""
    own = fleet.hosts.get(key.host)
    if own is None or own.link is not Link.UP:
        return "its host does not answer; it is attached when it does"
    if not _seen(own, since_s):
        return ""
    vm = own.vms.get(key.uuid)
    if vm is None:
        return "the VM is on none of the hosts watched here; it is attached when it comes back"
    if vm.state.active:
        return "the VM is on its way to another host; it is attached there"
    return f"the VM is {vm.state}; it is attached when it starts"


def is_held_for_move(vm: Vm | None) -> bool:
    """Return whether a VM stands still for it is on its way from or to its host."""
    return vm is not None and vm.state is VmState.PAUSED and vm.reason in AWAY


def _seen(host: Host, since_s: float) -> bool:
    return host.sampled_at_s is not None and host.sampled_at_s > since_s


def _stays(vm: Vm | None) -> bool:
    """Whether a VM is there, and not just on its way from or to that host."""
    return vm is not None and vm.state.active and not is_held_for_move(vm)
