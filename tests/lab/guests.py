"""Libvirt's definitions of the lab's guests, network and pool, built as XML trees."""

import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

Role = Literal["idle", "busy", "cpu", "disk", "net"]

#: Where every host sees the image and its pool; equal on all hosts, as a migration needs it.
BOOT_FOLDER = Path("/var/lib/libvirt/boot")
POOL_FOLDER = Path("/var/lib/libvirt/images")
CONSOLE_FOLDER = Path("/var/log/libvirt/qemu")

POOL = "default"
NETWORK = "default"
DISK_BYTES = 64 * 1024 * 1024

#: The XML namespace of libvirt's options for dnsmasq.
DNSMASQ = "http://libvirt.org/schemas/network/dnsmasq/1.0"

#: No probing and no mitigations: under TCG they take most of the time to the prompt.
KERNEL_ARGUMENTS = "console=ttyS0 quiet panic=1 mitigations=off nokaslr audit=0 no_timer_check i8042.noaux"


@dataclass(frozen=True, slots=True)
class GuestSpec:
    """What a guest of the lab is to be."""

    name: str
    role: Role = "idle"
    memory_mib: int = 128
    vcpus: int = 1
    disk: bool = False
    uuid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def volume(self) -> str:
        """The name of its disk in the pool."""
        return f"{self.name}.qcow2"

    @property
    def console_log(self) -> str:
        """The name of the file that keeps what its serial console printed."""
        return f"{self.name}-console.log"


@cache
def domain_type() -> str:
    """Return `kvm` only where the processor itself has it: a /dev/kvm that emulates is far slower than TCG."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return "kvm" if Path("/dev/kvm").exists() and ("vmx" in flags or "svm" in flags) else "qemu"


def guest_xml(spec: GuestSpec) -> str:
    """Return the definition of a guest that boots the lab's image."""
    domain = _domain(spec.name, spec.uuid, spec.memory_mib, spec.vcpus)
    system = _child(domain, "os")
    _child(system, "type", "hvm", arch="x86_64", machine="q35")
    _child(system, "kernel", str(BOOT_FOLDER / "vmlinuz"))
    _child(system, "initrd", str(BOOT_FOLDER / "initramfs"))
    _child(system, "cmdline", f"{KERNEL_ARGUMENTS} lab.role={spec.role} lab.name={spec.name}")
    _child(_child(domain, "features"), "acpi")
    clock = _child(domain, "clock", offset="utc")
    _child(clock, "timer", name="hpet", present="no")
    devices = _child(domain, "devices")
    _child(devices, "controller", type="usb", model="none")
    interface = _child(devices, "interface", type="network")
    _child(interface, "source", network=NETWORK)
    _child(interface, "model", type="virtio")
    serial = _child(devices, "serial", type="pty")
    # Only the log keeps what a console printed before somebody looked.
    _child(serial, "log", file=str(CONSOLE_FOLDER / spec.console_log), append="off")
    _child(_child(devices, "memballoon", model="virtio"), "stats", period="2")
    if spec.disk:
        disk = _child(devices, "disk", type="file", device="disk")
        _child(disk, "driver", name="qemu", type="qcow2")
        _child(disk, "source", file=str(POOL_FOLDER / spec.volume))
        _child(disk, "target", dev="vda", bus="virtio")
    return _text(domain)


def tiny_xml(name: str, domain_uuid: str | None = None) -> str:
    """Return the definition of a domain that runs no system and costs next to nothing: for loads of many."""
    domain = _domain(name, domain_uuid or str(uuid.uuid4()), 16, 1)
    _child(_child(domain, "os"), "type", "hvm", arch="x86_64", machine="pc")
    devices = _child(domain, "devices")
    _child(devices, "controller", type="usb", model="none")
    _child(devices, "memballoon", model="none")
    return _text(domain)


def volume_xml(name: str, capacity_bytes: int = DISK_BYTES) -> str:
    """Return the definition of a thin qcow2 volume."""
    volume = ET.Element("volume")
    _child(volume, "name", name)
    _child(volume, "capacity", str(capacity_bytes), unit="bytes")
    _child(_child(volume, "target"), "format", type="qcow2")
    return _text(volume)


def pool_xml() -> str:
    """Return the definition of a host's own folder of images."""
    pool = ET.Element("pool", type="dir")
    _child(pool, "name", POOL)
    _child(_child(pool, "target"), "path", str(POOL_FOLDER))
    return _text(pool)


def network_xml() -> str:
    """Return the definition of a host's network, the one libvirt itself ships as `default`."""
    network = ET.Element("network")
    _child(network, "name", NETWORK)
    _child(network, "forward", mode="nat")
    _child(network, "bridge", name="virbr0", stp="on", delay="0")
    address = _child(network, "ip", address="192.168.122.1", netmask="255.255.255.0")
    _child(_child(address, "dhcp"), "range", start="192.168.122.2", end="192.168.122.254")
    options = _child(network, f"{{{DNSMASQ}}}options")
    # dnsmasq otherwise tries for 3 s whether somebody has the address already; nobody else is here.
    _child(options, f"{{{DNSMASQ}}}option", value="no-ping")
    return _text(network)


def _domain(name: str, domain_uuid: str, memory_mib: int, vcpus: int) -> ET.Element:
    domain = ET.Element("domain", type=domain_type())
    _child(domain, "name", name)
    _child(domain, "uuid", domain_uuid)
    _child(domain, "memory", str(memory_mib), unit="MiB")
    _child(domain, "vcpu", str(vcpus))
    return domain


def _child(parent: ET.Element, tag: str, text: str | None = None, /, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, tag, attributes)
    child.text = text
    return child


def _text(tree: ET.Element) -> str:
    return ET.tostring(tree, encoding="unicode")
