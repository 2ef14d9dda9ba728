"""What the light and the deep sampler ask, on a connection that counts."""

from math import isnan, nan
from types import SimpleNamespace
from typing import Any

import pytest

from kvmtui.hypervisor.deep_sampler import DeepSampler
from kvmtui.hypervisor.library import libvirt
from kvmtui.hypervisor.light_sampler import LightSampler
from kvmtui.hypervisor.qemu_processes import QemuFinder, QemuProcess

VCPU = 8


class Domain:
    """A virDomain that counts what it is asked."""

    def __init__(self, number: int, domain_id: int) -> None:
        self.number = number
        self.id = domain_id
        self.label = f"vm{number}"
        self.asked = 0

    def ID(self) -> int:  # noqa: N802
        return self.id

    def UUIDString(self) -> str:  # noqa: N802
        return f"uuid{self.number}"

    def name(self) -> str:
        return self.label

    def info(self) -> list[int]:
        self.asked += 1
        return [1, 2048, 1024 + self.asked, 2, 77]


class Connection:
    """A virConnect with some domains, which notes the calls for statistics."""

    def __init__(self, *domains: Domain) -> None:
        self.domains = list(domains)
        self.calls: list[tuple[list[str], int]] = []

    def getLibVersion(self) -> int:  # noqa: N802
        return 9_000_000

    def numOfDomains(self) -> int:  # noqa: N802
        return len(self.domains)

    def getAllDomainStats(self, groups: int, flags: int) -> list[tuple[Domain, dict[str, int]]]:  # noqa: N802
        return [(domain, {"state.state": 1 if domain.id != -1 else 5, "cpu.time": 55}) for domain in self.domains]

    def domainListGetStats(self, domains: list[Domain], groups: int, flags: int) -> list[tuple[Domain, dict[str, int]]]:  # noqa: N802
        self.calls.append(([domain.label for domain in domains], groups))
        told = {"vcpu.current": 1, "vcpu.maximum": 1, "vcpu.0.delay": 5} if groups & VCPU else {}
        return [(domain, told) for domain in domains]


class Process(QemuProcess):
    """A process with given figures."""

    def cpu_time_ns(self) -> float:
        return nan if self.pid == 0 else 123

    def ready(self, proc: Any = None) -> tuple[int, int] | None:
        return None if self.pid == 0 else (40, 4)


class Finder(QemuFinder):
    """Knows processes by uuid."""

    def __init__(self, **found: Process) -> None:
        self.found = found
        self.sought: list[set[str]] = []

    def find(self, uuids: Any) -> dict[str, QemuProcess] | None:
        self.sought.append(set(uuids))
        return {uuid: process for uuid, process in self.found.items() if uuid in uuids} if uuids else None


def running(count: int) -> list[Domain]:
    return [Domain(number, number + 1) for number in range(count)]


def test_cpu_times_come_from_the_kernel_where_it_is_this_machines() -> None:
    domains = running(2)
    finder = Finder(uuid0=Process(10, 5.0))
    sampler = LightSampler(Connection(*domains), finder)
    first, second = sampler.sample(1.0).vms
    assert (first.cpu_time_ns, first.started_at_s) == (123, 5.0)
    assert (second.cpu_time_ns, second.started_at_s) == (77, None)
    sampler.sample(1e-3)
    assert [domain.asked for domain in domains] == [2, 2]
    for _ in range(10):
        sampler.sample(1e-3)
    # One in turn, and the one whose CPU time only libvirt knows, in every tick.
    assert domains[1].asked == 12
    assert finder.sought[-1] == {"uuid1"}


def test_what_seldom_changes_is_asked_in_turn() -> None:
    domains = running(90)
    finder = Finder(**{domain.UUIDString(): Process(10, 5.0) for domain in domains})
    sampler = LightSampler(Connection(*domains), finder)
    sampler.sample(1.0)
    assert {domain.asked for domain in domains} == {1}
    sampler.sample(1.0)
    assert sum(domain.asked for domain in domains) == 93
    for _ in range(29):
        sampler.sample(1.0)
    assert {domain.asked for domain in domains} == {2}
    assert {vm.memory_allocated_bytes for vm in sampler.sample(1.0).vms} >= {1026 * 1024}


