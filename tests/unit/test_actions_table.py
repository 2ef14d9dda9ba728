from dataclasses import replace

import pytest

from kvmtui.model.actions import ACTIONS, BY_ID, Danger, virsh_line
from kvmtui.model.vm import Job, Vm, VmKey, VmState

VM = Vm(VmKey("qemu:///system", "u1"), "web1", 3, VmState.RUNNING, persistent=True, autostart=False)


def test_ids_are_unique_and_one_key_never_means_two_things_in_one_state() -> None:
    assert len(BY_ID) == len(ACTIONS)
    for state in VmState:
        for autostart in (True, False):
            vm = replace(VM, state=state, autostart=autostart)
            keys = [action.key for action in ACTIONS if action.refusal(vm) is None]
            assert len(keys) == len(set(keys)), state


def test_whatever_can_lose_data_asks_and_is_on_an_upper_case_key() -> None:
    for action in ACTIONS:
        if action.danger is Danger.DESTRUCTIVE:
            assert action.key.isupper()
            assert action.consequence


@pytest.mark.parametrize(
    ("action", "state", "allowed"),
    [
        ("start", VmState.SHUT_OFF, True),
        ("start", VmState.RUNNING, False),
        ("shutdown", VmState.RUNNING, True),
        ("shutdown", VmState.PAUSED, False),
        ("pause", VmState.RUNNING, True),
        ("resume", VmState.PAUSED, True),
        ("resume", VmState.RUNNING, False),
        ("force_off", VmState.PAUSED, True),
        ("force_off", VmState.SHUT_OFF, False),
        ("migrate", VmState.SHUT_OFF, True),
        ("console", VmState.SHUT_OFF, True),
    ],
)
def test_states(action: str, state: VmState, allowed: bool) -> None:
    assert (BY_ID[action].refusal(replace(VM, state=state)) is None) is allowed


def test_during_a_migration_only_what_libvirt_allows() -> None:
    moving = replace(VM, job=Job("migration"))
    allowed = {action.id for action in ACTIONS if action.refusal(moving) is None}
    assert allowed == {"pause", "force_off", "console", "abort_job"}


def test_transient_vms_have_nothing_to_save() -> None:
    assert BY_ID["save"].refusal(replace(VM, persistent=False)) is not None


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("web1", "virsh -c qemu:///system shutdown web1"),
        ("-c", "virsh -c qemu:///system shutdown u1"),
        ("a; rm -rf /", "virsh -c qemu:///system shutdown u1"),
    ],
)
def test_virsh_line_never_carries_a_name_a_shell_could_misread(name: str, line: str) -> None:
    assert virsh_line("qemu:///system", "shutdown", name, "u1") == line


def test_virsh_line_quotes_the_uri() -> None:
    line = virsh_line("qemu+unix:///system?socket=/a b", "autostart --disable", "web1", "u1")
    assert line == "virsh -c 'qemu+unix:///system?socket=/a b' autostart web1 --disable"
