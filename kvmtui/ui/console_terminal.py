"""One open console as the screen keeps it: the session, the emulator it is fed to, and how things stand."""

from collections.abc import Callable
from datetime import datetime
from math import inf
from typing import Protocol

from textual import events

from kvmtui.engine.console_state import ConsoleDeed, ConsoleOutput, ConsoleState
from kvmtui.model.vm import VmKey
from kvmtui.ui.console_layout import NOT_ATTACHED
from kvmtui.ui.console_log import ConsoleLog, LogFull, log_folder, shown_path
from kvmtui.ui.emulator import Emulator
from kvmtui.ui.emulator_search import EmulatorSearch
from kvmtui.ui.open_consoles import FEED_BUDGET_S

_MIN_PIECE, _MAX_PIECE = 256, 64 << 10
_MEANT_S = 1.0
"""How long a question must have been in sight, and no key typed, before a key is taken for meant for it."""
_REMARK_S = 6.0
_CAN = b"\x18"
_LIVE = frozenset({ConsoleState.OPENING, ConsoleState.OPEN})


class ConsoleSession(Protocol):
    """One console session. No method blocks; any thread may call any of them."""

    def take(self) -> ConsoleOutput:
        """Return everything received since the last call, and how it stands."""

    @property
    def unsent_lines(self) -> int:
        """How many lines of a paste have not been sent yet; 0 while none is under way."""

    def write(self, data: bytes) -> None:
        """Queue bytes for the guest."""

    def missed(self, data: bytes) -> None:
        """Take note of keys that were typed while they could not be sent."""

    def reply(self, data: bytes) -> None:
        """Answer a question of the guest's, unless answers still wait."""

    def take_over(self) -> None:
        """Attach although another client has the console."""

    def reattach(self) -> None:
        """Try again after the end."""

    def send_break(self) -> None:
        """Send a break."""

    def close(self) -> None:
        """Give the session up."""


