"""Reads libghostty's screen into lines of styled text that are safe to draw.

The render state is asked which rows changed; a row's cells come in one call as 64-bit values, each distinct value is
decoded once, and equal neighbours become one segment.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style

_CACHE_SIZE = 1 << 16  # distinct cells remembered; a guest may draw as many as it likes
_STYLE_CACHE_SIZE = 1 << 12
_MAX_MARKS = 3  # combining marks kept on one character
_REPLACEMENT = "\ufffd"
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, bidi and zero-width characters, surrogates, line separators


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the cursor is in the view, how many columns it covers, and the shape the guest asked for."""

    x: int
    y: int
    columns: int
    shape: Literal["block", "underline", "bar"]


class _Look(NamedTuple):
    """A style and whether the guest asked for the text to be hidden."""

    style: Style | None
    hidden: bool


class _Cell(NamedTuple):
    """A decoded cell: its text ("" is the second half of a wide one, None must be asked for), and how it looks."""

    text: str | None
    style_id: int
    look: _Look


_PLAIN = _Look(None, False)


class ScreenReader:
    """The lines and the cursor of a terminal `handle`'s view, as of the last `update`."""

    def __init__(self, ffi: Any, lib: Any, handle: Any) -> None:
        self._ffi, self._lib, self._handle = ffi, lib, handle
        state = ffi.new("GhosttyRenderState*")
        lib.ghostty_render_state_new(ffi.NULL, state)
        self._state = ffi.gc(state[0], lib.ghostty_render_state_free)
        self._iterator = ffi.new("GhosttyRenderStateRowIterator*")
        lib.ghostty_render_state_row_iterator_new(ffi.NULL, self._iterator)
        self._free_iterator = ffi.gc(self._iterator[0], lib.ghostty_render_state_row_iterator_free)
        self._cells = ffi.new("GhosttyRenderStateRowCells*")
        lib.ghostty_render_state_row_cells_new(ffi.NULL, self._cells)
        self._free_cells = ffi.gc(self._cells[0], lib.ghostty_render_state_row_cells_free)
        self._view, self._y = ffi.new("GhosttyCellsView*"), ffi.new("uint16_t*")
        self._int, self._rgb = ffi.new("uint64_t*"), ffi.new("GhosttyColorRgb*")
        self._points = ffi.new("uint32_t[]", 1 + _MAX_MARKS)
        self._style = ffi.new("GhosttyStyle*", {"size": ffi.sizeof("GhosttyStyle")})
        self._cursor = ffi.new("GhosttyRenderStateCursor*", {"size": ffi.sizeof("GhosttyRenderStateCursor")})
        self._decoded: dict[int, _Cell] = {}
        self._looks: dict[bytes, _Look] = {}
        self._wide: list[frozenset[int]] = []
        self.lines: list[list[Segment]] = []
        self.cursor: Cursor | None = None

    def update(self) -> list[int]:
        """Read the rows that changed since the last call and return the numbers of those that look different."""
        lib, iterator = self._lib, self._iterator
        lib.ghostty_render_state_update(self._state, self._handle)
        rows = self._get_int(lib.GHOSTTY_RENDER_STATE_DATA_ROWS)
        del self.lines[rows:]
        self.lines.extend([] for _ in range(rows - len(self.lines)))
        self._wide = [*self._wide[:rows], *[frozenset[int]()] * (rows - len(self._wide))]
        lib.ghostty_render_state_get(self._state, lib.GHOSTTY_RENDER_STATE_DATA_ROW_ITERATOR, iterator)
        changed = []
        while lib.ghostty_render_state_row_iterator_next_dirty(iterator[0], self._y):
            y = self._y[0]
            line = self._read_row(y)
            if line != self.lines[y]:
                self.lines[y] = line
                changed.append(y)
        lib.ghostty_render_state_clean(self._state)
        self.cursor = self._read_cursor()
        return changed

    def columns_at(self, x: int, y: int) -> int:
        """Return how many columns the character at a cell of the view takes."""
        return 2 if y < len(self._wide) and x in self._wide[y] else 1

    def _get_int(self, key: int) -> int:
        self._int[0] = 0
        self._lib.ghostty_render_state_get(self._state, key, self._int)
        return int(self._int[0])

    def _read_cursor(self) -> Cursor | None:
        lib, raw = self._lib, self._cursor
        lib.ghostty_render_state_get(self._state, lib.GHOSTTY_RENDER_STATE_DATA_CURSOR, raw)
        if not (raw.visible and raw.viewport_has_value):
            return None
        x, y = raw.viewport_x - bool(raw.wide_tail), raw.viewport_y
        shape: Literal["block", "underline", "bar"] = "block"
        if raw.visual_style == lib.GHOSTTY_RENDER_STATE_CURSOR_VISUAL_STYLE_UNDERLINE:
            shape = "underline"
        elif raw.visual_style == lib.GHOSTTY_RENDER_STATE_CURSOR_VISUAL_STYLE_BAR:
            shape = "bar"
        return Cursor(x, y, self.columns_at(x, y), shape)

    def _read_row(self, y: int) -> list[Segment]:
        """Return the row the iterator stands on, as few segments as it has looks, without the blank rest."""
        lib, row = self._lib, self._iterator[0]
        lib.ghostty_render_state_row_get(row, lib.GHOSTTY_RENDER_STATE_ROW_DATA_CELLS_RAW, self._view)
        raw: list[int] = self._ffi.unpack(self._view.ptr, self._view.len)
        while raw and not raw[-1]:
            raw.pop()
        # Positions the cells, for the few that must be asked for one by one.
        lib.ghostty_render_state_row_get(row, lib.GHOSTTY_RENDER_STATE_ROW_DATA_CELLS, self._cells)
        decoded, row_looks = self._decoded, dict[int, _Look]()
        segments: list[Segment] = []
        pieces: list[str] = []
        wide: list[int] = []
        current = _PLAIN
        for x, value in enumerate(raw):
            text, style_id, look = decoded.get(value) or self._decode(value)
            if text == "":  # the second half of a wide character has the look of the first
                pieces.append("")
                wide.append(x - 1)
                continue
            if style_id:
                look = row_looks.get(style_id) or row_looks.setdefault(style_id, self._look_at(x))
            if look is not current:
                if pieces:
                    segments.append(_segment(pieces, current))
                    pieces = []
                current = look
            pieces.append(self._grapheme_at(x) if text is None else text)
        if pieces:
            segments.append(_segment(pieces, current))
        self._wide[y] = frozenset(wide)
        return segments

    def _decode(self, value: int) -> _Cell:
        """Decode a cell by libghostty's own accessors, so that its layout stays its own business."""
        if len(self._decoded) >= _CACHE_SIZE:
            self._decoded.clear()
        lib = self._lib
        tag = self._cell_int(value, lib.GHOSTTY_CELL_DATA_CONTENT_TAG)
        width = self._cell_int(value, lib.GHOSTTY_CELL_DATA_WIDE)
        style_id = self._cell_int(value, lib.GHOSTTY_CELL_DATA_STYLE_ID)
        text: str | None = " "
        look = _PLAIN
        if tag == lib.GHOSTTY_CELL_CONTENT_BG_COLOR_PALETTE:
            look = self._background(Color.from_ansi(self._cell_int(value, lib.GHOSTTY_CELL_DATA_COLOR_PALETTE)))
        elif tag == lib.GHOSTTY_CELL_CONTENT_BG_COLOR_RGB:
            lib.ghostty_cell_get(value, lib.GHOSTTY_CELL_DATA_COLOR_RGB, self._rgb)
            look = self._background(Color.from_rgb(self._rgb.r, self._rgb.g, self._rgb.b))
        elif width == lib.GHOSTTY_CELL_WIDE_SPACER_TAIL:
            text = ""
        elif width == lib.GHOSTTY_CELL_WIDE_SPACER_HEAD:
            text = " "
        elif tag == lib.GHOSTTY_CELL_CONTENT_CODEPOINT_GRAPHEME:
            text = None
        elif codepoint := self._cell_int(value, lib.GHOSTTY_CELL_DATA_CODEPOINT):
            text = chr(codepoint)
        cell = self._decoded[value] = _Cell(text, style_id, look)
        return cell

    def _cell_int(self, value: int, key: int) -> int:
        self._int[0] = 0
        self._lib.ghostty_cell_get(value, key, self._int)
        return int(self._int[0])

    def _background(self, color: Color) -> _Look:
        key = repr(color).encode()
        return self._looks.get(key) or self._remember(key, _Look(Style(bgcolor=color), False))

    def _grapheme_at(self, x: int) -> str:
        """Return the characters of a cell that has more than one; only the first few of a pile of marks."""
        lib, cells = self._lib, self._cells[0]
        lib.ghostty_render_state_row_cells_select(cells, x)
        self._int[0] = 0
        lib.ghostty_render_state_row_cells_get(cells, lib.GHOSTTY_RENDER_STATE_ROW_CELLS_DATA_GRAPHEMES_LEN, self._int)
        length = int(self._int[0])
        points = self._points if length <= len(self._points) else self._ffi.new("uint32_t[]", length)
        lib.ghostty_render_state_row_cells_get(cells, lib.GHOSTTY_RENDER_STATE_ROW_CELLS_DATA_GRAPHEMES_BUF, points)
        return "".join(map(chr, self._ffi.unpack(points, min(length, 1 + _MAX_MARKS))))

    def _look_at(self, x: int) -> _Look:
        lib, raw = self._lib, self._style
        lib.ghostty_render_state_row_cells_select(self._cells[0], x)
        lib.ghostty_render_state_row_cells_get(self._cells[0], lib.GHOSTTY_RENDER_STATE_ROW_CELLS_DATA_STYLE, raw)
        key = bytes(self._ffi.buffer(raw))
        return self._looks.get(key) or self._remember(key, self._make_look(raw))

    def _remember(self, key: bytes, look: _Look) -> _Look:
        if len(self._looks) >= _STYLE_CACHE_SIZE:
            self._looks.clear()
            self._decoded.clear()  # they hold looks, which are told apart by identity
        self._looks[key] = look
        return look

    def _make_look(self, raw: Any) -> _Look:
        # Left out on purpose: blinking, links, underline colours.
        style = Style(
            color=self._color(raw.fg_color),
            bgcolor=self._color(raw.bg_color),
            bold=raw.bold or None,
            dim=raw.faint or None,
            italic=raw.italic or None,
            underline=raw.underline not in (0, 2) or None,
            underline2=raw.underline == 2 or None,
            reverse=raw.inverse or None,
            strike=raw.strikethrough or None,
            overline=raw.overline or None,
        )
        return _Look(style, bool(raw.invisible))

    def _color(self, raw: Any) -> Color | None:
        if raw.tag == self._lib.GHOSTTY_STYLE_COLOR_PALETTE:
            return Color.from_ansi(raw.value.palette)
        if raw.tag == self._lib.GHOSTTY_STYLE_COLOR_RGB:
            rgb = raw.value.rgb
            return Color.from_rgb(rgb.r, rgb.g, rgb.b)
        return None


def _segment(pieces: list[str], look: _Look) -> Segment:
    """Join the cells of one look into a segment that is exactly as wide as they are and holds nothing harmful."""
    text = " " * len(pieces) if look.hidden else "".join(pieces)
    # isprintable() is False for every control, format and separator character but the space.
    if text.isprintable() and (text.isascii() or cell_len(text) == len(pieces)):
        return Segment(text, look.style)
    widths = [2 if following == "" else 1 for _, following in pairwise([*pieces, " "])]
    text = "".join(_fit(piece, width) for piece, width in zip(pieces, widths, strict=True) if piece)
    return Segment(text, look.style)


@lru_cache(4096)
def _fit(piece: str, width: int) -> str:
    """Return a cell's text without unsafe characters and exactly `width` columns wide, replaced if need be."""
    base = piece[0]
    category = unicodedata.category(base)
    if category == "Zs":
        return " ".ljust(width)
    if category in _UNSAFE:
        return _REPLACEMENT.ljust(width)
    marks = "".join(mark for mark in piece[1 : 1 + _MAX_MARKS] if unicodedata.category(mark) in ("Mn", "Me"))
    for text in (base + marks, base):
        if cell_len(text) == width:
            return text
    return _REPLACEMENT.ljust(width)
