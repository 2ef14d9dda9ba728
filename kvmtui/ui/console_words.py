"""What is said about consoles: the title line, the line of tabs, and the notice below a guest's last line. Pure."""

from collections.abc import Sequence

from textual.content import Content
from textual.style import Style

from kvmtui.engine.console_state import ConsoleState
from kvmtui.ui.console_keys import PREFIX, REPEATED, search_choices
from kvmtui.ui.console_terminal import ConsoleTerminal
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.widgets.console_heads import TAB

_STATES = {
    ConsoleState.OPENING: "opening",
    ConsoleState.WAITING: "waiting",
    ConsoleState.HELD: f"held by another, {PREFIX} t takes over",
}


_FIELD_CHOICES = (("Enter", "to the matches"), ("Esc", "end"))


def title_line(
    terminal: ConsoleTerminal,
    where: str,
    width: int,
    *,
    stands_still: str,
    has_keys: bool,
    repeats: bool,
    types_search: bool,
    glyphs: Glyphs,
) -> Content:
    """Return the line above a console; `where` is "web1 on h1".

    `stands_still` says why the guest takes no keys, `repeats` that some keys need no prefix now. A remark for which
    there is no room in `width` stands alone: it goes soon, and the rest is there again.
    """
    if types_search:
        return Content("").join([Content(" "), _search_words(terminal, types_search)])
    parts = [Content.styled(f" console of {where}", "bold $primary")]
    if terminal.search is not None:
        return Content("").join([*parts, Content("   "), _search_words(terminal, types_search)])
    facts: list[tuple[str, str]] = []
    if terminal.state is not ConsoleState.OPEN:
        facts.append((_STATES.get(terminal.state, "ended"), "$text-warning"))
    if terminal.live and terminal.drops_line:
        facts.append(("keys are dropped up to Enter or ^C", "$text-warning"))
    if terminal.live and stands_still:
        facts.append((stands_still, "$text-warning"))
    if lines := terminal.unsent_lines:
        facts.append((f"pasting: {_lines(lines)} left, ^C stops it", "$text-accent"))
    if terminal.remark:
        facts.append((terminal.remark, "$text-accent"))
    if terminal.skipped_bytes:
        facts.append((f"{max(1, terminal.skipped_bytes // 1000)} kB skipped", "$text-warning"))
    if below := terminal.emulator.lines_below:
        facts.append((f"{_lines(below)} back", "$text-accent"))
    if terminal.log is not None and not terminal.remark:
        facts.append(("logging", "$text-accent"))
    if not facts and terminal.silent:
        facts.append(("Enter wakes a silent one", "dim"))
    if repeats:
        facts.append((REPEATED, "dim"))
    hint = (f"{PREFIX} for its keys" if has_keys else f"c on {terminal.vm_name} types to it", "dim")
    between = Content.styled(f" {glyphs.dot} ", "dim")
    for shown in ([*facts, hint], facts):
        line = Content("").join([*parts, Content("   "), between.join(Content.styled(*fact) for fact in shown)])
        if line.cell_length <= width or not terminal.remark:
            return line
    return Content.assemble(" ", (terminal.remark, "$text-accent"))


def _lines(number: int) -> str:
    return f"{number} line{'' if number == 1 else 's'}"


def _search_words(terminal: ConsoleTerminal, types_search: bool) -> Content:
    search = terminal.search
    if search is None or not search.total:
        found = "not found" if search is not None and search.text else "search"
    else:
        found = f"{(search.selected or 0) + 1} of {search.total}"
    choices = _FIELD_CHOICES if types_search else search_choices()
    keys = [Content.assemble((key, "bold $text-primary"), (f" {label}", "dim")) for key, label in choices]
    return Content("  ").join([Content.styled(found, "$text-accent"), *keys])


def tabs_line(
    terminals: Sequence[ConsoleTerminal], shown: ConsoleTerminal | None, *, in_sight: bool, glyphs: Glyphs
) -> Content:
    """Return one line that names all consoles, and marks those with something new."""
    count = len(terminals)
    parts = [] if in_sight else [Content.styled(f" {count} console{'' if count == 1 else 's'} (c on the VM) ", "dim")]
    for terminal in terminals:
        chosen = in_sight and terminal is shown
        name = Content.styled(f" {terminal.number} {terminal.vm_name} ", "bold $primary" if chosen else "")
        parts.append(name.stylize(Style.from_meta({TAB: terminal.number})))
        if terminal.rang and not chosen:
            parts.append(Content.styled("! ", "bold $text-warning"))
        elif terminal.unseen and not chosen:
            parts.append(Content.styled(f"{glyphs.marked} ", "$text-accent"))
    return Content("").join(parts)


def notice(terminal: ConsoleTerminal, where: str) -> str:
    """Return what has to be said below the guest's last line, and what can be done; nothing for an open console."""
    reason = terminal.message.rstrip(".")
    match terminal.state:
        case ConsoleState.WAITING:
            return f"waiting: {reason or 'not there'}. {PREFIX} q leaves."
        case ConsoleState.HELD:
            reason = reason or "another client has this console open"
            return f"{reason}.\n{PREFIX} t takes over the console of {where}, {PREFIX} q leaves."
        case ConsoleState.ENDED:
            return f"ended: {reason or 'closed'}. Enter reattaches, {PREFIX} q leaves."
    return ""
