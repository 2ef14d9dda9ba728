"""Which VMs are shown: a small language of words and conditions.

A VM is shown when all terms match: words (part of the name), `re:PATTERN`, `!term`, `state=running`, `host=h1`,
`cpu>50` `mem>80` `ready>5` in percent, `net>10M` `disk>1G` in bytes per second. A term that is not finished being
typed matches everything, so that the table does not empty under the typing hand.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from kvmtui.model.vm import Vm, VmState


class FilterError(ValueError):
    """A filter that cannot be read; the text says why."""


Test = Callable[[Vm, str], bool]


@dataclass(frozen=True, slots=True)
class Filter:
    """A parsed filter."""

    text: str
    tests: tuple[Test, ...] = ()

    def matches(self, vm: Vm, host_name: str) -> bool:
        """Return whether the VM is shown."""
        return all(test(vm, host_name) for test in self.tests)


def _fraction(value: float | None) -> float | None:
    return None if value is None else value * 100


def _memory_percent(vm: Vm) -> float | None:
    if vm.memory is None or not vm.memory_allocated_bytes:
        return None
    return vm.memory.used_bytes / vm.memory_allocated_bytes * 100


def _sum(first: float | None, second: float | None) -> float | None:
    return None if first is None and second is None else (first or 0.0) + (second or 0.0)


_FIGURES: dict[str, Callable[[Vm], float | None]] = {
    "cpu": lambda vm: _fraction(vm.cpu_cores),
    "mem": _memory_percent,
    "ready": lambda vm: _fraction(vm.ready_fraction),
    "net": lambda vm: _sum(vm.net_in_bytes_per_s, vm.net_out_bytes_per_s),
    "disk": lambda vm: _sum(vm.disk_read_bytes_per_s, vm.disk_write_bytes_per_s),
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


def parse_filter(text: str) -> Filter:
    """Return the filter `text` stands for.

    Raises:
        FilterError: A term is finished and makes no sense.
    """
    terms = [_term(term) for term in text.split()]
    return Filter(text.strip(), tuple(test for test in terms if test is not None))


def _term(term: str) -> Test | None:
    """Return the test of one term, or None where it is not finished."""
    if term.startswith("!"):
        positive = _term(term[1:])
        return None if positive is None else lambda vm, host: not positive(vm, host)
    if term.lower().startswith("re:"):
        return _pattern(term[3:])
    if condition := _CONDITION.fullmatch(term):
        return _condition(condition[1].lower(), condition[2], condition[3])
    word = term.casefold()
    return (lambda vm, host: word in vm.name.casefold()) if word else None


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
    return lambda vm, host: pattern.search(vm.name) is not None


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

    def test(vm: Vm, host: str) -> bool:
        value = read(vm)
        # What is not known is neither more nor less.
        return value is not None and compare(value, wanted)

    return test


def _field(name: str, sign: str, text: str) -> Test | None:
    if sign != "=":
        raise FilterError(f"{name} takes =")
    wanted = text.casefold()
    if not wanted:
        return None
    if name == "host":
        return lambda vm, host: host.casefold().startswith(wanted)
    if name == "name":
        return lambda vm, host: vm.name.casefold().startswith(wanted)
    # "shut off" cannot be typed with its space, so spaces do not count.
    wanted = wanted.replace("-", "").replace("_", "")
    if not any(state.replace(" ", "").startswith(wanted) for state in VmState):
        raise FilterError(f"no state starts with {text!r}: states are {', '.join(VmState)}")
    return lambda vm, host: vm.state.replace(" ", "").startswith(wanted)


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
