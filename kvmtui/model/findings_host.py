"""The rules for a host, wherever it is: what it has given away, its pools and networks, its memory."""

from kvmtui.model.findings_values import Basis, Found, Rule, Severity, fine, gib, unknown, untold
from kvmtui.model.health import PoolHealth

_MEMORY_WARNING, _MEMORY_CRITICAL = 0.9, 0.97
_CPU_BUSY = 0.95
_BUSY_FOR_S = 60.0
_NUMA_EMPTY, _NUMA_ROOM = 0.05, 0.25
_NEARLY_NOTHING = 0.98


def vcpus(basis: Basis) -> Rule:
    """Whether VMs have far more vCPUs than the host has CPUs."""
    facts, vms = basis.host.facts, basis.host.vms
    if facts is None or not facts.cpus:
        yield unknown("how many CPUs it has is not told")
        return
    given = sum([count for count, state in zip(vms.vcpus, vms.states, strict=True) if state.active])
    ratio = given / facts.cpus
    if ratio >= basis.limits.vcpus_per_cpu:
        yield Found(
            Severity.WARNING,
            f"{given} vCPUs on {facts.cpus} CPUs: {ratio:.1f} for each",
            "migrate VMs away (key B), or give those that idle fewer: virsh setvcpus VM N --config",
        )
    else:
        yield fine(f"{given} vCPUs on {facts.cpus} CPUs")


def memory(basis: Basis) -> Rule:
    """Whether VMs were given more memory than there is."""
    facts, vms = basis.host.facts, basis.host.vms
    total = basis.host.figures.memory_total_bytes or (0 if facts is None else facts.memory_bytes)
    if not total:
        yield unknown("how much memory it has is not told")
        return
    given = sum([size for size, state in zip(vms.memory_allocated_bytes, vms.states, strict=True) if state.active])
    if given > total:
        ksm = "; KSM, which could save some, is off" if basis.offer.ksm_running is False else ""
        yield Found(
            Severity.WARNING,
            f"VMs were given {gib(given)} of {gib(total)}: {given / total:.0%}{ksm}",
            "migrate VMs away (key B), or give some less: virsh setmem VM SIZE --live --config",
        )
    else:
        yield fine(f"VMs were given {gib(given)} of {gib(total)}")


def memory_used(basis: Basis) -> Rule:
    """Whether the host runs out of memory."""
    figures = basis.host.figures
    if not figures.memory_total_bytes or figures.memory_used_bytes is None:
        yield unknown("how much memory is used is not told")
        return
    share = figures.memory_used_bytes / figures.memory_total_bytes
    if share >= _MEMORY_WARNING:
        left = gib(figures.memory_total_bytes - figures.memory_used_bytes)
        yield Found(
            Severity.CRITICAL if share >= _MEMORY_CRITICAL else Severity.WARNING,
            f"{share:.0%} of memory is used, {left} is left",
            "migrate VMs away (key B): when nothing is left, the kernel kills a QEMU",
        )
    else:
        yield fine(f"{share:.0%} used")


def cpu_busy(basis: Basis) -> Rule:
    """Whether the CPUs have had no rest for minutes."""
    figures = basis.host.figures
    if figures.cpu_mean_fraction is None or figures.cpu_mean_s < _BUSY_FOR_S:
        yield untold("it takes a minute of watching")
    elif figures.cpu_mean_fraction >= _CPU_BUSY:
        minutes = round(figures.cpu_mean_s / 60)
        yield Found(
            Severity.WARNING,
            f"{figures.cpu_mean_fraction:.0%} busy over {minutes} minute{'' if minutes == 1 else 's'}",
            "migrate VMs away (key B)",
        )
    else:
        yield fine(f"{figures.cpu_mean_fraction:.0%} busy")


def kvm(basis: Basis) -> Rule:
    """Whether this host's QEMU can use KVM."""
    found = basis.offer.kvm
    if found is None:
        yield unknown("the capabilities do not say")
    elif not found:
        yield Found(
            Severity.WARNING,
            "its QEMU can only emulate: libvirt offers no guests of the type kvm",
            "virt-host-validate qemu, run on the host, says what is missing",
        )


def ksm(basis: Basis) -> Rule:
    """What merging of equal pages does; whether it should be on depends on how much was given away."""
    offer = basis.offer
    if offer.ksm_running is None and offer.ksm_saved_bytes is None:
        yield untold("the host does not tell of KSM")
    elif offer.ksm_running is False:
        yield fine("off")
    else:
        saved = "" if offer.ksm_saved_bytes is None else f", saves {gib(offer.ksm_saved_bytes)}"
        yield fine(f"on{saved}" if offer.ksm_running else saved.removeprefix(", ") or "on")


