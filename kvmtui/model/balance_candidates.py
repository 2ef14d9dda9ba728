"""Which VMs may be moved, and why the others may not."""

from kvmtui.model.balance_load import Limits, VmLoad
from kvmtui.model.balance_standing import Site, Standing
from kvmtui.model.balance_words import amount, cores, span


def why_not(vm: VmLoad, limits: Limits, now_s: float, *, emptying: bool) -> str:
    """Return why a VM is not to be moved, wherever to, in words; empty where it may be.

    A host that is to be emptied gives away VMs that were moved lately, too: it is a worse place to stay.
    """
    if vm.immovable:
        return vm.immovable
    if vm.pinned:
        return "it is pinned to its host"
    if vm.unknown:
        return vm.unknown
    if not emptying and vm.moved_at_s is not None and now_s - vm.moved_at_s < limits.cooldown_s:
        return f"it was moved {span(now_s - vm.moved_at_s)} ago and stays for {span(limits.cooldown_s)}"
    return ""


def seconds(vm: VmLoad, limits: Limits) -> float:
    """Return about how long a move takes, were nothing written meanwhile that is copied again."""
    return limits.overhead_s + (vm.copy_bytes or 0) / limits.bandwidth_bytes_per_s


def why_nowhere(vm: VmLoad, source: Site, standing: Standing) -> str:
    """Return why a VM can go to no other host, in words; empty where it can."""
    limits = standing.limits
    others = [site for site in standing.targets() if site is not source]
    if not others:
        return "there is no other host that takes VMs"
    open_to_it = [site for site in others if not standing.barred(vm, site)]
    if not open_to_it:
        reasons = dict.fromkeys(standing.barred(vm, site) for site in others)
        return "; ".join(list(reasons)[:2]) + ("; …" if len(reasons) > 2 else "")
    reasons = dict.fromkeys(standing.broken(vm, site) for site in open_to_it)
    if "" in reasons:
        return ""
    roomiest = max(open_to_it, key=lambda site: site.room_bytes(limits))
    if (room := roomiest.room_bytes(limits)) < (vm.memory_bytes or 0):
        needed = amount(vm.memory_bytes or 0)
        most = f"needs {needed}, the most free within limits is {amount(room)} on {roomiest.load.name}"
        return most if room > 0 else roomiest.full(limits)
    idlest = max(open_to_it, key=lambda site: site.room_cores(limits))
    if (room := idlest.room_cores(limits)) < (vm.cores_used or 0.0):
        most = f"needs {cores(vm.cores_used or 0.0)}, the most free within limits is {room:.1f} on {idlest.load.name}"
        return most if room > 0 else idlest.full(limits)
    return "; ".join(list(reasons)[:2]) + ("; …" if len(reasons) > 2 else "")
