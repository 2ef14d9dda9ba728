"""The command line: reads the arguments, builds everything and hands it down."""

import argparse
import gc
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from kvmtui.arguments import (
    COMMANDS,
    EXPORT_INTERVAL_S,
    LOW_BANDWIDTH_INTERVAL_S,
    Leave,
    dashboard_parser,
    parser_of_all,
)
from kvmtui.config import (
    BalanceSettings,
    CheckSettings,
    ConfigError,
    HostSetting,
    Settings,
    check_uri,
    this_default_uri,
)
from kvmtui.config_file import FileSettings, config_file, read_config
from kvmtui.log import end_log, start_log
from kvmtui.model.clean import clean
from kvmtui.model.uris import risks, without_secrets

if TYPE_CHECKING:
    from kvmtui.engine.engine import Engine
    from kvmtui.hypervisor.protocol import Backend

_USAGE_ERROR = 2
_CLEAR_LINE = "\r\x1b[K"
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
    if failed := end_log():
        print(f"kvmtui: the log is not complete: {failed}", file=sys.stderr, flush=True)
    os._exit(code)


def run(arguments: Sequence[str]) -> int:
    """Return the exit code of a run with these arguments."""
    name = arguments[0] if arguments else ""
    try:
        if name in _COMMANDS:
            return _COMMANDS[name](COMMANDS[name]().parse_args(arguments[1:]))
        if name and not name.startswith("-"):
            raise ConfigError(f"{clean(name, 100)!r} is no command; there are {', '.join(COMMANDS)}; -c names a host")
        settings = _settings(dashboard_parser().parse_args(arguments))
        start_log(settings.log)
        return _dashboard(settings)
    except Leave as leave:
        return leave.code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        return _NOBODY_READS
    except ConfigError as error:
        # Over the line that said that kvmtui is starting.
        clear = _CLEAR_LINE if _are_terminals(sys.stderr) else ""
        print(f"{clear}kvmtui: {without_secrets(str(error))}", file=sys.stderr)
        return _CHECK_FAILED if name == _CHECK else _USAGE_ERROR


def _are_terminals(*streams: TextIO | None) -> bool:
    return all(stream is not None and stream.isatty() for stream in streams)


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
        interval_s=given.interval or file.interval_s or (LOW_BANDWIDTH_INTERVAL_S if low_bandwidth else 1.0),
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
    start_log(given.log)
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


def _ready_output() -> None:
    """Let standard output take any text; raises `ConfigError` where there is none."""
    if sys.stdout is None:
        raise ConfigError("there is no output to print to: it was closed before the start")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Whatever the terminal or the pipe can show: monitoring often runs without a locale.
        sys.stdout.reconfigure(errors="replace")


def _completions(given: argparse.Namespace) -> int:
    from kvmtui.report.completions import completions

    try:
        print(completions(parser_of_all(), given.shell), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"standard output cannot be written: {error.strerror}") from error
    return 0


def _check(given: argparse.Namespace) -> int:
    settings = _settings(given)
    start_log(settings.log)
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
    _ready_output()
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
    start_log(settings.log)
    from kvmtui.report.balance import report_balance

    # The first steps of the program turned it off for the sake of the first picture, which is none here.
    gc.enable()
    _ready_output()
    engine = _engine(settings)
    try:
        return report_balance(engine, wanted)
    finally:
        engine.stop()


def _top(given: argparse.Namespace) -> int:
    settings = _settings(given)
    start_log(settings.log)
    from kvmtui.report.top import TopSettings, report_top

    gc.enable()
    wanted = TopSettings(settings.interval_s, given.looks, given.sort, given.filter, given.json, given.csv)
    _ready_output()
    return report_top(_engine(settings), wanted)


def _export(given: argparse.Namespace) -> NoReturn:
    settings = replace(_settings(given), interval_s=given.interval or EXPORT_INTERVAL_S)
    start_log(settings.log)
    try:
        from kvmtui.report.export import report_export
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "prometheus_client":
            raise
        raise ConfigError("Prometheus' client library is missing: pip install 'kvmtui[export]'") from error
    gc.enable()
    report_export(_engine(settings), given.listen)


_COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "balance": _balance,
    _CHECK: _check,
    "replay": _replay,
    "completions": _completions,
    "top": _top,
    "export": _export,
}
