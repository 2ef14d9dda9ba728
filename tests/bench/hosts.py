"""What watching costs the hosts: real libvirtd, 150 real idle QEMUs, and virsh to compare with."""

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping

import libvirt

from tests.bench.clocks import cpu_of_all_s
from tests.bench.figures import Figure, NotMeasured, median
from tests.bench.program import Program, environment, module
from tests.bench.startup import KVMTUI
from tests.lab.image import cache_folder, get_image
from tests.lab.lab import Host, check_machine, start_lab, stop_process
from tests.lab.population import add_tiny
from tests.lab.processes import find_processes
from tests.lab.tools import LabError

_VMS = 150
_SHOWN = 40
_TERMINAL_ROWS = 75
"""So many that the table has at least `_SHOWN` of them."""
_WINDOW_S = 4.0
_ASKED = 25
"""How often another client asks, with and without a refresh; times the rounds."""


@contextlib.contextmanager
def _loaded_host() -> Iterator[Host]:
    """Give a host with idle domains and nothing else; it is gone in the end."""
    libvirt.registerErrorHandler(lambda *_: None, None)
    try:
        check_machine(_VMS)
        lab, process = start_lab(None, get_image(cache_folder(), lambda _: None))
    except LabError as error:
        raise NotMeasured(str(error)) from error
    try:
        add_tiny(lab.h1, _VMS)
        yield lab.h1
    except (LabError, libvirt.libvirtError) as error:
        raise NotMeasured(str(error)) from error
    finally:
        stop_process(process, lab.folder)


def measure_hosts(rounds: int) -> Mapping[str, float]:
    """Start 150 idle domains on a host of the lab; watch what looking at them costs it and others."""
    with _loaded_host() as host:
        return {**_cpu(host, rounds), **_others(host, rounds)}


def _cpu(host: Host, rounds: int) -> dict[str, float]:
    """Let the host rest, be watched, and answer `virsh domstats`, in turn."""
    pids = [host.libvirtd_pid, *find_processes(host.pid, "guest=idle")]
    idle: list[float] = []
    watched: list[float] = []
    asked: list[float] = []

    def used_s(seconds: float) -> float:
        before_s, started_s = cpu_of_all_s(pids), time.perf_counter()
        time.sleep(seconds)
        return (cpu_of_all_s(pids) - before_s) / (time.perf_counter() - started_s)

    with Program([KVMTUI, "-c", host.uri, "--read-only"], rows=_TERMINAL_ROWS) as program:
        program.must_show_table()
        # Until all VMs have been looked at deeply for the first time, and every one costs what it will cost.
        program.read(14.0)
        shown = sum("idle" in line for line in program.screen.splitlines())
        if shown < _SHOWN:
            raise NotMeasured(f"only {shown} VMs are on the screen:\n{program.screen}")
        for _ in range(2 * rounds):
            program.resume()
            program.read(2.0)
            before_s, started_s = cpu_of_all_s(pids), time.perf_counter()
            program.read(_WINDOW_S)
            watched.append((cpu_of_all_s(pids) - before_s) / (time.perf_counter() - started_s))
            program.stop()
            idle.append(used_s(_WINDOW_S / 2))
            before_s, started_s = cpu_of_all_s(pids), time.perf_counter()
            host.virsh("domstats")
            took_s = time.perf_counter() - started_s
            asked.append(cpu_of_all_s(pids) - before_s - took_s * idle[-1])
    # Neighbours in time are compared: the machine's other work slows both down alike.
    refreshes = [busy - rest for busy, rest in zip(watched, idle, strict=True)]
    return {
        "hosts/refresh": median([refresh / once for refresh, once in zip(refreshes, asked, strict=True)]),
        "hosts/refresh/ms": 1000 * median(refreshes),
        "hosts/domstats/ms": 1000 * median(asked),
        "hosts/idle/ms": 1000 * median(idle),
        "hosts/rows": shown,
    }


def _others(host: Host, rounds: int) -> dict[str, float]:
    """Ask for the state of a VM while a refresh has just begun, and while nobody looks, in turn."""
    during: list[float] = []
    alone: list[float] = []
    asker = subprocess.Popen(
        module("asker", host.uri), env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    try:
        assert asker.stdin is not None
        assert asker.stdout is not None
        if not asker.stdout.readline():
            raise NotMeasured("the asker ended")
        for number in range(_ASKED * rounds + 1):
            asker.stdin.write(b"\n")
            with_refresh_s = _domstate_s(host)
            time.sleep(0.5)
            without_s = _domstate_s(host)
            time.sleep(0.2)
            if number:
                during.append(with_refresh_s)
                alone.append(without_s)
    finally:
        asker.kill()
        asker.communicate()
    return {
        "hosts/others": median([first / second for first, second in zip(during, alone, strict=True)]),
        "hosts/others/ms": 1000 * median(during),
        "hosts/alone/ms": 1000 * median(alone),
    }


def _domstate_s(host: Host) -> float:
    started_s = time.perf_counter()
    host.virsh("domstate", "idle001")
    return time.perf_counter() - started_s


FIGURES = (
    Figure(
        "hosts/refresh",
        "x",
        1 / 20,
        f"CPU of libvirtd and {_VMS} QEMUs for a second's refresh, against one `virsh domstats`",
        measure_hosts,
    ),
    Figure("hosts/refresh/ms", "ms", None, "what the ratio is made of, above idle", measure_hosts),
    Figure("hosts/domstats/ms", "ms", None, "what the ratio is made of, above idle", measure_hosts),
    Figure("hosts/idle/ms", "ms", None, "what they use in a second when nobody looks", measure_hosts),
    Figure("hosts/others", "x", 1.2, "`virsh domstate` as a refresh begins, against one without", measure_hosts),
    Figure("hosts/others/ms", "ms", None, "what the ratio is made of", measure_hosts),
    Figure("hosts/alone/ms", "ms", None, "what the ratio is made of", measure_hosts),
)
