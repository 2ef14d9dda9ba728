"""Reads libghostty's scrollback and screen as plain text, for searching and copying."""

import unicodedata
from typing import Any

_REPLACEMENT = "\ufffd"
_INVISIBLE = {"Cf", "Cs", "Zl", "Zp"}  # bidi and zero-width characters, surrogates, line separators


class TextReader:
    """The text of a terminal `handle`; its lines are numbered from 0, the oldest that is kept."""

    def __init__(self, ffi: Any, lib: Any, handle: Any) -> None:
        self._ffi, self._lib, self._handle = ffi, lib, handle
        # cffi cannot pass a union by value; the binding has a struct of the same shape for it (pyghostty._ffi).
        signature = "GhosttyResult(*)(GhosttyTerminal, GhosttyPointS, GhosttyGridRef*)"
        self._grid_ref = ffi.cast(signature, ffi.addressof(lib, "ghostty_terminal_grid_ref"))

    def lines(self, start: int, end: int) -> list[str]:
        """Return the lines from `start` to before `end`, without the blanks at their ends."""
        lines = self._format(start, end, unwrap=False).split("\n") if start < end else []
        return lines + [""] * (end - start - len(lines))  # blank lines at the end are not formatted

    def unwrapped(self, start: int, end: int) -> str:
        """Return the lines from `start` to before `end` as a text in which a wrapped line is one again."""
        return self._format(start, end, unwrap=True) if start < end else ""

    def _format(self, start: int, end: int, *, unwrap: bool) -> str:
        ffi, lib = self._ffi, self._lib
        columns = ffi.new("uint16_t*")
        lib.ghostty_terminal_get(self._handle, lib.GHOSTTY_TERMINAL_DATA_COLS, columns)
        selection = ffi.new("GhosttySelection*", {"size": ffi.sizeof("GhosttySelection")})
        selection.start, selection.end = self._ref(0, start), self._ref(columns[0] - 1, end - 1)
        options = ffi.new(
            "GhosttyTerminalSelectionFormatOptions*",
            {
                "size": ffi.sizeof("GhosttyTerminalSelectionFormatOptions"),
                "emit": lib.GHOSTTY_FORMATTER_FORMAT_PLAIN,
                "unwrap": unwrap,
                "trim": True,
                "selection": selection,
            },
        )
        length = ffi.new("size_t*")
        lib.ghostty_terminal_selection_format_buf(self._handle, options[0], ffi.NULL, 0, length)
        buffer = ffi.new("uint8_t[]", max(1, length[0]))
        lib.ghostty_terminal_selection_format_buf(self._handle, options[0], buffer, len(buffer), length)
        return _clean(bytes(ffi.buffer(buffer, length[0])).decode(errors="replace"))

    def _ref(self, x: int, y: int) -> Any:
        ref = self._ffi.new("GhosttyGridRef*", {"size": self._ffi.sizeof("GhosttyGridRef")})
        point = self._ffi.new("GhosttyPointS*", {"tag": self._lib.GHOSTTY_POINT_TAG_SCREEN, "value": {"x": x, "y": y}})
        self._grid_ref(self._handle, point[0], ref)
        return ref[0]


def _clean(text: str) -> str:
    """Return a text without what may harm where it is drawn or pasted, as the drawn lines are without it."""
    if text.replace("\n", "").isprintable():
        return text
    kept = (c for c in text if unicodedata.category(c) not in _INVISIBLE)
    return "".join(_REPLACEMENT if c != "\n" and unicodedata.category(c) == "Cc" else c for c in kept)
