"""What shells complete, and the manual page: they have all that the definitions of arguments have."""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvmtui.arguments import parser_of_all
from kvmtui.cli import run
from kvmtui.report.completions import completions
from kvmtui.report.manual import manual

ROOT = Path(__file__).parents[2]


def _parsers() -> Iterator[tuple[list[str], argparse.ArgumentParser]]:
    """Iterate over the words that lead to a parser, and the parser; no word leads to the first."""
    whole = parser_of_all()
    yield [], whole
    for action in whole._actions:
        for name, parser in action.choices.items() if isinstance(action.choices, dict) else ():
            yield [name], parser


def _options(parser: argparse.ArgumentParser) -> set[str]:
    return {option for action in parser._actions for option in action.option_strings}


_ASK = """
source /dev/stdin
for name in $(complete -p kvmtui); do
    [[ $name == _* ]] && function=$name
done
ask() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
    $function kvmtui "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
    echo "$* =" "${COMPREPLY[@]}"
}
"""


def _asked_of_bash(lines: list[list[str]], tmp_path: Path) -> list[set[str]]:
    """Return what bash offers where each of these has been typed; an empty last word: nothing of it yet."""
    script = tmp_path / "ask"
    asked = (" ".join(word or "''" for word in line) for line in lines)
    script.write_text(_ASK + "".join(f"ask kvmtui {line}\n" for line in asked))
    ended = subprocess.run(
        ["bash", "--norc", str(script)],
        input=completions(parser_of_all(), "bash"),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    told = ended.stdout.splitlines()
    assert len(told) == len(lines), ended.stderr
    return [{*line.partition(" =")[2].split()} for line in told]


def test_bash_offers_each_command_and_each_option(tmp_path: Path) -> None:
    parsers = [*_parsers()]
    assert len(parsers) > 2
    commands, *options = _asked_of_bash([[""]] + [[*words, "-"] for words, _ in parsers], tmp_path)
    assert commands == {word for words, _ in parsers for word in words}
    assert options == [_options(parser) for _, parser in parsers]


def test_bash_offers_files_and_shells(tmp_path: Path) -> None:
    (tmp_path / "hosts.toml").touch()
    files, shells, begun = _asked_of_bash(
        [["--config", "ho"], ["completions", ""], ["completions", "f"]],
        tmp_path,
    )
    assert files == {"hosts.toml"}
    assert shells == {"bash", "zsh", "fish"}
    assert begun == {"fish"}


@pytest.mark.parametrize(("shell", "option"), [("zsh", r"[^\n]*{0}[\[,}}]"), ("fish", r" -[ls] {1}( |$)")])
def test_other_shells_are_told_each_command_and_each_option(
    shell: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["completions", shell]) == 0
    script = capsys.readouterr().out
    for words, parser in _parsers():
        # Each parser's own lines.
        own = re.findall(
            rf"^_shtab_kvmtui{'_'.join(['', *words])}_options=\((.*?)^\)"
            if shell == "zsh"
            else rf"^(complete -c kvmtui -n '?{' '.join(['_shtab_kvmtui_using', *words])}'? .*)$",
            script,
            re.MULTILINE | (re.DOTALL if shell == "zsh" else 0),
        )
        for each in _options(parser):
            assert re.search(option.format(re.escape(each), re.escape(each.lstrip("-"))), "\n".join(own), re.MULTILINE)
        for word in words:
            assert re.search(rf"^ +{word}:|-a {word} ", script, re.MULTILINE)
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_offers_what_is_there(tmp_path: Path) -> None:
    script = tmp_path / "kvmtui.fish"
    script.write_text(completions(parser_of_all(), "fish"))
    for words, parser in _parsers():
        line = " ".join(["kvmtui", *words, "--"])
        asked = ["fish", "--no-config", "-c", f"source {script}; complete -C '{line}'"]
        told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        assert {each.split("\t")[0] for each in told.splitlines()} == {
            each for each in _options(parser) if each.startswith("--")
        }


def test_a_shell_that_is_not_known_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completions", "tcsh"]) == 2
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err


def test_completions_that_nobody_reads_leave_no_traceback() -> None:
    command = f"{sys.executable} -m kvmtui completions bash"
    ended = subprocess.run(["bash", "-c", f"{command} | :; {command} >/dev/full"], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (
        2,
        "kvmtui: standard output cannot be written: No space left on device\n",
    )


_GLYPHS = {r"\-": "-", r"\(aq": "'", r"\(ga": "`", r"\(ha": "^", r"\(ti": "~", r"\fB": "", r"\fI": "", r"\fR": ""}


def test_the_manual_page_has_each_command_and_each_option() -> None:
    page = manual(parser_of_all())
    for code, glyph in _GLYPHS.items():
        page = page.replace(code, glyph)
    parsers = [parser for _, parser in _parsers()]
    parts = page.partition(".SH FILES")[0].split(".SS ")
    assert [part.splitlines()[0] for part in parts[1:]] == [f'"{parser.prog}"' for parser in parsers[1:]]
    for part, parser in zip(parts, parsers, strict=True):
        assert f"\n{parser.description}\n" in part
        for action in parser._actions:
            for option in action.option_strings:
                assert len(option) == 2 or re.search(rf"{option}(?![\w-])", part), (parser.prog, option)
            if action.help:
                # What all commands have is described once.
                assert f"\n{parser._get_formatter()._expand_help(action)}\n" in page


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_the_manual_page_is_set_without_a_warning() -> None:
    ended = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-cbou"],
        input=manual(parser_of_all()),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == ""
    words = " ".join(ended.stdout.split())
    assert "kvmtui - watch KVM hosts and act on their VMs from one terminal screen" in words
    assert "read FILE instead of ~/.config/kvmtui/config.toml" in words


def test_the_package_is_made_with_the_manual_page(tmp_path: Path) -> None:
    shutil.copy(ROOT / "setup.py", tmp_path)
    code = f"import sys; sys.path.append({str(ROOT)!r}); import setup"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    assert (tmp_path / "build/kvmtui.1").read_text(encoding="utf-8") == manual(parser_of_all())
