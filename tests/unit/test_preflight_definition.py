"""What a definition and a host's capabilities tell, in libvirt's own words; and what a hostile one does not do."""

import random
import re

import pytest

from kvmtui.hypervisor.errors import HypervisorError
from kvmtui.hypervisor.preflight_capabilities import parse_capabilities, parse_emulation, parse_pool
from kvmtui.hypervisor.preflight_definition import cpu_element, cpu_set, parse_needs
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.preflight import GuestNeeds, HostOffers, preflight
from kvmtui.model.preflight_values import HostIdentity, NeededDevice, NeededInterface, Pin

XML = """
<domain type='kvm' id='7' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>db1</name>
  <memory unit='KiB'>8388608</memory>
  <currentMemory unit='KiB'>4194304</currentMemory>
  <memoryBacking><hugepages>
    <page size='2' unit='MiB' nodeset='0'/><page size='1048576' unit='KiB'/>
  </hugepages></memoryBacking>
  <vcpu placement='static' cpuset='0-3' current='2'>4</vcpu>
  <cputune><vcpupin vcpu='1' cpuset='2,^3'/><emulatorpin cpuset='0-1'/><iothreadpin iothread='1' cpuset='9'/></cputune>
  <numatune><memory mode='preferred' nodeset='1'/></numatune>
  <os>
    <type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
    <loader readonly='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.fd</loader>
    <nvram>/var/lib/libvirt/qemu/nvram/db1_VARS.fd</nvram>
    <kernel>/boot/vmlinuz</kernel>
  </os>
  <cpu mode='custom' match='exact' check='full'>
    <model fallback='forbid'>Skylake-Server</model>
    <feature policy='require' name='invtsc'/>
  </cpu>
  <clock offset='utc'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='none'/>
      <source file='/images/db1.qcow2' index='2'>
        <encryption format='luks'><secret type='passphrase' uuid='u-1'/></encryption>
      </source>
      <backingStore type='file' index='3'>
        <format type='qcow2'/><source file='/images/base.qcow2'/><backingStore/>
      </backingStore>
      <mirror type='file' job='copy' ready='yes'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='block' device='disk'><source dev='/dev/vg/data'/><target dev='vdb'/><transient/></disk>
    <disk type='network' device='disk'>
      <auth username='x'><secret type='ceph' usage='client.x'/></auth>
      <source protocol='rbd' name='pool/x'/><target dev='vdc'/>
    </disk>
    <disk type='volume' device='disk'><source pool='fast' volume='d'/><target dev='vdd'/><shareable/></disk>
    <disk type='file' device='cdrom'>
      <source file='/iso/a.iso' startupPolicy='optional'/><target dev='sda'/><readonly/>
    </disk>
    <disk type='file' device='cdrom'><target dev='sdb'/><readonly/></disk>
    <interface type='network'><source network='default' portid='p' bridge='virbr0'/></interface>
    <interface type='bridge'><source bridge='br0'/></interface>
    <interface type='direct'><source dev='eth0' mode='bridge'/></interface>
    <interface type='hostdev'><teaming type='transient' persistent='ua-net0'/></interface>
    <hostdev mode='subsystem' type='pci'>
      <source><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source>
    </hostdev>
    <hostdev mode='capabilities' type='storage'/>
    <shmem name='a' role='master'><model type='ivshmem-plain'/></shmem>
    <shmem name='b'><model type='ivshmem'/></shmem>
    <filesystem type='mount'><driver type='virtiofs'/><source dir='/src'/><target dir='src'/></filesystem>
    <filesystem type='mount'><source dir='/nine'/><target dir='nine'/></filesystem>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
  </devices>
  <launchSecurity type='sev'/>
  <qemu:commandline><qemu:arg value='-x'/></qemu:commandline>
</domain>
"""
SOURCE = HostIdentity("h1", "a")


def parse(xml: str) -> GuestNeeds:
    return parse_needs(xml, "db1", "u", SOURCE)


