"""The rules: each finds what is wrong, with its figure, and says nothing of it when it is mended."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from kvmtui.hypervisor.sampling import state_of
from kvmtui.model.findings import RULES, Finding, Limits, Severity, judge, summary
from kvmtui.model.findings_vms import BAD_ENDS
from kvmtui.model.health import (
    HostHealth,
    HostOffer,
    HugePages,
    Machine,
    NetworkHealth,
    NumaCell,
    PoolHealth,
    Temperature,
    VmHealth,
)
from kvmtui.model.host import Host, HostFigures, Link
from kvmtui.model.vm import Memory, MemorySource, VmState
from tests.ui.fleets import GIB, NOW_S, make_host, make_vm

DAY_S = 86400.0
WALL_S = 1_800_000_000.0
MACHINE = Machine(
    virtualisation="VT-x",
    kvm_device="",
    nested=True,
    vhost_net=True,
    tun=True,
    cgroups={"cpu": True, "memory": True},
    iommu_table=True,
    iommu_groups=True,
    secure_guests=False,
    pressure={"cpu": 0.01, "memory": 0.0, "io": 0.0},
    swap_total_bytes=8 * GIB,
    swap_used_bytes=GIB,
    swapped_pages=100,
    load_15=3.0,
    cpus=16,
    steal_fraction=0.0,
    temperatures=(Temperature("Core 0", 50, 90),),
    clock_synchronised=True,
)
OFFER = HostOffer(
    kvm=True,
    ksm_running=False,
    ksm_saved_bytes=0,
    huge_pages=(HugePages(2048, 512, 100),),
    cells=(NumaCell(0, 64 * GIB, 20 * GIB), NumaCell(1, 64 * GIB, 30 * GIB)),
)
POOL = PoolHealth("default", True, True, 100 * GIB, 40 * GIB, True, 80 * GIB)
VM = VmHealth(
    run=1, emulated=False, agent=True, messages=(), balloon_period_s=5, snapshots=0, packets=10_000, lost_packets=0
)


def a_host(*vms: Any, **changes: Any) -> Host:
    host = make_host("h1", vms or [make_vm("web1")], **changes)
    # Columns that the sampler fills, and a host of ready-made VMs leaves empty.
    silent = {uuid: vm.monitor_silent_since_s for uuid, vm in host.vms.items() if vm.monitor_silent_since_s is not None}
    return replace(host, vms=replace(host.vms, silent=silent, autostart=frozenset(), saved=frozenset()))


def a_look(**changes: Any) -> HostHealth:
    look = HostHealth(
        NOW_S,
        WALL_S,
        MACHINE,
        OFFER,
        (POOL,),
        (NetworkHealth("default", True, True),),
        MappingProxyType({"web1": replace(VM)}),
        listened_s=60.0,
    )
    return replace(look, **changes)


def said(
    look: HostHealth | None,
    host: Host | None = None,
    before: HostHealth | None = None,
    limits: Limits | None = None,
) -> dict[str, list[Finding]]:
    """Return what each rule says."""
    looks: Mapping[str, HostHealth] = {} if look is None else {"h1": look}
    befores: Mapping[str, HostHealth] = {} if before is None else {"h1": before}
    found: dict[str, list[Finding]] = {}
    for finding in judge([host or a_host()], looks, befores, NOW_S, limits or Limits()):
        found.setdefault(finding.rule, []).append(finding)
    return found


def test_a_host_where_all_is_well_has_no_finding_and_every_rule_says_so() -> None:
    found = said(a_look(), before=a_look())
    assert {row.id for row in RULES} == found.keys()
    bad = [each for findings in found.values() for each in findings if each.severity > Severity.FINE]
    # That takes a minute of watching.
    assert [each.rule for each in bad] == ["cpu-busy"]
    assert {each.severity for each in bad} == {Severity.UNTOLD}


def test_without_a_look_nothing_is_fine_that_would_have_to_be_looked_at() -> None:
    found = said(None)
    for row in RULES:
        if row.part:
            assert [each.severity for each in found[row.id]] == [Severity.UNTOLD], row.id


def test_a_machine_of_which_nothing_is_told_is_nowhere_fine() -> None:
    found = said(a_look(machine=Machine(), offer=HostOffer()))
    for row in RULES:
        if row.part in ("machine", "host"):
            assert {each.severity for each in found[row.id]} <= {Severity.UNTOLD, Severity.UNKNOWN}, row.id


def test_what_could_not_be_read_is_unknown_with_the_reason() -> None:
    found = said(a_look(unread={"pools": "access denied", "machine": "x"}))
    for rule in ("pool-full", "pool-down", "pool-promised", "swap", "virtualisation"):
        assert [each.severity for each in found[rule]] == [Severity.UNKNOWN]
    assert found["pool-full"][0].evidence == "access denied"


def test_another_machine_does_not_tell_its_swap() -> None:
    assert said(a_look(machine=None))["swap"][0].severity is Severity.UNTOLD


CRITICAL, WARNING, NOTE, UNTOLD = Severity.CRITICAL, Severity.WARNING, Severity.NOTE, Severity.UNTOLD
MACHINES: list[tuple[dict[str, Any], str, Severity, str]] = [
    ({"virtualisation": ""}, "virtualisation", CRITICAL, "neither VT-x nor AMD-V"),
    ({"virtualisation": None}, "virtualisation", UNTOLD, ""),
    ({"kvm_device": "is missing"}, "kvm-device", CRITICAL, "/dev/kvm is missing"),
    ({"vhost_net": False}, "vhost-net", NOTE, "/dev/vhost-net"),
    ({"tun": False}, "tun", CRITICAL, "/dev/net/tun"),
    ({"cgroups": {"cpu": True, "memory": False}}, "cgroups", WARNING, "no cgroup controller memory"),
    ({"iommu_groups": False}, "iommu", NOTE, "the kernel does not use it"),
    ({"iommu_groups": False, "iommu_table": False}, "iommu", NOTE, "tells of none"),
    ({"iommu_groups": False, "iommu_table": None}, "iommu", UNTOLD, ""),
    ({"pressure": {"cpu": 0.0, "memory": 0.25, "io": 0.0}}, "pressure", WARNING, "25% of the last minute"),
    ({"pressure": {"cpu": 0.0, "memory": 0.0, "io": 0.4}}, "pressure", CRITICAL, "I/O"),
    ({"pressure": None}, "pressure", UNTOLD, ""),
    ({"swap_used_bytes": 5 * GIB}, "swap", WARNING, "62% of swap"),
    ({"swap_used_bytes": 8 * GIB}, "swap", CRITICAL, "100% of swap"),
    ({"swap_used_bytes": None}, "swap", Severity.UNKNOWN, ""),
    ({"load_15": 33.0}, "load", WARNING, "33.0 on 16 CPUs"),
    ({"steal_fraction": 0.07}, "steal", WARNING, "7.0%"),
    ({"temperatures": (Temperature("Core 0", 95, 90),)}, "temperature", CRITICAL, "95 °C"),
    ({"temperatures": ()}, "temperature", UNTOLD, ""),
    ({"clock_synchronised": False}, "clock", WARNING, "not synchronised"),
    ({"clock_synchronised": None}, "clock", Severity.UNKNOWN, ""),
]


@pytest.mark.parametrize(("changes", "rule", "severity", "evidence"), MACHINES, ids=lambda value: str(value)[:40])
def test_the_machine(changes: dict[str, Any], rule: str, severity: Severity, evidence: str) -> None:
    found = said(a_look(machine=replace(MACHINE, **changes)))[rule]
    assert [each.severity for each in found] == [severity]
    assert evidence in found[0].evidence
    if severity.wrong:
        assert found[0].advice


def test_what_is_only_told_of_a_machine() -> None:
    found = said(a_look())
    rules = ("nested", "secure-guests", "ksm")
    assert [found[rule][0].evidence for rule in rules] == ["on", "off", "off"]
    machine, offer = replace(MACHINE, nested=False, secure_guests=True), replace(OFFER, ksm_running=True)
    found = said(a_look(machine=machine, offer=replace(offer, ksm_saved_bytes=GIB)))
    assert [found[rule][0].evidence for rule in ("nested", "secure-guests", "ksm")] == [
        "off",
        "SEV",
        "on, saves 1.0 GiB",
    ]
    # It is named where it would help.
    host = a_host(make_vm("web1", memory_allocated_bytes=160 * GIB))
    assert "KSM, which could save some, is off" in said(a_look(), host)["memory"][0].evidence


LOOKS: list[tuple[dict[str, Any], str, Severity, str]] = [
    ({"offer": replace(OFFER, kvm=False)}, "kvm", WARNING, "can only emulate"),
    ({"offer": replace(OFFER, huge_pages=(HugePages(2048, 512, 0),))}, "huge-pages", NOTE, "all 512 pages"),
    ({"offer": replace(OFFER, huge_pages=(HugePages(2048, 512, 512),))}, "huge-pages", NOTE, "1.0 GiB"),
    (
        {"offer": replace(OFFER, cells=(NumaCell(0, 64 * GIB, GIB), NumaCell(1, 64 * GIB, 30 * GIB)))},
        "numa",
        WARNING,
        "1.0 GiB of 64.0 GiB is free, while node 1 has 47%",
    ),
    ({"pools": (replace(POOL, active=False),)}, "pool-down", WARNING, "not active"),
    ({"silent": {"pool nfs1": 3.0}}, "pool-down", CRITICAL, "3 s"),
    ({"pools": (replace(POOL, free_bytes=9 * GIB),)}, "pool-full", WARNING, "91% full, 9.0 GiB of 100.0 GiB"),
    ({"pools": (replace(POOL, free_bytes=GIB),)}, "pool-full", CRITICAL, "99% full"),
    ({"pools": (replace(POOL, free_bytes=GIB, fresh=False),)}, "pool-full", CRITICAL, "virsh pool-refresh default"),
    ({"pools": (replace(POOL, free_bytes=None),)}, "pool-full", UNTOLD, ""),
    ({"pools": (replace(POOL, promised_bytes=120 * GIB),)}, "pool-promised", NOTE, "120.0 GiB"),
    ({"networks": (NetworkHealth("default", False, True),)}, "network-down", WARNING, "not active"),
]


@pytest.mark.parametrize(("changes", "rule", "severity", "evidence"), LOOKS, ids=lambda value: str(value)[:40])
def test_the_host(changes: dict[str, Any], rule: str, severity: Severity, evidence: str) -> None:
    found = said(a_look(**changes))[rule]
    assert [each.severity for each in found] == [severity]
    assert evidence in found[0].evidence


HOSTS: list[tuple[Host, str, Severity, str]] = [
    (a_host(make_vm("web1", vcpus=64)), "vcpus", WARNING, "64 vCPUs on 16 CPUs: 4.0 for each"),
    (a_host(make_vm("web1", memory_allocated_bytes=160 * GIB)), "memory", WARNING, "160.0 GiB of 128.0 GiB: 125%"),
    (a_host(figures=HostFigures(0.1, 100 * GIB, 92 * GIB)), "memory-used", WARNING, "92%"),
    (a_host(figures=HostFigures(0.1, 100 * GIB, 98 * GIB)), "memory-used", CRITICAL, "2.0 GiB is left"),
    (a_host(figures=HostFigures(0.1)), "memory-used", Severity.UNKNOWN, ""),
    (a_host(figures=HostFigures(cpu_mean_fraction=0.99, cpu_mean_s=300.0)), "cpu-busy", WARNING, "over 5 minutes"),
    (
        a_host(figures=HostFigures(cpu_mean_fraction=0.99, cpu_mean_s=61.0)),
        "cpu-busy",
        WARNING,
        "99% busy over 1 minute",
    ),
    (a_host(make_vm("web1", state=VmState.PAUSED, reason="I/O error")), "vm-ended", CRITICAL, "paused: I/O error"),
    (a_host(make_vm("web1", state=VmState.SHUT_OFF, reason="crashed")), "vm-ended", CRITICAL, "shut off: crashed"),
    (a_host(make_vm("web1", monitor_silent_since_s=NOW_S - 42)), "vm-silent", CRITICAL, "silent for 42 s"),
    (a_host(make_vm("web1", ready_fraction=0.06)), "vm-ready", WARNING, "6.0%"),
    (a_host(make_vm("web1", ready_fraction=0.21)), "vm-ready", CRITICAL, "21.0%"),
]


@pytest.mark.parametrize(("host", "rule", "severity", "evidence"), HOSTS, ids=lambda value: str(value)[:40])
def test_what_is_sampled(host: Host, rule: str, severity: Severity, evidence: str) -> None:
    found = said(a_look(), host)[rule]
    assert [each.severity for each in found] == [severity]
    assert evidence in found[0].evidence


def test_every_end_that_nobody_asked_for_is_one_that_libvirt_tells() -> None:
    states = {state_of(state, reason) for state in range(8) for reason in range(20)}
    for reason, (severity, advice) in BAD_ENDS.items():
        of = [state for state, told in states if told == reason]
        assert of, reason
        found = said(a_look(), a_host(make_vm("web1", state=of[0], reason=reason)))["vm-ended"]
        assert [(each.severity, each.advice) for each in found] == [(severity, advice)]
        assert reason in found[0].evidence


VMS: list[tuple[dict[str, Any], str, Severity, str]] = [
    ({"agent": False}, "vm-agent", NOTE, "no agent"),
    ({"emulated": True}, "vm-emulated", WARNING, "TCG"),
    ({"messages": ("tainted: custom-argv",)}, "vm-tainted", NOTE, "custom-argv"),
    ({"messages": ("a", "b", "c", "d")}, "vm-tainted", NOTE, "a; b; c and 1 more"),
    ({"messages": None}, "vm-tainted", UNTOLD, ""),
    ({"waiting": ("vCPUs 2 → 4",)}, "vm-waiting", NOTE, "vCPUs 2 → 4"),
    ({"snapshots": 2, "oldest_snapshot_at_s": WALL_S - 41 * DAY_S}, "vm-snapshots", NOTE, "the oldest of 41 days ago"),
    ({"disk_errors": ("vda",)}, "vm-disk-errors", WARNING, "I/O error"),
    ({"owed_s": 40.0}, "vm-silent", CRITICAL, "40 s"),
    ({"process": "is stopped"}, "vm-silent", CRITICAL, "is stopped"),
    ({"packets": 11_000, "lost_packets": 600}, "vm-packets", WARNING, "600 of 1,600 packets"),
]


@pytest.mark.parametrize(("changes", "rule", "severity", "evidence"), VMS, ids=lambda value: str(value)[:40])
def test_vms(changes: dict[str, Any], rule: str, severity: Severity, evidence: str) -> None:
    look = a_look(vms={"web1": replace(VM, **changes)})
    found = said(look, before=a_look())[rule]
    assert [each.severity for each in found] == [severity]
    assert evidence in found[0].evidence
    if severity is not UNTOLD:
        assert (found[0].vm_name, found[0].where.split(":")[0]) == ("web1", "web1 on h1")


def test_a_look_at_a_run_that_is_over_says_nothing_of_the_next() -> None:
    look = a_look(vms={"web1": replace(VM, agent=False, process="is stopped", run=7)})
    found = said(look)
    for rule in ("vm-agent", "vm-silent"):
        assert [(each.severity, each.vm) for each in found[rule]] == [(UNTOLD, None)]
        assert found[rule][0].evidence == "1 of 1 VMs were not looked at yet"


RSS = Memory(GIB, MemorySource.RSS, NOW_S - 1)
GUESTS: list[tuple[dict[str, Any], HostHealth | None, Severity, str]] = [
    (
        {"memory": Memory(GIB, MemorySource.BALLOON, NOW_S - 200)},
        None,
        NOTE,
        "last told its memory 199 s ago",
    ),
    ({"memory": Memory(GIB, MemorySource.BALLOON, NOW_S - 30)}, None, Severity.FINE, ""),
    # It has never told anything: no driver, or it is just starting.
    (
        {"memory": RSS, "started_at_s": NOW_S - 101},
        None,
        NOTE,
        "not told its memory for 100 s; it should every 5 s",
    ),
    ({"memory": None, "started_at_s": NOW_S - 101}, None, NOTE, "for 100 s"),
    ({"memory": RSS, "started_at_s": NOW_S - 30}, None, Severity.FINE, ""),
    # Of another machine it is not told when a QEMU started.
    ({"memory": RSS, "started_at_s": None}, None, UNTOLD, "it takes watching"),
    ({"memory": RSS, "started_at_s": None}, a_look(taken_at_s=NOW_S - 71), NOTE, "for 70 s"),
    ({"memory": RSS, "started_at_s": None}, a_look(vms={"web1": replace(VM, run=7)}), UNTOLD, "it takes watching"),
    # It does not run.
    ({"memory": RSS, "state": VmState.PAUSED}, None, Severity.FINE, ""),
]


@pytest.mark.parametrize(("changes", "before", "severity", "evidence"), GUESTS, ids=lambda value: str(value)[:40])
def test_guests_and_their_memory(
    changes: dict[str, Any], before: HostHealth | None, severity: Severity, evidence: str
) -> None:
    found = said(a_look(), a_host(make_vm("web1", **changes)), before)["vm-balloon"]
    assert [each.severity for each in found] == [severity]
    assert evidence in found[0].evidence


def test_a_single_look_does_not_call_fine_what_takes_watching() -> None:
    host = a_host(make_vm("web1"))
    found = said(a_look(listened_s=0.0), replace(host, vms=replace(host.vms, deep={})))
    for rule in ("vm-balloon", "vm-ready", "vm-packets", "vm-disk-errors"):
        assert [each.severity for each in found[rule]] == [UNTOLD], rule


def test_what_is_not_told_of_a_vm_is_not_fine() -> None:
    nothing = a_look(vms={"web1": VmHealth(run=1, snapshots=1)}, offer=None)
    found = said(nothing, before=nothing)
    for rule in ("vm-balloon", "vm-emulated", "vm-tainted", "vm-snapshots", "vm-packets"):
        assert [each.severity for each in found[rule]] == [UNTOLD], rule
    assert "it is not asked of one guest" in found["vm-balloon"][0].evidence


@pytest.mark.parametrize("how", ["silent", "unread"])
def test_of_a_pool_that_could_not_be_looked_at_nothing_is_fine(how: str) -> None:
    told: dict[str, Any] = {"silent": {"pool nfs1": 3.0}, "unread": {"pool nfs1": "access denied"}}
    found = said(a_look(pools=(), **{how: told[how]}))
    assert found["pool-down"][0].severity is (CRITICAL if how == "silent" else Severity.UNKNOWN)
    for rule in ("pool-full", "pool-promised"):
        assert [(each.severity, each.subject) for each in found[rule]] == [(UNTOLD, "pool nfs1")]


def test_snapshots_and_messages_are_known_of_each_vm_or_said_of_how_many_not() -> None:
    vms = {"web1": VM, "web2": replace(VM, snapshots=None, messages=None), "off1": VmHealth(snapshots=0)}
    host = a_host(make_vm("web1"), make_vm("web2"), make_vm("off1", state=VmState.SHUT_OFF))
    for rule in ("vm-snapshots", "vm-tainted"):
        (found,) = said(a_look(vms=vms), host)[rule]
        assert found.severity is UNTOLD
        assert "of one VM" in found.evidence
        assert said(a_look(vms={**vms, "web2": VM}), host)[rule][0].severity is Severity.FINE


def test_a_temperature_without_a_limit_is_not_fine() -> None:
    machine = replace(MACHINE, temperatures=(Temperature("Core 0", 95, None), Temperature("Core 1", 40, None)))
    (found,) = said(a_look(machine=machine))["temperature"]
    assert (found.severity, found.evidence) == (UNTOLD, "no sensor tells its limit; the highest is 95 °C (Core 0)")


def test_autostart_and_saved_runs() -> None:
    host = a_host(make_vm("off1", state=VmState.SHUT_OFF), make_vm("on1"))
    vms = replace(host.vms, autostart=frozenset({"off1", "on1"}), saved=frozenset({"off1", "on1"}))
    found = said(a_look(vms={}), replace(host, vms=vms))
    assert [(each.vm_name, each.severity) for each in found["vm-autostart"]] == [("off1", WARNING)]
    assert {(each.vm_name, each.severity) for each in found["vm-saved"]} == {("off1", NOTE), ("on1", WARNING)}


def test_packets_take_two_looks_at_each_vm_in_one_run() -> None:
    kept = replace(VM)
    for before in (None, a_look(vms={}), a_look(vms={"web1": replace(VM, run=7)}), a_look(vms={"web1": kept})):
        (found,) = said(a_look(vms={"web1": kept}), before=before)["vm-packets"]
        assert (found.severity, found.evidence) == (UNTOLD, "it takes two looks: what one VM lost")


def test_ready_is_known_of_each_vm_or_said_of_how_many_not() -> None:
    first, off = make_vm("web1", ready_fraction=0.0), make_vm("off1", state=VmState.SHUT_OFF, ready_fraction=None)
    others = [make_vm(name, ready_fraction=None) for name in ("web2", "web3")]
    (found,) = said(a_look(), a_host(first, off, *others))["vm-ready"]
    assert (found.severity, found.evidence) == (UNTOLD, "it takes two looks: how long vCPUs of 2 VMs wait")
    assert said(a_look(), a_host(first, off))["vm-ready"][0].severity is Severity.FINE


@pytest.mark.parametrize(
    ("listened_s", "severity", "evidence"),
    [(None, UNTOLD, "does not tell of I/O errors"), (2.0, UNTOLD, "for 2 s"), (30.0, Severity.FINE, "")],
)
def test_no_disk_error_is_known_only_where_it_was_listened_for(
    listened_s: float | None, severity: Severity, evidence: str
) -> None:
    (found,) = said(a_look(listened_s=listened_s), before=a_look())["vm-disk-errors"]
    assert found.severity is severity
    assert evidence in found.evidence


def two_hosts(state: VmState = VmState.RUNNING, **changes: Any) -> tuple[Finding, ...]:
    first = make_host("h1", [make_vm("web1", uuid="u")])
    second = make_host("h2", [make_vm("web1", "h2", uuid="u", state=state)], **changes)
    return judge([first, second], {}, {}, NOW_S, Limits())


def test_one_vm_on_two_hosts() -> None:
    found = [each for each in two_hosts() if each.rule == "vm-twice"]
    assert [(each.host, each.severity) for each in found] == [("h1", CRITICAL), ("h2", CRITICAL)]
    assert "it runs on h2 as well" in found[0].evidence
    # As in a migration.
    assert not [each for each in two_hosts(VmState.PAUSED) if each.rule == "vm-twice"]
    assert not [each for each in two_hosts(VmState.SHUT_OFF) if each.rule == "vm-twice"]


def test_two_ways_to_one_host_are_no_two_hosts() -> None:
    facts = a_host().facts
    assert facts is not None
    one = replace(facts, uuid="the-same")
    first = make_host("h1", [make_vm("web1", uuid="u")], facts=one)
    second = make_host("h2", [make_vm("web1", "h2", uuid="u")], facts=one)
    assert not [each for each in judge([first, second], {}, {}, NOW_S, Limits()) if each.rule == "vm-twice"]


def test_hosts_of_different_versions() -> None:
    facts = a_host().facts
    assert facts is not None
    found = [each for each in two_hosts(facts=replace(facts, libvirt_version="11.3.0")) if each.rule == "versions"]
    assert [(each.severity, each.evidence) for each in found] == [(NOTE, "libvirt 11.3.0, others have 10.0.0")]
    found = [each for each in two_hosts(facts=replace(facts, hypervisor_version="9.0.0")) if each.rule == "versions"]
    assert [(each.severity, each.evidence) for each in found] == [(NOTE, "hypervisor 9.0.0, others have 8.2.0")]


def test_a_host_that_is_down_is_unknown_and_nothing_else_is_said_of_it() -> None:
    found = judge([a_host(link=Link.DOWN, problem="no route to host")], {}, {}, NOW_S, Limits())
    assert [(each.rule, each.severity) for each in found] == [("link", Severity.UNKNOWN)]
    assert "no route to host" in found[0].evidence


def test_limits_and_rules_that_are_not_asked() -> None:
    look = a_look(pools=(replace(POOL, free_bytes=15 * GIB),))
    assert said(look)["pool-full"][0].severity is Severity.FINE
    assert said(look, limits=Limits(pool_full=0.8))["pool-full"][0].severity is WARNING
    assert "pool-full" not in said(look, limits=Limits(ignore=frozenset({"pool-full"})))


def test_the_worst_come_first_and_are_counted() -> None:
    look = a_look(machine=replace(MACHINE, tun=False, vhost_net=False, clock_synchronised=False))
    found = judge([a_host()], {"h1": look}, {}, NOW_S, Limits())
    severities = [each.severity for each in found]
    assert severities == sorted(severities, reverse=True)
    assert summary(found) == "1 critical, 1 warning, 1 note"


def test_texts_of_daemons_are_cleaned() -> None:
    look = a_look(pools=(replace(POOL, name="\x1b[2Jevil", free_bytes=0),))
    found = said(look)["pool-full"][0]
    assert "\x1b" not in found.subject + found.evidence + found.advice
