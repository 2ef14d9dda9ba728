"""A host that the configuration has read-only: no lane may write to it, and others go on as before."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from kvmtui.engine.console_state import ConsoleState
from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.model.actions import ACTIONS, BY_ID, ActionRequest, ActionResult, Outcome
from kvmtui.model.migration import Migration, MigrationRequest, Phase
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.ui import acting

H1, H2 = "demo://h1", "demo://h2"


class Watched(DemoBackend):
    """Keeps how connections were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[tuple[str, bool]] = []

    def open(self, uri: str, *, read_only: bool, on_event: Callable[[], None] | None = None) -> Any:
        self.opened.append((uri, read_only))
        return super().open(uri, read_only=read_only, on_event=on_event)


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        threading.Event().wait(0.002)


@pytest.mark.parametrize("everywhere", [False, True])
def test_no_lane_writes_to_it(everywhere: bool) -> None:
    demo = Watched()
    engine = Engine(demo, demo.uris, read_only=everywhere, read_only_hosts={H1}, names={H1: "rack 1"})
    results: list[ActionResult] = []
    migrations: list[Migration] = []
    engine.listeners.action_finished = results.append
    engine.listeners.migration_changed = migrations.append
    try:
        engine.tick()
        hosts = engine.fleet.hosts
        assert (hosts[H1].name, hosts[H2].name) == ("rack 1", "h2")
        assert (hosts[H1].read_only, hosts[H2].read_only) == (True, everywhere)
        here, there = (next(iter(hosts[uri].vms.values())) for uri in (H1, H2))
        reason = "kvmtui was started with --read-only" if everywhere else "the configuration has rack 1 read-only"
        for action in ACTIONS:
            assert acting.refusal(action, here, engine.fleet, read_only=engine.read_only) == reason
        # Even if a key got through: the connection itself cannot.
        for vm in (here, there):
            engine.submit(
                ActionRequest(BY_ID["autostart_off" if vm.autostart else "autostart_on"], vm.key, vm.name, vm.id)
            )
        until(lambda: len(results) == 2)
        outcomes = {result.request.key.host: result.outcome for result in results}
        assert outcomes == {H1: Outcome.FAILED, H2: Outcome.FAILED if everywhere else Outcome.DONE}
        console = engine.open_console(here.key, lambda: None)
        until(lambda: (seen := console.take()).state is ConsoleState.ENDED and "read-only" in seen.message)
        # And nothing is moved there.
        engine.migrate(MigrationRequest(there.key, there.name, there.id, H1, MigrationOptions()))
        assert (migrations[-1].phase, migrations[-1].message) == (
            Phase.FAILED,
            "the destination is read-only for kvmtui",
        )
        assert {uri for uri, read_only in demo.opened if not read_only} == (set() if everywhere else {H2})
        records = engine.audit.read().result(10)
        assert [(record.verb, record.result) for record in records][-2:] == [("migrate", ""), ("migrate", "failed")]
        assert records[-1].flags == (f"to={H1}",)
    finally:
        engine.stop()
