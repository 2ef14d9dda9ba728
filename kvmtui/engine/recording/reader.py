"""Reads a recording and leaves it as it was: nothing appears beside it, and it may lie where nothing can be written.

SQLite keeps two files beside a database that is being written: a log (-wal), and what its readers and the writer share
(-shm). A reader would make both, and could not remove them again. Where nobody writes it can do without.
"""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

from kvmtui.engine.recording.file import check_version, is_empty, no_recording, told, writer_of

_WAIT_S = 2.0


class Reader:
    """A connection that only reads, also while another process begins to write, writes, and ends."""

    def __init__(self, file: Path) -> None:
        """Raises `RecordingError`."""
        self._file = file
        self._open()

    def rows(self, question: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Return what is answered; raises `sqlite3.Error`, or `RecordingError` where it cannot be opened again."""
        if self._alone:
            seen = _seen(self._file)
            # Of a file that was removed there is still what was opened.
            if seen[0] is not None and seen != self._opened:
                self._connection.close()
                self._open()
        return self._connection.execute(question, values).fetchall()

    def close(self) -> None:
        """Close it, and remove what is beside it where its writer ended meanwhile and could not."""
        self._connection.close()
        if self._written:
            with contextlib.suppress(sqlite3.Error), contextlib.closing(_connect(self._file, "mode=rw")) as last:
                # The last one that may write tidies up as it closes; while there are others, nothing happens.
                last.execute("SELECT count(*) FROM session").fetchone()

    def _open(self) -> None:
        if is_empty(self._file):
            raise no_recording(self._file)
        self._opened = _seen(self._file)
        _, logged, shared = self._opened
        self._alone = not shared
        with told(self._file):
            # In the first two cases nothing is shared with a writer, which would have begun with what it shares.
            if not shared and not logged:
                self._connection = _connect(self._file, "immutable=1")
            elif not shared:
                self._connection = _connect(self._file, "mode=ro&vfs=unix-none")
            else:
                self._connection = _connect(self._file, "mode=ro")
            try:
                if self._alone:
                    self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                check_version(self._file, self._connection)
                self._written = shared and writer_of(self._connection) is not None
            except BaseException:
                self._connection.close()
                raise


def _connect(file: Path, how: str) -> sqlite3.Connection:
    uri = f"{file.absolute().as_uri()}?{how}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=_WAIT_S)


def _seen(file: Path) -> tuple[tuple[int, int, int] | None, int, bool]:
    """Return what changes with a file, how much of it is still in its log, and whether it is shared with a writer."""
    real = os.path.realpath(file)
    try:
        state = os.stat(real)
    except OSError:
        return None, 0, False
    try:
        logged = os.stat(f"{real}-wal").st_size
    except OSError:
        logged = 0
    return (state.st_ino, state.st_size, state.st_mtime_ns), logged, os.path.exists(f"{real}-shm")
