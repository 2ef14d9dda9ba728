"""What the move dialog says of a destination."""

import pytest

from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.preflight import Check, Grade
from kvmtui.ui.outlook import Judged, Look, check_lines, face, warnings

OPTIONS = MigrationOptions()
FAIL = Check("machine", "machine type", Grade.FAIL, "pc-q35-9.2 is not known there", "upgrade QEMU there")
WARN = Check("memory", "memory", Grade.WARN, "needs 4.0 GiB, 3.9 GiB free", "move another VM away first")
UNKNOWN = Check("port", "migration port", Grade.UNKNOWN, "cannot be seen from here")
PASS = Check("cpu", "CPU", Grade.PASS, "the same model")


def judged(*checks: Check, name: str = "web1") -> Judged:
    return Judged(name, OPTIONS, tuple(sorted(checks, key=lambda check: -check.grade)))


LOOKING = Judged("web2", OPTIONS, None)


@pytest.mark.parametrize(
    ("vms", "text"),
    [
        ([LOOKING], "looking…"),
        ([judged(PASS), LOOKING], "looking… 1 of 2"),
        ([judged(PASS)], "can take it"),
        ([judged(PASS, UNKNOWN)], "can take it, 1 unknown"),
        ([judged(PASS, WARN)], "1 warning"),
        ([judged(WARN), judged(WARN, WARN)], "3 warnings"),
        ([judged(PASS), judged(PASS)], "can take all 2"),
        # A failure is told as soon as it is known.
        ([judged(FAIL, WARN), LOOKING], "cannot take 1 of 2: machine type"),
        ([judged(FAIL)], "cannot: machine type"),
    ],
)
def test_the_face_of_a_destination(vms: list[Judged], text: str) -> None:
    assert face(vms)[0].startswith(text)


def test_worst_first_with_evidence_and_advice_and_passes_in_one_line() -> None:
    vm = judged(PASS, PASS, UNKNOWN, WARN, FAIL)
    lines = [line.plain for line in check_lines([vm], 70, everything=False, key="v")]
    assert [line.split()[0] for line in lines] == ["FAIL", "→", "WARN", "→", "?", "ok"]
    assert "pc-q35-9.2 is not known there" in lines[0]
    assert "upgrade QEMU there" in lines[1]
    assert "2 checks pass" in lines[-1]
    everything = [line.plain for line in check_lines([vm], 70, everything=True, key="v")]
    assert sum("the same model" in line for line in everything) == 2


def test_long_evidence_is_wrapped_and_never_wider_than_there_is_room() -> None:
    check = Check("x", "a title that is longer than its column", Grade.FAIL, "evidence " * 20, "advice " * 20)
    lines = check_lines([judged(check)], 60, everything=False, key="v")
    assert max(line.cell_length for line in lines) <= 60
    assert sum(line.plain.count("evidence") for line in lines) == 20


def test_of_several_vms_the_worst_of_each_and_the_worst_vm_first() -> None:
    vms = [judged(PASS, name="good"), judged(WARN, UNKNOWN, name="tight"), judged(FAIL, WARN, name="bad"), LOOKING]
    lines = [line.plain for line in check_lines(vms, 70, everything=False, key="v")]
    assert lines[0].startswith("FAIL  bad")
    assert "machine type: pc-q35-9.2" in lines[0]
    assert lines[2].startswith("WARN  tight")
    assert any("good  can be migrated" in line for line in lines)
    assert any("web2  looking…" in line for line in lines)
    assert warnings(vms) == [
        "tight: memory: needs 4.0 GiB, 3.9 GiB free",
        "bad: memory: needs 4.0 GiB, 3.9 GiB free",
    ]


def test_what_could_not_be_looked_at_warns() -> None:
    look = Look(problem="no answer for 10 s")
    assert warnings([Judged("web1", OPTIONS, look.checks(OPTIONS))]) == ["looking: no answer for 10 s"]
