"""Finding the processes of a lab's host from outside, and stopping them."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def find_processes(member_pid: int, word: str) -> list[int]:
    """Return the processes in the network namespace of `member_pid` whose command line holds `word`."""
    namespace = os.readlink(f"/proc/{member_pid}/ns/net")
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _is_in(folder, namespace) and word in _command(folder):
            found.append(int(folder.name))
    return found


def without_children(pids: list[int]) -> list[int]:
    """Leave out those whose parent is there too: a daemon's fork looks like it until it becomes another program."""
    return [pid for pid in pids if _parent(pid) not in pids]


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Have a process stand still; afterwards it goes on, where it is still there."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _parent(pid: int) -> int:
    try:
        # The name, in parentheses, may hold anything (proc(5)).
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _is_in(folder: Path, namespace: str) -> bool:
    try:
        return os.readlink(folder / "ns/net") == namespace
    except OSError:
        return False  # It has ended meanwhile, or is a zombie.


def _command(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
