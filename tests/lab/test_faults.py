"""What goes wrong outside is shown as what it is, and nothing else suffers."""

import os
from pathlib import Path

import pytest

from tests.lab.conftest import GuestFactory
from tests.lab.lab import Host, Lab, wait_until
from tests.lab.processes import stopped
from tests.lab.test_dashboard import select, state
from tests.terminal import Terminal


def connect(*hosts: Host | str) -> list[str]:
    return [word for host in hosts for word in ("-c", host if isinstance(host, str) else host.uri)]


def test_an_unreachable_host_is_a_row_with_its_reason(lab: Lab, guest: GuestFactory) -> None:
    guest(lab.h1, "web1")
    nobody = "qemu+unix:///system?socket=/nonexistent/libvirt-sock"
    with Terminal(connect(nobody, lab.h1)) as terminal:
        terminal.see("/nonexistent/li", "next try in", "Failed to connect socket")
        terminal.see("web1", "h1", "running")
        terminal.see("1 host down")


def test_a_hung_qemu_is_named_and_costs_nobody_else(lab: Lab, guest: GuestFactory) -> None:
    hung, other = guest(lab.h1, "hung1"), guest(lab.h1, "other1")
    with Terminal(connect(lab.h1)) as terminal, Terminal(connect(lab.h1)) as second:
        terminal.see("hung1", "running", "of 128 M")
        second.see("hung1", "running", "of 128 M")
        terminal.see("other1", "running", "of 128 M")
        with stopped(lab.h1.qemu_pid(hung.name)):
            select(terminal, hung)
            terminal.see("hung1", "monitor silent", seconds=40)
            # The call of one of the two hangs; libvirt leaves the VM out of what it tells the other.
            select(second, hung)
            second.see("hung1", "monitor silent", seconds=40)
            # Everything else goes on: actions, and the deep figures of the others.
            select(terminal, other)
            terminal.press("p")
            terminal.see("▸", "other1", "paused")
            terminal.press("p")
            terminal.see("▸", "other1", "running")
            terminal.see("balloon,", "ago")
            assert state(lab.h1, other) == "running"
        select(terminal, hung)
        terminal.wait(lambda: "silent" not in terminal.screen, "the hung VM back", 40)
        second.wait(lambda: "silent" not in second.screen, "the hung VM back in the other session", 40)


def test_forcing_a_hung_qemu_off_is_not_called_a_lost_host(lab: Lab, guest: GuestFactory) -> None:
    hung = guest(lab.h1, "hung1")
    with Terminal(connect(lab.h1)) as terminal:
        terminal.see("hung1", "running")
        with stopped(lab.h1.qemu_pid(hung.name)):
            terminal.see("hung1", "monitor silent", seconds=40)
            terminal.press("K")
            terminal.see("Force off hung1 on h1?")
            terminal.press("y")
            terminal.see("h1", "libvirt waits for one of its VMs; last figures", "ago")
            terminal.see("hung1 on h1", "forcing off, was running")
            terminal.see("force off hung1 on h1: done", seconds=60)
            # Nothing was called what it is not on the way there.
            assert "host down" not in terminal.screen
            terminal.see("▸", "hung1", "shut off")
    assert state(lab.h1, hung) == "shut off"


def test_quitting_is_immediate_while_a_call_hangs(lab: Lab, guest: GuestFactory) -> None:
    hung = guest(lab.h1, "hung1")
    with Terminal(connect(lab.h1)) as terminal:
        terminal.see("hung1", "running")
        with stopped(lab.h1.qemu_pid(hung.name)):
            terminal.see("hung1", "monitor silent", seconds=40)
            terminal.press("q")
            assert terminal.end() == 0


def test_a_stopped_daemon_freezes_nothing(lab: Lab, guest: GuestFactory) -> None:
    guest(lab.h1, "web1")
    guest(lab.h2, "db1")
    with Terminal(connect(lab.h1, lab.h2)) as terminal:
        terminal.see("web1", "running")
        terminal.see("db1", "running")
        with stopped(lab.h1.libvirtd_pid):
            terminal.see("web1", "was running", seconds=20)
            terminal.press("?")
            terminal.see("Esc closes")
            terminal.press("\x1b")
            terminal.wait(lambda: "Esc closes" not in terminal.screen, "the main screen")
            # Its VMs are not taken for stopped.
            terminal.see("web1", "was running")
            terminal.see("h1", "no answer", seconds=30)
        terminal.wait(
            lambda: "no answer" not in terminal.screen and "1 host down" not in terminal.screen, "h1 back", 60
        )


def test_a_restarted_daemon_is_found_again(lab: Lab, guest: GuestFactory) -> None:
    web = guest(lab.h1, "web1")
    with Terminal(connect(lab.h1)) as terminal:
        terminal.see("web1", "running")
        lab.h1.restart_libvirtd()
        terminal.see("h1", "down")
        terminal.wait(lambda: terminal.line("h1", "1/1", "ms"), "h1 with its VM", 30)
        select(terminal, web)
        terminal.press("p")
        terminal.see("▸", "web1", "paused")
        assert state(lab.h1, web) == "paused"


def test_read_only_changes_nothing_and_says_so(lab: Lab, guest: GuestFactory) -> None:
    web = guest(lab.h1, "web1")
    with Terminal([*connect(lab.h1), "--read-only"]) as terminal:
        terminal.see("read-only")
        terminal.see("web1", "running")
        terminal.press("p")
        terminal.see("pause web1 on h1", "--read-only")
        assert state(lab.h1, web) == "running"


@pytest.fixture
def detour(lab: Lab) -> str:
    """A URI of h2 that works here but means nothing on h1, whose /run is its own."""
    link = Path("/run") / f"kvmtui-test-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(lab.h2.folder / "run")
    return f"qemu+unix:///system?socket={link}/libvirt-sock"


def test_hosts_that_cannot_reach_each_other_migrate_by_way_of_the_client(
    lab: Lab, guest: GuestFactory, detour: str
) -> None:
    web = guest(lab.h1, "web1")
    try:
        with Terminal(connect(lab.h1, detour)) as terminal:
            terminal.see("h2", "ms")
            select(terminal, web)
            terminal.press("m")
            terminal.see("Migrate web1 on h1 to")
            terminal.see("can take it")
            terminal.press("\r")
            terminal.see("migrate web1 on h1 to h2: done", seconds=90)
            assert "--p2p" not in terminal.line("migrate web1 on h1 to h2: done")
            wait_until(lambda: web.is_active(lab.h2), "web1 on h2")
    finally:
        Path("/run", f"kvmtui-test-{os.getpid()}").unlink()


def test_a_cancelled_migration_leaves_the_guest_at_the_source(lab: Lab, guest: GuestFactory) -> None:
    web = guest(lab.h1, "web1", role="cpu")
    with Terminal(connect(lab.h1, lab.h2)) as terminal:
        terminal.see("web1", "running")
        lab.h1.virsh("migrate-setspeed", web.uuid, "1")
        select(terminal, web)
        terminal.press("m")
        terminal.see("can take it")
        terminal.press("\r")
        terminal.see("migration", "%", "left")
        terminal.press("X")
        terminal.see("Abort job web1 on h1?")
        terminal.press("y")
        terminal.see("migrate web1 on h1 to h2: aborted", seconds=60)
        terminal.see("▸", "web1", "h1", "running")
        assert state(lab.h1, web) == "running"
        assert not web.is_active(lab.h2)
