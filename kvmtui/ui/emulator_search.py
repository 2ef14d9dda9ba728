"""Finds text in a terminal's scrollback and screen, by libghostty's own search; ASCII letters match in either case."""

from dataclasses import dataclass
from typing import Any

from kvmtui.ui.emulator_screen import ScreenReader

_NEEDLE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Match:
    """A piece of a line of the view that matches: columns `start` to `end`, without `end`."""

    y: int
    start: int
    end: int
    selected: bool


class EmulatorSearch:
    """One search. Matches are counted from the newest; the first to be selected is the newest.

    What libghostty tells of matches points into the terminal's memory and is good until the next byte is fed, so all
    of it is read at once, by `update`. `close` it before the terminal goes.
    """

    def __init__(self, ffi: Any, lib: Any, handle: Any, screen: ScreenReader) -> None:
        self._ffi, self._lib, self._handle, self._screen = ffi, lib, handle, screen
        search = ffi.new("GhosttySearch*")
        lib.ghostty_search_new(ffi.NULL, search, handle)
        self._search: Any | None = search[0]
        self._number, self._point = ffi.new("size_t*"), ffi.new("GhosttyPointCoordinate*")
        self.text = ""
        """What is searched for."""
        self.total = 0
        """How many matches there are."""
        self.selected: int | None = None
        """Which of them is selected: 0 is the newest."""
        self.matches: tuple[Match, ...] = ()
        """Those in view."""

    def look_for(self, text: str) -> None:
        """Search for `text`, and select the newest match."""
        self.text = text[:_NEEDLE_CHARACTERS]
        data = self.text.encode(errors="ignore")
        needle = self._ffi.new(
            "GhosttyString*", {"ptr": (buffer := self._ffi.new("uint8_t[]", data)), "len": len(data)}
        )
        self._set(self._lib.GHOSTTY_SEARCH_OPT_NEEDLE, needle)
        del buffer  # held until libghostty has copied it
        self.step(1)

    def step(self, matches: int) -> None:
        """Select an older match (1) or a newer one (-1), and bring it into view."""
        if self._search is None:
            return
        self._lib.ghostty_search_run(self._search)
        option = "NEXT" if matches > 0 else "PREV"
        self._set(getattr(self._lib, f"GHOSTTY_SEARCH_OPT_SELECT_{option}"), self._ffi.NULL)

    def update(self) -> None:
        """Bring what is known of the matches up to date; call it after the view's lines have been."""
        if self._search is None:
            return
        lib = self._lib
        lib.ghostty_search_run(self._search)
        self.total = self._get(lib.GHOSTTY_SEARCH_DATA_TOTAL_MATCHES) or 0
        before, self.selected = self.selected, self._get(lib.GHOSTTY_SEARCH_DATA_SELECTED_INDEX)
        if self.selected is None and before is not None and self.total:
            # The terminal has got another size: libghostty has begun anew.
            for _ in range(min(before + 1, self.total)):
                self._set(lib.GHOSTTY_SEARCH_OPT_SELECT_NEXT, self._ffi.NULL)
            self._screen.update()
            self.selected = self._get(lib.GHOSTTY_SEARCH_DATA_SELECTED_INDEX)
        chosen = self._selection(1)
        found = not lib.ghostty_search_get(self._search, lib.GHOSTTY_SEARCH_DATA_SELECTED_MATCH, chosen)
        first = self._where(chosen[0].start) if found else None
        buffer = self._ffi.new("GhosttySelectionBuffer*")
        lib.ghostty_search_get(self._search, lib.GHOSTTY_SEARCH_DATA_VIEWPORT_MATCHES, buffer)
        selections = self._selection(max(1, buffer.len))
        buffer.ptr, buffer.cap = selections, max(1, buffer.len)
        matches: list[Match] = []
        if not lib.ghostty_search_get(self._search, lib.GHOSTTY_SEARCH_DATA_VIEWPORT_MATCHES, buffer):
            for selection in self._ffi.unpack(selections, buffer.len):
                start, end = self._where(selection.start), self._where(selection.end)
                if start is not None and end is not None:
                    matches += self._pieces(start, end, start == first)
        self.matches = tuple(matches)

    def close(self) -> None:
        """Give libghostty's part back."""
        search, self._search = self._search, None
        self.total, self.selected, self.matches = 0, None, ()
        if search is not None:
            self._lib.ghostty_search_free(search)

    def _set(self, option: int, value: Any) -> None:
        if self._search is not None:
            self._lib.ghostty_search_set(self._search, option, value)

    def _get(self, key: int) -> int | None:
        failed = self._lib.ghostty_search_get(self._search, key, self._number)
        return None if failed else int(self._number[0])

    def _selection(self, count: int) -> Any:
        selections = self._ffi.new("GhosttySelection[]", count)
        for each in selections:
            each.size = self._ffi.sizeof("GhosttySelection")
            each.start.size = each.end.size = self._ffi.sizeof("GhosttyGridRef")
        return selections

    def _where(self, place: Any) -> tuple[int, int] | None:
        """Return line and column in the view, or None."""
        reference = self._ffi.new("GhosttyGridRef*", place)
        tag = self._lib.GHOSTTY_POINT_TAG_VIEWPORT
        if self._lib.ghostty_terminal_point_from_grid_ref(self._handle, reference, tag, self._point):
            return None
        return int(self._point.y), int(self._point.x)

    def _pieces(self, start: tuple[int, int], end: tuple[int, int], selected: bool) -> list[Match]:
        """Return a match line by line: it may go over the end of a line that was wrapped."""
        last = end[1] + self._screen.columns_at(end[1], end[0])
        width = 1 << 16
        return [
            Match(y, start[1] if y == start[0] else 0, last if y == end[0] else width, selected)
            for y in range(start[0], min(end[0] + 1, len(self._screen.lines)))
        ]
