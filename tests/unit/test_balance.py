"""The planner on small fleets, as tables: what is moved, why, and what is not."""

from dataclasses import replace

import pytest

from kvmtui.model.balance import assess, balance, destinations, evacuate, reconsider, without
from kvmtui.model.balance_load import GIB, HostLoad, Limits, VmLoad
from kvmtui.model.balance_plan import Change, Plan, Why, choices
from kvmtui.model.vm import VmKey

LIMITS = Limits()


def host(name: str, cpu: float | None, memory_gib: float | None, **more: object) -> HostLoad:
    """A host of 16 CPUs and 100 GiB, so that a GiB is a percent."""
    used = None if memory_gib is None else int(memory_gib * GIB)
    return replace(HostLoad(f"qemu:///{name}", name, 16, cpu, 100 * GIB, used), **more)  # type: ignore[arg-type]


def vm(name: str, on: str, cores: float | None = 1.6, gib: float = 4, **more: object) -> VmLoad:
    """A VM; 1.6 cores are a tenth of a host."""
    load = VmLoad(VmKey(f"qemu:///{on}", name), name, cores, int(gib * GIB), int(gib * GIB))
    return replace(load, **more)  # type: ignore[arg-type]


def told(plan: Plan) -> list[str]:
    return [f"{move.name} {move.source_name}→{move.destination_name}" for move in plan.moves]


def stays(plan: Plan) -> list[str]:
    return [one.words for one in plan.unmoved]


def test_uneven_hosts_are_evened_out_and_the_move_says_what_it_changes() -> None:
    plan = balance(
        [host("h1", 0.70, 40), host("h2", 0.20, 40)],
        [vm("web1", "h1", 4.0, 4), vm("web2", "h1", 0.1), vm("db", "h2", 1.0)],
        LIMITS,
        0,
    )
    [move] = plan.moves
    assert move.words == "web1 h1→h2: h1 CPU 70→45 %, h2 20→45 %, ~4.0 GiB, ~49 s"
    assert move.why is Why.EVEN
    assert (plan.before.cpu, plan.after.cpu) == pytest.approx((0.5, 0.0))
    assert [(one.name, one.vms_before, one.vms_after) for one in plan.hosts] == [("h1", 2, 1), ("h2", 1, 2)]
    assert plan.summary == "1 move, 4.0 GiB, about 49 s: CPU 20-70 %, memory 40 %, then CPU 45 %, memory 36-44 %"


def test_memory_is_evened_out_too() -> None:
    plan = balance(
        [host("h1", 0.30, 75), host("h2", 0.30, 25)], [vm("big", "h1", 0.1, 24), vm("small", "h1", 0.1, 1)], LIMITS, 0
    )
    assert [move.words for move in plan.moves] == ["big h1→h2: h1 memory 75→51 %, h2 25→49 %, ~24 GiB, ~4 min"]


@pytest.mark.parametrize(
    ("hosts", "summary"),
    [
        ([host("h1", 0.48, 35), host("h2", 0.41, 30)], "hosts are even: CPU 41-48 %, memory 30-35 %"),
        ([host("h1", 0.48, 35)], "balancing takes two hosts, 1 can take part"),
        ([], "balancing takes two hosts, 0 can take part"),
        (
            [host("h1", 0.9, 35), host("h2", None, 30)],
            "balancing takes two hosts, 1 can take part (h2: its CPU use is not known yet)",
        ),
        (
            [host("h1", 0.7, 35), host("h2", 0.1, 30)],
            "hosts are uneven, but no move helps: CPU 10-70 %, memory 30-35 %",
        ),
        (
            [host("h1", 0.85, 30), host("h2", 0.85, 30)],
            "h1: CPU is over 80 %, as on 1 other, and no host has room for more: CPU 85 %, memory 30 %",
        ),
        (
            [host("h1", 0.85, 30), host("h2", 0.60, 30)],
            "h1: CPU is over 80 %, and no move helps: CPU 60-85 %, memory 30 %",
        ),
    ],
)
def test_says_why_nothing_is_to_do(hosts: list[HostLoad], summary: str) -> None:
    plan = balance(hosts, [vm("tiny", "h1", 0.01, 0.1)], LIMITS, 0)
    assert (plan.moves, plan.summary) == ((), summary)


