"""The lab itself: its hosts, its guests, what they can do."""

import libvirt
import pytest

from tests.lab.conftest import GuestFactory, TinyFactory, connected
from tests.lab.lab import Lab, wait_until
from tests.lab.population import ready_count
from tests.lab.processes import find_processes
from tests.lab.tools import LabError


def test_hosts_are_two(lab: Lab) -> None:
    with connected(lab.h1) as first, connected(lab.h2) as second:
        assert (first.getHostname(), second.getHostname()) == ("h1", "h2")
        uuids = [connection.getCapabilities().split("<uuid>")[1][:36] for connection in (first, second)]
        assert uuids[0] != uuids[1]


def test_hosts_have_a_network_a_pool_and_filters(lab: Lab) -> None:
    for host in lab.hosts:
        assert host.virsh("net-list").split() == ["default", "active", "yes", "yes"]
        assert host.virsh("pool-list").split() == ["default", "active", "yes"]
        assert "clean-traffic" in host.virsh("nwfilter-list")


def test_read_only_sockets_only_look(lab: Lab, guest: GuestFactory) -> None:
    vm = guest(lab.h1, start=False)
    connection = libvirt.openReadOnly(lab.h1.ro_uri)
    try:
        domain = connection.lookupByUUIDString(vm.uuid)
        with pytest.raises(libvirt.libvirtError, match="read only"):
            domain.create()
    finally:
        connection.close()


def test_guest_lives(lab: Lab, guest: GuestFactory) -> None:
    """Lease, memory figures, console output, reboot and shutdown by the power button: one boot for all of them."""
    vm = guest(lab.h1)
    assert "192.168.122." in lab.h1.virsh("domifaddr", vm.name)
    assert lab.h1.qemu_pid(vm.name) in find_processes(lab.h1.pid, f"-uuid {vm.uuid}")
    wait_until(lambda: "usable" in lab.h1.virsh("dommemstat", vm.name), "balloon statistics")
    lab.h1.virsh("reboot", vm.name)
    vm.wait_ready(count=2)
    lab.h1.virsh("shutdown", vm.name)
    wait_until(lambda: not vm.is_active(), "the guest to shut down", 10)


@pytest.mark.parametrize("disk", [False, True])
def test_live_migration_without_a_migration_uri(lab: Lab, guest: GuestFactory, disk: bool) -> None:
    """Peer-to-peer there, managed by the client back."""
    vm = guest(lab.h1, disk=disk)
    options = ["--live", "--persistent", "--undefinesource", *(["--copy-storage-all"] if disk else [])]
    sent_before = lab.h1.link_bytes()
    lab.h1.virsh("migrate", "--p2p", *options, vm.name, lab.h2.uri)
    assert vm.is_active(lab.h2)
    assert vm.name not in lab.h1.virsh("list", "--all", "--name").split()
    assert lab.h1.link_bytes() - sent_before > 10_000_000, "the memory did not take the lab's own network"
    lab.h2.virsh("migrate", *options, vm.name, lab.h1.uri)
    assert vm.is_active(lab.h1)
    assert ready_count(lab.h1, vm.spec) <= 1, "the guest has been booted, not moved"


def test_a_link_can_be_pulled_and_plugged(lab: Lab) -> None:
    def reaches() -> bool:
        try:
            lab.h2.inside("busybox", "ping", "-c", "1", "-W", "1", "10.77.0.1")
        except LabError:
            return False
        return True

    assert reaches()
    lab.h1.link(up=False)
    try:
        assert not reaches()
    finally:
        lab.h1.link(up=True)
    wait_until(reaches, "the link")


def test_guests_outlive_libvirtd(lab: Lab, guest: GuestFactory) -> None:
    vm = guest(lab.h1, wait=False)
    before, qemu = lab.h1.libvirtd_pid, lab.h1.qemu_pid(vm.name)
    lab.h1.restart_libvirtd()
    assert lab.h1.libvirtd_pid != before
    assert vm.is_active()
    assert lab.h1.qemu_pid(vm.name) == qemu


def test_tiny_guests(lab: Lab, tiny: TinyFactory) -> None:
    names = tiny(lab.h2, 3)
    assert names == ["idle001", "idle002", "idle003"]
    assert sorted(lab.h2.virsh("list", "--state-paused", "--name").split()) == names
