"""What a guest writes to its console, kept in a file of the user's own."""

import os
import re
from datetime import datetime
from pathlib import Path

_NAME_CHARACTERS = 60
_SHOWN_CHARACTERS = 66
"""How much of a path there is room for in a title of 80 columns."""
_MOST_BYTES = 100 * 1000 * 1000
"""A guest that writes without end must not fill the user's disk."""


class LogFull(Exception):
    """A log has reached its greatest size; what was given is not in it."""


class ConsoleLog:
    """A file that takes the bytes of one console as they came; raises `OSError` when it cannot, `LogFull` when full."""

    def __init__(self, folder: Path, vm_name: str, now: datetime) -> None:
        """Name a file after the VM and the time; with the first bytes it is made, for its owner alone."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A VM's name is anybody's choice: no slash, no leading dot or dash, nothing a shell would act on.
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", vm_name).lstrip(".-")[:_NAME_CHARACTERS]
        self.path = folder / f"{name or 'vm'}-{now:%Y%m%d-%H%M%S}.log"
        self.written_bytes = 0
        self._file = -1

    def write(self, data: bytes, skipped_bytes: int) -> None:
        """Append what came, and before it how much was lost, if anything was."""
        if skipped_bytes:
            data = b"\r\n[kvmtui: %d bytes skipped]\r\n" % skipped_bytes + data
        if self.written_bytes + len(data) > _MOST_BYTES:
            raise LogFull
        if self._file < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self.path, flags, 0o600)
        self.written_bytes += len(data)
        while data:
            data = data[os.write(self._file, data) :]

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def log_folder(environment: "os._Environ[str]" = os.environ) -> Path:
    """Return where logs go: the user's state folder (XDG)."""
    return Path(environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "kvmtui" / "consoles"


def shown_path(path: Path) -> str:
    """Return a path as it is shown: the home folder is ~, and what is long is left out before its last two parts."""
    home = Path.home()
    shown = f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
    if len(shown) <= _SHOWN_CHARACTERS:
        return shown
    room = _SHOWN_CHARACTERS - len(path.name) - 2
    return f"{shown[: max(2, room)]}…/{path.name}"
