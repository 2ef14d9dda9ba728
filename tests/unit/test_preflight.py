"""The checks before a move, as tables: what is needed, what there is, and how the check comes out."""

from dataclasses import replace
from typing import Any

import pytest

from kvmtui.model.migration_options import DiskMove, MigrationOptions, PartCopy
from kvmtui.model.preflight import (
    Check,
    Grade,
    GuestNeeds,
    HostOffers,
    default_disks,
    part_copy,
    preflight,
    summary,
)
from kvmtui.model.preflight_values import (
    Emulation,
    HostCpu,
    HostIdentity,
    Namesake,
    NeededDevice,
    NeededDisk,
    NeededInterface,
    Pin,
    Pool,
)
from kvmtui.model.sharing import Mark

PASS, UNKNOWN, WARN, FAIL = Grade.PASS, Grade.UNKNOWN, Grade.WARN, Grade.FAIL
MIB, GIB = 1024**2, 1024**3
UUID, OTHER_UUID = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
INTEL = HostCpu("Skylake-Server", "Intel", "1", frozenset({"avx2", "avx512f"}))

DISK = NeededDisk("vda", path="/images/a.qcow2", format="qcow2", capacity_bytes=20 * GIB, allocated_bytes=5 * GIB)
RAW = replace(DISK, format="raw", allocated_bytes=GIB)
OVERLAY = replace(DISK, backing="/images/base.qcow2")
RBD = NeededDisk("vdb", kind="network")
BY_POOL = NeededDisk("vdc", kind="volume", pool="fast", volume="c")
ISO = NeededDisk("sda", device="cdrom", path="/iso/a.iso", writable=False)
IMAGES = Pool("images", "dir", True, "/images", free_bytes=100 * GIB)
NAS = Pool("nas", "netfs", True, "/images", "nas:/vms", 100 * GIB)
LVM = Pool("vg0", "logical", True, "/dev/vg0", free_bytes=100 * GIB)
BR0 = NeededInterface("bridge", "br0")
TEAM = NeededInterface("hostdev", "eth5", replaceable=True)

NEEDS = GuestNeeds(
    name="web1",
    uuid=UUID,
    source=HostIdentity("h1", "a", 9_000_000, 7_002_000, INTEL),
    arch="x86_64",
    machine="pc-q35-7.2",
    cpu_mode="custom",
    cpu_xml="<cpu/>",
    memory_bytes=4 * GIB,
    current_memory_bytes=2 * GIB,
    vcpus=4,
    disks=(DISK,),
    interfaces=(NeededInterface("network", "default"),),
)
OFFERS = HostOffers(
    host=HostIdentity("h2", "b", 9_000_000, 7_002_000, INTEL),
    round_trip_s=0.003,
    emulation=Emulation(max_vcpus=288, tpm_backends=frozenset({"emulator"}), loaders=frozenset({"/fw"})),
    cpu_refusal="",
    networks={"default": True},
    links=frozenset({"lo", "br0"}),
    volumes={"/images/a.qcow2": 20 * GIB},
    pools=(IMAGES,),
    memory_total_bytes=64 * GIB,
    memory_free_bytes=32 * GIB,
    free_hugepages={2048: 1024, 1048576: 0},
    cpus=frozenset(range(16)),
    numa_nodes=frozenset({0, 1}),
    secrets=frozenset({OTHER_UUID}),
)
NEW = replace(NEEDS.source, libvirt_version=11_003_000)
COPY, CHANGES = MigrationOptions(disks=DiskMove.COPY), MigrationOptions(disks=DiskMove.COPY_CHANGES)
SHARED, OFFLINE = MigrationOptions(), MigrationOptions(offline=True)
PATH = "/images/a.qcow2"
IN_USE, LEFT = Mark(1, "", 10**18, 10**18), Mark(1, "", 10**17, 10**18 + 10**9)
NOT_THERE: dict[str, Any] = {"volumes": {}}


