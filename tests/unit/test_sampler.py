from dataclasses import replace
from math import nan
from typing import Any

import pytest

from kvmtui.engine.sampler import HostSampler
from kvmtui.hypervisor.samples import DeepVm, Flags, LightColumns, LightSample, LightVm, NodeSample
from kvmtui.model.history import History, Metric
from kvmtui.model.vm import Job, MemorySource, VmState

SECOND_NS = 1_000_000_000


def light_vm(at_s: float, cpu_ns: float = nan, *, uuid: str = "u", vm_id: int = 1, **more: Any) -> LightVm:
    state = VmState.RUNNING if vm_id != -1 else VmState.SHUT_OFF
    return LightVm(uuid, f"name of {uuid}", vm_id, state, "", 2, 4 << 30, cpu_ns, at_s, **more)


def sample(at_s: float, *vms: LightVm) -> LightSample:
    return LightSample(at_s, 0.001, False, LightColumns.of(vms))


def light(at_s: float, cpu_ns: float = nan, *, vm_id: int = 1, net_in: int = 0) -> LightSample:
    nets: dict[str, Any] = (
        {"net_names": ("vnet0",), "net_in_bytes": (net_in,), "net_out_bytes": (net_in,)} if vm_id != -1 else {}
    )
    return sample(at_s, light_vm(at_s, cpu_ns, vm_id=vm_id, **nets))


def deep(at_s: float, ready_ns: int, read: int, used: int | None = 1 << 30) -> DeepVm:
    return DeepVm("u", at_s, ready_ns, 2, used, 1.5, 2 << 30, {"vda": read}, {"vda": 0})


@pytest.fixture
def sampler() -> HostSampler:
    return HostSampler("h", History())


def test_rates_come_from_two_samples(sampler: HostSampler) -> None:
    sampler.light(light(10, 0), 1)
    assert sampler.vms()["u"].cpu_cores is None
    sampler.light(light(12, 3 * SECOND_NS, net_in=2000), 1)
    vm = sampler.vms()["u"]
    assert vm.cpu_cores == 1.5
    assert vm.cpu_fraction == 0.75
    assert vm.net_in_bytes_per_s == 1000


@pytest.mark.parametrize(
    "second",
    [light(12, 1 * SECOND_NS, vm_id=2), light(12), light(30, 9 * SECOND_NS)],
    ids=["another run", "not told", "a long gap"],
)
def test_no_rate_where_none_can_be_said(sampler: HostSampler, second: LightSample) -> None:
    sampler.light(light(10, 5 * SECOND_NS), 1)
    sampler.light(second, 1)
    assert sampler.vms()["u"].cpu_cores is None


def test_after_a_lost_link_a_gap(sampler: HostSampler) -> None:
    sampler.light(light(10, 0), 1)
    sampler.light(light(11, SECOND_NS), 1)
    sampler.gap()
    sampler.light(light(12, 2 * SECOND_NS), 1)
    assert sampler.vms()["u"].cpu_cores is None
    sampler.light(light(13, 3 * SECOND_NS), 1)
    assert sampler.vms()["u"].cpu_cores == 1.0


def test_a_lost_link_leaves_the_last_figures_to_look_at(sampler: HostSampler) -> None:
    sampler.light(light(10, 0), 1)
    sampler.light(light(11, SECOND_NS), 1)
    sampler.deep([deep(10, 0, 0)])
    sampler.deep([deep(11, 0, 500)])
    sampler.gap()
    vm = sampler.vms()["u"]
    assert (vm.cpu_cores, vm.disk_read_bytes_per_s) == (1.0, 500.0)
    assert vm.memory is not None
    # Once the host tells again they are not shown as fresh, and the first look gives no rate over the gap.
    sampler.light(light(19, 5 * SECOND_NS), 1)
    assert sampler.vms()["u"].disk_read_bytes_per_s is None
    sampler.deep([deep(20, 0, 99_000)])
    assert sampler.vms()["u"].disk_read_bytes_per_s is None


def test_an_early_sample_changes_the_state_and_no_rate(sampler: HostSampler) -> None:
    sampler.light(light(10, 0), 1)
    sampler.light(light(11, SECOND_NS), 1)
    early = light(11.1, SECOND_NS)
    sampler.light(early, 1)
    assert sampler.vms()["u"].cpu_cores == 1.0
    sampler.light(light(12, 3 * SECOND_NS), 1)
    assert sampler.vms()["u"].cpu_cores == 2.0


def test_deep_figures(sampler: HostSampler) -> None:
    sampler.light(light(10, 0), 1)
    sampler.deep([deep(10, 0, 0)])
    sampler.deep([deep(14, 2 * SECOND_NS, 4096)])
    vm = sampler.vms()["u"]
    assert vm.ready_fraction == 0.25
    assert vm.disk_read_bytes_per_s == 1024
    assert vm.memory is not None
    assert (vm.memory.source, vm.memory.taken_at_s) == (MemorySource.BALLOON, 12.5)


