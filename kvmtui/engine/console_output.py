"""What a guest has written and nobody has taken yet."""

from collections import deque

_MOST_BYTES = 1024 * 1024


class OutputBuffer:
    """Keeps bytes until they are taken, and drops the oldest when that takes too long; one thread at a time uses it."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._dropped_bytes = 0

    def add(self, data: bytes) -> bool:
        """Keep bytes; return whether there were none."""
        first = not self._chunks
        self._chunks.append(data)
        self._bytes += len(data)
        while self._bytes > _MOST_BYTES:
            dropped = len(self._chunks.popleft())
            self._bytes -= dropped
            self._dropped_bytes += dropped
        return first

    def take(self) -> tuple[bytes, int]:
        """Return and forget what is kept, and how many bytes were dropped before it."""
        found = b"".join(self._chunks), self._dropped_bytes
        self._chunks.clear()
        self._bytes = self._dropped_bytes = 0
        return found
