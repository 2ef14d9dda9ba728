"""Consoles of the engine on the demo hosts: how they open, end, wait, come back and follow."""

import threading
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from kvmtui.engine.attachment import Attachment
from kvmtui.engine.console_state import ConsoleOutput, ConsoleState
from kvmtui.engine.consoles import Console
from kvmtui.engine.whereabouts import find_vm, why_absent
from kvmtui.hypervisor.errors import ConnectFailed, LinkLost
from kvmtui.model.actions import Verb
from kvmtui.model.fleet import Fleet
from kvmtui.model.host import Host, Link
from kvmtui.model.host_vms import HostVms
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.vm import Vm, VmKey, VmState
from tests.unit.test_engine import Bench, bench

__all__ = ["bench"]


class Seen:
    """A console, and all that it has shown."""

    def __init__(self, bench: Bench, name: str, device: str | None = None) -> None:
        self._bench = bench
        self.woken = threading.Semaphore(0)
        self.text = ""
        self.messages: list[str] = []
        self.skipped = 0
        self.console = bench.engine.open_console(bench.demo.find(name), self.woken.release, device)

    def look(self) -> ConsoleOutput:
        output = self.console.take()
        self.text += output.data.decode()
        self.skipped += output.skipped_bytes
        if output.message:
            self.messages.append(output.message)
        return output

    def wait(self, state: ConsoleState) -> ConsoleOutput:
        """Wait for a state without any time passing."""
        found: list[ConsoleOutput] = []

        def there() -> bool:
            found.append(self.look())
            return found[-1].state is state

        self._bench.wait_until(there, f"{state}, after {self.messages}")
        return found[-1]

    def wait_text(self, text: str) -> None:
        self._bench.wait_until(lambda: self.look() and text in self.text, f"{text!r} in {self.text!r}")

    def tick_until(self, state: ConsoleState) -> ConsoleOutput:
        """Let seconds pass until the state is there."""
        found: list[ConsoleOutput] = []

        def there() -> bool:
            found.append(self.look())
            return found[-1].state is state

        self._bench.tick_until(there, f"{state}, after {self.messages}")
        return found[-1]


@pytest.fixture
def open_console(bench: Bench) -> Iterator[Callable[..., Seen]]:
    made: list[Console] = []

    def make(name: str, device: str | None = None) -> Seen:
        seen = Seen(bench, name, device)
        made.append(seen.console)
        return seen

    yield make
    for console in made:
        console.close()


OpenConsole = Callable[..., Seen]


def perform(bench: Bench, verb: Verb, key: VmKey) -> None:
    """Do something to a VM as another client would."""
    bench.demo.open(key.host, read_only=False).perform(verb, key.uuid)


def hold(bench: Bench, key: VmKey, *, force: bool = False) -> list[str]:
    """Open a console as another client; return where the reason of its end will be."""
    return hold_until(bench, key, force=force)[0]


def hold_until(bench: Bench, key: VmKey, *, force: bool = False) -> tuple[list[str], Callable[[], None]]:
    """Open a console as another client; return where the reason of its end will be, and how it leaves."""
    ends: list[str] = []

    class Sink:
        def output(self, data: bytes) -> None:
            pass

        def ended(self, reason: str, *, by_host: bool) -> None:
            ends.append(reason)

    stream = bench.demo.open(key.host, read_only=False).open_console(key.uuid, Sink(), force=force)
    return ends, stream.close


def test_what_is_typed_before_it_is_open_is_not_lost(bench: Bench, open_console: OpenConsole) -> None:
    seen = open_console("web1")
    seen.console.write(b"echo hello\r")
    seen.wait_text("\r\nhello\r\n")
    output = seen.wait(ConsoleState.OPEN)
    assert output.key == bench.demo.find("web1")
    assert output.message == ""
    assert seen.woken.acquire(timeout=60)