def test_a_late_deep_answer_is_dropped(sampler: HostSampler) -> None:
    sampler.light(light(10, 0), 1)
    sampler.deep([deep(14, 5, 0)])
    sampler.deep([deep(12, 0, 0)])
    assert sampler.deep_at_s("u") == 14


def test_without_balloon_the_host_cost_is_named_as_such(sampler: HostSampler) -> None:
    sampler.light(light(10, 0), 1)
    sampler.deep([deep(10, 0, 0, used=None)])
    memory = sampler.vms()["u"].memory
    assert memory is not None
    assert (memory.source, memory.used_bytes) == (MemorySource.RSS, 2 << 30)


def test_a_new_run_forgets_deep_figures(sampler: HostSampler) -> None:
    sampler.light(light(10, 0), 1)
    sampler.deep([deep(10, 0, 0)])
    sampler.light(light(11, 0, vm_id=2), 1)
    assert sampler.vms()["u"].memory is None
    sampler.light(light(12, vm_id=-1), 1)
    assert sampler.active == []


def test_history_holds_what_was_seen() -> None:
    history = History()
    sampler = HostSampler("u", history)
    sampler.light(light(10, 0), 1)
    sampler.light(light(12, SECOND_NS), 1)
    half = pytest.approx(0.5, rel=5e-3)
    assert history.read("u", Metric.CPU_CORES, 12, 1, 3) == [None, half, half]
    # After a lost link a gap, not a line from the last value to the next.
    sampler.gap()
    sampler.light(light(20, 2 * SECOND_NS), 1)
    sampler.light(light(21, 3 * SECOND_NS), 1)
    assert history.read("u", Metric.CPU_CORES, 21, 1, 3) == [None, None, pytest.approx(1.0, rel=5e-3)]


def test_host_cpu(sampler: HostSampler) -> None:
    sampler.node(NodeSample(1.0, 1000, 900, 100, 50, None), 1)
    assert sampler.figures.cpu_busy_fraction is None
    sampler.node(NodeSample(2.0, 2000, 1150, 100, 50, None), 1)
    assert sampler.figures.cpu_busy_fraction == 0.75
    # Idle time that steps back says nothing.
    sampler.node(NodeSample(3.0, 3000, 1100, 100, 50, None), 1)
    assert sampler.figures.cpu_busy_fraction is None


def test_host_cpu_is_averaged_over_five_minutes(sampler: HostSampler) -> None:
    # A CPU that is busy a quarter of the time, and all of it from 400 s on.
    for second in range(1000, 1500):
        busy = (second - 1000) * 25 + max(0, second - 1400) * 75
        sampler.node(NodeSample(float(second), second * 100, second * 100 - busy, 100, 50, None), 1)
        if second == 1002:
            assert (sampler.figures.cpu_mean_fraction, sampler.figures.cpu_mean_s) == (0.25, 2.0)
    assert sampler.figures.cpu_busy_fraction == 1.0
    assert sampler.figures.cpu_mean_fraction == pytest.approx(0.5, abs=0.02)
    assert 290 <= sampler.figures.cpu_mean_s <= 310
    sampler.gap()
    sampler.node(NodeSample(1600.0, 200_000, 100_000, 100, 50, None), 1)
    assert sampler.figures.cpu_mean_fraction is None


def test_a_silent_vm_is_not_shown_with_old_rates(sampler: HostSampler) -> None:
    sampler.light(light(10, 0), 1)
    sampler.deep([deep(10, 0, 0)])
    sampler.deep([deep(11, 0, 500)])
    sampler.light(light(11, SECOND_NS), 1)
    assert sampler.vms()["u"].disk_read_bytes_per_s == 500
    sampler.silent = {"u": 11.0}
    sampler.light(light(12, 2 * SECOND_NS), 1)
    assert sampler.vms()["u"].disk_read_bytes_per_s is None
    assert sampler.vms()["u"].cpu_cores == 1.0


def test_vms_that_come_go_or_change_places_leave_the_others_alone(sampler: HostSampler) -> None:
    sampler.light(sample(10, *(light_vm(10, 0, uuid=uuid) for uuid in "abc")), 1)
    sampler.light(sample(11, *(light_vm(11, SECOND_NS, uuid=uuid) for uuid in "abc")), 1)
    sampler.light(sample(12, *(light_vm(12, 3 * SECOND_NS, uuid=uuid) for uuid in "dca")), 1)
    vms = sampler.vms()
    assert {uuid: vm.cpu_cores for uuid, vm in vms.items()} == {"d": None, "c": 2.0, "a": 2.0}
    assert vms["c"].cpu_recent == (None, 1.0, 2.0)
    assert vms["d"].cpu_recent == (None, None, None)
    sampler.light(sample(13, *(light_vm(13, 4 * SECOND_NS, uuid=uuid) for uuid in "dca")), 1)
    assert {vm.cpu_cores for vm in sampler.vms().values()} == {1.0}


