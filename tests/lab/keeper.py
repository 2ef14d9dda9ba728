"""The first process of a lab's own PID namespace: when it ends, however it ends, the kernel ends all in there."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from tests.lab.host import SWITCH
from tests.lab.tools import REPO, LabError, run

#: Makes the namespaces of one host; its mounts are private from the start.
UNSHARE = ("unshare", "--mount", "--uts", "--net", "--ipc", "--")

#: What the starter writes when the lab is to live on without it.
KEEP = b"keep\n"


def main() -> None:
    """Start the hosts, say on one line how that went, then reap orphans until told or forced to end.

    Standard input is a pipe from whoever started the lab: when it closes without `KEEP` the starter is gone, and so
    shall be the lab.
    """
    folder, image, names = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    # As PID 1 it would otherwise not even notice these.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The machine's /proc is still mounted here, which tells the number outside the lab.
    pid = int(os.readlink("/proc/self"))
    try:
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", SWITCH, "type", "bridge")
        run("ip", "link", "set", SWITCH, "up")
        hosts = _start_hosts(folder, image, names)
    except LabError as error:
        _say({"error": str(error)})
        return
    _say({"pid": pid, "hosts": hosts})
    _keep()


def _start_hosts(folder: Path, image: str, names: list[str]) -> dict[str, int]:
    """Start all hosts at once; return the process number, outside the lab, that holds the namespaces of each."""
    started: dict[str, subprocess.Popen[str]] = {}
    for index, name in enumerate(names, start=1):
        started[name] = subprocess.Popen(
            [*UNSHARE, sys.executable, "-m", "tests.lab.host", str(folder / name), name, str(index), image],
            cwd=REPO,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
    pids = {}
    for name, process in started.items():
        assert process.stdout is not None
        line = process.stdout.readline()
        said = json.loads(line) if line else {"error": f"host {name} ended: see {folder}/keeper.log"}
        if "error" in said:
            raise LabError(said["error"])
        pids[name] = int(said["pid"])
    return pids


def _say(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


def _keep() -> None:
    """Reap whatever the namespace hands to its first process, until the starter is gone."""
    waker, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    watched = [0, waker]
    said = b""
    while True:
        _reap()
        for ready in select.select(watched, [], [])[0]:
            data = os.read(ready, 4096)
            if ready == waker:
                continue
            said += data
            if not data:
                if said != KEEP:
                    return
                watched = [waker]


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


if __name__ == "__main__":
    main()
