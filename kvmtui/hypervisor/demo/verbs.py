"""What the writing calls do to a demo VM, and when QEMU or libvirt would refuse them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from kvmtui.hypervisor.demo.transfer import Transfer
from kvmtui.hypervisor.demo.vm import DemoVm
from kvmtui.hypervisor.demo.world import DemoHost, World
from kvmtui.hypervisor.errors import HypervisorError, InvalidState, JobCancelled, VmBusy
from kvmtui.model.actions import Verb
from kvmtui.model.vm import VmState

_REBOOT_S = (1.0, 4.0)
"""When after the request a rebooting guest stops working, and when it works again."""
_ALLOWED_DURING_JOB = frozenset({Verb.PAUSE, Verb.FORCE_OFF, Verb.CANCEL_JOB})

Operation = Callable[[World, DemoHost, DemoVm, float], Transfer | None]


def perform(world: World, host: DemoHost, vm: DemoVm, verb: Verb, now_s: float) -> Transfer | None:
    """Do `verb`; a returned transfer is what the caller has to wait for. Inside a transaction only."""
    world.take_failure(verb)
    holder = vm.job or vm.incoming
    if (holder is not None and verb not in _ALLOWED_DURING_JOB) or (vm.hung and verb is not Verb.FORCE_OFF):
        what = holder.operation if holder else "monitor"
        raise VmBusy(f"Timed out during operation: cannot acquire state change lock (held by {what})")
    return _OPERATIONS[verb](world, host, vm, now_s)


def need_active(vm: DemoVm) -> None:
    """Raise `InvalidState` for a VM that is off."""
    if not vm.state.active:
        raise InvalidState("Requested operation is not valid: domain is not running")


def abort(world: World, host: DemoHost, vm: DemoVm, now_s: float, error: HypervisorError) -> None:
    """End the VM's job without result: the VM goes on where it was."""
    transfer = vm.job
    if transfer is None:
        return
    vm.job = None
    if world.failures.pop("migrate resume", None):
        vm.change(now_s, VmState.PAUSED, "API error")
    elif transfer.interrupted is not None:
        vm.change(now_s, *transfer.interrupted)
    for other in world.hosts.values():
        arriving = other.vms.get(vm.spec.uuid)
        if arriving is not None and arriving.incoming is transfer:
            _send_back(other, vm, arriving, now_s)
            world.changed(other)
    transfer.finish(error)
    world.changed(host)


def _send_back(host: DemoHost, vm: DemoVm, arriving: DemoVm, now_s: float) -> None:
    """Take away what has arrived of a VM, unless the guest runs there already; disk copies stay, as with libvirt."""
    transfer = arriving.incoming
    if transfer is not None and transfer.post_copy:
        arriving.incoming = None
        arriving.change(now_s, VmState.RUNNING, "post-copy failed")
        vm.change(now_s, VmState.PAUSED, "post-copy failed")
        return
    host.end_run(arriving, now_s)
    del host.vms[vm.spec.uuid]
    if transfer is not None and transfer.disk_bytes:
        host.volumes |= {disk.path for disk in vm.spec.disks if disk.writable and disk.path}


def _start(world: World, host: DemoHost, vm: DemoVm, now_s: float) -> None:
    if vm.state.active:
        raise InvalidState("Requested operation is not valid: domain is already running")
    vm.launch(host.next_id(), now_s, VmState.RUNNING, "")
    world.changed(host)


def _shut_down(world: World, host: DemoHost, vm: DemoVm, now_s: float) -> None:
    need_active(vm)
    run = vm.id
    if vm.spec.uuid in world.stubborn:
        return

    def announce(due_s: float) -> None:
        # A guest that was paused, killed or moved meanwhile does not shut down any more.
        if vm.id == run and vm.responsive and vm.job is None:
            vm.change(due_s, VmState.SHUTTING_DOWN, "")
            world.changed(host)
            world.schedule(due_s + 0.5, finish)

    def finish(due_s: float) -> None:
        if vm.id == run and vm.state is VmState.SHUTTING_DOWN:
            world.stop(host, vm, due_s, VmState.SHUT_OFF, "")

    world.schedule(now_s + vm.spec.shutdown_s - 0.5, announce)


def _reboot(world: World, host: DemoHost, vm: DemoVm, now_s: float) -> None:
    need_active(vm)
    if vm.spec.uuid not in world.stubborn and vm.responsive:
        _restart_guest(world, host, vm, now_s + _REBOOT_S[0], now_s + _REBOOT_S[1])


