"""`kvmtui top`: the table of the dashboard without a screen, look after look."""

import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TextIO

from kvmtui.engine.engine import Engine
from kvmtui.model.filter import Filter
from kvmtui.model.host import Host, Link
from kvmtui.model.order import TEXTS, RowOrder
from kvmtui.report.top_forms import Form, Look, csv_lines, json_lines, table
from kvmtui.report.top_values import Moment

DONE, NOT_ALL = 0, 1
"""Exit codes: NOT_ALL where at the last look a host did not answer, or the output could not be written."""
_CONNECT_S = 5.0
"""How long hosts may take to answer before the first look."""
_NEW_SHARE = 0.6
"""A sample that comes so much of a tick after another has rates of its own; one that comes earlier may not."""


@dataclass(frozen=True, slots=True)
class TopSettings:
    """What `kvmtui top` shall do."""

    interval_s: float = 1.0
    looks: int | None = None
    """None: until it is interrupted."""
    sort: str = "cpu"
    filter: Filter | None = None
    as_json: bool = False
    as_csv: bool = False


def report_top(engine: Engine, wanted: TopSettings, out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Print looks and return the exit code; raises `BrokenPipeError` when nobody reads any more."""
    return _Top(engine, wanted, out or sys.stdout, err or sys.stderr).run()


class _Top:
    """One run of the command."""

    def __init__(self, engine: Engine, wanted: TopSettings, out: TextIO, err: TextIO) -> None:
        self._engine = engine
        self._wanted = wanted
        self._out = out
        self._err = err
        self._form: Form = json_lines if wanted.as_json else csv_lines if wanted.as_csv else table
        self._order = RowOrder()
        self._news = threading.Event()
        engine.listeners.fleet_changed = self._news.set

    def run(self) -> int:
        """Look as often as is wanted."""
        self._engine.start()
        self._wait_for_hosts()
        number = 1
        while True:
            look = self._look(number)
            try:
                self._out.write(self._form(look))
                self._out.flush()
            except BrokenPipeError:
                raise
            except OSError as error:
                print(f"kvmtui: the output cannot be written: {error.strerror}", file=self._err)
                return NOT_ALL
            if number == self._wanted.looks:
                return NOT_ALL if any(host.stale(look.moment.now_s) for host in look.hosts) else DONE
            number += 1
            # Of this look, not of what the hosts have told while it was made and printed.
            self._wait_for_next({host.key: host.sampled_at_s for host in look.hosts})

    def _look(self, number: int) -> Look:
        fleet, wanted = self._engine.fleet, self._wanted
        self._order.update(fleet, wanted.sort, wanted.sort not in TEXTS, wanted.filter)
        keys = self._order.keys
        # What is printed is to the host what a row on the screen is: its disk and memory figures come first.
        self._engine.show_interest(None, keys)
        moment = Moment(number, datetime.now(UTC).astimezone(), self._engine.clock())
        vms = [(fleet.hosts[key.host].vms[key.uuid], fleet.hosts[key.host]) for key in keys]
        return Look(moment, tuple(fleet.hosts.values()), vms)

    def _wait_for_hosts(self) -> None:
        """Return when every host has answered or failed, or has had its time."""
        deadline_s = time.monotonic() + _CONNECT_S
        while any(host.link is Link.CONNECTING for host in self._hosts) and self._wait(deadline_s):
            pass

    def _wait_for_next(self, seen: Mapping[str, float | None]) -> None:
        """Return when all hosts that keep up have told anew; for one that does not, at most twice the interval."""
        now_s, interval_s = time.monotonic(), self._wanted.interval_s
        soonest_s, latest_s = now_s + interval_s / 2, now_s + 2 * interval_s
        while True:
            waited_for = [host for host in self._hosts if self._keeps_up(host)]
            if not waited_for:
                latest_s = now_s + interval_s
            told = waited_for and all(_told_anew(host, seen.get(host.key)) for host in waited_for)
            if not self._wait(min(latest_s, soonest_s) if told else latest_s):
                return

    @property
    def _hosts(self) -> list[Host]:
        return [*self._engine.fleet.hosts.values()]

    def _keeps_up(self, host: Host) -> bool:
        return not host.stale(self._engine.clock()) and host.interval_s < 1.5 * self._wanted.interval_s

    def _wait(self, until_s: float) -> bool:
        """Wait for news; return whether there is time left."""
        left_s = until_s - time.monotonic()
        if left_s > 0:
            self._news.wait(left_s)
            self._news.clear()
        return left_s > 0


def _told_anew(host: Host, before_s: float | None) -> bool:
    return host.sampled_at_s is not None and (
        before_s is None or host.sampled_at_s - before_s >= _NEW_SHARE * host.interval_s
    )
