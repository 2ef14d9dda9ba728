"""Consoles on real guests: the engine as the program has it, and the emulator in place of the screen."""

import itertools
import re
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pexpect
import pytest

from kvmtui.engine.console_state import ConsoleOutput, ConsoleState
from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.libvirt_backend import LibvirtBackend
from kvmtui.model.vm import VmKey
from kvmtui.ui.emulator import Emulator
from tests.lab import population
from tests.lab.conftest import TinyFactory, connected
from tests.lab.guests import GuestSpec, guest_xml
from tests.lab.lab import Host, Lab, wait_until
from tests.lab.tools import CLEAN_ENVIRONMENT

COLUMNS, ROWS = 80, 24
#: What the program of this name does, which Debian's busybox is built without.
RESIZE = (
    r"resize() { stty raw -echo; printf '\0337\033[r\033[999;999H\033[6n'; IFS='[;' read -r -d R _ rows columns; "
    r"printf '\0338'; stty sane; stty rows $rows cols $columns; }"
    "\r"
)


class Screen:
    """An open console with a terminal that shows it."""

    def __init__(self, engine: Engine, key: VmKey, device: str | None = None) -> None:
        self.output = ConsoleOutput(b"")
        self.messages: list[str] = []
        self.received = b""
        self.marks: list[str] = []
        self.console = engine.open_console(key, lambda: None, device)
        self._emulator = Emulator(COLUMNS, ROWS, self.console.reply)

    @property
    def text(self) -> str:
        """What the terminal shows with all that has come."""
        self.output = self.console.take()
        if self.output.message:
            self.messages.append(self.output.message)
        self.received += self.output.data
        self.marks += [self.output.mark] if self.output.mark else []
        self._emulator.feed(self.output.data)
        self._emulator.take_dirty()
        lines = ("".join(segment.text for segment in self._emulator.line(row)).rstrip() for row in range(ROWS))
        return "\n".join(lines).rstrip()

    def type(self, keys: str) -> None:
        self.console.write(keys.encode())

    def see(self, *words: str, seconds: float = 20.0) -> None:
        """Wait until the screen shows all the words."""
        self.wait(lambda: all(word in self.text for word in words), " and ".join(words), seconds)

    def become(self, state: ConsoleState, seconds: float = 30.0) -> None:
        """Wait for a state."""
        self.wait(lambda: self.text is not None and self.output.state is state, state, seconds)

    def see_boot(self, spec: GuestSpec) -> None:
        """Wait until a guest has come up and its shell reads: it forgets what was typed before."""
        self.wait(lambda: f"lab: {spec.name} ready" in self.text and self.text.endswith("#"), "a shell", 60)

    def clear(self) -> None:
        """Have an empty screen with a prompt in the first line."""
        self.type("\x15clear\r")
        self.wait(lambda: len(self.text.split()) == 1 and self.text.endswith("#"), "a prompt alone")

    def run(self, command: str) -> None:
        """Type a command that says nothing, and wait until the shell reads again."""
        self.type(f"{command}\r")
        self.wait(lambda: command in self.text and self.text.endswith("#"), "a prompt again")

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
        deadline_s = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline_s, f"no {what} in {seconds:.0f} s: {self.output}\n{self.text}"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def guests(lab: Lab) -> Iterator[tuple[GuestSpec, GuestSpec]]:
    """Two guests of the first host for all tests of this file; the second has two serial lines."""
    specs = GuestSpec("con1"), GuestSpec("con2")
    tree = ET.fromstring(guest_xml(specs[1]))  # noqa: S314 - made here
    devices = tree.find("devices")
    assert devices is not None
    ET.SubElement(devices, "serial", type="pty")
    with connected(lab.h1) as connection:
        population.define(connection, specs[0]).create()
        connection.defineXML(ET.tostring(tree, encoding="unicode")).create()
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda spec: population.wait_ready(lab.h1, spec), specs))
    yield specs
    for host in lab.hosts:
        with connected(host) as connection:
            for spec in specs:
                population.remove(connection, spec.name)
                (host.folder / "log/qemu" / spec.console_log).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def engine(lab: Lab) -> Iterator[Engine]:
    made = Engine(LibvirtBackend(), [host.uri for host in lab.hosts], interval_s=0.5)
    made.start()
    yield made
    made.stop()


OpenScreen = Callable[..., Screen]


