"""Migrations that go well and that go wrong: each ends with the guest alive exactly once, and kvmtui saying so.

What breaks a migration that the source's daemon carries is thrown in `test_moving_by_keys`, what breaks one that
kvmtui carries here.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from kvmtui.engine.adoption import Adoption
from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.libvirt_backend import LibvirtBackend
from kvmtui.model.actions import ACTIONS
from kvmtui.model.host import Link
from kvmtui.model.migration import Migration, MigrationRequest, Phase, RepairKind, Steer
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.migration_progress import Verdict
from kvmtui.model.vm import VmKey
from kvmtui.ui import acting
from tests.lab.conftest import Guest, GuestFactory
from tests.lab.lab import Host, Lab, wait_until
from tests.lab.tools import LabError

#: Slow enough for a fault to come in the middle.
SLOW = MigrationOptions(bandwidth_mib_per_s=1)
MANAGED = MigrationOptions(bandwidth_mib_per_s=1, peer_to_peer=False)
FAULT_SECONDS = 60.0


class Mover:
    """An engine over both hosts, and what it says of migrations."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.told: list[Migration] = []
        self.engine = Engine(LibvirtBackend(), [host.uri for host in lab.hosts], interval_s=0.5)
        self.engine.listeners.migration_changed = self.told.append
        self.engine.start()
        wait_until(lambda: all(host.link is Link.UP for host in self.engine.fleet.hosts.values()), "both hosts")

    def move(self, guest: Guest, source: Host, destination: Host, options: MigrationOptions) -> VmKey:
        key = VmKey(source.uri, guest.uuid)
        wait_until(
            lambda: (vm := self.engine.fleet.vm(key)) is not None and vm.state.active, f"{guest.name} to be seen"
        )
        vm = self.engine.fleet.vm(key)
        assert vm is not None
        self.engine.migrate(MigrationRequest(key, vm.name, vm.id, destination.uri, options))
        return key

    def now(self, key: VmKey) -> Migration | None:
        return next((one for one in self.engine.migrations if one.request.key == key), None)

    def see(
        self, key: VmKey, condition: Callable[[Migration], object], what: str, seconds: float = FAULT_SECONDS
    ) -> Migration:
        """Return the migration once it is so."""
        try:
            wait_until(lambda: (one := self.now(key)) is not None and condition(one), what, seconds)
        except LabError as error:
            raise LabError(f"{error}; but {self.now(key)}") from None
        found = self.now(key)
        assert found is not None
        return found

    def midway(self, key: VmKey) -> Migration:
        """Return the migration once guest memory has gone over."""

        def on_its_way(one: Migration) -> bool:
            assert not one.phase.ended, one
            return one.job is not None and (one.job.iteration or 0) > 0 and (one.job.sent_bytes or 0) > 1 << 20

        return self.see(key, on_its_way, "memory to go over")

    def end(self, key: VmKey, seconds: float = FAULT_SECONDS) -> Migration:
        return self.see(key, lambda one: one.phase.ended, "the end", seconds)


@pytest.fixture
def mover(lab: Lab) -> Iterator[Mover]:
    made = Mover(lab)
    yield made
    made.engine.stop()


def state(host: Host, guest: Guest) -> str:
    try:
        return host.virsh("domstate", guest.uuid).strip()
    except LabError:
        return "absent"


def assert_only_at(guest: Guest, here: Host, there: Host) -> None:
    assert (state(here, guest), state(there, guest)) == ("running", "absent")


def test_an_abort_at_once_is_an_abort(lab: Lab, guest: GuestFactory, mover: Mover) -> None:
    web = guest(lab.h1, "web1")
    key = mover.move(web, lab.h1, lab.h2, SLOW)
    mover.engine.steer(key, Steer.ABORT)
    assert mover.end(key).phase is Phase.CANCELLED
    assert_only_at(web, lab.h1, lab.h2)


def test_bandwidth_and_pause_bring_it_over(lab: Lab, guest: GuestFactory, mover: Mover) -> None:
    web = guest(lab.h1, "web1", role="cpu")
    key = mover.move(web, lab.h1, lab.h2, MigrationOptions(bandwidth_mib_per_s=1, downtime_ms=400))
    mover.midway(key)
    mover.see(key, lambda _: any("400 ms" in one.message for one in mover.told), "the downtime to be set")
    mover.engine.steer(key, Steer.PAUSE_GUEST)
    mover.see(key, lambda one: "paused until" in one.message, "the guest to be paused")
    assert state(lab.h1, web) == "paused"
    mover.see(key, lambda one: one.paused_at_s is not None, "the time since when it stands still")
    mover.engine.steer(key, Steer.BANDWIDTH, 0)
    assert mover.end(key).phase is Phase.DONE
    assert_only_at(web, lab.h2, lab.h1)


