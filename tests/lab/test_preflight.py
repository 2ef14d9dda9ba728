"""The checks before a move, on real hosts: what they say is what libvirt then does."""

import contextlib
import os
import signal
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator

import libvirt
import pytest

from kvmtui.hypervisor.libvirt_backend import LibvirtBackend
from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.preflight import Check, Grade, GuestNeeds, HostOffers, default_disks, preflight
from kvmtui.model.preflight_shared import sharing
from kvmtui.model.sharing import Sharing
from tests.lab import guests
from tests.lab.conftest import GuestFactory, connected, remove_guests
from tests.lab.lab import Host, Lab, wait_until
from tests.lab.tools import LabError

Paused = Callable[..., str]


@pytest.fixture
def paused(lab: Lab) -> Iterator[Paused]:
    """Start a tiny paused guest whose definition is changed first; return its UUID."""
    made: list[str] = []

    def make(
        host: Host, name: str, change: Callable[[ET.Element], None] = lambda _: None, *, start: bool = True
    ) -> str:
        made.append(name)
        tree = ET.fromstring(guests.tiny_xml(name))  # noqa: S314 - our own
        change(tree)
        with connected(host) as connection:
            domain = connection.defineXML(ET.tostring(tree, encoding="unicode"))
            if start:
                domain.createWithFlags(libvirt.VIR_DOMAIN_START_PAUSED)
            return str(domain.UUIDString())

    yield make
    remove_guests(lab, [(name, None) for name in made])


def read(source: Host, uuid: str, destination: Host, *, read_only: bool = False) -> tuple[GuestNeeds, HostOffers]:
    backend = LibvirtBackend()
    here = backend.open(source.ro_uri if read_only else source.uri, read_only=read_only)
    there = backend.open(destination.ro_uri if read_only else destination.uri, read_only=read_only)
    try:
        needs = here.needs(uuid)
        return needs, there.offers(needs)
    finally:
        here.close()
        there.close()


def look(lab: Lab, uuid: str, options: MigrationOptions | None = None) -> dict[str, Check]:
    """Make the checks of a move from h1 to h2."""
    needs, offers = read(lab.h1, uuid, lab.h2)
    return {check.id: check for check in preflight(needs, offers, options or MigrationOptions())}


def failing(checks: dict[str, Check]) -> list[str]:
    return [check.id for check in checks.values() if check.grade is Grade.FAIL]


def migrate(lab: Lab, uuid: str, *flags: str) -> None:
    lab.h1.virsh("migrate", "--live", "--p2p", "--persistent", "--undefinesource", *flags, uuid, lab.h2.uri)


def devices(domain: ET.Element) -> ET.Element:
    found = domain.find("devices")
    assert found is not None
    return found


def add_network(name: str) -> Callable[[ET.Element], None]:
    def change(domain: ET.Element) -> None:
        interface = ET.SubElement(devices(domain), "interface", type="network")
        ET.SubElement(interface, "source", network=name)
        ET.SubElement(interface, "model", type="virtio")

    return change


def add_bridge(domain: ET.Element) -> None:
    interface = ET.SubElement(devices(domain), "interface", type="bridge")
    ET.SubElement(interface, "source", bridge="labbr9")


def test_a_good_vm_passes_and_moves(lab: Lab, guest: GuestFactory) -> None:
    vm = guest(lab.h1, "good1", disk=True, wait=False)
    needs, offers = read(lab.h1, vm.uuid, lab.h2)
    assert default_disks(needs, offers) is DiskMove.COPY
    assert needs.disks[0].capacity_bytes == guests.DISK_BYTES
    checks = {check.id: check for check in preflight(needs, offers, MigrationOptions(disks=DiskMove.COPY))}
    assert failing(checks) == []
    passed = ("other-host", "name", "job", "snapshots", "machine", "cpu", "networks", "copies", "block-jobs")
    assert {check: checks[check].grade for check in passed} == dict.fromkeys(passed, Grade.PASS)
    # The kernel it boots and the way between the hosts cannot be looked up.
    assert {check.id for check in checks.values() if check.grade is Grade.UNKNOWN} == {"host-files", "reach"}
    migrate(lab, vm.uuid, "--copy-storage-all")
    assert vm.is_active(lab.h2)


