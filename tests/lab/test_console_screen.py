"""Consoles as a user has them: the real program in a pseudo-terminal, real guests."""

from collections.abc import Iterator

import pytest

from tests.lab.conftest import GuestFactory
from tests.lab.lab import Lab
from tests.lab.test_dashboard import select
from tests.terminal import Terminal

PREFIX = "\x1d"


@pytest.fixture
def terminal(lab: Lab) -> Iterator[Terminal]:
    with Terminal(["-c", lab.h1.uri]) as running:
        yield running


def test_two_consoles_at_once_and_the_size_on_demand(lab: Lab, guest: GuestFactory, terminal: Terminal) -> None:
    for name in ("web1", "db1"):
        guest(lab.h1, name)
    for name in ("web1", "db1"):
        terminal.see(name, "running")
    for name in ("web1", "db1"):
        terminal.press(f"/\x15{name}\r")
        terminal.see("▸", name)
        terminal.press("c\r")
        terminal.see(f"console of {name} on h1")
        terminal.press("echo this-is-$(hostname)\r")
        terminal.see(f"this-is-{name}")
        terminal.press(PREFIX + "h")
        terminal.see("(c on the VM)", name)

    # The one that is not in sight goes on, and its tab says so.
    terminal.press("c")
    terminal.see("console of db1 on h1")
    terminal.press(PREFIX + "n")
    terminal.see("console of web1 on h1")
    terminal.press("(sleep 2; echo late-$((40 + 2))) &\r" + PREFIX + "p")
    terminal.see("1 web1 ●", "2 db1")
    terminal.press(PREFIX + "1")
    terminal.see("late-42")

    # As large as the pane, when asked.
    terminal.press(PREFIX + "v")
    terminal.wait(lambda: "kvmtui" not in terminal.screen, "the consoles alone")
    terminal.press(PREFIX + "r")
    terminal.press("stty size\r")
    terminal.see("38 120")


def test_without_an_emulator_virsh_has_the_terminal(
    lab: Lab, guest: GuestFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = guest(lab.h1, "web1")
    monkeypatch.setenv("PYGHOSTTY_LIB", "/nonexistent")
    with Terminal(["-c", lab.h1.uri]) as terminal:
        terminal.see("web1", "running")
        select(terminal, web)
        terminal.press("c")
        terminal.see("Escape character is ^]")
        terminal.see("virsh console of web1 on h1; ^] leaves and returns to kvmtui.")
        terminal.press("\recho $((6 * 7))-$(hostname)\r")
        terminal.see("42-web1")
        # What a program of the guest has left behind does not stay.
        terminal.press("printf '\\033[?1049h\\033[?1000h'; echo in-the-$(echo other)-screen\r")
        terminal.see("in-the-other-screen")
        terminal.press("\x1d")
        terminal.see("virsh console of web1 on h1: left")
        terminal.see("▸", "web1", "running")
        terminal.press("q")
        assert terminal.end() == 0
