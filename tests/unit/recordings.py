"""A recording of the demo hosts, made in no time by a clock that is moved by hand."""

import sys
import time
from datetime import datetime
from pathlib import Path

from kvmtui.config import RecordSettings
from kvmtui.engine.engine import Engine
from kvmtui.engine.recording.recorder import Recorder
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.hypervisor.demo.clock import ManualClock
from kvmtui.model.actions import BY_ID, ActionRequest
from kvmtui.model.vm import VmKey
from tests.deep_answers import let_deep_answers_in

PATIENCE_S = 60.0
BEGAN = datetime(2026, 3, 14, 3, 10)
"""The time of day at which the clock says 1e6."""


class Recorded:
    """Demo hosts that are looked at once a second, and recorded."""

    def __init__(
        self, file: Path, *, vms: int = 12, bounds: RecordSettings | None = None, began_s: float = 1e6
    ) -> None:
        self.clock = ManualClock(began_s)
        self.backend = DemoBackend(vms, clock=self.clock)
        self.engine = Engine(self.backend, self.backend.uris, clock=self.clock)
        self.troubles: list[str] = []
        self.engine.listeners.trouble = self.troubles.append
        began = BEGAN.timestamp() - 1e6
        self.engine._recorder = Recorder(
            file,
            self.backend.uris,
            clock=self.clock,
            wall_clock=lambda: began + self.clock(),
            bounds=bounds or RecordSettings(),
            ended=self.engine._recording_ended,
        )
        self.engine._recorder.start()
        self.engine._health_from_s = self.clock()
        self.engine._recorder.take(self.engine.fleet)

    def look(self, times: int = 1) -> None:
        """Let seconds pass and look at all hosts after each."""
        for _ in range(times):
            self.clock.advance(1)
            self.engine.tick()
            let_deep_answers_in(self.engine)

    def act(self, action: str, name: str) -> None:
        """Do something to a VM, and look until it has been seen."""
        key = self.key(name)
        vm = self.engine.fleet.vm(key)
        assert vm is not None
        done: list[object] = []
        self.engine.listeners.action_finished = done.append
        self.engine.submit(ActionRequest(BY_ID[action], key, vm.name, vm.id))
        deadline_s = time.monotonic() + PATIENCE_S
        while not done or (now := self.engine.fleet.vm(key)) is None or now.state is vm.state:
            assert time.monotonic() < deadline_s
            self.look()

    def key(self, name: str) -> VmKey:
        """Return where a VM is."""
        return self.backend.find(name)

    def flush(self) -> None:
        """Wait until all is in the file."""
        recorder = self.engine.recording
        assert recorder is not None
        assert recorder.flush(PATIENCE_S)

    def end(self) -> None:
        """Close the file, and let every thread end."""
        recorder = self.engine.recording
        if recorder is not None:
            recorder.stop(PATIENCE_S)
        self.engine.stop()


def main() -> None:
    """Record to a file until killed; print the time up to which all is in it, each time that is known."""
    recorded = Recorded(Path(sys.argv[1]))
    while True:
        recorded.look()
        at_s = recorded.clock()
        if int(at_s) % 7 == 0:
            recorded.flush()
            print(at_s, flush=True)


if __name__ == "__main__":
    main()
