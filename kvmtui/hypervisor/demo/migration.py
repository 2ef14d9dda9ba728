"""Moving a demo VM: on two hosts at once while it lasts, on one of them in the end."""

from kvmtui.hypervisor.demo.transfer import Transfer
from kvmtui.hypervisor.demo.verbs import need_active
from kvmtui.hypervisor.demo.vm import DemoVm
from kvmtui.hypervisor.demo.world import DemoHost, World
from kvmtui.hypervisor.errors import (
    ConnectFailed,
    HypervisorError,
    InvalidState,
    MigrationUnsafe,
    NotPermitted,
    VmBusy,
)
from kvmtui.model.migration import MigrationOptions
from kvmtui.model.vm import VmState


def begin(
    world: World, source: DemoHost, vm: DemoVm, target: DemoHost, options: MigrationOptions, now_s: float
) -> Transfer:
    """Start moving `vm`; inside a transaction only."""
    world.take_failure("migrate")
    _check(source, vm, target, options)
    spec = vm.spec
    disks = spec.disk_bytes if options.copy_disks else 0
    transfer = Transfer("migration", now_s, vm.rss_bytes(now_s), disks, dirtying=vm.responsive)
    arriving = DemoVm(spec)
    arriving.launch(target.next_id(), now_s, VmState.PAUSED, "migrating")
    arriving.incoming = vm.job = transfer
    target.vms[spec.uuid] = arriving
    world.changed(source)
    world.changed(target)

    def finish(due_s: float) -> None:
        if transfer.finished:
            return
        arriving.incoming = None
        arriving.autostart = vm.autostart
        arriving.booted_at_s = vm.booted_at_s
        arriving.change(due_s, vm.state, vm.reason)
        source.end_run(vm, due_s)
        vm.change(due_s, VmState.SHUT_OFF, "migrated")
        del source.vms[spec.uuid]
        transfer.finish()
        world.changed(source)
        world.changed(target)

    world.schedule(now_s + transfer.duration_s, finish)
    return transfer


def _check(source: DemoHost, vm: DemoVm, target: DemoHost, options: MigrationOptions) -> None:
    """Raise what libvirt would before anything moves."""
    need_active(vm)
    if vm.state not in (VmState.RUNNING, VmState.PAUSED):
        raise InvalidState(f"Requested operation is not valid: domain is {vm.state}")
    if vm.hung or vm.job or vm.incoming:
        raise VmBusy("Timed out during operation: cannot acquire state change lock")
    if target is source:
        raise HypervisorError(f"internal error: attempt to migrate guest to the same host {source.spec.uuid}")
    if target.down is not None:
        raise ConnectFailed(target.down)
    if target.writes_denied:
        raise NotPermitted("authentication unavailable: no polkit agent available to authenticate")
    if vm.spec.uuid in target.vms:
        raise HypervisorError(f"operation failed: domain with uuid {vm.spec.uuid} already exists")
    if vm.spec.local_disk and not options.copy_disks:
        raise MigrationUnsafe("Unsafe migration: Migration without shared storage is unsafe")
