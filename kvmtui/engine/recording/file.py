"""The file of a recording: SQLite in WAL mode, so that it is read while it is written and survives a kill.

Times are of the recording's monotonic clock; `clock` says which time of day they were.
"""

import contextlib
import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

from kvmtui.model.clean import clean, clean_message

VERSION = 2
APPLICATION = 0x6B766D74
"""What makes the file known as ours: "kvmt"."""
FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""What a damaged file raises: SQLite's message quotes what it has read, and Python decodes that strictly."""
_SCHEMA = """
CREATE TABLE session (id INTEGER PRIMARY KEY, boot TEXT, writer TEXT, program TEXT, hosts TEXT);
CREATE TABLE clock (session INTEGER, at REAL, wall REAL);
CREATE TABLE base (id INTEGER PRIMARY KEY, data BLOB);
CREATE TABLE piece (
    id INTEGER PRIMARY KEY, session INTEGER, host INTEGER, base INTEGER, since REAL, until REAL, data BLOB);
CREATE INDEX piece_by_time ON piece (session, host, until);
CREATE TABLE pending (session INTEGER, at REAL, data TEXT);
CREATE TABLE event (
    id INTEGER PRIMARY KEY, session INTEGER, at REAL, tone TEXT, text TEXT, host INTEGER, uuid TEXT);
CREATE INDEX event_by_time ON event (session, at);
CREATE TABLE finding (session INTEGER, at REAL, key TEXT, data TEXT);
CREATE TABLE config (session INTEGER, at REAL, host INTEGER, uuid TEXT, data TEXT);
CREATE TABLE move (session INTEGER, at REAL, number INTEGER, data TEXT);
CREATE INDEX move_by_time ON move (session, at);
CREATE TABLE move_figures (session INTEGER, at REAL, number INTEGER, data BLOB);
CREATE INDEX move_figures_by_move ON move_figures (session, number, at);
CREATE TABLE audit (session INTEGER, at REAL, data TEXT);
"""
_WAL_PAGES = 1000


class RecordingError(Exception):
    """A file cannot be used as a recording; the text is one cleaned line that names it."""


def open_for_writing(file: Path) -> sqlite3.Connection:
    """Open a recording to add to it, or begin one that only its owner may read; raises `RecordingError`."""
    try:
        # SQLite would let the umask decide who may read it.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass
    except (OSError, ValueError) as error:
        raise RecordingError(f"{_name(file)}: {getattr(error, 'strerror', None) or error}") from error
    empty = is_empty(file)
    with told(file):
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        try:
            if not empty:
                # Before anything is changed of it.
                check_version(file, connection)
            # Pieces are some kB long: of greater pages more would stay empty.
            connection.execute("PRAGMA page_size = 1024")
            connection.execute("PRAGMA journal_mode = WAL")
            # A kill loses nothing that was committed; only a power cut may lose the last seconds.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
            connection.execute("PRAGMA journal_size_limit = 1048576")
            if empty:
                connection.executescript(
                    f"BEGIN; {_SCHEMA} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT"
                )
            _must_be_free(file, connection)
        except BaseException:
            connection.close()
            raise
    return connection


def this_process() -> str:
    """Return what this process, and no other since the machine was started, is known by."""
    return _process(os.getpid())


def _process(number: int) -> str:
    """Return the number of a process and when it was started (proc_pid_stat(5), field 22)."""
    try:
        started = Path(f"/proc/{number}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        started = ""
    return f"{number} {started}"


def writer_of(connection: sqlite3.Connection) -> int | None:
    """Return the number of the process that is writing to a recording, None where there is none."""
    last = connection.execute("SELECT writer FROM session ORDER BY id DESC LIMIT 1").fetchone()
    writer = str(last[0]) if last else ""
    number = writer.partition(" ")[0]
    return int(number) if number.isdecimal() and writer == _process(int(number)) else None


def _must_be_free(file: Path, connection: sqlite3.Connection) -> None:
    """Raise `RecordingError` where another process is writing to the file."""
    writer = writer_of(connection)
    if writer is not None and writer != os.getpid():
        raise RecordingError(f"{_name(file)}: process {writer} is recording to it; choose another file")


def is_empty(file: Path) -> bool:
    """Return whether a file is empty; raises `RecordingError` where it is none, or cannot be read.

    It is not opened for that: closing it again would end all locks that SQLite has on it for this process.
    """
    try:
        state = os.stat(file)
        if stat.S_ISDIR(state.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(state.st_mode):
            raise RecordingError(f"{_name(file)}: it is not a file")
        if not os.access(file, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (OSError, ValueError) as error:
        raise RecordingError(f"{_name(file)}: {getattr(error, 'strerror', None) or error}") from error
    return not state.st_size


def check_version(file: Path, connection: sqlite3.Connection) -> None:
    """Raise `RecordingError` where it is no recording, or one of another version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION:
        raise no_recording(file)
    if version != VERSION:
        what = "a newer" if version > VERSION else "another"
        raise RecordingError(f"{_name(file)}: it was recorded by {what} version of kvmtui (format {version})")
    connection.execute("SELECT count(*) FROM session").fetchone()


@contextlib.contextmanager
def told(file: Path) -> Iterator[None]:
    """Raise what SQLite says as our own."""
    try:
        yield
    except FAILURES as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise no_recording(file) from error
        raise RecordingError(f"{_name(file)}: {reason(error)}") from error


def no_recording(file: Path) -> RecordingError:
    """Return that a file is something else."""
    return RecordingError(f"{_name(file)}: it is not a recording of kvmtui")


def reason(error: Exception) -> str:
    """Return in one line what SQLite or the system says."""
    return clean_message(getattr(error, "strerror", None) or str(error))


def _name(file: Path) -> str:
    return clean(str(file), 200)