@pytest.fixture
def screen(engine: Engine, lab: Lab) -> Iterator[OpenScreen]:
    made: list[Screen] = []

    def make(spec: GuestSpec, device: str | None = None, state: ConsoleState = ConsoleState.OPEN) -> Screen:
        key = VmKey(lab.h1.uri, spec.uuid)
        wait_until(lambda: engine.fleet.vm(key), "the engine to see the guest")
        made.append(Screen(engine, key, device))
        made[-1].become(state)
        return made[-1]

    yield make
    for each in made:
        each.console.close()
    # libvirtd lets a console go a moment after its stream has ended.
    for host in lab.hosts:
        wait_until(lambda host=host: not _console_locks(host), "consoles to be let go")  # type: ignore[misc]


def _console_locks(host: Host) -> str:
    return host.inside("sh", "-c", "ls /run/lock /var/lock | grep LCK || true")


def test_what_was_closed_is_let_go_of(lab: Lab, guests: tuple[GuestSpec, GuestSpec]) -> None:
    class Sink:
        def output(self, data: bytes) -> None:
            """Take it."""

        def ended(self, reason: str, *, by_host: bool) -> None:
            """Take note."""

    def clients() -> set[str]:
        lines = lab.h1.inside("virt-admin", "client-list", "libvirtd").splitlines()[2:]
        return {line.split()[0] for line in lines if line.strip()}

    mine: set[str] = set()
    for _ in range(3):
        before = clients()
        connection = LibvirtBackend().open(lab.h1.uri, read_only=False)
        try:
            console = connection.open_console(guests[0].uuid, Sink(), force=True)
            try:
                # Others, such as an engine's, may come and go.
                mine |= clients() - before
            finally:
                console.close()
        finally:
            connection.close()
    wait_until(lambda: clients().isdisjoint(mine), "the daemon to know none of these clients any more")


def test_two_at_once(guests: tuple[GuestSpec, GuestSpec], screen: OpenScreen) -> None:
    both = [screen(spec) for spec in guests]
    for each in both:
        each.clear()
        each.type("echo $(hostname)-$((6 * 7))\r")
    for each, spec in zip(both, guests, strict=True):
        each.see(f"{spec.name}-42")
    assert "con2" not in both[0].text
    assert "con1" not in both[1].text


def test_interrupt(guests: tuple[GuestSpec, GuestSpec], screen: OpenScreen) -> None:
    shown = screen(guests[0])
    shown.clear()
    shown.type("echo sleeps-$((1 + 1)); sleep 1000\r")
    shown.see("sleeps-2")
    shown.type("\x03")
    shown.type("echo status-$?\r")
    shown.see("status-130")


def test_line_editing_and_the_size_of_the_terminal(guests: tuple[GuestSpec, GuestSpec], screen: OpenScreen) -> None:
    shown = screen(guests[0])
    shown.clear()
    # Home, to the right, a letter in between, one deleted at the end; then the line before once more.
    shown.type("cho one-$((1+1))x\x1b[H\x1b[C\x1b[D" + "e" + "\x1b[F\x7f\r")
    shown.see("one-2\n")
    shown.type("\x1b[A\r")
    shown.wait(lambda: shown.text.count("one-2\n") == 2, "the line before")
    # It asks where the cursor is at the far corner, and the emulator answers.
    shown.clear()
    shown.type(RESIZE)
    shown.type("resize; stty size\r")
    shown.see(f"\n{ROWS} {COLUMNS}\n")


def test_vi_edits_and_saves(guests: tuple[GuestSpec, GuestSpec], screen: OpenScreen) -> None:
    shown = screen(guests[0])
    shown.clear()
    shown.type("mkdir -p /tmp; vi /tmp/note\r")
    shown.see("~\n~\n", "- /tmp/note")
    shown.type("i")
    shown.see("I /tmp/note")
    shown.type("first line\rsecnd line\x1b")
    shown.see("first line\nsecnd line\n~", "- /tmp/note [Modified]")
    shown.type("0lllio\x1b")
    # Its last line tells that it has taken the Escape: what follows one too quickly is a function key.
    shown.see("first line\nsecond line\n~", "- /tmp/note")
    shown.type(":wq\r")
    shown.wait(lambda: shown.text.endswith("#"), "the shell")
    shown.type("cat /tmp/note; wc -l </tmp/note\r")
    shown.see("first line\nsecond line\n2")


def test_a_long_paste_arrives_whole(guests: tuple[GuestSpec, GuestSpec], screen: OpenScreen) -> None:
    shown = screen(guests[0])
    shown.clear()
    shown.type("stty -echo; cat >/tmp/paste; stty echo; md5sum /tmp/paste; wc -c </tmp/paste\r")
    shown.console.write(b"".join(b"%062d\r" % number for number in range(800)) + b"\x04")
    shown.see(str(800 * 63))


