"""The signs the screen is drawn with: one set for Unicode, one for terminals that have only ASCII."""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.cells import cell_len


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of signs; each is one cell wide."""

    ascii: bool
    cursor: str
    marked: str
    up: str
    """After the title of the column that is sorted, smallest first."""
    down: str
    """After the title of the column that is sorted, largest first."""
    problem: str
    unknown: str
    """Stands for a figure that is not known."""
    ellipsis: str
    dot: str
    """Between the facts of a line."""
    levels: str
    """What a one-line graph is drawn with, lowest first."""
    bar: str
    track: str
    """What of a bar is not filled."""
    thumb: str
    """The scroll position at the right edge."""
    mark: str
    """A line through a graph at the time that is read."""
    graphs: bool = True
    """Whether graphs are drawn at all; on a slow link they cost more than they tell."""


UNICODE = Glyphs(
    ascii=False,
    cursor="▸",
    marked="●",
    up="▲",
    down="▼",
    problem="▲",
    unknown="–",
    ellipsis="…",
    dot="·",
    levels="▁▂▃▄▅▆▇█",
    bar="━",
    track="─",
    thumb="▐",
    mark="│",
)
ASCII = Glyphs(
    ascii=True,
    cursor=">",
    marked="*",
    up="^",
    down="v",
    problem="!",
    unknown="-",
    ellipsis="~",
    dot="|",
    levels="_.-=+*#@",
    bar="#",
    track=".",
    thumb="|",
    mark="|",
)

_IN_ASCII = str.maketrans(
    {
        **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+"),
        **dict.fromkeys("─━═╌╶╴", "-"),
        **dict.fromkeys("│┃║", "|"),
        **dict.fromkeys("▁▂▃▄▅▆▇▔▏▎▍▌▋▊▉▕▐", " "),
        "█": "#",
        "·": "|",
        "→": ">",
        "←": "<",
        "↑": "^",
        "↓": "v",
        "▸": ">",
        "●": "*",
        "▲": "^",
        "▼": "v",
        "–": "-",
        "…": "~",
        "×": "x",
        "≥": ">",
        "≤": "<",
    }
)


def in_ascii(text: str) -> str:
    """Return `text` for a terminal that has no other characters, in as many cells."""
    if text.isascii():
        return text
    text = text.translate(_IN_ASCII)
    return "".join(sign if sign.isascii() else "?" * cell_len(sign) for sign in text)


def glyphs_for(encoding: str, environ: Mapping[str, str]) -> Glyphs:
    """Return the signs a terminal can show, by the encoding of its output and TERM.

    The Linux console's fonts have 256 or 512 characters: no braille, and most lack the block elements.
    """
    if environ.get("TERM", "") in ("linux", "dumb", "vt100", "vt220"):
        return ASCII
    return UNICODE if encoding.lower().replace("-", "") in ("utf8", "utf16", "utf32", "gb18030") else ASCII
