"""The moves of this run: how they fare, and the keys to act on them."""

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from kvmtui.engine.engine import Engine
from kvmtui.model.migration import Migration, Phase, Repair, Steer
from kvmtui.model.migration_progress import copies_disks
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.moves import Ident, Moves, ident
from kvmtui.ui.screens.ask import ConfirmScreen
from kvmtui.ui.screens.help import MOVES_KEYS, HelpScreen
from kvmtui.ui.screens.number import NumberScreen
from kvmtui.ui.steering import STEER_KEYS, Question, label, next_downtime_ms, possible, question
from kvmtui.ui.widgets.bars import KeyBar, Note, StatusLine
from kvmtui.ui.widgets.migration_detail import MoveDetail
from kvmtui.ui.widgets.migration_lines import HostName, route
from kvmtui.ui.widgets.migration_panel import MigrationDetail, MigrationList

_MOST_REPAIRS = 9
_TICK_S, _SLOW_TICK_S = 1.0, 5.0


class CockpitScreen(Screen[None]):
    """Lists all moves of this run, under way first, and shows one in detail."""

    AUTO_FOCUS = None
    NOTHING: ClassVar[str] = "Nothing has been migrated in this run of kvmtui; m migrates a VM."
    BINDINGS = [
        Binding("escape,q,w", "dismiss", "back", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("pagedown", "move(10)", show=False),
        Binding("home,g", "move(-10000)", show=False),
        Binding("end,G", "move(10000)", show=False),
        Binding("y", "copy", show=False),
        Binding("question_mark,f1", "help", show=False),
        Binding("enter", "repair(1)", show=False),
        *(Binding(str(number), f"repair({number})", show=False) for number in range(1, _MOST_REPAIRS + 1)),
        *(Binding(key.key, f"steer('{key.key}')", show=False) for key in STEER_KEYS),
    ]

    def __init__(
        self,
        engine: Engine,
        moves: Moves,
        host_name: HostName,
        glyphs: Glyphs,
        first: Migration | None,
        looked_at: Callable[[], None],
    ) -> None:
        """Begin on `first`, or on the first that needs somebody; `looked_at` is called when one has been seen."""
        super().__init__()
        self._engine = engine
        self._moves = moves
        self._host_name = host_name
        self._glyphs = glyphs
        self._looked_at = looked_at
        first = first or next(filter(moves.calls, moves.all), None)
        self._selected: Ident | None = None if first is None else ident(first)
        self._said_of: tuple[object, ...] = ()
        """What the move said of itself when something was last said here."""
        self._list = MigrationList(moves, host_name, self.NOTHING, glyphs=glyphs)
        self._detail = MigrationDetail(glyphs=glyphs)

    def compose(self) -> ComposeResult:
        """Lay the screen out."""
        yield Static("", id="moves-title")
        yield self._list
        yield self._detail
        yield StatusLine()
        yield KeyBar()

    def on_mount(self) -> None:
        """Follow the moves."""
        self._moves.changed = self._show
        self._show()
        # How long a move takes goes on also while nothing comes from its hosts.
        self.set_interval(_TICK_S if self._glyphs.graphs else _SLOW_TICK_S, self._show)

    def on_unmount(self) -> None:
        """Follow them no more."""
        self._moves.changed = lambda: None

    def on_resize(self) -> None:
        """Give the list its share."""
        self._show()

    @property
    def selected(self) -> Migration | None:
        """The move under the cursor."""
        moves = self._moves.all
        return moves[self._cursor] if moves else None

    # Keys

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self._select(self._cursor + rows)

    @on(MigrationList.Clicked)
    def _clicked(self, event: MigrationList.Clicked) -> None:
        self._select(event.row)

    def action_copy(self) -> None:
        """Copy the virsh line to the clipboard (OSC 52)."""
        move = self.selected
        if move is None or not move.command:
            self._say("there is no virsh line to copy", "$text-warning")
            return
        self.app.copy_to_clipboard(move.command)
        self._say("the virsh line is copied, where the terminal allows it")

    def action_help(self) -> None:
        """Show the keys, those of moves first."""
        self.app.push_screen(HelpScreen(MOVES_KEYS))

    def action_steer(self, key: str) -> None:
        """Act on the selected move."""
        move, steer_key = self.selected, next(each for each in STEER_KEYS if each.key == key)
        if move is None:
            return
        steer = steer_key.steer
        if steer not in move.steers:
            self._say(f"{steer.value}: {self._why_not(move, steer)}", "$text-warning")
        elif steer_key.asks_value:
            self._ask_value(move, steer)
        elif steer is Steer.DOWNTIME:
            longer = next_downtime_ms(self._allowed_ms(move))
            if longer is None:
                self._say("no longer downtime is usual; D asks for a number", "$text-warning")
            else:
                self._steer(move, steer, longer)
        elif asked := question(move, steer, self._host_name):
            self._confirm(asked, lambda: self._steer(move, steer, None))
        else:
            self._steer(move, steer, None)

    def action_repair(self, number: int) -> None:
        """Offer the repair of that number."""
        move = self.selected
        if move is None:
            return
        if number > len(move.repairs):
            self._say("nothing of that number is offered" if move.repairs else "there is nothing to repair")
            return
        repair = move.repairs[number - 1]
        asked = Question(
            f"{move.request.vm_name}, {route(move, self._host_name, self._glyphs)}: {repair.kind.value}?",
            f"{repair.consequence}\n\n{repair.command}",
            destructive=True,
        )
        self._confirm(asked, lambda: self._repair(move, repair))

    def hear(self, note: Note) -> None:
        """Say what the main screen, which is out of sight, has to say."""
        if self.is_mounted and self.is_running:
            self._say(note.text, note.tone)

    # Acting

    def _ask_value(self, move: Migration, steer: Steer) -> None:
        if steer is Steer.DOWNTIME:
            text, unit = f"How long may {move.request.vm_name} stand still at the end, in ms?", "QEMU's default is 300."
            now = self._allowed_ms(move)
        else:
            text, unit = f"Bandwidth for {move.request.vm_name}, in MiB/s?", "0: as much as there is."
            if copies_disks(move.job):
                unit += " It counts for the memory; the disks are copied at the rate they began with."
            now = move.bandwidth_mib_per_s
        question = NumberScreen(text, unit, now)
        self.app.push_screen(question, lambda value: None if value is None else self._steer(move, steer, value))

    def _confirm(self, asked: Question, do: Callable[[], None]) -> None:
        screen = ConfirmScreen(asked.text, asked.lines, asked.consequence, destructive=asked.destructive)
        self.app.push_screen(screen, lambda agreed: do() if agreed else self._say("nothing was done"))

    def _steer(self, move: Migration, steer: Steer, value: int | None) -> None:
        # While it was asked for, the move may have gone on.
        now = next((each for each in self._moves.all if ident(each) == ident(move)), None)
        if now is None or steer not in now.steers:
            self._say(f"{steer.value}: not possible any more", "$text-warning")
            return
        if steer is Steer.DOWNTIME and value is not None:
            self._moves.asked_ms[ident(move)] = value
        unit = {Steer.DOWNTIME: " ms", Steer.BANDWIDTH: " MiB/s"}.get(steer, "")
        self._say(f"{move.request.vm_name}: asked for {steer.value}{'' if value is None else f' {value}{unit}'}")
        self._engine.steer(move.request.key, steer, value)
        self._show()

    def _repair(self, move: Migration, repair: Repair) -> None:
        now = next((each for each in self._moves.all if ident(each) == ident(move)), None)
        if now is None or repair not in now.repairs:
            self._say(f"{repair.kind.value}: not offered any more", "$text-warning")
            return
        self._say(f"{move.request.vm_name}: {repair.kind.value}: asking both hosts first")
        self._engine.repair(move.request.key, repair.kind)

    def _why_not(self, move: Migration, steer: Steer) -> str:
        if move.phase.ended:
            return f"it has ended: {move.phase.value}"
        if steer is Steer.POST_COPY and not move.request.options.post_copy:
            return "it has to be allowed when the migration is started"
        return f"not possible while it is {move.phase.value}"

    def _allowed_ms(self, move: Migration) -> int | None:
        return self._moves.asked_ms.get(ident(move), move.request.options.downtime_ms)

    # What is shown

    @property
    def _cursor(self) -> int:
        return next((row for row, each in enumerate(self._moves.all) if ident(each) == self._selected), 0)

    def _select(self, row: int) -> None:
        moves = self._moves.all
        if moves:
            self._selected = ident(moves[max(0, min(len(moves) - 1, row))])
        self._say("")
        self._show()

    def _say(self, text: str, tone: str = "") -> None:
        self._said_of = self._news
        self.query_one(StatusLine).note = Note(text, tone)

    @property
    def _news(self) -> tuple[object, ...]:
        """What the selected move says of itself."""
        move = self.selected
        return () if move is None else (ident(move), move.phase, move.message)

    def _show(self) -> None:
        # A move may change while the screen goes, and its widgets before it.
        if not (self.is_mounted and self.is_running):
            return
        moves, cursor, now_s = self._moves.all, self._cursor, self._engine.clock()
        move = moves[cursor] if moves else None
        if move is not None:
            # The cursor stays on the same one, wherever it comes to stand.
            self._selected = ident(move)
            if self._moves.calls(move) and self.is_current:
                self._moves.look_at(move)
                self._looked_at()
        if self._news != self._said_of:
            # The move itself has more to say by now.
            self._say("")
        self.let_note_go(now_s)
        self.query_one("#moves-title", Static).update(self.headline())
        self._list.show(moves, cursor, now_s)
        self._detail.show(
            None
            if move is None
            else MoveDetail(
                move,
                self._moves.trace(move),
                self._moves.asked_ms.get(ident(move)),
                self._host_name,
                now_s,
                self._glyphs,
            )
        )
        bar = self.query_one(KeyBar)
        # The first to be left out where they do not all fit.
        bar.keys = (*self.offered(move), *((("y", "copy"),) if move is not None and move.command else ()))
        bar.pinned = (("?", "help"), ("Esc", "back"))

    def let_note_go(self, now_s: float) -> None:
        """Let what was said go when its time has come."""
        self.query_one(StatusLine).tick(now_s)

    def offered(self, move: Migration | None) -> list[tuple[str, str]]:
        """Return keys and labels of what can be done."""
        keys = [] if move is None else [(key.key, label(key, move)) for key in possible(move) if key.label]
        if move is not None and move.repairs:
            last = min(_MOST_REPAIRS, len(move.repairs))
            keys.append(("1" if last == 1 else f"1-{last}", "repair"))
        return keys

    def headline(self) -> Content:
        """Return how many there are."""
        moves = self._moves
        waiting = sum(each.phase is Phase.QUEUED for each in moves.all)
        going, ended = moves.under_way - waiting, len(moves.all) - moves.under_way
        counts = ((going, "under way"), (waiting, "waiting"), (ended, "ended"))
        parts = [Content.styled(" migrations ", "bold $primary")]
        parts += [Content(" · ".join(f"{count} {what}" for count, what in counts if count) or "none")]
        if moves.calling:
            parts.append(Content.styled(f" · {moves.calling} need{'s' * (moves.calling == 1)} you", "$text-error"))
        return Content(" ").join(parts)
