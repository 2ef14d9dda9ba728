"""Open consoles: each outlives the streams it is made of, for guests restart, move and lose their hosts."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from kvmtui.engine.attachment import Attachment
from kvmtui.engine.audit import Audit, Entry
from kvmtui.engine.console_output import OutputBuffer
from kvmtui.engine.console_record import ConsoleRecord
from kvmtui.engine.console_state import ConsoleDeed, ConsoleOutput, ConsoleState
from kvmtui.engine.console_trouble import trouble
from kvmtui.engine.typed_line import INTERRUPT, TypedLine
from kvmtui.engine.whereabouts import find_vm, has_left, is_held_for_move, why_absent
from kvmtui.hypervisor.errors import CallTimedOut, ConsoleBusy, HypervisorError
from kvmtui.hypervisor.lanes import Opener
from kvmtui.model.clean import clean_message
from kvmtui.model.fleet import Fleet
from kvmtui.model.vm import VmKey

_log = logging.getLogger(__name__)
_OPEN_DEADLINE_S = 15.0
_BACKOFF_MAX_S = 30.0
_SOUND_S = 5.0
"""A stream that lasted so long was in order."""
_CLOSE_LINGERS_S, _LINK_LINGERS_S = 5.0, 40.0
"""How long libvirtd may hold a session that was closed, and one whose link broke: its keepalive takes half a minute."""
_HELD_AGAIN_S = 3.0
"""How often is looked whether a console that another client has is free: opening it is the only way to know."""
_PASTE_START, _PASTE_END = b"\x1b[200~", b"\x1b[201~"


@dataclass(frozen=True, slots=True)
class ConsoleHosts:
    """What consoles need of the engine."""

    fleet: Callable[[], Fleet]
    opener: Callable[[str], Opener]
    """How a console's lane connects to a host."""
    look: Callable[[str], None]
    """Asks for a fresh look at a host soon."""
    clock: Callable[[], float]
    audit: Audit