def checks(
    needs: dict[str, Any] | None = None, offers: dict[str, Any] | None = None, options: MigrationOptions = SHARED
) -> dict[str, Check]:
    made = preflight(replace(NEEDS, **needs or {}), replace(OFFERS, **offers or {}), options)
    assert len({check.id for check in made}) == len(made)
    return {check.id: check for check in made}


def on(**changes: Any) -> dict[str, Any]:
    return {"disks": (replace(DISK, **changes),)}


def host(**changes: Any) -> dict[str, Any]:
    return {"host": replace(OFFERS.host, **changes)}


@pytest.mark.parametrize(
    ("id_", "needs", "offers", "options", "grade", "evidence"),
    [
        ("state", {"active": False}, {}, SHARED, FAIL, "it is off"),
        ("state", {"active": False}, {}, OFFLINE, PASS, "its definition migrates"),
        ("state", {}, {}, OFFLINE, FAIL, "it runs"),
        ("state", {"active": False, "persistent": False}, {}, OFFLINE, FAIL, "no stored definition"),
        ("other-host", {}, {}, SHARED, PASS, "different UUIDs"),
        ("other-host", {}, host(uuid="a"), SHARED, FAIL, "h1 and h2 have the same UUID"),
        ("other-host", {}, host(uuid="a", name="h1"), SHARED, FAIL, "h1 is the host it runs on"),
        ("other-host", {}, host(uuid=""), SHARED, UNKNOWN, "h2 does not tell"),
        ("name", {}, {}, SHARED, PASS, "both are free on h2"),
        ("name", {}, {"namesakes": (Namesake("web1", OTHER_UUID, False),)}, SHARED, FAIL, "another VM of that name"),
        ("name", {}, {"namesakes": (Namesake("web9", UUID, False),)}, SHARED, FAIL, "is called web9"),
        ("name", {}, {"namesakes": (Namesake("web1", UUID, True),)}, SHARED, FAIL, "active on h2"),
        ("name", {}, {"namesakes": (Namesake("web1", UUID, False),)}, SHARED, WARN, "replaced"),
        ("name", {}, {"namesakes": None, "unread": {"namesakes": "denied"}}, SHARED, UNKNOWN, "denied"),
        ("job", {}, {}, SHARED, PASS, "none"),
        ("job", {"job": "saving"}, {}, SHARED, FAIL, "saving"),
        ("job", {"job": None, "unread": {"job": "no answer"}}, {}, SHARED, UNKNOWN, "no answer"),
        ("snapshots", {}, {}, SHARED, PASS, "none"),
        ("snapshots", {"snapshots": 2}, {}, SHARED, FAIL, "2 snapshots"),
        ("snapshots", {"snapshots": 1, "active": False}, {}, OFFLINE, FAIL, "1 snapshot;"),
        ("snapshots", {"snapshots": None}, {}, SHARED, UNKNOWN, "not told"),
        ("machine", {}, {}, SHARED, PASS, "h2 has pc-q35-7.2"),
        ("machine", {}, {"emulation": Emulation("the machine 'x' is not supported")}, SHARED, FAIL, "not supported"),
        ("machine", {"active": False}, {"emulation": Emulation("no")}, OFFLINE, WARN, "could not start there"),
        ("machine", {}, {"emulation": None, "unread": {"emulation": "only look"}}, SHARED, UNKNOWN, "only look"),
        ("cpu", {}, {}, SHARED, PASS, "all that the guest sees"),
        ("cpu", {"virt_type": "qemu"}, {"cpu_refusal": None}, SHARED, PASS, "emulated (TCG)"),
        ("cpu", {}, {"cpu_refusal": "required features: avx512f"}, SHARED, FAIL, "h2: required features: avx512f"),
        ("cpu", {}, {"cpu_refusal": None, "unread": {"cpu_refusal": "old"}}, SHARED, UNKNOWN, "old"),
        ("cpu", {"cpu_xml": None, "unread": {"cpu_xml": "x"}}, {"cpu_refusal": None}, SHARED, UNKNOWN, "compared: x"),
        ("cpu", {"cpu_mode": "host-passthrough"}, {}, SHARED, PASS, "both hosts are Intel Skylake-Server"),
        ("cpu", {"cpu_mode": "host-passthrough"}, host(cpu=replace(INTEL, microcode="2")), SHARED, WARN, "microcode"),
        ("cpu", {"cpu_mode": "host-passthrough"}, host(cpu=replace(INTEL, vendor="AMD")), SHARED, FAIL, "h2 AMD"),
        ("cpu", {"cpu_mode": "host-passthrough"}, host(cpu=replace(INTEL, features=frozenset())), SHARED, FAIL,
         "lacks avx2, avx512f"),
        ("cpu", {"cpu_mode": "host-passthrough"}, host(cpu=None), SHARED, UNKNOWN, "h2 does not tell"),
        ("cpu", {"cpu_mode": "host-passthrough", "active": False}, host(cpu=None), OFFLINE, PASS, "when it starts"),
        ("cpu", {"cpu_mode": "host-model", "active": False}, {"cpu_refusal": None}, OFFLINE, PASS, "when it starts"),
        ("tsc", {"invariant_tsc_unbound": True}, {}, SHARED, FAIL, "invtsc"),
        ("networks", {}, {}, SHARED, PASS, "h2 has default"),
        ("networks", {"interfaces": ()}, {}, SHARED, PASS, "no interface"),
        ("networks", {}, {"networks": {}}, SHARED, FAIL, "h2 has no network default"),
        ("networks", {}, {"networks": {"default": False}}, SHARED, FAIL, "not active"),
        ("networks", {"active": False}, {"networks": {}}, OFFLINE, WARN, "no network default"),
        ("networks", {}, {"networks": None}, SHARED, UNKNOWN, "not told"),
        ("networks", {"interfaces": (BR0,)}, {}, SHARED, PASS, "h2 has br0"),
        ("networks", {"interfaces": (BR0,)}, {"links": frozenset({"lo"})}, SHARED, FAIL, "no bridge br0"),
        ("networks", {"interfaces": (BR0,)}, {"links": None}, SHARED, UNKNOWN, "bridge br0"),
        ("networks", {"interfaces": (TEAM,)}, {}, SHARED, PASS, "teaming"),
        ("networks", {"interfaces": (replace(TEAM, replaceable=False),)}, {}, SHARED, FAIL, "passed through"),
        ("networks", {"interfaces": (NeededInterface("user"),)}, {}, SHARED, PASS, "needs nothing"),
        ("networks", {"interfaces": (NeededInterface("vhostuser"),)}, {}, SHARED, UNKNOWN, "cannot be asked"),
        # The worst of several is told, and it alone.
        ("networks", {"interfaces": (BR0, NeededInterface("network", "lan"))}, {}, SHARED, FAIL, "no network lan"),
        ("disks", {}, {}, SHARED, PASS, "h2 has /images/a.qcow2"),
        ("disks", {"disks": ()}, {}, SHARED, PASS, "none"),
        ("disks", {}, NOT_THERE, SHARED, WARN, "does not list /images/a.qcow2 in its pool images"),
        ("disks", {}, NOT_THERE | {"pools": ()}, SHARED, UNKNOWN, "no active pool"),
        ("disks", {}, {"volumes": None}, SHARED, UNKNOWN, "could not be asked"),
        ("disks", {}, NOT_THERE, COPY, PASS, "all are copied"),
        ("disks", {"disks": (DISK, replace(DISK, path="/images/ro", writable=False))}, NOT_THERE, COPY, WARN, "/ro"),
        ("disks", {"disks": (RBD,)}, {}, SHARED, PASS, "network storage"),
        ("disks", {"disks": (BY_POOL,)}, {}, SHARED, FAIL, "h2 has no pool fast"),
        ("disks", {"disks": (BY_POOL,)}, {"pools": None}, SHARED, UNKNOWN, "the pools of h2"),
        ("disks", {"disks": (BY_POOL,)}, {"pools": (Pool("fast", "dir", False),)}, SHARED, FAIL, "not active"),
        ("disks", {"disks": (BY_POOL,)}, {"pools": (Pool("fast", "dir", True),), "volumes": {"fast:c": 1}}, SHARED,
         PASS, "fast:c"),
        ("shared", {}, {}, SHARED, WARN, "one file on both or two"),
        ("shared", {}, NOT_THERE, SHARED, UNKNOWN, "one file on both or two"),
        ("shared", on(mark=IN_USE), {"marks": {PATH: IN_USE}}, SHARED, PASS, "to the moment of its last change"),
        ("shared", on(mark=IN_USE), {"marks": {PATH: LEFT}}, SHARED, WARN, "another volume at /images/a.qcow2"),
        ("shared", on(mark=IN_USE) | {"active": False}, {"marks": {PATH: LEFT}}, OFFLINE, WARN, "would start with it"),
        ("shared", on(mark=IN_USE) | {"active": False}, {"marks": {PATH: IN_USE}}, OFFLINE, PASS, "of its last change"),
        ("shared", {}, {"old_copies": frozenset({PATH})}, SHARED, WARN, "another volume"),
        ("shared", on(kind="block", path="/dev/vg0/a"), {}, SHARED, WARN, "one device on both hosts or two"),
        ("shared", on(kind="block", path="/dev/disk/by-id/wwn-0x5"), {}, SHARED, PASS, "one device on both hosts"),
        ("shared", on(kind="volume", path=None, pool="vg0", volume="a"), {"pools": (LVM,)}, SHARED, WARN, "vg0:a"),
        ("shared", on(kind="volume", path=None, pool="images", volume="a"), {}, SHARED, UNKNOWN, "images:a"),
        ("shared", {"pools": (NAS,)}, {"pools": (NAS,)}, SHARED, PASS, "/images is nas:/vms on both"),
        ("shared", {"pools": (NAS,)}, {"pools": (replace(NAS, source="nas:/old"),)}, SHARED, WARN, "one file"),
        ("shared", {}, {}, MigrationOptions(unsafe=True), WARN, "unsafe is set"),
        ("copies", {}, NOT_THERE, COPY, PASS, "can make vda in its pool images"),
        ("copies", {"disks": ()}, {}, COPY, PASS, "no disk to copy"),
        ("copies", {}, {}, COPY, WARN, "it is overwritten, and if it is the very disk of the VM, that destroys it"),
        ("copies", on(mark=IN_USE), {"marks": {PATH: LEFT}}, COPY, WARN, "a.qcow2; it is overwritten"),
        ("copies", on(mark=IN_USE), {"marks": {PATH: IN_USE}}, COPY, FAIL, "one and the same on both hosts"),
        ("copies", {}, {"old_copies": frozenset({PATH})}, COPY, WARN, "the old copy at /images/a.qcow2"),
        ("copies", {"pools": (NAS,)}, NOT_THERE | {"pools": (NAS,)}, COPY, FAIL, "both hosts show one storage"),
        ("copies", {}, {"volumes": {"/images/a.qcow2": GIB}}, COPY, FAIL, "has 1.0 GiB, 20.0 GiB are needed"),
        ("copies", {}, NOT_THERE | {"pools": ()}, COPY, FAIL, "no pool of h2 holds /images"),
        ("copies", {}, NOT_THERE | {"pools": (replace(IMAGES, active=False),)}, COPY, FAIL, "is not active"),
        ("copies", {}, NOT_THERE | {"pools": (replace(IMAGES, free_bytes=4 * GIB),)}, COPY, FAIL, "take 5.0 GiB"),
        ("copies", {}, NOT_THERE | {"pools": (replace(IMAGES, free_bytes=9 * GIB),)}, COPY, WARN, "grow to 20.0 GiB"),
        ("copies", {"disks": (RAW,)}, NOT_THERE | {"pools": (replace(IMAGES, free_bytes=9 * GIB),)}, COPY, FAIL,
         "copies take 20.0 GiB"),
        ("copies", {}, {"volumes": None, "unread": {"volumes": "denied"}}, COPY, UNKNOWN, "denied"),
        ("copies", {"disks": (RBD,)}, {}, COPY, FAIL, "over itself"),
        ("copies", {"disks": (replace(DISK, kind="block", path="/dev/x"),)}, {}, COPY, FAIL, "only files"),
        ("copies", {"disks": (BY_POOL,)}, {"pools": (Pool("fast", "logical", True),)}, COPY, PASS, "in its pool fast"),
        ("copies", {}, NOT_THERE, CHANGES, FAIL, "lies over no other image"),
        ("copies", {"disks": (OVERLAY,)}, NOT_THERE, CHANGES, FAIL, "/images/base.qcow2, which h2 does not list"),
        ("copies", {"disks": (OVERLAY,)}, {"volumes": {"/images/base.qcow2": 1}}, CHANGES, FAIL, "no file to"),
        ("copies", {"disks": (OVERLAY,)}, NOT_THERE | {"pools": ()}, CHANGES, UNKNOWN, "base.qcow2"),
        ("copies", {"disks": (OVERLAY,)}, {}, CHANGES, WARN, "it is overwritten"),
        ("cache", {"source": replace(NEEDS.source, hypervisor_version=3_000_000)}, {}, SHARED, WARN, "vda"),
        ("transient", {"disks": (replace(DISK, transient=True),)}, {}, SHARED, FAIL, "transient"),
        ("media", {"disks": (ISO,)}, {}, SHARED, WARN, "does not list /iso/a.iso"),
        ("media", {"disks": (ISO,)}, {"volumes": {"/iso/a.iso": 1}}, SHARED, PASS, "h2 has /iso/a.iso"),
        ("media", {"disks": (ISO,)}, {"volumes": None}, SHARED, UNKNOWN, "/iso/a.iso"),
        ("media", {"disks": (replace(ISO, startup_policy="optional"),)}, {}, SHARED, PASS, "ejected on the way"),
        ("block-jobs", {}, {}, SHARED, PASS, "none"),
        ("block-jobs", {"block_jobs": ("vda",)}, {}, SHARED, FAIL, "vda"),
        ("block-jobs", {"block_jobs": None, "unread": {"block_jobs": "busy"}}, {}, SHARED, UNKNOWN, "busy"),
        ("io-error", {"io_error": True}, {}, SHARED, WARN, "a disk failed"),
        ("memory", {}, {}, SHARED, PASS, "needs 4.1 GiB, 32.0 GiB free on h2"),
        ("memory", {}, {"memory_free_bytes": 2 * GIB}, SHARED, FAIL, "2.0 GiB free"),
        ("memory", {}, {"memory_free_bytes": 3 * GIB}, SHARED, WARN, "up to 4.1 GiB"),
        ("memory", {}, {"memory_free_bytes": 7 * GIB}, SHARED, WARN, "less than the 6.4 GiB a host should keep"),
        ("memory", {}, {"memory_free_bytes": None}, SHARED, UNKNOWN, "does not tell"),
        ("memory", {"hugepage_kib": (2048,)}, {"memory_free_bytes": 8 * GIB}, SHARED, PASS, "needs 144 MiB"),
        ("hugepages", {"hugepage_kib": (2048,)}, {}, SHARED, FAIL, "pages of 2.0 MiB, 2.0 GiB free on h2"),
        ("hugepages", {"hugepage_kib": (0,)}, {"free_hugepages": {2048: 2048}}, SHARED, PASS, "the default size"),
        ("hugepages", {"hugepage_kib": (2048,)}, {"free_hugepages": None}, SHARED, UNKNOWN, "does not tell"),
        ("vcpus", {}, {}, SHARED, PASS, "it has 4, h2 has 16 CPUs"),
        ("vcpus", {"vcpus": 17}, {}, SHARED, WARN, "it has 17"),
        ("vcpus", {"vcpus": 289}, {}, SHARED, FAIL, "at most 288"),
        ("vcpus", {}, {"cpus": None}, SHARED, UNKNOWN, "does not tell"),
        ("pins", {"pins": (Pin("vCPU 0", frozenset({3, 20})),)}, {}, SHARED, WARN, "vCPU 0 is bound to CPU 20"),
        ("pins", {"pins": (Pin("vCPU 0", frozenset({20})),)}, {}, SHARED, FAIL, "vCPU 0 is bound to CPU 20, not on h2"),
        ("pins", {"pins": (Pin("QEMU", frozenset({3})),)}, {}, SHARED, PASS, "all CPUs"),
        ("pins", {"pins": (Pin("QEMU", frozenset({3})),)}, {"cpus": None}, SHARED, UNKNOWN, "does not tell"),
        ("numa", {"numa_nodes": frozenset({1})}, {"numa_nodes": None}, SHARED, UNKNOWN, "does not tell"),
        ("numa", {"numa_nodes": frozenset({0, 3})}, {}, SHARED, FAIL, "node 3"),
        ("numa", {"numa_nodes": frozenset({3}), "numa_strict": False}, {}, SHARED, WARN, "node 3"),
        ("numa", {"numa_nodes": frozenset({1})}, {}, SHARED, PASS, "h2 has all"),
        ("host-devices", {"host_devices": (NeededDevice("pci", "0000:01"),)}, {}, SHARED, FAIL, "pci 0000:01"),
        ("host-devices", {"host_devices": (NeededDevice("pci", "1", True),)}, {}, SHARED, PASS, "teaming"),
        ("host-devices", {"host_devices": (NeededDevice("mdev", "x"),)}, {}, SHARED, FAIL, "mdev x"),
        ("host-devices", {"host_devices": (NeededDevice("usb", "x"),)}, {}, SHARED, WARN, "usb x"),
        ("shared-memory", {"shared_memory": (NeededDevice("peer", "shm0"),)}, {}, SHARED, FAIL, "shm0"),
        ("shared-memory", {"shared_memory": (NeededDevice("master", "shm0"),)}, {}, SHARED, PASS, "master"),
        ("file-systems", {"file_systems": (NeededDevice("virtiofs", "src"),)}, {}, SHARED, FAIL, "src: this libvirt"),
        ("file-systems", {"file_systems": (NeededDevice("9p", "src"),)}, {}, SHARED, WARN, "9p"),
        ("file-systems", {"file_systems": (NeededDevice("virtiofs", "src"),), "source": NEW}, {}, SHARED, UNKNOWN,
         "virtiofsd"),
        ("tpm", {"tpm": "emulator"}, {"emulation": None}, SHARED, UNKNOWN, "is not known"),
        ("tpm", {"tpm": "emulator"}, {}, SHARED, PASS, "its state goes along"),
        ("tpm", {"tpm": "emulator", "active": False}, {}, OFFLINE, WARN, "state stays on h1"),
        ("tpm", {"tpm": "emulator"}, {"emulation": Emulation()}, SHARED, FAIL, "cannot run a TPM"),
        ("tpm", {"tpm": "passthrough"}, {}, SHARED, FAIL, "TPM of its host"),
        ("firmware", {"loader": "/fw", "nvram": "/vars"}, {}, SHARED, PASS, "h2 has /fw"),
        ("firmware", {"loader": "/other"}, {}, SHARED, UNKNOWN, "/other"),
        ("firmware", {"nvram": "/vars", "active": False}, {}, OFFLINE, WARN, "stay on h1"),
        ("host-files", {"host_files": ("/boot/k",)}, {}, SHARED, UNKNOWN, "/boot/k"),
        ("host-files", {"own_arguments": True}, {}, SHARED, WARN, "arguments of its own"),
        ("secrets", {"secrets": (OTHER_UUID,)}, {}, SHARED, PASS, OTHER_UUID),
        ("secrets", {"secrets": (UUID,)}, {}, SHARED, FAIL, UUID),
        ("secrets", {"secrets": (UUID,)}, {"secrets": None}, SHARED, UNKNOWN, "could not be asked"),
        ("launch-security", {"launch_security": "sev"}, {}, SHARED, FAIL, "sev"),
        ("saved", {"saved": True, "active": False}, {}, OFFLINE, WARN, "saved state stays on h1"),
        ("versions", {}, {}, SHARED, PASS, "QEMU 7.2.0 here, 7.2.0 on h2; libvirt 9.0.0 here, 9.0.0 on h2"),
        ("versions", {}, host(hypervisor_version=6_000_000), SHARED, WARN, "the older 6.0.0 on h2"),
        ("versions", {}, host(libvirt_version=None), SHARED, UNKNOWN, "? on h2"),
        ("round-trip", {}, {}, SHARED, PASS, "3 ms"),
        ("round-trip", {}, {"round_trip_s": 0.5}, SHARED, WARN, "500 ms"),
        ("reach", {}, {}, SHARED, UNKNOWN, "49152-49215 of h2 and the daemon"),
        ("reach", {}, {}, MigrationOptions(peer_to_peer=False), UNKNOWN, "TCP ports 49152-49215 of h2"),
    ],
)  # fmt: skip
def test_a_check(
    id_: str,
    needs: dict[str, Any],
    offers: dict[str, Any],
    options: MigrationOptions,
    grade: Grade,
    evidence: str,
) -> None:
    check = checks(needs, offers, options)[id_]
    assert (check.grade, evidence in check.evidence) == (grade, True), check
    # What is wrong comes with something to do.
    assert check.advice or grade in (PASS, UNKNOWN) or id_ == "state"


