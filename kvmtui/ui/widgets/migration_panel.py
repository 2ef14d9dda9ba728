"""The list of moves, and the one under the cursor."""

from collections.abc import Sequence

from textual import events
from textual.message import Message

from kvmtui.model.migration import Migration
from kvmtui.ui.bare_lines import RunLines
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.moves import Moves
from kvmtui.ui.paint import Run, Tone
from kvmtui.ui.widgets.migration_detail import MoveDetail, detail_lines
from kvmtui.ui.widgets.migration_lines import HostName, header_runs, lay_out, row_runs

_LEAST = 4


class MigrationList(RunLines):
    """One line for each move, those around the cursor where they do not all fit."""

    class Clicked(Message):
        """A move was clicked."""

        def __init__(self, row: int) -> None:
            super().__init__()
            self.row = row

    def __init__(self, moves: Moves, host_name: HostName, *, glyphs: Glyphs) -> None:
        super().__init__(glyphs=glyphs)
        self._moves = moves
        self._host_name = host_name
        self._shown: Sequence[Migration] = ()
        self._cursor = 0
        self._now_s = 0.0
        self._top = 0

    def show(self, migrations: Sequence[Migration], cursor: int, now_s: float) -> None:
        """Show these, with the cursor on one."""
        self._shown, self._cursor, self._now_s = migrations, cursor, now_s
        most = max(_LEAST, self.screen.size.height * 2 // 5)
        height = max(2, min(most, len(migrations) + 1))
        if self.styles.height is None or self.styles.height.value != height:
            self.styles.height = height
        self.redraw()

    def draw(self, width: int, height: int) -> tuple[bool, list[list[Run]]]:
        """Return the titles and the rows."""
        shown, page = self._shown, max(1, height - 1)
        if not shown:
            return False, [[], [("  Nothing has been migrated in this run of kvmtui; m migrates a VM.", Tone.MUTED)]]
        top = max(self._cursor - page + 1, min(self._top, self._cursor))
        # No line stays empty while others are out of sight.
        self._top = max(0, min(top, len(shown) - page))
        layout = lay_out(shown, self._host_name, width, self._glyphs)
        rows = [
            row_runs(
                move,
                layout,
                self._host_name,
                self._now_s,
                self._glyphs,
                cursor=number == self._cursor,
                calls=self._moves.calls(move),
            )
            for number, move in enumerate(shown[self._top : self._top + page], self._top)
        ]
        return False, [header_runs(layout, self._glyphs), *rows]

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there."""
        row = event.y - 1 + self._top
        if event.y >= 1 and row < len(self._shown):
            self.post_message(self.Clicked(row))


class MigrationDetail(RunLines):
    """One move, from its verdict to the virsh line that does the same."""

    def __init__(self, *, glyphs: Glyphs) -> None:
        super().__init__(glyphs=glyphs)
        self._detail: MoveDetail | None = None

    def show(self, detail: MoveDetail | None) -> None:
        """Show this one."""
        self._detail = detail
        self.redraw()

    def draw(self, width: int, height: int) -> tuple[bool, list[list[Run]]]:
        """Return its lines, a cell in from both sides."""
        if self._detail is None:
            return False, []
        margin: Run = (" ", Tone.TEXT)
        return False, [[margin, *line] for line in detail_lines(self._detail, width - 2, height)]
