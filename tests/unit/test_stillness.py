"""Which VM is asked out of its turn because its CPU time stands still."""

from math import nan

from kvmtui.engine.stillness import Stillness
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.hypervisor.samples import LightColumns
from kvmtui.model.vm import VmState

COLUMNS = DemoBackend(3).open("demo://h1", read_only=True).light(1.0).columns


class Watched:
    """VMs whose CPU times are told every few seconds."""

    def __init__(self) -> None:
        self.stillness = Stillness()
        self.now_s = 0.0

    def look(self, seconds: float = 5.0, state: VmState = VmState.RUNNING, **cpu_ns: float) -> str | None:
        self.now_s += seconds
        count = len(cpu_ns)
        columns: LightColumns = COLUMNS._replace(
            uuid=tuple(cpu_ns), cpu_time_ns=tuple(cpu_ns.values()), state=(state,) * count
        )
        return self.stillness.next(columns, self.now_s)


def test_one_that_ran_and_stands_still_is_named_once_until_it_runs_again() -> None:
    watched = Watched()
    assert [watched.look(a=cpu, b=cpu_b) for cpu, cpu_b in ((0, 0), (9, 1), (9, 2), (9, 3), (9, 4))] == [
        *(None, None, "a", None, None)
    ]
    assert watched.look(a=10, b=5) is None
    assert watched.look(a=10, b=6) == "a"


def test_several_are_named_one_after_the_other_the_busiest_first() -> None:
    watched = Watched()
    assert [watched.look(a=cpu, b=7 * cpu, c=2 * cpu) for cpu in (0, 1, 1, 1, 1, 1)] == [
        None,
        None,
        "b",
        "c",
        "a",
        None,
    ]


def test_one_that_runs_again_before_its_turn_is_not_named() -> None:
    watched = Watched()
    assert [watched.look(a=cpu, b=cpu_b) for cpu, cpu_b in ((0, 0), (9, 1), (9, 1), (9, 2))] == [None, None, "a", None]


def test_who_is_not_said_to_run_or_whose_time_is_not_known_or_begins_anew_is_not_named() -> None:
    watched = Watched()
    assert [watched.look(a=cpu, state=VmState.PAUSED) for cpu in (0, 9, 9)] == [None] * 3
    watched = Watched()
    assert [watched.look(a=cpu) for cpu in (0, 9, nan, nan, 9, 3, 3)] == [None] * 7


def test_a_moment_says_nothing() -> None:
    watched = Watched()
    assert [watched.look(a=cpu) for cpu in (0, 9)] == [None, None]
    assert [watched.look(1.0, a=9) for _ in range(5)] == [None, None, None, None, "a"]