def huge_pages(basis: Basis) -> Rule:
    """Whether huge pages that were set aside are all gone, or of no use."""
    sizes = basis.offer.huge_pages
    if sizes is None:
        yield untold("the host does not tell of huge pages")
        return
    for pages in sizes:
        if not pages.total:
            continue
        name = gib(pages.kib * 1024).replace(".0", "")
        if not pages.free:
            yield Found(
                Severity.NOTE,
                f"all {pages.total} pages are taken: the next VM that wants some does not start",
                f"virsh allocpages {pages.kib} N --add",
                subject=name,
            )
        elif pages.free == pages.total:
            yield Found(
                Severity.NOTE,
                f"{pages.total} pages, {gib(pages.total * pages.kib * 1024)}, are set aside and none is used",
                f"virsh allocpages {pages.kib} 0 gives them back",
                subject=name,
            )


def numa(basis: Basis) -> Rule:
    """Whether one NUMA node has no memory left while another has plenty."""
    cells = basis.offer.cells
    if not cells:
        yield untold("the host does not tell its NUMA nodes' memory")
        return
    shares = {cell.number: cell.free_bytes / cell.total_bytes for cell in cells if cell.total_bytes}
    roomy = max(shares, key=lambda number: shares[number], default=None)
    for cell in cells:
        if roomy is not None and shares.get(cell.number, 1.0) < _NUMA_EMPTY and shares[roomy] > _NUMA_ROOM:
            yield Found(
                Severity.WARNING,
                f"{gib(cell.free_bytes)} of {gib(cell.total_bytes)} is free, "
                f"while node {roomy} has {shares[roomy]:.0%} of its own",
                "numad, or virsh numatune VM, spreads VMs over the nodes",
                subject=f"node {cell.number}",
            )


def pools_down(basis: Basis) -> Rule:
    """Whether a storage pool that should be there is not, or does not answer."""
    health = basis.look
    for name, seconds in health.silent.items():
        if name.startswith("pool "):
            yield Found(
                Severity.CRITICAL,
                f"it did not answer for {seconds:.0f} s",
                "is its server reachable? A pool whose storage hangs holds up whoever asks for it",
                subject=name,
            )
    for name, why in health.unread.items():
        if name.startswith("pool "):
            yield Found(Severity.UNKNOWN, why, subject=name)
    for pool in health.pools:
        if pool.autostart and not pool.active:
            yield Found(
                Severity.WARNING,
                "it is set to start with the host, and is not active",
                f"virsh pool-start {pool.name}",
                subject=f"pool {pool.name}",
            )


def _unseen_pools(basis: Basis) -> Rule:
    """Say of which pools nothing is known; why is said elsewhere."""
    health = basis.look
    for name in dict.fromkeys((*health.silent, *health.unread)):
        if name.startswith("pool "):
            yield Found(Severity.UNTOLD, "it could not be looked at", subject=name)


def pools_full(basis: Basis) -> Rule:
    """Whether a storage pool has no room left: VMs are paused at the next write."""
    yield from _unseen_pools(basis)
    for pool in basis.look.pools:
        subject = f"pool {pool.name}"
        if not pool.active:
            continue
        if not pool.capacity_bytes or pool.free_bytes is None:
            yield Found(Severity.UNTOLD, "its size is not told", subject=subject)
            continue
        share = 1 - pool.free_bytes / pool.capacity_bytes
        if share >= basis.limits.pool_full:
            yield Found(
                Severity.CRITICAL if share >= max(_NEARLY_NOTHING, basis.limits.pool_full) else Severity.WARNING,
                f"{share:.0%} full, {gib(pool.free_bytes)} of {gib(pool.capacity_bytes)} is left{_of_when(pool)}",
                f"virsh vol-list {pool.name} --details shows what takes the room; when it is full, VMs are paused",
                subject=subject,
            )


def _of_when(pool: PoolHealth) -> str:
    return "" if pool.fresh else f", by its last refresh (virsh pool-refresh {pool.name})"


def pools_promised(basis: Basis) -> Rule:
    """Whether volumes may grow beyond what a pool has."""
    yield from _unseen_pools(basis)
    for pool in basis.look.pools:
        if not pool.active:
            continue
        if pool.promised_bytes is None or not pool.capacity_bytes:
            yield Found(Severity.UNTOLD, "its volumes are too many, or were not told", subject=f"pool {pool.name}")
        elif pool.promised_bytes > pool.capacity_bytes:
            yield Found(
                Severity.NOTE,
                f"its volumes may grow to {gib(pool.promised_bytes)}, it has {gib(pool.capacity_bytes)}",
                "watch how full it is, or enlarge it",
                subject=f"pool {pool.name}",
            )


def networks(basis: Basis) -> Rule:
    """Whether a network that should be there is not."""
    for network in basis.look.networks:
        if network.autostart and not network.active:
            yield Found(
                Severity.WARNING,
                "it is set to start with the host, and is not active: VMs on it do not start",
                f"virsh net-start {network.name}",
                subject=f"network {network.name}",
            )
