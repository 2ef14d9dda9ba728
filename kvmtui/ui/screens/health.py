"""What the main screen has to do with health: counts what is wrong, marks the VMs, announces what is new and bad."""

from kvmtui.engine.engine import Engine
from kvmtui.model.findings import Finding, Severity
from kvmtui.ui.paint import Tone
from kvmtui.ui.screens.acting_screen import ActingScreen
from kvmtui.ui.screens.findings import FindingsScreen
from kvmtui.ui.widgets.bars import TitleBar
from kvmtui.ui.widgets.vm_table import VmTable

_FOUND_S = 15.0
"""For how long what is found is taken for what was there already."""


class HealthOnScreen:
    """Shows how the hosts stand on a main screen; made when there is first something to show."""

    def __init__(self, engine: Engine, main: ActingScreen, table: VmTable) -> None:
        self._engine = engine
        self._main = main
        self._table = table
        self._list: FindingsScreen | None = None
        self._announced: set[tuple[str, ...]] = set()
        """What was said to be critical: once, although it may come and go."""
        self._began_s: float | None = None

    def open_list(self) -> None:
        """List what is wrong."""
        self._engine.health.look()
        self._list = FindingsScreen(self._engine)
        self._main.app.push_screen(self._list, self._closed)

    def _closed(self, chosen: Finding | None) -> None:
        self._list = None
        if chosen is None:
            return
        shown = self._table.shown_keys
        key = chosen.vm or next((key for key in shown if key.host == chosen.host), None)
        if key is None:
            self._main.note(f"{chosen.host_name} shows no VM to go to", "$text-warning")
        elif key not in shown:
            self._main.note(f"{chosen.vm_name} is hidden by the filter: Esc clears it", "$text-warning")
        else:
            self._table.select(key)

    def follow(self) -> None:
        """Show how things stand now."""
        standing = self._engine.standing
        if standing is None:
            return
        loud = standing.loud
        critical = [each for each in loud if each.severity is Severity.CRITICAL]
        tone = "$error" if critical else "$text-warning"
        self._main.query_one(TitleBar).wrong = (f"{len(loud)} wrong: !", tone) if loud else ("", "")
        self._table.wrong = {
            key: Tone.ERROR if severity is Severity.CRITICAL else Tone.WARNING
            for key, severity in standing.marks.items()
        }
        if self._list is not None:
            self._list.follow()
        new = [each for each in critical if each.key not in self._announced]
        self._announced.update(each.key for each in new)
        now_s = self._engine.clock()
        self._began_s = now_s if self._began_s is None else self._began_s
        if now_s - self._began_s < _FOUND_S:
            # It was so before kvmtui came, and the title counts it.
            return
        if len(new) == 1:
            self._main.note(f"{new[0].where}: {new[0].evidence}; ! says what to do", "$text-error")
        elif new:
            first = f"{new[0].where}: {new[0].evidence}"
            self._main.note(f"{len(new)} critical findings, ! lists them: {first}", "$text-error")
