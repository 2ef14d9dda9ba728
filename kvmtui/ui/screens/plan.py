"""The plan: which VMs to move, why, and what the hosts look like afterwards; run from here, never by itself."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList, Static
from textual.widgets.option_list import Option

from kvmtui.engine.engine import Engine
from kvmtui.model.balance import destinations
from kvmtui.model.balance_plan import Basis
from kvmtui.model.balance_plan import step as change
from kvmtui.model.format import duration
from kvmtui.model.plan_run import Outcome, PlanRun, Stage, Step
from kvmtui.model.vm import VmKey
from kvmtui.ui.acting import host_name
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.screens.ask import ConfirmScreen, _now_s
from kvmtui.ui.screens.host_choice import HostChoiceScreen
from kvmtui.ui.screens.plan_lines import headline, headline_of, host_lines, stay_lines, step_line
from kvmtui.ui.screens.too_small import make_fit

_HOSTS_SHARE = 0.3
"""Of the height; with a hundred hosts those that change come first."""
_OLD_S = 300.0
"""Nothing is moved by figures that are older: the plan is made anew first."""
_AGES_S = 15.0
"""How often the plan's age is brought up to date."""


class PlanScreen(ModalScreen[None]):
    """Shows the engine's plan as it stands, and hands keys on to it."""

    LEAST = (60, 20)
    BINDINGS = [
        Binding("escape,q,B", "dismiss", "close", show=False),
        Binding("R", "run_all", show=False),
        Binding("d,delete", "remove", show=False),
        Binding("t", "redirect", show=False),
        Binding("x", "stop", show=False),
        Binding("X", "abort", show=False),
        Binding("n", "fold", show=False),
        Binding("r", "again", show=False),
        Binding("b", "take_back", show=False),
        Binding("c", "allow('copy_disks')", show=False),
        Binding("o", "allow('over_limits')", show=False),
        Binding("j", "cursor(1)", show=False),
        Binding("k", "cursor(-1)", show=False),
    ]

    def __init__(self, engine: Engine, glyphs: Glyphs, note: Callable[[str], None]) -> None:
        """`note` says something in the status line of the main screen."""
        super().__init__()
        self._engine = engine
        self._plans = engine.plans
        self._glyphs = glyphs
        self._note = note
        self._unfolded = False
        self._shown: tuple[VmKey, ...] = ()
        """The VMs of the lines, from top to bottom."""
        self._basis: Basis | None = None
        self._since_s = 0.0
        """Since when the plan goes by these figures; this clock goes on while the machine sleeps."""

    def compose(self) -> ComposeResult:
        """Lay the plan out."""
        with Vertical(classes="dialog wide plan"):
            yield Label("", id="plan-title", classes="title", markup=False)
            yield Static("", id="plan-state")
            yield Static("", id="plan-hosts")
            yield OptionList(id="plan-moves", compact=True)
            with VerticalScroll(id="plan-rest", can_focus=False):
                yield Static("", id="plan-stays")
            yield Static("", id="plan-keys", classes="hint")

    def on_mount(self) -> None:
        """Show what there is."""
        self.query_one(OptionList).focus()
        self.follow()
        self.set_interval(_AGES_S, self.follow)
        self.app.call_later(make_fit, self.app)

    def on_resize(self) -> None:
        """Draw the bars anew."""
        self.call_after_refresh(self.follow)

    def follow(self) -> None:
        """Show the plan as it stands now."""
        # The plan may change while the screen goes, and its widgets before it.
        if not (self.is_mounted and self.is_running):
            return
        run = self._plans.run
        title, state = headline(run, self._host_name, self._age_s(run))
        self.query_one("#plan-title", Label).update(title)
        self.query_one("#plan-state", Static).update(state)
        hosts = self.query_one("#plan-hosts", Static)
        changes = run.plan.hosts if run is not None and run.plan is not None else ()
        most = max(2, int(self.size.height * _HOSTS_SHARE) - 1)
        width = max(40, hosts.size.width or self.size.width - 8)
        hosts.update(Content("\n").join(host_lines(changes, self._glyphs, width, most)) if changes else "")
        self._show_moves(run.steps if run is not None else ())
        stays = stay_lines(run, unfolded=self._unfolded) if run is not None else []
        self.query_one("#plan-stays", Static).update(Content("\n").join(stays))
        self.query_one("#plan-keys", Static).update(self._keys(run))

    def _age_s(self, run: PlanRun | None) -> float:
        """Return how old the figures are that the plan goes by."""
        basis = run.plan.basis if run is not None and run.plan is not None else None
        if basis is not self._basis:
            self._basis, self._since_s = basis, _now_s()
        return _now_s() - self._since_s

    def _show_moves(self, steps: tuple[Step, ...]) -> None:
        moves = self.query_one(OptionList)
        lines = [step_line(number, step) for number, step in enumerate(steps, 1)]
        keys = tuple(step.move.vm for step in steps)
        if keys == self._shown:
            for at, line in enumerate(lines):
                moves.replace_option_prompt_at_index(at, line)
            return
        highlighted = self._highlighted
        self._shown = keys
        moves.clear_options()
        moves.add_options([Option(line) for line in lines])
        if keys and not moves.display:
            # When it was hidden, it lost the keys.
            moves.focus()
        moves.display = bool(lines)
        if keys:
            moves.highlighted = keys.index(highlighted) if highlighted in keys else 0

    @property
    def _highlighted(self) -> VmKey | None:
        at = self.query_one(OptionList).highlighted
        return self._shown[at] if at is not None and at < len(self._shown) else None

    def _left(self) -> Step | None:
        """Return the highlighted move where it can still be made."""
        run, key = self._plans.run, self._highlighted
        return next((step for step in (run.left if run is not None else ()) if step.move.vm == key), None)

    def _host_name(self, host: str) -> str:
        return host_name(host, self._engine.fleet)

    def _emptied(self, run: PlanRun) -> tuple[str, ...]:
        """Return the hosts that can be taken back here: the one this empties, or all where hosts are evened out."""
        return tuple(host for host in self._plans.maintenance if run.evacuating in ("", host))

    def _keys(self, run: PlanRun | None) -> Content:
        pairs: list[tuple[str, str]] = []
        if run is not None and run.stage.running:
            pairs += [] if run.stopping else [("x", "stop after this one")]
            pairs += [("X", "abort")]
        elif run is not None and run.left and not self._engine.read_only:
            pairs += [("Enter", "move it"), ("R", "move all"), ("d", "leave out"), ("t", "elsewhere")]
        if run is not None and run.plan is not None and run.plan.unmoved:
            stays = any(stay.vm is not None for stay in run.plan.unmoved)
            pairs.append(("n", "fold" if self._unfolded else "what stays" if stays else "what is left out"))
        if run is not None and run.stage is Stage.READY:
            pairs.append(("r", "plan again"))
            stays = run.plan is not None and any(stay.vm is not None for stay in run.plan.unmoved)
            if stays or run.allowed.copy_disks:
                pairs.append(("c", "overwrite nothing" if run.allowed.copy_disks else "overwrite volumes"))
            if run.evacuating and (stays or run.allowed.over_limits):
                pairs.append(("o", "keep limits" if run.allowed.over_limits else "over limits"))
            if emptied := self._emptied(run):
                pairs.append(("b", f"take {', '.join(map(self._host_name, emptied))} back"))
        pairs.append(("Esc", "closes; it goes on" if run is not None and run.stage.running else "closes"))
        return Content.styled(" · ", "$foreground-muted").join(
            Content.assemble((key, "bold $text-primary"), (f" {words}", "$foreground-muted")) for key, words in pairs
        )

    # Keys

    @on(OptionList.OptionSelected)
    def _selected(self) -> None:
        step = self._left()
        if step is None or not self._may_run():
            return
        self._plans.go(step.move.vm)

    def action_run_all(self) -> None:
        """Ask whether to make all moves."""
        run = self._plans.run
        if run is None or not run.left or not self._may_run():
            return
        names = [headline_of(step.move) for step in run.left]
        hosts = {host for step in run.left for host in (step.move.vm.host, step.move.destination)}
        question = f"Move {len(names)} VM{'' if len(names) == 1 else 's'} between {len(hosts)} hosts?"
        consequence = "One at a time, each checked before; hosts are measured again between. x stops after a move."
        asked = ConfirmScreen(question, names, consequence, destructive=False)
        self.app.push_screen(asked, partial(self._confirmed, self._agreed_to(run)))

    def _confirmed(self, agreed_to: tuple[tuple[VmKey, str], ...], agreed: bool | None) -> None:
        run = self._plans.run
        if not agreed or run is None:
            return
        if self._agreed_to(run) != agreed_to:
            self._note("the plan has changed meanwhile: look at it again")
        else:
            self._plans.go()

    def _agreed_to(self, run: PlanRun) -> tuple[tuple[VmKey, str], ...]:
        return tuple((step.move.vm, step.move.destination) for step in run.left)

    def _may_run(self) -> bool:
        run = self._plans.run
        if self._engine.read_only:
            self._note("not possible: kvmtui was started with --read-only")
            return False
        if run is None or run.stage is not Stage.READY:
            return False
        if (age_s := self._age_s(run)) > _OLD_S and run.left:
            why = f"the figures were {duration(age_s)} old: look again, then press the key"
            self._plans.look(run.evacuating, run.allowed, why)
            return False
        return True

    def action_remove(self) -> None:
        """Leave the highlighted move out."""
        if (step := self._left()) is not None:
            self._plans.remove(step.move.vm)

    def action_redirect(self) -> None:
        """Choose another destination for the highlighted move."""
        step = self._left()
        if step is None or step.outcome is not Outcome.PLANNED:
            return
        run = self._plans.run
        if run is None or run.plan is None:
            return
        places = {place.key: place for place in destinations(run.plan, step.move.vm)}
        hosts = [host for key in places if (host := self._engine.fleet.hosts.get(key)) is not None]
        if not hosts:
            self._note(f"{step.move.name} can go nowhere else")
            return
        # All of them are the means that the plan goes by: those of now beside them would not fit.
        notes = {
            key: "   ".join(filter(None, (f"CPU {change(place.cpu)}", f"memory {change(place.memory)}", place.broken)))
            for key, place in places.items()
        }
        title = f"Move {step.move.name} to"

        def chosen(destination: str | None) -> None:
            if destination is not None:
                self._plans.redirect(step.move.vm, destination)

        self.app.push_screen(HostChoiceScreen(title, hosts, step.move.destination, notes, figures=False), chosen)

    def action_stop(self) -> None:
        """End after the move under way."""
        self._plans.stop()

    def action_abort(self) -> None:
        """Ask whether to abort the move under way."""
        run = self._plans.run
        if run is None or not run.stage.running:
            return
        step = run.current
        words = f"Abort the migration of {step.move.name}?" if step is not None else "Stop here?"
        consequence = "It goes on where it was; the other moves are not made."

        def answered(agreed: bool | None) -> None:
            now = self._plans.run
            current = now.current if now is not None and now.stage.running else None
            if agreed and step is not None and (current is None or current.move.vm != step.move.vm):
                # Another move may be under way by now, which nobody was asked about.
                self._plans.stop()
                self._note(f"too late to abort the migration of {step.move.name}: it has ended; no other is begun")
            elif agreed:
                self._plans.abort()

        self.app.push_screen(ConfirmScreen(words, (), consequence, destructive=False), answered)

    def action_fold(self) -> None:
        """Show or hide what stays and why."""
        self._unfolded = not self._unfolded
        self.follow()

    def action_again(self) -> None:
        """Plan by the figures of now."""
        run = self._plans.run
        if run is not None and run.stage is Stage.READY:
            self._plans.look(run.evacuating, run.allowed)

    def action_allow(self, what: str) -> None:
        """Plan again with something allowed that a plan does not do by itself, or no more."""
        run = self._plans.run
        if run is None or run.stage.running or (what == "over_limits" and not run.evacuating):
            return
        self._plans.look(run.evacuating, replace(run.allowed, **{what: not getattr(run.allowed, what)}))

    def action_take_back(self) -> None:
        """Let the emptied host receive VMs again."""
        run = self._plans.run
        emptied = self._emptied(run) if run is not None and run.stage is Stage.READY else ()
        if run is None or not emptied:
            return
        for host in emptied:
            self._plans.take_back(host)
        self._note(f"{', '.join(map(self._host_name, emptied))} may receive VMs again")
        if run.evacuating:
            self.dismiss()
        else:
            self._plans.look("", run.allowed)

    def action_cursor(self, step: int) -> None:
        """Go through the moves."""
        moves = self.query_one(OptionList)
        moves.action_cursor_down() if step > 0 else moves.action_cursor_up()
