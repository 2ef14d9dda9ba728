"""Alt with keys that Textual would misread.

Of punctuation it drops the Alt, of digits it makes a Mac's symbols, and b, f and Backspace it takes for other keys.
"""

from dataclasses import dataclass
from string import digits, punctuation
from typing import Any

from textual import _ansi_sequences
from textual.keys import _character_to_key

# After ESC these begin what is no key: CSI, OSC, SS3 and the strings of control functions.
_BEGINNINGS = frozenset("[]OPX^_\\")


@dataclass(frozen=True, slots=True)
class _AltKey:
    """Stands in Textual's table where it has its own names of keys."""

    value: str


def teach_alt_keys() -> None:
    """Let Textual read ESC and a digit, a sign, b, f, Enter or Backspace as that key with Alt."""
    table: Any = _ansi_sequences.ANSI_SEQUENCES_KEYS
    for character in {*digits, *punctuation, *"bf"} - _BEGINNINGS:
        table[f"\x1b{character}"] = (_AltKey(f"alt+{_character_to_key(character)}"),)
    table["\x1b\r"] = (_AltKey("alt+enter"),)
    table["\x1b\x7f"] = table["\x1b\b"] = (_AltKey("alt+backspace"),)
