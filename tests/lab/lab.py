"""A lab: two private libvirt hosts, joined by a network, that vanish with the process that keeps them."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libvirt

from tests.lab.host import LINK, daemon_command
from tests.lab.image import Image
from tests.lab.keeper import KEEP
from tests.lab.processes import find_processes, without_children
from tests.lab.tools import CLEAN_ENVIRONMENT, REPO, LabError, need_root, need_tools, run

#: Short, because a socket's whole path has to fit into 107 bytes; not in /run, which may be a small tmpfs.
BASE = Path("/var/lib/kvmtui-lab")
HOSTS = ("h1", "h2")
TOOLS = ("libvirtd", "virtlogd", "virsh", "qemu-system-x86_64", "qemu-img", "dnsmasq", "iptables", "ip", "nsenter")
#: Makes the namespaces of the whole lab; `--kill-child` also ends it when `unshare` itself is killed.
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount", "--net", "--ipc", "--")
MEMORY_BYTES = 2 * 1024**3
MEMORY_PER_TINY_BYTES = 25 * 1024**2


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 30.0) -> None:
    """Return when the condition is true; raise LabError saying what was waited for when it is not in time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise LabError(f"waited {timeout_s:.0f} s in vain for {what}")
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Host:
    """One host of a running lab."""

    name: str
    folder: Path
    pid: int
    keeper_pid: int

    @property
    def uri(self) -> str:
        """Where its libvirt is reached, with all rights."""
        return f"qemu+unix:///system?socket={self.folder}/run/libvirt-sock"

    @property
    def ro_uri(self) -> str:
        """Where its libvirt is reached by those who may only look."""
        return f"qemu+unix:///system?socket={self.folder}/run/libvirt-sock-ro"

    def connect(self) -> Any:
        """Return a new libvirt connection."""
        return libvirt.open(self.uri)

    def virsh(self, *arguments: str, timeout_s: float = 60.0) -> str:
        """Return what virsh printed; raise LabError with its complaint when it fails."""
        return run("virsh", "--quiet", "--connect", self.uri, *arguments, timeout_s=timeout_s)

    @property
    def libvirtd_pid(self) -> int:
        """The process of its libvirtd, as seen from outside the lab."""
        return self._only_process("libvirtd", "libvirtd")

    def qemu_pid(self, name: str) -> int:
        """Return the process of a running guest, as seen from outside the lab."""
        return self._only_process(f"guest={name},", f"a QEMU of {name}")

    def restart_libvirtd(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End libvirtd, whatever state it is in, and start it again; guests go on running."""
        with contextlib.suppress(LabError):
            old = self.libvirtd_pid
            os.kill(old, how)
            try:
                wait_until(lambda: not Path(f"/proc/{old}").exists(), "libvirtd to end", 10)
            except LabError:
                os.kill(old, signal.SIGKILL)
                wait_until(lambda: not Path(f"/proc/{old}").exists(), "libvirtd to be killed", 10)
        self.start_libvirtd()

    def start_libvirtd(self) -> None:
        """Start libvirtd where it has been killed, and see to it that it knows what its QEMU can."""
        self.inside(*daemon_command("libvirtd"))
        try:
            self.virsh("domcapabilities")
        except LabError:
            # On a very busy machine the QEMU that it asks may hang in accept(), and libvirt waits for it for ever.
            for pid in find_processes(self.pid, "-machine none"):
                os.kill(pid, signal.SIGKILL)
            self.virsh("domcapabilities")

    def link(self, up: bool) -> None:
        """Plug the host's link of the migration network in or out, at the switch's end, as one pulls a cable."""
        state = "up" if up else "down"
        run("nsenter", "--target", str(self.keeper_pid), "--net", "ip", "link", "set", self.name, state)

    def inside(self, *command: str) -> str:
        """Run a tool inside the host's namespaces and return what it printed."""
        # Also its root and working folder: the whole lab may run in a chroot.
        return run("nsenter", "--target", str(self.pid), "--all", "--root", "--wd", "--", *command)

    def link_bytes(self) -> int:
        """Return how much this host has sent over the migration network."""
        return int(self.inside("cat", f"/sys/class/net/{LINK}/statistics/tx_bytes"))

    def _only_process(self, word: str, what: str) -> int:
        found = without_children(find_processes(self.pid, word))
        if len(found) != 1:
            raise LabError(f"{self.name} runs {len(found)} processes that could be {what}")
        return found[0]


@dataclass(frozen=True, slots=True)
class Lab:
    """A running lab."""

    folder: Path
    keeper_pid: int
    h1: Host
    h2: Host

    @property
    def hosts(self) -> tuple[Host, Host]:
        """Both hosts."""
        return self.h1, self.h2


def start_lab(folder_name: str | None, image: Image) -> tuple[Lab, subprocess.Popen[bytes]]:
    """Start a lab and return it with the process that carries it.

    Without a name the lab gets a folder of its own. It ends when its keeper does, and, until it is detached, when this
    process does.
    """
    folder, lock = _make_folder(folder_name)
    try:
        with (folder / "keeper.log").open("wb") as log:
            process = subprocess.Popen(
                [*UNSHARE, sys.executable, "-m", "tests.lab.keeper", str(folder), str(image.folder), *HOSTS],
                cwd=REPO,
                env=CLEAN_ENVIRONMENT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                pass_fds=[lock],
                start_new_session=True,
            )
    finally:
        # From here on the lock is the keeper's: it is free exactly when the lab is dead.
        os.close(lock)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        answer = json.loads(line) if line else {"error": _last_line(folder / "keeper.log")}
        if "error" in answer:
            raise LabError(answer["error"])
        _write_state(folder, answer)
    except BaseException:
        stop_process(process, folder)
        raise
    return load_lab(folder), process


def detach(process: subprocess.Popen[bytes]) -> None:
    """Let a lab live on when this process ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(KEEP)
    process.stdin.close()
    process.stdout.close()


def stop_process(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End a lab through the process that carries it, wait until nothing of it runs, and delete its folder."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    try:
        # The keeper ends when its input does; `unshare` ends when the kernel has ended all that was in there.
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    wait_until(lambda: not is_alive(folder), "the lab to end")
    sweep()


def stop_lab(folder: Path) -> None:
    """End a lab that another process started, and wait until nothing of it runs."""
    wait_until(lambda: (folder / "state.json").exists() or not is_alive(folder), "the lab that is just being started")
    if is_alive(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(load_lab(folder).keeper_pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(folder), "the lab to end")
    sweep()


def load_lab(folder: Path) -> Lab:
    """Return the running lab in this folder."""
    state = json.loads((folder / "state.json").read_text())
    keeper = int(state["pid"])
    h1, h2 = (Host(name, folder / name, int(state["hosts"][name]), keeper) for name in HOSTS)
    return Lab(folder, keeper, h1, h2)


def is_alive(folder: Path) -> bool:
    """Tell whether a lab lives in this folder: its keeper holds the lock."""
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def sweep() -> None:
    """Delete the folders of all labs that are dead."""
    with _base_lock():
        _sweep()


def _sweep() -> None:
    for folder in BASE.iterdir():
        if folder.is_dir() and not is_alive(folder):
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _base_lock() -> Iterator[None]:
    """Let one process at a time make and sweep folders, so that nobody sweeps one that has no lock yet."""
    BASE.mkdir(mode=0o755, exist_ok=True)
    with (BASE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_folder(name: str | None) -> tuple[Path, int]:
    """Return a new folder that only the lab's user may enter, and its lock, held."""
    with _base_lock():
        _sweep()
        if name is None:
            folder = Path(tempfile.mkdtemp(prefix="p", dir=BASE))
        else:
            folder = BASE / name
            try:
                folder.mkdir(mode=0o700)
            except FileExistsError:
                raise LabError("this user's lab is just being started or ended: try again in a moment") from None
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.chown(folder, lab_user(), -1)
    return folder, lock


def lab_user() -> int:
    """Return the number of the user for whom the lab is: who called sudo, or root."""
    return int(os.environ.get("SUDO_UID", "0"))


def check_machine(tiny_count: int = 0) -> None:
    """Raise LabError when the lab cannot run on this machine now."""
    need_root()
    need_tools(TOOLS)
    needed = MEMORY_BYTES + tiny_count * MEMORY_PER_TINY_BYTES
    available = _memory_available_bytes()
    if available < needed:
        missing = f"{needed / 2**30:.1f} GiB of free memory and this machine has {available / 2**30:.1f} GiB"
        raise LabError(f"the lab needs {missing}: end something or take a smaller LOAD")


def _memory_available_bytes() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise LabError("/proc/meminfo tells no MemAvailable: run the lab on Linux")


def _write_state(folder: Path, answer: dict[str, object]) -> None:
    draft = folder / "state.json.new"
    draft.write_text(json.dumps(answer))
    draft.rename(folder / "state.json")


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    said = lines[-1] if lines else "it ended without a word"
    return f"{said} (the lab has to run where root may make namespaces; a container must be a privileged one)"
