"""The list of hosts: one line each, at most a few lines high."""

from collections.abc import Sequence

from textual import events
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.strip import Strip

from kvmtui.model.fleet import Fleet
from kvmtui.model.host import Host, Link
from kvmtui.ui.bare_lines import BareLines
from kvmtui.ui.glyphs import UNICODE, Glyphs
from kvmtui.ui.paint import TONE_CLASSES, Palette, Run
from kvmtui.ui.widgets.host_lines import HostLayout, HostRow, header_runs, host_runs, lay_out_hosts, seen

_MOST_LINES = 6
_NAME_WIDTH = (8, 16)


class HostList(BareLines):
    """All hosts; where they do not fit, those in trouble come first."""

    COMPONENT_CLASSES = TONE_CLASSES

    fleet: reactive[Fleet] = reactive(Fleet, repaint=False)
    now_s: reactive[float] = reactive(0.0, repaint=False)
    emptied: reactive[frozenset[str]] = reactive(frozenset(), repaint=False)
    """The hosts, by key, that are being emptied, or were, and take no VMs."""

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:
        super().__init__(id=id)
        self._glyphs = glyphs
        self._palette: Palette | None = None
        self._top = 0
        self._hosts: list[Host] = []
        self._painted: dict[int, Strip] = {}
        """What each line of the screen shows."""
        self._drawn_from: tuple[object, ...] = ()
        """What all lines were made from."""
        self._drawn: dict[str, tuple[object, Strip]] = {}
        """By host: what its line was drawn from, and the line."""

    @property
    def lines(self) -> int:
        """A line for each host and the titles, up to a limit."""
        return min(_MOST_LINES, len(self.fleet.hosts) + 1)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return how many lines are wanted."""
        return self.lines

    def watch_fleet(self, old: Fleet, new: Fleet) -> None:
        """Draw the lines that look different now."""
        if min(_MOST_LINES, len(old.hosts) + 1) != self.lines:
            self.refresh(layout=True)
        self._repaint()

    def watch_now_s(self) -> None:
        """Let ages grow."""
        self._repaint()

    def watch_emptied(self) -> None:
        """Draw the marks."""
        self._repaint()

    def on_resize(self) -> None:
        """Lay the columns out anew."""
        self._painted.clear()
        self._repaint()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Show hosts further down."""
        self._scroll(1, event)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Show hosts further up."""
        self._scroll(-1, event)

    def notify_style_update(self) -> None:
        """Forget the styles of the theme that was."""
        self._palette = None
        self._painted.clear()
        self._drawn.clear()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        if y not in self._painted:
            self._repaint()
        return self._painted.get(y, Strip.blank(self.size.width))

    @property
    def _page(self) -> int:
        return max(0, self.size.height - 1)

    def _scroll(self, lines: int, event: events.MouseEvent) -> None:
        top = max(0, min(len(self.fleet.hosts) - self._page, self._top + lines))
        if top != self._top:
            self._top = top
            self._repaint()
            event.stop()

    def _repaint(self) -> None:
        """Refresh the lines of the screen that look different from what they show."""
        width, height = self.size
        if not self.is_mounted or not height:
            return
        self._hosts = hosts = self._ordered()
        self._top = max(0, min(self._top, len(hosts) - self._page))
        # Where all are, the title says it.
        mixed = not all(host.read_only for host in hosts)
        shown = hosts[self._top : self._top + self._page]
        rows = [
            HostRow(host, self.now_s, self._glyphs, mixed and host.read_only, host.key in self.emptied)
            for host in shown
        ]
        # Of most ticks nothing is to be seen here.
        drawn_from = (width, height, self._top, len(hosts), *map(seen, rows))
        if self._painted and drawn_from == self._drawn_from:
            return
        self._drawn_from = drawn_from
        names = max((len(host.name) for host in hosts), default=0)
        layout = lay_out_hosts(width, max(_NAME_WIDTH[0], min(_NAME_WIDTH[1], names)))
        strips = [self._strip(header_runs(layout, self._hidden()), width)]
        strips += [self._host_line(row, layout) for row in rows]
        strips += [self._strip([], width)] * (height - len(strips))
        changed = [Region(0, y, width, 1) for y, strip in enumerate(strips) if self._painted.get(y) != strip]
        self._painted = dict(enumerate(strips))
        if changed:
            self.refresh(*changed)

    def _ordered(self) -> list[Host]:
        """Return the hosts in the user's order; where not all fit, those in trouble first."""
        hosts = list(self.fleet.hosts.values())
        return hosts if len(hosts) < _MOST_LINES else sorted(hosts, key=self._calm)

    def _calm(self, host: Host) -> int:
        row = HostRow(host, self.now_s, self._glyphs)
        return 0 if host.link is Link.DOWN else 1 if row.trouble or host.stale(self.now_s) else 2

    def _host_line(self, row: HostRow, layout: HostLayout) -> Strip:
        drawn_from, key = (layout.width, layout.name, seen(row)), row.host.key
        drawn = self._drawn.get(key)
        if drawn is None or drawn[0] != drawn_from:
            drawn = self._drawn[key] = (drawn_from, self._strip(host_runs(row, layout), layout.width))
        return drawn[1]

    def _strip(self, runs: Sequence[Run], width: int) -> Strip:
        if self._palette is None:
            self._palette = Palette(self, self._glyphs)
        return self._palette.strip(runs, width)

    def _hidden(self) -> str:
        above, below = self._top, max(0, len(self._hosts) - self._top - self._page)
        counts = [f"{count} {where}" for count, where in ((above, "above"), (below, "below")) if count]
        return ", ".join(counts) + " " if counts else ""