def test_disks_of_one_host_only(lab: Lab, guest: GuestFactory) -> None:
    vm = guest(lab.h1, "local1", disk=True, wait=False)
    assert look(lab, vm.uuid)["disks"].grade is Grade.WARN
    with pytest.raises(LabError, match="without shared storage is unsafe"):
        migrate(lab, vm.uuid)
    lab.h2.virsh("pool-destroy", "default")
    try:
        checks = look(lab, vm.uuid, MigrationOptions(disks=DiskMove.COPY))
        assert failing(checks) == ["copies"]
        assert checks["copies"].advice == "on h2: virsh pool-start default"
        with pytest.raises(LabError):
            migrate(lab, vm.uuid, "--copy-storage-all")
    finally:
        lab.h2.virsh("pool-start", "default")
    checks = look(lab, vm.uuid, MigrationOptions(disks=DiskMove.COPY_CHANGES))
    assert failing(checks) == ["copies"]
    with pytest.raises(LabError):
        migrate(lab, vm.uuid, "--copy-storage-inc")


def test_what_a_move_left_is_not_taken_for_the_disk(lab: Lab, guest: GuestFactory) -> None:
    vm = guest(lab.h1, "back1", disk=True, wait=False)
    migrate(lab, vm.uuid, "--copy-storage-all")
    # A while later: nobody has written to what was left.
    lab.h1.inside("touch", "--date=10 minutes ago", str(guests.POOL_FOLDER / vm.spec.volume))
    needs, offers = read(lab.h2, vm.uuid, lab.h1, read_only=True)
    assert default_disks(needs, offers) is DiskMove.COPY
    checks = {check.id: check for check in preflight(needs, offers, MigrationOptions(disks=DiskMove.COPY))}
    assert failing(checks) == []
    assert "h1 has another volume at" in checks["copies"].evidence
    back = ("migrate", "--live", "--p2p", "--persistent", "--undefinesource", vm.uuid, lab.h1.uri)
    with pytest.raises(LabError, match="without shared storage is unsafe"):
        lab.h2.virsh(*back)
    lab.h2.virsh(*back, "--copy-storage-all")
    assert vm.is_active(lab.h1)
    # One file is known as one, by both hosts' pools.
    needs, offers = read(lab.h1, vm.uuid, lab.h1)
    assert sharing(needs.disks[0], needs, offers) is Sharing.ONE


def test_a_snapshot_fails(lab: Lab, guest: GuestFactory) -> None:
    vm = guest(lab.h1, "snap1", disk=True, wait=False)
    lab.h1.virsh("snapshot-create-as", vm.uuid, "before")
    checks = look(lab, vm.uuid, MigrationOptions(disks=DiskMove.COPY))
    assert failing(checks) == ["snapshots"]
    with pytest.raises(LabError, match="snapshot"):
        migrate(lab, vm.uuid, "--copy-storage-all")
    lab.h1.virsh("snapshot-delete", vm.uuid, "before")
    assert failing(look(lab, vm.uuid, MigrationOptions(disks=DiskMove.COPY))) == []


def test_a_network_that_is_missing_fails(lab: Lab, paused: Paused) -> None:
    network = "<network><name>only-h1</name><bridge name='labbr9'/></network>"
    with connected(lab.h1) as connection:
        made = connection.networkCreateXML(network)
        try:
            uuid = paused(lab.h1, "net1", add_network("only-h1"))
            checks = look(lab, uuid)
            assert failing(checks) == ["networks"]
            assert checks["networks"].evidence == "h2 has no network only-h1"
            with pytest.raises(LabError, match="only-h1"):
                migrate(lab, uuid)
            on_bridge = paused(lab.h1, "net2", add_bridge)
            assert failing(look(lab, on_bridge)) == ["networks"]
            with pytest.raises(LabError, match="labbr9"):
                migrate(lab, on_bridge)
            # Defined there, but not active.
            with connected(lab.h2) as other:
                defined = other.networkDefineXML(network.replace("labbr9", "labbr8"))
                try:
                    assert "net-start only-h1" in look(lab, uuid)["networks"].advice
                    with pytest.raises(LabError, match="only-h1"):
                        migrate(lab, uuid)
                    defined.create()
                    assert failing(look(lab, uuid)) == []
                    migrate(lab, uuid)
                finally:
                    with contextlib.suppress(libvirt.libvirtError):
                        defined.destroy()
                    defined.undefine()
        finally:
            made.destroy()


