"""The checks of the other devices: networks, host devices, firmware, and what else ties a VM to its host."""

from shlex import quote

from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.preflight_values import (
    Finding,
    Grade,
    GuestNeeds,
    HostOffers,
    NeededDevice,
    NeededInterface,
    listed,
    safe_name,
    why,
    worst,
)

_VIRTIOFS_MOVES = 10_006_000
"""Before this libvirt a VM with virtiofs was never moved; from it on virtiofsd decides."""


def networks(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    """Whether what its interfaces are plugged into exists at the destination."""
    found = [_network(interface, needs, offers) for interface in needs.interfaces]
    return worst(found) or Finding(Grade.PASS, "it has no interface")


def _network(interface: NeededInterface, needs: GuestNeeds, offers: HostOffers) -> Finding:
    where, source = offers.host.name, interface.source
    if interface.kind == "network":
        if offers.networks is None:
            return Finding(Grade.UNKNOWN, f"network {source}: {where} could not be asked: {why(offers, 'networks')}")
        if source not in offers.networks:
            advice = (
                f"virsh net-dumpxml {quote(source)} on {needs.source.name}; on {where}: virsh net-define, net-start"
            )
            return Finding(Grade.FAIL, f"{where} has no network {source}", advice)
        if not offers.networks[source]:
            evidence = f"the network {source} on {where} is not active"
            return Finding(Grade.FAIL, evidence, f"on {where}: virsh net-start {quote(source)}")
        return Finding(Grade.PASS, f"{where} has {source}")
    if interface.kind in ("bridge", "direct"):
        what = "bridge" if interface.kind == "bridge" else "device"
        if offers.links is None:
            evidence = f"whether {where} has the {what} {source} is not known: {why(offers, 'links')}"
            return Finding(Grade.UNKNOWN, evidence, f"on {where}: ip link show {quote(source)}")
        if source not in offers.links:
            return Finding(
                Grade.FAIL, f"{where} has no {what} {source}", f"make it on {where}; ip link show {quote(source)} tells"
            )
        return Finding(Grade.PASS, f"{where} has {source}")
    if interface.kind == "hostdev":
        return _host_device(NeededDevice("pci", source or "network card", interface.replaceable))
    if interface.kind in ("user", "null", "passt"):
        return Finding(Grade.PASS, f"{interface.kind}: needs nothing of its host")
    return Finding(Grade.UNKNOWN, f"{interface.kind} {source}".strip() + f": whether {where} has it cannot be asked")


def host_devices(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether a device of its host is passed through to it."""
    return worst([_host_device(device) for device in needs.host_devices])


def _host_device(device: NeededDevice) -> Finding:
    what = f"{device.kind} {device.name}".strip()
    if device.kind == "pci" and device.replaceable:
        return Finding(Grade.PASS, f"{what}: unplugged on the way, the guest has another (teaming)")
    if device.kind == "usb":
        evidence = f"{what}: passed through; the destination needs one like it"
        return Finding(Grade.WARN, evidence, "detach it first (virsh detach-device), or plug it in there")
    return Finding(Grade.FAIL, f"{what}: passed through from its host", "detach it first (virsh detach-device)")


def shared_memory(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether it shares memory that cannot go along."""
    bound = [device.name for device in needs.shared_memory if device.kind != "master"]
    if not needs.shared_memory:
        return None
    if bound:
        return Finding(Grade.FAIL, f"{listed(bound)}: its role is not master", "detach it first (virsh detach-device)")
    return Finding(Grade.PASS, "its role is master")


def file_systems(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether it has folders of its host."""
    return worst([_file_system(device, needs) for device in needs.file_systems])


def _file_system(device: NeededDevice, needs: GuestNeeds) -> Finding:
    advice = "unmount it in the guest and detach it first (virsh detach-device)"
    if device.kind != "virtiofs":
        return Finding(Grade.WARN, f"{device.name}: QEMU refuses while the guest has it mounted (9p)", advice)
    version = needs.source.libvirt_version
    if version is not None and version < _VIRTIOFS_MOVES:
        return Finding(Grade.FAIL, f"{device.name}: this libvirt migrates no VM with virtiofs", advice)
    return Finding(Grade.UNKNOWN, f"{device.name}: virtiofsd decides whether it can be migrated", advice)


def tpm(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether its TPM can be there, too."""
    where = offers.host.name
    if not needs.tpm:
        return None
    if needs.tpm == "passthrough":
        return Finding(Grade.FAIL, "it has the TPM of its host", "give it an emulated one, off")
    if offers.emulation is None:
        return Finding(Grade.UNKNOWN, f"whether {where} has {needs.tpm} is not known: {why(offers, 'emulation')}")
    if needs.tpm not in offers.emulation.tpm_backends:
        return Finding(Grade.FAIL, f"{where} cannot run a TPM of kind {needs.tpm}", f"install swtpm on {where}")
    if not needs.active:
        advice = f"copy /var/lib/libvirt/swtpm/{needs.uuid} to {where} by hand"
        return Finding(Grade.WARN, f"its TPM's state stays on {needs.source.name}", advice)
    return Finding(Grade.PASS, f"{where} has it, and its state goes along")


def firmware(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether its firmware and its variables can be there, too."""
    where = offers.host.name
    found = []
    if needs.loader:
        known = offers.emulation.loaders if offers.emulation is not None else frozenset()
        if needs.loader in known:
            found.append(Finding(Grade.PASS, f"{where} has {needs.loader}"))
        else:
            evidence = f"{where} does not tell whether it has {needs.loader}"
            found.append(Finding(Grade.UNKNOWN, evidence, f"install the same firmware package (ovmf) on {where}"))
    if needs.nvram and not needs.active:
        evidence = f"its UEFI variables stay on {needs.source.name}"
        found.append(Finding(Grade.WARN, evidence, f"copy {quote(needs.nvram)} to {where} by hand"))
    elif needs.nvram:
        found.append(Finding(Grade.PASS, "its UEFI variables go along"))
    return worst(found)


def host_files(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether QEMU opens other things of its host."""
    found = []
    if needs.host_files:
        evidence = f"whether {offers.host.name} has {listed(needs.host_files, 3)} cannot be looked up"
        found.append(
            Finding(
                Grade.UNKNOWN, evidence, f"ls -l {' '.join(map(quote, needs.host_files[:3]))} on {offers.host.name}"
            )
        )
    if needs.own_arguments:
        evidence = "its definition gives QEMU arguments of its own, which libvirt does not understand"
        name = safe_name(needs.name, needs.uuid)
        found.append(Finding(Grade.WARN, evidence, f"look at qemu:commandline: virsh dumpxml {name}"))
    return worst(found)


def secrets(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether the secrets of its disks are known there."""
    if not needs.secrets:
        return None
    where = offers.host.name
    if offers.secrets is None:
        return Finding(Grade.UNKNOWN, f"{where} could not be asked: {why(offers, 'secrets')}")
    if missing := [secret for secret in needs.secrets if secret not in offers.secrets]:
        advice = f"on {where}: virsh secret-define FILE, virsh secret-set-value UUID"
        return Finding(Grade.FAIL, f"{where} has no secret {listed(missing)}", advice)
    return Finding(Grade.PASS, f"{where} has {listed(needs.secrets)}")


def launch_security(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether its memory is encrypted, so that QEMU cannot send it."""
    if not needs.launch_security:
        return None
    evidence = f"its memory is encrypted by its host ({needs.launch_security}), and QEMU cannot send it"
    return Finding(Grade.FAIL, evidence, "shut it down and migrate it offline")
