"""What balancing brings and costs: the planner against doing nothing, random and greedy, over simulated days."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean

from kvmtui.model.balance import balance, evacuate
from tests.bench.balancing_days import KINDS, LIMITS, Outcome, large_fleet, make, simulate
from tests.bench.balancing_movers import MOVERS
from tests.bench.figures import Figure, median


def measure_balancing(rounds: int) -> Mapping[str, float]:
    """Simulate days of balancing."""
    outcomes = {
        (name, kind): [simulate(make(kind, seed), mover(seed)) for seed in range(rounds)]
        for name, mover in MOVERS.items()
        for kind in KINDS
    }
    values: dict[str, float] = {}
    for name in MOVERS:
        days = [day for kind in KINDS for day in outcomes[name, kind]]
        values[f"balance/{name}"] = _deviation(days)
        values[f"balance/{name}-moves"] = fmean(day.moves for day in days)
        values[f"balance/{name}-over"] = fmean(day.hours_over for day in days)
        values[f"balance/{name}-back"] = sum(day.back for day in days)
        values[f"balance/{name}-again"] = sum(day.again for day in days)
    for kind in KINDS:
        ours, theirs = outcomes["planner", kind], outcomes["greedy", kind]
        values[f"balance/spread-{kind}"] = _deviation(ours) / _deviation(theirs)
        values[f"balance/cpu-{kind}"] = fmean(day.cpu_deviation for day in ours) / fmean(
            day.cpu_deviation for day in theirs
        )
        for name in MOVERS:
            values[f"balance/{name}-moves-{kind}"] = fmean(day.moves for day in outcomes[name, kind])
    for what in ("migrations", "over"):
        values[f"balance/{what}"] = values[f"balance/planner-{what}"] / values[f"balance/greedy-{what}"]
    values["balance/spread-both"] = values["balance/planner"] / values["balance/greedy-both"]
    values["balance/moves-both"] = values["balance/planner-moves"] / values["balance/greedy-both-moves"]
    return values


def _deviation(days: Sequence[Outcome]) -> float:
    """Return the standard deviations of CPU and memory over the hosts, added up, in points."""
    return 100 * fmean(day.cpu_deviation + day.memory_deviation for day in days)


def measure_planning(rounds: int) -> Mapping[str, float]:
    """Plan for 100 hosts with 5,000 VMs, very unevenly placed."""
    hosts, vms = large_fleet(seed=1, hosts=100, vms=5000)
    balancing: list[float] = []
    emptying: list[float] = []
    for _ in range(rounds):
        for took, plan in (
            (balancing, partial(balance, hosts, vms, LIMITS, 0.0)),
            (emptying, partial(evacuate, hosts[0].key, hosts, vms, LIMITS, 0.0)),
        ):
            started_s = time.process_time()
            plan()
            took.append(time.process_time() - started_s)
    return {"balance/plan": median(balancing), "balance/evacuate": median(emptying)}


def _day(name: str, unit: str, budget: float | None, how: str) -> Figure:
    return Figure(f"balance/{name}", unit, budget, how, measure_balancing)


FIGURES = (
    Figure("balance/plan", "s", 1.0, "CPU time to plan for 100 hosts with 5,000 VMs", measure_planning),
    Figure("balance/evacuate", "s", 1.0, "CPU time to place the VMs of one of them", measure_planning),
    _day("spread-steady", "x", 0.5, "unevenness (deviation of CPU + memory) against greedy-by-CPU, steady loads"),
    _day("spread-bursty", "x", 0.8, "… bursty loads"),
    _day("spread-diurnal", "x", 0.55, "… diurnal loads"),
    _day("spread-both", "x", 1.05, "… all loads, against greedy-by-CPU-and-memory"),
    _day("cpu-steady", "x", None, "deviation of CPU alone against greedy-by-CPU, which looks at nothing else, steady"),
    _day("cpu-bursty", "x", None, "… bursty: greedy runs after every burst, the planner does not"),
    _day("cpu-diurnal", "x", None, "… diurnal"),
    _day("migrations", "x", 0.3, "moves against greedy-by-CPU's, all loads"),
    _day("moves-both", "x", 0.25, "… against greedy-by-CPU-and-memory's"),
    _day("over", "x", 1.0, "host hours over a limit against greedy-by-CPU's"),
    _day("planner-again", "", 0, "VMs moved twice within an hour"),
    _day("planner-back", "", 5, "VMs back on a host within two hours"),
    *(
        figure
        for name in MOVERS
        for figure in (
            _day(name, "pt", None, f"{name}: deviation of CPU + memory"),
            _day(f"{name}-over", "h", None, f"{name}: host hours over a limit in a day"),
            *(_day(f"{name}-moves-{kind}", "", None, f"{name}: moves in a day, {kind}") for kind in KINDS),
        )
    ),
    _day("greedy-again", "", None, "greedy: VMs moved twice within an hour"),
    _day("greedy-back", "", None, "greedy: VMs back on a host within two hours"),
)
