"""The arguments of the dashboard and of all commands; --help, completions and the manual are made of them."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from kvmtui import __version__
from kvmtui.config import (
    BalanceSettings,
    CheckSettings,
    ConfigError,
    check_demo,
    check_interval,
    check_timeout,
    check_uri,
    check_watch,
)
from kvmtui.model.clean import clean

S = TypeVar("S")
T = TypeVar("T")

LOW_BANDWIDTH_INTERVAL_S = 5.0
EXPORT_INTERVAL_S = 5.0
_DEMO_VMS = 12
SORT_NAMES = {
    "cpu_cores": "cpu",
    "ready_fraction": "ready",
    "memory_used_bytes": "memory",
    "disk_read_bytes_per_s": "disk_r",
    "disk_write_bytes_per_s": "disk_w",
    "net_in_bytes_per_s": "net_in",
    "net_out_bytes_per_s": "net_out",
    "up_s": "up",
}
"""What `--json` calls a sort key, where it is called otherwise."""


class Leave(Exception):
    """The parser has said all there is to say."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise `ConfigError`."""
        # It repeats what was typed, control characters and all.
        raise ConfigError(f'{clean(message, 300)}; see "{self.prog} --help"')

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Raise `Leave`."""
        if message:
            sys.stderr.write(message)
        raise Leave(status)


def dashboard_parser() -> Parser:
    """Return what reads the arguments of the dashboard."""
    parser = Parser(
        prog="kvmtui",
        description="Watch KVM hosts and act on their VMs from one terminal screen.",
        epilog="Keys: press ? inside. Without -c: the hosts in the configuration file, or virsh's own default. "
        f"Commands, each with --help: {', '.join(COMMANDS)}.",
    )
    _add_common(parser, read_only=False)
    parser.add_argument("--read-only", action="store_true", help="only look: connections that cannot change anything")
    _add_interval(parser, f"1; with --low-bandwidth {LOW_BANDWIDTH_INTERVAL_S:.0f}")
    parser.add_argument("--low-bandwidth", action="store_true", help="for slow links: look less often, draw no graphs")
    parser.add_argument(
        "--record", metavar="FILE", type=Path, help='record what is seen to FILE, for "kvmtui replay FILE"'
    )
    parser.add_argument("--version", action="version", version=f"kvmtui {__version__}")
    return parser


def _replay_parser() -> Parser:
    parser = Parser(
        prog="kvmtui replay",
        description="Show what was recorded with --record, as it was on the screen; no host is contacted.",
        epilog="Keys: space plays and pauses; press ? inside. Exit code: 2 where FILE cannot be read.",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="a recording, also one that is being written")
    parser.add_argument("--at", metavar="TIME", help='begin there: "03:12", or with its date "2026-03-14 03:12"')
    parser.add_argument("--low-bandwidth", action="store_true", help="for slow links: draw no graphs")
    parser.add_argument("--log", metavar="FILE", type=Path, help="append what happens to FILE")
    return parser


def parser_of_all() -> argparse.ArgumentParser:
    """Return one parser with all commands in it, for what is made of their definitions."""
    parser = dashboard_parser()
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, make_parser in COMMANDS.items():
        own = make_parser()
        what = own.description
        commands.add_parser(name, parents=[own], add_help=False, help=what, description=what, epilog=own.epilog)
    return parser


def _completions_parser() -> Parser:
    parser = Parser(
        prog="kvmtui completions",
        description="Print what lets a shell complete kvmtui's commands and options.",
        epilog="Write it to a file, and again after an update: for bash "
        "~/.local/share/bash-completion/completions/kvmtui, for fish ~/.config/fish/completions/kvmtui.fish, for zsh "
        "_kvmtui in a folder of its $fpath.",
    )
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")
    return parser


def _balance_parser() -> Parser:
    parser = Parser(
        prog="kvmtui balance",
        description="Say which VMs to migrate, and why, so that hosts are even or one is empty; with --run, do it.",
        epilog="Exit code: 0 done, or nothing to do; 1 something could not be migrated; 2 wrong arguments; "
        "3 not known: figures are missing, or how a migration ended.",
    )
    _add_common(parser, read_only=False)
    parser.add_argument("--evacuate", metavar="HOST", help="empty this host, by its name or URI")
    parser.add_argument("--run", action="store_true", help="make the moves, one at a time; ^C aborts")
    parser.add_argument(
        "--copy-disks",
        action="store_true",
        help="copy disks also to where the destination has a volume at that path, which is overwritten",
    )
    parser.add_argument(
        "--over-limits",
        action="store_true",
        help="with --evacuate: fill the other hosts beyond their limits, and put together what is kept apart",
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON; with --run, what became of it")
    parser.add_argument(
        "--for",
        dest="watch_s",
        metavar="S",
        default=BalanceSettings().watch_s,
        type=_checked(check_watch, float),
        help="watch the hosts for S seconds first (default 10): the longer, the surer is what they need",
    )
    return parser


def _check_parser() -> Parser:
    parser = Parser(
        prog="kvmtui check",
        description="Look once at the hosts, over reading connections, and say what is wrong.",
        epilog="Exit code: 0 fine, 1 warning, 2 critical; 3 unknown: nothing is known to be wrong, but a host did not "
        "answer, or did not tell what it should; also for wrong arguments, and output that nobody takes. Limits, and "
        "rules to leave out, stand in the configuration file.",
    )
    _add_common(parser, read_only=True)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print everything as JSON, also what is fine")
    form.add_argument("--nagios", action="store_true", help="print one line with figures, as monitoring plugins do")
    form.add_argument("--all", action="store_true", help="print also what is fine, and what such hosts do not tell")
    parser.add_argument(
        "--timeout",
        metavar="S",
        default=CheckSettings().timeout_s,
        type=_checked(check_timeout, float),
        help="end after S seconds, with what has answered by then (default 10)",
    )
    return parser


def _top_parser() -> Parser:
    from kvmtui.model.filter import Filter, FilterError, parse_filter
    from kvmtui.model.order import SORT_KEYS

    def read_filter(text: str) -> Filter:
        try:
            return parse_filter(text, finished=True)
        except FilterError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    parser = Parser(
        prog="kvmtui top",
        description="Print the table of the dashboard, look after look, for people and scripts. Rates take two looks: "
        "in the first they are mostly not known. What is not known is -, null or empty, and never 0.",
        epilog="Exit code: 0 done; 1 a host did not answer at the last look; 2 wrong arguments; as by the signal when "
        "interrupted, or when nobody reads any more.",
    )
    _add_common(parser, read_only=True)
    _add_interval(parser, "1")
    parser.add_argument(
        "-n", "--looks", metavar="N", type=_looks, help="end after N looks; without it, go on until interrupted"
    )
    parser.add_argument(
        "--sort",
        metavar="KEY",
        type=lambda text: SORT_NAMES.get(text, text),
        choices=[*SORT_KEYS],
        default="cpu",
        help=f"{', '.join(SORT_KEYS)} (default cpu), or what --json calls it",
    )
    parser.add_argument(
        "--filter",
        metavar="EXPR",
        type=read_filter,
        help='only these VMs, as / on the dashboard: "web !old host=h1 cpu>50"',
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON lines: an object for each host and VM")
    form.add_argument("--csv", action="store_true", help="print the same as CSV, with a header")
    return parser


def _export_parser() -> Parser:
    from kvmtui.report.listen import PORT, Address, parse_listen

    parser = Parser(
        prog="kvmtui export",
        description="Serve what hosts and VMs count and hold for Prometheus. Hosts are watched as on the dashboard: "
        "a scrape asks none of them, and never waits for one.",
        epilog="Exit code: 2 wrong arguments, or an address that cannot be had; else as by the signal that ends it.",
    )
    _add_common(parser, read_only=True)
    _add_interval(parser, f"{EXPORT_INTERVAL_S:.0f}")
    parser.add_argument(
        "--prometheus", action="store_true", required=True, help="serve OpenMetrics for Prometheus to fetch"
    )
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        type=_checked(parse_listen, str),
        default=Address("127.0.0.1", PORT),
        help=f"where: 127.0.0.1:{PORT} (default), [::1]:{PORT}, or :{PORT} for all addresses; who reaches it may read",
    )
    return parser


def _add_interval(parser: Parser, default: str) -> None:
    parser.add_argument(
        "--interval",
        metavar="S",
        type=_checked(check_interval, float),
        help=f"seconds between looks (default {default})",
    )


def _add_common(parser: Parser, *, read_only: bool) -> None:
    # What a command has no option for.
    parser.set_defaults(read_only=read_only, interval=None, low_bandwidth=False)
    parser.add_argument(
        "-c",
        "--connect",
        metavar="URI",
        action="append",
        default=[],
        type=_checked(check_uri, str),
        help="a host to watch, such as qemu+ssh://root@host/system; may be given several times",
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="read FILE instead of ~/.config/kvmtui/config.toml")
    parser.add_argument(
        "--trust-uris",
        action="store_true",
        help="do not ask about URIs that run a program or accept any host key",
    )
    parser.add_argument(
        "--demo",
        metavar="N",
        nargs="?",
        const=_DEMO_VMS,
        type=_checked(check_demo, int),
        help=f"show emulated hosts with N VMs (default {_DEMO_VMS}); needs no libvirt",
    )
    parser.add_argument("--log", metavar="FILE", type=Path, help="append what happens to FILE")


def _looks(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of looks, 1 or more")
    return int(text)


def _checked(check: Callable[[S], T], convert: Callable[[str], S]) -> Callable[[str], T]:
    """Return an argparse type that reports our own message."""

    def checked(text: str) -> T:
        try:
            value = convert(text)
        except ValueError:
            kind = "whole number" if convert is int else "number"
            raise argparse.ArgumentTypeError(f"{text!r} is not a {kind}") from None
        try:
            return check(value)
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


COMMANDS: dict[str, Callable[[], Parser]] = {
    "balance": _balance_parser,
    "check": _check_parser,
    "replay": _replay_parser,
    "completions": _completions_parser,
    "top": _top_parser,
    "export": _export_parser,
}
"""What reads the arguments of each."""