@pytest.mark.parametrize(
    ("id_", "needs", "options"),
    [
        ("hugepages", {}, SHARED),
        ("pins", {}, SHARED),
        ("copies", {}, SHARED),
        ("shared", {}, COPY),
        ("cache", {}, SHARED),
        ("saved", {"saved": True}, SHARED),
        ("reach", {}, MigrationOptions(offline=True, peer_to_peer=False)),
        # A VM that is off has no memory, no job and no running QEMU that a device could hold.
        ("job", {"active": False, "job": None}, OFFLINE),
        ("launch-security", {"active": False, "launch_security": "sev"}, OFFLINE),
    ],
)
def test_what_does_not_apply_is_not_told(id_: str, needs: dict[str, Any], options: MigrationOptions) -> None:
    assert id_ not in checks(needs, {}, options)


def test_the_worst_comes_first() -> None:
    made = preflight(replace(NEEDS, snapshots=1, io_error=True), OFFERS, SHARED)
    assert [check.grade for check in made] == sorted((check.grade for check in made), reverse=True)
    assert made[0].id == "snapshots"


def test_nothing_known_is_unknown_and_never_fails() -> None:
    blank = HostOffers(HostIdentity("h2"), namesakes=None)
    made = preflight(
        GuestNeeds("x", UUID, HostIdentity("h1"), job=None, snapshots=None, block_jobs=None), blank, SHARED
    )
    assert {check.grade for check in made} <= {PASS, UNKNOWN}
    assert {"other-host", "name", "machine", "cpu", "memory", "vcpus", "versions"} <= {
        check.id for check in made if check.grade is UNKNOWN
    }