def test_a_vm_that_comes_with_an_early_sample_has_a_rate_at_the_next(sampler: HostSampler) -> None:
    sampler.light(sample(10, light_vm(10, 0, uuid="a")), 1)
    sampler.light(sample(10.1, light_vm(10.1, 0, uuid="a"), light_vm(10.1, 0, uuid="b")), 1)
    sampler.light(sample(11.1, *(light_vm(11.1, SECOND_NS, uuid=uuid) for uuid in "ab")), 1)
    vms = sampler.vms()
    assert vms["b"].cpu_cores == pytest.approx(1.0)
    # The other's counters were last taken for a rate with the sample before.
    assert vms["a"].cpu_cores == pytest.approx(1 / 1.1)


def test_network_cards_are_matched_by_name(sampler: HostSampler) -> None:
    def nets(at_s: float, **counters: int) -> LightSample:
        more: dict[str, Any] = {"net_names": tuple(counters), "net_in_bytes": tuple(counters.values())}
        return sample(at_s, light_vm(at_s, 0, **more, net_out_bytes=tuple(counters.values())))

    sampler.light(nets(10, a=100, b=0), 1)
    sampler.light(nets(11, a=150, b=25), 1)
    assert sampler.vms()["u"].net_in_bytes_per_s == 75
    # One more card, and another order.
    sampler.light(nets(12, c=10**9, b=35, a=150), 1)
    assert sampler.vms()["u"].net_in_bytes_per_s == 10
    # One that counts anew makes the sum unknown, even if the other hides it.
    sampler.light(nets(13, c=10**9 + 500, b=0, a=150), 1)
    assert sampler.vms()["u"].net_in_bytes_per_s is None
    sampler.light(nets(14), 1)
    sampler.light(nets(15), 1)
    assert sampler.vms()["u"].net_in_bytes_per_s == 0


def test_where_cards_are_not_told_nothing_is_said(sampler: HostSampler) -> None:
    for at_s in (10, 11):
        sampler.light(sample(at_s, light_vm(at_s, 0)), 1)
    assert sampler.vms()["u"].net_in_bytes_per_s is None


def test_what_has_not_changed_is_the_same_object(sampler: HostSampler) -> None:
    for second in range(10, 40):
        sampler.light(light(second, 5 * SECOND_NS), 1)
    told = sampler.vms()
    sampler.light(light(40, 5 * SECOND_NS), 1)
    assert sampler.vms() is told
    sampler.light(light(41, 6 * SECOND_NS), 1)
    assert sampler.vms() is not told
    # What was told stays as it was.
    assert (told["u"].cpu_cores, sampler.vms()["u"].cpu_cores) == (0.0, 1.0)


@pytest.mark.parametrize("change", ["job", "silent", "flags", "deep"])
def test_everything_that_is_shown_makes_another_object(sampler: HostSampler, change: str) -> None:
    for second in range(10, 40):
        sampler.light(light(second, 5 * SECOND_NS), 1)
    told = sampler.vms()
    match change:
        case "job":
            sampler.jobs["u"] = Job("migration")
        case "silent":
            sampler.silent["u"] = 39.0
        case "flags":
            sampler.flags(Flags(frozenset(), frozenset({"u"}), frozenset()))
        case "deep":
            sampler.deep([deep(39, 0, 0)])
    assert sampler.vms() is not told
    assert sampler.vms()["u"] != told["u"]


def test_a_vm_is_made_when_it_is_looked_at(sampler: HostSampler) -> None:
    sampler.light(sample(10, *(light_vm(10, 0, uuid=uuid) for uuid in "abc")), 1)
    vms = sampler.vms()
    assert (len(vms), "b" in vms, list(vms), vms.running) == (3, True, ["a", "b", "c"], 3)
    assert vms._made == {}
    assert vms["b"] is vms["b"]
    assert set(vms._made) == {"b"}


def test_rates_that_are_too_old_are_taken_back(sampler: HostSampler) -> None:
    sampler.light(light(10, 0), 1)
    sampler.deep([deep(10, 0, 0)])
    sampler.deep([deep(12, 0, 500)])
    sampler.light(light(192, 0), 1)
    assert sampler.vms()["u"].disk_read_bytes_per_s == 250
    sampler.light(light(193, 0), 1)
    vm = sampler.vms()["u"]
    assert vm.disk_read_bytes_per_s is None
    # The amount is still what was told last, and its age is told with it.
    assert vm.memory is not None
    assert vm.deep_at_s == 12