def test_virsh_that_holds_it_is_told_of_and_taken_over(
    lab: Lab, guests: tuple[GuestSpec, GuestSpec], screen: OpenScreen
) -> None:
    command = ["-c", lab.h1.uri, "console", guests[0].uuid]
    virsh = pexpect.spawn("virsh", command, env=CLEAN_ENVIRONMENT, encoding="utf-8", timeout=20)
    try:
        virsh.expect("Escape character is")
        shown = screen(guests[0], state=ConsoleState.HELD)
        assert "another client has this console open" in shown.output.message
        shown.console.take_over()
        shown.become(ConsoleState.OPEN)
        virsh.expect(pexpect.EOF)
        shown.clear()
        shown.type("echo mine-$((1 + 1))\r")
        shown.see("mine-2")
    finally:
        virsh.close(force=True)


def test_what_virsh_holds_is_attached_when_virsh_leaves_and_what_it_steals_is_called_taken_over(
    lab: Lab, guests: tuple[GuestSpec, GuestSpec], screen: OpenScreen
) -> None:
    def virsh(*options: str) -> pexpect.spawn:
        command = ["-c", lab.h1.uri, "console", guests[0].uuid, *options]
        return pexpect.spawn("virsh", command, env=CLEAN_ENVIRONMENT, encoding="utf-8", timeout=20)

    holder = virsh()
    thief = None
    try:
        holder.expect("Escape character is")
        shown = screen(guests[0], state=ConsoleState.HELD)
        holder.send("\x1d")
        holder.expect(pexpect.EOF)
        shown.become(ConsoleState.OPEN)
        shown.clear()
        thief = virsh("--force")
        thief.expect("Escape character is")
        shown.become(ConsoleState.HELD)
        assert "another client has taken this console over" in shown.output.message
        thief.send("\x1d")
        thief.expect(pexpect.EOF)
        shown.become(ConsoleState.OPEN)
        shown.clear()
    finally:
        holder.close(force=True)
        if thief is not None:
            thief.close(force=True)


def test_opened_before_the_guest_starts_it_shows_the_boot_from_the_first_byte(
    lab: Lab, engine: Engine, guests: tuple[GuestSpec, GuestSpec], screen: OpenScreen
) -> None:
    key = VmKey(lab.h1.uri, guests[1].uuid)
    lab.h1.virsh("destroy", guests[1].uuid)
    wait_until(lambda: (vm := engine.fleet.vm(key)) and not vm.state.active, "the engine to see that it is off")
    log = lab.h1.folder / "log/qemu" / guests[1].console_log
    logged_before = log.stat().st_size
    shown = screen(guests[1], state=ConsoleState.WAITING)
    assert "shut off; it is attached when it starts" in shown.output.message
    lab.h1.virsh("start", guests[1].uuid)
    shown.see_boot(guests[1])
    logged = log.read_bytes()
    logged = logged[logged_before if len(logged) > logged_before else 0 :]
    assert logged
    assert shown.received[:200] == logged[:200]


def test_a_break(lab: Lab, guests: tuple[GuestSpec, GuestSpec], screen: OpenScreen) -> None:
    shown = screen(guests[0])
    shown.clear()
    shown.run("echo 1 >/proc/sys/kernel/sysrq")
    shown.console.send_break()
    shown.wait(lambda: bool(shown.text) and any("break sent" in message for message in shown.messages), "the outcome")
    # What follows a break on the line is a command to the kernel.
    shown.type("h")
    shown.see("sysrq: HELP")
    assert "tainted" in lab.h1.virsh("dominfo", guests[0].uuid)


def test_several_devices(lab: Lab, engine: Engine, guests: tuple[GuestSpec, GuestSpec], screen: OpenScreen) -> None:
    assert engine.read_config(VmKey(lab.h1.uri, guests[1].uuid)).result(20).consoles == ("serial0", "serial1")
    first, second = screen(guests[1]), screen(guests[1], "serial1")
    first.clear()
    first.type("echo other-$((1 + 1)) >/dev/ttyS1\r")
    second.see("other-2")
    assert "other-2" not in first.text


def test_without_a_serial_device(engine: Engine, lab: Lab, tiny: TinyFactory) -> None:
    (name,) = tiny(lab.h1, 1)
    key = VmKey(lab.h1.uri, lab.h1.virsh("domuuid", name).strip())
    wait_until(lambda: engine.fleet.vm(key), "the engine to see the guest")
    shown = Screen(engine, key)
    shown.become(ConsoleState.ENDED)
    assert f"edit {name}" in shown.output.message
    assert "<serial type='pty'/>" in shown.output.message


