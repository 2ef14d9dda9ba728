"""The libvirt driver on libvirt's own test driver: everything that needs no QEMU."""

import threading
from collections.abc import Iterator
from math import isnan
from typing import Any

import pytest

from kvmtui.hypervisor import errors
from kvmtui.hypervisor.health_book import HealthBook
from kvmtui.hypervisor.library import libvirt, translate
from kvmtui.hypervisor.libvirt_backend import LibvirtBackend, is_local
from kvmtui.hypervisor.libvirt_connection import LibvirtConnection
from kvmtui.model.actions import Verb
from kvmtui.model.vm import VmState


@pytest.fixture
def connection() -> Iterator[LibvirtConnection]:
    opened = LibvirtBackend().open("test:///default", read_only=False)
    yield opened
    opened.close()


@pytest.fixture
def uuid(connection: LibvirtConnection) -> str:
    return connection.light(1.0).vms[0].uuid


def test_facts(connection: LibvirtConnection) -> None:
    facts = connection.facts()
    assert facts.cpus == 16
    assert facts.hypervisor_version.startswith("TEST")
    assert not facts.local


def test_light(connection: LibvirtConnection) -> None:
    sample = connection.light(1.0)
    (vm,) = sample.vms
    assert (vm.name, vm.state, vm.vcpus, vm.memory_allocated_bytes) == ("test", VmState.RUNNING, 2, 2 << 30)
    assert vm.cpu_time_ns > 0
    assert isnan(*vm.net_in_bytes)
    assert not sample.bulk_cpu


def test_a_far_host_is_asked_in_bulk(connection: LibvirtConnection) -> None:
    connection.light(1.0)
    sample = connection.light(1e-9)
    assert sample.bulk_cpu
    # The test driver does not tell CPU time in bulk: unknown, not stale.
    assert isnan(sample.vms[0].cpu_time_ns)
    assert sample.vms[0].vcpus == 2


def test_flags(connection: LibvirtConnection, uuid: str) -> None:
    assert connection.flags().persistent == {uuid}
    assert connection.flags().autostart == frozenset()
    connection.perform(Verb.AUTOSTART_ON, uuid)
    assert connection.flags().autostart == {uuid}


def test_deep_of_a_driver_that_tells_nothing(connection: LibvirtConnection, uuid: str) -> None:
    (vm,) = connection.deep([uuid])
    assert (vm.ready_ns, vm.memory_used_bytes, vm.disk_read_bytes) == (None, None, None)
    assert connection.deep(["00000000-0000-0000-0000-000000000000"]) == ()


def test_actions(connection: LibvirtConnection, uuid: str) -> None:
    connection.perform(Verb.PAUSE, uuid)
    assert connection.identity(uuid).state is VmState.PAUSED
    connection.perform(Verb.RESUME, uuid)
    connection.perform(Verb.FORCE_OFF, uuid)
    assert connection.identity(uuid).id == -1
    with pytest.raises(errors.InvalidState):
        connection.perform(Verb.FORCE_OFF, uuid)
    connection.perform(Verb.START, uuid)
    assert connection.identity(uuid).state is VmState.RUNNING


def test_a_vm_that_is_not_there(connection: LibvirtConnection) -> None:
    with pytest.raises(errors.VmGone):
        connection.identity("00000000-0000-0000-0000-000000000000")


def test_what_the_driver_lacks_is_not_supported(connection: LibvirtConnection, uuid: str) -> None:
    with pytest.raises(errors.NotSupported):
        connection.job(uuid)


def test_config_and_storage(connection: LibvirtConnection, uuid: str) -> None:
    assert [disk.path for disk in connection.config(uuid).disks] == ["/guest/diskimage1"]
    assert connection.known_paths(["/nowhere"]) == frozenset()


def test_node_of_a_driver_that_tells_little(connection: LibvirtConnection) -> None:
    assert connection.node().pressure is None


def test_an_event_calls_back() -> None:
    happened = threading.Event()
    watching = LibvirtBackend().open("test:///default", read_only=True, on_event=happened.set)
    acting = LibvirtBackend().open("test:///default", read_only=False)
    try:
        acting.perform(Verb.PAUSE, acting.light(1.0).vms[0].uuid)
        assert happened.wait(10)
        acting.perform(Verb.RESUME, acting.light(1.0).vms[0].uuid)
    finally:
        watching.close()
        acting.close()


class OlderBinding:
    """The binding as it is, but for names that older ones do not have."""

    lacks = ("VIR_DOMAIN_EVENT_ID_JOB_COMPLETED", "VIR_DOMAIN_EVENT_ID_DEVICE_ADDED")

    def __getattr__(self, name: str) -> Any:
        if name in self.lacks:
            raise AttributeError(name)
        return getattr(libvirt(), name)


def test_what_an_older_binding_does_not_know_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvmtui.hypervisor.libvirt_connection.libvirt", OlderBinding)
    happened = threading.Event()
    opened = LibvirtBackend().open("test:///default", read_only=False, on_event=happened.set)
    try:
        opened.perform(Verb.PAUSE, opened.light(1.0).vms[0].uuid)
        assert happened.wait(10)
        opened.perform(Verb.RESUME, opened.light(1.0).vms[0].uuid)
    finally:
        opened.close()


def test_a_host_that_does_not_answer_is_a_failed_connection() -> None:
    with pytest.raises(errors.ConnectFailed, match="nonexistent"):
        LibvirtBackend().open("qemu+unix:///system?socket=/nonexistent", read_only=True)


