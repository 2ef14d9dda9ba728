"""What is told of a console: to the audit its sessions, to the journal what was asked for and what came of it."""

import threading
from collections.abc import Callable

from kvmtui.engine.audit import Audit, Entry
from kvmtui.engine.console_state import ConsoleDeed
from kvmtui.model.actions import virsh_line
from kvmtui.model.clean import clean_message
from kvmtui.model.fleet import Fleet
from kvmtui.model.vm import VmKey


class ConsoleRecord:
    """The record of one console; any thread may call any method, and none waits."""

    def __init__(self, fleet: Callable[[], Fleet], audit: Audit) -> None:
        self._fleet, self._audit = fleet, audit
        self._session: Entry | None = None
        self._taking_over = False
        self._deeds: tuple[ConsoleDeed, ...] = ()
        self._lock = threading.Lock()

    def intent(self, key: VmKey, verb: str, *flags: str) -> Entry:
        """Announce something to the audit."""
        fleet = self._fleet()
        vm, host = fleet.vm(key), fleet.hosts.get(key.host)
        facts = host.facts if host is not None else None
        name, host_uuid = vm.name if vm is not None else "", facts.uuid if facts is not None else ""
        return self._audit.intent(verb, key, name, host_uuid=host_uuid, flags=flags)

    def opening(self, key: VmKey, *, force: bool, asked: bool) -> Callable[[], None]:
        """Announce a session that was `asked` for; return what waits until that is written.

        What is attached to again by itself is not announced each time that it is tried.
        """
        entry = self.intent(key, "console", *(("--force",) if force else ())) if asked else None
        with self._lock:
            self._session, self._taking_over = entry, force
        return _nothing if entry is None else entry.wait

    def opened(self, key: VmKey) -> None:
        """Tell that the session has begun."""
        with self._lock:
            entry = self._session = self._session or self.intent(key, "console", "again")
            took_over, self._taking_over = self._taking_over, False
        entry.outcome("done")
        if took_over:
            self._add_take_over(key, done=True)

    def leave_session(self) -> Entry | None:
        """Return what the audit has of the session, which is over or never began; what comes next is another."""
        with self._lock:
            entry, self._session = self._session, None
        return entry

    def failed(self, entry: Entry | None, key: VmKey, why: str) -> None:
        """Tell that a session did not begin."""
        if entry is not None:
            entry.outcome("failed", why)
        with self._lock:
            took_over, self._taking_over = self._taking_over, False
        if took_over:
            self._add_take_over(key, done=False, message=why)

    def add_deed(self, deed: ConsoleDeed) -> None:
        """Keep something for the journal."""
        with self._lock:
            self._deeds = (*self._deeds, deed)

    def take_deeds(self) -> tuple[ConsoleDeed, ...]:
        """Return and forget what is for the journal."""
        with self._lock:
            deeds, self._deeds = self._deeds, ()
        return deeds

    def _add_take_over(self, key: VmKey, *, done: bool, message: str = "") -> None:
        vm = self._fleet().vm(key)
        line = virsh_line(key.host, "console --force", vm.name if vm is not None else "", key.uuid)
        self.add_deed(ConsoleDeed("take over the console of", done, clean_message(message), line))


def _nothing() -> None:
    pass