def test_a_definition() -> None:
    needs = parse(XML)
    assert (needs.virt_type, needs.arch, needs.machine) == ("kvm", "x86_64", "pc-q35-7.2")
    assert (needs.emulator, needs.cpu_mode) == ("/usr/bin/qemu-system-x86_64", "custom")
    assert (needs.memory_bytes, needs.current_memory_bytes) == (8 * 2**30, 4 * 2**30)
    assert (needs.hugepage_kib, needs.vcpus) == ((2048, 1048576), 4)
    assert needs.pins == (
        Pin("it", frozenset({0, 1, 2, 3})),
        Pin("vCPU 1", frozenset({2})),
        Pin("QEMU", frozenset({0, 1})),
        Pin("I/O thread 1", frozenset({9})),
    )
    assert (needs.numa_nodes, needs.numa_strict) == (frozenset({1}), False)
    assert needs.interfaces == (
        NeededInterface("network", "default"),
        NeededInterface("bridge", "br0"),
        NeededInterface("direct", "eth0"),
        NeededInterface("hostdev", replaceable=True),
    )
    assert needs.host_devices == (NeededDevice("pci", "0000:01:00:0"), NeededDevice("host", "storage"))
    assert needs.shared_memory == (NeededDevice("master", "a"), NeededDevice("legacy", "b"))
    assert needs.file_systems == (NeededDevice("virtiofs", "src"), NeededDevice("9p", "nine"))
    assert (needs.tpm, needs.launch_security, needs.own_arguments) == ("emulator", "sev", True)
    assert needs.loader == "/usr/share/OVMF/OVMF_CODE_4M.fd"
    assert needs.nvram == "/var/lib/libvirt/qemu/nvram/db1_VARS.fd"
    assert (needs.host_files, needs.secrets) == (("/boot/vmlinuz",), ("u-1", "ceph:client.x"))
    assert (needs.block_jobs, needs.invariant_tsc_unbound) == (("vda",), True)


def test_the_disks_of_a_definition() -> None:
    disks = {disk.target: disk for disk in parse(XML).disks}
    # An empty drive needs nothing.
    assert list(disks) == ["vda", "vdb", "vdc", "vdd", "sda"]
    vda = disks["vda"]
    assert (vda.path, vda.format, vda.cache, vda.backing) == (
        "/images/db1.qcow2",
        "qcow2",
        "none",
        "/images/base.qcow2",
    )
    assert [disk.place for disk in disks.values()] == [
        "/images/db1.qcow2",
        "/dev/vg/data",
        None,
        "fast:d",
        "/iso/a.iso",
    ]
    assert [disk.target for disk in disks.values() if disk.writable] == ["vda", "vdb", "vdc"]
    assert [disk.target for disk in disks.values() if disk.transient] == ["vdb"]
    assert (disks["sda"].removable, disks["sda"].startup_policy) == (True, "optional")


def test_a_frequency_binds_the_time_stamp_counter() -> None:
    timed = XML.replace("<clock offset='utc'/>", "<clock><timer name='tsc' frequency='3000000000'/></clock>")
    assert not parse(timed).invariant_tsc_unbound


def test_the_cpu_that_is_compared() -> None:
    assert cpu_element(XML).startswith("<cpu check=") or cpu_element(XML).startswith("<cpu mode=")
    assert "Skylake-Server" in cpu_element(XML)
    assert cpu_element("<domain/>") == ""


def test_an_empty_definition_asks_for_nothing() -> None:
    needs = parse("<domain/>")
    assert (needs.disks, needs.interfaces, needs.memory_bytes, needs.vcpus, needs.cpu_mode) == ((), (), 0, 1, "")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", set()),
        ("0-3,^2,8", {0, 1, 3, 8}),
        ("5", {5}),
        ("3-1", set()),
        ("a,-,^,1-,2", {1, 2}),
        ("0-99999999999999999999", set()),
        ("0-9999999", set()),
        ("\u0661,\u00b2", set()),
    ],
)
def test_cpu_sets(text: str, numbers: set[int]) -> None:
    assert cpu_set(text) == numbers


@pytest.mark.parametrize("xml", ["", "<domain", "\x00", "<a></b>", "not xml", "\ud800", "<!DOCTYPE a><a/>"])
def test_what_cannot_be_read_is_said(xml: str) -> None:
    for parser in (parse, parse_capabilities, parse_emulation, lambda text: parse_pool(text, active=True)):
        with pytest.raises(HypervisorError, match="cannot be read"):
            parser(xml)


