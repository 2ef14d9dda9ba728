"""How long a migration takes with kvmtui and with virsh: a real guest, there and back between real hosts."""

import contextlib
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping

import libvirt

from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.libvirt_backend import LibvirtBackend
from kvmtui.model.migration import Migration, MigrationRequest, Phase
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.vm import VmKey
from tests.bench.figures import Figure, NotMeasured, median
from tests.lab import population
from tests.lab.guests import GuestSpec
from tests.lab.image import cache_folder, get_image
from tests.lab.lab import Host, Lab, check_machine, start_lab, stop_process, wait_until
from tests.lab.tools import LabError

_PATIENCE_S = 120.0
_LEGS_A_ROUND = 8


@contextlib.contextmanager
def _lab_with_guest() -> Iterator[tuple[Lab, GuestSpec]]:
    """Give two hosts and a guest on the first; all is gone in the end."""
    libvirt.registerErrorHandler(lambda *_: None, None)
    try:
        check_machine()
        lab, process = start_lab(None, get_image(cache_folder(), lambda _: None))
    except LabError as error:
        raise NotMeasured(str(error)) from error
    spec = GuestSpec("amover")
    try:
        connection = lab.h1.connect()
        population.define(connection, spec).create()
        connection.close()
        population.wait_ready(lab.h1, spec)
        yield lab, spec
    except (LabError, libvirt.libvirtError) as error:
        raise NotMeasured(str(error)) from error
    finally:
        stop_process(process, lab.folder)


def _by_kvmtui(engine: Engine, spec: GuestSpec, source: Host, destination: Host) -> tuple[float, str]:
    """Return how long it takes from the request to the proven end, and the virsh line that does the same."""
    key = VmKey(source.uri, spec.uuid)
    wait_until(lambda: (vm := engine.fleet.vm(key)) is not None and vm.state.executing, "the guest in the list")
    vm = engine.fleet.vm(key)
    if vm is None:
        raise NotMeasured("the guest is gone")
    ended = threading.Event()
    last: list[Migration] = []

    def changed(migration: Migration) -> None:
        if migration.phase.ended:
            last.append(migration)
            ended.set()

    engine.listeners.migration_changed = changed
    started_s = time.monotonic()
    engine.migrate(MigrationRequest(key, vm.name, vm.id, destination.uri, MigrationOptions()))
    if not ended.wait(_PATIENCE_S) or last[0].phase is not Phase.DONE:
        raise NotMeasured(f"the migration did not end well: {last}")
    return time.monotonic() - started_s, last[0].command


def _by_virsh(command: str) -> float:
    started_s = time.monotonic()
    subprocess.run(shlex.split(command), check=True, timeout=_PATIENCE_S, stdout=subprocess.DEVNULL)
    return time.monotonic() - started_s


def measure_migration(rounds: int) -> Mapping[str, float]:
    """Move a guest to and fro, in turns by kvmtui and by virsh with the same options."""
    kvmtui: list[float] = []
    virsh: list[float] = []
    with _lab_with_guest() as (lab, spec):
        engine = Engine(LibvirtBackend(), [host.uri for host in lab.hosts])
        engine.start()
        try:
            lines: dict[str, str] = {}
            places = lab.hosts
            # The first two legs tell the lines, and are not counted; then each leads as often as the other.
            for leg in range(2 + _LEGS_A_ROUND * rounds):
                source, destination = places if leg % 2 == 0 else places[::-1]
                # It follows virsh's, too, until it has seen them end.
                wait_until(lambda: all(one.phase.ended for one in engine.migrations), "all migrations to end")
                mine = leg < 2 or leg % 4 in (1, 2)
                if mine:
                    took_s, lines[source.name] = _by_kvmtui(engine, spec, source, destination)
                else:
                    took_s = _by_virsh(lines[source.name])
                if leg >= 2:
                    (kvmtui if mine else virsh).append(took_s)
        except subprocess.SubprocessError as error:
            raise NotMeasured(str(error)) from error
        finally:
            engine.stop()
    return {
        "migration/time": median(kvmtui) / median(virsh),
        "migration/time/kvmtui": median(kvmtui),
        "migration/time/virsh": median(virsh),
    }


FIGURES = (
    Figure(
        "migration/time",
        "x",
        1.05,
        "a migration, from the request to the proven end, against virsh with the same options",
        measure_migration,
    ),
    Figure("migration/time/kvmtui", "s", None, "the same by kvmtui", measure_migration),
    Figure("migration/time/virsh", "s", None, "the same by virsh", measure_migration),
)
