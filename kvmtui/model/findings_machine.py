"""The rules for the machine kvmtui runs on: whether it can run VMs as it should, and what it suffers from now.

What `virt-host-validate qemu` checks is here, and comes out alike.
"""

from kvmtui.model.findings_values import Basis, Found, Rule, Severity, fine, unknown, untold
from kvmtui.model.health import Machine

_SWAP_WARNING, _SWAP_CRITICAL = 0.5, 0.9
_LOAD_PER_CPU = 2.0
_STEAL = 0.05


def virtualisation(basis: Basis) -> Rule:
    """Whether the processor can run guests by itself."""
    found = basis.machine.virtualisation
    if found is None:
        yield untold("this kind of processor does not list it")
    elif not found:
        yield Found(
            Severity.CRITICAL,
            "the processor shows neither VT-x nor AMD-V: guests are emulated, many times slower",
            "turn it on in the firmware; inside a VM, let its host pass it on (cpu mode host-passthrough)",
        )
    else:
        yield fine(found)


def kvm_device(basis: Basis) -> Rule:
    """Whether QEMU can get at KVM."""
    machine = basis.machine
    if not machine.virtualisation:
        yield untold("without VT-x or AMD-V there is no KVM to get at")
    elif machine.kvm_device is None:
        yield unknown("/dev/kvm could not be looked at")
    elif machine.kvm_device:
        module = "kvm_intel" if machine.virtualisation == "VT-x" else "kvm_amd"
        advice = f"modprobe {module}" if "missing" in machine.kvm_device else "chown root:kvm /dev/kvm; chmod 660 it"
        yield Found(Severity.CRITICAL, f"/dev/kvm {machine.kvm_device}", advice)
    else:
        yield fine("/dev/kvm is there")


def nested(basis: Basis) -> Rule:
    """Whether guests may run guests of their own, which is nobody's fault either way."""
    found = basis.machine.nested
    yield untold("the kvm module does not say") if found is None else fine("on" if found else "off")


def vhost_net(basis: Basis) -> Rule:
    """Whether the kernel carries the packets of virtio interfaces."""
    if basis.machine.vhost_net is None:
        yield unknown("/dev/vhost-net could not be looked at")
    elif not basis.machine.vhost_net:
        yield Found(
            Severity.NOTE, "there is no /dev/vhost-net: packets of guests go through QEMU", "modprobe vhost_net"
        )


def tun(basis: Basis) -> Rule:
    """Whether guests can have network interfaces."""
    if basis.machine.tun is None:
        yield unknown("/dev/net/tun could not be looked at")
    elif not basis.machine.tun:
        yield Found(Severity.CRITICAL, "there is no /dev/net/tun: guests have no network", "modprobe tun")


def cgroups(basis: Basis) -> Rule:
    """Whether libvirt can limit and measure guests."""
    found = basis.machine.cgroups
    if found is None:
        yield unknown("the cgroups could not be read")
        return
    missing = [name for name, there in found.items() if not there]
    if missing:
        yield Found(
            Severity.WARNING,
            f"no cgroup controller {', '.join(missing)}: limits of guests do not hold",
            "mount the controllers, or turn them on in the kernel's command line (cgroup_enable=memory)",
        )


def iommu(basis: Basis) -> Rule:
    """Whether devices can be handed to guests."""
    machine = basis.machine
    if machine.iommu_groups:
        yield fine("in use")
    elif machine.iommu_table is None:
        yield untold("this machine does not tell whether it has one")
    elif not machine.iommu_table:
        yield Found(Severity.NOTE, "the firmware tells of none: devices cannot be handed to guests", "turn it on there")
    else:
        option = "intel_iommu=on" if machine.virtualisation == "VT-x" else "iommu=pt"
        yield Found(
            Severity.NOTE,
            "the firmware has one, the kernel does not use it: devices cannot be handed to guests",
            f"add {option} to the kernel's command line",
        )


def secure_guests(basis: Basis) -> Rule:
    """Whether guests' memory can be encrypted."""
    found = basis.machine.secure_guests
    yield untold("this machine does not tell") if found is None else fine("SEV" if found else "off")


_WAITS = {"cpu": "the CPU", "memory": "memory", "io": "I/O"}