HOT = [host("h1", 0.70, 50), host("h2", 0.20, 30)]


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (vm("a", "h1", 4.0, pinned=True), "it is pinned to its host"),
        (vm("a", "h1", 4.0, immovable="it has a PCI device"), "it has a PCI device"),
        (vm("a", "h1", None), "its CPU use is not known yet"),
        (vm("a", "h1", 4.0, memory_bytes=None), "its memory use is not known yet"),
        (vm("a", "h1", 4.0, copy_bytes=None), "how much there is to copy is not known yet"),
        (vm("a", "h1", 4.0, moved_at_s=5000 - 3599), "it was moved 60 min ago and stays for 60 min"),
    ],
)
def test_what_may_not_be_moved_stays_and_says_why(load: VmLoad, why: str) -> None:
    plan = balance(HOT, [load], LIMITS, 5000)
    assert told(plan) == []
    assert stays(plan) == [f"a on h1: {why}"]


@pytest.mark.parametrize(
    ("load", "moves"),
    [
        (vm("a", "h1", 4.0), 1),
        (vm("a", "h1", 4.0, moved_at_s=5000 - 3600), 1),
        (vm("a", "h1", 4.0, cores_lasting=4.0), 1),
        # A burst: by the hour's mean it has nothing to take along.
        (vm("a", "h1", 4.0, 0.1, cores_lasting=0.1), 0),
        (vm("a", "h1", 4.0, forbidden={"qemu:///h2": "its CPU is unknown there"}), 0),
    ],
)
def test_what_may_be_moved(load: VmLoad, moves: int) -> None:
    assert len(balance(HOT, [load], LIMITS, 5000).moves) == moves


@pytest.mark.parametrize(
    "second",
    [
        host("h2", 0.20, 30, connected=False),
        host("h2", 0.20, 30, in_maintenance=True),
        host("h2", 0.20, 30, may_receive=False),
        host("h2", 0.20, None),
        host("h2", 0.20, 78),
        host("h2", 0.51, 10),
    ],
)
def test_no_host_is_given_what_it_must_not_get(second: HostLoad) -> None:
    assert balance([host("h1", 0.95, 60), second], [vm("a", "h1", 4.0, 4)], LIMITS, 0).moves == ()


def test_memory_is_kept_in_reserve_on_small_hosts() -> None:
    small = replace(host("h2", 0.1, 0), memory_total_bytes=8 * GIB, memory_used_bytes=3 * GIB)
    hosts = [replace(host("h1", 0.7, 0), memory_total_bytes=8 * GIB, memory_used_bytes=5 * GIB), small]
    assert balance(hosts, [vm("a", "h1", 4.0, 3.2)], LIMITS, 0).moves == ()
    assert len(balance(hosts, [vm("a", "h1", 4.0, 2.9)], LIMITS, 0).moves) == 1


def test_a_host_over_its_limit_is_relieved_first_and_says_so_when_it_cannot_be() -> None:
    hosts = [host("h1", 0.92, 40), host("h2", 0.70, 40), host("h3", 0.74, 40)]
    vms = [vm("a", "h1", 8.0), vm("b", "h1", 0.7)]
    plan = balance(hosts, vms, LIMITS, 0)
    assert [(move.name, move.why, move.detail) for move in plan.moves] == [("b", Why.RELIEVE, "h1 CPU is over 80 %")]
    assert "h1: CPU is over 80 %, after these moves too" in stays(plan)


def test_members_of_a_group_are_parted_even_on_even_hosts() -> None:
    hosts = [host("h1", 0.40, 40), host("h2", 0.40, 40)]
    vms = [vm("db1", "h1", apart=("db",)), vm("db2", "h1", apart=("db",)), vm("web", "h1", 0.1)]
    [move] = balance(hosts, vms, LIMITS, 0).moves
    assert (move.name[:2], move.why) == ("db", Why.APART)
    assert move.words == "db1 h1→h2: db2 of group db is on h1, too; h1 CPU 40→30 %, h2 40→50 %, ~4.0 GiB, ~49 s"