def test_a_name_that_is_taken_fails(lab: Lab, paused: Paused) -> None:
    uuid = paused(lab.h1, "twin")
    paused(lab.h2, "twin", start=False)
    checks = look(lab, uuid)
    assert failing(checks) == ["name"]
    with pytest.raises(LabError, match="already exists"):
        migrate(lab, uuid)


def test_an_old_definition_there_is_replaced(lab: Lab, paused: Paused) -> None:
    uuid = paused(lab.h1, "again")
    with connected(lab.h1) as source, connected(lab.h2) as destination:
        destination.defineXML(source.lookupByUUIDString(uuid).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    checks = look(lab, uuid)
    assert (failing(checks), checks["name"].grade) == ([], Grade.WARN)
    migrate(lab, uuid)


def test_an_emulator_that_is_missing_fails(lab: Lab, paused: Paused) -> None:
    # Only below libvirt's own folders do the hosts differ.
    lab.h1.inside("ln", "-s", "/usr/bin/qemu-system-x86_64", "/var/lib/libvirt/own-qemu")

    def use_it(domain: ET.Element) -> None:
        ET.SubElement(devices(domain), "emulator").text = "/var/lib/libvirt/own-qemu"

    uuid = paused(lab.h1, "emu1", use_it)
    checks = look(lab, uuid)
    assert failing(checks) == ["machine"]
    assert "own-qemu" in checks["machine"].evidence
    with pytest.raises(LabError, match="own-qemu"):
        migrate(lab, uuid)


def test_the_same_host_fails(lab: Lab, paused: Paused) -> None:
    uuid = paused(lab.h1, "stay1")
    needs, offers = read(lab.h1, uuid, lab.h1)
    checks = {check.id: check for check in preflight(needs, offers, MigrationOptions())}
    assert checks["other-host"].grade is Grade.FAIL


def test_a_vm_that_is_off_moves_offline(lab: Lab, paused: Paused) -> None:
    uuid = paused(lab.h1, "off1", start=False)
    assert failing(look(lab, uuid)) == ["state"]
    with pytest.raises(LabError, match="not running"):
        migrate(lab, uuid)
    assert failing(look(lab, uuid, MigrationOptions(offline=True))) == []
    lab.h1.virsh("migrate", "--offline", "--p2p", "--persistent", "--undefinesource", uuid, lab.h2.uri)


def test_who_may_only_look_is_told_what_could_not_be_asked(lab: Lab, paused: Paused) -> None:
    uuid = paused(lab.h1, "ro1")
    needs, offers = read(lab.h1, uuid, lab.h2, read_only=True)
    checks = {check.id: check for check in preflight(needs, offers, MigrationOptions())}
    assert checks["machine"].grade is Grade.UNKNOWN
    assert "may only look" in checks["machine"].evidence
    assert failing(checks) == []
    assert checks["name"].grade is Grade.PASS


def test_a_vm_that_is_on_its_way_fails(lab: Lab, guest: GuestFactory) -> None:
    vm = guest(lab.h1, "busy1")
    lab.h1.virsh("migrate-setspeed", vm.uuid, "1")
    moving = subprocess.Popen(
        ["virsh", "-q", "-c", lab.h1.uri, "migrate", "--live", "--p2p", vm.uuid, lab.h2.uri], stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: "job" in failing(look(lab, vm.uuid)), "the job")
        checks = look(lab, vm.uuid)
        assert "migration" in checks["job"].evidence
        # The destination has it already, too.
        assert checks["name"].grade is Grade.FAIL
    finally:
        lab.h1.virsh("domjobabort", vm.uuid)
        moving.wait(30)
    assert failing(look(lab, vm.uuid)) == []


def test_a_hung_qemu_fails_and_is_not_asked(lab: Lab, guest: GuestFactory) -> None:
    vm = guest(lab.h1, "hung1", wait=False)
    pid = lab.h1.qemu_pid(vm.name)
    os.kill(pid, signal.SIGSTOP)
    asker = subprocess.Popen(["virsh", "-q", "-c", lab.h1.uri, "dommemstat", vm.uuid], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: "occupied" in lab.h1.virsh("domcontrol", vm.uuid), "somebody to wait for it")
        checks = look(lab, vm.uuid)
        assert failing(checks) == ["job"]
        assert "waited" in checks["job"].evidence
        assert checks["block-jobs"].grade is Grade.UNKNOWN
    finally:
        os.kill(pid, signal.SIGCONT)
        asker.wait(30)
