"""What keys and pastes send to a guest: the bytes of a classic terminal, because that is what a serial line has.

Named keys go through libghostty's encoder, which follows the terminal's modes (application cursor keys, backspace).
The kitty protocol and modifyOtherKeys are kept off: a serial line outlives its programs, and a login prompt after a
crash must not be typed at in a protocol its predecessor asked for.
"""

from typing import Any

from textual.keys import REPLACED_KEYS, key_to_character

_SHIFT, _CTRL, _ALT = 1, 2, 4  # GHOSTTY_MODS_*: macros, which the binding leaves out

_NAMED = {
    "up": "ARROW_UP",
    "down": "ARROW_DOWN",
    "left": "ARROW_LEFT",
    "right": "ARROW_RIGHT",
    "home": "HOME",
    "end": "END",
    "insert": "INSERT",
    "delete": "DELETE",
    "pageup": "PAGE_UP",
    "pagedown": "PAGE_DOWN",
    "enter": "ENTER",
    "tab": "TAB",
    "backspace": "BACKSPACE",
    "escape": "ESCAPE",
    **{f"f{number}": f"F{number}" for number in range(1, 13)},
}

# xterm has twelve function keys; what a terminal's description and Textual call F13 to F24 is them with Shift.
_SHIFTED = {f"f{number + 12}": f"f{number}" for number in range(1, 13)}

# ctrl with a digit, as DEC terminals had it; ctrl with anything from @ to ~ is arithmetic.
_CTRL_TEXT = {"2": 0x00, "3": 0x1B, "4": 0x1C, "5": 0x1D, "6": 0x1E, "7": 0x1F, "8": 0x7F}
_CTRL_TEXT |= {" ": 0x00, "/": 0x1F, "-": 0x1F, "?": 0x7F}


class KeyEncoder:
    """Turns Textual's names of keys into the bytes the terminal `handle` would send for them."""

    def __init__(self, ffi: Any, lib: Any, handle: Any) -> None:
        self._ffi, self._lib, self._handle = ffi, lib, handle
        encoder, event = ffi.new("GhosttyKeyEncoder*"), ffi.new("GhosttyKeyEvent*")
        lib.ghostty_key_encoder_new(ffi.NULL, encoder)
        lib.ghostty_key_event_new(ffi.NULL, event)
        self._encoder = ffi.gc(encoder[0], lib.ghostty_key_encoder_free)
        self._event = ffi.gc(event[0], lib.ghostty_key_event_free)
        self._buffer, self._length = ffi.new("char[64]"), ffi.new("size_t*")
        lib.ghostty_key_event_set_action(self._event, lib.GHOSTTY_KEY_ACTION_PRESS)

    def encode(self, key: str, character: str | None) -> bytes:
        """Return the bytes of a key as Textual names it (`ctrl+c`, `up`, `A`); empty if a terminal has none for it."""
        *modifiers, base = key.split("+")
        mods = sum({"shift": _SHIFT, "ctrl": _CTRL, "alt": _ALT}.get(modifier, 8) for modifier in modifiers)
        if mods >= 8:  # super, hyper, meta
            return b""
        if base in _SHIFTED:
            base, mods = _SHIFTED[base], mods | _SHIFT
        if base in _NAMED:
            return self._encode_named(base, mods)
        if not modifiers and character and character.isprintable():
            return character.encode(errors="ignore")
        return _encode_text(key_to_character(REPLACED_KEYS.get(base, base)), mods)

    def _encode_named(self, base: str, mods: int) -> bytes:
        # Ctrl+Enter and the like would be `CSI 27;5;13~`, which lands as text in a shell.
        if base in ("enter", "escape"):
            mods &= _ALT
        elif base == "tab":
            mods &= _ALT | _SHIFT
        elif base == "f3" and mods:
            # libghostty has `CSI 13 ~` here, because xterm's looks like a cursor position report; no program knows it.
            return self._encode_named("f2", mods).replace(b"Q", b"R")
        lib = self._lib
        lib.ghostty_key_encoder_setopt_from_terminal(self._encoder, self._handle)
        off = self._ffi.new("uint8_t*", 0)
        lib.ghostty_key_encoder_setopt(self._encoder, lib.GHOSTTY_KEY_ENCODER_OPT_KITTY_FLAGS, off)
        lib.ghostty_key_encoder_setopt(self._encoder, lib.GHOSTTY_KEY_ENCODER_OPT_MODIFY_OTHER_KEYS_STATE_2, off)
        lib.ghostty_key_event_set_key(self._event, getattr(lib, f"GHOSTTY_KEY_{_NAMED[base]}"))
        lib.ghostty_key_event_set_mods(self._event, mods)
        if lib.ghostty_key_encoder_encode(self._encoder, self._event, self._buffer, 64, self._length):
            return b""
        return bytes(self._ffi.buffer(self._buffer, self._length[0]))


def encode_paste(text: str, *, bracketed: bool) -> bytes:
    """Return `text` as it is sent on a paste: line ends as Enter, all other control characters but tab removed.

    Removing ESC keeps a clipboard from ending the bracketed paste itself and typing commands behind it.
    """
    text = text.replace("\r\n", "\r").replace("\n", "\r")
    text = "".join(c for c in text if c in "\r\t" or not (c < " " or "\x7f" <= c <= "\x9f"))
    data = text.encode(errors="ignore")
    return b"\x1b[200~" + data + b"\x1b[201~" if bracketed else data


def _encode_text(character: str | None, mods: int) -> bytes:
    """Return a character with its modifiers as a terminal sends it: ctrl as a control code, alt as an ESC before it."""
    if character is None:
        return b""
    if mods & _CTRL:
        code = _CTRL_TEXT.get(character)
        if code is None and "@" <= character <= "~":
            code = ord(character) & 0x1F
        data = bytes([code]) if code is not None else character.encode(errors="ignore")
    else:
        data = (character.upper() if mods & _SHIFT else character).encode(errors="ignore")
    return b"\x1b" + data if mods & _ALT else data