def test_a_group_that_cannot_be_parted_says_why() -> None:
    hosts = [host("h1", 0.40, 40), host("h2", 0.40, 40)]
    vms = [vm("db1", "h1", apart=("db",)), vm("db2", "h1", apart=("db",)), vm("db3", "h2", apart=("db",))]
    plan = balance(hosts, vms, LIMITS, 0)
    assert plan.moves == ()
    assert stays(plan)[0] == "db1 on h1: db2 of group db is on h1, too, but db3 of group db is on h2"


def test_balancing_never_puts_members_of_a_group_together() -> None:
    vms = [vm("db1", "h1", 4.0, apart=("db",)), vm("db2", "h2", 1.0, apart=("db",)), vm("web", "h1", 3.0)]
    assert told(balance(HOT, vms, LIMITS, 0)) == ["web h1→h2"]


def test_of_moves_that_bring_alike_the_quicker_one_is_chosen() -> None:
    vms = [vm("fat", "h1", 4.0, 2, copy_bytes=500 * GIB), vm("slim", "h1", 3.7, 2)]
    assert told(balance(HOT, vms, LIMITS, 0))[0] == "slim h1→h2"


def test_evacuation_places_every_vm_and_looks_at_evenness() -> None:
    hosts = [host("h1", 0.50, 40), host("h2", 0.20, 20), host("h3", 0.20, 20)]
    plan = evacuate("qemu:///h1", hosts, [vm(f"v{number}", "h1", 1.6, 8) for number in range(4)], LIMITS, 0)
    assert sorted(move.destination_name for move in plan.moves) == ["h2", "h2", "h3", "h3"]
    assert {move.why for move in plan.moves} == {Why.EVACUATE}
    assert plan.summary == "4 VMs can leave h1: 32 GiB, about 6 min"
    assert plan.unmoved == ()
    assert plan.moves[0].words.endswith(": h2 CPU 20→30 %, memory 20→28 %, ~8.0 GiB, ~83 s")


def test_evacuation_packs_tightly_where_evenly_not_all_fit() -> None:
    hosts = [host("h1", 0.3, 80), host("h2", 0.2, 40), host("h3", 0.2, 50)]
    vms = [vm("a", "h1", 0.1, 30), vm("b", "h1", 0.1, 20), vm("c", "h1", 0.1, 20)]
    assert sorted(told(evacuate("qemu:///h1", hosts, vms, LIMITS, 0))) == ["a h1→h3", "b h1→h2", "c h1→h2"]


def test_evacuation_shifts_one_placed_already_where_packing_gets_stuck() -> None:
    # The larger one goes first and to h2, which is right for one of these and wrong for the other.
    hosts = [host("h1", 0.3, 80), host("h2", 0.2, 50), host("h3", 0.2, 50)]
    barred = {"qemu:///h2": "no such network there"}
    vms = [vm("b", "h1", 0.1, 25), vm("c", "h1", 0.1, 24, forbidden=barred)]
    assert sorted(told(evacuate("qemu:///h1", hosts, vms, LIMITS, 0))) == ["b h1→h2", "c h1→h3"]
    barred = {"qemu:///h3": "no such network there"}
    vms = [vm("b", "h1", 0.1, 25), vm("c", "h1", 0.1, 24, forbidden=barred)]
    assert sorted(told(evacuate("qemu:///h1", hosts, vms, LIMITS, 0))) == ["b h1→h3", "c h1→h2"]


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (vm("a", "h1", 0.1, 16), "needs 16 GiB, the most free within limits is 9.0 GiB on h3"),
        (vm("a", "h1", 6.4, 2), "needs 6.4 CPUs, the most free within limits is 4.0 on h2"),
        (vm("a", "h1", 1.0, 2, pinned=True), "it is pinned to its host"),
        (
            vm("a", "h1", 1.0, 2, forbidden={"qemu:///h2": "no network lan on h2", "qemu:///h3": "no KVM on h3"}),
            "no network lan on h2; no KVM on h3",
        ),
        (
            vm("a", "h1", 3.6, 8.5),
            "needs 8.5 GiB, 5.0 GiB is free within limits on h2; needs 3.6 CPUs, 0.8 are free within limits on h3",
        ),
    ],
)
def test_what_cannot_leave_says_why(load: VmLoad, why: str) -> None:
    hosts = [host("h1", 0.3, 40), host("h2", 0.50, 75), host("h3", 0.70, 71)]
    plan = evacuate("qemu:///h1", hosts, [load], LIMITS, 0)
    assert stays(plan) == [f"a on h1: {why}"]
    assert plan.summary == "1 VM on h1 cannot leave"


