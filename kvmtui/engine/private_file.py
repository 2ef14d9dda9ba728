"""A file of lines that is its owner's alone: appended to by whole lines, bounded in size."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_MAX_BYTES = 4 * 1024 * 1024
_READ_BYTES = 512 * 1024


def state_folder(environment: Mapping[str, str], home: Path) -> Path:
    """Return where kvmtui keeps what it has to remember (XDG)."""
    return Path(environment.get("XDG_STATE_HOME") or home / ".local" / "state") / "kvmtui"


class PrivateFile:
    """Appends to a file and reads its end; several processes may do so at once. Every method may raise `OSError`."""

    def __init__(self, path: Path, *, max_bytes: int = _MAX_BYTES) -> None:
        """When the file is larger than `max_bytes`, it takes the place of the one before, PATH.1."""
        self.path = path
        self._before = path.with_name(path.name + ".1")
        self._max_bytes = max_bytes

    def append(self, line: bytes) -> None:
        """Write a line wholly or not at all."""
        with self._folder() as folder:
            # Another process may be at it; the lock is on the folder, for the file itself changes its name.
            fcntl.flock(folder, fcntl.LOCK_EX)
            file = _open(folder, self.path.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            try:
                size = os.fstat(file).st_size
                if size and size + len(line) > self._max_bytes:
                    os.rename(self.path.name, self._before.name, src_dir_fd=folder, dst_dir_fd=folder)
                    os.close(file)
                    file = _open(folder, self.path.name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
                    size = 0
                if os.write(file, line) < len(line):
                    # The disk is full: half a line would make the next one unreadable, too.
                    os.ftruncate(file, size)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(file)

    def last_lines(self) -> list[bytes]:
        """Return the last lines, oldest first."""
        lines: list[bytes] = []
        with self._folder() as folder:
            for name in (self._before.name, self.path.name):
                try:
                    file = _open(folder, name, os.O_RDONLY)
                except FileNotFoundError:
                    continue
                with os.fdopen(file, "rb") as stream:
                    start = max(0, os.fstat(file).st_size - _READ_BYTES)
                    stream.seek(start)
                    found = stream.read(_READ_BYTES).splitlines()
                # The first may have been cut.
                lines += found[1:] if start else found
        return lines

    @contextmanager
    def _folder(self) -> Iterator[int]:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _keep_private(folder, 0o700)
            yield folder
        finally:
            os.close(folder)


def _open(folder: int, name: str, flags: int) -> int:
    # Not blocking, should it be a pipe.
    file = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, f"{name} is not a file")
        _keep_private(file, 0o600)
    except OSError:
        os.close(file)
        raise
    return file


def _keep_private(descriptor: int, mode: int) -> None:
    """Take from everybody else what they may do; raises `OSError` where it belongs to somebody else."""
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it belongs to somebody else")
    if found.st_mode & 0o077:
        os.fchmod(descriptor, mode)
