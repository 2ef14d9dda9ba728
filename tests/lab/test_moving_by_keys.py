"""Moving VMs by the keys of the real program: what its screen says on the way and at the end, and virsh of both hosts.

However a move ends, the guest is alive exactly once.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator
from itertools import accumulate

import pytest

from tests.lab.conftest import Guest, GuestFactory
from tests.lab.lab import Host, Lab
from tests.lab.test_dashboard import select
from tests.lab.test_faults import connect
from tests.terminal import Terminal


@pytest.fixture
def terminal(lab: Lab) -> Iterator[Terminal]:
    with Terminal([*connect(*lab.hosts), "--interval", "0.5"]) as running:
        yield running


def whereabouts(lab: Lab, guest: Guest) -> dict[str, str]:
    """Return how virsh calls the state of a guest on each of the hosts that know it."""
    hosts = [host for host in lab.hosts if guest.uuid in host.virsh("list", "--all", "--uuid").split()]
    return {host.name: host.virsh("domstate", guest.uuid).strip() for host in hosts}


def has_volume(host: Host, guest: Guest) -> bool:
    host.virsh("pool-refresh", "default")
    return guest.spec.volume in host.virsh("vol-list", "default")


def begin(terminal: Terminal, guest: Guest, source: str, destination: str, mib_per_s: int) -> None:
    """Start a move with a bandwidth from the main screen, agreeing to what is asked, and open the screen of moves."""
    for host in (source, destination):
        terminal.see(host, "of 2", "ms")
    select(terminal, guest)
    terminal.press("m")
    terminal.see(f"Migrate {guest.name} on {source} to")
    terminal.wait(lambda: re.search(r"can take it|\d warnings?", terminal.screen), "the checks")
    asks = "can take it" not in terminal.screen
    terminal.press("b")
    terminal.see("Bandwidth in MiB/s?")
    terminal.press(f"{mib_per_s}\r")
    terminal.see(f"--bandwidth {mib_per_s}")
    terminal.press("\r")
    if asks:
        terminal.see("all the same?")
        terminal.press("y")
    terminal.see(" 1 migrating")
    terminal.press("w")
    terminal.see("FROM → TO")


def done(terminal: Terminal, guest: Guest) -> int | None:
    """Return how many per cent the list of moves says to be over of the one under the cursor."""
    shown = re.search(r"(\d+) %", terminal.line("▸", guest.name, "→"))
    return None if shown is None else int(shown[1])


def says(terminal: Terminal, text: str) -> None:
    """Wait for what may be broken into lines anywhere."""
    terminal.wait(lambda: text in " ".join(terminal.screen.split()), text)


def midway(terminal: Terminal, guest: Guest) -> None:
    """Wait until the memory is going over and kvmtui knows."""
    terminal.wait(lambda: (done(terminal, guest) or 0) > 0, "progress")


def end(terminal: Terminal, guest: Guest, *words: str) -> None:
    """See how a move ended in the list of moves and return to the main screen, which says no more that it goes on."""
    terminal.see("▸", guest.name, *words)
    terminal.press("q")
    terminal.see("HOST", "CPU", "MEMORY")
    terminal.wait(lambda: " 1 migrating" not in terminal.screen, "no move")


def rows(terminal: Terminal, guest: Guest) -> list[tuple[str, str]]:
    """Return the host and the state in each row of the main screen that the guest has."""
    row = re.compile(rf"[▸ ] {guest.name} +(h[12]) +(.+?)  ")
    return [(found[1], found[2]) for line in terminal.lines if (found := row.match(line))]


def alive_at(terminal: Terminal, lab: Lab, guest: Guest, host: str) -> None:
    """See a guest run on this host alone, on the screen and by virsh."""
    terminal.wait(lambda: rows(terminal, guest) == [(host, "running")], f"one {guest.name}, on {host}")
    assert whereabouts(lab, guest) == {host: "running"}


def test_with_its_disk_there_and_back_and_an_abort(lab: Lab, guest: GuestFactory, terminal: Terminal) -> None:
    db = guest(lab.h1, "db1", disk=True)
    for source, destination in (lab.hosts, lab.hosts[::-1]):
        begin(terminal, db, source.name, destination.name, 30)
        seen: list[int] = []

        def rises(seen: list[int] = seen) -> bool:
            now = done(terminal, db)
            seen.extend([] if now is None else [now])
            return bool(terminal.line("▸", "db1", "migrated in"))

        terminal.see("disks copied", "30 MiB/s")
        terminal.wait(rises, "it to arrive", 90)
        assert len({*accumulate(seen, max)}) > 2, seen
        terminal.see(f"both hosts were asked: {destination.name} has it, {source.name} does not run it")
        end(terminal, db, "migrated in")
        alive_at(terminal, lab, db, destination.name)
        assert has_volume(destination, db)

    # An abort leaves it where it is, and what was copied only until one agrees to its end.
    lab.h2.virsh("vol-delete", db.spec.volume, "--pool", "default")
    begin(terminal, db, "h1", "h2", 1)
    terminal.wait(lambda: terminal.line("disks left") and (done(terminal, db) or 0) > 0, "the disk to go over")
    terminal.press("X")
    terminal.see("Abort migrating db1 from h1 to h2?")
    terminal.press("y")
    terminal.see("▸", "db1", "aborted")
    terminal.see("1  delete the unfinished disk copies at the destination")
    assert has_volume(lab.h2, db)
    terminal.press("1")
    terminal.see("db1, h1 → h2: delete the unfinished disk copies")
    terminal.press("y")
    terminal.see("delete the unfinished disk copies at the destination: done")
    end(terminal, db, "aborted")
    alive_at(terminal, lab, db, "h1")
    assert not has_volume(lab.h2, db)
    assert has_volume(lab.h1, db)


def test_what_breaks_on_the_way(lab: Lab, guest: GuestFactory, terminal: Terminal) -> None:
    web = guest(lab.h1, "web1")

    def move_until(fault: Callable[[], None]) -> None:
        begin(terminal, web, "h1", "h2", 1)
        midway(terminal, web)
        fault()

    # The destination's QEMU.
    move_until(lambda: os.kill(lab.h2.qemu_pid(web.name), signal.SIGKILL))
    end(terminal, web, "failed", "it stays at the source")
    alive_at(terminal, lab, web, "h1")

    # The destination's daemon: nothing is claimed while it does not answer.
    move_until(lambda: os.kill(lab.h2.libvirtd_pid, signal.SIGKILL))
    terminal.see("▸", "web1", "asking both hosts")
    says(terminal, "source: running; destination does not answer:")
    assert lab.h1.virsh("domstate", web.uuid).strip() == "running"
    lab.h2.start_libvirtd()
    end(terminal, web, "failed", "it stays at the source")
    alive_at(terminal, lab, web, "h1")

    # The source's daemon, which carries it.
    move_until(lambda: os.kill(lab.h1.libvirtd_pid, signal.SIGKILL))
    terminal.see("▸", "web1", "asking both hosts")
    says(terminal, "source does not answer:")
    says(terminal, "; destination: not there")
    assert done(terminal, web) is None
    terminal.press("q")
    terminal.see("web1 on h1", "verifying")
    assert not terminal.line(" left")
    lab.h1.start_libvirtd()
    terminal.press("w")
    end(terminal, web, "failed", "it stays at the source")
    alive_at(terminal, lab, web, "h1")

    # The link between them.
    move_until(lambda: lab.h2.link(up=False))
    try:
        terminal.see("▸", "web1", "nothing is being sent")
        terminal.see("no byte has gone over for", "the link between the hosts may be cut")
        terminal.see("sent", " 0 ")
        terminal.press("X")
        terminal.see("Abort migrating web1 from h1 to h2?")
        terminal.press("y")
        end(terminal, web, "aborted")
        alive_at(terminal, lab, web, "h1")
    finally:
        lab.h2.link(up=True)
    # It is as good as before.
    begin(terminal, web, "h1", "h2", 20)
    end(terminal, web, "migrated in")
    alive_at(terminal, lab, web, "h2")