def test_evacuation_does_not_wait_for_the_cooldown_and_needs_no_figures_of_the_host_itself() -> None:
    emptied = host("h1", None, None, in_maintenance=True)
    plan = evacuate("qemu:///h1", [emptied, host("h2", 0.1, 10)], [vm("a", "h1", moved_at_s=99)], LIMITS, 100)
    [move] = plan.moves
    assert (move.source_cpu, move.words) == (None, "a h1→h2: h2 CPU 10→20 %, memory 10→14 %, ~4.0 GiB, ~49 s")
    assert (plan.hosts[0].name, plan.hosts[0].cpu) == ("h1", None)


def test_an_evacuated_vm_goes_beside_its_group_only_where_that_is_allowed_and_there_is_no_other_way() -> None:
    vms = [vm("db1", "h1", apart=("db",)), vm("db2", "h2", apart=("db",))]
    hosts = [host("h1", 0.3, 40), host("h2", 0.1, 10), host("h3", 0.6, 60)]
    for allowed in (False, True):
        assert told(evacuate("qemu:///h1", hosts, vms, LIMITS, 0, over_limits=allowed)) == ["db1 h1→h3"]
    plan = evacuate("qemu:///h1", hosts[:2], vms, LIMITS, 0)
    assert (plan.moves, stays(plan)) == ((), ["db1 on h1: db2 of group db is on h2"])
    [move] = evacuate("qemu:///h1", hosts[:2], vms, LIMITS, 0, over_limits=True).moves
    assert (move.destination_name, move.broken) == ("h2", "db2 of group db is on h2")


def test_a_host_that_is_not_connected_cannot_be_emptied() -> None:
    plan = evacuate(
        "qemu:///h1", [host("h1", 0.3, 40, connected=False), host("h2", 0.1, 10)], [vm("a", "h1")], LIMITS, 0
    )
    assert stays(plan) == ["a on h1: it is not connected, or its figures are old"]


def test_an_unknown_host_cannot_be_emptied() -> None:
    with pytest.raises(ValueError, match="there is no host h9"):
        evacuate("h9", HOT, [], LIMITS, 0)


THREE = [host("h1", 0.74, 40), host("h2", 0.20, 40), host("h3", 0.24, 40)]
WORK = [vm("a", "h1", 3.2), vm("b", "h1", 2.8), vm("c", "h1", 1.6)]


def test_a_move_taken_out_leaves_true_figures() -> None:
    plan = balance(THREE, WORK, LIMITS, 0)
    assert len(plan.moves) == 2
    less = without(plan, plan.moves[0].vm)
    assert choices(less.moves) == choices(plan.moves)[1:]
    share = next(load.cores_used or 0.0 for load in WORK if load.key == less.moves[0].vm) / 16
    assert less.moves[0].source_cpu == Change(0.74, 0.74 - share)
    assert reconsider(less, choices(plan.moves)) == plan


def test_another_destination_is_reckoned_and_says_what_it_breaks() -> None:
    hosts = [*THREE, host("h4", 0.70, 20)]
    plan = balance(hosts, WORK, LIMITS, 0)
    first = plan.moves[0]
    offered = destinations(plan, first.vm)
    assert offered[0].name == first.destination_name
    assert [one.broken for one in offered if one.name == "h4"] == [
        f"needs {3.2 if first.name == 'a' else 2.8} CPUs, 0.8 are free within limits on h4"
    ]
    changed = reconsider(plan, [(first.vm, "qemu:///h4"), *choices(plan.moves[1:])])
    assert changed.moves[0].destination_name == "h4"
    assert changed.moves[0].broken


def test_an_evacuation_lists_what_was_taken_out_of_it() -> None:
    plan = evacuate("qemu:///h1", THREE, WORK, LIMITS, 0)
    assert stays(without(plan, WORK[2].key)) == ["c on h1: it is not in the plan"]