def test_a_new_run_is_not_taken_for_the_old_one() -> None:
    domain = Domain(0, 1)
    finder = Finder(uuid0=Process(10, 5.0))
    sampler = LightSampler(Connection(domain), finder)
    sampler.sample(1.0)
    domain.id = -1
    (vm,) = sampler.sample(1.0).vms
    assert (vm.id, vm.started_at_s) == (-1, None)
    domain.id, finder.found = 2, {}
    (vm,) = sampler.sample(1.0).vms
    assert (vm.id, vm.cpu_time_ns, vm.started_at_s) == (2, 77, None)


def test_a_process_that_has_ended_tells_nothing() -> None:
    domain = Domain(0, 1)
    sampler = LightSampler(Connection(domain), Finder(uuid0=Process(0, 5.0)))
    assert isnan(sampler.sample(1.0).vms[0].cpu_time_ns)


def test_a_vm_that_was_renamed_while_it_was_off_has_its_new_name() -> None:
    domain = Domain(0, -1)
    sampler = LightSampler(Connection(domain), None)
    assert sampler.sample(1.0).vms[0].name == "vm0"
    domain.label = "new\x1b"
    assert sampler.sample(1.0).vms[0].name == "new\ufffd"


def test_vms_that_are_gone_are_forgotten() -> None:
    connection = Connection(*running(3))
    sampler = LightSampler(connection, None)
    sampler.sample(1.0)
    del connection.domains[0]
    assert [vm.uuid for vm in sampler.sample(1.0).vms] == ["uuid1", "uuid2"]


def test_qemu_is_not_asked_for_ready_times_that_the_kernel_tells() -> None:
    domains = running(2)
    connection = Connection(*domains)
    sampler = DeepSampler(connection, Finder(uuid0=Process(10, 5.0)))
    assert [(vm.ready_ns, vm.vcpus) for vm in sampler.sample(domains)] == [(5, 1), (5, 1)]
    connection.calls.clear()
    told = {vm.uuid: (vm.ready_ns, vm.vcpus) for vm in sampler.sample(domains)}
    assert told == {"uuid0": (40, 4), "uuid1": (5, 1)}
    assert [(labels, bool(groups & VCPU)) for labels, groups in connection.calls] == [(["vm0"], False), (["vm1"], True)]


def test_ready_times_of_an_earlier_run_are_not_told() -> None:
    domain = Domain(0, 1)
    finder = Finder(uuid0=Process(10, 5.0))
    sampler = DeepSampler(Connection(domain), finder)
    sampler.sample([domain])
    domain.id, finder.found = 2, {}
    assert [vm.ready_ns for vm in sampler.sample([domain])] == [None]
    assert [vm.ready_ns for vm in sampler.sample([domain])] == [5]


def test_the_group_is_the_one_libvirt_means() -> None:
    assert libvirt().VIR_DOMAIN_STATS_VCPU == VCPU


def test_a_far_host_is_not_asked_vm_by_vm_at_the_first_look_either(monkeypatch: pytest.MonkeyPatch) -> None:
    domains = running(250)
    sampler = LightSampler(Connection(*domains), None)
    now_s = 0.0

    def monotonic() -> float:
        nonlocal now_s
        # Every second reading is at the end of a round trip.
        now_s += 0.05
        return now_s

    monkeypatch.setattr("kvmtui.hypervisor.light_sampler.time", SimpleNamespace(monotonic=monotonic))
    sample = sampler.sample(1.0)
    assert sample.bulk_cpu
    assert sum(domain.asked for domain in domains) <= 5
    # All are listed, and what was not asked is not known.
    assert len(sample.vms) == 250
    assert {vm.vcpus for vm in sample.vms} == {0, 2}
    for _ in range(60):
        sample = sampler.sample(1.0)
    assert {vm.vcpus for vm in sample.vms} == {2}
    assert min(domain.asked for domain in domains) == 1


def test_a_deep_sample_tells_which_run_it_is_of() -> None:
    (sample,) = DeepSampler(Connection(*running(1)), None).sample(running(1))
    assert sample.id == 1
