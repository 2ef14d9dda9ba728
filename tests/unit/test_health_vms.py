"""What definitions say of health."""

import xml.etree.ElementTree as ET

import pytest

from kvmtui.hypervisor.health_vms import agent_connected, balloon_period_s, packets, snapshot_time_s, waiting
from kvmtui.hypervisor.xml_reader import read_xml

DOMAIN = """<domain type='kvm'><memory unit='KiB'>1048576</memory><vcpu>2</vcpu><cpu mode='host-passthrough'/>
<os><type machine='pc-q35-7.2'>hvm</type></os><devices>
<disk type='file' device='disk'><source file='/a'/><target dev='vda'/></disk>
<disk type='file' device='cdrom'><source file='/x.iso'/><target dev='sda'/></disk>
<interface type='network'><mac address='m1'/><source network='default' bridge='virbr0'/></interface>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='disconnected'/></channel>
<memballoon model='virtio'><stats period='5'/></memballoon></devices></domain>"""


def tree(*changes: tuple[str, str]) -> ET.Element:
    text = DOMAIN
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return read_xml(text, "a definition")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("<vcpu>2<", "<vcpu>4<"), "vCPUs 2 → 4"),
        (("1048576", "2097152"), "memory 1024 MiB → 2048 MiB"),
        (("host-passthrough", "custom"), "CPU host-passthrough → custom"),
        (("pc-q35-7.2", "pc-q35-8.0"), "machine pc-q35-7.2 → pc-q35-8.0"),
        (("file='/a'", "file='/b'"), "disk vda /a → /b"),
        (("network='default'", "network='lan'"), "interface m1 default → lan"),
        (("mac address='m1'", "mac address='m2'"), "interface m1 goes"),
    ],
)
def test_what_waits_for_a_restart(change: tuple[str, str], says: str) -> None:
    assert says in waiting(tree(), tree(change))


@pytest.mark.parametrize(
    "change", [("host-passthrough", "host-model"), ("/x.iso", "/y.iso"), (" bridge='virbr0'", ""), ("period='5'", "")]
)
def test_what_needs_no_restart(change: tuple[str, str]) -> None:
    assert waiting(tree(), tree(change)) == ()


def test_agent_and_balloon() -> None:
    assert agent_connected(tree()) is False
    assert agent_connected(tree(("'disconnected'", "'connected'"))) is True
    assert agent_connected(tree(("guest_agent", "other"))) is None
    assert balloon_period_s(tree()) == 5
    assert balloon_period_s(tree(("'5'", "'x'"))) is None


def test_snapshot_times() -> None:
    assert snapshot_time_s("<domainsnapshot><creationTime>1700000000</creationTime></domainsnapshot>") == 1.7e9
    assert snapshot_time_s("<domainsnapshot><creationTime>soon</creationTime></domainsnapshot>") is None


def test_packets() -> None:
    stats = {"net.count": 1, "net.0.rx.pkts": 5, "net.0.rx.drop": 1, "net.0.rx.errs": 2}
    assert packets(stats) is None
    stats |= {"net.0.tx.pkts": 7, "net.0.tx.drop": 0, "net.0.tx.errs": 4}
    assert packets(stats) == (12, 7)
    assert packets({"net.count": -1}) is None
    assert packets({}) is None
