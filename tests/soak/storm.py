"""The storm: faults and deeds in turn, then a calm in which all has to be right again."""

import contextlib
import time
from concurrent.futures import Future
from random import Random

from tests.lab.lab import Host
from tests.lab.tools import LabError
from tests.soak import view
from tests.soak.deeds import DEEDS, home
from tests.soak.faults import FAULTS, redefine
from tests.soak.field import COLUMNS, ROWS, Field
from tests.soak.vitals import Vitals, read_vitals
from tests.soak.witness import Asked, ask, has_job

STORM_S = (12.0, 25.0)
#: So long after the hosts are well again everything has to be shown as it is.
CALM_S = 5.0
#: How long a wrong picture is watched on, to tell when it came right.
_WATCH_ON_S = 90.0
_HOSTS_BACK_S = 120.0
#: virsh itself takes less when the machine is not starved; what it takes more is not held against the program.
_USUAL_ANSWER_S = 0.5
_SETTLE_S = 4.0


class Storm:
    """One run of so many minutes."""

    def __init__(self, field: Field, seed: int) -> None:
        self._field = field
        self._pick = Random(seed)  # noqa: S311 - to be repeatable
        self._behind: list[Future[None]] = []
        self.vitals: list[Vitals] = []
        self.calm_after_s: list[float] = []
        """How long each calm took to be shown rightly."""

    def run(self, seconds: float) -> None:
        """Storm and calm in turn; the last is a calm."""
        field = self._field
        self.calm()
        while field.elapsed_s < seconds:
            self._storm(min(seconds - field.elapsed_s, self._pick.uniform(*STORM_S)))
            self.calm()

    def _storm(self, seconds: float) -> None:
        field, until_s = self._field, self._field.elapsed_s + seconds
        while field.elapsed_s < until_s:
            field.mend()
            # Each gets dice of its own: how often one throws must not change what comes after it.
            dice = Random(self._pick.random())  # noqa: S311
            if self._pick.random() < 0.45:
                fault = self._pick.choices(FAULTS, [fault.weight for fault in FAULTS])[0]
                if fault.at_terminal:
                    self._begin(fault.name, fault.begin(field, dice))
                else:
                    self._behind.append(field.hands.submit(self._begin_fault, FAULTS.index(fault), dice))
            else:
                deed = self._pick.choices(DEEDS, [deed.weight for deed in DEEDS])[0]
                done = not field.held and not field.is_broken("terminal") and deed.do(field, dice)
                self._begin(deed.name, done)
                if not field.held:
                    home(field)
            field.pump(self._pick.uniform(0.1, 1.2))

    def _begin_fault(self, number: int, dice: Random) -> None:
        fault = FAULTS[number]
        try:
            self._begin(fault.name, fault.begin(self._field, dice))
        except (LabError, OSError) as error:
            self._field.tell(f"{fault.name}: {error}")
            self._begin(fault.name, False)

    def _begin(self, name: str, done: bool) -> None:
        self._field.counts[f"{'done' if done else 'not possible'}: {name}"] += 1
        if done:
            self._field.tell(name)

    # The calm

    def calm(self) -> None:
        """Mend everything, and see that the screen tells the truth in time; then take the program's pulse."""
        field = self._field
        field.mend(everything=True)
        for behind in self._behind:
            field.wait(behind)
        self._behind.clear()
        field.mend(everything=True)
        field.resize(COLUMNS, ROWS)
        first = self._first_answer()
        if first is None:
            return
        for host in field.hosts:
            field.hands.submit(self._speed_up, host)
        home(field)
        self._compare(first)
        self._tidy()
        field.pump(_SETTLE_S)
        vitals = read_vitals(field.terminal.process.pid, field.elapsed_s)
        self.vitals.append(vitals)
        shown = f"{vitals.memory_mb:.1f} MB, {vitals.threads} threads, {vitals.files} files"
        field.tell(f"calm: right after {self.calm_after_s[-1]:.1f} s; {shown}")

    def _first_answer(self) -> Asked | None:
        """Wait until both daemons answer as usual; what they need for that is not the program's."""
        deadline_s = time.monotonic() + _HOSTS_BACK_S
        while time.monotonic() < deadline_s:
            asked = self._ask()
            if asked is not None and asked.took_s < 2 * _USUAL_ANSWER_S:
                return asked
            self._field.pump(0.2)
        self._field.tell("the hosts did not come back: nothing can be said of this calm")
        self.calm_after_s.append(float("nan"))
        return None

    def _ask(self) -> Asked | None:
        with contextlib.suppress(LabError):
            return self._field.wait(self._field.hands.submit(ask, self._field.hosts, 20.0))
        return None

    def _compare(self, last: Asked) -> None:
        """Compare until all is right.

        What virsh says, and what is under way, has to stand still from before the look to after it.
        """
        field = self._field
        began_s = calm_s = last.at_s
        told: list[str] = []
        wrong: list[str] = []
        pending: list[str] = []
        busy: set[str] = set()
        while True:
            if time.monotonic() - began_s > _WATCH_ON_S:
                field.breach(f"still not right after {_WATCH_ON_S:.0f} s: {'; '.join(wrong or pending)}")
                break
            shown = view.rows(field.terminal.lines)
            asked = self._ask()
            now_s = time.monotonic()
            before, busy = busy, {one.vm for one in field.written().values() if not one.outcomes}
            if asked is None or asked.states != last.states or busy != before:
                calm_s, last = now_s, asked or last
                continue
            calm_s += max(0.0, asked.took_s - _USUAL_ANSWER_S)
            wrong = view.mismatches(shown, asked.states, busy)
            pending = [row.name for row in shown if row.pending]
            if not wrong and not pending:
                break
            if wrong and not told and now_s - calm_s > CALM_S:
                told = wrong
                for one in wrong:
                    field.breach(f"{one}, {now_s - calm_s:.1f} s into the calm")
            field.pump(0.2)
        self.calm_after_s.append(time.monotonic() - calm_s)
        if told:
            field.tell(f"right after {time.monotonic() - calm_s:.1f} s")
        unknown = {one.vm for one in field.written().values() if one.outcomes[-1:] == ["unknown"]}
        for one in view.misplaced(last.states, field.specs.keys() - field.taken_away, unknown):
            field.breach(one)
        self._truth = last

    def _speed_up(self, host: Host) -> None:
        """Let migrations under way come to their end."""
        for name in self._field.real:
            if has_job(host, name):
                with contextlib.suppress(LabError):
                    host.virsh("migrate-setspeed", name, "1000", timeout_s=10)

    def _tidy(self) -> None:
        """Give back what the storm took, and leave each VM on one host alone."""
        field = self._field
        for name in field.specs:
            places = [host for host in field.hosts if (host.name, name) in self._truth.states]
            if not places or name in field.taken_away:
                field.wait(field.hands.submit(redefine, field, (places or field.hosts)[0], name))
            running = [host for host in places if self._truth.states[host.name, name] != "shut off"]
            for host in running[1:]:
                field.tell(f"{name} ran twice")
                with contextlib.suppress(LabError):
                    field.wait(field.hands.submit(host.virsh, "destroy", name))
                    self._truth.states[host.name, name] = "shut off"
            off = [host for host in places if self._truth.states[host.name, name] == "shut off"]
            for host in off[: len(places) - 1]:
                with contextlib.suppress(LabError):
                    field.wait(field.hands.submit(host.virsh, "undefine", name))
        field.taken_away.clear()
