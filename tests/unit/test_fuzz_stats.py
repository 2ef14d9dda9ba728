"""Whatever statistics a daemon tells, they end in samples and figures, and what makes no sense is not known."""

from dataclasses import replace
from math import inf, isnan
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kvmtui.engine.sampler import HostSampler
from kvmtui.hypervisor.deep_sampler import DeepSampler
from kvmtui.hypervisor.light_sampler import LightSampler
from kvmtui.hypervisor.sampling import deep_vm, interfaces, state_of
from kvmtui.model.history import History
from tests.unit.fuzzing import FUZZ
from tests.unit.test_samplers import Connection, Domain
from tests.unit.test_sampling import STATS

KEYS = sorted(
    {*STATS, "state.state", "state.reason", "cpu.time", "net.count"}
    | {f"net.{number}.{field}" for number in (0, 1) for field in ("name", "rx.bytes", "tx.bytes")}
)
# What libvirt's typed parameters can hold (virTypedParameterType), and beyond.
VALUES = st.one_of(
    st.integers(0, 4),
    st.integers(-(2**63), 2**65),
    st.sampled_from([2**31 - 1, 2**64 - 1, 2**64, -1, 10**400]),
    st.floats(),
    st.booleans(),
    st.text(max_size=8),
    st.none(),
)
STRANGE = st.dictionaries(st.sampled_from(KEYS), VALUES)
# Mostly as it should be, so that what is wrong is reached.
ANY = st.one_of(STRANGE, STRANGE.map(lambda strange: {**STATS, "net.count": 2, "cpu.time": 5, **strange}))


class Told(Connection):
    """A host that tells given statistics of each of its VMs."""

    stats: list[dict[str, Any]]

    def getAllDomainStats(self, groups: int, flags: int) -> list[tuple[Domain, dict[str, Any]]]:  # noqa: N802
        return list(zip(self.domains, self.stats, strict=True))

    def domainListGetStats(self, domains: list[Domain], groups: int, flags: int) -> list[tuple[Domain, dict[str, Any]]]:  # noqa: N802
        return [(domain, self.stats[domain.number]) for domain in domains]


def assert_counts(*values: Any) -> None:
    for value in values:
        assert value is None or isnan(value) or 0 <= value < inf


@FUZZ
@given(ANY)
def test_one_vms_statistics(stats: dict[str, Any]) -> None:
    state_of(stats.get("state.state", 0), stats.get("state.reason", 0))
    names, received, sent = interfaces(stats)
    assert all(isinstance(name, str) for name in names)
    assert_counts(*received, *sent)
    vm = deep_vm("u", 5.0, 1000.0, stats)
    assert_counts(vm.ready_ns, vm.vcpus, vm.memory_used_bytes, vm.memory_age_s, vm.rss_bytes)
    assert_counts(*(vm.disk_read_bytes or {}).values(), *(vm.disk_write_bytes or {}).values())


@FUZZ
@given(st.lists(st.tuples(ANY, ANY), min_size=3, max_size=3), st.booleans())
def test_a_host_over_some_ticks(ticks: list[tuple[dict[str, Any], dict[str, Any]]], far: bool) -> None:
    connection = Told(Domain(0, 1), Domain(1, -1))
    light, deep = LightSampler(connection, None), DeepSampler(connection, None)
    light._round_trip_s = 1.0 if far else 0.0
    sampler = HostSampler("h", History())
    for number, stats in enumerate(ticks):
        connection.stats = list(stats)
        # A second apart, which the test does not wait for.
        seen = light.sample(1.0)
        at_s = (float(number),) * len(seen.columns.uuid)
        sampler.light(replace(seen, taken_at_s=float(number), columns=seen.columns._replace(cpu_at_s=at_s)), 1.0)
        sampler.deep([replace(vm, taken_at_s=float(number)) for vm in deep.sample(connection.domains)])
    for vm in sampler.vms().values():
        assert_counts(vm.cpu_cores, vm.ready_fraction, vm.net_in_bytes_per_s, vm.net_out_bytes_per_s)
        assert_counts(vm.disk_read_bytes_per_s, vm.disk_write_bytes_per_s)
