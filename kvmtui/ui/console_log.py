"""What a guest writes to its console, kept in a file of the user's own."""

import os
import re
import threading
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue

_NAME_CHARACTERS = 60
_SHOWN_CHARACTERS = 66
"""How much of a path there is room for in a title of 80 columns."""
_MOST_BYTES = 100 * 1000 * 1000
"""A guest that writes without end must not fill the user's disk."""
_WAITING_BYTES = 4 * 1024 * 1024
"""What is kept for a file that takes nothing at the moment."""
_MOMENT_S = 0.2


class LogFull(Exception):
    """A log has reached its greatest size; what was given is not in it."""


class ConsoleLog:
    """A file that takes the bytes of one console as they came; a thread of its own writes it, for a home may hang.

    What goes wrong there is raised by the next `write`, as `OSError`; `LogFull` when the file is full.
    """

    def __init__(self, folder: Path, vm_name: str, now: datetime) -> None:
        """Name a file after the VM and the time; with the first bytes it is made, for its owner alone."""
        # A VM's name is anybody's choice: no slash, no leading dot or dash, nothing a shell would act on.
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", vm_name).lstrip(".-")[:_NAME_CHARACTERS]
        self.path = folder / f"{name or 'vm'}-{now:%Y%m%d-%H%M%S}.log"
        self.written_bytes = 0
        self.dropped_bytes = 0
        """How much came while the file took nothing, and is not in it; the file says so where it is missing."""
        self._unmarked_bytes = 0
        self._waiting_bytes = 0
        self._error: OSError | None = None
        self._file = -1
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="console log", daemon=True)
        self._thread.start()
        self._ready.wait(_MOMENT_S)
        if self._error is not None:
            raise self._error

    def write(self, data: bytes, skipped_bytes: int) -> None:
        """Append what came, and before it how much was lost, if anything was; waits for nothing."""
        if self._error is not None:
            raise self._error
        lost_bytes, came_bytes = skipped_bytes + self._unmarked_bytes, len(data)
        if lost_bytes:
            data = b"\r\n[kvmtui: %d bytes skipped]\r\n" % lost_bytes + data
        if self.written_bytes + len(data) > _MOST_BYTES:
            raise LogFull
        with self._lock:
            fits = self._waiting_bytes + len(data) <= _WAITING_BYTES
            self._waiting_bytes += len(data) * fits
        if not fits:
            self._unmarked_bytes = lost_bytes + came_bytes
            self.dropped_bytes += came_bytes
            return
        self._unmarked_bytes = 0
        self.written_bytes += len(data)
        self._queue.put(data)

    def close(self) -> None:
        """Close the file once all is written; that is waited for a moment at most."""
        self._queue.put(None)
        self._thread.join(_MOMENT_S)

    def _run(self) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._ready.set()
            while (data := self._queue.get()) is not None:
                self._append(data)
                with self._lock:
                    self._waiting_bytes -= len(data)
        except OSError as error:
            self._error = error
        finally:
            self._ready.set()
            if self._file >= 0:
                os.close(self._file)

    def _append(self, data: bytes) -> None:
        if self._file < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self.path, flags, 0o600)
        while data:
            data = data[os.write(self._file, data) :]


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
