"""The moves of a recording as the screen follows them."""

from kvmtui.engine.recording.replay import Replay
from kvmtui.model.migration import Migration
from kvmtui.ui.moves import REMEMBERED, Moves, Trace


class PastMoves(Moves):
    """Moves whose rates are in the recording, from wherever one came to the time that is shown."""

    def __init__(self, replay: Replay) -> None:
        super().__init__(lambda: replay.migrations)
        self._replay = replay

    def trace(self, migration: Migration) -> Trace:
        """Return the rates of a move so far."""
        trace = Trace()
        for job in self._replay.jobs(migration, REMEMBERED):
            trace.add(job)
        return trace

    def calls(self, migration: Migration) -> bool:
        """Return False: nothing can be done about what was."""
        return False
