"""The dashboard on the demo hosts, with the time and the looks at the hosts in the hands of a test."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot

from kvmtui.engine.consoles import Console
from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.hypervisor.demo.clock import ManualClock
from kvmtui.model.actions import ActionRequest
from kvmtui.model.migration import Migration, MigrationRequest, RepairKind, Steer
from kvmtui.model.preflight import GuestNeeds
from kvmtui.model.vm import Vm, VmKey
from kvmtui.ui.app import Dashboard
from kvmtui.ui.glyphs import UNICODE, Glyphs
from kvmtui.ui.messages import CursorSettled
from kvmtui.ui.screens.main import MainScreen
from kvmtui.ui.widgets.bars import KeyBar, StatusLine
from kvmtui.ui.widgets.vm_table import VmTable
from tests.deep_answers import let_deep_answers_in

H1, H2 = "demo://h1", "demo://h2"
PATIENCE_S = 60.0
_NOON = datetime(2026, 3, 14, 12, 4, 31)


class StageEngine(Engine):
    """An engine that keeps what it was asked to do, and without threads looks at its hosts only when told to."""

    threads = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.interest_is_fixed = False
        self.started = False
        self.submitted: list[str] = []
        self.requests: list[MigrationRequest] = []
        self.devices: list[str | None] = []
        """Of the consoles that were opened."""
        self.played: tuple[Migration, ...] | None = None
        """Migrations that a test plays; None: the engine's own."""
        self.steered: list[tuple[str, Steer | RepairKind, int | None]] = []
        self.hosts_look = True
        """Whether hosts answer what the move dialog asks; otherwise never."""

    def start(self) -> None:
        """Start the threads, where there shall be any."""
        self.started = True
        if self.threads:
            super().start()

    def show_interest(self, selected: VmKey | None, visible: Iterable[VmKey]) -> None:
        """Let the screen say what it shows, unless that is fixed."""
        if not self.interest_is_fixed:
            super().show_interest(selected, visible)

    def submit(self, request: ActionRequest) -> None:
        """Take note, and do it."""
        self.submitted.append(f"{request.action.id} {request.vm_name}")
        super().submit(request)

    def open_console(self, key: VmKey, wake: Callable[[], None], device: str | None = None) -> Console:
        """Take note, and do it."""
        self.devices.append(device)
        return super().open_console(key, wake, device)

    def migrate(self, request: MigrationRequest) -> None:
        """Take note, and do it."""
        self.submitted.append(f"migrate {request.vm_name}")
        self.requests.append(request)
        if self.played is None:
            super().migrate(request)

    @property
    def migrations(self) -> tuple[Migration, ...]:
        """Those that are played, or else its own."""
        return super().migrations if self.played is None else self.played

    def play(self, *migrations: Migration) -> None:
        """Let these be the migrations, and tell of each."""
        self.played = migrations
        for migration in migrations:
            self.listeners.migration_changed(migration)

    def steer(self, key: VmKey, steer: Steer, value: int | None = None) -> None:
        """Take note, and do it unless they are played."""
        self.steered.append((key.uuid, steer, value))
        if self.played is None:
            super().steer(key, steer, value)

    def repair(self, key: VmKey, kind: RepairKind) -> None:
        """Take note, and do it unless they are played."""
        self.steered.append((key.uuid, kind, None))
        if self.played is None:
            super().repair(key, kind)

    def read_needs(self, key: VmKey) -> "Future[GuestNeeds]":
        """Ask, unless nobody is to answer."""
        return super().read_needs(key) if self.hosts_look else Future()