def test_a_guest_that_was_paused_for_it_goes_on_after_an_abort(lab: Lab, guest: GuestFactory, mover: Mover) -> None:
    web = guest(lab.h1, "web1")
    key = mover.move(web, lab.h1, lab.h2, SLOW)
    mover.midway(key)
    mover.engine.steer(key, Steer.PAUSE_GUEST)
    mover.see(key, lambda one: "paused until" in one.message, "the guest to be paused")
    mover.engine.steer(key, Steer.ABORT)
    one = mover.end(key)
    assert one.phase is Phase.CANCELLED
    if one.repairs:
        assert [repair.kind for repair in one.repairs] == [RepairKind.RESUME_SOURCE]
        mover.engine.repair(key, RepairKind.RESUME_SOURCE)
        mover.see(key, lambda one: not one.repairs and "done" in one.message, "the guest to go on")
    assert_only_at(web, lab.h1, lab.h2)


@pytest.fixture
def qemu_as_root(lab: Lab, guest: GuestFactory) -> Iterator[None]:
    """Let QEMU catch page faults on both hosts: for others the kernel forbids it unless the machine's sysctl allows.

    It asks for `guest` so that the daemons are restarted before guests are removed: a post-copy that broke off can
    hold its domain's lock, which whoever removes the guest would wait for.
    """
    files = [host.folder / "etc/qemu.conf" for host in lab.hosts]
    usual = [file.read_text() for file in files]
    for file, text in zip(files, usual, strict=True):
        file.write_text(f'{text}user = "root"\ngroup = "root"\nclear_emulator_capabilities = 0\n')
    for host in lab.hosts:
        host.restart_libvirtd()
    yield
    for file, text in zip(files, usual, strict=True):
        file.write_text(text)
    for host in lab.hosts:
        # Neither daemon ends by itself while it waits for the other's half of a post-copy.
        host.restart_libvirtd(signal.SIGKILL)


@pytest.mark.usefixtures("qemu_as_root")
def test_post_copy(lab: Lab, guest: GuestFactory, mover: Mover) -> None:
    web = guest(lab.h1, "web1")
    key = mover.move(web, lab.h1, lab.h2, MigrationOptions(post_copy=True, bandwidth_mib_per_s=1))
    mover.midway(key)
    mover.engine.steer(key, Steer.POST_COPY)
    one = mover.end(key)
    assert any("post-copy" in one.message for one in mover.told)
    assert (one.phase, one.repairs) == (Phase.DONE, ())
    assert_only_at(web, lab.h2, lab.h1)


@pytest.mark.usefixtures("qemu_as_root")
def test_a_post_copy_that_breaks_is_not_taken_for_one_that_goes_on(lab: Lab, guest: GuestFactory, mover: Mover) -> None:
    web = guest(lab.h1, "web1")
    key = mover.move(web, lab.h1, lab.h2, MigrationOptions(post_copy=True, bandwidth_mib_per_s=1))
    mover.midway(key)
    lab.h1.virsh("migrate-setspeed", web.uuid, "1", "--postcopy")
    mover.engine.steer(key, Steer.POST_COPY)
    one = mover.see(key, lambda one: one.progress and one.progress.verdict is Verdict.POST_COPY, "post-copy")
    assert one.steers <= {Steer.BANDWIDTH}
    wait_until(lambda: state(lab.h2, web) == "running", "the guest to run there")
    lab.h1.virsh("domjobabort", "--postcopy", web.uuid)
    one = mover.end(key)
    # libvirt's own call goes on waiting for the destination, which knows of nothing, or has lost its half.
    assert one.phase is Phase.FAILED
    assert "post-copy broke off" in one.message
    there = state(lab.h2, web) == "running"
    assert [repair.kind for repair in one.repairs] == ([RepairKind.RECOVER_POST_COPY] if there else [])


