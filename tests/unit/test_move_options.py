"""The options of a move as the dialog offers them."""

from dataclasses import fields, replace

import pytest

from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.ui.move_options import BY_KEY, CHOICES, barred, changed, for_vm, in_a_line, refusals, shown, turned

RUNS, OFF, BOTH = (True,), (False,), (True, False)
PLAIN = MigrationOptions()


def test_every_option_has_one_key_and_begins_as_it_is_by_itself() -> None:
    assert len(BY_KEY) == len(CHOICES)
    # Those are no choices: whether it is moved offline follows from the VM's state, which disks are copied from theirs.
    follow = {"offline", "partly"}
    assert {choice.field for choice in CHOICES} == {field.name for field in fields(MigrationOptions)} - follow
    for choice in CHOICES:
        assert choice.value(PLAIN) == choice.values[0][0] or choice.unit


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("d", [DiskMove.COPY, DiskMove.COPY_CHANGES, DiskMove.SHARED]),
        ("p", [True, False, None]),
        ("t", [True, False]),
        ("a", [False, True]),
        ("c", [True, False]),
        ("u", [False, True]),
        ("x", [True, False]),
    ],
)
def test_a_key_goes_through_the_values(key: str, values: list[object]) -> None:
    options = PLAIN
    for value in values:
        result = turned(BY_KEY[key], options, RUNS)
        assert isinstance(result, MigrationOptions)
        options = result
        assert BY_KEY[key].value(options) == value


def test_what_libvirt_refuses_cannot_be_chosen_and_says_why() -> None:
    kept = BY_KEY["e"]
    why = turned(kept, PLAIN, OFF)
    assert isinstance(why, str)
    assert why
    assert barred(kept, PLAIN, OFF) == why
    assert turned(kept, PLAIN, BOTH) == why, "one of several VMs is enough"
    assert isinstance(turned(kept, PLAIN, RUNS), MigrationOptions)
    assert not barred(kept, PLAIN, RUNS)


def test_what_is_refused_already_can_be_mended() -> None:
    kept = BY_KEY["e"]
    refused = replace(PLAIN, persist=False)
    assert refusals(refused, OFF)
    mended = turned(kept, refused, OFF)
    assert isinstance(mended, MigrationOptions)
    assert not refusals(mended, OFF)


def test_of_a_vm_that_is_off_only_the_definition_moves() -> None:
    wanted = MigrationOptions(disks=DiskMove.COPY, post_copy=True, tls=True, connections=4, undefine_source=False)
    options = for_vm(wanted, active=False)
    assert options == MigrationOptions(auto_converge=False, offline=True, undefine_source=False)
    assert for_vm(wanted, active=True) == wanted
    assert {choice.key for choice in shown(OFF)} == {"p", "e", "u"}
    assert len(shown(BOTH)) == len(CHOICES)
    assert "its definition is migrated" in in_a_line(options)
    assert not refusals(PLAIN, OFF)


def test_a_number_is_what_was_asked_for() -> None:
    result = changed(BY_KEY["b"], PLAIN, 50, RUNS)
    assert isinstance(result, MigrationOptions)
    assert result.bandwidth_mib_per_s == 50
    assert BY_KEY["b"].words(result) == "50 MiB/s"
    assert BY_KEY["s"].words(PLAIN) == "300 ms at the end, QEMU's default"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (PLAIN, "disks shared · auto-converge"),
        (
            MigrationOptions(DiskMove.COPY, peer_to_peer=False, tls=True, auto_converge=False, downtime_ms=500),
            "disks copied · managed · TLS · 500 ms",
        ),
        (MigrationOptions(persist=False, undefine_source=False, unsafe=True, auto_converge=False), "UNSAFE"),
    ],
)
def test_the_options_in_a_line(options: MigrationOptions, words: str) -> None:
    assert words in in_a_line(options)
