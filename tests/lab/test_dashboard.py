"""The whole way through: the real program in a pseudo-terminal, real hosts, real guests, and virsh as the witness."""

import re
from collections.abc import Iterator

import pytest

from tests.lab.conftest import Guest, GuestFactory
from tests.lab.lab import Host, Lab
from tests.terminal import Terminal


@pytest.fixture
def terminal(lab: Lab) -> Iterator[Terminal]:
    with Terminal([word for host in lab.hosts for word in ("-c", host.uri)]) as running:
        yield running


def state(host: Host, guest: Guest) -> str:
    return host.virsh("domstate", guest.uuid).strip()


def select(terminal: Terminal, guest: Guest) -> None:
    """Put the cursor on a guest by its name, with the filter."""
    # ^U clears what was typed there before.
    terminal.press(f"/\x15{guest.name}\r")
    terminal.see("▸", guest.name)


def test_the_main_job(lab: Lab, guest: GuestFactory, terminal: Terminal) -> None:
    web = guest(lab.h1, "web1")
    database = guest(lab.h2, "db1")
    off = guest(lab.h1, "old1", start=False)

    # Both hosts and all guests, as virsh lists them.
    for host in lab.hosts:
        terminal.see(host.name, "of 2", "ms")
    terminal.see("web1", "h1", "running")
    terminal.see("db1", "h2", "running")
    terminal.see("old1", "h1", "shut off")

    # Pause, resume.
    select(terminal, web)
    terminal.press("p")
    terminal.see("web1", "h1", "paused")
    assert state(lab.h1, web) == "paused"
    terminal.press("p")
    terminal.see("▸", "web1", "running")
    assert state(lab.h1, web) == "running"

    # Start.
    select(terminal, off)
    terminal.press("s")
    terminal.see("▸", "old1", "running")
    assert state(lab.h1, off) == "running"

    # Shut down: asks, starts on No, and is followed until the guest is off.
    select(terminal, database)
    terminal.press("S")
    terminal.see("Shut down db1 on h2?")
    terminal.press("\r")
    terminal.see("nothing was done")
    assert state(lab.h2, database) == "running"
    terminal.press("S")
    terminal.see("Shut down db1 on h2?")
    terminal.press("y")
    # The equivalent virsh line is there with the result.
    terminal.see("shut down db1 on h2: done", "virsh -c", seconds=60)
    terminal.see("▸", "db1", "shut off")
    assert state(lab.h2, database) == "shut off"


def test_console(lab: Lab, guest: GuestFactory, terminal: Terminal) -> None:
    web = guest(lab.h1, "web1")
    terminal.see("web1", "h1", "running")
    select(terminal, web)
    terminal.press("c")
    terminal.see("console of web1 on h1")
    terminal.press("\r")
    terminal.see("#")
    terminal.press("echo $((6 * 7))-$(hostname)\r")
    terminal.see("42-web1")
    # ^C reaches the guest and ends what runs there.
    terminal.press("cat\r")
    terminal.press("\x03")
    terminal.press("echo after-$((1 + 1))\r")
    terminal.see("after-2")
    assert state(lab.h1, web) == "running"
    terminal.press("\x1dq")
    terminal.see("HOST", "CPU", "MEMORY")
    terminal.wait(lambda: "console of" not in terminal.screen, "no console")


def test_figures_agree_with_virsh(lab: Lab, guest: GuestFactory, terminal: Terminal) -> None:
    web = guest(lab.h1, "web1", memory_mib=144)
    terminal.see("web1", "h1", "running", "of 144 M")
    select(terminal, web)

    def of_virsh() -> float:
        raw = lab.h1.virsh("domstats", "--balloon", web.uuid)
        told = {name: int(value) for name, value in re.findall(r"balloon\.(\w+)=(\d+)", raw.replace("-", "_"))}
        return (told["available"] - told["usable"]) / 1024

    def agrees() -> bool:
        shown = re.search(r"(\d+) of 144 M", terminal.line("▸", "web1"))
        return shown is not None and abs(int(shown[1]) - of_virsh()) <= 2

    terminal.wait(agrees, "the memory virsh tells")
