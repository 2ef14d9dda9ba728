"""Eight graphs that fill the screen and scroll by one value at every refresh, on the dashboard's own display."""

import argparse
import os
import random
from collections import deque

from textual.app import ComposeResult
from textual.screen import Screen

from kvmtui.engine.engine import Engine
from kvmtui.model.format import Quantity
from kvmtui.ui.app import Dashboard
from kvmtui.ui.widgets.graph import Plot, Series
from tests.bench.replay import ReplayBackend
from tests.graph import Graph

_COLUMNS, _ROWS = 2, 4
_VALUES = 240


class _Graphs(Screen[None]):
    DEFAULT_CSS = f"_Graphs {{ layout: grid; grid-size: {_COLUMNS} {_ROWS}; }}"

    def __init__(self, period_s: float) -> None:
        super().__init__()
        self._period_s = period_s
        self._random = random.Random(1)  # noqa: S311 - the same graphs in every run, guards nothing
        self._values: list[deque[float | None]] = [deque(maxlen=_VALUES) for _ in range(_COLUMNS * _ROWS)]
        self._advanced = 0
        for _ in range(_VALUES):
            self._advance()
        self._graphs = [Graph(self._plot(number)) for number in range(len(self._values))]

    def compose(self) -> ComposeResult:
        yield from self._graphs

    def on_mount(self) -> None:
        if self._period_s:
            self.set_interval(self._period_s, self._tick)

    def _tick(self) -> None:
        self._advance()
        for number, graph in enumerate(self._graphs):
            graph.plot = self._plot(number)

    def _advance(self) -> None:
        self._advanced += 1
        # A load that wanders, as loads do: neighbours are alike, and all heights occur.
        for values in self._values:
            last = (values[-1] if values else None) or 0.5
            values.append(min(1.0, max(0.0, last + self._random.uniform(-0.25, 0.25))))

    def _plot(self, number: int) -> Plot:
        values = list(self._values[number])
        now = Quantity(f"{100 * (values[-1] or 0.0):.0f}", "%")
        return Plot("GRAPH", (Series(values, now),), 1.0, absolute=True, newest=self._advanced)


class GraphsApp(Dashboard):
    """The dashboard with another screen, so that it draws by the same way."""

    def __init__(self, period_s: float) -> None:
        super().__init__(Engine(ReplayBackend(1, 1, 0.0, 0), ()))
        self._graphs = _Graphs(period_s)

    def get_default_screen(self) -> _Graphs:  # type: ignore[override]
        """Return the graphs."""
        return self._graphs


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--period", type=float, default=0.0)
    os._exit(GraphsApp(parser.parse_args().period).run_until_quit())
