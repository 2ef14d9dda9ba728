"""The rules for VMs: what happened to them, and what will."""

from collections.abc import Iterator

from kvmtui.model.findings_values import Basis, Found, Rule, Severity, untold
from kvmtui.model.health import VmHealth
from kvmtui.model.vm import MemorySource

_DAY_S = 86400.0
_OWED_S = 30.0
_BALLOON_LATE_S = 60.0
_LISTENED_S = 30.0
_LOST_SHARE, _LOST_LEAST = 0.01, 100
_SHOWN = 3
_READY_CRITICAL = 4
_OFF = -1
BAD_ENDS = {
    "I/O error": (Severity.CRITICAL, "free or mend its storage, then: virsh resume"),
    "watchdog": (Severity.CRITICAL, "its guest hung and the watchdog stopped it: see its console, then virsh resume"),
    "guest crashed": (Severity.CRITICAL, "its guest's kernel crashed: see its console (c), then virsh reset"),
    "panicked": (Severity.CRITICAL, "its guest's kernel crashed: virsh start"),
    "crashed": (Severity.CRITICAL, "its QEMU crashed: /var/log/libvirt/qemu/ says why; virsh start"),
    "post-copy failed": (
        Severity.CRITICAL,
        "half its memory is elsewhere: w says what can be done",
    ),
    "API error": (Severity.CRITICAL, "an action on it failed half-way: virsh resume"),
    "failed to start": (Severity.WARNING, "virsh start says why"),
}
"""Reasons of a state that nobody asked for."""


def ended(basis: Basis) -> Rule:
    """Whether a VM stands still, or is off, for a reason that nobody asked for."""
    vms = basis.host.vms
    if BAD_ENDS.keys().isdisjoint(vms.reasons):
        return
    for uuid, at in vms.index.items():
        if (found := BAD_ENDS.get(vms.reasons[at])) is not None:
            severity, advice = found
            yield Found(severity, f"it is {vms.states[at]}: {vms.reasons[at]}", advice, uuid=uuid)


def silent(basis: Basis) -> Rule:
    """Whether a QEMU does not answer."""
    host, seen = basis.host, set()
    for uuid, since_s in host.vms.silent.items():
        seen.add(uuid)
        yield _silent(uuid, f"its monitor has been silent for {basis.now_s - since_s:.0f} s", since_s)
    for uuid, vm in _looked_at(basis):
        if uuid in seen:
            continue
        if vm.owed_s is not None and vm.owed_s >= _OWED_S:
            evidence = f"its QEMU has owed libvirt an answer for {vm.owed_s:.0f} s"
            yield _silent(uuid, evidence, basis.look.taken_at_s - vm.owed_s)
        elif vm.process:
            yield _silent(uuid, f"its QEMU process {vm.process}", None)


def _silent(uuid: str, evidence: str, since_s: float | None) -> Found:
    advice = "is its storage reachable? A stopped process goes on by kill -CONT; if nothing helps: virsh destroy"
    return Found(Severity.CRITICAL, evidence, advice, uuid=uuid, since_s=since_s)


def autostart(basis: Basis) -> Rule:
    """Whether a VM that should run with the host does not."""
    vms = basis.host.vms
    if vms.autostart is None:
        yield untold("which VMs start with the host is not told yet")
        return
    for uuid in vms.autostart & vms.index.keys():
        at = vms.index[uuid]
        if not vms.states[at].active:
            reason = f" ({vms.reasons[at]})" if vms.reasons[at] else ""
            yield Found(
                Severity.WARNING,
                f"it is set to start with the host, and is {vms.states[at]}{reason}",
                "start it (s), or take the setting away (a): virsh autostart --disable",
                uuid=uuid,
            )


def saved(basis: Basis) -> Rule:
    """Whether a managed save waits that somebody may have forgotten."""
    vms = basis.host.vms
    if vms.saved is None:
        yield untold("which VMs have a saved run is not told yet")
        return
    for uuid in vms.saved & vms.index.keys():
        runs = vms.states[vms.index[uuid]].active
        yield Found(
            Severity.WARNING if runs else Severity.NOTE,
            "it runs, and an image of an earlier run is kept" if runs else "its next start resumes a saved run",
            "virsh managedsave-remove drops it" if runs else "start it (s), or virsh managedsave-remove for a boot",
            uuid=uuid,
        )