def pressure(basis: Basis) -> Rule:
    """Whether tasks wait for what the machine has too little of."""
    shares = basis.machine.pressure
    if shares is None:
        yield untold("the kernel does not tell it (it needs CONFIG_PSI, and psi=1)")
        return
    limit = basis.limits.pressure
    for name, share in shares.items():
        if share >= limit:
            yield Found(
                Severity.CRITICAL if share >= min(2 * limit, 0.9) else Severity.WARNING,
                f"in {share:.0%} of the last minute tasks waited for {_WAITS.get(name, name)}",
                "migrate VMs away (key B); sorted by CPU, memory or disk, the table shows who takes it",
                subject=name,
            )


def swap(basis: Basis) -> Rule:
    """Whether memory had to be put on disk, and comes back from there."""
    machine = basis.machine
    if machine.swap_total_bytes is None or machine.swap_used_bytes is None:
        yield unknown("swap could not be read")
        return
    if not machine.swap_total_bytes:
        yield fine("there is none")
        return
    share = machine.swap_used_bytes / machine.swap_total_bytes
    if share >= _SWAP_WARNING:
        yield Found(
            Severity.CRITICAL if share >= _SWAP_CRITICAL else Severity.WARNING,
            f"{share:.0%} of swap is used{_paging(basis, machine)}",
            "give VMs less memory, or migrate some (key B); swapoff -a; swapon -a brings it back once there is room",
        )
    else:
        yield fine(f"{share:.0%} used")


def _paging(basis: Basis, machine: Machine) -> str:
    before = basis.before.machine if basis.before is not None else None
    if before is None or before.swapped_pages is None or machine.swapped_pages is None:
        return ""
    return f", {max(0, machine.swapped_pages - before.swapped_pages):,} pages came back since the look before"


def load(basis: Basis) -> Rule:
    """Whether more tasks want to run than there are CPUs, for a quarter of an hour."""
    machine = basis.machine
    if machine.load_15 is None or not machine.cpus:
        yield unknown("the load could not be read")
    elif machine.load_15 >= _LOAD_PER_CPU * machine.cpus:
        yield Found(
            Severity.WARNING,
            f"a load of {machine.load_15:.1f} on {machine.cpus} CPUs over 15 minutes",
            "migrate VMs away (key B)",
        )
    else:
        yield fine(f"{machine.load_15:.1f} on {machine.cpus} CPUs")


def steal(basis: Basis) -> Rule:
    """Whether this machine, a VM itself, gets the CPU time it wants."""
    share = basis.machine.steal_fraction
    if share is None:
        yield untold("the kernel does not tell it")
    elif share >= _STEAL:
        yield Found(
            Severity.WARNING,
            f"this machine is a VM, and since its boot {share:.1%} of its CPU time went to others",
            "its own host is overcommitted: migrate it, or its neighbours",
        )
    else:
        yield fine(f"{share:.1%}")


def temperatures(basis: Basis) -> Rule:
    """Whether it is too hot."""
    found = basis.machine.temperatures
    if not found:
        yield untold("this machine has no sensor that the kernel knows")
        return
    if not any(sensor.high_celsius is not None for sensor in found):
        hottest = max(found, key=lambda sensor: sensor.celsius)
        yield untold(f"no sensor tells its limit; the highest is {hottest.celsius:.0f} °C ({hottest.name})")
    for sensor in found:
        if sensor.high_celsius is not None and sensor.celsius >= sensor.high_celsius:
            yield Found(
                Severity.CRITICAL,
                f"{sensor.celsius:.0f} °C, its limit is {sensor.high_celsius:.0f} °C",
                "look after fans and the room's cooling; migrate VMs away (key E)",
                subject=sensor.name,
            )


def clock(basis: Basis) -> Rule:
    """Whether the time is right: guests take theirs from here, and migrations need it."""
    found = basis.machine.clock_synchronised
    if found is None:
        yield unknown("the kernel was not asked (adjtimex)")
    elif not found:
        yield Found(
            Severity.WARNING,
            "the kernel's clock is not synchronised",
            "start one of chronyd, ntpd, systemd-timesyncd: timedatectl set-ntp true",
        )