class Console:
    """One console session; any thread may call any method, and none waits for a host."""

    def __init__(
        self,
        key: VmKey,
        device: str | None,
        hosts: ConsoleHosts,
        wake: Callable[[], None],
        let_go: dict[VmKey, float],
    ) -> None:
        """`wake` is called from a foreign thread when there is something to take.

        `let_go` is shared by all consoles: until when a host may still hold a session of ours that has ended.
        """
        self._let_go = let_go
        self._key = key
        self._device = device
        self._hosts = hosts
        self._wake = wake
        self._output = OutputBuffer()
        self._state = ConsoleState.OPENING
        self._message = ""
        self._since_s = hosts.clock()
        self._failures = 0
        self._attachment: Attachment | None = None
        self._knocking = False
        """Whether a console that is held is being tried."""
        self._knocked_at_s = -inf
        self._was_ours = False
        """Whether this guest's console was open here until the host ended that: who has it now has taken it over."""
        self._closed = False
        self._record = ConsoleRecord(hosts.fleet, hosts.audit)
        self._line = TypedLine(hosts.clock)
        self._mark = self._lost = ""
        """What the console has to show, and what it will have when it is open again."""
        self._run: tuple[str, int | None] = ("", None)
        """The host and the id of the run that it was open to last."""
        self._lock = threading.Lock()
        self._attach(key, force=False, was=ConsoleState.OPENING, asked=True)

    @property
    def closed(self) -> bool:
        """Whether it has been given up."""
        return self._closed

    def take(self) -> ConsoleOutput:
        """Return and forget what has come."""
        with self._lock:
            found = ConsoleOutput(
                *self._output.take(),
                self._state,
                self._message,
                self._key,
                self._mark,
                self._record.take_deeds(),
                dropped_until=self._line.dropped_until,
            )
            self._mark = ""
            if self._state is ConsoleState.OPEN:
                self._message = ""
        return found

    def write(self, data: bytes) -> None:
        """Send bytes to the guest when it takes them; what is written while it is neither open nor opening is lost."""
        vm = self._hosts.fleet().vm(self._key)
        with self._lock:
            attachment = self._attachment if self._state in (ConsoleState.OPEN, ConsoleState.OPENING) else None
            if attachment is None:
                self._line.missed(data)
            elif not self._line.sends(data, stands_still=is_held_for_move(vm)):
                attachment = None
        if attachment is None:
            self._wake()
            return
        # An interrupt is meant to stop what has not got there yet, too.
        dropped = attachment.drop_unsent() if data == INTERRUPT else b""
        data = _end_of_paste(dropped) + data
        if b"\r" in dropped:
            lines = dropped.rstrip(b"\r").count(b"\r") + 1
            self.told(attachment, f"paste stopped: {lines} line{'' if lines == 1 else 's'} not sent")
        elif dropped:
            self.told(attachment, f"stopped: {len(dropped)} bytes not sent")
        if not attachment.write(data):
            self.told(attachment, "too much at once: this was not sent")

    def missed(self, data: bytes) -> None:
        """Take note of keys that were typed while they could not be sent."""
        with self._lock:
            self._line.missed(data)

    @property
    def unsent_lines(self) -> int:
        """How many lines of a paste have not been sent yet; 0 while none is under way."""
        attachment = self._attachment
        return 0 if attachment is None else attachment.unsent_lines

    def reply(self, data: bytes) -> None:
        """Answer a question of the guest's; dropped while others wait, so that keys do not wait behind answers."""
        with self._lock:
            attachment = self._attachment if self._state is ConsoleState.OPEN else None
        if attachment is not None:
            attachment.reply(data)

    def take_over(self) -> None:
        """Attach to a console that is held, ending the other client's session."""
        _log.info("intent take over the console of %s on %s", *reversed(self._key))
        self._attach(self._key, force=True, was=ConsoleState.HELD, asked=True)

    def reattach(self) -> None:
        """Try again now."""
        state = self._state
        if state not in (ConsoleState.OPEN, ConsoleState.OPENING):
            self._failures = 0
            found = find_vm(self._hosts.fleet(), self._key, -inf) or self._key
            self._attach(found, force=False, was=state, asked=True)

    def send_break(self) -> None:
        """Let the guest see a break on the line; `take` tells what came of it."""
        with self._lock:
            attachment = self._attachment if self._state is ConsoleState.OPEN else None
        if attachment is None:
            return
        _log.info("intent break on the console of %s on %s", *reversed(self._key))
        entry = self._record.intent(self._key, "send-break")

        def ended(error: BaseException | None, told: str) -> None:
            if error is not None and not isinstance(error, HypervisorError):
                _log.error("sending a break", exc_info=error)
            why = "" if error is None else str(error)
            entry.outcome("done" if error is None else "failed", told or why)
            self._record.add_deed(ConsoleDeed("send a break to", error is None, clean_message(why)))
            self.told(attachment, told if error is None else f"no break was sent: {why}")
            self._wake()

        attachment.send_break(entry.wait, ended)

    def close(self) -> None:
        """End the session, dropping what has not been sent."""
        with self._lock:
            self._closed = True
            attachment, self._attachment = self._attachment, None
            was_open = self._state is ConsoleState.OPEN
            entry = self._record.leave_session()
        if entry is not None:
            entry.outcome("ended" if was_open else "failed", "left" if was_open else "left before it was open")
        if attachment is not None:
            self._let_go[self._key] = self._hosts.clock() + _CLOSE_LINGERS_S
            attachment.close()

    def watch(self) -> None:
        """Go on where the fleet says that it is time; called whenever the fleet has changed."""
        with self._lock:
            attachment, state, key, since_s = self._attachment, self._state, self._key, self._since_s
            knocking, knocked_at_s = self._knocking, self._knocked_at_s
        if attachment is None:
            return
        now_s = self._hosts.clock()
        fleet, passed_s = self._hosts.fleet(), now_s - since_s
        tried, tried_s = knocking or state is ConsoleState.OPENING, now_s - (knocked_at_s if knocking else since_s)
        if state is ConsoleState.OPEN:
            attachment.go_on()
        elif tried and tried_s > _OPEN_DEADLINE_S:
            attachment.abandon()
            self._failed(attachment, CallTimedOut(f"no answer for {_OPEN_DEADLINE_S:.0f} s"))
        elif state is ConsoleState.HELD:
            if has_left(fleet, key, since_s):
                self._was_ours = False
                self._change(attachment, ConsoleState.WAITING, why_absent(fleet, key, since_s), was=state)
            else:
                self._knock(attachment)
        elif state is ConsoleState.WAITING:
            found = find_vm(fleet, key, since_s)
            if found is None:
                if reason := why_absent(fleet, key, since_s):
                    self._was_ours = False
                    self._change(attachment, state, reason, was=state)
            elif passed_s >= self._pause_s() and not attachment.hangs:
                self._attach(found, force=False, was=state)

    # What an attachment tells, from its lane or from libvirt's own loop.

    def opened(self, attachment: Attachment, error: BaseException | None) -> None:
        """Take note that an attachment is open, or why not."""
        with self._lock:
            knocked = self._knocking and attachment is self._attachment
            if knocked:
                self._knocking, self._knocked_at_s = False, self._hosts.clock()
        if error is None:
            was, message = (ConsoleState.HELD, "free now: attached") if knocked else (ConsoleState.OPENING, "")
            # It may have ended already, or the VM have left meanwhile.
            if self._change(attachment, ConsoleState.OPEN, message, was=was):
                self._note_open(knocked=knocked)
            else:
                attachment.close()
        elif knocked and isinstance(error, ConsoleBusy):
            pass
        elif isinstance(error, HypervisorError):
            self._failed(attachment, error)
        else:
            why = "an internal error; run with --log FILE to see it"
            entry = self._broke(attachment)
            self._change(attachment, ConsoleState.ENDED, why)
            self._record.failed(entry, self._key, why)

    def output(self, attachment: Attachment, data: bytes) -> None:
        """Take bytes from the guest; the oldest are dropped when nobody empties the buffer."""
        with self._lock:
            if attachment is not self._attachment:
                return
            first = self._output.add(data)
        if first:
            self._wake()

    def ended(self, attachment: Attachment, reason: str, *, by_host: bool) -> None:
        """Take note of a stream's end, and have its host looked at: what was seen before does not tell why.

        `by_host` says that the host ended it, over a link that is in order.
        """
        lasted_s = self._hosts.clock() - self._since_s
        entry = self._broke(attachment)
        if self._change(attachment, ConsoleState.WAITING, reason):
            # One that ends as it begins is tried less and less, as one that does not begin.
            self._failures = self._failures + 1 if lasted_s < _SOUND_S else 0
            self._was_ours = by_host
            self._let_go[self._key] = self._hosts.clock() + (_CLOSE_LINGERS_S if by_host else _LINK_LINGERS_S)
            attachment.close()
            self._hosts.look(self._key.host)
        if entry is not None:
            entry.outcome("ended", reason)

    def told(self, attachment: Attachment, text: str) -> None:
        """Show a text once while the console is open."""
        with self._lock:
            if attachment is not self._attachment or self._state is not ConsoleState.OPEN:
                return
            self._message = clean_message(text)
        _log.info("console of %s: %s", self._key.uuid, text)
        self._wake()

    # Steps from one state to the next.

    def _attach(self, key: VmKey, *, force: bool, was: ConsoleState, asked: bool = False) -> None:
        """Open a new stream, unless the state is not what it was any more: two streams would shut each other out.

        What was `asked` for by the user is announced to the audit; what happens by itself only when it has succeeded.
        """
        with self._lock:
            if self._closed or self._state is not was:
                return
            before = self._attachment
            if before is None or before.closed or self._knocking or key.host != self._key.host:
                attachment = Attachment(key.uuid, self._hosts.opener(key.host), self, self._executes)
            else:
                attachment = before
            self._attachment, self._knocking = attachment, False
            self._key, self._state, self._message = key, ConsoleState.OPENING, ""
            self._since_s = self._hosts.clock()
            first = self._record.opening(key, force=force, asked=asked)
            self._lost = self._line.resume(same_line=was is ConsoleState.WAITING and self._same_line(key))
        attachment.open(key.uuid, self._device, force=force, first=first)
        if before is not None:
            if before is not attachment:
                before.close()
            self._wake()

    def _knock(self, attachment: Attachment) -> None:
        """See whether a console that is held is free by now, over the connection that is there."""
        with self._lock:
            now_s = self._hosts.clock()
            due = now_s - max(self._knocked_at_s, self._since_s) >= _HELD_AGAIN_S
            if not due or self._knocking or self._closed or attachment is not self._attachment:
                return
            self._knocking, self._knocked_at_s = True, now_s
        attachment.open(self._key.uuid, self._device, force=False)

    def _note_open(self, *, knocked: bool) -> None:
        """Take note that a stream is open, and tell of it."""
        with self._lock:
            if knocked:
                self._lost = self._line.resume(same_line=False)
            self._line.resumed()
            key, run, fleet = self._key, self._run, self._hosts.fleet()
            vm, host = fleet.vm(key), fleet.hosts.get(key.host)
            self._run = (key.host, vm.id if vm is not None else None)
            if self._lost:
                moved = run[0] not in ("", key.host) and host is not None
                self._mark = clean_message(f"now on {host.name}: {self._lost}" if moved and host else self._lost)
        self._record.opened(key)
        self._wake()

    def _broke(self, attachment: Attachment) -> Entry | None:
        """Take note that a stream ended or never began; return what the audit has of it."""
        with self._lock:
            if attachment is not self._attachment:
                return None
            self._line.broke(unsent=bool(attachment.drop_unsent()))
            return self._record.leave_session()

    def _same_line(self, key: VmKey) -> bool:
        """Whether the guest there is in the run that it was in, so that it still has what was typed."""
        vm = self._hosts.fleet().vm(key)
        host, run = self._run
        return bool(host) and (host != key.host or (vm is not None and vm.id == run))

    def _failed(self, attachment: Attachment, error: HypervisorError) -> None:
        self._failures += 1
        with self._lock:
            self._knocking = self._knocking and attachment is not self._attachment
        self._record.failed(self._broke(attachment), self._key, str(error))
        lingers = self._hosts.clock() < self._let_go.get(self._key, -inf)
        found = trouble(error, self._hosts.fleet(), self._key, lingers=lingers, was_ours=self._was_ours)
        if self._change(attachment, found.state, found.message) and not found.connected:
            attachment.close()

    def _change(
        self, attachment: Attachment | None, state: ConsoleState, message: str, was: ConsoleState | None = None
    ) -> bool:
        """Enter a state, unless things have gone on since the caller looked; return whether it was entered."""
        message = clean_message(message)
        with self._lock:
            if attachment is not self._attachment or self._closed or was not in (None, self._state):
                return False
            if state is not self._state:
                self._since_s = self._hosts.clock()
            same = (state, message) == (self._state, self._message)
            self._state, self._message = state, message
        if not same:
            self._wake()
        return True

    def _pause_s(self) -> float:
        """Return how long to wait before the next try."""
        return min(_BACKOFF_MAX_S, 2.0 ** min(self._failures - 1, 10)) if self._failures else 0.0

    def _executes(self) -> bool:
        vm = self._hosts.fleet().vm(self._key)
        return vm is not None and vm.state.executing