@pytest.mark.parametrize(
    ("hosts", "vms", "why"),
    [
        (HOT, [], "it is no longer there"),
        (HOT, [vm("a", "h1", None)], "its CPU use is not known yet"),
        ([HOT[0], host("h2", 0.2, 30, connected=False)], [vm("a", "h1", 4.0)], "h2 takes no part"),
        ([host("h1", 0.7, 50, connected=False), HOT[1]], [vm("a", "h1", 4.0)], "its host takes no part"),
        ([HOT[0], host("h2", 0.2, 30, may_receive=False)], [vm("a", "h1", 4.0)], "h2 takes no VMs"),
    ],
)
def test_a_move_that_became_impossible_is_told(hosts: list[HostLoad], vms: list[VmLoad], why: str) -> None:
    plan = assess([(VmKey("qemu:///h1", "a"), "qemu:///h2")], hosts, vms, LIMITS, 0)
    assert plan.moves == ()
    assert f"a on h1: {why}" in stays(plan)


def test_a_move_whose_reason_has_gone_brings_little() -> None:
    calm = [host("h1", 0.45, 40), host("h2", 0.40, 40)]
    [move] = assess([(VmKey("qemu:///h1", "a"), "qemu:///h2")], calm, [vm("a", "h1", 4.0)], LIMITS, 0).moves
    assert move.gain < LIMITS.least_gain
    assert move.why is Why.LITTLE


def test_of_two_choices_for_a_vm_the_later_one_counts() -> None:
    key = WORK[0].key
    plan = assess([(key, "qemu:///h2"), (key, "qemu:///h3")], THREE, WORK, LIMITS, 0)
    assert told(plan) == ["a h1→h3"]


def test_even_hosts_are_left_alone_even_where_a_move_would_bring_something() -> None:
    even = [host("h1", 0.54, 54), host("h2", 0.40, 40)]
    load = vm("a", "h1", 1.12, 7)
    assert assess([(load.key, "qemu:///h2")], even, [load], LIMITS, 0).moves[0].gain > LIMITS.least_gain
    assert balance(even, [load], LIMITS, 0).moves == ()


def test_destinations_are_reckoned_at_the_turn_of_the_vm() -> None:
    plan = balance(THREE, WORK, LIMITS, 0)
    first, second = plan.moves
    assert (
        next(one.cpu for one in destinations(plan, first.vm) if one.key == first.destination) == first.destination_cpu
    )
    offered = {one.key: one.cpu for one in destinations(plan, second.vm)}
    assert offered[second.destination] == second.destination_cpu
    assert offered[first.destination].before == first.destination_cpu.after


def test_a_plan_of_which_every_move_was_left_out_says_so() -> None:
    hosts = [host("h1", 0.70, 40), host("h2", 0.20, 40)]
    plan = balance(hosts, [vm("web1", "h1", 4.0, 4)], LIMITS, 0)
    assert without(plan, plan.moves[0].vm).summary == "all moves that helped were left out"


@pytest.mark.parametrize(
    ("full", "why"),
    [
        (host("h2", 0.85, 30), "h2 is at 85 % CPU, over the limit of 75 % for taking VMs"),
        (host("h2", 0.20, 90), "h2 is at 90 % memory, over the limit of 80 % for taking VMs"),
    ],
)
def test_a_host_can_be_emptied_over_the_limits_of_others_where_that_is_allowed(full: HostLoad, why: str) -> None:
    asked = "qemu:///h1", [host("h1", 0.30, 30), full], [vm("idle", "h1", 0.03, 1)], LIMITS, 0
    plan = evacuate(*asked)
    assert (told(plan), stays(plan)) == ([], [f"idle on h1: {why}"])
    plan = evacuate(*asked, over_limits=True)
    assert (told(plan), stays(plan)) == (["idle h1→h2"], [])
    assert plan.moves[0].broken == why
    assert plan.moves[0].words.endswith(f"; {why}")
    assert "1 past a limit" in plan.summary
    # Memory that there is not cannot be given.
    plan = evacuate(asked[0], asked[1], [vm("huge", "h1", 0.03, 200)], LIMITS, 0, over_limits=True)
    assert told(plan) == []


def test_what_is_off_says_that_only_its_definition_moves() -> None:
    off = vm("spare", "h1", 0.0, 0, off=True)
    plan = evacuate("qemu:///h1", [host("h1", 0.30, 30), host("h2", 0.30, 30)], [off], LIMITS, 0)
    assert [move.words for move in plan.moves] == ["spare h1→h2: it is off: only its definition is migrated"]
