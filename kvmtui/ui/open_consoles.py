"""The consoles that are open, which of them is the chosen one, and how they share the UI's time."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING

from kvmtui.model.vm import VmKey

if TYPE_CHECKING:
    from kvmtui.ui.console_terminal import ConsoleSession, ConsoleTerminal

FRAME_S = 1 / 30
UNSEEN_FRAME_S = 1 / 10
"""The same while no console is in sight; a frame is a few turns of the UI's loop, of which every key can meet one."""
FEED_BUDGET_S = 0.005
"""How long emulating may take in a frame, of all consoles together."""
_MAX_LOAD = 0.25  # of the UI's time that flooding guests can take

OpenSession = Callable[[VmKey, Callable[[], None], str | None], "ConsoleSession"]
"""Opens a VM's console: where it is, what to call from a foreign thread when there is output, and the device."""


class OpenConsoles:
    """All open consoles in the order of their tabs; the chosen one is drawn, the others go on unseen."""

    def __init__(self, open_session: OpenSession, clock: Callable[[], float]) -> None:
        """`clock` is in seconds."""
        self._open_session, self._clock = open_session, clock
        self.all: list[ConsoleTerminal] = []
        self.chosen: ConsoleTerminal | None = None

    def open(
        self,
        key: VmKey,
        vm_name: str,
        device: str | None,
        devices: Sequence[str],
        size: tuple[int, int],
        wake: Callable[[], None],
    ) -> "ConsoleTerminal":
        """Return the open console of a VM, or a new one; raises `EmulatorUnavailable`.

        `devices` are those of its definition, none while that is not known.
        """
        from kvmtui.ui.console_terminal import ConsoleTerminal

        first = devices[0] if devices else None
        for terminal in self.all:
            # What was opened before the definition was known is on the first device: two sessions on it would fight.
            if terminal.key == key and device in (None, terminal.device or first):
                return terminal
        taken = {terminal.number for terminal in self.all}
        number = next(number for number in count(1) if number not in taken)
        terminal = ConsoleTerminal(key, vm_name, size, self._clock, device, number)
        self.all.append(terminal)
        self.all.sort(key=lambda each: each.number)
        terminal.session = self._open_session(key, wake, device)
        return terminal

    def choose(self, terminal: "ConsoleTerminal | None") -> None:
        """Make this the chosen one; a search in the one before ends."""
        if self.chosen is not None:
            self.chosen.end_search()
        self.chosen = terminal

    def numbered(self, number: int) -> "ConsoleTerminal | None":
        """Return the console of a tab's number."""
        return next((terminal for terminal in self.all if terminal.number == number), None)

    def neighbour(self, steps: int) -> "ConsoleTerminal | None":
        """Return the console so many tabs further, round the end."""
        if self.chosen is None:
            return None
        return self.all[(self.all.index(self.chosen) + steps) % len(self.all)]

    def close(self, terminal: "ConsoleTerminal") -> None:
        """End a session; if it was the chosen one, a neighbour is."""
        if terminal is self.chosen:
            self.choose(self.neighbour(1) if len(self.all) > 1 else None)
        self.all.remove(terminal)
        terminal.close()

    def close_all(self) -> None:
        """End all sessions."""
        while self.all:
            self.close(self.all[-1])

    def feed(self) -> bool:
        """Emulate what has come, for a few milliseconds; return whether there may be more."""
        start_s = self._clock()
        # The chosen one first; what one leaves of its share is for those after it.
        order = sorted(self.all, key=lambda terminal: terminal is not self.chosen)
        busy = False
        for done, terminal in enumerate(order):
            now_s = self._clock()
            left_s = max(FEED_BUDGET_S / 8, start_s + FEED_BUDGET_S - now_s)
            busy = terminal.feed(now_s + left_s / (len(order) - done)) or busy
        return busy


def pause_after(spent_s: float, *, in_sight: bool) -> float:
    """Return how long to wait after a frame that took so long."""
    # Where there is more than a frame's work, it goes on as fast as in sight, for what waits too long is skipped.
    frame_s = FRAME_S if in_sight or spent_s >= FEED_BUDGET_S else UNSEEN_FRAME_S
    return max(frame_s, spent_s / _MAX_LOAD)
