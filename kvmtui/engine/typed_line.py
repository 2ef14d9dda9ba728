"""Whether what is typed may go to the guest: half a line must not be run as a whole one after a gap."""

from collections.abc import Callable
from math import inf

INTERRUPT = b"\x03"
_ENDS = (b"\r", b"\n")
_CLEARS = (INTERRUPT, b"\x15")
"""What makes a guest's terminal forget a line: the interrupt, and ^U."""
_UNSURE_S = 2.0
"""What was sent so shortly before a stream ended may not have got to the guest: libvirt does not tell."""


class TypedLine:
    """The line that is being typed into a console; the caller sees to it that one thread uses it at a time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._typed_at_s = -inf
        self._unfinished = self._dropped = self._unsure = self._half = False
        self.dropped_until = ""
        """The keys that end the dropping of what is typed; "" while it is sent."""
        self._ends: tuple[bytes, ...] = _CLEARS

    def sends(self, data: bytes, *, stands_still: bool) -> bool:
        """Take note of what was typed; return whether it is to be sent.

        `stands_still` says that the guest is held for its move: what it is sent now it may never get.
        """
        if self.dropped_until and not data.startswith(_CLEARS):
            if data.endswith(self._ends):
                self.dropped_until = ""
                self._unfinished = False
            return False
        self.dropped_until = ""
        self._typed_at_s = inf if stands_still else self._clock()
        self._unfinished = not data.endswith((*_ENDS, *_CLEARS))
        return True

    def missed(self, data: bytes) -> None:
        """Take note of what was typed while nothing could be sent."""
        self._dropped = True
        self._typed_at_s = self._clock()
        self._unfinished = not data.endswith((*_ENDS, *_CLEARS))

    def broke(self, *, unsent: bool) -> None:
        """Take note that the stream ended, and whether something had not even been handed over."""
        self._unsure = self._unsure or unsent or self._recent
        self._half = self._half or self._unsure or self._unfinished

    def resume(self, *, same_line: bool) -> str:
        """Begin to open a new stream; return what has to be said of what was typed, "" where nothing was lost.

        `same_line` says that the guest may still have the beginning of a line.
        """
        words = self.dropped_until = ""
        if self._dropped:
            words = "what was typed meanwhile was dropped"
        elif self._unsure and same_line:
            words = "what was typed last may be lost"
        if words and same_line and self._half:
            self._ends, self.dropped_until = _CLEARS, "^U or ^C"
            words += "; the guest may have half a line, so keys are dropped until ^U or ^C clears it"
        elif self._dropped and self._unfinished and (same_line or self._recent):
            self._ends, self.dropped_until = (*_ENDS, *_CLEARS), "Enter, ^U or ^C"
            words += "; so is the rest of that line, up to Enter"
        return words

    def resumed(self) -> None:
        """Take note that the new stream is open."""
        self._dropped = self._unsure = self._half = False

    @property
    def _recent(self) -> bool:
        return self._clock() - self._typed_at_s < _UNSURE_S