def ready(basis: Basis) -> Rule:
    """Whether vCPUs wait for a host CPU."""
    limit, vms, unseen = basis.limits.ready, basis.host.vms, 0
    for uuid, at in vms.index.items():
        deep = vms.deep.get(uuid)
        if deep is None or deep.ready_fraction is None:
            unseen += vms.states[at].executing
            continue
        if deep.ready_fraction >= limit:
            yield Found(
                Severity.CRITICAL if deep.ready_fraction >= _READY_CRITICAL * limit else Severity.WARNING,
                f"its vCPUs waited {deep.ready_fraction:.1%} of the time for a host CPU (its guest sees steal)",
                "migrate it, or others, away (key B)",
                uuid=uuid,
            )
    yield from _not_told((unseen, f"it takes two looks: how long vCPUs of {_vms(unseen)} wait"))


def balloon(basis: Basis) -> Rule:
    """Whether a guest does not tell its memory, or has stopped to."""
    unasked, unseen = 0, 0
    for uuid, vm in _looked_at(basis):
        if not _executes(basis, uuid):
            continue
        if not vm.balloon_period_s:
            unasked += 1
            continue
        deep = basis.host.vms.deep.get(uuid)
        memory = None if deep is None else deep.memory
        told = memory is not None and memory.source is MemorySource.BALLOON
        since_s = memory.taken_at_s if memory is not None and told else _ran_at_s(basis, uuid)
        if deep is None or since_s is None:
            unseen += 1
            continue
        age_s = deep.taken_at_s - since_s
        if age_s > max(_BALLOON_LATE_S, 3 * vm.balloon_period_s):
            what = f"last told its memory {age_s:.0f} s ago" if told else f"has not told its memory for {age_s:.0f} s"
            yield Found(
                Severity.NOTE,
                f"its guest {what}; it should every {vm.balloon_period_s} s",
                "is its balloon driver loaded, and its guest alive? See its console (c)",
                uuid=uuid,
                since_s=since_s,
            )
    yield from _not_told(
        (unseen, f"it takes watching: how old the memory figures of {_guests(unseen)} are"),
        (unasked, f"it is not asked of {_guests(unasked)} (virsh dommemstat VM --period 5 --live --config)"),
    )


def _not_told(*parts: tuple[int, str]) -> Rule:
    """Say in one finding what is not known of how many VMs; of none there is nothing to say."""
    if words := "; ".join(text for count, text in parts if count):
        yield untold(words)


def _vms(count: int) -> str:
    return "one VM" if count == 1 else f"{count} VMs"


def _guests(count: int) -> str:
    return "one guest" if count == 1 else f"{count} guests"


def _ran_at_s(basis: Basis, uuid: str) -> float | None:
    """Return a time at which a VM was in this run already, as early as is known."""
    vms, before = basis.host.vms, basis.before
    at = vms.index[uuid]
    if vms.started_at_s[at] is None and before is not None and uuid in before.vms:
        return before.taken_at_s if before.vms[uuid].run == vms.ids[at] else None
    return vms.started_at_s[at]


def agent(basis: Basis) -> Rule:
    """Whether a guest agent that was provided for is not there."""
    for uuid, vm in _looked_at(basis):
        if vm.agent is False and _executes(basis, uuid):
            yield Found(
                Severity.NOTE,
                "it has a channel for the guest agent, and no agent is connected",
                "in the guest: systemctl enable --now qemu-guest-agent",
                uuid=uuid,
            )


def emulated(basis: Basis) -> Rule:
    """Whether a VM is emulated although the host has KVM."""
    if basis.offer.kvm is None:
        yield untold("whether the host has KVM is not told")
        return
    for uuid, vm in _looked_at(basis):
        if vm.emulated and basis.offer.kvm:
            yield Found(
                Severity.WARNING,
                "it is emulated (TCG), and this host has KVM: it could be many times faster",
                "virsh edit: domain type='kvm'; then shut it down and start it",
                uuid=uuid,
            )


def tainted(basis: Basis) -> Rule:
    """Whether libvirt says that a VM does something unsupported or deprecated."""
    silent = 0
    for uuid, vm in _looked_at(basis):
        silent += vm.messages is None and vm.run != _OFF
        if vm.messages:
            more = f" and {len(vm.messages) - _SHOWN} more" if len(vm.messages) > _SHOWN else ""
            yield Found(
                Severity.NOTE,
                "; ".join(vm.messages[:_SHOWN]) + more,
                "virsh dominfo shows all messages; virsh edit mends what they are about",
                uuid=uuid,
            )
    yield from _not_told((silent, f"of {_vms(silent)} libvirt tells no messages (it takes 7.1)"))


