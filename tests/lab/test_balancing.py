"""Balancing and emptying real hosts, by keys and by the command.

Both hosts of the lab are one machine, so that libvirt tells of both the same CPU and memory: of all guests of both.
Here each is given the figures that it would have if it were a machine of its own: what its own guests take. On real
hosts the kernel's own figures are right as they are.
"""

import asyncio
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kvmtui.config import BalanceSettings
from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.libvirt_backend import LibvirtBackend
from kvmtui.hypervisor.libvirt_connection import LibvirtConnection
from kvmtui.hypervisor.samples import NodeSample
from kvmtui.report.balance import report_balance
from kvmtui.ui.app import Dashboard
from tests.lab.conftest import Guest, GuestFactory
from tests.lab.guests import POOL_FOLDER
from tests.lab.lab import Host, Lab, wait_until

ROOT = Path(__file__).parents[2]
CPUS = 2
MEMORY_BYTES = 4 * 2**30
PATIENCE_S = 90.0


class OwnMachines(LibvirtBackend):
    """Opens connections to hosts of which each tells of its own guests alone."""

    def __init__(self) -> None:
        self._seen_ns: dict[tuple[str, str], int] = {}
        self._busy_ns: dict[str, int] = {}

    def open(self, uri: str, *, read_only: bool, on_event: Callable[[], None] | None = None) -> LibvirtConnection:
        """Open a connection."""
        connection = super().open(uri, read_only=read_only, on_event=on_event)
        machine = connection.node
        connection.node = lambda: self._own(uri, connection._connection, machine())  # type: ignore[method-assign]
        return connection

    def _own(self, uri: str, connection: Any, machine: NodeSample) -> NodeSample:
        memory = 0
        for domain in connection.listAllDomains():
            _, _, memory_kib, _, cpu_ns = domain.info()
            run = (uri, f"{domain.UUIDString()} {domain.ID()}")
            if domain.ID() != -1:
                memory += memory_kib * 1024
                # Counters of a host go on when a guest leaves it.
                self._busy_ns[uri] = self._busy_ns.get(uri, 0) + max(0, cpu_ns - self._seen_ns.get(run, cpu_ns))
                self._seen_ns[run] = cpu_ns
        total_ns = int(machine.taken_at_s * 1e9) * CPUS
        return replace(
            machine,
            cpu_total_ns=total_ns,
            cpu_idle_ns=total_ns - self._busy_ns.get(uri, 0),
            memory_total_bytes=MEMORY_BYTES,
            memory_used_bytes=memory,
        )


@pytest.fixture
def engine(lab: Lab) -> Iterator[Engine]:
    made = Engine(OwnMachines(), [host.uri for host in lab.hosts])
    yield made
    made.stop()


def here(host: Host, guests: list[Guest]) -> int:
    """Return how many of the guests run on a host."""
    running = host.virsh("list", "--name").split()
    return sum(guest.name in running for guest in guests)


def text_of(app: Dashboard) -> str:
    return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())


