"""The lines of the move dialog: destinations, and options with their keys. Pure."""

from collections.abc import Iterable, Sequence
from textwrap import wrap

from textual.content import Content

from kvmtui.model.format import percent, size
from kvmtui.model.host import Host
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.ui.move_options import CHOICES, barred, disks_words, shown
from kvmtui.ui.paint import fit

_NAME = (6, 20)
_LABEL = max(len(choice.label) for choice in CHOICES) + 2


def name_width(hosts: Iterable[Host]) -> int:
    """Return how wide the names of destinations are."""
    return max(_NAME[0], min(_NAME[1], max(len(host.name) for host in hosts)))


def titles(names: int) -> Content:
    """Return the line above the destinations."""
    return Content.styled(f"{'HOST':<{names}}  {'CPU':>5}  {'FREE':>7}  CHECKS", "bold $foreground-muted")


def destination_line(host: Host, names: int, verdict: tuple[str, str], width: int) -> Content:
    """Return a destination with its free capacity and what the checks say of it, a text and its tone."""
    figures, free = host.figures, None
    if figures.memory_total_bytes is not None and figures.memory_used_bytes is not None:
        free = figures.memory_total_bytes - figures.memory_used_bytes
    start = f"{fit(host.name, names)}  {percent(figures.cpu_busy_fraction)!s:>5}  {size(free)!s:>7}  "
    return Content.assemble(start, verdict).truncate(width, ellipsis=True)


def option_lines(
    options: MigrationOptions, actives: Sequence[bool], width: int, host: str, disks: str = ""
) -> list[Content]:
    """Return the options with their keys, why one cannot be changed, and what one needs at the host of that name.

    `disks` says what becomes of the disks where the option alone does not: of VMs of several kinds, without disks,
    or with some that are shared.
    """
    lines = []
    for choice in shown(actives):
        words = choice.words(options)
        if choice.field == "disks" and (options.copied_disks or disks != disks_words(options)):
            words = disks or words
        by_itself = choice.value(options) == choice.value(MigrationOptions())
        line = Content.assemble(
            (f"{choice.key}  ", "bold $text-primary"),
            (f"{choice.label:<{_LABEL}}", "$foreground-muted"),
            (words, "" if by_itself else "bold"),
        )
        if reason := barred(choice, options, actives):
            line = Content.assemble(line, (f"   cannot be changed: {reason}", "$text-warning"))
        lines.append(line.truncate(width, ellipsis=True))
        if choice.needs and not by_itself:
            needed = f"needs {choice.needs} at {host}, cannot be seen from here"
            lines += [Content.styled(f"   {each}", "$text-warning") for each in wrap(needed, max(20, width - 3))]
    return lines


def fold(text: str, width: int, most: int) -> list[str]:
    """Return a text in at most so many lines, the last of them full where it is cut."""
    lines = wrap(text, max(1, width), break_on_hyphens=False)
    return lines if len(lines) <= most else [*lines[: most - 1], " ".join(lines[most - 1 :])[: width - 1] + "…"]
