"""What is wrong with hosts and VMs: worst first, each with its figures, since when, and what to do about it."""

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Label, OptionList, Static
from textual.widgets.option_list import Option

from kvmtui.engine.engine import Engine
from kvmtui.engine.health_watch import Standing
from kvmtui.model.findings import Finding, Severity, summary
from kvmtui.model.format import duration
from kvmtui.ui.paint import cells, fit

SILENCE_S = 3600.0
_TONES = {
    Severity.CRITICAL: "bold $text-error",
    Severity.WARNING: "$text-warning",
    Severity.FINE: "$text-success",
    Severity.UNTOLD: "$foreground-muted",
}
_MUTED = "$foreground-muted"
_WORD = 10
_WHERE_MOST = 26
_FEWEST = 20


class FindingsScreen(ModalScreen[Finding | None]):
    """Follows what the engine finds; Enter answers with the finding to go to."""

    BINDINGS = [
        Binding("escape,q,exclamation_mark", "leave", "close", show=False),
        Binding("z", "silence", show=False),
        Binding("v", "everything", show=False),
        Binding("j", "cursor(1)", show=False),
        Binding("k", "cursor(-1)", show=False),
        Binding("g", "edge(0)", show=False),
        Binding("G", "edge(-1)", show=False),
    ]

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self._everything = False
        self._shown: tuple[Finding, ...] = ()

    def compose(self) -> ComposeResult:
        """Lay the list out."""
        with Vertical(classes="dialog wide findings"):
            yield Label("", id="findings-title", classes="title", markup=False)
            yield OptionList(id="findings-list", compact=True)
            yield Static("", id="finding")
            yield Static("", id="findings-keys", classes="hint")

    def on_mount(self) -> None:
        """Show what there is."""
        self.query_one(OptionList).focus()
        self.follow()

    def on_resize(self) -> None:
        """Cut the lines anew."""
        self._shown = ()
        self.call_after_refresh(self.follow)

    def follow(self) -> None:
        """Show how things stand now."""
        if not self.is_mounted:
            return
        standing = self._engine.standing or Standing()
        findings = self._engine.health.everything() if self._everything else standing.findings
        title = "What is wrong" if not self._everything else "All that is looked at"
        counts = summary(each for each in standing.findings if each.key not in standing.silenced)
        silenced = sum(each.key in standing.silenced for each in standing.findings)
        said = [counts or "nothing is known to be wrong", *([f"{silenced} silenced"] if silenced else [])]
        self.query_one("#findings-title", Label).update(f"{title}: {', '.join(said)}")
        # What is silenced comes last.
        ordered = tuple(sorted(findings, key=lambda each: each.key in standing.silenced))
        self._list(ordered, standing)
        self._explain()
        keys = [("Enter", "go there"), ("z", "silence for an hour, or no more"), ("v", self._fold), ("Esc", "closes")]
        self.query_one("#findings-keys", Static).update(
            Content.styled(" · ", _MUTED).join(
                Content.assemble((key, "bold $text-primary"), (f" {words}", _MUTED)) for key, words in keys
            )
        )

    @property
    def _fold(self) -> str:
        return "only what is wrong" if self._everything else "all that is looked at"

    def _list(self, findings: tuple[Finding, ...], standing: Standing) -> None:
        options = self.query_one(OptionList)
        width = max(40, (options.size.width or self.size.width) - 2)
        where = min(_WHERE_MOST, max((cells(each.where) for each in findings), default=0), width // 3)
        lines = [_line(each, where, width, silenced=each.key in standing.silenced) for each in findings]
        before, highlighted = self._shown, self.highlighted
        self._shown = findings
        if [each.key for each in before] == [each.key for each in findings] and options.option_count == len(lines):
            for at, line in enumerate(lines):
                options.replace_option_prompt_at_index(at, line)
            return
        options.clear_options()
        options.add_options([Option(line) for line in lines])
        options.display = bool(lines)
        if findings:
            keys = [each.key for each in findings]
            same = None if highlighted is None else highlighted.key
            options.highlighted = keys.index(same) if same in keys else 0

    @property
    def highlighted(self) -> Finding | None:
        """The finding under the cursor."""
        at = self.query_one(OptionList).highlighted
        return self._shown[at] if at is not None and at < len(self._shown) else None

    @on(OptionList.OptionHighlighted)
    def _explain(self) -> None:
        finding, standing = self.highlighted, self._engine.standing or Standing()
        detail = self.query_one("#finding", Static)
        if finding is None:
            detail.update(Content.styled("Hosts are looked at once a minute; v shows what is looked at.", _MUTED))
            return
        lines = [
            Content.assemble((finding.title, "bold"), f"  {finding.where}"),
            Content(finding.evidence or "fine"),
            Content.styled(f"{self._since(finding, standing)}rule {finding.rule}", _MUTED),
        ]
        if finding.advice:
            lines.append(Content.assemble(("→ ", _MUTED), finding.advice))
        detail.update(Content("\n").join(lines))

    def _since(self, finding: Finding, standing: Standing) -> str:
        now_s = self._engine.clock()
        if finding.since_s is not None:
            return f"for {duration(now_s - finding.since_s)} · "
        seen_s = standing.since_s.get(finding.key)
        # What was there at the first look may be older.
        return "" if seen_s is None else f"seen for {duration(now_s - seen_s)}, perhaps longer · "

    # Keys

    @on(OptionList.OptionSelected)
    def _selected(self) -> None:
        if self.highlighted is not None:
            self.dismiss(self.highlighted)

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)

    def action_silence(self) -> None:
        """Do not count the finding for an hour, or count it again."""
        finding, standing = self.highlighted, self._engine.standing
        if finding is None or standing is None or finding.severity <= Severity.UNTOLD:
            return
        self._engine.health.silence(finding.key, 0.0 if finding.key in standing.silenced else SILENCE_S)

    def action_everything(self) -> None:
        """Show also what is fine and what is not told, or only what is wrong."""
        self._everything = not self._everything
        self.follow()

    def action_cursor(self, step: int) -> None:
        """Go through the findings."""
        options = self.query_one(OptionList)
        options.action_cursor_down() if step > 0 else options.action_cursor_up()

    def action_edge(self, last: int) -> None:
        """Go to the first or the last."""
        options = self.query_one(OptionList)
        options.action_last() if last else options.action_first()


def _line(finding: Finding, where: int, width: int, *, silenced: bool) -> Content:
    word = "silenced" if silenced else finding.severity.word
    tone = _MUTED if silenced else _TONES.get(finding.severity, "")
    text = f"{finding.title}: {finding.evidence}" if finding.evidence else finding.title
    room = max(_FEWEST, width - _WORD - where - 2)
    return Content.assemble(
        (f"{word:<{_WORD}}", tone),
        (f"{fit(finding.where, where)}  ", _MUTED if silenced else ""),
        (fit(text, room).rstrip(), _MUTED if silenced else ""),
    )
