"""What is read of a host that libvirt itself makes up, which has what the lab has not: two NUMA nodes."""

from pathlib import Path

import pytest

from kvmtui.hypervisor.health_book import HealthBook
from kvmtui.hypervisor.libvirt_backend import LibvirtBackend
from kvmtui.model.health import HugePages, NetworkHealth, PoolHealth

GIB = 1024**3


@pytest.fixture
def book(tmp_path: Path) -> HealthBook:
    backend = LibvirtBackend()
    backend.root = tmp_path
    opened = backend.open("test:///default", read_only=True)
    found = HealthBook()
    try:
        opened.health(found)
    finally:
        opened.close()
    return found


def test_it_listens_for_errors_from_the_first_look_on() -> None:
    opened = LibvirtBackend().open("test:///default", read_only=True)
    books = [HealthBook(), HealthBook()]
    for each in books:
        opened.health(each)
    opened.close()
    first, second = (each.listened_s for each in books)
    assert first is not None
    assert second is not None
    assert first < second


def test_the_host_its_pools_and_its_networks(book: HealthBook) -> None:
    assert book.offer is not None
    assert book.offer.kvm is False
    assert book.offer.cells is not None
    assert [(cell.number, cell.total_bytes) for cell in book.offer.cells] == [(0, 2 * GIB), (1, 4 * GIB)]
    # It has no huge pages, of two sizes.
    assert book.offer.huge_pages == (HugePages(2048, 0, 0), HugePages(1048576, 0, 0))
    assert book.pools == [PoolHealth("default-pool", True, False, 100 * GIB, 100 * GIB, promised_bytes=0)]
    assert book.networks == (NetworkHealth("default", True, False),)
    assert book.unread == {}


def test_the_vm(book: HealthBook) -> None:
    (vm,) = book.vms.values()
    assert (vm.run, vm.emulated, vm.agent, vm.waiting, vm.balloon_period_s) == (1, False, None, (), None)
    assert (vm.snapshots, vm.oldest_snapshot_at_s, vm.owed_s, vm.process) == (0, None, None, "")
