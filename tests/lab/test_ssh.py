"""A host that is reached by ssh: it works, its link breaks in every way, and ssh never asks on the terminal."""

import signal
from collections.abc import Iterator

import pytest

from tests.lab.conftest import Guest, GuestFactory
from tests.lab.lab import Lab, wait_until
from tests.lab.processes import stopped
from tests.lab.sshd import Sshd
from tests.lab.test_dashboard import select, state
from tests.terminal import Terminal


@pytest.fixture(scope="module")
def sshd(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    made = Sshd(tmp_path_factory.mktemp("sshd"))
    yield made
    made.close()


@pytest.fixture
def web(lab: Lab, guest: GuestFactory) -> Guest:
    return guest(lab.h1, "web1")


def terminal_of(lab: Lab, sshd: Sshd, *, key: str = "id") -> Terminal:
    return Terminal(["-c", sshd.uri(lab.h1, key)], variables=sshd.variables)


def away(terminal: Terminal) -> bool:
    """Tell whether the console is there, but not attached."""
    title = terminal.line("console of web1")
    return "opening" in title or "waiting" in title


def test_it_is_watched_acted_on_and_typed_to(lab: Lab, web: Guest, sshd: Sshd) -> None:
    with terminal_of(lab, sshd) as terminal:
        terminal.see("h1", "1/1", "ms")
        select(terminal, web)
        terminal.press("p")
        terminal.see("▸", "web1", "paused")
        assert state(lab.h1, web) == "paused"
        terminal.press("p")
        terminal.see("▸", "web1", "running")
        terminal.press("c")
        terminal.see("console of web1 on h1")
        terminal.press("\r")
        terminal.see("#")
        terminal.press("echo $((6 * 7))-$(hostname)\r")
        terminal.see("42-web1")
        # A flood through the tunnel: keys go on, and the guest is told to stop.
        terminal.press("yes 0123456789012345678901234567890123456789\r")
        terminal.wait(lambda: terminal.screen.count("89012345") > 9, "the flood")
        terminal.press("\x03")
        terminal.press("clear; echo 42-web1\r")
        terminal.wait(lambda: "42-web1" in terminal.screen and "89012345" not in terminal.screen, "calm")
        # The link breaks under it, and it comes back by itself.
        sshd.signal_sessions(signal.SIGKILL)
        terminal.wait(lambda: away(terminal), "the console lost")
        terminal.wait(lambda: not away(terminal), "the console back")
        # What was typed last may have been lost with the link: half a line is cleared before anything else is sent.
        terminal.press("\x15echo back-$((1 + 1))\r")
        terminal.see("back-2")


def test_a_link_that_stands_still_is_said_and_freezes_nothing(lab: Lab, web: Guest, sshd: Sshd) -> None:
    with terminal_of(lab, sshd) as terminal:
        terminal.see("web1", "running")
        sshd.signal_sessions(signal.SIGSTOP)
        try:
            terminal.see("web1", "was running", seconds=20)
            clock = terminal.lines[0][-10:]
            terminal.wait(lambda: terminal.lines[0][-10:] != clock, "the clock going on")
            terminal.press("?")
            terminal.see("Esc closes")
            terminal.press("\x1b")
            # The daemon answers over another connection: it is not called held up, and that one is used.
            terminal.wait(lambda: terminal.line("web1", "running") and not terminal.line("was running"), "it back")
            assert "waits for one" not in terminal.screen
            select(terminal, web)
            terminal.press("p")
            terminal.see("▸", "web1", "paused")
        finally:
            sshd.signal_sessions(signal.SIGCONT)


def test_a_link_that_dies_in_a_call_is_found_again(lab: Lab, web: Guest, sshd: Sshd) -> None:
    with terminal_of(lab, sshd) as terminal:
        terminal.see("web1", "running")
        # The daemon does not answer, so that a call is under way when the link goes.
        with stopped(lab.h1.libvirtd_pid):
            terminal.see("web1", "was running", seconds=20)
            sshd.signal_sessions(signal.SIGKILL)
            terminal.see("h1", "down", "next try in")
            terminal.see("web1", "was running")
        terminal.wait(lambda: terminal.line("h1", "1/1", "ms"), "h1 with its VM", 40)


def test_a_host_whose_key_is_not_known_is_not_accepted(lab: Lab, sshd: Sshd) -> None:
    sshd.know_host(known=False)
    try:
        with terminal_of(lab, sshd) as terminal:
            terminal.see("ssh: Host key verification failed; log in there once with ssh")
            assert "yes/no" not in terminal.screen
    finally:
        sshd.know_host(known=True)


def test_a_key_that_is_refused_is_said_and_no_password_asked_for(lab: Lab, sshd: Sshd) -> None:
    with terminal_of(lab, sshd, key="other") as terminal:
        terminal.see("ssh: root@127.0.0.1: Permission denied (publickey); kvmtui gives no password")
        assert "'s password" not in terminal.screen
        assert "/other" not in terminal.screen
        terminal.press("q")
        assert terminal.end() == 0


def test_nothing_is_left_at_the_host(lab: Lab, sshd: Sshd) -> None:
    wait_until(lambda: not sshd._descendants(), "all sessions to end")
