"""Faults made real: daemons killed, VMs taken away, rights missing, disks full, terminals closed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.conftest import GuestFactory, connected
from tests.lab.guests import tiny_xml
from tests.lab.lab import Lab, wait_until
from tests.lab.test_dashboard import select, state
from tests.lab.test_faults import connect
from tests.lab.tools import LabError
from tests.terminal import REPOSITORY, Terminal


def test_a_killed_daemon_leaves_the_last_figures_and_its_guests_are_not_called_off(
    lab: Lab, guest: GuestFactory
) -> None:
    guest(lab.h1, "web1")
    guest(lab.h2, "db1")
    with Terminal(connect(*lab.hosts)) as terminal:
        terminal.see("web1", "running", "of 128 M")
        terminal.see("db1", "running")
        os.kill(lab.h1.libvirtd_pid, signal.SIGKILL)
        try:
            terminal.see("h1", "down", "next try in")
            terminal.see("web1", "was running", "of 128 M")
            terminal.see("db1", "running")
            assert "shut off" not in terminal.screen
        finally:
            lab.h1.start_libvirtd()
        terminal.wait(lambda: terminal.line("h1", "1/1", "ms"), "h1 with its VM", 30)


@pytest.fixture
def mute(tmp_path: Path) -> Iterator[tuple[str, list[socket.socket]]]:
    """A URI where connections are taken and never answered, and those that were taken."""
    taken: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "mute"))
        server.listen(64)

        def take() -> None:
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield f"qemu+unix:///system?socket={tmp_path}/mute", taken
        server.shutdown(socket.SHUT_RDWR)
    for each in taken:
        each.close()


def test_a_host_that_takes_a_connection_and_never_answers(
    lab: Lab, guest: GuestFactory, mute: tuple[str, list[socket.socket]]
) -> None:
    guest(lab.h1, "web1")
    uri, taken = mute
    with Terminal(connect(uri, lab.h1)) as terminal:
        terminal.see("connecting")
        terminal.see("web1", "running")
        terminal.see("down", "no answer for 10 s")
        # One attempt at a time, each given up before the next.
        assert len(taken) <= 2
        terminal.press("q")
        assert terminal.end() == 0


def test_a_vm_that_is_taken_away_behind_its_back(lab: Lab, guest: GuestFactory) -> None:
    web, gone = guest(lab.h1, "web1", start=False), guest(lab.h1, "gone1", start=False)
    with Terminal(connect(lab.h1)) as terminal:
        terminal.see("web1", "shut off")
        select(terminal, gone)
        terminal.press("\x1b")
        terminal.see("web1", "shut off")
        lab.h1.virsh("undefine", gone.uuid)
        terminal.wait(lambda: "gone1" not in terminal.line("shut off"), "the row gone")
        assert "Traceback" not in terminal.screen
        assert state(lab.h1, web) == "shut off"


def test_what_somebody_else_did_meanwhile_is_not_done_again(lab: Lab, guest: GuestFactory) -> None:
    web = guest(lab.h1, "web1", wait=False)
    with Terminal(connect(lab.h1)) as terminal, Terminal(connect(lab.h1)) as other:
        for each in (terminal, other):
            each.see("web1", "running")
            each.press("K")
            each.see("Force off web1 on h1?")
        other.press("y")
        other.see("force off web1 on h1: done")
        # What it was asked for on this screen has happened.
        terminal.press("y")
        terminal.see("force off web1 on h1", "shut off now")
        terminal.see("▸", "web1", "shut off")
        # In another run it is not the VM that was meant.
        terminal.press("s")
        terminal.see("▸", "web1", "running")
        terminal.press("K")
        terminal.see("Force off web1 on h1?")
        lab.h1.virsh("destroy", web.uuid)
        lab.h1.virsh("start", web.uuid)
        terminal.press("y")
        terminal.see("force off web1 on h1", "another run")
        assert state(lab.h1, web) == "running"


def test_a_daemon_that_forbids_writing_is_said_and_the_host_stays(lab: Lab, guest: GuestFactory) -> None:
    web = guest(lab.h1, "web1", wait=False)
    with Terminal(connect(lab.h1.ro_uri)) as terminal:
        terminal.see("web1", "running")
        terminal.press("p")
        terminal.see("pause web1 on h1", "read only access prevents")
        terminal.see("web1", "running")
        assert "host down" not in terminal.screen
        assert state(lab.h1, web) == "running"


NASTY = (
    "\u202eevil",
    "bell\u009b2J",
    "[red]db[@click=app.bell]",
    "-c",
    "'; rm -rf $HOME",
    "e\u0301" * 60,
    "n" * 80,
    "🖥️ vm",
)


def test_hostile_names_of_real_domains(lab: Lab) -> None:
    with connected(lab.h1) as connection:
        made = []
        try:
            for name in NASTY:
                xml = tiny_xml("nasty").replace("<name>nasty</name>", f"<name>{name}</name>")
                made.append(connection.defineXML(xml))
            with Terminal(connect(lab.h1), columns=200) as terminal:
                terminal.see(f"0/{len(NASTY)}")
                for shown in ("evil", "bell", "[red]db[@click=app.bell]", "-c", "'; rm -rf $HOME", "nnnnnn"):
                    terminal.see(shown, "shut off")
                assert not any(character in terminal.screen for character in "\u202e\u009b")
        finally:
            for domain in made:
                domain.undefine()


def test_a_pool_whose_folder_is_gone_costs_a_move_and_nothing_else(lab: Lab, guest: GuestFactory) -> None:
    web = guest(lab.h1, "web1", disk=True)
    lab.h2.inside("mount", "-t", "tmpfs", "none", "/var/lib/libvirt/images")
    try:
        lab.h2.virsh("pool-destroy", "default")
        lab.h2.inside("umount", "/var/lib/libvirt/images")
        with Terminal(connect(*lab.hosts)) as terminal:
            terminal.see("web1", "running")
            terminal.see("h2", "0/0")
            select(terminal, web)
            terminal.press("m")
            terminal.see("Migrate web1 on h1 to")
            terminal.see("FAIL", "the pool default on h2", "is not active")
            terminal.press("\x1b")
            terminal.wait(lambda: "Migrate web1" not in terminal.screen, "the main screen")
            terminal.press("p")
            terminal.see("▸", "web1", "paused")
    finally:
        lab.h2.virsh("pool-start", "default")


def test_stopped_and_continued_it_shows_the_present(lab: Lab, guest: GuestFactory) -> None:
    web = guest(lab.h1, "web1")
    with Terminal(connect(lab.h1)) as terminal:
        terminal.see("web1", "running")
        terminal.press("K")
        terminal.see("Force off web1 on h1?")
        os.kill(terminal.process.pid, signal.SIGSTOP)
        # Meanwhile the daemon forgets it, as after 30 s without a sign of life, and the guest is another run.
        lab.h1.restart_libvirtd()

        def ended() -> bool:
            # A daemon that has just begun calls its guests running before they can be told anything.
            with contextlib.suppress(LabError):
                lab.h1.virsh("destroy", web.uuid)
            return state(lab.h1, web) == "shut off"

        wait_until(ended, "the daemon to know its guest again, and to end it")
        lab.h1.virsh("start", web.uuid)
        os.kill(terminal.process.pid, signal.SIGCONT)
        terminal.press("y")
        terminal.see("force off web1 on h1", "another run")
        terminal.see("▸", "web1", "running")
        assert state(lab.h1, web) == "running"


SMALL = """
import ctypes, os, subprocess, sys
# Mounts of this process alone, which end with it.
assert ctypes.CDLL(None, use_errno=True).unshare(0x00020000) == 0
subprocess.run(["mount", "--make-rprivate", "/"], check=True)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "small", os.environ["XDG_STATE_HOME"]], check=True)
sys.argv[0] = "kvmtui"
from kvmtui.cli import main
main()
"""


def test_a_full_disk_is_one_notice_and_nothing_stops(lab: Lab, guest: GuestFactory, tmp_path: Path) -> None:
    guest(lab.h1, "web1")
    arguments = [*connect(lab.h1), "--log", str(tmp_path / "log")]
    with Terminal(arguments, code=SMALL, variables={"XDG_STATE_HOME": str(tmp_path)}) as terminal:
        terminal.see("web1", "running")
        inside = Path(f"/proc/{terminal.process.pid}/root{tmp_path}")
        terminal.press("p")
        terminal.see("▸", "web1", "paused")
        wait_until(lambda: "suspend" in (inside / "kvmtui/audit.jsonl").read_text(), "the audit")
        (inside / "fill").write_bytes(b"")
        with (inside / "fill").open("wb", buffering=0) as fill, pytest.raises(OSError, match="No space"):
            while True:
                fill.write(b"x" * 512)
        before = (inside / "kvmtui/audit.jsonl").read_bytes()
        # What does not fit on the rest of the last page is not written by halves.
        for wanted in ("running", "paused") * 8:
            if "trouble" not in terminal.screen:
                terminal.press("p")
                terminal.see("▸", "web1", wanted)
        terminal.see("trouble: see J")
        terminal.press("J")
        terminal.see("the audit is kept in memory only")
        terminal.see("No space")
        terminal.press("\x1b")
        terminal.wait(lambda: "memory only" not in terminal.screen, "the main screen")
        after = (inside / "kvmtui/audit.jsonl").read_bytes()
        assert after.startswith(before)
        assert after.endswith(b"\n")
        if terminal.line("▸", "web1", "paused"):
            terminal.press("p")
            terminal.see("▸", "web1", "running")
        # A console's log that cannot be written is said, too, and the console goes on.
        terminal.press("c")
        terminal.see("console of web1 on h1")
        terminal.press("\x1dl")
        terminal.press("\recho $((6 * 7))-more\r")
        terminal.see("42-more")
        terminal.press("\x1dq")
        terminal.wait(lambda: "console of" not in terminal.screen, "no console")
        terminal.press("q")
        assert terminal.end() == 0


def test_a_terminal_that_goes_away_ends_it_and_a_move_goes_on(lab: Lab, guest: GuestFactory) -> None:
    web = guest(lab.h1, "web1", role="cpu")
    with Terminal(connect(*lab.hosts)) as terminal:
        terminal.see("web1", "running")
        terminal.see("h2", "ms")
        lab.h1.virsh("migrate-setspeed", web.uuid, "8")
        select(terminal, web)
        terminal.press("m")
        terminal.see("h2", "can take it")
        terminal.press("\r")
        terminal.see("migration", "%", "left")
        pid = terminal.process.pid
        # Nobody holds the terminal any more.
        os.dup2(os.open(os.devnull, os.O_RDWR), terminal.process.child_fd)
        wait_until(lambda: _ended(pid), "kvmtui to end")
        wait_until(lambda: web.is_active(lab.h2), "web1 on h2", 60)


def _ended(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_without_standard_input_it_says_what_it_needs() -> None:
    for closed in ("<&-", ">&-", "<&- >&-"):
        command = f'exec "{sys.executable}" -m kvmtui --demo {closed}'
        done = subprocess.run(["sh", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "needs a terminal" in done.stderr
        assert "Traceback" not in done.stderr
