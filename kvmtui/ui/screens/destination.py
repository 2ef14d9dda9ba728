"""Where to move VMs: the connected hosts, and whether their disks go along."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Label, OptionList, Static
from textual.widgets.option_list import Option

from kvmtui.model.clean import clean
from kvmtui.model.host import Host, Link
from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.ui.format import size
from kvmtui.ui.screens.ask import ExpiringScreen


@dataclass(frozen=True, slots=True)
class Disks:
    """What was found out about the disks of the VMs to move, for one destination."""

    writable: tuple[str, ...] = ()
    """Paths that a migration has to bring along or share."""
    known: frozenset[str] = frozenset()
    """Those the destination holds a volume at."""
    problem: str = ""
    """Why nothing could be found out."""

    @property
    def copy(self) -> bool:
        """Whether copying is the sound default: some disk is not there yet."""
        return bool(set(self.writable) - self.known)


@dataclass(frozen=True, slots=True)
class Destination:
    """The answer."""

    host: str
    options: MigrationOptions


class DestinationScreen(ExpiringScreen[Destination]):
    """Asks for the destination of one or more VMs of one host."""

    BINDINGS = [Binding("d", "toggle_copy", "disks", show=False)]  # noqa: RUF012

    disks: reactive[dict[str, Disks]] = reactive(dict)
    """By destination; a missing one is still being looked up."""

    def __init__(self, title: str, hosts: Sequence[Host]) -> None:
        super().__init__()
        self._title = title
        self._hosts = {host.key: host for host in hosts}
        self._copy: bool | None = None

    def compose(self) -> ComposeResult:
        """Lay the question out."""
        with Vertical(classes="dialog"):
            yield Label(self._title, classes="title", markup=False)
            yield OptionList(*(_option(host) for host in self._hosts.values()), compact=True)
            yield Static("", id="disks")
            yield Label("Enter migrates · d disks: copy or shared · Esc cancels", classes="hint", markup=False)

    def watch_disks(self) -> None:
        """Show what is known of the disks now."""
        if self.is_mounted:
            self.query_one("#disks", Static).update(self._disks_line())

    def action_toggle_copy(self) -> None:
        """Copy the disks, or take them for shared."""
        self._copy = not self._copies()
        self.watch_disks()

    @on(OptionList.OptionHighlighted)
    def _highlighted(self) -> None:
        self.watch_disks()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        host = event.option.id or ""
        if host not in self.disks and self._copy is None:
            return
        disks = DiskMove.COPY if self._copies() else DiskMove.SHARED
        self.answer(Destination(host, MigrationOptions(disks=disks)))

    def _copies(self) -> bool:
        found = self._found()
        if self._copy is not None:
            return self._copy and (found is None or bool(found.writable) or bool(found.problem))
        return found is not None and found.copy

    def _found(self) -> Disks | None:
        options = self.query_one(OptionList)
        if options.highlighted is None:
            return None
        return self.disks.get(options.get_option_at_index(options.highlighted).id or "")

    def _disks_line(self) -> Content:
        found = self._found()
        if found is None:
            return Content.styled("disks: looking…", "$foreground-muted")
        if found.problem:
            how = "copy" if self._copies() else "shared"
            return Content.assemble((f"disks: {how}", "$warning"), (f" ({found.problem})", "$foreground-muted"))
        if not found.writable:
            return Content.styled("no disks to bring along", "$foreground-muted")
        lines = [
            Content.styled(
                "disks: copied to the destination" if self._copies() else "disks: taken for shared by both hosts",
                "$warning",
            )
        ]
        for path in found.writable:
            there = "the destination has a volume there" if path in found.known else "not at the destination"
            lines.append(Content.assemble(f"  {clean(path)}", (f"  {there}", "$foreground-muted")))
        if self._copies() and set(found.writable) & found.known:
            lines.append(Content.styled("  copying overwrites the volume at the destination", "$error"))
        return Content("\n").join(lines)


def _option(host: Host) -> Option:
    figures = host.figures
    parts = [f"{host.name:<12}"]
    if figures.cpu_busy_fraction is not None:
        parts.append(f"CPU {figures.cpu_busy_fraction:4.0%}")
    if figures.memory_total_bytes is not None and figures.memory_used_bytes is not None:
        free = size(figures.memory_total_bytes - figures.memory_used_bytes)
        parts.append(f"{' '.join(free)} free")
    if host.link is not Link.UP:
        parts.append("not connected")
    return Option(Content("   ".join(parts)), id=host.key, disabled=host.link is not Link.UP)