def test_a_guest_that_is_shut_off_and_started_is_attached_again(bench: Bench, open_console: OpenConsole) -> None:
    seen, key = open_console("web1"), bench.demo.find("web1")
    seen.wait(ConsoleState.OPEN)
    perform(bench, Verb.FORCE_OFF, key)
    assert seen.wait(ConsoleState.WAITING).message == "the VM was shut off"
    bench.tick_until(lambda: "attached when it starts" in seen.look().message, "what it waits for")
    seen.text = ""
    perform(bench, Verb.START, key)
    seen.tick_until(ConsoleState.OPEN)
    seen.console.write(b"echo back\r")
    seen.wait_text("\r\nback\r\n")


def test_while_it_waits_nothing_is_tried(
    bench: Bench, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, key = open_console("web1"), bench.demo.find("web1")
    seen.wait(ConsoleState.OPEN)
    perform(bench, Verb.FORCE_OFF, key)
    seen.wait(ConsoleState.WAITING)
    opened: list[bool] = []
    real = bench.demo.open

    def counting(uri: str, *, read_only: bool, on_event: Callable[[], None] | None = None) -> object:
        opened.append(read_only)
        return real(uri, read_only=read_only, on_event=on_event)

    monkeypatch.setattr(bench.demo, "open", counting)
    for _ in range(20):
        bench.clock.advance(1)
        bench.engine.tick()
    assert False not in opened
    assert seen.look().state is ConsoleState.WAITING


def test_what_fails_again_and_again_is_tried_less_and_less(
    bench: Bench, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[float] = []

    def breaks(*_: object) -> None:
        attempts.append(bench.clock())
        raise LinkLost("broken pipe")

    monkeypatch.setattr("kvmtui.hypervisor.demo.console.DemoConsole", breaks)
    seen = open_console("web1")
    for _ in range(60):
        seen.wait(ConsoleState.WAITING)
        bench.clock.advance(1)
        bench.engine.tick()
    pauses = [second - first for first, second in pairwise(attempts)]
    assert len(pauses) >= 3
    assert all(later > earlier for earlier, later in pairwise(pauses[:4]))


def test_what_has_failed_for_days_is_still_tried_and_harms_nobody(bench: Bench, open_console: OpenConsole) -> None:
    seen, key = open_console("web1"), bench.demo.find("web1")
    seen.wait(ConsoleState.OPEN)
    perform(bench, Verb.FORCE_OFF, key)
    seen.wait(ConsoleState.WAITING)
    seen.console._failures = 5000
    perform(bench, Verb.START, key)
    seen.tick_until(ConsoleState.OPEN)


def test_a_defect_in_one_console_keeps_the_fleet_from_nobody(
    bench: Bench, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = open_console("web1")
    other = open_console("web2")
    other.wait(ConsoleState.OPEN)
    told: list[bool] = []
    bench.engine.listeners.fleet_changed = lambda: told.append(True)
    monkeypatch.setattr(seen.console, "watch", lambda: 1 / 0)
    bench.engine.tick()
    assert told
    assert {host.problem for host in bench.engine.fleet.hosts.values()} == {""}


def test_a_host_that_refuses_is_knocked_at_once_an_attempt(
    bench: Bench, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[bool] = []
    real = bench.demo.open

    def refuse(uri: str, *, read_only: bool, on_event: Callable[[], None] | None = None) -> object:
        if not read_only:
            opened.append(True)
            raise ConnectFailed("refused")
        return real(uri, read_only=read_only, on_event=on_event)

    monkeypatch.setattr(bench.demo, "open", refuse)
    seen = open_console("web1")
    seen.wait(ConsoleState.WAITING)
    lane = seen.console._attachment
    assert lane is not None
    bench.wait_until(lambda: not lane._lane.alive, "its lane to end")
    assert len(opened) == 1


def test_while_a_call_hangs_no_other_is_made(
    bench: Bench, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    perform(bench, Verb.FORCE_OFF, bench.demo.find("web1"))
    seen.wait(ConsoleState.WAITING)
    # A lane that has been given up, and whose call does not return.
    monkeypatch.setattr(Attachment, "hangs", True)
    perform(bench, Verb.START, bench.demo.find("web1"))
    for _ in range(5):
        bench.clock.advance(10)
        bench.engine.tick()
    assert seen.look().state is ConsoleState.WAITING
    monkeypatch.setattr(Attachment, "hangs", False)
    seen.tick_until(ConsoleState.OPEN)


def test_our_own_last_session_is_waited_for_and_not_taken_for_anothers(bench: Bench, open_console: OpenConsole) -> None:
    key = bench.demo.find("web1")
    first = open_console("web1")
    first.wait(ConsoleState.OPEN)
    attachment = first.console._attachment
    assert attachment is not None
    first.console.close()
    bench.wait_until(lambda: not attachment._lane.alive, "its end")
    hold(bench, key)
    second = open_console("web1")
    second.wait(ConsoleState.WAITING)
    assert "not let go of the last session" in second.look().message
    # In the end it is another's after all.
    second.tick_until(ConsoleState.HELD)


def test_the_end_of_a_stream_that_was_replaced_is_nothing(bench: Bench, open_console: OpenConsole) -> None:
    seen, key = open_console("web1"), bench.demo.find("web1")
    seen.wait(ConsoleState.OPEN)
    old = seen.console._attachment
    assert old is not None
    perform(bench, Verb.FORCE_OFF, key)
    perform(bench, Verb.START, key)
    seen.wait(ConsoleState.WAITING)
    seen.tick_until(ConsoleState.OPEN)
    seen.text = ""
    seen.console.ended(old, "late", by_host=True)
    seen.console.output(old, b"late")
    seen.console.told(old, "late")
    output = seen.look()
    assert (output.state, output.message) == (ConsoleState.OPEN, "")
    assert "late" not in seen.text


def test_a_reboot_does_not_end_it(bench: Bench, open_console: OpenConsole) -> None:
    seen = open_console("web1")
    seen.wait_text("root@web1")
    seen.text = ""
    perform(bench, Verb.REBOOT, bench.demo.find("web1"))
    bench.tick_until(lambda: seen.look() and "automatic login" in seen.text, "a login")
    assert "Linux version" in seen.text
    assert seen.look().state is ConsoleState.OPEN


def test_it_follows_a_migration_that_another_client_made(bench: Bench, open_console: OpenConsole) -> None:
    seen, key = open_console("web1"), bench.demo.find("web1")
    seen.wait(ConsoleState.OPEN)
    destination = next(uri for uri in bench.demo.uris if uri != key.host)
    other = bench.demo.open(key.host, read_only=False)
    moving = threading.Thread(
        target=other.migrate, args=(key.uuid, destination, MigrationOptions()), kwargs={"peer_to_peer": True}
    )
    moving.start()
    bench.tick_until(lambda: bench.demo.find("web1").host == destination, "the VM there")
    moving.join(10)
    output = seen.tick_until(ConsoleState.OPEN)
    assert output.key == VmKey(destination, key.uuid)
    seen.text = ""
    seen.console.write(b"echo here\r")
    seen.wait_text("\r\nhere\r\n")


def test_a_console_that_is_held_can_be_taken_over(bench: Bench, open_console: OpenConsole) -> None:
    ends = hold(bench, bench.demo.find("web1"))
    seen = open_console("web1")
    assert "another client has this console open" in seen.wait(ConsoleState.HELD).message
    seen.console.write(b"echo lost\r")
    seen.console.reattach()
    seen.wait(ConsoleState.HELD)
    assert ends == []
    seen.console.take_over()
    seen.wait(ConsoleState.OPEN)
    assert ends == ["another client took the console over"]
    assert "lost" not in seen.text


def test_a_held_console_is_attached_when_the_other_client_leaves(
    bench: Bench, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, leave = hold_until(bench, bench.demo.find("web1"))
    seen = open_console("web1")
    seen.wait(ConsoleState.HELD)
    opened: list[bool] = []
    real = bench.demo.open

    def counting(uri: str, *, read_only: bool, on_event: Callable[[], None] | None = None) -> object:
        opened.append(read_only)
        return real(uri, read_only=read_only, on_event=on_event)

    monkeypatch.setattr(bench.demo, "open", counting)
    for _ in range(10):
        bench.clock.advance(1)
        bench.engine.tick()
        assert seen.look().state is ConsoleState.HELD
    assert ends == []
    leave()
    seen.tick_until(ConsoleState.OPEN)
    assert "free now" in seen.messages[-1]
    assert False not in opened, "it is tried over the connection that is there"
    seen.console.write(b"echo mine\r")
    seen.wait_text("\r\nmine\r\n")


def test_what_was_typed_for_a_try_that_failed_is_not_typed_later(bench: Bench, open_console: OpenConsole) -> None:
    _, leave = hold_until(bench, bench.demo.find("web1"))
    seen = open_console("web1")
    seen.console.write(b"echo stale\r")
    seen.wait(ConsoleState.HELD)
    leave()
    seen.tick_until(ConsoleState.OPEN)
    seen.console.write(b"echo mine\r")
    seen.wait_text("\r\nmine\r\n")
    assert "stale" not in seen.text


def test_a_held_console_whose_host_hangs_is_given_up_and_tried_again(bench: Bench, open_console: OpenConsole) -> None:
    key = bench.demo.find("web1")
    hold(bench, key)
    seen = open_console("web1")
    seen.wait(ConsoleState.HELD)
    bench.demo.hang_host(key.host)
    bench.clock.advance(5)
    seen.console.watch()
    bench.clock.advance(10)
    seen.console.watch()
    assert seen.look().state is ConsoleState.HELD
    bench.clock.advance(6)
    seen.console.watch()
    output = seen.look()
    assert output.state is ConsoleState.WAITING, "who has it cannot be known while its host does not answer"
    assert "no answer for 15 s" in output.message
    bench.demo.release_host(key.host)
    seen.tick_until(ConsoleState.HELD)


def test_a_held_console_that_is_being_tried_can_be_taken_over(bench: Bench, open_console: OpenConsole) -> None:
    key = bench.demo.find("web1")
    ends = hold(bench, key)
    seen = open_console("web1")
    seen.wait(ConsoleState.HELD)
    bench.demo.hang_host(key.host)
    bench.clock.advance(5)
    seen.console.watch()
    assert seen.console._knocking
    seen.console.take_over()
    bench.demo.release_host(key.host)
    seen.wait(ConsoleState.OPEN)
    assert ends == ["another client took the console over"]
    for _ in range(5):
        bench.clock.advance(1)
        bench.engine.tick()
    assert seen.look().state is ConsoleState.OPEN


def test_that_it_was_taken_over_is_said_and_soon(bench: Bench, open_console: OpenConsole) -> None:
    seen, key = open_console("web1"), bench.demo.find("web1")
    seen.wait(ConsoleState.OPEN)
    hold(bench, key, force=True)
    ended_at_s = bench.clock()
    assert "has taken this console over" in seen.tick_until(ConsoleState.HELD).message
    assert bench.clock() - ended_at_s < 15
    # Who has it when the guest has been off has not taken it from anybody.
    perform(bench, Verb.FORCE_OFF, key)
    seen.tick_until(ConsoleState.WAITING)
    bench.engine.tick()
    perform(bench, Verb.START, key)
    hold(bench, key)
    assert "has this console open" in seen.tick_until(ConsoleState.HELD).message


def test_one_opened_before_its_guest_starts_has_the_boot_from_the_first_byte(
    bench: Bench, open_console: OpenConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = bench.demo.find("web1")
    perform(bench, Verb.FORCE_OFF, key)
    bench.engine.tick()
    seen = open_console("web1")
    assert "the VM is shut off; it is attached when it starts" in seen.wait(ConsoleState.WAITING).message
    bench.clock.advance(600)
    bench.engine.tick()
    perform(bench, Verb.START, key)
    monkeypatch.setattr(bench.demo, "open", lambda *_, **__: pytest.fail("the connection is there already"))
    bench.engine.tick()
    seen.wait(ConsoleState.OPEN)
    seen.wait_text("web1")


def test_one_that_another_client_takes_over_does_not_fight_back(bench: Bench, open_console: OpenConsole) -> None:
    seen, key = open_console("web1"), bench.demo.find("web1")
    seen.wait(ConsoleState.OPEN)
    second = open_console("web1")
    second.wait(ConsoleState.HELD)
    second.console.take_over()
    second.wait(ConsoleState.OPEN)
    seen.tick_until(ConsoleState.HELD)
    # A guest that starts anew is there for both; the first that comes has it.
    perform(bench, Verb.FORCE_OFF, key)
    seen.tick_until(ConsoleState.WAITING)
    assert second.look().state is ConsoleState.WAITING


def test_a_host_that_is_lost_and_found(bench: Bench, open_console: OpenConsole) -> None:
    seen, key = open_console("web1"), bench.demo.find("web1")
    seen.wait(ConsoleState.OPEN)
    bench.demo.host_down(key.host)
    seen.tick_until(ConsoleState.WAITING)
    bench.tick_until(lambda: "its host does not answer" in seen.look().message, "the reason")
    bench.demo.host_up(key.host)
    seen.tick_until(ConsoleState.OPEN)


def test_a_host_that_does_not_answer_is_given_up(bench: Bench, open_console: OpenConsole) -> None:
    key = bench.demo.find("web1")
    bench.demo.hang_host(key.host)
    seen = open_console("web1")
    try:
        bench.clock.advance(16)
        bench.engine.refresh()
        # The tick of a host that hangs takes its deadline; the others' are enough to look at the consoles.
        bench.engine._fleet_changed()
        assert "no answer for 15 s" in seen.wait(ConsoleState.WAITING).message
    finally:
        bench.demo.release_host(key.host)
    seen.tick_until(ConsoleState.OPEN)


@pytest.mark.parametrize("device", [None, "serial1"])
def test_devices(bench: Bench, open_console: OpenConsole, device: str | None) -> None:
    key = bench.demo.find("web1")
    bench.demo.add_vm(key.host, "two", consoles=("serial0", "serial1"))
    open_console("two", device).wait(ConsoleState.OPEN)
    open_console("two", "serial0" if device else "serial1").wait(ConsoleState.OPEN)
    assert "serial7" in open_console("two", "serial7").wait(ConsoleState.ENDED).message


def test_without_a_serial_device_it_says_what_to_do(bench: Bench, open_console: OpenConsole) -> None:
    bench.demo.add_vm(bench.demo.uris[0], "mute", consoles=())
    bench.engine.tick()
    message = open_console("mute").wait(ConsoleState.ENDED).message
    for words in ("virsh -c demo://h1 edit mute", "<serial type='pty'/>", "console=ttyS0", "serial-getty@ttyS0"):
        assert words in message
    assert "…" not in message


def test_read_only_opens_nothing() -> None:
    bench = Bench(read_only=True)
    bench.engine.tick()
    seen = Seen(bench, "web1")
    for again in (seen.console.reattach, seen.console.take_over, seen.console.send_break, lambda: None):
        assert "--read-only" in seen.wait(ConsoleState.ENDED).message
        seen.console.write(b"reboot\r")
        again()
    assert seen.text == ""
    hold(bench, bench.demo.find("web1"))  # Nobody has it.
    bench.engine.stop()


def test_a_break_tells_what_came_of_it_once(open_console: OpenConsole) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    seen.console.send_break()
    seen.wait_text("sysrq: HELP")
    seen._bench.wait_until(lambda: seen.look() and seen.messages, "the outcome")
    assert seen.messages == ["break sent"]


def test_a_flood_that_nobody_takes_stays_bounded(bench: Bench, open_console: OpenConsole) -> None:
    seen = open_console("web1")
    seen.console.write(b"yes ja\r")
    seen.wait_text("yes ja\r\n")
    for _ in range(40):
        bench.clock.advance(0.02)
    output = seen.look()
    assert len(output.data) <= 1024 * 1024
    assert len(output.data) + output.skipped_bytes >= 39 * 99_000
    assert output.skipped_bytes > 0
    assert seen.look().skipped_bytes == 0
    seen.console.write(b"\x03")
    seen.wait_text("^C")


class Stream:
    """A guest's line that keeps what is written to it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.taking = threading.Event()
        self.taking.set()
        self.broken = False
        self.begun = 0
        """How many pieces were begun to be written."""

    def write(self, data: bytes) -> int:
        self.begun += 1
        assert self.taking.wait(10)
        if self.broken:
            raise LinkLost("broken pipe")
        taken = max(1, len(data) - 1)
        self.pieces.append(data[:taken])
        return taken

    def send_break(self) -> str:
        return ""

    def close(self) -> None:
        pass


@pytest.fixture
def line(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Stream:
    """A line that takes the place of the demo's."""
    stream = Stream()
    monkeypatch.setattr("kvmtui.hypervisor.demo.console.DemoConsole", lambda *_: FakeConsole(stream))
    return stream


class FakeConsole:
    def __init__(self, stream: Stream) -> None:
        self.device = "serial0"
        self.usurped = False
        self.write = stream.write
        self.send_break = stream.send_break
        self.close = stream.close

    def occupies(self, *_: object) -> bool:
        return False

    def review(self) -> None:
        return None


def test_a_paste_is_sent_in_pieces_and_whole(bench: Bench, line: Stream, open_console: OpenConsole) -> None:
    seen, text = open_console("web1"), bytes(range(256)) * 8
    seen.console.write(text)
    bench.wait_until(lambda: len(b"".join(line.pieces)) >= len(text), "all of it")
    assert b"".join(line.pieces) == text
    assert max(map(len, line.pieces)) <= 256


def test_answers_to_a_guest_that_asks_without_end_do_not_delay_keys(
    bench: Bench, line: Stream, open_console: OpenConsole
) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    line.taking.clear()
    for _ in range(1000):
        seen.console.reply(b"\x1b[24;80R")
    seen.console.write(b"key")
    line.taking.set()
    bench.wait_until(lambda: b"".join(line.pieces).endswith(b"key"), "the key")
    assert 8 <= len(b"".join(line.pieces)) < 600


def test_ctrl_c_overtakes_a_paste(bench: Bench, line: Stream, open_console: OpenConsole) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    seen.console.write(b"x" * 100_000)
    bench.wait_until(lambda: line.pieces, "a first piece")
    seen.console.write(b"\x03")
    bench.wait_until(lambda: line.pieces[-1] == b"\x03", "the interrupt")
    assert sum(map(len, line.pieces)) < 50_000


def test_what_is_not_sent_is_dropped_when_the_session_closes(
    bench: Bench, line: Stream, open_console: OpenConsole
) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    line.taking.clear()
    seen.console.write(b"x" * 100_000)
    seen.console.close()
    line.taking.set()
    passed = threading.Event()
    bench.wait_until(
        lambda: passed.wait(0.01) or not any("console" in t.name for t in threading.enumerate()), "the lane's end"
    )
    assert len(b"".join(line.pieces)) <= 512


def test_a_paste_waits_for_a_paused_guest_but_keys_do_not(
    bench: Bench, line: Stream, open_console: OpenConsole
) -> None:
    key = bench.demo.find("web1")
    perform(bench, Verb.PAUSE, key)
    bench.engine.tick()
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    line.pieces.clear()
    seen.console.write(b"k")
    bench.wait_until(lambda: line.pieces, "the key")
    seen.console.write(b"p" * 1000)
    bench.engine.tick()
    assert line.pieces == [b"k"]
    perform(bench, Verb.RESUME, key)
    bench.engine.tick()
    bench.wait_until(lambda: len(b"".join(line.pieces)) == 1001, "the paste")


def test_more_than_can_be_kept_is_refused_whole(bench: Bench, line: Stream, open_console: OpenConsole) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    seen.console.write(b"x" * (5 << 20))
    assert "not sent" in seen.look().message
    assert line.pieces in ([], [b""])


def test_a_line_that_breaks_while_writing_ends_the_stream(
    bench: Bench, line: Stream, open_console: OpenConsole
) -> None:
    seen = open_console("web1")
    seen.wait(ConsoleState.OPEN)
    line.broken = True
    seen.console.write(b"x")
    assert seen.wait(ConsoleState.WAITING).message == "broken pipe"


# Where a VM is


def fleet(*hosts: tuple[str, float | None, VmState | None, str], link: Link = Link.UP) -> Fleet:
    """Return hosts by name, the first with that link; with or without the VM."""
    made = Fleet()
    for number, (name, sampled_at_s, state, reason) in enumerate(hosts):
        vm = [Vm(VmKey(name, "u"), "web", 1, state, reason)] if state is not None else []
        made = made.with_host(
            Host(
                key=name,
                name=name,
                link=Link.UP if number else link,
                facts=None,
                vms=HostVms.of(vm),
                sampled_at_s=sampled_at_s,
            )
        )
    return made


ON, OFF, HELD_UP = VmState.RUNNING, VmState.SHUT_OFF, VmState.PAUSED


@pytest.mark.parametrize(
    ("hosts", "found", "why"),
    [
        # Seen before the end: it tells nothing.
        ((("a", 4.0, ON, ""), ("b", 9.0, None, "")), None, ""),
        ((("a", 4.0, ON, ""), ("b", 9.0, ON, "")), None, ""),
        ((("a", 6.0, ON, ""), ("b", 9.0, None, "")), "a", None),
        ((("a", 6.0, HELD_UP, ""), ("b", 9.0, None, "")), "a", None),
        ((("a", 6.0, OFF, ""), ("b", 9.0, None, "")), None, "shut off"),
        ((("a", 6.0, None, ""), ("b", 9.0, None, "")), None, "none of the hosts"),
        ((("a", 6.0, None, ""), ("b", 1.0, ON, "")), "b", None),
        ((("a", 6.0, OFF, "migrated"), ("b", 1.0, ON, "")), "b", None),
        ((("a", 6.0, HELD_UP, "migrating"), ("b", 9.0, HELD_UP, "migrating")), None, "on its way"),
        ((("a", 6.0, HELD_UP, "post-copy"), ("b", 9.0, ON, "")), "b", None),
        ((("a", 6.0, None, ""), ("b", 9.0, HELD_UP, "migrating")), None, "none of the hosts"),
    ],
)
def test_where_a_vm_is(hosts: tuple[tuple[str, float, VmState, str], ...], found: str | None, why: str | None) -> None:
    key = VmKey("a", "u")
    assert find_vm(fleet(*hosts), key, 5.0) == (VmKey(found, "u") if found else None)
    if why is not None:
        said = why_absent(fleet(*hosts), key, 5.0)
        assert why in said
        assert bool(why) == bool(said)


def test_a_host_that_is_down_tells_nothing_and_others_do() -> None:
    key = VmKey("a", "u")
    alone = fleet(("a", 6.0, ON, ""), ("b", 9.0, None, ""), link=Link.DOWN)
    assert find_vm(alone, key, 5.0) is None
    assert "does not answer" in why_absent(alone, key, 5.0)
    assert find_vm(fleet(("a", 6.0, ON, ""), ("b", 9.0, ON, ""), link=Link.DOWN), key, 5.0) == VmKey("b", "u")
