"""A lab starts by command, and leaves nothing whatever ends it."""

import contextlib
import os
import pwd
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import __main__ as command_line
from tests.lab.image import Image
from tests.lab.lab import BASE, Lab, is_alive, load_lab, start_lab, stop_process, sweep, wait_until
from tests.lab.population import DEMONSTRATION, OFF, PAUSED, add_tiny
from tests.lab.tools import CLEAN_ENVIRONMENT, REPO

COMMAND = (sys.executable, "-m", "tests.lab")


def processes_of(pid_namespace: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and os.readlink(folder / "ns/pid") == pid_namespace:
                found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found


def mounts_naming(text: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and text in (folder / "mountinfo").read_text():
                found.append(folder.name)
    return found


def devices() -> set[str]:
    return set(os.listdir("/sys/class/net"))


def assert_nothing_left(lab: Lab, pid_namespace: str) -> None:
    wait_until(lambda: not is_alive(lab.folder), "the lab to die", 10)
    wait_until(lambda: not processes_of(pid_namespace), "its processes to end", 10)
    assert mounts_naming(str(lab.folder)) == []
    sweep()
    assert not lab.folder.exists()


@pytest.mark.parametrize("victim", ["keeper", "its parent"])
def test_killed_keeper_takes_everything_with_it(image: Image, victim: str) -> None:
    devices_before = devices()
    lab, process = start_lab(None, image)
    try:
        assert devices() == devices_before, "the lab shows in the machine's own network"
        add_tiny(lab.h2, 2)
        namespace = os.readlink(f"/proc/{lab.keeper_pid}/ns/pid")
        running = " ".join(processes_of(namespace))
        assert all(name in running for name in ("libvirtd", "virtlogd", "dnsmasq", "guest=idle001", "guest=idle002"))
        assert mounts_naming(str(lab.folder))
        os.kill(lab.keeper_pid if victim == "keeper" else process.pid, signal.SIGKILL)
        assert_nothing_left(lab, namespace)
        assert devices() == devices_before
    finally:
        stop_process(process, lab.folder)


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_killed_command_takes_its_lab_with_it(number: signal.Signals, tmp_path: Path) -> None:
    told = tmp_path / "uri"
    waiting = [*COMMAND, "run", "--", "sh", "-c", 'echo "$$ $2" >"$0"; exec sleep infinity', str(told)]
    with subprocess.Popen(waiting, cwd=REPO, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: told.exists() and told.read_text(), "the lab of the command")
        pid, _, uri = told.read_text().partition(" ")
        lab = load_lab(Path(uri.partition("socket=")[2]).parents[2])
        namespace = os.readlink(f"/proc/{lab.keeper_pid}/ns/pid")
        process.send_signal(number)
    assert_nothing_left(lab, namespace)
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the command to end", 5)
    assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number)


@pytest.mark.usefixtures("image")
def test_run_hands_over_the_hosts_and_the_exit_code(tmp_path: Path) -> None:
    said = tmp_path / "said"
    done = subprocess.run(
        [*COMMAND, "run", "--", "sh", "-c", 'printf "%s\\n" "$@" >"$0"; exit 7', str(said)],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 7
    assert done.stdout == ""
    words = said.read_text().split()
    assert words[0::2] == ["-c", "-c"]
    assert [word.startswith("qemu+unix:///system?socket=") for word in words[1::2]] == [True, True]


@pytest.fixture
def another_user(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Have labs made for a user who has none, so that the developer's own is left alone."""
    uid = pwd.getpwnam("nobody").pw_uid
    monkeypatch.setenv("SUDO_UID", str(uid))
    yield uid
    subprocess.run([*COMMAND, "down"], cwd=REPO, check=True)


@pytest.mark.usefixtures("image")
def test_up_is_idempotent_private_and_goes_down(another_user: int) -> None:
    folder = BASE / f"u{another_user}"
    runs = [subprocess.run([*COMMAND, "up"], cwd=REPO, capture_output=True, text=True, check=True) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    assert "is up already" not in runs[0].stderr
    assert f"a lab is up already: started from {REPO}, kept in {folder}" in runs[1].stderr
    lab = load_lab(folder)
    assert [line.split(" ") for line in runs[0].stdout.splitlines()] == [[host.name, host.uri] for host in lab.hosts]
    information = folder.stat()
    assert (information.st_uid, stat.S_IMODE(information.st_mode)) == (another_user, 0o700)
    for host in lab.hosts:
        names = {spec.name for spec in DEMONSTRATION[host.name]}
        assert set(host.virsh("list", "--all", "--name").split()) == names
        assert set(host.virsh("list", "--state-shutoff", "--name").split()) == names & OFF
        assert set(host.virsh("list", "--state-paused", "--name").split()) == names & PAUSED
    namespace = os.readlink(f"/proc/{lab.keeper_pid}/ns/pid")
    subprocess.run([*COMMAND, "down"], cwd=REPO, check=True)
    assert_nothing_left(lab, namespace)


def test_down_without_a_lab_is_fine(another_user: int) -> None:
    assert not (BASE / f"u{another_user}").exists()
    assert subprocess.run([*COMMAND, "down"], cwd=REPO, check=False).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "user", "path", "complaint"),
    [
        (["up"], 1000, None, "needs root"),
        (["run", "--", "true"], 1000, None, "needs root"),
        (["run"], 0, None, "tell what to run"),
        (["run", "--", "no-such-program"], 0, None, "no such program"),
        (["run", "--", "true"], 0, "/nowhere", "this machine lacks libvirtd, "),
        (["run", "--load", "500", "--", "true"], 0, None, "GiB"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    user: int,
    path: str | None,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    monkeypatch.setattr("tests.lab.lab._memory_available_bytes", lambda: 3 * 2**30)
    if path is not None:
        monkeypatch.setitem(CLEAN_ENVIRONMENT, "PATH", path)
    assert command_line.main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("lab: ")
    assert said.err.count("\n") == 1
    assert complaint in said.err