def _reset(world: World, host: DemoHost, vm: DemoVm, now_s: float) -> None:
    need_active(vm)
    _restart_guest(world, host, vm, now_s, now_s + _REBOOT_S[1] - _REBOOT_S[0])


def _restart_guest(world: World, host: DemoHost, vm: DemoVm, from_s: float, until_s: float) -> None:
    """Let the guest stand still for a moment; its QEMU process, id and counters stay, as with libvirt."""
    run = vm.id

    def down(due_s: float) -> None:
        if vm.id == run:
            vm.rebooting = True
            vm.settle(due_s)
            world.changed(host)

    def up(due_s: float) -> None:
        if vm.id == run:
            vm.rebooting = False
            vm.booted_at_s = due_s
            vm.settle(due_s)
            world.changed(host)

    world.schedule(from_s, down)
    world.schedule(until_s, up)


def _pause(world: World, host: DemoHost, vm: DemoVm, now_s: float) -> None:
    need_active(vm)
    if vm.incoming is not None:
        raise InvalidState("Requested operation is not valid: the domain is being migrated in")
    if vm.state is not VmState.PAUSED:
        vm.change(now_s, VmState.PAUSED, "")
        world.changed(host)


def _resume(world: World, host: DemoHost, vm: DemoVm, now_s: float) -> None:
    need_active(vm)
    if vm.state is not VmState.PAUSED:
        raise InvalidState("Requested operation is not valid: domain is already running")
    vm.change(now_s, VmState.RUNNING, "")
    world.changed(host)


def _wake(world: World, host: DemoHost, vm: DemoVm, now_s: float) -> None:
    need_active(vm)
    if vm.state is VmState.SUSPENDED:
        vm.change(now_s, VmState.RUNNING, "")
        world.changed(host)


def _force_off(world: World, host: DemoHost, vm: DemoVm, now_s: float) -> None:
    need_active(vm)
    ended = HypervisorError("operation failed: domain is not running any more")
    if vm.incoming is not None:
        for other in world.hosts.values():
            leaving = other.vms.get(vm.spec.uuid)
            if leaving is not None and leaving.job is vm.incoming:
                abort(world, other, leaving, now_s, ended)
        return
    abort(world, host, vm, now_s, ended)
    world.stop(host, vm, now_s, VmState.SHUT_OFF, "forced off")


def _save(world: World, host: DemoHost, vm: DemoVm, now_s: float) -> Transfer:
    need_active(vm)
    if not vm.spec.persistent:
        raise InvalidState("Requested operation is not valid: cannot do managed save for transient domain")
    transfer = vm.job = Transfer("saving", now_s, vm.rss_bytes(now_s))
    transfer.interrupted = (vm.state, vm.reason)
    vm.change(now_s, VmState.PAUSED, "saving")
    world.changed(host)

    def finish(due_s: float) -> None:
        if not transfer.finished:
            world.stop(host, vm, due_s, VmState.SHUT_OFF, "saved")
            vm.saved = True
            transfer.finish()

    world.schedule(now_s + transfer.duration_s, finish)
    return transfer


def _autostart(enabled: bool) -> Operation:
    def operation(world: World, host: DemoHost, vm: DemoVm, now_s: float) -> None:
        if not vm.spec.persistent:
            raise InvalidState("Requested operation is not valid: cannot set autostart for transient domain")
        vm.autostart = enabled
        world.changed(host)

    return operation


def _cancel_job(world: World, host: DemoHost, vm: DemoVm, now_s: float) -> None:
    if vm.job is None:
        raise InvalidState("Requested operation is not valid: no job is active on the domain")
    if vm.job.post_copy:
        raise InvalidState("Requested operation is not valid: cannot abort migration in post-copy mode")
    what = "migration out job" if vm.job.operation == "migration" else "save job"
    abort(world, host, vm, now_s, JobCancelled(f"operation aborted: {what}: canceled by client"))


_OPERATIONS: Mapping[Verb, Operation] = MappingProxyType(
    {
        Verb.START: _start,
        Verb.SHUTDOWN: _shut_down,
        Verb.REBOOT: _reboot,
        Verb.RESET: _reset,
        Verb.PAUSE: _pause,
        Verb.RESUME: _resume,
        Verb.WAKE: _wake,
        Verb.FORCE_OFF: _force_off,
        Verb.SAVE: _save,
        Verb.AUTOSTART_ON: _autostart(True),
        Verb.AUTOSTART_OFF: _autostart(False),
        Verb.CANCEL_JOB: _cancel_job,
    }
)