class ConsoleTerminal:
    """A console with its screen, drawn or not; used on the UI thread only.

    Raises `EmulatorUnavailable` where there is no emulator.
    """

    def __init__(
        self,
        key: VmKey,
        vm_name: str,
        size: tuple[int, int],
        clock: Callable[[], float],
        device: str | None = None,
        number: int = 1,
    ) -> None:
        """`size` is columns and rows; `clock` is in seconds; `number` is that of its tab."""
        self.key, self.vm_name, self.device, self.number = key, vm_name, device, number
        self.emulator = Emulator(*size, self._reply)
        self.session: ConsoleSession | None = None
        self.state = ConsoleState.OPENING
        self.message = ""
        """Why it is not open, and what to do."""
        self._remark, self._remark_seen_s = "", inf
        self.skipped_bytes = 0
        """How much output was dropped since the last key."""
        self.silent = True
        """Whether nothing has come yet."""
        self.unseen = self.rang = False
        """Whether there is new output, or the bell rang, since it was last looked at."""
        self.log: ConsoleLog | None = None
        self.search: EmulatorSearch | None = None
        self.dropped_until = ""
        """Which keys end the dropping of what is typed; "" while it is sent."""
        self.deeds: list[ConsoleDeed] = []
        """What has ended of what was asked for, until it is taken."""
        self._clock = clock
        self._question, self._quiet_since_s = "", clock()
        self._backlog = memoryview(b"")
        self._after_backlog: tuple[ConsoleState, str] = (self.state, "")
        self._stopped = False
        self._piece = 4 << 10

    @property
    def remark(self) -> str:
        """What is worth saying until the next key, or for a few seconds in sight."""
        return self._remark

    @remark.setter
    def remark(self, text: str) -> None:
        self._remark, self._remark_seen_s = text, inf

    def see_remark(self) -> None:
        """Note that the remark is in sight now; one that has been long enough goes."""
        now_s = self._clock()
        self._remark_seen_s = min(self._remark_seen_s, now_s)
        if now_s - self._remark_seen_s >= _REMARK_S:
            self._remark = ""

    @property
    def live(self) -> bool:
        """Whether what is typed reaches the guest."""
        return self.state in _LIVE

    @property
    def waits_for_guest(self) -> bool:
        """Whether keys are meant for the guest, now or as soon as it is back."""
        return self.live or self.state is ConsoleState.WAITING

    # Output

    def feed(self, until_s: float) -> bool:
        """Emulate what has come until `until_s` by the clock; return whether there may be more."""
        if self.session is None:
            return False
        if not self._backlog:
            self._take(self.session.take())
        busy = bool(self._backlog)
        # In pieces that take about a quarter of the budget. A few bytes can be much work (`CSI 65535 b` repeats a
        # character 65,535 times), so the size follows the cost.
        while self._backlog:
            before_s = self._clock()
            if before_s >= until_s:
                return True
            self.emulator.feed(bytes(self._backlog[: self._piece]))
            self._backlog = self._backlog[self._piece :]
            spent_s = self._clock() - before_s
            if spent_s > FEED_BUDGET_S / 4:
                self._piece = max(_MIN_PIECE, int(self._piece * FEED_BUDGET_S / 4 / spent_s))
            elif spent_s < FEED_BUDGET_S / 8:
                self._piece = min(_MAX_PIECE, self._piece * 2)
        self._stand(*self._after_backlog)
        return busy

    def _take(self, output: ConsoleOutput) -> None:
        if output.key is not None and output.key != self.key:
            self.key, self.remark = output.key, "migrated here"
        if output.state is ConsoleState.OPEN and output.message:
            self.remark = output.message
        self.dropped_until = output.dropped_until
        self.deeds += output.deeds
        self._after_backlog = output.state, output.message
        if self._stopped and output.state is ConsoleState.OPEN:
            self._stopped = False
            self.emulator.calm()
        data = output.data
        if output.mark:
            data = b"\r\n[kvmtui: %s]\r\n" % output.mark.encode() + data
        # What is left of a sequence that was cut by the skipping is aborted (CAN), not continued.
        self._backlog = memoryview(_CAN + data if output.skipped_bytes or output.mark else data)
        if output.data:
            self.silent, self.unseen = False, True
        self.skipped_bytes += output.skipped_bytes
        if self.log is not None and (data or output.skipped_bytes):
            try:
                self.log.write(data, output.skipped_bytes)
                if self.log.dropped_bytes:
                    self.remark = f"the log's folder does not answer: {self.log.dropped_bytes} bytes are not logged"
            except OSError as error:
                self.stop_log(f"the log has ended: {error.strerror}")
            except LogFull:
                megabytes = round(self.log.written_bytes / 1e6)
                self.stop_log(f"the log has ended, it is {megabytes} MB long; ^] l starts another")

    def _stand(self, state: ConsoleState, message: str) -> None:
        self.rang = self.emulator.take_bell() or self.rang
        if state is not self.state:
            self.state = state
            self.unseen = self.unseen or state not in _LIVE
        self.message = message
        self._stopped = self._stopped or state not in _LIVE

    # Input

    def type(self, event: events.Key) -> None:
        """Send a key to the guest, and follow its output again."""
        if data := self.emulator.encode_key(event):
            self.send(data)
            self.emulator.scroll_to_end()

    def paste(self, text: str) -> None:
        """Send `text` as a paste, whatever it holds."""
        self.send(self.emulator.paste(text))
        self.emulator.scroll_to_end()

    def send(self, data: bytes) -> None:
        """Send bytes to the guest, if it can have them."""
        if data and self.session is not None and self.live:
            self.session.write(data)

    def _reply(self, data: bytes) -> None:
        if self.session is not None and self.live:
            self.session.reply(data)

    def tell_size(self) -> None:
        """Type the command that tells the guest's terminal driver the size."""
        self.send(b"stty rows %d cols %d\r" % (self.emulator.rows, self.emulator.columns))

    def send_break(self) -> None:
        """Send a break; what came of it is told with the output."""
        if self.session is not None and self.live:
            self.session.send_break()

    def ask(self, question: str) -> None:
        """Note the question that is in sight now; empty: none is."""
        if question != self._question:
            self._question, self._quiet_since_s = question, self._clock()

    def end_quiet(self) -> bool:
        """Note that a key came, and return whether it was meant for the question in sight."""
        # Who types ahead does not stop for a second, and cannot have read what came up meanwhile.
        now_s = self._clock()
        meant = bool(self._question) and now_s - self._quiet_since_s >= _MEANT_S
        self._quiet_since_s = now_s
        return meant

    def answer(self, event: events.Key, *, meant: bool) -> None:
        """Take a key that came while the console is not open; see `end_quiet` for `meant`."""
        if self.session is None:
            return
        if self.state is ConsoleState.ENDED and event.key == "enter" and meant:
            self.session.reattach()
            return
        if self.state is not ConsoleState.ENDED and (data := self.emulator.encode_key(event)):
            self.session.missed(data)
        self.remark = NOT_ATTACHED

    def take_over(self) -> None:
        """Attach although another client has the console."""
        if self.session is not None and self.state is ConsoleState.HELD:
            self.session.take_over()

    @property
    def unsent_lines(self) -> int:
        """How many lines of a paste have not been sent yet."""
        return 0 if self.session is None or not self.live else self.session.unsent_lines

    # Log, search, end

    def toggle_log(self) -> None:
        """Write what comes from now on to a file as well, or stop that."""
        if self.log is not None:
            written = self.log.written_bytes
            self.stop_log(f"logged to {shown_path(self.log.path)}" if written else "nothing came that could be logged")
            return
        try:
            self.log = ConsoleLog(log_folder(), self.vm_name, datetime.now())
        except OSError as error:
            self.remark = f"no log: {error.strerror}"
        else:
            self.remark = f"logging to {shown_path(self.log.path)}"

    def stop_log(self, remark: str) -> None:
        """Close the log, and say so."""
        if self.log is not None:
            self.log.close()
            self.log = None
            self.remark = remark

    def start_search(self) -> EmulatorSearch:
        """Begin a search, or go on with the one there is."""
        if self.search is None:
            self.search = self.emulator.search()
        return self.search

    def end_search(self) -> None:
        """End the search, and follow the output again."""
        if self.search is not None:
            self.search.close()
            self.search = None
            self.emulator.scroll_to_end()

    def copy_text(self, y: int = 0, lines: int | None = None) -> str:
        """Return lines in view, by default all, as text; a line that was wrapped is one line again."""
        first = self.emulator.lines_above + y
        return self.emulator.copy_text(first, first + (lines or self.emulator.rows)).strip("\n")

    def line_text(self, y: int) -> str:
        """Return one line in view, as text."""
        return "".join(segment.text for segment in self.emulator.line(y)).rstrip()

    def close(self) -> None:
        """End the session."""
        session, self.session = self.session, None
        if session is not None:
            session.close()
        self.end_search()
        self.stop_log("")