def test_hostile_definitions_give_checks_and_never_a_defect() -> None:
    """Take the definition's attributes, texts and elements, and put nonsense in their place."""
    dice = random.Random(5)  # noqa: S311 - to repeat the same
    nonsense = [
        "",
        "-1",
        "9" * 40,
        "\u0665",
        "\u00b2",
        "^",
        "0-8191",
        "a/../..",
        "&#x202e;",
        "&#x9b;2J",
        "x" * 5000,
        "$(x)",
        "%s{0}",
    ]
    places = [match.span(1) for match in re.finditer(r"(?:='|>)([^<>']+)", XML)]
    tags = sorted(set(re.findall(r"<([a-zA-Z]+)[ />]", XML)) - {"domain"})
    for _ in range(400):
        text = XML
        for start, end in sorted(dice.sample(places, 4), reverse=True):
            if "libvirt.org" not in text[start:end]:
                text = text[:start] + dice.choice(nonsense) + text[end:]
        tag, other = dice.choice(tags), dice.choice(tags)
        text = re.sub(rf"(</?){tag}\b", rf"\g<1>{other}", text)
        try:
            needs = parse(text)
        except HypervisorError:
            continue
        for check in preflight(needs, HostOffers(HostIdentity("h2", "b"), volumes={}, pools=()), MigrationOptions()):
            assert not re.search("[\x00-\x1f\x9b\u202e]", check.evidence + check.advice)
            assert len(check.evidence) <= 300


CAPABILITIES = """
<capabilities><host>
  <uuid>d9311d8b-df8e-488f-9cf2-13cce5f0cc97</uuid>
  <cpu><arch>x86_64</arch><model>EPYC</model><vendor>AMD</vendor><microcode version='16777317'/>
    <feature name='avx2'/><feature name='sha-ni'/><pages unit='KiB' size='4'/><pages unit='KiB' size='2048'/></cpu>
  <topology><cells num='2'>
    <cell id='0'><cpus num='2'><cpu id='0'/><cpu id='1'/></cpus></cell>
    <cell id='1'><cpus num='1'><cpu id='8'/></cpus></cell>
  </cells></topology>
</host></capabilities>
"""


def test_capabilities() -> None:
    told = parse_capabilities(CAPABILITIES)
    assert told.uuid == "d9311d8b-df8e-488f-9cf2-13cce5f0cc97"
    assert told.cpu is not None
    assert (told.cpu.vendor, told.cpu.model, told.cpu.microcode) == ("AMD", "EPYC", "16777317")
    assert told.cpu.features == {"avx2", "sha-ni"}
    assert (told.cpus, told.numa_nodes, told.page_kib) == (frozenset({0, 1, 8}), frozenset({0, 1}), (4, 2048))
    for poor in ("<capabilities/>", "<capabilities><host/></capabilities>"):
        assert (parse_capabilities(poor).uuid, parse_capabilities(poor).cpus) == ("", None)


def test_domain_capabilities() -> None:
    told = parse_emulation(
        "<domainCapabilities><vcpu max='288'/><os><loader supported='yes'><value>/fw.fd</value></loader></os><devices>"
        "<tpm supported='yes'><enum name='model'><value>tpm-crb</value></enum>"
        "<enum name='backendModel'><value>passthrough</value><value>emulator</value></enum></tpm></devices>"
        "</domainCapabilities>"
    )
    assert (told.max_vcpus, told.loaders, told.tpm_backends) == (
        288,
        frozenset({"/fw.fd"}),
        frozenset({"passthrough", "emulator"}),
    )
    assert parse_emulation("<domainCapabilities/>").max_vcpus is None


def test_pools() -> None:
    own = parse_pool(
        "<pool type='dir'><name>images</name><available unit='bytes'>242</available>"
        "<source><dir path='/x'/></source><target><path>/images/</path></target></pool>",
        active=True,
    )
    assert (own.name, own.kind, own.path, own.free_bytes, own.source) == ("images", "dir", "/images", 242, "")
    nas = parse_pool(
        "<pool type='netfs'><name>nas</name><available>5</available>"
        "<source><host name='nas'/><dir path='/vms'/></source><target><path>/images</path></target></pool>",
        active=False,
    )
    assert (nas.source, nas.free_bytes, nas.active) == ("nas:/vms", None, False)