def test_the_history_knows_no_deep_figures_that_are_not_known_any_more() -> None:
    history = History()
    sampler = HostSampler("u", history)
    for second in range(10, 14):
        sampler.light(light(second, 0), 1)
        sampler.deep([deep(second + 0.1, 0, 100 * second)])
    sampler.silent = {"u": 13.0}
    sampler.light(light(14, 0), 1)
    hundred = pytest.approx(100, rel=5e-3)
    assert history.read("u", Metric.DISK_READ, 14, 1, 4) == [None, hundred, hundred, None]
    assert history.read("u", Metric.MEMORY_BYTES, 14, 1, 2) == [pytest.approx(1 << 30, rel=5e-3), None]


def test_rates_of_vms_that_stand_still_are_zero_and_no_longer_than_that(sampler: HostSampler) -> None:
    rates = []
    counters = [5, 5, 5, 5, 5, 5, 7, 7, 7, 7, 8, 8, 8, 8, 8]
    for second, counter in enumerate(counters):
        if second in (3, 12):
            sampler.gap()
        sampler.light(light(second, counter * SECOND_NS, net_in=counter), 1)
        vm = sampler.vms()["u"]
        assert vm.cpu_cores == vm.net_in_bytes_per_s
        rates.append(vm.cpu_cores)
    assert rates == [None, 0, 0, None, 0, 0, 2, 0, 0, 0, 1, 0, None, 0, 0]


def test_a_vm_that_starts_among_those_that_stand_still_gets_its_rates(sampler: HostSampler) -> None:
    for second in range(10):
        run = 1 if second < 5 else 2
        sampler.light(sample(second, light_vm(second, 0, uuid="a"), light_vm(second, 0, uuid="b", vm_id=run)), 1)
    assert [sampler.vms()[uuid].cpu_recent[-6:] for uuid in "ab"] == [(0, 0, 0, 0, 0, 0), (0, None, 0, 0, 0, 0)]


def test_a_deep_answer_of_a_run_that_has_ended_is_dropped(sampler: HostSampler) -> None:
    sampler.light(light(10, 0, vm_id=1), 1)
    sampler.light(light(11, 0, vm_id=2), 1)
    sampler.deep([replace(deep(10.5, 0, 0), id=1)])
    assert sampler.vms()["u"].memory is None
    sampler.deep([replace(deep(11.5, 0, 0), id=2)])
    assert sampler.vms()["u"].memory is not None


def test_no_rate_is_made_across_two_ways_to_ask(sampler: HostSampler) -> None:
    sampler.light(light(10, 0, net_in=0), 1)
    sampler.light(light(11, SECOND_NS, net_in=100), 1)
    sampler.light(replace(light(12, 900 * SECOND_NS, net_in=200), bulk_cpu=True), 1)
    vm = sampler.vms()["u"]
    assert (vm.cpu_cores, vm.net_in_bytes_per_s) == (None, 100)
    sampler.light(replace(light(13, 901 * SECOND_NS, net_in=300), bulk_cpu=True), 1)
    assert sampler.vms()["u"].cpu_cores == 1.0


def test_network_rates_are_of_the_time_between_the_bulk_calls(sampler: HostSampler) -> None:
    def late(at_s: float, cpu_at_s: float, net_in: int) -> LightSample:
        nets: dict[str, Any] = {"net_names": ("a",), "net_in_bytes": (net_in,), "net_out_bytes": (net_in,)}
        return sample(at_s, light_vm(cpu_at_s, 0, **nets))

    # The first look took its time to come to this VM.
    sampler.light(late(10, 13.0, 0), 1)
    sampler.light(late(14, 14.0, 4000), 1)
    assert sampler.vms()["u"].net_in_bytes_per_s == 1000


def test_a_vm_that_came_with_an_event_waits_for_a_rate_worth_the_name(sampler: HostSampler) -> None:
    sampler.light(sample(10, light_vm(10, 0, uuid="a")), 1)
    sampler.light(sample(10.4, light_vm(10.4, 0, uuid="a"), light_vm(10.4, 0, uuid="b")), 1)
    sampler.light(sample(10.8, *(light_vm(10.8, SECOND_NS // 10, uuid=uuid) for uuid in "ab")), 1)
    assert sampler.vms()["b"].cpu_cores is None
    sampler.light(sample(11.8, *(light_vm(11.8, SECOND_NS, uuid=uuid) for uuid in "ab")), 1)
    assert sampler.vms()["b"].cpu_cores == pytest.approx(0.9)
