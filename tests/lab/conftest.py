"""Fixtures: a lab for the whole test run, and guests that are gone when a test ends."""

import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import libvirt
import pytest

from tests.lab import population
from tests.lab.guests import GuestSpec, Role
from tests.lab.image import Image, cache_folder, get_image
from tests.lab.lab import Host, Lab, check_machine, start_lab, stop_process
from tests.lab.processes import find_processes
from tests.lab.tools import LabError

TinyFactory = Callable[[Host, int], list[str]]


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest of a test, and the host that it was started on."""

    name: str
    uuid: str
    host: Host
    spec: GuestSpec

    def wait_ready(self, host: Host | None = None, count: int = 1) -> None:
        """Return when it has come up on this host so many times since it was started there."""
        population.wait_ready(host or self.host, self.spec, count)

    def is_active(self, host: Host | None = None) -> bool:
        """Tell whether this host, by default its first, runs it."""
        return self.name in (host or self.host).virsh("list", "--name").split()


class GuestFactory(Protocol):
    """What the fixture `guest` is."""

    def __call__(
        self,
        host: Host,
        name: str | None = None,
        role: Role = "idle",
        disk: bool = False,
        start: bool = True,
        wait: bool = True,
        memory_mib: int = 128,
    ) -> Guest:
        """Define a guest, start it, and wait until it has come up; it is removed wherever it is when the test ends."""
        ...


@pytest.fixture(scope="session")
def image() -> Image:
    """What guests boot; fails when this machine cannot run a lab."""
    libvirt.registerErrorHandler(lambda *_: None, None)
    try:
        check_machine()
        return get_image(cache_folder(), lambda _: None)
    except LabError as error:
        pytest.fail(f"the tests in tests/lab need a lab: {error}", pytrace=False)


@pytest.fixture(scope="session")
def lab(image: Image) -> Iterator[Lab]:
    """Two running hosts without guests, for the whole test run."""
    running, process = start_lab(None, image)
    try:
        yield running
    finally:
        stop_process(process, running.folder)


@pytest.fixture
def guest(lab: Lab) -> Iterator[GuestFactory]:
    """Make guests for one test."""
    made: list[GuestSpec] = []
    numbers = itertools.count(1)

    def make(
        host: Host,
        name: str | None = None,
        role: Role = "idle",
        disk: bool = False,
        start: bool = True,
        wait: bool = True,
        memory_mib: int = 128,
    ) -> Guest:
        spec = GuestSpec(name or f"guest{next(numbers)}", role=role, disk=disk, memory_mib=memory_mib)
        made.append(spec)
        with connected(host) as connection:
            domain = population.define(connection, spec)
            if start:
                domain.create()
        if start and wait:
            population.wait_ready(host, spec)
        return Guest(spec.name, spec.uuid, host, spec)

    yield make
    remove_guests(lab, [(spec.name, spec.volume if spec.disk else None) for spec in made])
    for spec in made:
        for host in lab.hosts:
            (host.folder / "log/qemu" / spec.console_log).unlink(missing_ok=True)


@pytest.fixture
def tiny(lab: Lab) -> Iterator[TinyFactory]:
    """Start many paused domains that cost next to nothing; return their names."""
    made: list[str] = []

    def make(host: Host, count: int) -> list[str]:
        names = population.add_tiny(host, count)
        made.extend(names)
        return names

    yield make
    remove_guests(lab, [(name, None) for name in made])


@contextlib.contextmanager
def connected(host: Host) -> Iterator[Any]:
    """Give a connection that is closed in the end."""
    connection = host.connect()
    try:
        yield connection
    finally:
        connection.close()


def remove_guests(lab: Lab, guests: list[tuple[str, str | None]]) -> None:
    """Remove guests from all hosts, whatever a test has done to them or to a libvirtd."""
    for host in lab.hosts:
        # A stopped or migrating QEMU would hold libvirt up; a killed one cannot.
        for name, _ in guests:
            for pid in find_processes(host.pid, f"guest={name},"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if not find_processes(host.pid, "libvirtd --daemon"):
            host.start_libvirtd()
        if not _removed(host, guests):
            # A post-copy that broke off can hold its domain's lock for as long as the daemon runs.
            host.restart_libvirtd()
            assert _removed(host, guests), f"{guests} cannot be removed from {host.name}"


def _removed(host: Host, guests: list[tuple[str, str | None]]) -> bool:
    with connected(host) as connection:
        left = [name for name, volume in guests if not population.remove(connection, name, volume)]
    return not left
