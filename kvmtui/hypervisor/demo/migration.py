"""Moving a demo VM: on two hosts at once while it lasts, on one of them in the end."""

from collections.abc import Callable
from math import isfinite

from kvmtui.hypervisor.demo.transfer import Transfer
from kvmtui.hypervisor.demo.verbs import abort, need_active, perform
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
from kvmtui.model.actions import Verb
from kvmtui.model.migration import RepairKind, Steer
from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.vm import VmState

_DIRTY_SHARES = {"build": 1.6}
"""By role: guests that write their memory faster than it can be sent."""
HALFWAY, RESUME, PERSIST, UNDEFINE = "migrate halfway", "migrate resume", "migrate persist", "migrate undefine"
"""What `World.failures` can let fail beside "migrate" itself: midway, the guest's going on, the definitions."""


def begin(
    world: World, source: DemoHost, vm: DemoVm, target: DemoHost, options: MigrationOptions, now_s: float
) -> Transfer | None:
    """Start moving `vm`; a returned transfer is what the caller has to wait for. Inside a transaction only."""
    world.take_failure("migrate")
    _check(source, vm, target, options)
    if options.offline:
        _hand_over(world, source, vm, target, options)
        return None
    spec = vm.spec
    disks = spec.disk_bytes if options.disks is not DiskMove.SHARED else 0
    transfer = Transfer(
        "migration",
        now_s,
        vm.rss_bytes(now_s),
        disks,
        dirtying=vm.responsive,
        dirty_share=_DIRTY_SHARES.get(spec.role, 0.22),
        auto_converge=options.auto_converge,
    )
    transfer.may_post_copy = options.post_copy
    limit = (options.bandwidth_mib_per_s or 0) * 1024**2
    transfer.settle(now_s, limit_bytes_per_s=limit, stopped=source.cut_off or target.cut_off)
    arriving = DemoVm(spec)
    arriving.launch(target.next_id(), now_s, VmState.PAUSED, "migrating")
    arriving.incoming = vm.job = transfer
    target.vms[spec.uuid] = arriving
    was = vm.state, vm.reason
    world.changed(source)
    world.changed(target)
    if error := world.failures.pop(HALFWAY, None):
        halfway_s = now_s + transfer.duration_s / 2
        world.schedule(halfway_s, lambda due_s: abort(world, source, vm, due_s, error) if vm.job is transfer else None)

    def finish(due_s: float) -> None:
        error = _arrive(world, arriving, was if not transfer.post_copy else (VmState.RUNNING, ""), options, due_s)
        arriving.autostart = vm.autostart
        arriving.booted_at_s = vm.booted_at_s
        source.end_run(vm, due_s)
        if disks:
            # libvirt leaves them where they were.
            source.volumes |= {disk.path for disk in spec.disks if disk.writable and disk.path}
        vm.change(due_s, VmState.SHUT_OFF, "migrated")
        if UNDEFINE not in world.failures and (options.undefine_source or not vm.defined):
            del source.vms[spec.uuid]
        world.failures.pop(UNDEFINE, None)
        target.volumes -= {disk.path for disk in spec.disks if disk.path}
        transfer.finish(error)
        world.changed(source)
        world.changed(target)

    arrange(world, transfer, finish)
    return transfer


def arrange(world: World, transfer: Transfer, finish: Callable[[float], None]) -> None:
    """Have the passes follow each other, and `finish` called when all is sent."""
    turn = transfer.turn

    def step(due_s: float) -> None:
        if transfer.finished or transfer.turn != turn:
            return
        if transfer.next_pass(due_s):
            arrange(world, transfer, finish)
        else:
            finish(due_s)

    transfer.rearrange = lambda: arrange(world, transfer, finish)
    if isfinite(transfer.pass_ends_at_s):
        world.schedule(transfer.pass_ends_at_s, step)


def _arrive(
    world: World, arriving: DemoVm, was: tuple[VmState, str], options: MigrationOptions, now_s: float
) -> HypervisorError | None:
    """Let the guest go on at the destination; return what libvirt complains of."""
    arriving.incoming = None
    if error := world.failures.pop(RESUME, None):
        arriving.change(now_s, VmState.PAUSED, "API error")
        return error
    arriving.change(now_s, *was)
    arriving.defined = arriving.defined and options.persist
    if error := world.failures.pop(PERSIST, None):
        arriving.defined = False
        return error
    return None


