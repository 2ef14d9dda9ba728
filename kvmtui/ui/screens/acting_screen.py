"""What a screen of VMs needs to act on them: whom a key is meant for, what is asked first, what came of it."""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from textual.screen import Screen

from kvmtui.engine.engine import Engine
from kvmtui.model.actions import ACTIONS, BY_ID, Action, Danger
from kvmtui.model.clean import clean
from kvmtui.model.fleet import Fleet
from kvmtui.model.uris import without_secrets
from kvmtui.model.vm import Vm, VmKey
from kvmtui.ui import acting
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.widgets.bars import Note, StatusLine
from kvmtui.ui.widgets.vm_table import VmTable

if TYPE_CHECKING:
    from kvmtui.ui.screens.ask import ConfirmScreen
    from kvmtui.ui.screens.destination import DestinationScreen
    from kvmtui.ui.screens.journal import Entry

_JOURNAL = 500
_MOVED_S = 1.5
"""For how long after the cursor moved by itself a key is taken for meant for the VM it was on."""


class ActingScreen(Screen[None]):
    """Turns keys into actions on the marked VMs, or the one under the cursor."""

    _glyphs: Glyphs

    def __init__(self, engine: Engine, table: VmTable, *, wall_clock: Callable[[], datetime]) -> None:
        super().__init__()
        self._engine = engine
        self._table = table
        self._wall_clock = wall_clock
        self._journal: deque[Entry] = deque(maxlen=_JOURNAL)
        self._question: DestinationScreen | None = None
        """Where VMs shall go, as it was asked last."""
        self._gone: tuple[str, float] | None = None
        """The VM that the cursor has left by itself, and when (engine's clock)."""

    @property
    def shown_fleet(self) -> Fleet:
        """The fleet as it is on the screen."""
        return self._table.fleet

    @property
    def selected(self) -> Vm | None:
        """The VM under the cursor."""
        return self.shown_fleet.vm(self._table.selected)

    @property
    def targets(self) -> list[Vm]:
        """The VMs that an action is meant for: those marked, or else the selected one."""
        marked = [vm for key in self._table.marked if (vm := self.shown_fleet.vm(key)) is not None]
        if marked:
            return sorted(marked, key=lambda vm: (vm.key.host, vm.name))
        return [] if self.selected is None else [self.selected]

    @property
    def offered(self) -> list[Action]:
        """The actions that make sense for the first of the targets now."""
        targets = self.targets
        return acting.applicable(targets[0] if targets else None, self.shown_fleet, read_only=self._engine.read_only)

    def action_act(self, key: str) -> None:
        """Do what a key means to the marked VMs, or the selected one."""
        self._begin(acting.actions_for(key), self.targets)

    def begin(self, action: Action) -> None:
        """Do one action to the marked VMs, or the selected one."""
        self._begin((action,), self.targets)

    def action_menu(self) -> None:
        """Offer what can be done with the marked VMs, or the selected one."""
        from kvmtui.ui.screens.menu import MenuScreen

        targets, offered = self.targets, self.offered
        if len(targets) == 1 and not offered and self.show_move(targets[0].key):
            return
        if not targets or not offered:
            self.note(f"nothing can be done: {self._why_nothing(targets)}", "$text-warning")
            return

        def chosen(action: Action | None) -> None:
            # To those the menu was opened for, wherever the cursor is by now.
            if action is not None:
                self._begin((action,), targets)

        self.app.push_screen(MenuScreen(self._subject(targets), offered), chosen)

    def action_journal(self) -> None:
        """Show what was done."""
        from kvmtui.ui.screens.journal import JournalScreen

        self.app.push_screen(JournalScreen(tuple(self._journal)))

    @property
    def audit_title(self) -> str:
        """What the audit shows."""
        return "What was done, in all sessions"

    def action_audit(self) -> None:
        """Show what was done over all sessions."""
        from kvmtui.ui.screens.audit import AuditScreen

        vm = self.selected
        where = "" if vm is None else self._subject([vm])
        uuid = "" if vm is None else vm.key.uuid
        fleet = self._engine.fleet
        names = {clean(without_secrets(host)): acting.host_name(host, fleet) for host in fleet.hosts}
        self.app.push_screen(AuditScreen(self._engine.audit.read(), uuid, where, self._glyphs, names, self.audit_title))

    def note(self, text: str, tone: str = "", command: str = "") -> None:
        """Say something and keep it in the journal."""
        from kvmtui.ui.screens.journal import Entry

        self._journal.append(Entry(self._wall_clock().strftime("%H:%M:%S"), text, tone, command))
        self.show_note(Note(text, tone, command, kept=True))

    def show_note(self, note: Note) -> None:
        """Say something in the line at the bottom."""
        self.query_one(StatusLine).note = note

    def tell_question(self, fleet: Fleet) -> None:
        """Let the question where to move VMs know which hosts there are now."""
        if self._question is not None:
            self._question.take_hosts([*fleet.hosts.values()])

    def cursor_lost(self, name: str) -> None:
        """Take note that the cursor has gone to another VM by itself."""
        self._gone = (name, self._engine.clock())

    def open_console(self, key: VmKey, name: str) -> None:
        """Show a VM's console."""
        raise NotImplementedError

    def show_move(self, key: VmKey) -> bool:
        """Show how the move of a VM fares; return whether it is on its way."""
        raise NotImplementedError

    def _begin(self, actions: Sequence[Action], vms: Sequence[Vm]) -> None:
        under_cursor = self.selected
        if actions[0] is BY_ID["console"]:
            vms = [vm for vm in (under_cursor,) if vm]
        if not vms:
            self.note("no VM is selected", "$text-warning")
            return
        if self._gone is not None and not self._table.marked:
            name, at_s = self._gone
            self._gone = None
            if self._engine.clock() - at_s < _MOVED_S:
                text = f"the cursor has just left {name} for another VM: press the key again"
                self.note(text, "$text-warning")
                return
        if actions[0] is BY_ID["migrate"] and len(vms) == 1 and self.show_move(vms[0].key):
            return
        plan = acting.plan(actions, vms, self.shown_fleet, read_only=self._engine.read_only)
        if plan.action is None:
            return
        for vm, reason in plan.refusals:
            words = acting.where(vm.name, vm.key.host, self.shown_fleet)
            self.note(f"{plan.action.label} {words}: not possible: {reason}", "$text-warning")
        if not plan.requests:
            return
        out_of_sight = under_cursor is None or plan.requests[0].key != under_cursor.key
        if plan.action is BY_ID["migrate"]:
            from kvmtui.ui.screens.migrating import choose_destination

            keys = {request.key for request in plan.requests}
            chosen = [vm for vm in vms if vm.key in keys]
            self._question = choose_destination(self, self._engine, chosen, partial(self.note, tone="$text-warning"))
        elif plan.action is BY_ID["console"]:
            self.open_console(plan.requests[0].key, plan.requests[0].vm_name)
        elif plan.asks or out_of_sight:
            self.app.push_screen(self._confirm(plan.action, plan), partial(self._confirmed, plan))
        else:
            self._submit(plan)

    def _confirm(self, action: Action, plan: acting.Plan) -> "ConfirmScreen":
        from kvmtui.ui.screens.ask import ConfirmScreen

        names = [acting.where(request.vm_name, request.key.host, self.shown_fleet) for request in plan.requests]
        subject = names[0] if len(names) == 1 else f"{len(names)} VMs"
        return ConfirmScreen(
            f"{action.label.capitalize()} {subject}?",
            names if len(names) > 1 else (),
            action.consequence or action.description,
            destructive=action.danger is Danger.DESTRUCTIVE,
        )

    def _confirmed(self, plan: acting.Plan, agreed: bool | None) -> None:
        if agreed:
            self._submit(plan)
        else:
            self.query_one(StatusLine).note = Note("nothing was done")

    def _submit(self, plan: acting.Plan) -> None:
        # What stands there is of an action before, and would be read as the outcome of this.
        self.query_one(StatusLine).note = Note("")
        for request in plan.requests:
            self._engine.submit(request)
        self._table.clear_marks()

    def _subject(self, vms: Sequence[Vm]) -> str:
        return acting.where(vms[0].name, vms[0].key.host, self.shown_fleet) if len(vms) == 1 else f"{len(vms)} VMs"

    def _why_nothing(self, vms: Sequence[Vm]) -> str:
        if not vms:
            return "no VM is selected"
        return acting.refusal(ACTIONS[0], vms[0], self.shown_fleet, read_only=self._engine.read_only) or ""