async def see(app: Dashboard, *words: str) -> None:
    """Wait for all the words on the screen."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not all(word in text_of(app) for word in words):
        assert time.monotonic() < deadline_s, f"{words} not on the screen:\n{text_of(app)}"
        await asyncio.sleep(0.05)


def watch(engine: Engine, seconds: float) -> None:
    """Return when all hosts have been watched for so long, with nothing in the figures from before."""
    engine.start()
    deadline_s = time.monotonic() + PATIENCE_S
    while not all(host.figures.cpu_mean_s >= seconds for host in engine.fleet.hosts.values()):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


async def test_keys_balance_a_lab_with_all_work_on_one_host(lab: Lab, guest: GuestFactory, engine: Engine) -> None:
    guests = [guest(lab.h1, f"busy{number}", role="busy") for number in range(4)]
    watch(engine, 10)
    app = Dashboard(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await see(app, "busy0", "busy3")
        await pilot.press("B")
        await see(app, "proposed", "h1→h2")
        # Nothing happens by itself.
        assert here(lab.h2, guests) == 0
        await pilot.press("R")
        await see(app, "Move ", "between 2 hosts?")
        await pilot.press("y")
        await see(app, "moved")
        deadline_s = time.monotonic() + PATIENCE_S
        while engine.plans.running:
            assert time.monotonic() < deadline_s, text_of(app)
            await asyncio.sleep(0.1)
        # An even lab needs nothing more; both hosts carry a part of the work.
        await pilot.press("r")
        await see(app, "hosts are even")
    assert 1 <= here(lab.h2, guests) <= 3
    assert here(lab.h1, guests) + here(lab.h2, guests) == 4


def test_a_host_is_emptied(lab: Lab, guest: GuestFactory, engine: Engine) -> None:
    guests = [guest(lab.h1, "idle1"), guest(lab.h1, "disk1", disk=True)]
    tagged = guest(lab.h1, "tagged1")
    lab.h1.virsh("metadata", tagged.uuid, "--uri", "https://kvmtui.invalid/placement/1", "--key", "kvmtui",
                 "--set", "<placement pinned='yes'/>", "--live", "--config")  # fmt: skip
    out, err = io.StringIO(), io.StringIO()
    wanted = BalanceSettings(evacuate="h1", run=True, watch_s=3)
    assert report_balance(engine, wanted, out, err) == 1, out.getvalue() + err.getvalue()
    said = out.getvalue()
    assert "tagged1 on h1: it is pinned to its host" in said
    assert (here(lab.h1, guests), here(lab.h2, guests)) == (0, 2), said
    assert here(lab.h1, [tagged]) == 1
    assert said.count(": moved") == 2


def test_a_host_is_emptied_back_over_what_a_move_left_and_of_the_off_only_what_has_its_disk_there(
    lab: Lab, guest: GuestFactory, engine: Engine
) -> None:
    back, spare = guest(lab.h1, "back1", disk=True), guest(lab.h2, "spare1", disk=True, start=False)
    lab.h1.virsh("migrate", "--live", "--p2p", "--persistent", "--undefinesource", "--copy-storage-all",
                 back.uuid, lab.h2.uri)  # fmt: skip
    lab.h1.inside("touch", "--date=10 minutes ago", str(POOL_FOLDER / back.spec.volume))
    out, err = io.StringIO(), io.StringIO()
    wanted = BalanceSettings(evacuate="h2", run=True, watch_s=3, over_limits=True)
    # Another run moved it: what is at h1 may be dear to somebody.
    assert report_balance(engine, wanted, out, err) == 1, out.getvalue() + err.getvalue()
    assert "back1 on h2: h1 has another volume at" in out.getvalue()
    assert "spare1 on h2: it is off, and only its definition can be migrated: h1 does not list" in out.getvalue()
    assert here(lab.h2, [back]) == 1
    engine.plans.discard()
    wait_until(lambda: engine.plans.run is None, "the plan to be forgotten")
    out = io.StringIO()
    report_balance(engine, replace(wanted, copy_disks=True), out, err)
    assert "back1 h2→h1: moved" in out.getvalue(), out.getvalue() + err.getvalue()
    assert here(lab.h1, [back]) == 1
    assert spare.name in lab.h2.virsh("list", "--all", "--name").split()


def test_the_command_says_the_same_as_json(lab: Lab, guest: GuestFactory) -> None:
    guests = [guest(lab.h1, "idle1"), guest(lab.h1, "idle2")]
    command = [sys.executable, "-m", "kvmtui", "balance", "--json", "--for", "3", "--evacuate", "h1"]
    for host in lab.hosts:
        command += ["-c", host.uri]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    told = json.loads(ended.stdout)
    named = {move["name"] for move in told["moves"]} | {each["name"] for each in told["stays"]}
    assert {each.name for each in guests} <= named, ended.stderr
    assert {host["name"] for host in told["hosts"]} == {"h1", "h2"}
    # It only prints.
    assert here(lab.h1, guests) == 2
    assert ended.returncode == (1 if told["stays"] else 0)
