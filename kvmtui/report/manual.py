"""The manual page, made of the definitions of arguments, in the macros of man(7)."""

import argparse
from collections.abc import Iterable, Iterator

from kvmtui import __version__

_ESCAPES = str.maketrans({"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"})
_FILES = (
    ("~/.config/kvmtui/config.toml", "The hosts, their names, and limits. All of it is optional."),
    ("~/.local/state/kvmtui/audit.jsonl", "Who did what to which VM. Key A shows it."),
)
_SEE = ("virsh", "virt-top", "virt-host-validate")


def manual(parser: argparse.ArgumentParser) -> str:
    """Return the page for a program: its options, and then each command with what it has besides those."""
    return "\n".join(_page(parser)) + "\n"


def _page(parser: argparse.ArgumentParser) -> Iterator[str]:
    prog, purpose = parser.prog, parser.description or ""
    yield f'.TH {prog.upper()} 1 "" "{prog} {__version__}" "User Commands"'
    yield ".SH NAME"
    yield _text(f"{prog} - {purpose[:1].lower()}{purpose[1:].rstrip('.')}")
    yield ".SH SYNOPSIS"
    yield rf"\fB{_text(prog)}\fR [\fIOPTION\fR ...]"
    yield ".br"
    yield rf"\fB{_text(prog)}\fR \fICOMMAND\fR [\fIOPTION\fR ...]"
    yield ".SH DESCRIPTION"
    yield from _paragraphs(purpose, parser.epilog)
    yield ".SH OPTIONS"
    yield from _arguments(parser, parser._actions)
    common = {_meaning(action) for action in parser._actions}
    yield ".SH COMMANDS"
    for command in commands(parser):
        yield f'.SS "{_text(command.prog)}"'
        yield from _paragraphs(command.description)
        own = [action for action in command._actions if _meaning(action) not in common]
        yield from _arguments(command, own)
        shared = [action.option_strings[-1] for action in command._actions if action not in own]
        yield ".PP"
        yield from _paragraphs(f"Also, as above: {', '.join(shared)}.", command.epilog)
    yield ".SH FILES"
    for path, text in _FILES:
        yield from (".TP", rf"\fI{_text(path)}\fR", _text(text))
    yield ".SH SEE ALSO"
    yield ", ".join(rf"\fB{_text(name)}\fR(1)" for name in _SEE)


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Return the parsers of the commands in a parser."""
    # argparse tells of no arguments in public.
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def _meaning(action: argparse.Action) -> tuple[str | None, ...]:
    return *action.option_strings, action.help


def _arguments(parser: argparse.ArgumentParser, actions: Iterable[argparse.Action]) -> Iterator[str]:
    words = parser._get_formatter()
    for action in actions:
        if isinstance(action, argparse._SubParsersAction):
            continue
        value = words._format_args(action, action.dest.upper()) if action.nargs != 0 else ""
        names = ", ".join(rf"\fB{_text(name)}\fR" for name in action.option_strings)
        yield from (".TP", " ".join(filter(None, (names, value and rf"\fI{_text(value)}\fR"))))
        yield _text(words._expand_help(action) if action.help else "")


def _paragraphs(*texts: str | None) -> Iterator[str]:
    yield "\n.PP\n".join(_text(text) for text in texts if text)


def _text(text: str) -> str:
    """Return words as they stand on the page."""
    escaped = text.translate(_ESCAPES)
    return rf"\&{escaped}" if escaped.startswith(".") else escaped
