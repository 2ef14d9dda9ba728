"""The dashboard over replayed hosts: the program whose keys, CPU time, bytes and memory are measured."""

import argparse
import gc
import os
import random
import time
from datetime import datetime
from itertools import pairwise

from tests.bench.replay import STEADY_MEMORY_BYTES, ReplayBackend

_NO_RATES_S = 4


def main() -> None:
    """Run until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--vms", type=int, default=1000)
    parser.add_argument("--hosts", type=int, default=6)
    parser.add_argument("--changing", type=float, default=1.0)
    parser.add_argument("--ticks", type=int, default=0)
    parser.add_argument("--converting", action="store_true")
    parser.add_argument("--history", type=int, default=60)
    parser.add_argument("--libvirt", action="store_true")
    options = parser.parse_args()
    backend = ReplayBackend(options.vms, options.hosts, options.changing, options.ticks, converting=options.converting)
    # The samples to come are the benchmark's; what is imported from here on is the program's, and collected as there.
    gc.collect()
    gc.freeze()

    from kvmtui.engine.engine import Engine  # noqa: PLC0415
    from kvmtui.ui.app import Dashboard  # noqa: PLC0415

    if options.libvirt:
        import kvmtui.hypervisor.libvirt_backend  # noqa: F401, PLC0415
        from kvmtui.hypervisor.library import libvirt  # noqa: PLC0415

        libvirt()
    engine = Engine(backend, backend.uris)
    _fill_history(engine, backend, options.history, options.changing)
    # Its clock stands still, for the time of day is no figure of a host.
    still = datetime(2026, 1, 1, 12, 0)
    os._exit(Dashboard(engine, wall_clock=lambda: still).run_until_quit())


def _fill_history(engine: object, backend: ReplayBackend, vms: int, changing: float) -> None:
    """Pretend that these, the first by name, have been watched for as long as the history goes back.

    Without it every graph would scroll its own beginning, also that of a VM that does nothing.
    """
    from kvmtui.model.history import COARSE, COARSE_STEP_S, FINE, History, Metric  # noqa: PLC0415

    histories: dict[str, History] = getattr(engine, "_histories")  # noqa: B009 - there is no other way to the past
    chance = random.Random(1)  # noqa: S311 - the same past in every run, guards nothing
    now_s = time.monotonic()
    # Also for the first seconds to come, in which there are no rates yet.
    steps = [*range(COARSE * COARSE_STEP_S, FINE, -COARSE_STEP_S), *range(FINE, -_NO_RATES_S, -1)]
    owners = {uuid: uri for uri in backend.uris for uuid in backend.uuids(uri)}
    known = sorted(owners)[:vms]
    for uri in {owners[uuid] for uuid in known}:
        uuids = tuple(uuid for uuid in known if owners[uuid] == uri)
        columns = [[0.0] * len(uuids)] * len(Metric)
        columns[Metric.MEMORY_BYTES] = [float(STEADY_MEMORY_BYTES)] * len(uuids)
        for since_s, until_s in pairwise(now_s - ago_s for ago_s in steps):
            if changing == 1.0:
                columns = [
                    [scale * chance.random() for _ in uuids] for scale in (4, 4 * STEADY_MEMORY_BYTES, *[1e8] * 4)
                ]
            histories[uri].commit(uuids, columns, since_s, until_s)


if __name__ == "__main__":
    main()