@pytest.mark.parametrize(
    ("uri", "local"),
    [
        ("qemu:///system", True),
        ("qemu+unix:///system?socket=/x", True),
        ("qemu+ssh://root@h1/system", False),
        ("qemu://h1/system", False),
        ("qemu+tls://h1/system", False),
        ("test:///default", False),
    ],
)
def test_is_local(uri: str, local: bool) -> None:
    assert is_local(uri) is local


class FakeError:
    """Has what `translate` asks a libvirtError for."""

    def __init__(self, code: int, domain: int, text: str = "text") -> None:
        self._told = (code, domain, text)

    def get_error_code(self) -> int:
        return self._told[0]

    def get_error_domain(self) -> int:
        return self._told[1]

    def get_error_message(self) -> str:
        return self._told[2]


class FakeConnection:
    """A virConnect that is up or not."""

    def __init__(self, alive: bool) -> None:
        self._alive = alive

    def isAlive(self) -> bool:  # noqa: N802
        return self._alive


@pytest.mark.parametrize(
    ("code", "domain", "alive", "kind"),
    [
        (38, 7, False, errors.LinkLost),
        (1, 7, False, errors.LinkLost),
        (38, 7, True, errors.HypervisorError),
        (38, 10, False, errors.HypervisorError),
        (42, 10, True, errors.VmGone),
        (55, 10, True, errors.InvalidState),
        (68, 10, True, errors.VmBusy),
        (78, 10, True, errors.JobCancelled),
        (81, 10, True, errors.MigrationUnsafe),
        (29, 10, True, errors.NotPermitted),
        (9, 10, True, errors.HypervisorError),
    ],
)
def test_errors_are_told_apart_by_code(code: int, domain: int, alive: bool, kind: type[errors.HypervisorError]) -> None:
    error: Any = FakeError(code, domain, "no\x1b[2J\nnewline")
    translated = translate(error, FakeConnection(alive))
    assert type(translated) is kind
    assert str(translated) == "no\ufffd[2J newline"


def test_the_codes_are_those_of_the_binding() -> None:
    module = libvirt()
    assert module.VIR_ERR_NO_DOMAIN == 42
    assert module.VIR_ERR_OPERATION_INVALID == 55
    assert module.VIR_ERR_OPERATION_TIMEOUT == 68
    assert module.VIR_ERR_OPERATION_ABORTED == 78
    assert module.VIR_ERR_MIGRATE_UNSAFE == 81
    assert module.VIR_ERR_OPERATION_DENIED == 29
    assert module.VIR_ERR_ACCESS_DENIED == 88
    assert module.VIR_ERR_AUTH_UNAVAILABLE == 94
    assert module.VIR_ERR_CONFIG_UNSUPPORTED == 67
    assert module.VIR_ERR_ARGUMENT_UNSUPPORTED == 74
    assert module.VIR_ERR_OPERATION_UNSUPPORTED == 84


def make_volume(connection: LibvirtConnection, name: str) -> str:
    pool = connection._connection.storagePoolLookupByName("default-pool")
    xml = f"<volume><name>{name}</name><capacity unit='MiB'>1</capacity></volume>"
    return str(pool.createXML(xml, 0).path())


def test_a_volume_is_deleted_only_on_the_file_system_that_it_was_absent_from(connection: LibvirtConnection) -> None:
    here, elsewhere = "/default-pool/copy.img", "/no-pool/copy.img"
    absent = connection.absent_volumes([here, elsewhere])
    assert absent.keys() == {here}
    assert make_volume(connection, "copy.img") == here
    assert connection.absent_volumes([here]) == {}
    with pytest.raises(errors.HypervisorError, match="nothing is deleted"):
        # As if something had been mounted over the folder since.
        connection.delete_volumes({here: absent[here] + 1})
    assert connection.known_paths([here]) == {here}
    connection.delete_volumes(absent)
    assert connection.known_paths([here]) == frozenset()


@pytest.mark.parametrize(
    ("kind", "source"), [("file", "file='/default-pool/used.img'"), ("volume", "pool='default-pool' volume='used.img'")]
)
def test_a_volume_that_a_vm_here_uses_is_not_deleted(connection: LibvirtConnection, kind: str, source: str) -> None:
    absent = connection.absent_volumes(["/default-pool/used.img", "/default-pool/copy.img"])
    used, copy = make_volume(connection, "used.img"), make_volume(connection, "copy.img")
    connection._connection.defineXML(
        "<domain type='test'><name>user</name><memory>1024</memory><os><type>hvm</type></os><devices>"
        f"<disk type='{kind}'><source {source}/><target dev='vda'/></disk></devices></domain>"
    )
    with pytest.raises(errors.HypervisorError, match=r"user uses /default-pool/used.img: nothing is deleted"):
        connection.delete_volumes(absent)
    assert connection.known_paths([used, copy]) == {used, copy}


@pytest.mark.parametrize(
    ("told", "owed"),
    [
        ([0, 0, 0], "{}"),
        ([1, 0, 44_000], "nan"),
        ([2, 0, 44_000], "44.0"),
        ([2, 0, 900], "{}"),
        ([3, 0, 0], "0.0"),
    ],
)
def test_who_owes_an_answer(
    connection: LibvirtConnection, uuid: str, monkeypatch: pytest.MonkeyPatch, told: list[int], owed: str
) -> None:
    monkeypatch.setattr(libvirt().virDomain, "controlInfo", lambda self, flags=0: told)
    owing = connection.silent([uuid])
    assert str(owing.get(uuid, owing)) == owed
    book = HealthBook()
    connection.health(book)
    # How long a job has run says nothing of QEMU.
    assert book.vms[uuid].owed_s == (told[2] / 1000 if told[0] >= 2 else None)
