"""What a screen of VMs needs to show their consoles: which device, where on the screen, and who has the keys."""

from collections.abc import Callable, Sequence
from datetime import datetime

from textual import on

from kvmtui.engine.engine import Engine
from kvmtui.model.migration import Phase
from kvmtui.model.vm import VmKey
from kvmtui.ui import acting
from kvmtui.ui.config_reader import ConfigReader
from kvmtui.ui.console_layout import Layout, Surroundings
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.messages import ConsoleWoke
from kvmtui.ui.screens.acting_screen import ActingScreen
from kvmtui.ui.widgets.bars import Note, StatusLine
from kvmtui.ui.widgets.console_panel import ConsolePanel
from kvmtui.ui.widgets.vm_table import VmTable


class ConsolesScreen(ActingScreen):
    """Opens consoles and divides the screen for the one in sight."""

    def __init__(self, engine: Engine, table: VmTable, glyphs: Glyphs, *, wall_clock: Callable[[], datetime]) -> None:
        super().__init__(engine, table, wall_clock=wall_clock)
        self._configs = ConfigReader(engine)
        self._consoles = ConsolePanel(
            engine.open_console,
            Surroundings(
                lambda name, host: acting.where(name, host, self.shown_fleet),
                self._stands_still,
                self._console_left,
                self._console_changed,
                # What is done next at the table is meant for the VM whose console is in sight.
                table.select,
                self.note,
            ),
            glyphs,
        )

    def open_console(self, key: VmKey, name: str) -> None:
        """Show a VM's console and give it the keys."""
        # What was done before is not of this console.
        self.query_one(StatusLine).note = Note("")
        config = self._configs.get(self.shown_fleet.vm(key), self._engine.clock())
        devices = [device for device in config.consoles if device] if config is not None else []
        if len(devices) < 2:
            self._open_device(key, name, devices[0] if devices else None, devices)
            return

        def chosen(device: str | None) -> None:
            if device is not None:
                self._open_device(key, name, device, devices)

        from kvmtui.ui.screens.device import DeviceScreen

        self.app.push_screen(DeviceScreen(acting.where(name, key.host, self.shown_fleet), devices), chosen)

    def quit(self) -> None:
        """Quit; where that ends sessions, or leaves a migration to itself, only when the user agrees."""
        from kvmtui.ui.screens.quitting import Unfinished, quit_or_ask

        moves: dict[str, list[str]] = {"waiting": [], "carried": [], "going": []}
        for move in self._engine.migrations:
            if not move.phase.ended:
                carried = "going" if move.peer_to_peer or move.adopted else "carried"
                request = move.request
                name = acting.where(request.vm_name, request.key.host, self.shown_fleet)
                moves["waiting" if move.phase is Phase.QUEUED else carried].append(name)
        run = self._engine.plans.run
        plan = len(run.left) if run is not None and run.stage.running else None
        quit_or_ask(self.app, Unfinished(self._consoles.sessions, **moves, plan=plan))

    def divide_height(self) -> None:
        """Divide the height of the screen anew."""
        raise NotImplementedError

    def show_keys(self) -> None:
        """Show the keys that apply now."""
        raise NotImplementedError

    def focus_table(self) -> None:
        """Give the keys to the table."""
        raise NotImplementedError

    def _open_device(self, key: VmKey, name: str, device: str | None, devices: Sequence[str]) -> None:
        """Show one of a VM's consoles, or give the terminal to virsh where there is no emulator."""
        from kvmtui.ui.emulator import EmulatorUnavailable, load_emulator

        try:
            load_emulator()
        except EmulatorUnavailable as error:
            from kvmtui.ui.virsh_console import run_virsh_console

            where = acting.where(name, key.host, self.shown_fleet)
            vm = self.shown_fleet.vm(key)
            if vm is not None and not vm.state.active:
                self.note(f"no console of {where}: it is {vm.state}, and virsh cannot wait for it", "$text-warning")
                return
            self.note(run_virsh_console(self.app, key.host, key.uuid, device, where, str(error)), "$text-warning")
        else:
            self._consoles.open(key, name, device, devices)

    def _stands_still(self, key: VmKey) -> str:
        vm, host = self.shown_fleet.vm(key), self.shown_fleet.hosts.get(key.host)
        if host is not None and host.stale(self._engine.clock()):
            return f"{host.name} does not answer: what is typed waits"
        return f"the VM is {vm.state}" if vm is not None and vm.state.active and not vm.state.executing else ""

    def _console_changed(self) -> None:
        consoles = self._consoles
        for layout in Layout:
            self.set_class(consoles.in_sight and consoles.layout_now is layout, f"console-{layout}")
        self.divide_height()
        self.show_keys()

    def _console_left(self) -> None:
        self.focus_table()
        self._console_changed()

    @on(ConsoleWoke)
    def _console_woke(self) -> None:
        self._consoles.wake()
