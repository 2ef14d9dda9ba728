"""The consoles' place on the main screen: tabs, a title line and the terminal below it."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from enum import Enum, auto
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer

from kvmtui.engine.console_state import ConsoleState
from kvmtui.model.vm import VmKey
from kvmtui.ui.console_keys import (
    BY_KEY,
    PINNED_CHOICES,
    PREFIX,
    PREFIX_KEY,
    SEARCH_BY_KEY,
    Command,
    SearchCommand,
    choices,
)
from kvmtui.ui.console_layout import NOT_ATTACHED, Layout, Surroundings
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.messages import ConsoleWoke
from kvmtui.ui.open_consoles import OpenConsoles, OpenSession, pause_after
from kvmtui.ui.widgets.bars import keys_line
from kvmtui.ui.widgets.console_heads import ConsoleHeads
from kvmtui.ui.widgets.console_pane import ConsolePane
from kvmtui.ui.widgets.console_search import ConsoleSearchField, step_search

if TYPE_CHECKING:
    from kvmtui.ui.console_terminal import ConsoleTerminal


class _NextKey(Enum):
    """What the next key is taken for."""

    GUEST = auto()
    """As usual: for the guest, a search, or the question about a console that is not open."""
    COMMAND = auto()
    """The prefix came."""
    REPEAT = auto()
    """A command that repeats was the last; every other key is as usual."""


class ConsolePanel(Vertical):
    """All open consoles, one of them in sight, or none."""

    def __init__(
        self,
        open_session: OpenSession,
        around: Surroundings,
        glyphs: Glyphs,
        *,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        super().__init__()
        self._consoles = OpenConsoles(open_session, clock)
        self._around = around
        self._glyphs, self._clock = glyphs, clock
        self.pane = ConsolePane(self._typed, self._pasted, self._pane_moved)
        self._field = ConsoleSearchField(self._look_for, self._search_left)
        self._heads = ConsoleHeads(self._field, self._tab_clicked)
        self._in_sight = False
        self._next_key = _NextKey.GUEST
        self._layout = Layout.BELOW
        self._frame_timer: Timer | None = None
        self._commands: dict[Command, Callable[[ConsoleTerminal, int], None]] = {
            Command.SEND_PREFIX: lambda terminal, _: terminal.send(b"\x1d"),
            Command.LEAVE: lambda terminal, _: self._leave(terminal),
            Command.HIDE: lambda *_: self._hide(),
            Command.TABLE: lambda *_: self._to_table(),
            Command.TAB: lambda _, number: self._choose(self._consoles.numbered(number)),
            Command.STEP: lambda _, steps: self._choose(self._consoles.neighbour(steps)),
            Command.LAYOUT: lambda *_: self._next_layout(),
            Command.SEARCH: lambda terminal, _: self._search(terminal),
            Command.SCROLL: lambda _, pages: self.pane.scroll_pages(pages),
            Command.COPY: lambda terminal, _: self._copy(terminal, terminal.copy_text()),
            Command.RESIZE: lambda terminal, _: self._tell_size(terminal),
            Command.LOG: lambda terminal, _: terminal.toggle_log(),
            Command.BREAK: lambda terminal, _: self._ask_break(terminal),
            Command.TAKE_OVER: lambda terminal, _: self._ask_take_over(terminal),
            Command.HELP: lambda *_: self._help(),
        }

    def compose(self) -> ComposeResult:
        """Lay the panel out."""
        yield self._heads
        yield self.pane

    # What the screen asks

    @property
    def in_sight(self) -> bool:
        """Whether a console is shown; if not, open ones are named in one line."""
        return self._in_sight

    @property
    def has_keys(self) -> bool:
        """Whether the keys go to the console in sight, or to its search."""
        return self._in_sight and self.screen.focused in (self.pane, self._field)

    @property
    def layout_now(self) -> Layout:
        """Where the console in sight is: not where there is no room for it."""
        return self._layout.within(*self.screen.size)

    @property
    def sessions(self) -> list[str]:
        """The consoles that are open or will be again by themselves, such as "web1 on h1"."""
        return [self._where(terminal) for terminal in self._consoles.all if terminal.waits_for_guest]

    def open(self, key: VmKey, vm_name: str, device: str | None = None, devices: Sequence[str] = ()) -> None:
        """Show a VM's console and give it the keys; the one that is open, if there is one.

        `devices` are those of its definition, none while that is not known.
        """
        wake = partial(self._woke, asyncio.get_running_loop())
        terminal = self._consoles.open(key, vm_name, device, devices, self.pane.console_size, wake)
        self._bring_up(terminal)
        self.wake()

    def bring_up_to_date(self) -> None:
        """Say how things stand now; called every second or so."""
        if self._in_sight:
            self._draw()

    def _bring_up(self, terminal: "ConsoleTerminal") -> None:
        """Show a console and give it the keys."""
        self._in_sight = True
        self._show(terminal)
        # At once: a key typed next is meant for the guest, and must not be taken for an action on a VM.
        self.screen.set_focus(self.pane)
        self._around.changed()

    def _place_parts(self) -> None:
        """Show and hide the parts, as they are needed now."""
        self.display = bool(self._consoles.all)
        self._heads.place(tabs=len(self._consoles.all) > 1 or not self._in_sight, title=self._in_sight)
        self.pane.display = self._in_sight
        if not self._in_sight:
            self._field.close()
        self.set_class(not self._in_sight, "-hidden")

    # Output

    def wake(self) -> None:
        """Take what the sessions have; called on the UI thread whenever there may be output."""
        if self._frame_timer is None:
            self._frame()

    def _woke(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the output taken, called from a foreign thread."""
        if self.is_running:
            # The loop is closed when the app has ended meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self.screen.post_message, ConsoleWoke())

    def _frame(self) -> None:
        """Emulate for a few milliseconds, draw, and pause until the next frame if there may be more."""
        self._frame_timer = None
        start_s = self._clock()
        busy = self._consoles.feed()
        self._tell_deeds()
        self._draw()
        if busy:
            # The next frame looks at the sessions whether or not they woke us meanwhile: no wake-up can be lost.
            pause_s = pause_after(self._clock() - start_s, in_sight=self._in_sight)
            self._frame_timer = self.set_timer(pause_s, self._frame)

    def _tell_deeds(self) -> None:
        """Have the journal take up what was done to guests."""
        for terminal in self._consoles.all:
            while terminal.deeds:
                deed = terminal.deeds.pop(0)
                came = f"{'done' if deed.done else 'failed'}{f': {deed.message}' if deed.message else ''}"
                tone = "$text-success" if deed.done else "$text-error"
                self._around.done(f"{deed.what} {self._where(terminal)}: {came}", tone, deed.command)

    # Drawing

    def _show(self, terminal: "ConsoleTerminal | None" = None) -> None:
        """Show another console, if there is that one."""
        if terminal is not None:
            self._consoles.choose(terminal)
            self._field.close()
            self.pane.show(terminal)
            self._draw()

    def _choose(self, terminal: "ConsoleTerminal | None" = None) -> None:
        """Show the console of another tab, if there is that one."""
        if terminal is not None:
            self._show(terminal)
            self._around.chosen(terminal.key)

    def _tab_clicked(self, number: int) -> None:
        self._next_key = _NextKey.GUEST
        if (terminal := self._consoles.numbered(number)) is not None:
            self._choose(terminal)
            self._bring_up(terminal)

    def _where(self, terminal: "ConsoleTerminal") -> str:
        return self._around.where(terminal.vm_name, terminal.key.host)

    def _draw(self) -> None:
        """Draw what has changed."""
        if not (self._consoles.all or self.display):
            return
        from kvmtui.ui.console_words import notice, tabs_line, title_line

        shown, question, title = self._consoles.chosen, "", Content("")
        if shown is not None and self._in_sight:
            shown.unseen = shown.rang = False
            where = self._where(shown)
            question = notice(shown, where)
            self.pane.tell(question)
            self.pane.draw()
            if self._next_key is _NextKey.COMMAND:
                title = keys_line(choices(), PINNED_CHOICES, self.size.width)
            else:
                shown.see_remark()
                title = title_line(
                    shown,
                    where,
                    self.size.width,
                    stands_still=self._around.stands_still(shown.key),
                    has_keys=self.has_keys,
                    repeats=self._next_key is _NextKey.REPEAT,
                    types_search=self._field.display,
                    glyphs=self._glyphs,
                )
        # Seen is only what stands where the keys go, and has no dialog over it.
        seen = self._in_sight and self.screen.is_active and self.screen.focused is self.pane
        for terminal in self._consoles.all:
            terminal.ask(question if seen and terminal is shown else "")
        tabs = tabs_line(self._consoles.all, shown, in_sight=self._in_sight, glyphs=self._glyphs)
        highlighted = self._next_key is _NextKey.COMMAND
        self._heads.say(title, tabs, highlighted=highlighted, searching=self._field.display)
        self._place_parts()

    def _pane_moved(self) -> None:
        if self.is_mounted:
            if not self.pane.has_focus:
                self._next_key = _NextKey.GUEST
            self._draw()
            self._around.changed()

    # Input

    def _typed(self, event: events.Key) -> None:
        """Do what a key means here: to the console after the prefix, else to its search, else to the guest."""
        terminal, taken_for = self._consoles.chosen, self._next_key
        self._next_key = _NextKey.GUEST
        if terminal is None:
            return
        meant = terminal.end_quiet()
        row = BY_KEY.get(event.key)
        repeated = taken_for is _NextKey.REPEAT and row is not None and row.repeats
        if taken_for is _NextKey.COMMAND or repeated:
            if row is not None:
                terminal.remark = ""
                if row.repeats:
                    self._next_key = _NextKey.REPEAT
                self._commands[row.command](terminal, row.argument)
            elif event.key != "escape":
                key = event.character if event.is_printable and event.character else event.key
                terminal.remark = f"{PREFIX} {key} does nothing; {PREFIX} ? shows all keys"
        elif event.key == PREFIX_KEY:
            self._next_key = _NextKey.COMMAND
        elif terminal.search is not None:
            self._search_key(terminal, SEARCH_BY_KEY.get(event.key))
        elif terminal.live:
            terminal.remark, terminal.skipped_bytes = "", 0
            terminal.type(event)
        else:
            terminal.answer(event, meant=meant)
            self.wake()
        self._draw()

    def _pasted(self, text: str) -> None:
        """Send one line at once; ask about more than that, or a line end that would run it."""
        terminal, self._next_key = self._consoles.chosen, _NextKey.GUEST
        if terminal is None or terminal.search is not None:
            return
        if not terminal.live:
            terminal.remark = NOT_ATTACHED
            self._draw()
            return
        if "\n" not in text and "\r" not in text:
            terminal.paste(text)
            self._draw()
            return

        def agreed(answer: bool | None) -> None:
            if answer:
                terminal.paste(text)
            self._draw()

        from kvmtui.ui.screens.ask import ask_paste

        ask_paste(self.app, self._where(terminal), text, agreed)

    # Commands

    def _leave(self, terminal: "ConsoleTerminal") -> None:
        # Back to the table also where there are other consoles: what is typed next is meant for none of them. The line
        # that stays tells how many are open.
        self._in_sight = False
        self._consoles.close(terminal)
        self.pane.show(self._consoles.chosen)
        self._draw()
        self._around.left()

    def _hide(self) -> None:
        self._in_sight = False
        self._draw()
        self._around.left()

    def _to_table(self) -> None:
        if self.layout_now is Layout.FULL:
            self._hide()
            return
        self._draw()
        self._around.left()

    def _next_layout(self) -> None:
        self._layout = self._layout.after(*self.screen.size)
        self._around.changed()

    def _copy(self, terminal: "ConsoleTerminal", text: str) -> None:
        if not text:
            terminal.remark = "nothing to copy"
            return
        self.app.copy_to_clipboard(text)
        lines = text.count("\n") + 1
        terminal.remark = f"{lines} line{'' if lines == 1 else 's'} copied, where the terminal allows it"

    def _ask(self, question: str, consequence: str, do: Callable[[], None]) -> None:
        """Ask in a dialog, and do it if the user agrees."""
        from kvmtui.ui.screens.ask import MeantScreen

        def answered(agreed: bool | None) -> None:
            if agreed:
                do()
            self.wake()

        self.app.push_screen(MeantScreen(question, consequence, self._clock), answered)

    def _ask_break(self, terminal: "ConsoleTerminal") -> None:
        # A break and a key are a command to a kernel (SysRq), and a crash is one of them.
        if terminal.live:
            consequence = "libvirt then calls the VM tainted, for QEMU's monitor is used."
            self._ask(f"Send a break to {self._where(terminal)}?", consequence, terminal.send_break)
        else:
            terminal.remark = "not attached: no break can be sent"

    def _ask_take_over(self, terminal: "ConsoleTerminal") -> None:
        if terminal.state is ConsoleState.HELD:
            consequence = "The other client's session ends; libvirt does not tell whose it is."
            self._ask(f"Take over the console of {self._where(terminal)}?", consequence, terminal.take_over)
        else:
            terminal.remark = "no other client is known to have it"

    def _tell_size(self, terminal: "ConsoleTerminal") -> None:
        if not terminal.live:
            terminal.remark = NOT_ATTACHED
        elif terminal.emulator.on_alternate_screen:
            consequence = "A program has the whole screen (an editor, a pager): it takes that for keys of its own."
            self._ask(f"Type stty into {self._where(terminal)}?", consequence, terminal.tell_size)
        else:
            terminal.tell_size()

    def _help(self) -> None:
        from kvmtui.ui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen("Console"), lambda _: self._draw())

    # Search

    def _search(self, terminal: "ConsoleTerminal") -> None:
        field = self._field
        field.value = ""
        terminal.start_search()
        field.open()

    def _look_for(self, text: str) -> None:
        if self._consoles.chosen is not None:
            self._consoles.chosen.start_search().look_for(text)
            self._draw()

    def _search_left(self, goes_on: bool) -> None:
        # At once: the next key is for the matches, or the guest.
        self.screen.set_focus(self.pane)
        self._field.close()
        if self._consoles.chosen is not None and not goes_on:
            self._consoles.chosen.end_search()
        self._draw()

    def _search_key(self, terminal: "ConsoleTerminal", command: SearchCommand | None) -> None:
        if command is SearchCommand.AGAIN:
            self._search(terminal)
        elif command is SearchCommand.COPY:
            selected = next((match.y for match in terminal.start_search().matches if match.selected), None)
            self._copy(terminal, "" if selected is None else terminal.copy_text(selected, 1))
        elif command is not None:
            step_search(terminal, self.pane, command)

    def on_unmount(self) -> None:
        """Close the sessions with the panel."""
        self._consoles.close_all()
