"""What a refresh costs: CPU time of the process and bytes to the terminal."""

import contextlib
import time
from collections.abc import Mapping

from kvmtui.hypervisor.demo import DemoBackend
from tests.bench.clocks import Calibration, cpu_s
from tests.bench.figures import Figure, median
from tests.bench.keys import dashboard, settled
from tests.bench.program import Program, module

_WINDOW_S = 6.0
_WARM_S = 22.0
"""Until the small graphs of hosts and rows are full, and a VM that does nothing is drawn the same again."""
_GRAPHS_HZ = 4.0


def measure_refresh(rounds: int) -> Mapping[str, float]:
    """Watch dashboards side by side: together they use a tenth of a core, and CPU time is not wall time."""
    ticks = int(32 + rounds * (_WINDOW_S + 1))
    commands = {
        "50": dashboard(50, ticks=ticks),
        "300": dashboard(300, ticks=ticks),
        "1000": dashboard(1000, ticks=ticks),
        "5000": dashboard(5000, ticks=ticks),
        "tenth": dashboard(1000, changing=0.1, ticks=ticks),
        "idle": dashboard(1000, changing=0.0, ticks=ticks),
    }
    cpu: dict[str, list[float]] = {name: [] for name in commands}
    sizes: dict[str, list[float]] = {name: [] for name in commands}
    speed = Calibration()
    with contextlib.ExitStack() as stack:
        programs = {name: stack.enter_context(settled(command, 0.5)) for name, command in commands.items()}
        _read_all(programs, _WARM_S)
        for _ in range(rounds):
            speed.sample()
            before = {name: (cpu_s(program.pid), program.received) for name, program in programs.items()}
            took_s = _read_all(programs, _WINDOW_S)
            for name, program in programs.items():
                cpu[name].append((cpu_s(program.pid) - before[name][0]) / took_s)
                sizes[name].append((program.received - before[name][1]) / took_s)
    speed.sample()
    return {
        **{f"cpu/{name}": 100 * median(shares) / speed.correction for name, shares in cpu.items()},
        **{f"bytes/{name}": median(counts) for name, counts in sizes.items()},
        "cpu/slowness": speed.slowness,
    }


def _read_all(programs: Mapping[str, Program], seconds: float) -> float:
    """Take what all programs write for so long; return how long it was."""
    started_s = time.perf_counter()
    while (took_s := time.perf_counter() - started_s) < seconds:
        for program in programs.values():
            while program.take(0) is not None:
                pass
        time.sleep(0.01)
    return took_s


def measure_demo(rounds: int) -> Mapping[str, float]:
    """Ask the demo hosts for a light sample of all VMs, as the lanes do every second."""
    speed = Calibration()
    demo = DemoBackend(1000)
    connections = [demo.open(uri, read_only=True) for uri in demo.uris]
    taken: list[float] = []
    for _ in range(3 * rounds):
        speed.sample()
        started_s = time.thread_time()
        for connection in connections:
            connection.light(1.0)
            connection.node()
        taken.append(time.thread_time() - started_s)
    return {"cpu/demo-hosts": 100 * median(taken) / speed.correction}


def measure_graphs(rounds: int) -> Mapping[str, float]:
    """Let eight graphs scroll, and stand, in turn."""
    speed = Calibration()
    moving: list[float] = []
    standing: list[float] = []
    sizes: list[float] = []
    with Program(module("graphs", "--period", str(1 / _GRAPHS_HZ))) as graphs, Program(module("graphs")) as still:
        for program in (graphs, still):
            program.must_show(lambda program=program: "GRAPH" in program.line(0), "a graph")  # type: ignore[misc]
        programs = {"moving": graphs, "standing": still}
        _read_all(programs, 2.0)
        for _ in range(rounds):
            speed.sample()
            before = cpu_s(graphs.pid), cpu_s(still.pid), graphs.received
            refreshes = _read_all(programs, 4.0) * _GRAPHS_HZ
            moving.append((cpu_s(graphs.pid) - before[0]) / refreshes)
            standing.append((cpu_s(still.pid) - before[1]) / refreshes)
            sizes.append((graphs.received - before[2]) / refreshes)
    return {
        "cpu/graphs": 1000 * (median(moving) - median(standing)) / speed.correction,
        "bytes/graphs": median(sizes),
    }


FIGURES = (
    Figure("cpu/50", "%", None, "CPU of the process, 50 VMs all changing, replayed hosts", measure_refresh),
    Figure("cpu/300", "%", None, "the same, 300 VMs", measure_refresh),
    Figure("cpu/1000", "%", 1.2, "the same, 1,000 VMs", measure_refresh),
    Figure("cpu/5000", "%", 2.2, "the same, 5,000 VMs", measure_refresh),
    Figure("cpu/tenth", "%", None, "the same, one in ten of 1,000 VMs changing", measure_refresh),
    Figure("cpu/idle", "%", 0.4, "the same, nothing changing", measure_refresh),
    Figure("cpu/slowness", "x", None, "this machine against a quiet one; if over 1, it divides CPU", measure_refresh),
    Figure("cpu/demo-hosts", "%", None, "what inventing 1,000 VMs costs in --demo, on top of it", measure_demo),
    Figure("bytes/1000", "B", 3000.0, "bytes a refresh, 1,000 VMs all changing", measure_refresh),
    Figure("bytes/tenth", "B", 900.0, "the same, one in ten", measure_refresh),
    Figure("bytes/idle", "B", 0.0, "the same, none", measure_refresh),
    Figure("cpu/graphs", "ms", 4.0, "eight graphs 60x10 scroll by one value, CPU", measure_graphs),
    Figure("bytes/graphs", "B", 3200.0, "the same, bytes", measure_graphs),
)