def waiting(basis: Basis) -> Rule:
    """Whether a VM's configuration was changed and waits for a restart."""
    for uuid, vm in _looked_at(basis):
        if vm.waiting:
            yield Found(
                Severity.NOTE,
                f"changed and not in force: {', '.join(vm.waiting)}",
                "shut it down and start it: a reboot inside the guest is not enough",
                uuid=uuid,
            )


def snapshots(basis: Basis) -> Rule:
    """Whether snapshots are so old that nobody will want to go back."""
    days, dateless, unread = basis.limits.snapshot_days, 0, 0
    for uuid, vm in _looked_at(basis):
        unread += vm.snapshots is None
        if not vm.snapshots:
            continue
        if vm.oldest_snapshot_at_s is None:
            dateless += 1
            continue
        age_s = basis.look.wall_s - vm.oldest_snapshot_at_s
        if age_s >= days * _DAY_S:
            count = "one snapshot" if vm.snapshots == 1 else f"{vm.snapshots} snapshots, the oldest"
            yield Found(
                Severity.NOTE,
                f"{count} of {age_s / _DAY_S:.0f} days ago",
                "virsh snapshot-list --tree; virsh snapshot-delete",
                uuid=uuid,
                since_s=basis.look.taken_at_s - age_s,
            )
    yield from _not_told(
        (dateless, "when some snapshots were made is not told"),
        (unread, f"the snapshots of {_vms(unread)} are not told"),
    )


def disk_errors(basis: Basis) -> Rule:
    """Whether a disk of a VM had I/O errors: QEMU tells of one only when it happens."""
    listened_s = basis.look.listened_s
    if listened_s is None:
        yield untold("this host's libvirt does not tell of I/O errors when they happen")
    elif listened_s < _LISTENED_S:
        yield untold(f"it takes watching: QEMU has been listened to for {listened_s:.0f} s")
    for uuid, vm in _looked_at(basis):
        for disk in vm.disk_errors:
            yield Found(
                Severity.WARNING,
                "QEMU told of an I/O error within the last hour",
                "virsh domblkerror; dmesg on the host says whether its storage fails",
                uuid=uuid,
                subject=disk,
            )


def packets(basis: Basis) -> Rule:
    """Whether packets of a VM get lost."""
    before = basis.before
    once, missing = 0, 0
    for uuid, vm in _looked_at(basis):
        if vm.run == _OFF:
            continue
        old = None if before is None else before.vms.get(uuid)
        # What a round had no time for is kept as it was.
        if old is None or old is vm or old.run != vm.run:
            once += 1
            continue
        if None in (vm.packets, vm.lost_packets, old.packets, old.lost_packets):
            missing += 1
            continue
        lost = (vm.lost_packets or 0) - (old.lost_packets or 0)
        whole = (vm.packets or 0) - (old.packets or 0) + lost
        if lost >= _LOST_LEAST and lost >= _LOST_SHARE * whole:
            yield Found(
                Severity.WARNING,
                f"{lost:,} of {whole:,} packets were dropped or broken since the look before",
                "virsh domifstat says on which side; more queues, or vhost, take more packets",
                uuid=uuid,
            )
    yield from _not_told(
        (once, f"it takes two looks: what {_vms(once)} lost"),
        (missing, f"of {_vms(missing)} no packets are told"),
    )


def unseen(basis: Basis) -> Rule:
    """Say how many VMs were not looked at, or not in the run that they are in."""
    count = len(basis.host.vms) - sum(1 for _ in _looked_at(basis))
    if count > 0:
        yield untold(f"{count} of {len(basis.host.vms)} VMs were not looked at yet")


def _looked_at(basis: Basis) -> Iterator[tuple[str, VmHealth]]:
    """Iterate over the VMs that were looked at in the run that they are in."""
    vms = basis.host.vms
    for uuid, vm in basis.look.vms.items():
        at = vms.index.get(uuid)
        if at is not None and vms.ids[at] == vm.run:
            yield uuid, vm


def _executes(basis: Basis, uuid: str) -> bool:
    vms = basis.host.vms
    return vms.states[vms.index[uuid]].executing
