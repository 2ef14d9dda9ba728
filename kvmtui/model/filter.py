"""Which VMs are shown: a small language of words and conditions.

A VM is shown when all terms match: words (part of the name), `re:PATTERN`, `!term`, `state=running`, `host=h1` or
`host=h*`, `cpu>50` `mem>80` `ready>5` in percent, `net>10M` `disk>1G` in bytes per second. A term that is not finished
being typed matches everything, so that the table does not empty under the typing hand.
"""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import isnan, nan

from kvmtui.model.host_vms import HostVms
from kvmtui.model.vm import VmState


class FilterError(ValueError):
    """A filter that cannot be read; the text says why."""


Test = Callable[[HostVms, str], Sequence[bool]]
"""Says of each VM, on the host of that name, whether it is shown; by column, for a filter is applied at every tick."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter."""

    text: str
    tests: tuple[Test, ...] = ()

    def matches(self, vms: HostVms, host_name: str) -> list[bool]:
        """Return which of the VMs are shown, in their order."""
        columns = [test(vms, host_name) for test in self.tests]
        return [all(row) for row in zip(*columns, strict=True)] if columns else [True] * len(vms)


def nothing(text: str) -> Filter:
    """Return the filter that shows no VM: of what makes no sense, nobody knows what it would show."""
    return Filter(text.strip(), (lambda vms, host: [False] * len(vms),))


def _percent(fractions: Sequence[float]) -> list[float]:
    return [100 * value for value in fractions]


def _memory_percent(vms: HostVms) -> list[float]:
    amounts = zip(vms.memory_used_column(), vms.memory_allocated_bytes, strict=True)
    return [100 * used / (allocated or nan) for used, allocated in amounts]


def _sum(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the sums; what is not known adds nothing to what is."""
    return [
        one if isnan(other) else other if isnan(one) else one + other for one, other in zip(first, second, strict=True)
    ]


_FIGURES: dict[str, Callable[[HostVms], Sequence[float]]] = {
    "cpu": lambda vms: _percent(vms.cpu_cores),
    "mem": _memory_percent,
    "ready": lambda vms: _percent(vms.deep_column("ready_fraction")),
    "net": lambda vms: _sum(vms.net_in_bytes_per_s, vms.net_out_bytes_per_s),
    "disk": lambda vms: _sum(vms.deep_column("disk_read_bytes_per_s"), vms.deep_column("disk_write_bytes_per_s")),
}
_RATES = ("net", "disk")
_FIELDS = ("state", "host", "name")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
_CONDITION = re.compile(r"([a-z]+)(>=|<=|>|<|=)(.*)", re.IGNORECASE)
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([a-z%/]*)", re.IGNORECASE)
_FACTORS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def parse_filter(text: str, *, finished: bool = False) -> Filter:
    """Return the filter `text` stands for; `finished` says that nothing more is typed.

    Raises:
        FilterError: A term makes no sense, or is not whole although it is finished.
    """
    terms = [_term(term) for term in text.split()]
    if finished and None in terms:
        raise FilterError(f"{text.split()[terms.index(None)]} is not finished")
    return Filter(text.strip(), tuple(test for test in terms if test is not None))


def _term(term: str) -> Test | None:
    """Return the test of one term, or None where it is not finished."""
    if term.startswith("!"):
        positive = _term(term[1:])
        return None if positive is None else lambda vms, host: [not shown for shown in positive(vms, host)]
    if term.lower().startswith("re:"):
        return _pattern(term[3:])
    if condition := _CONDITION.fullmatch(term):
        return _condition(condition[1].lower(), condition[2], condition[3])
    word = term.casefold()
    return (lambda vms, host: [word in name.casefold() for name in vms.names]) if word else None


def _pattern(text: str) -> Test | None:
    if not text:
        return None
    try:
        pattern = re.compile(text, re.IGNORECASE)
    except re.error as error:
        # An open bracket or a trailing backslash is a pattern on its way.
        if error.pos is None or any(
            word in str(error) for word in ("unterminated", "missing", "unexpected end", "(end of pattern)")
        ):
            return None
        raise FilterError(f"bad pattern {text!r}: {error}") from None
    return lambda vms, host: [pattern.search(name) is not None for name in vms.names]


def _condition(name: str, sign: str, text: str) -> Test | None:
    if name in _FIELDS:
        return _field(name, sign, text)
    if name not in _FIGURES:
        known = ", ".join((*_FIELDS, *_FIGURES))
        raise FilterError(f"nothing is called {name!r}: known are {known}")
    if not text:
        return None
    if sign == "=":
        raise FilterError(f"{name} takes >, <, >= or <=")
    wanted = _number(name, text)
    read, compare = _FIGURES[name], _COMPARE[sign]
    # What is not known is NaN, which is neither more nor less.
    return lambda vms, host: [compare(value, wanted) for value in read(vms)]


def _field(name: str, sign: str, text: str) -> Test | None:
    if sign != "=":
        raise FilterError(f"{name} takes =")
    wanted = text.casefold()
    if not wanted:
        return None
    if name == "host":
        # Not by its beginning: h1 is not to stand for h10 as well.
        return lambda vms, host: [fnmatchcase(host.casefold(), wanted)] * len(vms)
    if name == "name":
        return lambda vms, host: [name.casefold().startswith(wanted) for name in vms.names]
    # "shut off" cannot be typed with its space, so spaces do not count.
    wanted = wanted.replace("-", "").replace("_", "")
    if not any(state.replace(" ", "").startswith(wanted) for state in VmState):
        raise FilterError(f"no state starts with {text!r}: states are {', '.join(VmState)}")
    states = {state for state in VmState if state.replace(" ", "").startswith(wanted)}
    return lambda vms, host: [state in states for state in vms.states]


def _number(name: str, text: str) -> float:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise FilterError(f"{text!r} is not a number")
    number, unit = float(match[1]), match[2].lower()
    if name not in _RATES:
        if unit not in ("", "%"):
            raise FilterError(f"{name} is in percent, not in {match[2]!r}")
        return number
    factor = _FACTORS.get(unit.removesuffix("/s").removesuffix("ib"))
    if factor is None:
        raise FilterError(f"unknown unit {match[2]!r}: use k, M, G or T")
    return number * factor
