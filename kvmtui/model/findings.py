"""What is wrong with hosts and VMs: one row for each rule, looked up in what is known. Pure."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from kvmtui.model import findings_host as host_rules
from kvmtui.model import findings_machine as machine_rules
from kvmtui.model import findings_vms as vm_rules
from kvmtui.model.clean import clean
from kvmtui.model.findings_values import Basis, Finding, Found, Limits, Rule, Severity, unknown, untold
from kvmtui.model.health import MACHINE, NETWORKS, OFFER, POOLS, VMS, HostHealth
from kvmtui.model.host import Host, Link
from kvmtui.model.vm import VmKey

__all__ = ["RULES", "RULE_IDS", "Finding", "HostHealth", "Limits", "Severity", "judge", "judge_host", "summary"]


class Row(NamedTuple):
    """One rule: what it is called, what part of a look it needs, and what makes it."""

    id: str
    title: str
    part: str
    """The part of a look that it needs; empty: it goes by what is sampled all the time."""
    look: Callable[[Basis], Rule]


RULES = (
    Row("virtualisation", "VT-x, AMD-V", MACHINE, machine_rules.virtualisation),
    Row("kvm-device", "/dev/kvm", MACHINE, machine_rules.kvm_device),
    Row("nested", "nested guests", MACHINE, machine_rules.nested),
    Row("vhost-net", "vhost-net", MACHINE, machine_rules.vhost_net),
    Row("tun", "tun", MACHINE, machine_rules.tun),
    Row("cgroups", "cgroups", MACHINE, machine_rules.cgroups),
    Row("iommu", "IOMMU", MACHINE, machine_rules.iommu),
    Row("secure-guests", "encrypted guests", MACHINE, machine_rules.secure_guests),
    Row("kvm", "KVM", OFFER, host_rules.kvm),
    Row("pressure", "pressure", MACHINE, machine_rules.pressure),
    Row("swap", "swap", MACHINE, machine_rules.swap),
    Row("load", "load", MACHINE, machine_rules.load),
    Row("steal", "steal", MACHINE, machine_rules.steal),
    Row("temperature", "temperature", MACHINE, machine_rules.temperatures),
    Row("clock", "time", MACHINE, machine_rules.clock),
    Row("vcpus", "vCPUs given", "", host_rules.vcpus),
    Row("memory", "memory given", "", host_rules.memory),
    Row("memory-used", "memory used", "", host_rules.memory_used),
    Row("cpu-busy", "CPU", "", host_rules.cpu_busy),
    Row("ksm", "KSM", OFFER, host_rules.ksm),
    Row("huge-pages", "huge pages", OFFER, host_rules.huge_pages),
    Row("numa", "NUMA", OFFER, host_rules.numa),
    Row("pool-down", "pool down", POOLS, host_rules.pools_down),
    Row("pool-full", "pool full", POOLS, host_rules.pools_full),
    Row("pool-promised", "pool promised", POOLS, host_rules.pools_promised),
    Row("network-down", "network down", NETWORKS, host_rules.networks),
    Row("vm-ended", "VM in trouble", "", vm_rules.ended),
    Row("vm-silent", "QEMU silent", VMS, vm_rules.silent),
    Row("vm-autostart", "autostart", "", vm_rules.autostart),
    Row("vm-saved", "saved run", "", vm_rules.saved),
    Row("vm-ready", "ready time", "", vm_rules.ready),
    Row("vm-balloon", "balloon", VMS, vm_rules.balloon),
    Row("vm-agent", "guest agent", VMS, vm_rules.agent),
    Row("vm-emulated", "emulated VM", VMS, vm_rules.emulated),
    Row("vm-tainted", "tainted", VMS, vm_rules.tainted),
    Row("vm-waiting", "restart needed", VMS, vm_rules.waiting),
    Row("vm-snapshots", "snapshots", VMS, vm_rules.snapshots),
    Row("vm-disk-errors", "disk errors", VMS, vm_rules.disk_errors),
    Row("vm-packets", "lost packets", VMS, vm_rules.packets),
)
_LINK, _TWICE, _VERSIONS = ("link", "link"), ("vm-twice", "runs twice"), ("versions", "versions")
RULE_IDS = frozenset({row.id for row in RULES} | {_LINK[0], _TWICE[0], _VERSIONS[0]})
_MOST = 300
"""Characters of a text."""


def judge(
    hosts: Iterable[Host],
    healths: Mapping[str, HostHealth],
    before: Mapping[str, HostHealth],
    now_s: float,
    limits: Limits,
    least: Severity = Severity.FINE,
) -> tuple[Finding, ...]:
    """Return what all rules say of all hosts, worst first, down to `least`.

    `healths` and the looks before are by key of the host.
    """
    hosts = tuple(hosts)
    found: list[Finding] = []
    for host in hosts:
        found += judge_host(Basis(host, healths.get(host.key), before.get(host.key), now_s, limits), least)
    found += _between(hosts, limits)
    return tuple(sorted(found, key=lambda finding: -finding.severity))


def judge_host(basis: Basis, least: Severity = Severity.FINE) -> Iterator[Finding]:
    """Return what the rules say of one host, down to `least`."""
    host = basis.host
    if host.link is not Link.UP:
        if _LINK[0] not in basis.limits.ignore:
            why = host.problem or "it has not answered yet"
            advice = "nothing of what follows from its figures is known; virsh -c URI list tries the same"
            yield _finding(_LINK, host, replace(unknown(f"not connected: {why}"), advice=advice))
        return
    health = basis.health
    for row in RULES:
        if row.id in basis.limits.ignore:
            continue
        missing = _missing(row, health)
        told = False
        for found in (missing,) if missing is not None else row.look(basis):
            told = True
            if found.severity >= least:
                yield _finding((row.id, row.title), host, found)
        if not told and least is Severity.FINE:
            unseen = vm_rules.unseen(basis) if row.part == VMS else ()
            yield _finding((row.id, row.title), host, next(iter(unseen), Found(Severity.FINE, "")))


def _missing(row: Row, health: HostHealth | None) -> Found | None:
    """Return why a rule has nothing to go by; None where it has."""
    if not row.part:
        return None
    if health is None:
        return untold("not looked at yet")
    if row.part in health.unread:
        return unknown(health.unread[row.part])
    if row.part == MACHINE and health.machine is None:
        return untold("libvirt does not tell it of another machine: run kvmtui check there")
    return None


def _between(hosts: Collection[Host], limits: Limits) -> Iterator[Finding]:
    """Return what is wrong between hosts."""
    up = [host for host in hosts if host.link is Link.UP and host.facts is not None]
    if _TWICE[0] not in limits.ignore:
        yield from _twice(up)
    if _VERSIONS[0] not in limits.ignore:
        yield from _skew(up)


def _twice(hosts: Collection[Host]) -> Iterator[Finding]:
    """Return the VMs that execute on two hosts at once: both write to the same disks."""
    counts = Counter(uuid for host in hosts for uuid in host.vms.index)
    for uuid in (uuid for uuid, count in counts.items() if count > 1):
        there: dict[str, Host] = {}
        for host in hosts:
            at = host.vms.index.get(uuid)
            if at is not None and host.vms.states[at].executing and uuid not in host.vms.jobs:
                # Two ways to one host are no two hosts.
                there.setdefault((host.facts.uuid if host.facts is not None else "") or host.key, host)
        for host in there.values() if len(there) > 1 else ():
            others = ", ".join(other.name for other in there.values() if other is not host)
            advice = "force off the wrong one AT ONCE (K): both write to the same disks, if they share them"
            evidence = f"it runs on {others} as well, under the same UUID {uuid}"
            yield _finding(_TWICE, host, Found(Severity.CRITICAL, evidence, advice, uuid=uuid))


def _skew(hosts: Collection[Host]) -> Iterator[Finding]:
    """Return where hosts have different versions."""
    facts = [(host, host.facts) for host in hosts if host.facts is not None]
    for what, versions in (
        ("libvirt", {host.key: fact.libvirt_version for host, fact in facts}),
        ("hypervisor", {host.key: fact.hypervisor_version for host, fact in facts}),
    ):
        usual = Counter(versions.values()).most_common(1)
        if len(set(versions.values())) < 2:
            continue
        for host, _ in facts:
            if versions[host.key] != usual[0][0]:
                evidence = f"{what} {versions[host.key]}, others have {usual[0][0]}"
                advice = "VMs may not be able to migrate back to the older: bring all hosts to one version"
                yield _finding(_VERSIONS, host, Found(Severity.NOTE, evidence, advice, subject=what))


def _finding(rule: tuple[str, str], host: Host, found: Found) -> Finding:
    vms, at = host.vms, host.vms.index.get(found.uuid)
    known = found.uuid != "" and at is not None
    return Finding(
        severity=found.severity,
        rule=rule[0],
        title=rule[1],
        host=host.key,
        host_name=host.name,
        vm=VmKey(host.key, found.uuid) if known else None,
        vm_name=vms.names[at] if at is not None and known else "",
        subject=clean(found.subject, 80),
        evidence=clean(found.evidence, _MOST),
        advice=clean(found.advice, _MOST),
        since_s=found.since_s,
    )


def summary(findings: Iterable[Finding]) -> str:
    """Return how many there are of each kind: "1 critical, 2 warnings"."""
    counts = Counter(finding.severity for finding in findings)
    parts = []
    for severity, one, many in _WORDS:
        if count := counts[severity]:
            parts.append(f"{count} {one if count == 1 else many}")
    return ", ".join(parts)


_WORDS = (
    (Severity.CRITICAL, "critical", "critical"),
    (Severity.WARNING, "warning", "warnings"),
    (Severity.UNKNOWN, "unknown", "unknown"),
    (Severity.NOTE, "note", "notes"),
)
