from math import isnan

from kvmtui.hypervisor.sampling import counters, deep_vm, interfaces, left_out, state_of
from kvmtui.model.vm import VmState

# A running guest as `virsh domstats --raw` of libvirt 9.0 shows it.
STATS = {
    "vcpu.current": 2,
    "vcpu.maximum": 2,
    "vcpu.0.state": 1,
    "vcpu.0.time": 120000000,
    "vcpu.0.delay": 1500,
    "vcpu.1.delay": 500,
    "balloon.current": 196608,
    "balloon.maximum": 196608,
    "balloon.unused": 130460,
    "balloon.available": 157840,
    "balloon.usable": 134948,
    "balloon.last-update": 1000,
    "balloon.rss": 220000,
    "block.count": 2,
    "block.0.name": "vda",
    "block.0.rd.bytes": 1024,
    "block.0.wr.bytes": 10,
    "block.1.name": "sda",
    "block.1.rd.bytes": 7,
    "block.1.wr.bytes": 0,
}


def test_deep() -> None:
    vm = deep_vm("u", 5.0, 1002.5, STATS)
    assert vm.ready_ns == 2000
    assert vm.vcpus == 2
    assert vm.memory_used_bytes == (157840 - 134948) * 1024
    assert vm.memory_age_s == 2.5
    assert vm.rss_bytes == 220000 * 1024
    assert vm.disk_read_bytes == {"vda": 1024, "sda": 7}
    assert vm.disk_write_bytes == {"vda": 10, "sda": 0}


def test_a_clock_that_is_behind_the_hosts_makes_no_age_below_zero() -> None:
    assert deep_vm("u", 5.0, 0.0, STATS).memory_age_s == 0.0


def test_what_a_busy_domain_leaves_out_is_unknown() -> None:
    vm = deep_vm("u", 5.0, 1002.5, {"balloon.current": 196608, "vcpu.current": 2})
    assert vm.ready_ns is None
    assert vm.memory_used_bytes is None
    assert vm.disk_read_bytes is None


def test_a_guest_without_balloon_driver_is_not_given_a_figure() -> None:
    stats = {name: value for name, value in STATS.items() if name not in ("balloon.usable", "balloon.unused")}
    assert deep_vm("u", 5.0, 1002.5, stats).memory_used_bytes is None
    assert deep_vm("u", 5.0, 1002.5, STATS | {"balloon.last-update": 0}).memory_used_bytes is None


def test_counters_of_inactive_and_of_diskless() -> None:
    assert counters({}, "net", "rx.bytes") is None
    assert counters({"net.count": 0}, "net", "rx.bytes") == {}


def test_interfaces() -> None:
    stats = {"net.count": 3, "net.0.name": "vnet7", "net.0.rx.bytes": 5, "net.0.tx.bytes": 6, "net.1.name": "vnet8"}
    stats |= {"net.2.name": "vnet9", "net.2.rx.bytes": 7}
    names, received, sent = interfaces(stats)
    assert (names, received, sent[0]) == (("vnet7", "vnet9"), (5, 7), 6)
    assert isnan(sent[1])
    assert interfaces({"net.count": 0}) == ((), (), ())
    assert isnan(*interfaces({})[1])


def test_ready_time_is_the_sum_of_the_vcpus_that_are_plugged_in() -> None:
    vm = deep_vm("u", 5.0, 1002.5, {"vcpu.current": 2, "vcpu.maximum": 4, "vcpu.0.delay": 1, "vcpu.3.delay": 4})
    assert (vm.ready_ns, vm.vcpus) == (5, 2)
    assert deep_vm("u", 5.0, 1002.5, STATS, (7, 3)).ready_ns == 7


def test_states() -> None:
    assert state_of(3, 5) == (VmState.PAUSED, "I/O error")
    assert state_of(1, 1) == (VmState.RUNNING, "")
    assert state_of(99, 1) == (VmState.NO_STATE, "")


def test_a_vm_that_another_clients_call_has_is_left_out() -> None:
    # As libvirt 9.0 tells of one whose job another connection holds, with NOWAIT.
    told = {"balloon.current", "balloon.maximum", "vcpu.0.delay", "block.count", "block.0.name"}
    named = {name: value for name, value in STATS.items() if name in told}
    assert left_out(named)
    assert deep_vm("u", 5.0, 1002.5, named).disk_read_bytes is None
    assert not left_out(STATS)
    # One without disks, one without a balloon, one without either.
    assert left_out({"balloon.current": 1, "balloon.maximum": 1, "block.count": 0})
    assert not left_out({"balloon.current": 1, "balloon.rss": 5, "block.count": 0})
    assert not left_out({"block.count": 1, "block.0.name": "vda", "block.0.rd.bytes": 0})
    assert not left_out({"block.count": 0})
