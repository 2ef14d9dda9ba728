"""The shortest escape sequences that change how a terminal draws, and where."""

from functools import lru_cache
from typing import Final

# What ends each attribute (ECMA-48, SGR); some end two.
_END = {"1": "22", "2": "22", "3": "23", "4": "24", "21": "24", "5": "25", "6": "25", "7": "27", "8": "28", "9": "29"}
_END |= {"51": "54", "52": "54", "53": "55"}
# Attributes that can be seen on a space: underline, blink, reverse, strike, frame, overline. Not bold, dim, italic.
_SEEN_ON_SPACE = {"4", "21", "5", "6", "7", "9", "51", "52", "53"}


class Pen:
    """A way to draw, as the terminal understands it; equal pens are one object."""

    __slots__ = ("attributes", "background", "blank", "codes", "color", "link")

    def __init__(self, ansi: str, link: str) -> None:
        """Take the parameters of an SGR sequence, and the opening of a hyperlink or nothing."""
        attributes: list[str] = []
        color = background = ""
        codes = iter(ansi.split(";"))
        for code in codes:
            if code in ("38", "48"):
                kind = next(codes)
                parts = [code, kind, *(next(codes) for _ in range(1 if kind == "5" else 3))]
                code, layer = ";".join(parts), code[0]
            else:
                number = int(code or "0")
                layer = "3" if 30 <= number < 40 or 90 <= number < 98 else "4" if 40 <= number < 50 else ""
                layer = layer or ("4" if 100 <= number < 108 else "")
            if layer == "3":
                color = "" if code == "39" else code
            elif layer == "4":
                background = "" if code == "49" else code
            elif code in _END:
                if _END[code] != "22":  # of two kinds of underline the last counts; bold and dim go together
                    attributes = [other for other in attributes if _END[other] != _END[code]]
                attributes.append(code)
        self.attributes: Final = tuple(attributes)
        self.color: Final = color
        self.background: Final = background
        self.link: Final = link
        self.codes: Final = ";".join(filter(None, (*attributes, color, background)))
        # A space looks the same in all pens of one background, unless something is drawn on it.
        plain_space = not link and not _SEEN_ON_SPACE.intersection(attributes)
        self.blank: Final[Pen] = self if not plain_space or self.codes == background else pen_of(background, "")


@lru_cache(4096)
def pen_of(ansi: str, link: str) -> Pen:
    """Return the pen for an SGR sequence's parameters and a hyperlink's opening sequence."""
    pen = Pen(ansi, link)
    return pen if pen.codes == ansi else pen_of(pen.codes, link)


@lru_cache(4096)
def change_pen(old: Pen, new: Pen) -> str:
    """Return the shortest sequence that leads from one pen to another."""
    sequence = ""
    if old is not new and old.codes != new.codes:
        ended = {_END[code] for code in old.attributes if code not in new.attributes}
        codes = sorted(ended)
        codes += [code for code in new.attributes if code not in old.attributes or _END[code] in ended]
        if old.color != new.color:
            codes.append(new.color or "39")
        if old.background != new.background:
            codes.append(new.background or "49")
        step, afresh = ";".join(codes), f"0;{new.codes}" if new.codes else ""
        sequence = f"\x1b[{min(step, afresh, key=len)}m"
    if old.link != new.link:
        sequence += new.link or "\x1b]8;;\x1b\\"
    return sequence


def move_cursor(from_x: int, from_y: int, x: int, y: int) -> str:
    """Return the shortest sequence that moves the cursor; -1 stands for a column or line that is not known."""
    down = y - from_y
    if from_y < 0 or not 0 <= down <= 3:
        return _place(x, y)
    # A vertical tab is a line feed that no tty driver turns into CR LF, so it keeps the column.
    way = "\x0b\x0b\x0b"[:down] + _across(from_x, x)
    return way if len(way) < _SHORTEST_PLACE or len(way) <= len(_place(x, y)) else _place(x, y)


_SHORTEST_PLACE = len("\x1b[1;1H")


def _place(x: int, y: int) -> str:
    return "\x1b[H" if x == y == 0 else f"\x1b[{y + 1}H" if x == 0 else f"\x1b[{y + 1};{x + 1}H"


@lru_cache(1 << 12)
def _across(from_x: int, x: int) -> str:
    ways = ["\r"] if x == 0 else [f"\x1b[{x + 1}G"]
    if from_x >= 0:
        columns = x - from_x
        if columns <= 0:
            ways += ["\b" * -columns, f"\x1b[{-columns}D"]
        else:
            ways.append("\x1b[C" if columns == 1 else f"\x1b[{columns}C")
    return min(ways, key=len)


PLAIN: Final = pen_of("", "")
