"""What is known of moving VMs to a host, from "looking…" to the verdict of all checks, in words. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import wrap

from textual.content import Content

from kvmtui.model.migration_options import DiskMove, MigrationOptions, PartCopy
from kvmtui.model.preflight import Check, Grade

_SIGNS = {Grade.FAIL: "FAIL", Grade.WARN: "WARN", Grade.UNKNOWN: "?", Grade.PASS: "ok"}
_TONES = {Grade.FAIL: "$text-error", Grade.WARN: "$text-warning", Grade.UNKNOWN: "", Grade.PASS: "$text-success"}
_TITLE, _SIGN = 18, 6
_MUTED = "$foreground-muted"


@dataclass(frozen=True, slots=True)
class Look:
    """What came of looking at one VM and one destination."""

    judge: Callable[[MigrationOptions], tuple[Check, ...]] | None = None
    """Returns all checks of a move with these options, worst first, from what the hosts told."""
    disks: DiskMove = DiskMove.SHARED
    """The sound way for its disks."""
    partly: PartCopy | None = None
    """Which of them are to be copied where some are; None: all."""
    diskless: bool = False
    """Whether it has no disks that could be copied or shared."""
    problem: str = ""
    """Why nothing could be found out."""

    def checks(self, options: MigrationOptions) -> tuple[Check, ...]:
        """Return all checks, worst first."""
        if self.judge is None:
            advice = "it can be tried: libvirt checks by itself, and an error leaves the VM where it is"
            return (Check("look", "looking", Grade.WARN, self.problem, advice),)
        return self.judge(options)


@dataclass(frozen=True, slots=True)
class Judged:
    """One VM and one destination: how it would be moved, and the checks of that."""

    vm_name: str
    options: MigrationOptions
    checks: tuple[Check, ...] | None
    """Worst first; None: still being looked at."""

    @property
    def worst(self) -> Check | None:
        """The check that matters most."""
        return self.checks[0] if self.checks else None

    @property
    def grade(self) -> Grade:
        """How bad it is."""
        return self.worst.grade if self.worst else Grade.PASS


def face(judged: Sequence[Judged]) -> tuple[str, str]:
    """Return in one line whether the destination can take the VMs, and the tone of that."""
    failing = [one for one in judged if one.grade is Grade.FAIL]
    if failing and failing[0].worst:
        count = f"{len(failing)} of {len(judged)} " if len(judged) > 1 else ""
        return f"cannot{' take ' if count else ''}{count.strip()}: {_said(failing[0].worst)}", _TONES[Grade.FAIL]
    looking = sum(one.checks is None for one in judged)
    if looking:
        return ("looking…" if len(judged) == 1 else f"looking… {len(judged) - looking} of {len(judged)}"), _MUTED
    warned, unknown = (_count(judged, grade) for grade in (Grade.WARN, Grade.UNKNOWN))
    if warned:
        return f"{warned} warning{'' if warned == 1 else 's'}", _TONES[Grade.WARN]
    takes = "can take it" if len(judged) == 1 else f"can take all {len(judged)}"
    return f"{takes}, {unknown} unknown" if unknown else takes, _TONES[Grade.PASS]


def warnings(judged: Sequence[Judged]) -> list[str]:
    """Return what is to be agreed to, one line each."""
    several = len(judged) > 1
    return [
        f"{one.vm_name + ': ' if several else ''}{_said(check)}"
        for one in judged
        for check in one.checks or ()
        if check.grade is Grade.WARN
    ]


def check_lines(judged: Sequence[Judged], width: int, *, everything: bool, key: str) -> list[Content]:
    """Return the checks, worst first: of several VMs the worst of each; `everything` shows those that pass, too."""
    if len(judged) > 1 and not everything:
        return _worst_of_each(judged, width, key)
    lines: list[Content] = []
    for one in judged:
        if len(judged) > 1:
            lines.append(Content.styled(one.vm_name, "bold"))
        lines += _checks_of(one, width, everything=everything, key=key)
    return lines


def _checks_of(one: Judged, width: int, *, everything: bool, key: str) -> list[Content]:
    if one.checks is None:
        return [Content.styled("looking at the VM and at this host…", _MUTED)]
    lines: list[Content] = []
    passed = sum(check.grade is Grade.PASS for check in one.checks)
    for check in one.checks:
        if everything or check.grade is not Grade.PASS:
            lines += _check(check, check.title, width)
    if passed and not everything:
        folded = Content.styled(f"{passed} check{' passes' if passed == 1 else 's pass'}", "")
        lines.append(_row(Grade.PASS, folded + Content.styled(f"  {key} shows them", _MUTED)))
    return lines


def _worst_of_each(judged: Sequence[Judged], width: int, key: str) -> list[Content]:
    lines: list[Content] = []
    for one in sorted(judged, key=lambda one: -one.grade):
        if one.checks is None:
            lines.append(Content.styled(f"{'':<{_SIGN}}{one.vm_name}  looking…", _MUTED))
        elif one.worst is None or one.grade is Grade.PASS:
            lines.append(_row(Grade.PASS, Content(f"{one.vm_name}  can be migrated")))
        else:
            lines += _check(one.worst, one.vm_name, width, prefix=f"{one.worst.title}: ")
    return [*lines, Content.styled(f"{key} shows all checks of each VM", _MUTED)]


def _check(check: Check, title: str, width: int, prefix: str = "") -> list[Content]:
    indent = _SIGN + _TITLE
    room = max(20, width - indent)
    long_title = len(title) >= _TITLE
    first, *rest = wrap(prefix + check.evidence, room) or [""]
    tone = _TONES[check.grade] if check.grade >= Grade.WARN else ""
    if long_title:
        lines = [_row(check.grade, Content.styled(title, f"bold {tone}".strip())), Content(" " * indent + first)]
    else:
        lines = [_row(check.grade, Content.assemble((f"{title:<{_TITLE}}", f"bold {tone}".strip()), first))]
    lines += [Content(" " * indent + line) for line in rest]
    if check.advice:
        lines += [
            Content.styled(" " * (indent - 2) + ("→ " if not number else "  ") + line, _MUTED)
            for number, line in enumerate(wrap(check.advice, room))
        ]
    return lines


def _row(grade: Grade, rest: Content) -> Content:
    return Content.assemble((f"{_SIGNS[grade]:<{_SIGN}}", f"bold {_TONES[grade]}".strip()), rest)


def _count(judged: Sequence[Judged], grade: Grade) -> int:
    return sum(check.grade is grade for one in judged for check in one.checks or ())


def _said(check: Check) -> str:
    return f"{check.title}: {check.evidence}" if check.evidence else check.title
