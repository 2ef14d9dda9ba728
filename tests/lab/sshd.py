"""An sshd of a test's own on loopback, through which a lab's host is reached as one far away is."""

import contextlib
import getpass
import os
import signal
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

from tests.lab.lab import Host, wait_until
from tests.lab.tools import run


class Sshd:
    """Takes logins of this user by one key; nothing of the user's own ssh is read or written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = folder / "known_hosts"
        self.key = folder / "id"
        for name in ("id", "other", "host"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self.know_host(known=True)
        (folder / "authorized_keys").write_text((folder / "id.pub").read_text())
        Path("/run/sshd").mkdir(exist_ok=True)
        (folder / "sshd_config").write_text(
            f"Port {self._port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
            # So that bash reads no ~/.bashrc: what that starts may leave a lock when a session is killed.
            "SetEnv SHLVL=2\n"
        )
        # libvirt takes the first ssh in the path.
        (folder / "bin").mkdir()
        ssh = folder / "bin/ssh"
        ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {folder}/ssh_config "$@"\n')
        ssh.chmod(0o700)
        (folder / "ssh_config").write_text(
            f"UserKnownHostsFile {self._known}\nGlobalKnownHostsFile none\nIdentitiesOnly yes\nIdentityAgent none\n"
        )
        self._process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-f", str(folder / "sshd_config"), "-E", str(folder / "log")]
        )
        wait_until(self._listens, "sshd to listen")

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which libvirt uses this."""
        return {"PATH": f"{self._folder / 'bin'}:{os.environ['PATH']}"}

    def uri(self, host: Host, key: str = "id") -> str:
        """Return where a host is reached through this."""
        query = f"socket={quote(str(host.folder / 'run/libvirt-sock'))}&keyfile={self._folder / key}"
        return f"qemu+ssh://{getpass.getuser()}@127.0.0.1:{self._port}/system?{query}"

    def know_host(self, *, known: bool) -> None:
        """Have the client know this sshd's key, or not."""
        line = f"[127.0.0.1]:{self._port} {(self._folder / 'host.pub').read_text()}"
        self._known.write_text(line if known else "")

    def signal_sessions(self, number: signal.Signals) -> None:
        """Stop, continue or kill what carries the connections that are open, as a link that is cut would."""
        for pid in self._descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        """End it with all its sessions."""
        self.signal_sessions(signal.SIGKILL)
        self._process.kill()
        self._process.wait()

    def _descendants(self) -> list[int]:
        parents: dict[int, int] = {}
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        found, front = [], {self._process.pid}
        while front := {pid for pid, parent in parents.items() if parent in front}:
            found += sorted(front)
        return found

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0
