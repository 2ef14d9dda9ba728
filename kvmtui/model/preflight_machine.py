"""The checks of what the VM runs on: machine type, CPU, memory, and what they are bound to."""

from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.preflight_values import (
    Finding,
    Grade,
    GuestNeeds,
    HostOffers,
    amount,
    listed,
    safe_name,
    why,
    worst,
)

_MIB, _GIB = 1024**2, 1024**3
_WRITABLE = "start kvmtui without --read-only, as a user who may write there"


def machine(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    """Whether the destination has this emulator, architecture and machine type."""
    where, what = offers.host.name, f"{needs.machine or 'the default machine'} ({needs.arch}, {needs.virt_type})"
    if offers.emulation is None:
        return Finding(Grade.UNKNOWN, f"whether {where} has {what} is not known: {why(offers, 'emulation')}", _WRITABLE)
    if offers.emulation.refusal:
        return Finding(
            Grade.FAIL,
            f"{where} cannot run {what}: {offers.emulation.refusal}",
            f"install the QEMU of {needs.source.name} or a newer one on {where} (machine types: virsh domcapabilities)",
        )
    return Finding(Grade.PASS, f"{where} has {what}")


def cpu(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    """Whether the destination's CPU can run the guest."""
    where = offers.host.name
    if needs.emulated:
        return Finding(Grade.PASS, "not compared: the guest's CPU is emulated (TCG)")
    if needs.cpu_mode in ("host-passthrough", "maximum"):
        return _passthrough(needs, offers)
    if needs.cpu_mode == "host-model" and not needs.active:
        return Finding(Grade.PASS, f"host-model: it gets the CPU of {where} when it starts there")
    if offers.cpu_refusal is None:
        reason = why(offers, "cpu_refusal") if needs.cpu_xml else why(needs, "cpu_xml")
        return Finding(Grade.UNKNOWN, f"it could not be compared: {reason}", _WRITABLE)
    if offers.cpu_refusal:
        return Finding(
            Grade.FAIL,
            f"{where}: {offers.cpu_refusal}",
            "give it a CPU model that both hosts have (virsh hypervisor-cpu-baseline), off, then start it again",
        )
    return Finding(Grade.PASS, f"{where} has all that the guest sees")


def _passthrough(needs: GuestNeeds, offers: HostOffers) -> Finding:
    """Compare the hosts themselves: the guest sees its host's own CPU."""
    ours, theirs, where = needs.source.cpu, offers.host.cpu, offers.host.name
    advice = "give it a named CPU model that both hosts have, off, then start it again"
    if not needs.active:
        return Finding(Grade.PASS, f"{needs.cpu_mode}: it gets the CPU of {where} when it starts there")
    if ours is None or theirs is None:
        name = where if ours is not None else needs.source.name
        return Finding(Grade.UNKNOWN, f"{needs.cpu_mode}, and {name} does not tell its CPU", advice)
    lacking = tuple(sorted(ours.features - theirs.features))
    if (ours.vendor, ours.model) != (theirs.vendor, theirs.model):
        here, there = f"{needs.source.name} is {ours.vendor} {ours.model}", f"{where} {theirs.vendor} {theirs.model}"
        return Finding(Grade.FAIL, f"{needs.cpu_mode}: {here}, {there}", advice)
    if lacking:
        return Finding(Grade.FAIL, f"{needs.cpu_mode}, and {where} lacks {listed(lacking)}", advice)
    if ours.microcode != theirs.microcode:
        evidence = f"{needs.cpu_mode}: microcode {ours.microcode or '?'} here, {theirs.microcode or '?'} on {where}"
        return Finding(Grade.WARN, evidence, "bring both hosts to one microcode, or give it a named CPU model")
    return Finding(Grade.PASS, f"{needs.cpu_mode}, and both hosts are {ours.vendor} {ours.model}")


def tsc(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether the guest relies on a TSC whose rate is its host's."""
    if not needs.invariant_tsc_unbound:
        return None
    return Finding(
        Grade.FAIL,
        "the guest sees an invariant TSC (invtsc) and no frequency is set for it",
        "off: remove invtsc from its CPU, or set <timer name='tsc' frequency='…'/> in its clock",
    )


def memory(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    """Whether the destination has the memory: what it holds now, what it may take, and a reserve for the host."""
    where, free, total = offers.host.name, offers.memory_free_bytes, offers.memory_total_bytes
    if free is None:
        return Finding(Grade.UNKNOWN, f"{where} does not tell its free memory: {why(offers, 'memory_free_bytes')}")
    # QEMU itself, video memory and page tables; nova and oVirt reckon with a like sum.
    overhead = 96 * _MIB + needs.vcpus * 8 * _MIB + needs.memory_bytes // 256
    most = needs.memory_bytes + overhead
    now = min(needs.current_memory_bytes or needs.memory_bytes, needs.memory_bytes) + overhead
    if needs.hugepage_kib:
        # They were set aside when that host started; another check counts them.
        most = now = overhead
    reserve = max(2 * _GIB, total // 10) if total is not None else 2 * _GIB
    figures = f"needs {amount(most)}, {amount(free)} free on {where}"
    if now > free:
        return Finding(Grade.FAIL, figures, f"migrate something away from {where} first, or choose another host")
    if most > free:
        evidence = f"needs {amount(now)} now and up to {amount(most)}, {amount(free)} free on {where}"
        return Finding(Grade.WARN, evidence, f"migrate something away from {where}, or leave the balloon as it is")
    if most + reserve > free:
        evidence = f"{figures}: that leaves less than the {amount(reserve)} a host should keep"
        return Finding(Grade.WARN, evidence, f"choose another host, or migrate something away from {where}")
    return Finding(Grade.PASS, figures)


def hugepages(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether the destination has enough free huge pages."""
    if not needs.hugepage_kib:
        return None
    if offers.free_hugepages is None:
        return Finding(Grade.UNKNOWN, f"{offers.host.name} does not tell: {why(offers, 'free_hugepages')}")
    sizes = [kib for kib in offers.free_hugepages if kib in needs.hugepage_kib or 0 in needs.hugepage_kib]
    free = sum(offers.free_hugepages[kib] * kib * 1024 for kib in sizes)
    words = listed(tuple(amount(kib * 1024) if kib else "the default size" for kib in needs.hugepage_kib))
    evidence = f"needs {amount(needs.memory_bytes)} in pages of {words}, {amount(free)} free on {offers.host.name}"
    if free >= needs.memory_bytes:
        return Finding(Grade.PASS, evidence)
    kib = next((kib for kib in needs.hugepage_kib if kib), 2048)
    count = -(-needs.memory_bytes // (kib * 1024))
    return Finding(
        Grade.FAIL, evidence, f"on {offers.host.name}: virsh allocpages --pagesize {kib} --pagecount {count} --add"
    )


def vcpus(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding:
    """Whether the destination can run so many vCPUs, and has as many CPUs."""
    where, most = offers.host.name, offers.emulation.max_vcpus if offers.emulation is not None else None
    if most is not None and needs.vcpus > most:
        evidence = f"it has {needs.vcpus}, {where} runs at most {most} in one VM"
        return Finding(Grade.FAIL, evidence, "choose another host, or give it fewer (virsh setvcpus, off)")
    if offers.cpus is None:
        return Finding(Grade.UNKNOWN, f"{where} does not tell its CPUs: {why(offers, 'cpus')}")
    evidence = f"it has {needs.vcpus}, {where} has {len(offers.cpus)} CPUs"
    if needs.vcpus > len(offers.cpus):
        return Finding(Grade.WARN, evidence, "its vCPUs will wait for each other; choose a bigger host")
    return Finding(Grade.PASS, evidence)


def pins(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether the host CPUs that it is bound to exist there."""
    if not needs.pins:
        return None
    where, there = offers.host.name, offers.cpus
    if there is None:
        return Finding(Grade.UNKNOWN, f"{where} does not tell its CPUs: {why(offers, 'cpus')}")
    found = [
        Finding(
            Grade.WARN if pin.cpus & there else Grade.FAIL,
            f"{pin.what} is bound to CPU {listed(tuple(map(str, sorted(pin.cpus - there))))}, not on {where}",
            f"bind it to CPUs that both have: virsh vcpupin or emulatorpin {safe_name(needs.name, needs.uuid)}",
        )
        for pin in needs.pins
        if not pin.cpus <= there
    ]
    return worst(found) or Finding(Grade.PASS, f"{where} has all CPUs that it is bound to")


def numa(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Finding | None:
    """Whether the NUMA nodes that its memory is bound to exist there."""
    if not needs.numa_nodes:
        return None
    where = offers.host.name
    if offers.numa_nodes is None:
        return Finding(Grade.UNKNOWN, f"{where} does not tell its nodes: {why(offers, 'numa_nodes')}")
    if missing := needs.numa_nodes - offers.numa_nodes:
        evidence = f"its memory is bound to node {listed(tuple(map(str, sorted(missing))))}, not on {where}"
        advice = f"virsh numatune {safe_name(needs.name, needs.uuid)} --nodeset … --config, and start it again"
        return Finding(Grade.FAIL if needs.numa_strict else Grade.WARN, evidence, advice)
    return Finding(Grade.PASS, f"{where} has all that its memory is bound to")