def test_read_only_opens_none(lab: Lab, guests: tuple[GuestSpec, GuestSpec]) -> None:
    looking = Engine(LibvirtBackend(), [lab.h1.uri], read_only=True)
    shown = Screen(looking, VmKey(lab.h1.uri, guests[0].uuid))
    shown.become(ConsoleState.ENDED)
    assert "--read-only" in shown.output.message
    looking.stop()


def test_it_comes_back_when_the_daemon_does(lab: Lab, guests: tuple[GuestSpec, GuestSpec], screen: OpenScreen) -> None:
    shown = screen(guests[1])
    shown.clear()
    shown.run("kept=$((6 * 7))")
    lab.h1.restart_libvirtd()
    shown.become(ConsoleState.WAITING)
    shown.become(ConsoleState.OPEN)
    shown.type("\x15echo still-$kept\r")
    shown.see("still-42")


def test_it_stays_through_a_reboot_and_comes_back_after_a_start(
    lab: Lab, guests: tuple[GuestSpec, GuestSpec], screen: OpenScreen
) -> None:
    shown = screen(guests[1])
    shown.clear()
    lab.h1.virsh("reset", guests[1].uuid)
    shown.see_boot(guests[1])
    shown.clear()
    lab.h1.virsh("destroy", guests[1].uuid)
    shown.wait(lambda: bool(shown.text) and "attached when it starts" in shown.output.message, "what it waits for")
    shown.type("\r")
    lab.h1.virsh("start", guests[1].uuid)
    shown.become(ConsoleState.OPEN)
    shown.see_boot(guests[1])
    shown.clear()
    shown.type("echo back-$((1 + 1))\r")
    shown.see("back-2")


def test_it_follows_a_live_migration_that_another_client_makes(
    lab: Lab, guests: tuple[GuestSpec, GuestSpec], screen: OpenScreen
) -> None:
    shown = screen(guests[0])
    shown.clear()
    shown.run("kept=$((6 * 7))")
    lab.h1.virsh("migrate", "--live", "--p2p", "--persistent", "--undefinesource", guests[0].uuid, lab.h2.uri)
    shown.wait(lambda: bool(shown.text) and shown.output.key == VmKey(lab.h2.uri, guests[0].uuid), "the new host")
    shown.become(ConsoleState.OPEN)
    shown.type("\x15echo still-$kept\r")
    shown.see("still-42")


def test_no_half_line_is_run_when_the_guest_moves_while_one_types(
    lab: Lab, engine: Engine, guests: tuple[GuestSpec, GuestSpec]
) -> None:
    """A typist who does not look up: what the guest runs was typed like that, and what it never got is said."""
    with connected(lab.h1) as connection:
        here = guests[0].uuid in {domain.UUIDString() for domain in connection.listAllDomains()}
    source, destination = (lab.h1, lab.h2) if here else (lab.h2, lab.h1)
    key = VmKey(source.uri, guests[0].uuid)
    wait_until(lambda: engine.fleet.vm(key), "the engine to see the guest")
    shown = Screen(engine, key)
    try:
        shown.become(ConsoleState.OPEN)
        shown.clear()
        command = ("migrate", "--live", "--p2p", "--persistent", "--undefinesource", key.uuid, destination.uri)
        moving = threading.Thread(target=source.virsh, args=command)
        moving.start()
        numbers = itertools.count(100)
        typed: set[str] = set()
        while moving.is_alive() or shown.output.key == key or shown.output.state is not ConsoleState.OPEN:
            word = f"w{next(numbers)}x"
            typed.add(word)
            for character in f"echo {word} >>/tmp/ran\r":
                shown.type(character)
                moving.join(0.005)
                assert shown.text is not None
        moving.join()
        assert shown.output.dropped_until == "^U or ^C"
        shown.type("\x15")
        # From a file: on the line itself the echo of the next key stands between the words.
        shown.received = b""
        shown.type("cat /tmp/ran; echo e-$((40 + 2))-e\r")
        shown.wait(lambda: shown.text is not None and b"e-42-e" in shown.received, "the end")
        ran = re.findall(rb"(?m)^([^\r\n]*w1[^\r\n]*)\r*$", shown.received)
        assert ran
        assert {word.decode() for word in ran} <= typed
        assert any("^U or ^C" in mark for mark in shown.marks)
    finally:
        shown.console.close()
