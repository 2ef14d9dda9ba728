"""Whether what is typed may go to the guest: half a line must not be run as a whole one after a gap."""

from collections.abc import Callable
from math import inf

INTERRUPT = b"\x03"
_LINE_ENDS = (b"\r", b"\n")
_UNSURE_S = 2.0
"""What was sent so shortly before a stream ended may not have got to the guest: libvirt does not tell."""


class TypedLine:
    """The line that is being typed into a console; the caller sees to it that one thread uses it at a time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._typed_at_s = -inf
        self._unfinished = self._dropped = self._unsure = False
        self.drops = False
        """Whether what is typed is dropped until the end of its line."""

    def sends(self, data: bytes, *, stands_still: bool) -> bool:
        """Take note of what was typed; return whether it is to be sent.

        `stands_still` says that the guest is held for its move: what it is sent now it may never get.
        """
        ends = data.endswith(_LINE_ENDS)
        if self.drops and data != INTERRUPT:
            self.drops = self._unfinished = not ends
            return False
        self.drops = False
        self._typed_at_s = inf if stands_still else self._clock()
        self._unfinished = not ends and data != INTERRUPT
        return True

    def missed(self, data: bytes) -> None:
        """Take note of what was typed while nothing could be sent."""
        self._dropped = True
        self._typed_at_s = self._clock()
        self._unfinished = not data.endswith(_LINE_ENDS) and data != INTERRUPT

    def broke(self, *, unsent: bool) -> None:
        """Take note that the stream ended, and whether something had not even been handed over."""
        self._unsure = self._unsure or unsent or self._recent

    def resume(self, *, same_line: bool) -> str:
        """Begin to open a new stream; return what has to be said of what was typed, "" where nothing was lost.

        `same_line` says that the guest may still have the beginning of a line.
        """
        self.drops = (self._dropped or self._unsure) and self._unfinished and (same_line or self._recent)
        if self._dropped:
            words = "what was typed meanwhile was dropped"
        elif self._unsure and same_line:
            words = "what was typed last may be lost"
        else:
            return ""
        return words + ("; so is the rest of that line, up to Enter or ^C" if self.drops else "")

    def resumed(self) -> None:
        """Take note that the new stream is open."""
        self._dropped = self._unsure = False

    @property
    def _recent(self) -> bool:
        return self._clock() - self._typed_at_s < _UNSURE_S
