"""The checks of the VM's place: the two hosts, its name, its state, and what lies between them."""

from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.preflight_values import (
    Finding,
    Grade,
    GuestNeeds,
    HostOffers,
    Namesake,
    safe_name,
    why,
    worst,
)

_SLOW_S = 0.2
_A_MILLISECOND_S = 0.001


def state(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether what is asked for fits a VM that runs, or does not."""
    if not needs.active and not options.offline:
        return Finding(Grade.FAIL, "it is off, so there is nothing to migrate live", "choose offline, or start it")
    if needs.active and options.offline:
        return Finding(
            Grade.FAIL, "it runs: offline migrates the definition of a VM that is off", "choose live, or shut it down"
        )
    if not needs.active and not needs.persistent:
        return Finding(Grade.FAIL, "it has no stored definition to migrate", "")
    return Finding(Grade.PASS, "off: its definition migrates, no storage is copied" if options.offline else "it runs")


def other_host(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    """Whether source and destination are two hosts to libvirt, which goes by their UUIDs."""
    ours, theirs = needs.source, offers.host
    if not ours.uuid or not theirs.uuid:
        name = (theirs if ours.uuid else ours).name
        return Finding(Grade.UNKNOWN, f"{name} does not tell its UUID; libvirt refuses a migration to the same host")
    if ours.uuid != theirs.uuid:
        return Finding(Grade.PASS, f"{ours.name} and {theirs.name} have different UUIDs")
    if ours.name == theirs.name:
        return Finding(Grade.FAIL, f"{theirs.name} is the host it runs on already", "choose another host")
    return Finding(
        Grade.FAIL,
        f"{ours.name} and {theirs.name} have the same UUID, so libvirt takes them for one host",
        f'set host_uuid = "…" (uuidgen) in libvirtd.conf on {theirs.name} and restart its daemon: '
        "its machine ID or SMBIOS was cloned",
    )


def namesakes(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    """Whether name and UUID are free at the destination."""
    where = offers.host.name
    if offers.namesakes is None:
        return Finding(Grade.UNKNOWN, f"the VMs of {where} could not be looked up: {why(offers, 'namesakes')}")
    found = worst([_namesake(needs, other, where) for other in offers.namesakes])
    return found or Finding(Grade.PASS, f"both are free on {where}")


def _namesake(needs: GuestNeeds, other: Namesake, where: str) -> Finding:
    if other.uuid != needs.uuid:
        advice = f"rename one of them (off): virsh domrename {safe_name(other.name, other.uuid)} NEWNAME"
        return Finding(Grade.FAIL, f"{where} has another VM of that name ({other.uuid})", advice)
    if other.name != needs.name:
        advice = f"on {where}: virsh undefine {other.uuid}, if it is not needed"
        return Finding(Grade.FAIL, f"{where} has a VM of its UUID that is called {other.name}", advice)
    if other.active:
        advice = "find out which of the two is the right one; never run both on one disk"
        return Finding(Grade.FAIL, f"it is active on {where} as well", advice)
    return Finding(
        Grade.WARN,
        f"it is defined on {where} as well, and off: that definition is replaced",
        f"to keep it: virsh dumpxml {needs.uuid} on {where}",
    )


def job(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    """Whether another job holds the VM."""
    if needs.job is None:
        return Finding(Grade.UNKNOWN, f"whether a job runs could not be asked: {why(needs, 'job')}")
    if needs.job:
        return Finding(Grade.FAIL, f"it is held: {needs.job}", "wait for its end; X aborts a job")
    return Finding(Grade.PASS, "none")


def snapshots(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    """Whether it has snapshots, with which libvirt moves no VM."""
    if needs.snapshots is None:
        return Finding(Grade.UNKNOWN, f"they could not be counted: {why(needs, 'snapshots')}")
    if not needs.snapshots:
        return Finding(Grade.PASS, "none")
    name = safe_name(needs.name, needs.uuid)
    return Finding(
        Grade.FAIL,
        f"it has {needs.snapshots} snapshot{'s' * (needs.snapshots > 1)}; libvirt migrates no VM that has any",
        f"virsh snapshot-list {name}; then for each: virsh snapshot-delete {name} SNAPSHOT "
        "(--metadata forgets it and keeps its data)",
    )


def saved(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether a saved state would stay behind."""
    if not needs.saved or needs.active:
        return None
    name = safe_name(needs.name, needs.uuid)
    advice = f"start it first and migrate it live, or give the state up: virsh managedsave-remove {name}"
    return Finding(Grade.WARN, f"its saved state stays on {needs.source.name}; on the other it starts afresh", advice)


def versions(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    """Whether QEMU and libvirt at the destination are no older."""
    found = []
    for what, ours, theirs in (
        ("QEMU", needs.source.hypervisor_version, offers.host.hypervisor_version),
        ("libvirt", needs.source.libvirt_version, offers.host.libvirt_version),
    ):
        here, there = f"{what} {_version(ours)}", f"{_version(theirs)} on {offers.host.name}"
        if ours is None or theirs is None:
            found.append(Finding(Grade.UNKNOWN, f"{here} here, {there}"))
        elif theirs < ours:
            advice = f"update {offers.host.name} first; migrating to an older version is not promised to work"
            found.append(Finding(Grade.WARN, f"{here} here, the older {there}", advice))
        else:
            found.append(Finding(Grade.PASS, f"{here} here, {there}"))
    return worst(found) or found[0]


def round_trip(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """How far the destination is from here."""
    if offers.round_trip_s is None:
        return None
    took = f"{offers.round_trip_s * 1000:.0f} ms" if offers.round_trip_s >= _A_MILLISECOND_S else "less than 1 ms"
    evidence = f"{offers.host.name} answers in {took}"
    if offers.round_trip_s > _SLOW_S:
        return Finding(Grade.WARN, evidence, "managed from here, a migration takes that much longer; peer to peer not")
    return Finding(Grade.PASS, evidence)


def reach(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Say once what nobody can see from here: whether the two hosts reach each other."""
    ours, theirs = needs.source.name, offers.host.name
    unseen, advice = [], []
    if not options.offline:
        unseen.append(f"TCP ports 49152-49215 of {theirs}")
        advice.append(f"open them on {theirs}")
    if options.peer_to_peer is not False:
        unseen.append(f"the daemon of {theirs} with its own credentials")
        advice.append(
            "choose managed if the daemons may not log in at each other"
            if options.peer_to_peer
            else "where the daemons may not log in at each other, the migration goes through kvmtui by itself"
        )
    if options.tls:
        unseen.append("it with a certificate it trusts")
        advice.append("see migrate_tls_x509_cert_dir in qemu.conf of both")
    if not unseen:
        return None
    evidence = f"from here it cannot be seen whether {ours} reaches {' and '.join(unseen)}"
    return Finding(Grade.UNKNOWN, evidence, "; ".join(advice))


def _version(number: int | None) -> str:
    return "?" if number is None else f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
