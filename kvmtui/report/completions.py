"""`kvmtui completions`: what shells complete, made of the definitions of arguments."""

import argparse
from typing import Any

import shtab

from kvmtui.report.manual import commands


def completions(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script for a shell: "bash", "zsh" or "fish"."""
    _mark_files(parser)
    return shtab.complete(parser, shell)


def _mark_files(parser: argparse.ArgumentParser) -> None:
    """Say of each argument that is a file that it is one."""
    # argparse tells of no arguments in public.
    for action in parser._actions:
        if action.metavar == "FILE":
            marked: Any = action
            marked.complete = shtab.FILE
    for command in commands(parser):
        _mark_files(command)