def test_summary() -> None:
    grades = [FAIL, WARN, UNKNOWN, UNKNOWN, *[PASS] * 12]
    made = [Check(str(number), "", grade, "") for number, grade in enumerate(grades)]
    assert summary(made) == "12 checks pass, 1 fails, 1 warns, 2 unknown"
    assert summary(made[-1:]) == "1 check passes"
    assert summary([made[0], made[0]]) == "0 checks pass, 2 fail"


@pytest.mark.parametrize(
    ("needs", "offers", "how"),
    [
        ({}, {}, DiskMove.SHARED),
        ({}, NOT_THERE, DiskMove.COPY),
        ({}, {"volumes": None}, DiskMove.SHARED),
        # What was left there by a move is not the disk, and not to be taken for it.
        (on(mark=IN_USE), {"marks": {PATH: LEFT}}, DiskMove.COPY),
        (on(mark=IN_USE), {"marks": {PATH: IN_USE}}, DiskMove.SHARED),
        (on(mark=IN_USE), {"marks": {PATH: IN_USE}, "old_copies": frozenset({PATH})}, DiskMove.COPY),
        ({"pools": (NAS,)}, NOT_THERE | {"pools": (NAS,)}, DiskMove.SHARED),
        ({"active": False}, NOT_THERE, DiskMove.SHARED),
        ({"disks": (RBD, ISO)}, NOT_THERE, DiskMove.SHARED),
        ({"disks": (BY_POOL,)}, NOT_THERE, DiskMove.COPY),
    ],
)
def test_the_default_for_the_disks(needs: dict[str, Any], offers: dict[str, Any], how: DiskMove) -> None:
    assert default_disks(replace(NEEDS, **needs), replace(OFFERS, **offers)) is how


