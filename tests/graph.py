"""A widget that shows one graph and nothing else."""

from kvmtui.ui.bare_lines import RunLines
from kvmtui.ui.glyphs import UNICODE, Glyphs
from kvmtui.ui.paint import Run
from kvmtui.ui.widgets.graph import Plot, plot_lines


class Graph(RunLines):
    """One graph with its title, current value and scale."""

    DEFAULT_CSS = "Graph { height: 1fr; background: transparent; }"

    def __init__(self, plot: Plot | None = None, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:  # noqa: A002
        super().__init__(glyphs=glyphs, id=id)
        self._plot = plot

    @property
    def plot(self) -> Plot | None:
        """What is shown; setting it repaints the lines that look different."""
        return self._plot

    @plot.setter
    def plot(self, plot: Plot | None) -> None:
        self._plot = plot
        self.redraw()

    def draw(self, width: int, height: int) -> tuple[bool, list[list[Run]]]:
        """Return all lines."""
        return False, plot_lines(self._plot, width, height, self._glyphs) if self._plot else []
