"""The audit: each write to a host as two JSON lines, what is meant before it and what came of it after.

All files are written and read by one daemon thread: a home that hangs or is full costs nobody but the audit.
"""

import json
import logging
import os
import pwd
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from kvmtui.engine.private_file import PrivateFile, state_folder
from kvmtui.model.clean import clean, clean_message
from kvmtui.model.uris import without_secrets
from kvmtui.model.vm import VmKey

_log = logging.getLogger(__name__)
_KEPT = 1000
_SYSLOG = Path("/dev/log")
# Facility AUTHPRIV (10), severity INFO (6): RFC 5424, 6.2.1.
_PRIORITY = 10 * 8 + 6
_UNSET_LOGINUID = 2**32 - 1
_INTENT_WAIT_S = 1.0
_MOST_MS = 10**12
"""A greater number in the file is none of ours, and may be too great to be divided."""


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the audit."""

    at: str
    """UTC, ISO 8601 with milliseconds."""
    event: str
    """"intent" or "outcome"."""
    id: str
    """The same for an intent and its outcome, and for no other."""
    user: str
    """Who logged in, before any sudo."""
    acting_as: str
    """The user the process runs as."""
    tty: str
    ssh: str
    """SSH_CONNECTION: the client's address and port, then the server's."""
    host: str
    """The connection URI without secrets."""
    host_uuid: str
    vm_uuid: str
    vm: str
    verb: str
    flags: tuple[str, ...] = ()
    result: str = ""
    message: str = ""
    ms: int | None = None
    """From intent to outcome."""

    def line(self) -> bytes:
        """Return it as a line of JSON in ASCII."""
        return json.dumps(asdict(self), separators=(",", ":")).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "Record | None":
        """Return the record of a line, cleaned; None where it is not one."""
        try:
            told = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(told, dict) or told.get("event") not in ("intent", "outcome"):
            return None
        flags, ms = told.get("flags"), told.get("ms")
        words = {name: clean_message(str(told.get(name) or "")) for name in _WORDS}
        return cls(
            **words,
            flags=tuple(clean(str(flag)) for flag in flags) if isinstance(flags, list) else (),
            ms=ms if isinstance(ms, int) and 0 <= ms < _MOST_MS else None,
        )


_WORDS = tuple(name for name in Record.__dataclass_fields__ if name not in ("flags", "ms"))


@dataclass(frozen=True, slots=True)
class Who:
    """Who sits at the keyboard, as far as the system knows."""

    user: str
    acting_as: str
    tty: str
    ssh: str


@cache
def who() -> Who:
    """Return who started this process."""
    return find_who(os.environ, Path("/proc/self/loginuid"))


def find_who(environment: Mapping[str, str], loginuid: Path) -> Who:
    """Return who logged in: by the kernel's audit id, or else by sudo's word, or else as whom the process runs."""
    acting_as = _user_name(os.geteuid())
    try:
        number = int(loginuid.read_text())
    except (OSError, ValueError):
        number = _UNSET_LOGINUID
    user = environment.get("SUDO_USER") or acting_as if number == _UNSET_LOGINUID else _user_name(number)
    return Who(clean(user, 60), acting_as, _tty(), clean(environment.get("SSH_CONNECTION", ""), 100))


def _user_name(number: int) -> str:
    try:
        return clean(pwd.getpwuid(number).pw_name, 60)
    except KeyError:
        return str(number)


def _tty() -> str:
    for number in (0, 1, 2):
        try:
            return clean(os.ttyname(number), 60)
        except OSError:
            continue
    return ""


class Entry:
    """One write that was announced; its outcome is told when it is known, and again where a later one corrects it."""

    def __init__(self, intent: Record, add: Callable[[Record], None], written: threading.Event) -> None:
        self._intent = intent
        self._add = add
        self._written = written
        self._began_s = time.monotonic()

    def wait(self) -> None:
        """Wait until the intent is written, a moment at most; for lanes, never for the screen."""
        self._written.wait(_INTENT_WAIT_S)

    def outcome(self, result: str, message: str = "") -> None:
        """Tell what came of it; `result` is one word."""
        ms = round((time.monotonic() - self._began_s) * 1000)
        message = clean_message(without_secrets(message))
        self._add(replace(self._intent, at=_now(), event="outcome", result=result, message=message, ms=ms))


@dataclass(slots=True)
class Listener:
    """Whom the audit tells; called from its thread, must only take note."""

    trouble: Callable[[str], None] = field(default=lambda text: None)
    """Of its own trouble."""
    written: Callable[[Record], None] = field(default=lambda record: None)
    """Of all that it was told."""


class Audit:
    """Keeps the audit; no method but `flush` waits for a file."""

    def __init__(self, file: Path | None = None, *, syslog: Path | None = None) -> None:
        """Without a file it is kept in memory only; `syslog` is the socket of the system's log."""
        self._file = None if file is None else PrivateFile(file)
        self._syslog_path = syslog
        self._syslog: socket.socket | None = None
        self._session = secrets.token_hex(4)
        self._count = 0
        self._recent: deque[Record] = deque(maxlen=_KEPT)
        """What this session did, should it not be in the file."""
        self._told_trouble = False
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self.listener = Listener()

    def intent(self, verb: str, key: VmKey, vm_name: str, *, host_uuid: str = "", flags: Sequence[str] = ()) -> Entry:
        """Announce that something is about to be done to a VM."""
        person = who()
        with self._lock:
            self._count += 1
            number = self._count
        record = Record(
            at=_now(),
            event="intent",
            id=f"{self._session}-{number}",
            user=person.user,
            acting_as=person.acting_as,
            tty=person.tty,
            ssh=person.ssh,
            host=clean(without_secrets(key.host)),
            host_uuid=clean(host_uuid, 40),
            vm_uuid=clean(key.uuid, 40),
            vm=clean(vm_name),
            verb=clean(verb, 60),
            flags=tuple(clean(without_secrets(flag)) for flag in flags),
        )
        written = threading.Event()
        self._do(lambda: self._write(record, written))
        return Entry(record, lambda outcome: self._do(lambda: self._write(outcome, threading.Event())), written)

    def read(self) -> "Future[tuple[Record, ...]]":
        """Ask for what is known, of this session and those before, oldest first."""
        answer: Future[tuple[Record, ...]] = Future()

        def read() -> None:
            try:
                lines = [] if self._file is None else self._file.last_lines()
            except OSError as error:
                self._trouble(error)
                lines = []
            found = [record for line in lines if (record := Record.read(line)) is not None]
            known = {(record.id, record.at, record.event) for record in found}
            found += [record for record in self._recent if (record.id, record.at, record.event) not in known]
            answer.set_result(tuple(sorted(found, key=lambda record: record.at)[-2 * _KEPT :]))

        self._do(read)
        return answer

    def flush(self, wait_s: float) -> None:
        """Wait until all is written, so long at most."""
        if self._thread is not None:
            done = threading.Event()
            self._do(done.set)
            done.wait(wait_s)

    def _do(self, work: Callable[[], None]) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
                self._thread.start()
        self._work.put(work)

    def _run(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except Exception:  # noqa: BLE001 - a defect here must not end the audit of what follows
                _log.exception("the audit")

    def _write(self, record: Record, written: threading.Event) -> None:
        line = record.line()
        self._recent.append(record)
        self._to_syslog(line)
        try:
            if self._file is not None:
                self._file.append(line)
        except OSError as error:
            self._trouble(error)
        finally:
            written.set()
        self.listener.written(record)

    def _to_syslog(self, line: bytes) -> None:
        if self._syslog_path is None:
            return
        message = f"<{_PRIORITY}>kvmtui[{os.getpid()}]: ".encode() + line.rstrip(b"\n")
        for _ in range(2):
            try:
                if self._syslog is None:
                    self._syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    # A log daemon that does not read must not hold anything up.
                    self._syslog.setblocking(False)
                    self._syslog.connect(str(self._syslog_path))
                self._syslog.send(message)
                return
            except OSError:
                # There is none, or it was restarted: then the second try reaches the new one.
                if self._syslog is not None:
                    self._syslog.close()
                self._syslog = None

    def _trouble(self, error: OSError) -> None:
        """Say once that the file cannot be used."""
        _log.warning("the audit cannot be kept: %s", error)
        if not self._told_trouble and self._file is not None:
            self._told_trouble = True
            reason = clean_message(error.strerror or str(error))
            where = clean(str(self._file.path))
            self.listener.trouble(f"the audit is kept in memory only: {where}: {reason}")


def chosen_options(options: Any) -> tuple[str, ...]:
    """Return the fields of a dataclass that are not at their defaults, as "name=value"."""
    told = ((each, getattr(options, each.name)) for each in fields(options))
    return tuple(f"{each.name}={value}" for each, value in told if value != each.default)


def audit_of_this_user() -> Audit:
    """Return the audit in the user's state folder (XDG), and in the system's log where there is one."""
    return Audit(state_folder(os.environ, Path.home()) / "audit.jsonl", syslog=_SYSLOG)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