class Stage:
    """A dashboard, what it stands on, and what can be seen of it."""

    def __init__(
        self,
        *,
        vms: int = 12,
        read_only: bool = False,
        threads: bool = False,
        glyphs: Glyphs = UNICODE,
        record: Path | None = None,
    ) -> None:
        """With `threads` the hosts are looked at as in real life; without, by `look` alone.

        What is seen is recorded to `record`, from the first look on.
        """
        self.clock = ManualClock()
        self.backend = DemoBackend(vms, clock=self.clock)
        self.engine = StageEngine(
            self.backend, self.backend.uris, interval_s=0.2 if threads else 1.0, read_only=read_only, clock=self.clock
        )
        self.engine.threads = threads
        if record is not None:
            self.engine.record(record)
        self.app = Dashboard(self.engine, glyphs=glyphs, wall_clock=lambda: _NOON)
        self.pilot: Pilot[int] | None = None

    # Time

    def watch_for(self, seconds: int) -> None:
        """Let the hosts be watched once a second, before or while the app runs; afterwards the graphs are full."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.engine.tick()
            let_deep_answers_in(self.engine)

    async def look(self, seconds: float = 1.0) -> None:
        """Let time pass, look at all hosts once, and return when the screen has it."""
        self.clock.advance(seconds)
        self.engine.tick()
        await self.until(lambda: self.main.fleet is self.engine.fleet)

    async def look_until(self, condition: Callable[[], object], seconds: float = 0.5) -> None:
        """Let time pass and look, again and again, until the condition holds."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline_s:
                raise AssertionError(f"not in {PATIENCE_S:.0f} s; status {self.status!r}; screen:\n{self.text}")
            await self.look(seconds)

    async def until(self, condition: Callable[[], object]) -> None:
        """Return when the condition holds; fail with the screen when it does not in time."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > deadline_s:
                raise AssertionError(f"not in {PATIENCE_S:.0f} s; status {self.status!r}; screen:\n{self.text}")
            await asyncio.sleep(0.005)

    async def see(self, *words: str) -> str:
        """Wait for a line of the screen that holds all the words, and return it."""
        await self.until(lambda: self.line(*words))
        return self.line(*words)

    async def says(self, *words: str) -> None:
        """Wait until the status line says all the words."""
        await self.until(lambda: all(word in self.status for word in words))

    # Keys

    def type_at_once(self, *keys: str) -> None:
        """Type without waiting for anything, as a terminal hands on what was typed while the program was busy."""
        for key in keys:
            character = " " if key == "space" else key if len(key) == 1 else None
            name = _character_to_key(key) if len(key) == 1 else key
            self.app.post_message(events.Key(name, character))

    async def press(self, *keys: str) -> None:
        """Type, and return when the last key has had its effect."""
        assert self.pilot is not None
        self.type_at_once(*keys)
        await self.pilot.pause()
        await self.until(lambda: not self.app._waiting and self.app._sent_at_s is None)
        await self.pilot.pause()

    async def put_cursor_on(self, name: str) -> None:
        """Select a VM."""
        key = self.key(name)
        self.table.select(key)
        await self.until(lambda: self.table.selected == key)
        await self.let_cursor_rest()

    async def let_cursor_rest(self) -> None:
        """Let the time pass after which what depends on the cursor follows it."""
        self.main.post_message(CursorSettled())
        await self.until(lambda: self.main._settle_due is None)

    # What there is

    @property
    def main(self) -> MainScreen:
        """The main screen."""
        return self.app.main_screen

    @property
    def table(self) -> VmTable:
        """The table of VMs."""
        return self.main.query_one(VmTable)

    def key(self, name: str) -> VmKey:
        """Return where a VM is, by the demo's own books."""
        return self.backend.find(name)

    def vm(self, name: str) -> Vm:
        """Return a VM as the screen knows it."""
        return next(vm for vm in self.main.fleet.vms() if vm.name == name)

    # What can be seen

    @property
    def text(self) -> str:
        """The topmost screen."""
        return "\n".join(strip.text.rstrip() for strip in self.app.screen._compositor.render_strips())

    def line(self, *words: str) -> str:
        """Return the first line that holds all the words, or nothing."""
        return next((line for line in self.text.splitlines() if all(word in line for word in words)), "")

    @property
    def names(self) -> list[str]:
        """The names in the table, from top to bottom."""
        return [vm.name for key in self.table.visible_keys if (vm := self.main.fleet.vm(key)) is not None]

    @property
    def selected(self) -> str:
        """The name of the VM under the cursor."""
        vm = self.main.selected
        return "" if vm is None else vm.name

    @property
    def status(self) -> str:
        """What the status line says."""
        return self.main.query_one(StatusLine).note.text

    @property
    def offered(self) -> str:
        """The labels in the key bar."""
        return " ".join(label for _, label in self.main.query_one(KeyBar).keys)

    def count(self, screen: type[Any]) -> int:
        """Return how many screens of that kind are open."""
        return sum(isinstance(each, screen) for each in self.app.screen_stack)

    def end(self) -> None:
        """Let every thread end."""
        for uri in self.backend.uris:
            self.backend.release_host(uri)
        self.engine.stop()


@asynccontextmanager
async def dashboard(*, size: tuple[int, int] = (120, 40), **options: Any) -> AsyncIterator[Stage]:
    """Run a dashboard; unless it has threads, all hosts have been looked at twice."""
    stage = Stage(**options)
    try:
        async with stage.app.run_test(size=size) as pilot:
            stage.pilot = pilot
            if stage.engine.threads:
                await stage.until(lambda: {vm.key.host for vm in stage.main.fleet.vms()} == set(stage.backend.uris))
                # The cursor has moved while the table filled; by now that has been seen.
                stage.clock.advance(2)
            else:
                await stage.look()
                await stage.look()
            await pilot.pause()
            yield stage
    finally:
        stage.end()


@contextmanager
def measured_time_stands_still() -> Iterator[None]:
    """Take no time for what a poller measures, and no chance for what it draws lots for: pictures must be the same."""
    still = SimpleNamespace(monotonic=lambda: 0.0, sleep=lambda _: None)
    with (
        patch("kvmtui.engine.poller.time", still),
        patch("kvmtui.engine.deep_looks.time", still),
        patch("kvmtui.engine.deep_schedule.time", still),
        patch("kvmtui.engine.poller.random", SimpleNamespace(Random=lambda: Random(1))),  # noqa: S311
    ):
        yield
