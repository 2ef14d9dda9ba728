"""What a recording costs: the same demo hosts with and without one, in turn, by a clock that is moved by hand."""

import sqlite3
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from kvmtui.config import RecordSettings
from kvmtui.engine.engine import Engine
from kvmtui.engine.recording.recorder import Recorder
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.hypervisor.demo.clock import ManualClock
from tests.bench.figures import Figure, NotMeasured, median
from tests.deep_answers import let_deep_answers_in

_VMS, _SHOWN = 150, 40
_WINDOW_S = 60
_WINDOWS = 3
"""For each round; nearly all of a recording's work repeats itself every minute."""
_PATIENCE_S = 30.0


class _Watched:
    """Demo hosts that are looked at once a second, `_SHOWN` of their VMs on the screen."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.backend = DemoBackend(_VMS, clock=self.clock)
        self.engine = Engine(self.backend, self.backend.uris, clock=self.clock)
        self.recorder: Recorder | None = None
        self.watch(3)
        shown = [vm.key for vm in self.engine.fleet.vms()][:_SHOWN]
        self.engine.show_interest(shown[0], shown)

    def record(self, file: Path) -> None:
        """Record from now on."""
        began_s = time.time() - self.clock()
        self.recorder = Recorder(
            file,
            self.backend.uris,
            clock=self.clock,
            wall_clock=lambda: began_s + self.clock(),
            bounds=RecordSettings(),
        )
        self.recorder.start()
        self.engine._recorder = self.recorder

    def watch(self, seconds: int) -> None:
        """Look once a second; what is recorded is committed as often."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.engine.tick()
            let_deep_answers_in(self.engine)
            if self.recorder is not None and not self.recorder.flush(_PATIENCE_S):
                raise NotMeasured("the recording does not get on")


def measure_recording(rounds: int) -> Mapping[str, float]:
    """Record 150 demo VMs, all of which change, once a second."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bench.rec"
        recorded, plain = _Watched(), _Watched()
        recorded.record(file)
        shares: list[float] = []
        sizes: list[int] = []
        for _ in range(_WINDOWS * rounds):
            used: list[float] = []
            for watched in (recorded, plain):
                before_s = time.process_time()
                watched.watch(_WINDOW_S)
                used.append(time.process_time() - before_s)
            shares.append((used[0] - used[1]) / _WINDOW_S)
            sizes.append(_size(file))
        assert recorded.recorder is not None
        recorded.recorder.stop(_PATIENCE_S)
        for watched in (recorded, plain):
            watched.engine.stop()
    return {
        "record/cpu": 100 * median(shares),
        "record/size": (sizes[1] + (sizes[-1] - sizes[1]) / (len(sizes) - 2) * (3600 / _WINDOW_S - 2)) / 1e6,
        "record/dropped": recorded.recorder.dropped,
    }


def _size(file: Path) -> int:
    """Return how long the file is, with what is still in the log beside it."""
    with closing(sqlite3.connect(file)) as reader:
        return int(reader.execute("PRAGMA page_count").fetchone()[0] * reader.execute("PRAGMA page_size").fetchone()[0])


FIGURES = (
    Figure("record/cpu", "%", 2.0, f"of a core for recording {_VMS} VMs once a second", measure_recording),
    Figure(
        "record/size", "MB", 3.0, "the file after an hour of it, from how it grows after two minutes", measure_recording
    ),
    Figure("record/dropped", "", 0.0, "looks that were not recorded", measure_recording),
)
