"""The filter language, as tables."""

import pytest

from kvmtui.model.filter import FilterError, nothing, parse_filter
from kvmtui.model.host_vms import HostVms
from kvmtui.model.vm import Vm, VmState
from tests.ui.fleets import GIB, MIB, make_vm

VM = make_vm(
    "Web-Front1",
    cpu_cores=1.43,
    ready_fraction=0.061,
    net_in_bytes_per_s=12.0 * MIB,
    net_out_bytes_per_s=3.0 * MIB,
    disk_read_bytes_per_s=500.0,
    disk_write_bytes_per_s=None,
)
OFF = make_vm("old", state=VmState.SHUT_OFF)


def matches(text: str, vm: Vm) -> bool:
    """Return whether a VM is shown, in whatever company."""
    wanted = parse_filter(text)
    others = [make_vm(f"other{number}") for number in range(3)]
    shown = [wanted.matches(HostVms.of([*others[:at], vm, *others[at:]]), "h1")[at] for at in (0, 2)]
    assert shown[0] is shown[1]
    return shown[0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", True),
        ("   ", True),
        ("web", True),
        ("WEB front", True),
        ("web db", False),
        ("!db", True),
        ("!web", False),
        ("!!web", True),
        ("[b]", False),
        ("re:^web-.*1$", True),
        ("re:^front", False),
        ("!re:^front", True),
        ("state=running", True),
        ("state=run", True),
        ("state=shutoff", False),
        ("!state=paused", True),
        ("host=h1", True),
        ("host=H1", True),
        ("host=H*", True),
        ("host=h", False),
        ("host=?1", True),
        ("host=h2", False),
        ("cpu>50", True),
        ("cpu>143.5", False),
        ("cpu<50", False),
        ("CPU>=100%", True),
        ("mem>80", False),
        ("mem<=55", True),
        ("ready>5", True),
        ("net>10M", True),
        ("net>14.9M", True),
        ("net>15.1M", False),
        ("net>10MiB/s", True),
        ("disk>1k", False),
        ("disk<1k", True),
        ("web cpu>50 !state=paused host=h1", True),
        # not finished
        ("!", True),
        ("re:", True),
        ("re:web(", True),
        ("re:[ab", True),
        ("re:web\\", True),
        ("re:web(?", True),
        ("re:web(?P<", True),
        ("cpu>", True),
        ("cpu>=", True),
        ("net<", True),
        ("state=", True),
        ("host=", True),
        ("!cpu>", True),
        ("web cpu>", True),
        ("db cpu>", False),
    ],
)
def test_matches(text: str, shown: bool) -> None:
    assert matches(text, VM) is shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("cpu<50", False), ("cpu>50", False), ("net<1M", False), ("state=shut", True), ("state=shut-off", True)],
)
def test_unknown_is_neither_more_nor_less(text: str, shown: bool) -> None:
    assert matches(text, OFF) is shown


def test_memory_in_percent_of_what_is_allocated() -> None:
    vm = make_vm("a", memory_allocated_bytes=4 * GIB)
    assert matches("mem>54", vm)
    assert not matches("mem>56", vm)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("re:*x", "bad pattern"),
        ("colour>5", "nothing is called 'colour'"),
        ("cpu=5", "cpu takes"),
        ("cpu>many", "'many' is not a number"),
        ("cpu>10M", "in percent"),
        ("net>10X", "unknown unit 'X'"),
        ("state>run", "state takes ="),
        ("state=flying", "no state starts with 'flying'"),
    ],
)
def test_errors_say_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(FilterError, match=says):
        parse_filter(text)


def test_keeps_its_text() -> None:
    assert parse_filter(" web  ").text == "web"


@pytest.mark.parametrize("text", ["re:[", "cpu>", "!", "web re:("])
def test_what_is_not_finished_when_all_is_typed_is_wrong(text: str) -> None:
    parse_filter(text)
    with pytest.raises(FilterError, match="not finished"):
        parse_filter(text, finished=True)


def test_what_makes_no_sense_shows_nothing() -> None:
    assert nothing("foo=1").matches(HostVms.of([VM, OFF]), "h1") == [False, False]
