"""What may be offered after a migration ended badly: what it does, why it is safe, and the virsh line. Pure."""

from kvmtui.model.actions import virsh_line
from kvmtui.model.clean import clean
from kvmtui.model.migration import MigrationRequest, Repair, RepairKind
from kvmtui.model.migration_options import virsh_flags

_CONSEQUENCES = {
    RepairKind.RESUME_SOURCE: "The guest goes on at the source; safe, because the destination does not have it.",
    RepairKind.RESUME_DESTINATION: "The guest goes on at the destination; safe, because the source does not run it.",
    RepairKind.DEFINE_DESTINATION: "It is defined there as it runs now; changes meant for its next start are not kept.",
    RepairKind.UNDEFINE_SOURCE: (
        "Only its definition at the source is removed; safe, because the destination has it. "
        "libvirt refuses where it has snapshots or a managed save."
    ),
    RepairKind.RECOVER_POST_COPY: "The hosts connect again and the rest of the memory is brought over.",
    RepairKind.ABORT_JOB: "The migration ends and the guest goes on at the source.",
    RepairKind.DELETE_COPIES: "Volumes that were not there before the migration and that no VM there uses are deleted.",
}


def at_destination(kind: RepairKind) -> bool:
    """Return whether a repair is made at the destination and not at the source."""
    return kind in (RepairKind.RESUME_DESTINATION, RepairKind.DEFINE_DESTINATION, RepairKind.DELETE_COPIES)


def offer(
    kind: RepairKind, request: MigrationRequest, paths: tuple[str, ...] = (), *, peer_to_peer: bool = True
) -> Repair:
    """Return a repair as it is offered; `paths` are the volumes that would be deleted."""
    return Repair(kind, _CONSEQUENCES[kind], _command(kind, request, paths, peer_to_peer=peer_to_peer))


def migrate_command(request: MigrationRequest, *, persistent: bool, peer_to_peer: bool) -> str:
    """Return the virsh line that moves the VM the same way."""
    flags = virsh_flags(request.options, persistent=persistent, peer_to_peer=peer_to_peer)
    line = _line(request, "migrate", request.destination, *flags)
    if request.options.downtime_ms is None:
        return line
    return f"{line} & sleep 1; {_line(request, 'migrate-setmaxdowntime', str(request.options.downtime_ms))}"


def _command(kind: RepairKind, request: MigrationRequest, paths: tuple[str, ...], *, peer_to_peer: bool) -> str:
    there = request.destination
    match kind:
        case RepairKind.RESUME_SOURCE:
            return _line(request, "resume")
        case RepairKind.RESUME_DESTINATION:
            return _line(request, "resume", host=there)
        case RepairKind.DEFINE_DESTINATION:
            read = _line(request, "dumpxml", "--migratable", "--security-info", host=there)
            return f"{read} > vm.xml; {virsh_line(there, 'define', 'vm.xml', 'vm.xml')}"
        case RepairKind.UNDEFINE_SOURCE:
            return _line(request, "undefine", "--keep-nvram")
        case RepairKind.RECOVER_POST_COPY:
            way = ("--p2p",) if peer_to_peer else ()
            return _line(request, "migrate", there, "--live", *way, "--postcopy", "--postcopy-resume")
        case RepairKind.ABORT_JOB:
            return _line(request, "domjobabort")
        case RepairKind.DELETE_COPIES:
            return "; ".join(virsh_line(there, "vol-delete", path, path) for path in map(clean, paths))


def _line(request: MigrationRequest, verb: str, *arguments: str, host: str | None = None) -> str:
    return virsh_line(host or request.key.host, verb, request.vm_name, request.key.uuid, *arguments)