def test_post_copy_where_qemu_may_not_is_refused_with_the_reason(lab: Lab, guest: GuestFactory, mover: Mover) -> None:
    if Path("/proc/sys/vm/unprivileged_userfaultfd").read_text().strip() != "0":
        pytest.skip("this machine lets everybody catch page faults")
    web = guest(lab.h1, "web1")
    key = mover.move(web, lab.h1, lab.h2, MigrationOptions(post_copy=True))
    one = mover.end(key)
    assert one.phase is Phase.FAILED
    assert "unprivileged_userfaultfd" in one.message
    assert_only_at(web, lab.h1, lab.h2)


def test_the_destinations_qemu_dies(lab: Lab, guest: GuestFactory, mover: Mover) -> None:
    web = guest(lab.h1, "web1")
    key = mover.move(web, lab.h1, lab.h2, MANAGED)
    mover.midway(key)
    os.kill(lab.h2.qemu_pid(web.name), signal.SIGKILL)
    one = mover.end(key)
    assert one.phase is Phase.FAILED
    assert one.message
    assert_only_at(web, lab.h1, lab.h2)


def test_the_link_between_the_hosts_is_cut(lab: Lab, guest: GuestFactory, mover: Mover) -> None:
    web = guest(lab.h1, "web1")
    key = mover.move(web, lab.h1, lab.h2, MANAGED)
    mover.midway(key)
    lab.h2.link(up=False)
    try:
        stalled = mover.see(
            key,
            lambda one: one.progress and one.progress.verdict is Verdict.STALLED,
            "it to say that nothing moves",
        )
        assert stalled.phase is Phase.RUNNING
        assert Steer.ABORT in stalled.steers
        mover.engine.steer(key, Steer.ABORT)
        assert mover.end(key).phase is Phase.CANCELLED
        assert_only_at(web, lab.h1, lab.h2)
    finally:
        lab.h2.link(up=True)


def test_what_virsh_began_is_followed_and_can_be_ended(lab: Lab, guest: GuestFactory, mover: Mover) -> None:
    web = guest(lab.h1, "web1")
    key = VmKey(lab.h1.uri, web.uuid)
    words = ["virsh", "--connect", lab.h1.uri, "migrate", "--live", "--p2p", "--bandwidth", "1", web.uuid, lab.h2.uri]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as virsh:
        one = mover.midway(key)
        assert (one.adopted, one.request.destination) == (True, lab.h2.uri)
        mover.engine.steer(key, Steer.ABORT)
        assert mover.end(key).phase is Phase.CANCELLED
        assert virsh.wait(30) != 0
    assert_only_at(web, lab.h1, lab.h2)


def test_a_second_kvmtui_is_refused_at_once_and_nobody_takes_the_half_that_arrives_for_the_vm(
    lab: Lab, guest: GuestFactory, mover: Mover
) -> None:
    web = guest(lab.h1, "web1")
    key = mover.move(web, lab.h1, lab.h2, SLOW)
    mover.midway(key)
    with patch.object(Adoption, "look"):
        second = Mover(lab)
        try:
            assert second.move(web, lab.h1, lab.h2, MigrationOptions()) == key
            one = second.end(key, 5)
        finally:
            second.engine.stop()
    assert (one.phase, one.message) == (Phase.FAILED, "it is being migrated already: w shows how")
    here, there = (mover.engine.fleet.vm(VmKey(host.uri, web.uuid)) for host in lab.hosts)
    assert here is not None
    assert there is not None
    for action in ACTIONS:
        why = acting.refusal(action, there, mover.engine.fleet, read_only=False)
        assert why == "it is arriving from h1: w shows how"
    mover.engine.steer(key, Steer.BANDWIDTH, 0)
    assert mover.end(key).phase is Phase.DONE
    assert_only_at(web, lab.h2, lab.h1)
    wait_until(lambda: (vm := mover.engine.fleet.vm(there.key)) is not None and vm.job is None, "it to have arrived")


def test_a_kvmtui_that_is_started_anew_finds_its_migration(lab: Lab, guest: GuestFactory, mover: Mover) -> None:
    web = guest(lab.h1, "web1")
    key = mover.move(web, lab.h1, lab.h2, SLOW)
    mover.midway(key)
    mover.engine.stop()
    again = Mover(lab)
    try:
        assert again.midway(key).adopted
        again.engine.steer(key, Steer.BANDWIDTH, 0)
        assert again.end(key).phase is Phase.DONE
    finally:
        again.engine.stop()
    assert_only_at(web, lab.h2, lab.h1)
