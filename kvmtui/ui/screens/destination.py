"""The move dialog: where to, what speaks against it, and how."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Label, OptionList, Static
from textual.widgets.option_list import Option

from kvmtui.model.host import Host, Link
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.preflight import Grade
from kvmtui.model.vm import Vm, VmKey
from kvmtui.ui import move_options
from kvmtui.ui.destination_lines import destination_line, fold, name_width, option_lines, titles
from kvmtui.ui.move_draft import Looks, MoveDraft
from kvmtui.ui.outlook import Look, check_lines, face, warnings
from kvmtui.ui.screens.ask import ConfirmScreen, ExpiringScreen

_WIDEST = 110
_FRAME = 6
"""Border and padding, left and right."""
_AROUND = 9
"""Lines of the dialog besides those that vary."""
_LISTED = 6
"""Destinations that are seen at once."""
_FINDINGS_LEAST, _FINDINGS_USUAL = 4, 12
_ALL_KEY, _OPTIONS_KEY, _COPY_KEY = "v", "o", "y"
_COMMAND_LINES, _REMARK_LINES = 3, 2
_LOW = 30
"""Of fewer lines the virsh line takes one: the checks are worth more, and a key copies it whole."""
_TOO_OLD = "looked at more than a minute ago: Enter looks again"


@dataclass(frozen=True, slots=True)
class Destination:
    """The answer."""

    host: str
    options: Mapping[VmKey, MigrationOptions]
    """Of those that are to be moved: without those that were left out."""


class DestinationScreen(ExpiringScreen[Destination]):
    """Asks where one or more VMs of one host shall go."""

    LEAST = (60, 20)
    BINDINGS = [
        *(Binding(choice.key, f"turn('{choice.key}')", show=False) for choice in move_options.CHOICES),
        Binding("j", "cursor(1)", show=False),
        Binding("k", "cursor(-1)", show=False),
        Binding(_OPTIONS_KEY, "show_options", show=False),
        Binding(_ALL_KEY, "show_all", show=False),
        Binding(_COPY_KEY, "copy", show=False),
        Binding("pagedown,ctrl+d", "scroll(1)", show=False, priority=True),
        Binding("pageup,ctrl+u", "scroll(-1)", show=False, priority=True),
    ]

    looks: reactive[Looks] = reactive(dict)

    def __init__(
        self,
        subject: Callable[[Sequence[Vm]], str],
        vms: Sequence[Vm],
        hosts: Sequence[Host],
        why_not: Callable[[Vm], str],
        look: Callable[[], None],
    ) -> None:
        """`subject` calls VMs "web1 on h1" or "3 VMs on h1"; `why_not` says why one cannot be moved any more, or "".

        `look` has all destinations looked at anew.
        """
        super().__init__()
        self._subject = subject
        self._why_not = why_not
        self._look = look
        self._draft = MoveDraft(vms, lambda: self.looks)
        self._hosts = {host.key: host for host in hosts}
        self._all = False
        self._options_open = False
        self._remark = ("", "")
        self._told = False
        """Whether something was found out that is not shown yet."""
        self._too_old = False
        """Whether what was found out is too old to move by."""

    def compose(self) -> ComposeResult:
        """Lay the question out."""
        with Vertical(classes="dialog move"):
            yield Label(self._heading, classes="title", markup=False)
            yield Static("", id="columns")
            yield OptionList(*map(self._option, self._hosts), compact=True)
            with VerticalScroll(id="findings", can_focus=False):
                yield Static("", id="lines")
            yield Static("", id="more")
            yield Static("", id="choice")
            yield Static("", id="command")
            yield Static("", id="remark")
            yield Static("", classes="hint", id="keys")

    def on_mount(self) -> None:
        """Begin with the first destination that can be asked."""
        self.query_one(OptionList).focus()

    def on_key(self) -> None:
        """Live on: somebody is reading."""
        self.stay()

    def expire(self) -> None:
        """Stay, for somebody may be reading; but by what was found out nothing is moved any more."""
        self._too_old = True
        self._say("")

    def on_resize(self, event: events.Resize) -> None:
        """Wrap the lines anew."""
        self._show()

    def take_hosts(self, hosts: Sequence[Host]) -> None:
        """Follow the fleet: a host that went down cannot take anything, one that is back can be asked."""
        links, before = {host.key: host.link for host in hosts}, {key: host.link for key, host in self._hosts.items()}
        if all(links.get(key, host.link) is host.link for key, host in self._hosts.items()):
            return
        self._hosts |= {host.key: host for host in hosts if host.key in self._hosts}
        looked_at = {key for key, _ in self.looks}
        back = [key for key, was in before.items() if was is not Link.UP and links.get(key) is Link.UP]
        unseen = Look(problem="it was not connected when this was asked: ask again to have it looked at")
        new = {(key, vm.key): unseen for key in back if key not in looked_at for vm in self._draft.vms}
        self.looks = {**self.looks, **new}
        if self.is_mounted and self.is_running:
            options = self.query_one(OptionList)
            for key, host in self._hosts.items():
                (options.enable_option if host.link is Link.UP else options.disable_option)(key)
            self._say("")

    def watch_looks(self) -> None:
        """Show what has been found out, many answers at once; what was said before may be so no more."""
        if not self._told:
            self._told = True
            self.call_later(self._looked)

    def _looked(self) -> None:
        self._told = False
        self._say("")

    # Keys

    def action_turn(self, key: str) -> None:
        """Change an option, or say why it cannot be."""
        choice = move_options.BY_KEY[key]
        if choice not in move_options.shown(self._draft.actives):
            self._say(f"{choice.label}: means nothing for a VM that is off", "$text-warning")
            return
        self._options_open = True
        if choice.unit:
            self._ask_number(choice)
        else:
            self._turned(choice, self._draft.turn(choice, self._destination))

    def action_show_options(self) -> None:
        """Show the options in place of the checks, or the checks again."""
        self._options_open = not self._options_open
        self._say("")

    def action_show_all(self) -> None:
        """Show also the checks that pass, or fold them."""
        self._all, self._options_open = self._options_open or not self._all, False
        self._say("")

    def action_copy(self) -> None:
        """Copy the virsh lines to the clipboard (OSC 52)."""
        lines = self._draft.commands(self._destination)
        self.app.copy_to_clipboard("\n".join(lines))
        self._say(f"{len(lines)} line{'' if len(lines) == 1 else 's'} copied, where the terminal allows it")

    def action_cursor(self, step: int) -> None:
        """Go through the destinations."""
        hosts = self.query_one(OptionList)
        hosts.action_cursor_down() if step > 0 else hosts.action_cursor_up()

    def action_scroll(self, pages: int) -> None:
        """Scroll what was found."""
        self.stay()
        findings = self.query_one("#findings", VerticalScroll)
        findings.scroll_relative(y=pages * max(1, findings.size.height - 1), animate=False)

    @on(OptionList.OptionHighlighted)
    def _highlighted(self) -> None:
        self.query_one("#findings", VerticalScroll).scroll_home(animate=False)
        self._say("")

    @on(OptionList.OptionSelected)
    def _selected(self) -> None:
        host = self._host
        if self._too_old or self.expired:
            self._look_again()
            return
        if host is None or self._left_out():
            return
        if self._hosts[host].link is not Link.UP:
            self._say(f"{self._hosts[host].name} is not connected any more", "$text-error")
            return
        judged = self._draft.judged(host)
        refused = move_options.refusals(self._draft.options(self._destination), self._draft.actives)
        failing = [one for one in judged if one.grade is Grade.FAIL]
        if refused:
            self._options_open = True
            self._say(f"libvirt refuses these options: {move_options.why(refused[0])}", "$text-error")
        elif failing:
            self._options_open = False
            several = f"cannot take {len(failing)} of {len(judged)}: unmark those, or choose another host"
            self._say(f"{self._hosts[host].name} {face(judged)[0] if len(judged) == 1 else several}", "$text-error")
        elif any(one.checks is None for one in judged):
            self._say("still looking at it; an answer comes within 10 s", "$text-warning")
        elif asked := warnings(judged):
            self._ask(host, asked)
        else:
            self._go(host)

    def _look_again(self) -> None:
        self._too_old, self.looks = False, {}
        self.renew()
        self._look()
        self._say("looking again")

    def _ask(self, host: str, asked: Sequence[str]) -> None:
        self.stay()
        question = ConfirmScreen(
            f"Migrate {self._subject(self._draft.vms)} to {self._hosts[host].name} all the same?",
            asked,
            f"{len(asked)} of the checks warn{'s' if len(asked) == 1 else ''}.",
            destructive=False,
        )
        self.app.push_screen(question, lambda agreed: self._go(host) if agreed else self._say("nothing was migrated"))

    def _left_out(self) -> bool:
        """Leave out those that cannot be moved any more, and say which; return whether there are any."""
        reasons = {vm.key: why for vm in self._draft.vms if (why := self._why_not(vm))}
        if not reasons:
            return False
        said = "; ".join(f"{vm.name}: {reasons[vm.key]}" for vm in self._draft.vms if vm.key in reasons)
        self._draft.vms = [vm for vm in self._draft.vms if vm.key not in reasons]
        if self._draft.vms:
            self.query_one(".title", Label).update(self._heading)
            self._say(f"left out: {said}", "$text-warning")
        else:
            self.answer(Destination(self._destination, {}))
        return True

    def _go(self, host: str) -> None:
        # It may have been asked about for a while.
        if self._too_old or self.expired:
            self.expire()
            return
        if self._left_out():
            return
        if self._hosts[host].link is not Link.UP:
            self._say(f"{self._hosts[host].name} is not connected any more: nothing was migrated", "$text-error")
            return
        self.answer(Destination(host, {vm.key: self._draft.options(host, vm) for vm in self._draft.vms}))

    def _ask_number(self, choice: move_options.Choice) -> None:
        from kvmtui.ui.screens.number import NumberScreen

        value = choice.value(self._draft.wanted)
        question = NumberScreen(
            f"{choice.label.capitalize()} in {choice.unit}?",
            f"0 for {choice.values[0][1]}.",
            value if isinstance(value, int) else None,
        )

        def answered(number: int | None) -> None:
            if number is not None:
                self._turned(choice, self._draft.change(choice, number or None, self._destination))

        self.app.push_screen(question, answered)

    def _turned(self, choice: move_options.Choice, why_not: str) -> None:
        self._say(f"{choice.label}: {why_not}" if why_not else "", "$text-warning")

    def _say(self, text: str, tone: str = "") -> None:
        self._remark = (text, tone)
        # What was looked at may be told when the dialog is going already.
        if self.is_mounted and self.is_running:
            self._show()

    # What is asked for

    @property
    def _host(self) -> str | None:
        options = self.query_one(OptionList)
        return None if options.highlighted is None else options.get_option_at_index(options.highlighted).id

    @property
    def _destination(self) -> str:
        """The highlighted host, or "" while there is none."""
        return self._host or ""

    @property
    def _host_name(self) -> str:
        return "the destination" if self._host is None else self._hosts[self._host].name

    @property
    def _heading(self) -> str:
        return f"Migrate {self._subject(self._draft.vms)} to"

    # What is shown

    def _show(self) -> None:
        draft = self._draft
        width = min(_WIDEST, self.app.size.width)
        inner = width - _FRAME - 1
        self.query_one(".dialog").styles.width = width
        destinations, names = self.query_one(OptionList), name_width(self._hosts.values())
        for key, host in self._hosts.items():
            destinations.replace_option_prompt(key, destination_line(host, names, self._verdict(key), inner))
        self.query_one("#columns", Static).update(titles(names))
        lines = self._finding_lines(inner)
        if self._options_open:
            options, disks = draft.options(self._destination), draft.disks_words(self._destination)
            lines = option_lines(options, draft.actives, inner, self._host_name, disks)
        self.query_one("#lines", Static).update(Content("\n").join(lines))
        below = self._show_choice(inner + 1)
        room = self.app.size.height - _AROUND - min(_LISTED, len(self._hosts)) - below
        findings = self.query_one("#findings", VerticalScroll)
        height = max(_FINDINGS_LEAST, min(room, max(_FINDINGS_USUAL, len(lines))))
        findings.styles.height = height
        more = "PgDn more, PgUp back" if len(lines) > height else ""
        self.query_one("#more", Static).update(Content.styled(more, "$foreground-muted"))

    def _show_choice(self, width: int) -> int:
        """Show options, virsh line and remark; return how many lines they take but for the first."""
        draft, host = self._draft, self._destination
        open_hint = "" if self._options_open else f"  {_OPTIONS_KEY} changes them"
        off = [vm.name for vm in draft.vms if not vm.state.active]
        off_words = move_options.off_words(off, alone=len(draft.vms) == 1) if off else ""
        first = draft.disks_words(host) or off_words
        options = move_options.in_a_line(draft.options(host), first)
        chosen = [Content.assemble(options, (open_hint, "$foreground-muted"))]
        chosen += [Content(off_words)] if off_words not in ("", first) else []
        self.query_one("#choice", Static).update(
            Content("\n").join(line.truncate(width, ellipsis=True) for line in chosen)
        )
        commands = draft.commands(host)
        more = f"   and {len(commands) - 1} more" if len(commands) > 1 else ""
        command = fold(commands[0] + more, width, 1 if self.app.size.height < _LOW else _COMMAND_LINES)
        self.query_one("#command", Static).update(Content.styled("\n".join(command), "$foreground-muted"))
        text, tone = self._remark
        if self._too_old:
            text, tone = f"{text}; {_TOO_OLD}" if text else _TOO_OLD, "$text-warning"
        remark = fold(text, width, _REMARK_LINES) or [""]
        self.query_one("#remark", Static).update(Content.styled("\n".join(remark), tone))
        does = "looks again" if self._too_old else "migrates"
        keys = f"Enter {does} · {_OPTIONS_KEY} {'checks' if self._options_open else 'options'}"
        folds = f" · {_ALL_KEY} {'fold' if self._all and not self._options_open else 'all checks'}"
        self.query_one("#keys", Static).update(f"{keys}{folds} · {_COPY_KEY} copy virsh line · Esc closes")
        return len(chosen) - 1 + len(command) + len(remark)

    def _finding_lines(self, width: int) -> list[Content]:
        host = self._host
        if host is None:
            return [Content.styled("No other host is connected.", "$text-warning")]
        return check_lines(self._draft.judged(host), width, everything=self._all, key=_ALL_KEY)

    def _option(self, key: str) -> Option:
        return Option("", id=key, disabled=self._hosts[key].link is not Link.UP)

    def _verdict(self, key: str) -> tuple[str, str]:
        return ("not connected", "") if self._hosts[key].link is not Link.UP else face(self._draft.judged(key))
