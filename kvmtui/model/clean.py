"""Text that comes from guests and daemons is hostile: this is the one door it enters by."""

import re
import unicodedata

# C0 and C1 controls, DEL, bidi marks, embeddings and isolates, line and paragraph separators, zero-width and
# invisible operators, the BOM, lone surrogates and the tag characters.
_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_REPLACEMENT = "\ufffd"
_MAX_COMBINING = 3


def clean(text: str, limit: int = 200) -> str:
    """Return `text` safe to draw on one line: no control or invisible character, at most `limit` characters.

    Each removed character leaves U+FFFD, so that two different names stay visibly different from their clean twin.
    """
    text = unicodedata.normalize("NFC", text[: limit * 4])
    text = _HOSTILE.sub(_REPLACEMENT, text)
    if not text.isascii():
        text = _cap_combining(text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clean_message(text: str, limit: int = 500) -> str:
    """Return an error text of a daemon on one line: line breaks become spaces, the rest as `clean`."""
    return clean(" ".join(text.split()), limit)


def _cap_combining(text: str) -> str:
    """Drop combining marks beyond a few per character: thousands on one cell cost a terminal seconds."""
    kept: list[str] = []
    run = 0
    for character in text:
        run = run + 1 if unicodedata.combining(character) else 0
        if run <= _MAX_COMBINING:
            kept.append(character)
    return "".join(kept)