class Consoles:
    """All open consoles."""

    def __init__(self, hosts: ConsoleHosts) -> None:
        self._hosts = hosts
        self._open: tuple[Console, ...] = ()
        self._let_go: dict[VmKey, float] = {}
        self._lock = threading.Lock()

    def open(self, key: VmKey, wake: Callable[[], None], device: str | None) -> Console:
        """Open a VM's serial console."""
        console = Console(key, device, self._hosts, wake, self._let_go)
        with self._lock:
            self._open = (*self._open, console)
        return console

    def watch(self) -> None:
        """Let all go on where the fleet says that it is time."""
        if any(console.closed for console in self._open):
            with self._lock:
                self._open = tuple(console for console in self._open if not console.closed)
        for console in self._open:
            try:
                console.watch()
            except Exception:  # noqa: BLE001 - a defect here must not keep the fleet from anybody
                _log.exception("console of %s", console)

    def close(self) -> None:
        """End all sessions."""
        for console in self._open:
            console.close()


def _end_of_paste(dropped: bytes) -> bytes:
    """Return what ends a bracketed paste that was cut: until then a program takes each key for a part of it."""
    if dropped.count(_PASTE_END) > dropped.count(_PASTE_START):
        return _PASTE_END
    return dropped if _PASTE_END.endswith(dropped) else b""