def steer(world: World, host: DemoHost, vm: DemoVm, what: Steer, value: int, now_s: float) -> None:
    """Change a migration under way; inside a transaction only."""
    transfer = vm.job
    if transfer is None or transfer.operation != "migration":
        raise InvalidState("Requested operation is not valid: domain is not being migrated")
    world.take_failure(what.value)
    if what is Steer.DOWNTIME:
        transfer.downtime_s = value / 1000
    elif what is Steer.ABORT:
        perform(world, host, vm, Verb.CANCEL_JOB, now_s)
    elif what is Steer.PAUSE_GUEST:
        transfer.interrupted = transfer.interrupted or (vm.state, vm.reason)
        vm.change(now_s, VmState.PAUSED, "migrating")
        transfer.freeze_guest()
    else:
        if what is Steer.BANDWIDTH:
            transfer.settle(now_s, limit_bytes_per_s=value * 1024**2)
        else:
            _begin_post_copy(world, vm, transfer, now_s)
        transfer.rearrange()
    world.changed(host)


def _begin_post_copy(world: World, vm: DemoVm, transfer: Transfer, now_s: float) -> None:
    if not transfer.may_post_copy:
        raise InvalidState("Requested operation is not valid: post-copy was not asked for when it began")
    transfer.settle(now_s)
    transfer.begin_post_copy()
    vm.change(now_s, VmState.PAUSED, "post-copy")
    for other in world.hosts.values():
        arriving = other.vms.get(vm.spec.uuid)
        if arriving is not None and arriving.incoming is transfer:
            arriving.change(now_s, VmState.RUNNING, "post-copy")
            world.changed(other)


def repair(
    world: World, host: DemoHost, vm: DemoVm, kind: RepairKind, target: DemoHost | None, now_s: float
) -> Transfer | None:
    """Mend what a migration left; a returned transfer is to be waited for. Inside a transaction only."""
    world.changed(host)
    if kind is RepairKind.RECOVER_POST_COPY and target is not None:
        return _recover(world, host, vm, target, now_s)
    if kind is RepairKind.ABORT_JOB:
        perform(world, host, vm, Verb.CANCEL_JOB, now_s)
    elif kind is RepairKind.UNDEFINE_SOURCE:
        if vm.state.active:
            raise InvalidState("Requested operation is not valid: domain is running")
        del host.vms[vm.spec.uuid]
    elif kind is RepairKind.DEFINE_DESTINATION:
        vm.defined = True
    else:
        perform(world, host, vm, Verb.RESUME, now_s)
    return None


def _recover(world: World, source: DemoHost, vm: DemoVm, target: DemoHost, now_s: float) -> Transfer:
    arriving = target.vm(vm.spec.uuid)
    transfer = Transfer("migration", now_s, max(1, vm.rss_bytes(now_s) // 4))
    transfer.begin_post_copy()
    arriving.incoming = vm.job = transfer
    vm.change(now_s, VmState.PAUSED, "post-copy")
    arriving.change(now_s, VmState.RUNNING, "post-copy")
    vm.job, arriving.incoming = transfer, transfer

    def finish(due_s: float) -> None:
        arriving.incoming = None
        arriving.change(due_s, VmState.RUNNING, "")
        source.end_run(vm, due_s)
        vm.change(due_s, VmState.SHUT_OFF, "migrated")
        del source.vms[vm.spec.uuid]
        transfer.finish()
        world.changed(source)
        world.changed(target)

    arrange(world, transfer, finish)
    return transfer


def _hand_over(world: World, source: DemoHost, vm: DemoVm, target: DemoHost, options: MigrationOptions) -> None:
    """Move the definition of a VM that is off."""
    target.vms[vm.spec.uuid] = DemoVm(vm.spec, autostart=vm.autostart)
    if options.undefine_source:
        del source.vms[vm.spec.uuid]
    world.changed(source)
    world.changed(target)


def _check(source: DemoHost, vm: DemoVm, target: DemoHost, options: MigrationOptions) -> None:
    """Raise what libvirt would before anything moves."""
    if options.offline and vm.state.active:
        raise InvalidState("Requested operation is not valid: domain is running")
    if not options.offline:
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
    if vm.spec.local_disk and options.disks is DiskMove.SHARED and not options.offline and not options.unsafe:
        raise MigrationUnsafe("Unsafe migration: Migration without shared storage is unsafe")
