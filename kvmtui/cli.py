"""The command line: reads the arguments, builds everything and hands it down."""

import argparse
import gc
import io
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO, TypeVar

from kvmtui import __version__
from kvmtui.config import (
    BalanceSettings,
    CheckSettings,
    ConfigError,
    FileSettings,
    HostSetting,
    Settings,
    check_demo,
    check_interval,
    check_timeout,
    check_uri,
    check_watch,
    config_file,
    read_config,
    this_default_uri,
)
from kvmtui.model.clean import clean
from kvmtui.model.uris import risks, without_secrets

if TYPE_CHECKING:
    from kvmtui.engine.engine import Engine
    from kvmtui.hypervisor.protocol import Backend

T = TypeVar("T")

_USAGE_ERROR = 2
_CLEAR_LINE = "\r\x1b[K"
_LOW_BANDWIDTH_INTERVAL_S = 5.0
_DEMO_VMS = 12
_EXPORT_INTERVAL_S = 5.0
_CHECK = "check"
_CHECK_FAILED = 3
"""What monitoring takes for unknown; 2 would be a critical host."""
_INTERRUPTED, _NOBODY_READS = 128 + signal.SIGINT, 128 + signal.SIGPIPE
"""As shells number the end by a signal."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run kvmtui; ends the process at once, even while a call to a host hangs."""
    code = run(sys.argv[1:] if arguments is None else arguments)
    # A thread may be stuck in a call that never returns, and leaving by the normal way would wait for it.
    for stream in (sys.stdout, sys.stderr):
        try:
            # It is None where it was closed before the start.
            if stream is not None:
                stream.flush()
        except OSError:
            code = code or 1
    logging.shutdown()
    for handler in logging.getLogger("kvmtui").handlers:
        if isinstance(handler, _LogFile) and handler.failed:
            print(f"kvmtui: the log is not complete: {handler.failed}", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Return the exit code of a run with these arguments."""
    name = arguments[0] if arguments else ""
    try:
        if name in _COMMANDS:
            make_parser, command = _COMMANDS[name]
            return command(make_parser().parse_args(arguments[1:]))
        settings = _settings(_parser().parse_args(arguments))
        _start_log(settings.log)
        return _dashboard(settings)
    except _Leave as leave:
        return leave.code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        return _NOBODY_READS
    except ConfigError as error:
        # Over the line that said that kvmtui is starting.
        clear = _CLEAR_LINE if _are_terminals(sys.stderr) else ""
        print(f"{clear}kvmtui: {without_secrets(str(error))}", file=sys.stderr)  # noqa: T201
        return _CHECK_FAILED if name == _CHECK else _USAGE_ERROR


def _are_terminals(*streams: TextIO | None) -> bool:
    return all(stream is not None and stream.isatty() for stream in streams)


class _Leave(Exception):
    """The parser has said all there is to say."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        # It repeats what was typed, control characters and all.
        raise ConfigError(f'{clean(message, 300)}; see "kvmtui --help"')

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            sys.stderr.write(message)
        raise _Leave(status)


def _parser() -> _Parser:
    parser = _Parser(
        prog="kvmtui",
        description="Watch KVM hosts and act on their VMs from one terminal screen.",
        epilog="Keys: press ? inside. Without -c: the hosts in the configuration file, or virsh's own default. "
        f"Commands, each with --help: {', '.join(_COMMANDS)}.",
        allow_abbrev=False,
    )
    _add_common(parser)
    parser.add_argument("--read-only", action="store_true", help="only look: connections that cannot change anything")
    _add_interval(parser, f"1; with --low-bandwidth {_LOW_BANDWIDTH_INTERVAL_S:.0f}")
    parser.add_argument("--low-bandwidth", action="store_true", help="for slow links: look less often, draw no graphs")
    parser.add_argument(
        "--record", metavar="FILE", type=Path, help='record what is seen to FILE, for "kvmtui replay FILE"'
    )
    parser.add_argument("--version", action="version", version=f"kvmtui {__version__}")
    return parser


def _replay_parser() -> _Parser:
    parser = _Parser(
        prog="kvmtui replay",
        description="Show what was recorded with --record, as it was on the screen; no host is contacted.",
        epilog="Keys: space plays and pauses; press ? inside. Exit code: 2 where FILE cannot be read.",
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="a recording, also one that is being written")
    parser.add_argument("--at", metavar="TIME", help='begin there: "03:12", or with its date "2026-03-14 03:12"')
    parser.add_argument("--low-bandwidth", action="store_true", help="for slow links: draw no graphs")
    parser.add_argument("--log", metavar="FILE", type=Path, help="append what happens to FILE")
    return parser


def parser_of_all() -> argparse.ArgumentParser:
    """Return one parser with all commands in it, for what is made of their definitions."""
    parser = _parser()
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, (make_parser, _) in _COMMANDS.items():
        own = make_parser()
        what = own.description
        commands.add_parser(name, parents=[own], add_help=False, help=what, description=what, epilog=own.epilog)
    return parser


def _completions_parser() -> _Parser:
    parser = _Parser(
        prog="kvmtui completions",
        description="Print what lets a shell complete kvmtui's commands and options.",
        epilog="Write it to a file, and again after an update: for bash "
        "~/.local/share/bash-completion/completions/kvmtui, for fish ~/.config/fish/completions/kvmtui.fish, for zsh "
        "_kvmtui in a folder of its $fpath.",
        allow_abbrev=False,
    )
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"), help="bash, zsh or fish")
    return parser


def _balance_parser() -> _Parser:
    parser = _Parser(
        prog="kvmtui balance",
        description="Say which VMs to move, and why, so that hosts are even or one is empty; with --run, move them.",
        epilog="Exit code: 0 done, or nothing to do; 1 something could not be moved; 2 wrong arguments; "
        "3 not known: figures are missing, or how a move ended.",
        allow_abbrev=False,
    )
    _add_common(parser)
    parser.set_defaults(read_only=False, interval=None, low_bandwidth=False)
    parser.add_argument("--evacuate", metavar="HOST", help="empty this host, by its name or URI")
    parser.add_argument("--run", action="store_true", help="make the moves, one at a time; ^C aborts")
    parser.add_argument(
        "--copy-disks",
        action="store_true",
        help="copy disks also to where the destination has a volume at that path, which is overwritten",
    )
    parser.add_argument(
        "--over-limits", action="store_true", help="with --evacuate: fill the other hosts beyond their limits"
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


def _check_parser() -> _Parser:
    parser = _Parser(
        prog="kvmtui check",
        description="Look once at the hosts, over reading connections, and say what is wrong.",
        epilog="Exit code: 0 fine, 1 warning, 2 critical, 3 unknown (a host did not answer, or did not tell what it "
        "should; also for wrong arguments). Limits, and rules to leave out, stand in the configuration file.",
        allow_abbrev=False,
    )
    _add_common(parser)
    parser.set_defaults(read_only=True, interval=None, low_bandwidth=False)
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


def _top_parser() -> _Parser:
    from kvmtui.report.arguments import add_top

    parser = _Parser(
        prog="kvmtui top",
        description="Print the table of the dashboard, look after look, for people and scripts. Rates take two looks: "
        "in the first they are mostly not known. What is not known is -, null or empty, and never 0.",
        epilog="Exit code: 0 done; 1 a host did not answer at the last look; 2 wrong arguments; as by the signal when "
        "interrupted, or when nobody reads any more.",
        allow_abbrev=False,
    )
    _add_common(parser)
    _add_interval(parser, "1")
    parser.set_defaults(read_only=True, low_bandwidth=False)
    add_top(parser)
    return parser


def _export_parser() -> _Parser:
    from kvmtui.report.arguments import add_export

    parser = _Parser(
        prog="kvmtui export",
        description="Serve what hosts and VMs count and hold for Prometheus. Hosts are watched as on the dashboard: "
        "a scrape asks none of them, and never waits for one.",
        epilog="Exit code: 2 wrong arguments, or an address that cannot be had; else as by the signal that ends it.",
        allow_abbrev=False,
    )
    _add_common(parser)
    _add_interval(parser, f"{_EXPORT_INTERVAL_S:.0f}")
    parser.set_defaults(read_only=True, low_bandwidth=False)
    add_export(parser)
    return parser


def _add_interval(parser: _Parser, default: str) -> None:
    parser.add_argument(
        "--interval",
        metavar="S",
        type=_checked(check_interval, float),
        help=f"seconds between looks (default {default})",
    )


def _add_common(parser: _Parser) -> None:
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


def _checked(check: Callable[[T], T], convert: Callable[[str], T]) -> Callable[[str], T]:
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


def _settings(given: argparse.Namespace) -> Settings:
    if given.demo is not None and given.connect:
        raise ConfigError('--demo shows emulated hosts, -c real ones; give one of them; see "kvmtui --help"')
    twice = {uri for uri in given.connect if given.connect.count(uri) > 1}
    if twice:
        raise ConfigError(f"-c {min(twice)} is given twice")
    file = _file_settings(given.config, demo=given.demo is not None)
    low_bandwidth = given.low_bandwidth or file.low_bandwidth
    return Settings(
        hosts=() if given.demo is not None else _hosts(given.connect, file),
        read_only=given.read_only,
        interval_s=given.interval or file.interval_s or (_LOW_BANDWIDTH_INTERVAL_S if low_bandwidth else 1.0),
        low_bandwidth=low_bandwidth,
        demo_vms=given.demo,
        log=given.log,
        trust_uris=given.trust_uris,
        limits=file.limits,
        record=getattr(given, "record", None),
        recordings=file.recordings,
    )


def _file_settings(file: Path | None, *, demo: bool) -> FileSettings:
    if file is not None:
        return read_config(file, required=True)
    return FileSettings() if demo else read_config(config_file(os.environ, Path.home()), required=False)


def _hosts(connect: Sequence[str], file: FileSettings) -> tuple[HostSetting, ...]:
    if connect:
        # A host that the file has read-only is that, however it is named.
        known = {host.uri: host for host in file.hosts}
        return tuple(known.get(uri, HostSetting(uri)) for uri in connect)
    if file.hosts:
        return file.hosts
    try:
        return (HostSetting(check_uri(this_default_uri())),)
    except ConfigError as error:
        source = "VIRSH_DEFAULT_CONNECT_URI, LIBVIRT_DEFAULT_URI or libvirt.conf"
        raise ConfigError(f"the default URI, from {source}: {error}") from error


class _Discreet(logging.Formatter):
    """Keeps secrets out of what is logged, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class _LogFile(logging.FileHandler):
    """Keeps what was wrong with the file, where logging itself would print over the screen."""

    failed = ""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Take note of the first failure, for the end."""
        error = sys.exception()
        self.failed = self.failed or str(getattr(error, "strerror", None) or error)


def _start_log(file: Path | None) -> None:
    root = logging.getLogger("kvmtui")
    root.propagate = False
    if file is None:
        root.addHandler(logging.NullHandler())
        return
    try:
        # Created for its owner alone: it tells which VMs exist and what was done to them.
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        handler = _LogFile(file, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the log {str(file)!r} cannot be written: {error.strerror}") from error
    handler.setFormatter(_Discreet("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def _confirm(settings: Settings) -> None:
    """Ask once about each URI that does more than connect; raises `ConfigError` unless all are agreed to."""
    risky = [host.uri for host in settings.hosts if risks(host.uri)]
    if risky and not settings.trust_uris:
        from kvmtui.engine.trusted_uris import confirm

        confirm(risky)


def _must_be_terminal() -> None:
    # Textual draws on standard error.
    if not _are_terminals(sys.stdin, sys.stdout, sys.stderr):
        raise ConfigError("the dashboard needs a terminal: run it in one, with nothing redirected")
    if os.environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        raise ConfigError("the terminal type is not known: set TERM, for example TERM=xterm-256color")


def _dashboard(settings: Settings) -> int:
    _must_be_terminal()
    engine = _engine(settings)
    if settings.record is not None:
        from kvmtui.engine.recording.file import RecordingError

        try:
            engine.record(settings.record)
        except RecordingError as error:
            raise ConfigError(str(error)) from error
    from kvmtui.ui.app import Dashboard

    code = Dashboard(engine, low_bandwidth=settings.low_bandwidth).run_until_quit()
    sys.stderr.write(_CLEAR_LINE)
    return code


def _replay(given: argparse.Namespace) -> int:
    _start_log(given.log)
    from kvmtui.engine.recording.file import RecordingError
    from kvmtui.engine.recording.replay import Replay

    try:
        replay = Replay(given.file)
    except RecordingError as error:
        raise ConfigError(str(error)) from error
    if given.at is not None and (problem := replay.go_to_time(given.at)):
        raise ConfigError(f"--at {given.at!r}: {problem}")
    _must_be_terminal()
    from kvmtui.ui.app import Dashboard
    from kvmtui.ui.screens.replaying import ReplayScreen

    code = Dashboard(
        replay, low_bandwidth=given.low_bandwidth, wall_clock=lambda: replay.time, main=ReplayScreen
    ).run_until_quit()
    sys.stderr.write(_CLEAR_LINE)
    return code


def _engine(settings: Settings) -> "Engine":
    """Return an engine that has a picture of its first host, or watches already."""
    from kvmtui.engine.engine import Engine

    if settings.demo_vms is not None:
        from kvmtui.hypervisor.demo import DemoBackend

        demo = DemoBackend(settings.demo_vms)
        engine = Engine(
            demo,
            demo.uris,
            interval_s=settings.interval_s,
            read_only=settings.read_only,
            limits=settings.limits,
            recordings=settings.recordings,
        )
        # All its hosts live in this process: more of them would take the time that the first picture needs.
        engine.tick(demo.uris[:1])
        return engine
    engine = Engine(
        _libvirt(settings),
        [host.uri for host in settings.hosts],
        interval_s=settings.interval_s,
        read_only=settings.read_only,
        read_only_hosts={host.uri for host in settings.hosts if host.read_only},
        names={host.uri: host.name for host in settings.hosts if host.name},
        audited=True,
        limits=settings.limits,
        recordings=settings.recordings,
    )
    # Hosts answer while Textual is being imported.
    engine.start()
    return engine


def _libvirt(settings: Settings) -> "Backend":
    """Return libvirt's backend, once the URIs are agreed to; raises `ConfigError`."""
    _confirm(settings)
    from kvmtui.hypervisor.errors import LibraryMissing
    from kvmtui.hypervisor.library import libvirt
    from kvmtui.hypervisor.libvirt_backend import LibvirtBackend

    try:
        libvirt()
    except LibraryMissing as error:
        raise ConfigError(str(error)) from error
    return LibvirtBackend()


def _completions(given: argparse.Namespace) -> int:
    from kvmtui.report.completions import completions

    try:
        print(completions(parser_of_all(), given.shell), flush=True)  # noqa: T201
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"standard output cannot be written: {error.strerror}") from error
    return 0


def _check(given: argparse.Namespace) -> int:
    settings = _settings(given)
    _start_log(settings.log)
    names = {host.uri: host.name for host in settings.hosts}
    if settings.demo_vms is not None:
        from kvmtui.hypervisor.demo import DemoBackend

        demo = DemoBackend(settings.demo_vms)
        backend: Backend = demo
        names = dict.fromkeys(demo.uris, "")
    else:
        backend = _libvirt(settings)
    from kvmtui.model.findings import Limits
    from kvmtui.report.check import report_check

    gc.enable()
    wanted = CheckSettings(names, given.timeout, given.json, given.nagios, given.all)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Whatever the terminal or the pipe can show: monitoring often runs without a locale.
        sys.stdout.reconfigure(errors="replace")
    try:
        return report_check(backend, wanted, settings.limits or Limits())
    except (BrokenPipeError, KeyboardInterrupt):
        return _CHECK_FAILED


def _balance(given: argparse.Namespace) -> int:
    # However seldom the dashboard looks: a short watch needs its samples.
    settings = replace(_settings(given), read_only=not given.run, interval_s=1.0)
    wanted = BalanceSettings(
        given.evacuate,
        as_json=given.json,
        run=given.run,
        copy_disks=given.copy_disks,
        over_limits=given.over_limits,
        watch_s=given.watch_s,
    )
    if wanted.over_limits and wanted.evacuate is None:
        raise ConfigError("--over-limits is for --evacuate; balancing keeps to the limits")
    _start_log(settings.log)
    from kvmtui.report.balance import report_balance

    # The first steps of the program turned it off for the sake of the first picture, which is none here.
    gc.enable()
    engine = _engine(settings)
    try:
        return report_balance(engine, wanted)
    finally:
        engine.stop()


def _top(given: argparse.Namespace) -> int:
    settings = _settings(given)
    _start_log(settings.log)
    from kvmtui.report.top import TopSettings, report_top

    gc.enable()
    wanted = TopSettings(settings.interval_s, given.looks, given.sort, given.filter, given.json, given.csv)
    if sys.stdout is None:
        raise ConfigError("there is no output to print to: it was closed before the start")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Whatever the terminal or the pipe can show.
        sys.stdout.reconfigure(errors="replace")
    return report_top(_engine(settings), wanted)


def _export(given: argparse.Namespace) -> NoReturn:
    settings = replace(_settings(given), interval_s=given.interval or _EXPORT_INTERVAL_S)
    _start_log(settings.log)
    try:
        from kvmtui.report.export import report_export
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "prometheus_client":
            raise
        raise ConfigError("Prometheus' client library is missing: pip install 'kvmtui[export]'") from error
    gc.enable()
    report_export(_engine(settings), given.listen)


_COMMANDS: dict[str, tuple[Callable[[], _Parser], Callable[[argparse.Namespace], int]]] = {
    "balance": (_balance_parser, _balance),
    _CHECK: (_check_parser, _check),
    "replay": (_replay_parser, _replay),
    "completions": (_completions_parser, _completions),
    "top": (_top_parser, _top),
    "export": (_export_parser, _export),
}