@pytest.mark.parametrize(
    ("needs", "offers", "partly"),
    [
        ({}, NOT_THERE, None),
        ({"disks": (DISK, RBD)}, NOT_THERE, PartCopy(("vda",), ("vdb",))),
        ({"disks": (DISK, RBD, BY_POOL, ISO)}, NOT_THERE, PartCopy(("vda", "vdc"), ("vdb",))),
        # Nothing says that it is shared.
        ({"disks": (DISK, RBD)}, {}, PartCopy(("vda",), ("vdb",))),
        ({"disks": (RBD,)}, NOT_THERE, None),
        ({"disks": (replace(DISK, writable=False), RBD)}, NOT_THERE, None),
    ],
)
def test_of_disks_some_of_which_are_shared_the_others_are_copied(
    needs: dict[str, Any], offers: dict[str, Any], partly: PartCopy | None
) -> None:
    assert part_copy(replace(NEEDS, **needs), replace(OFFERS, **offers)) == partly


def test_disks_that_stay_while_others_are_copied_are_looked_at_as_what_they_are() -> None:
    mixed, only = {"disks": (DISK, RBD)}, MigrationOptions(disks=DiskMove.COPY, partly=PartCopy(("vda",), ("vdb",)))
    made = checks(mixed, NOT_THERE, COPY)
    assert made["copies"].grade is FAIL
    assert "vdb is network storage" in made["copies"].evidence
    made = checks(mixed, NOT_THERE, only)
    assert (made["copies"].grade, made["disks"].grade) == (PASS, PASS)
    assert "vdb is network storage, not a file" in made["disks"].evidence
    both = {"disks": (replace(DISK, target="vdb", path="/images/b.qcow2", mark=IN_USE), replace(DISK, mark=None))}
    there = {"volumes": {"/images/b.qcow2": 20 * GIB}, "marks": {"/images/b.qcow2": IN_USE}}
    made = checks(both, there, only)
    assert (made["copies"].grade, made["shared"].grade, made["disks"].grade) == (PASS, PASS, PASS)
    assert "/images/b.qcow2" in made["shared"].evidence


def test_what_is_shown_is_clean_and_what_a_shell_would_read_is_a_uuid() -> None:
    hostile = "$(reboot)\x1b[2J"
    made = checks(
        {"name": hostile, "snapshots": 1, "disks": (replace(ISO, path=f"/iso/{hostile}"),),
         "interfaces": (NeededInterface("network", hostile),)}
    )  # fmt: skip
    assert not any("\x1b" in check.evidence + check.advice for check in made.values())
    assert made["snapshots"].advice.startswith(f"virsh snapshot-list {UUID};")
    assert "'$(reboot)" in checks({"interfaces": (NeededInterface("network", "$(reboot)"),)})["networks"].advice
