"""Options of a migration: what excludes what, and the same in libvirt's flags and in virsh's."""

from dataclasses import replace

import pytest

from kvmtui.hypervisor import migrate
from kvmtui.hypervisor.library import libvirt
from kvmtui.model.migration_options import DiskMove, MigrationOptions, PartCopy, conflicts, virsh_flags

USUAL = MigrationOptions()
ALL = MigrationOptions(
    disks=DiskMove.COPY_CHANGES,
    tls=True,
    connections=4,
    bandwidth_mib_per_s=52,
    unsafe=True,
    auto_converge=False,
)


@pytest.mark.parametrize(
    ("options", "active", "refused"),
    [
        (USUAL, True, set()),
        (ALL, True, set()),
        (replace(USUAL, offline=True), False, set()),
        (replace(USUAL, offline=True), True, {"offline"}),
        (USUAL, False, {"offline"}),
        (replace(USUAL, offline=True, disks=DiskMove.COPY), False, {"disks"}),
        (replace(USUAL, offline=True, persist=False), False, {"persist"}),
        (replace(USUAL, offline=True, post_copy=True), False, {"post_copy"}),
        (replace(USUAL, post_copy=True), True, set()),
        (replace(USUAL, post_copy=True, connections=2), True, {"post_copy"}),
        (replace(USUAL, connections=0), True, {"connections"}),
        (replace(USUAL, connections=256), True, {"connections"}),
        (replace(USUAL, bandwidth_mib_per_s=0), True, {"bandwidth_mib_per_s"}),
        (replace(USUAL, downtime_ms=0), True, {"downtime_ms"}),
        (replace(USUAL, downtime_ms=2_000_001), True, {"downtime_ms"}),
    ],
)
def test_what_libvirt_refuses(options: MigrationOptions, active: bool, refused: set[str]) -> None:
    found = conflicts(options, active=active)
    assert {conflict.option for conflict in found} == refused
    assert all(hasattr(options, conflict.option) and conflict.why for conflict in found)


@pytest.mark.parametrize(
    ("options", "persistent", "peer_to_peer", "words"),
    [
        (USUAL, True, True, "--live --persistent --undefinesource --p2p --auto-converge"),
        (USUAL, False, False, "--live --auto-converge"),
        (replace(USUAL, persist=False, auto_converge=False), True, False, "--live --undefinesource"),
        (replace(USUAL, offline=True), True, True, "--offline --persistent --undefinesource --p2p"),
        (
            replace(USUAL, disks=DiskMove.COPY, post_copy=True, auto_converge=False),
            False,
            True,
            "--live --p2p --copy-storage-all --postcopy",
        ),
        (
            ALL,
            False,
            False,
            "--live --copy-storage-inc --tls --unsafe --parallel --parallel-connections 4 --bandwidth 52",
        ),
        (
            replace(USUAL, disks=DiskMove.COPY, partly=PartCopy(("vda", "vdc"), ("vdb",)), auto_converge=False),
            False,
            True,
            "--live --p2p --copy-storage-all --migrate-disks vda,vdc",
        ),
    ],
)
def test_the_same_in_virsh(options: MigrationOptions, persistent: bool, peer_to_peer: bool, words: str) -> None:
    assert " ".join(virsh_flags(options, persistent=persistent, peer_to_peer=peer_to_peer)) == words


@pytest.mark.parametrize(
    ("options", "persistent", "peer_to_peer", "names"),
    [
        (USUAL, True, True, "LIVE PERSIST_DEST UNDEFINE_SOURCE PEER2PEER AUTO_CONVERGE"),
        (USUAL, False, False, "LIVE AUTO_CONVERGE"),
        (replace(USUAL, offline=True, undefine_source=False), True, False, "OFFLINE PERSIST_DEST"),
        (
            replace(USUAL, disks=DiskMove.COPY, post_copy=True),
            False,
            False,
            "LIVE NON_SHARED_DISK POSTCOPY AUTO_CONVERGE",
        ),
        (ALL, False, False, "LIVE NON_SHARED_INC TLS PARALLEL UNSAFE"),
    ],
)
def test_the_same_in_libvirts_flags(
    options: MigrationOptions, persistent: bool, peer_to_peer: bool, names: str
) -> None:
    module = libvirt()
    expected = sum(getattr(module, f"VIR_MIGRATE_{name}") for name in names.split())
    assert migrate.flags(options, persistent=persistent, peer_to_peer=peer_to_peer) == expected


def test_parameters_are_given_only_where_they_were_asked_for() -> None:
    assert migrate.parameters(USUAL) == {}
    assert migrate.parameters(ALL) == {"bandwidth": 52, "parallel.connections": 4}
    some = replace(USUAL, disks=DiskMove.COPY, partly=PartCopy(("vda", "vdc"), ("vdb",)))
    assert migrate.parameters(some) == {"migrate_disks": ["vda", "vdc"]}
    assert migrate.parameters(replace(some, disks=DiskMove.SHARED)) == {}


@pytest.mark.parametrize(
    ("disks", "partly", "copies"),
    [
        (DiskMove.SHARED, None, ""),
        (DiskMove.COPY, None, "vda vdb"),
        (DiskMove.COPY, PartCopy(("vdb",), ("vda",)), "vdb"),
        (DiskMove.COPY_CHANGES, PartCopy(("vda",), ("vdb",)), "vda"),
        (DiskMove.SHARED, PartCopy(("vda",), ("vdb",)), ""),
    ],
)
def test_which_disks_are_copied(disks: DiskMove, partly: PartCopy | None, copies: str) -> None:
    options = replace(USUAL, disks=disks, partly=partly)
    assert [target for target in ("vda", "vdb") if options.copies(target)] == copies.split()
