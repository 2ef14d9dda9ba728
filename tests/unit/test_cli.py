"""The command line: what is wrong is said in one line, and only what a run needs is imported."""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kvmtui import __version__
from kvmtui.arguments import COMMANDS, dashboard_parser
from kvmtui.cli import _COMMANDS, _confirm, _settings, run
from kvmtui.config import ConfigError, HostSetting, this_default_uri
from kvmtui.hypervisor.library import libvirt


class Tty(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep out what is configured on this machine; return where a file would be read."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "kvmtui" / "config.toml"


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Tty:
    """Let all streams be a terminal; return standard error. No fixture: pytest sets the streams after those."""
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, Tty())
    assert isinstance(sys.stderr, Tty)
    return sys.stderr


WRONG: list[tuple[list[str], str]] = [
    (["-c", "nonsense"], "argument -c/--connect: 'nonsense' is not a libvirt URI"),
    (["-c", "qemu+ssh://host"], "neither /system nor /session"),
    (["-c", ""], "is not a libvirt URI"),
    (["-c"], "expected one argument"),
    (["-c", "qemu:///system", "-c", "qemu:///system"], "-c qemu:///system is given twice"),
    (["--interval", "0"], "between 0.2 and 60 seconds"),
    (["--interval", "x"], "'x' is not a number"),
    (["--interval", "nan"], "between 0.2 and 60 seconds"),
    (["--interval", "-1"], "between 0.2 and 60 seconds"),
    (["--interval"], "expected one argument"),
    (["--demo", "0"], "1 to 20000 VMs"),
    (["--demo=0"], "1 to 20000 VMs"),
    (["--demo=x"], "'x' is not a whole number"),
    (["--demo=1e3"], "'1e3' is not a whole number"),
    (["--demo", "99999"], "1 to 20000 VMs"),
    (["--demo", "-c", "qemu:///system"], "give one of them"),
    (["--unknown"], "unrecognized arguments: --unknown"),
    (["--conn", "qemu:///system"], "unrecognized arguments"),
    (["qemu:///system"], "'qemu:///system' is no command; there are balance, check, "),
    (["frob\x1bnicate"], "'frob\ufffdnicate' is no command; there are balance, check, "),
    (["--read-only", "check"], 'unrecognized arguments: check; see "kvmtui --help"'),
    (["top", "--sort", "foo"], 'see "kvmtui top --help"'),
    (["export", "--listen", "1"], 'see "kvmtui export --help"'),
    (["balance", "--for", "0"], 'see "kvmtui balance --help"'),
    (["--\x1b[2J\nx"], "unrecognized arguments"),
    (["--demo", "--log", "/nowhere/at/all"], "the log '/nowhere/at/all' cannot be written: No such file or directory"),
    (["--demo", "--log", "/"], "the log '/' cannot be written: Is a directory"),
    (["--demo", "--config", "/nowhere/x\x1b"], "/nowhere/x\ufffd: no such file"),
    (["--config", "/"], "/: it is not a file"),
    (["balance", "--for", "1"], "the time to watch must be between 2 and 600 seconds"),
    (["balance", "--for", "x"], "'x' is not a number"),
    (["balance", "--evacuate"], "expected one argument"),
    (["balance", "--demo", "-c", "qemu:///system"], "give one of them"),
    (["balance", "h1"], "unrecognized arguments: h1"),
    (["balance", "--demo", "--for", "2", "--evacuate", "h9"], "no host is called 'h9'; there are h1, h2"),
    (["replay"], "the following arguments are required: FILE"),
    (["replay", "/nowhere/x\x1b"], "/nowhere/x\ufffd: No such file or directory"),
    (["replay", "/"], "/: Is a directory"),
    (["replay", __file__], "it is not a recording of kvmtui"),
    (["--demo"], "needs a terminal"),
    ([], "needs a terminal"),
]


def test_every_command_is_there() -> None:
    assert _COMMANDS.keys() == COMMANDS.keys()


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=lambda value: repr(value)[:40])
def test_what_is_wrong_is_said_in_one_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("kvmtui: ")
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert printed.err.strip().isprintable()


def test_the_configuration_file_gives_the_hosts(no_configuration: Path) -> None:
    no_configuration.parent.mkdir()
    no_configuration.write_text(
        """
        interval = 3
        low_bandwidth = true
        [[hosts]]
        uri = "qemu+ssh://root@h1/system"
        name = "rack 1"
        read_only = true
        [[hosts]]
        uri = "qemu+ssh://root@h2/system"
        """
    )
    h1, h2 = HostSetting("qemu+ssh://root@h1/system", "rack 1", True), HostSetting("qemu+ssh://root@h2/system")
    settings = _settings(dashboard_parser().parse_args([]))
    assert (settings.hosts, settings.interval_s, settings.low_bandwidth) == ((h1, h2), 3.0, True)
    assert not settings.read_only
    # What the command line says counts; but what the file has read-only stays so.
    settings = _settings(
        dashboard_parser().parse_args(["-c", "qemu:///system", "-c", h1.uri, "--interval", "2", "--read-only"])
    )
    assert (settings.hosts, settings.interval_s) == ((HostSetting("qemu:///system"), h1), 2.0)
    assert settings.read_only
    assert _settings(dashboard_parser().parse_args(["--demo"])).hosts == ()
    no_configuration.write_text("interval = 3\nhosts = []\n")
    assert [host.uri for host in _settings(dashboard_parser().parse_args([])).hosts] == [this_default_uri()]


def test_a_configuration_file_that_is_wrong_is_said_in_one_line(
    no_configuration: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    no_configuration.parent.mkdir()
    no_configuration.write_text("interval = 3\ncolour = 1\n")
    assert run([]) == 2
    error = capsys.readouterr().err
    assert f"{no_configuration}, line 2: 'colour' is not known" in error
    assert error.count("\n") == 1


def test_a_default_uri_that_makes_no_sense_is_told_where_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIRSH_DEFAULT_CONNECT_URI", "nonsense")
    assert run([]) == 2
    error = capsys.readouterr().err
    assert "'nonsense' is not a libvirt URI" in error
    assert "LIBVIRT_DEFAULT_URI" in error
    assert error.count("\n") == 1


def test_a_file_that_is_no_recording_is_not_written_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "notes"
    file.write_text("mine")
    error = on_a_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "xterm")
    assert run(["--demo", "--record", str(file)]) == 2
    assert f"kvmtui: {file}: it is not a recording of kvmtui" in error.getvalue()
    assert file.read_text() == "mine"


@pytest.mark.parametrize("term", ["dumb", "unknown", "", None])
def test_a_terminal_that_is_not_known(monkeypatch: pytest.MonkeyPatch, term: str | None) -> None:
    error = on_a_terminal(monkeypatch)
    if term is None:
        monkeypatch.delenv("TERM")
    else:
        monkeypatch.setenv("TERM", term)
    assert run(["--demo"]) == 2
    said = error.getvalue().removeprefix("\r\x1b[K")
    assert said == "kvmtui: the terminal type is not known: set TERM, for example TERM=xterm-256color\n"


def test_without_the_binding_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = on_a_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setitem(sys.modules, "libvirt", None)
    libvirt.cache_clear()
    try:
        assert run(["-c", "qemu:///system"]) == 2
    finally:
        libvirt.cache_clear()
    error = stream.getvalue().removeprefix("\r\x1b[K")
    assert error.count("\n") == 1
    for words in ("kvmtui: the libvirt binding is missing", "pip install 'kvmtui[libvirt]'", '"kvmtui --demo"'):
        assert words in error


RISKY_URI = "qemu+ext://u:geheim@h/system?command=/bin/tun%1b[2Jnel&no_verify=1"


def _asked(monkeypatch: pytest.MonkeyPatch, answer: str, *uris: str) -> str:
    """Answer what is asked about these hosts; return what was said."""
    error = on_a_terminal(monkeypatch)
    monkeypatch.setattr(sys, "stdin", Tty(answer))
    try:
        _confirm(_settings(dashboard_parser().parse_args([word for uri in uris for word in ("-c", uri)])))
    except ConfigError as refused:
        return f"{error.getvalue()}refused: {refused}"
    return error.getvalue()


def test_a_uri_that_runs_a_program_is_shown_and_agreed_to_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for answer in ("", "\n", "n\n", "no y\n"):
        said = _asked(monkeypatch, answer, "qemu:///system", RISKY_URI)
        assert "qemu+ext://u:***@h/system?command=/bin/tun%1b[2Jnel&no_verify=1\n" in said
        assert "  it runs the program /bin/tun\ufffd[2Jnel on this machine\n  it accepts any host key" in said
        assert "was not agreed to; nothing was connected" in said
        assert "geheim" not in said
    assert "[y/N]" in _asked(monkeypatch, "y\n", RISKY_URI)
    assert _asked(monkeypatch, "", RISKY_URI) == ""
    # Another one is asked about, however alike.
    assert "refused" in _asked(monkeypatch, "", RISKY_URI, RISKY_URI + "x")
    file = tmp_path / "state" / "kvmtui" / "trusted-uris"
    assert file.stat().st_mode & 0o777 == 0o600
    assert b"command" not in file.read_bytes()


def test_where_it_cannot_be_remembered_it_is_said_and_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    for _ in range(2):
        assert "That cannot be remembered" in _asked(monkeypatch, "y\n", RISKY_URI)


def test_where_nobody_can_be_asked_a_word_allows_it() -> None:
    with pytest.raises(ConfigError, match="where nobody can be asked, --trust-uris allows it"):
        _confirm(_settings(dashboard_parser().parse_args(["-c", RISKY_URI])))
    _confirm(_settings(dashboard_parser().parse_args(["-c", RISKY_URI, "--trust-uris"])))
    _confirm(_settings(dashboard_parser().parse_args(["-c", "qemu+ssh://h1/system"])))


def test_nothing_is_connected_before_it_was_agreed_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {proof}\n")
    program.chmod(0o700)
    error = on_a_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdin", Tty("n\n"))
    assert run(["-c", f"qemu+ext:///system?command={program}"]) == 2
    assert "was not agreed to" in error.getvalue()
    assert not proof.exists()


def test_the_log_holds_no_secrets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log"
    run(["--demo", "--log", str(file)])
    try:
        raise ValueError("qemu+libssh://u:geheim@h/system")
    except ValueError:
        logging.getLogger("kvmtui.x").exception("lane of %s", "qemu+libssh://u:geheim@h/system?keyfile=/k/geheim")
    text = file.read_text()
    assert "qemu+libssh://u:***@h/system?keyfile=***" in text
    assert "geheim" not in text


def test_the_log_is_its_owners_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log"
    assert run(["--demo", "--log", str(file)]) == 2
    assert "needs a terminal" in capsys.readouterr().err
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_log_on_a_full_disk_is_said_once_and_at_the_end() -> None:
    code = """
import logging
from kvmtui import cli
def dashboard(_):
    for _ in range(3):
        logging.getLogger("kvmtui.x").error("this does not fit")
    return 0
cli._dashboard = dashboard
cli.main(["--demo", "--log", "/dev/full"])
"""
    ended = _python(code)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr == "kvmtui: the log is not complete: No space left on device\n"


def _python(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


def test_wrong_arguments_end_a_real_process_with_2() -> None:
    ended = _python("import sys; from kvmtui.cli import main; sys.argv = ['kvmtui', '--interval', '0']; main()")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "says"), [("--version", f"kvmtui {__version__}\n"), ("--help", "usage: kvmtui [-h] [-c URI]")]
)
def test_version_and_help_import_neither_textual_nor_libvirt(option: str, says: str) -> None:
    ended = _python(
        "import sys; from kvmtui.cli import run; code = run([sys.argv[1] if len(sys.argv) > 1 else "
        f"{option!r}]); loaded = {{name.partition('.')[0] for name in sys.modules}}; "
        "assert not loaded & {'textual', 'rich', 'libvirt', 'psutil'}, loaded; sys.exit(code)"
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(says)


def test_the_demo_needs_no_libvirt() -> None:
    ended = _python(
        "import sys; sys.modules['libvirt'] = None\n"
        "from kvmtui.engine.engine import Engine\n"
        "from kvmtui.hypervisor.demo import DemoBackend\n"
        "from kvmtui.ui.app import Dashboard\n"
        "demo = DemoBackend(12); engine = Engine(demo, demo.uris); Dashboard(engine); engine.tick()\n"
        "assert len(list(engine.fleet.vms())) == 12\n"
        "assert not any(name.startswith('kvmtui.hypervisor.libvirt') for name in sys.modules)"
    )
    assert (ended.returncode, ended.stderr) == (0, "")


_LATER = """
kvmtui.engine.actions kvmtui.engine.audit kvmtui.engine.consoles kvmtui.engine.migrations kvmtui.hypervisor.demo.console
kvmtui.hypervisor.demo.migration kvmtui.hypervisor.demo.verbs kvmtui.ui.emulator kvmtui.ui.screens.ask
kvmtui.ui.screens.cockpit kvmtui.ui.screens.destination
kvmtui.ui.screens.help kvmtui.ui.screens.journal kvmtui.ui.screens.menu
importlib.metadata importlib.resources libvirt psutil pyghostty
"""


def test_the_first_picture_waits_for_no_module_that_it_does_not_show() -> None:
    ended = _python(
        "import asyncio, gc, sys\n"
        "from kvmtui import __main__, cli\n"
        "cli.main = lambda: print('collector', gc.isenabled())\n"
        "sys.argv = ['kvmtui', '--demo']; __main__.main()\n"
        "from kvmtui.engine.engine import Engine\n"
        "from kvmtui.hypervisor.demo import DemoBackend\n"
        "from kvmtui.ui.app import Dashboard\n"
        "demo = DemoBackend(12); engine = Engine(demo, demo.uris); engine.tick()\n"
        "app = Dashboard(engine)\n"
        "async def first_picture():\n"
        "    async with app.run_test(): pass\n"
        "asyncio.run(first_picture())\n"
        "assert len(list(app.main_screen.fleet.vms())) == 12\n"
        f"print('loaded', *sorted(set({_LATER.split()!r}) & set(sys.modules)))\n"
        "from kvmtui.ui import rest_of_start\n"
        "rest_of_start.finish_start().join()\n"
        f"print('then', *sorted(set(rest_of_start.MODULES) - set(sys.modules)))\n"
        "print('collector', gc.isenabled())\n"
    )
    assert (ended.stdout, ended.stderr) == ("collector False\nloaded\nthen\ncollector True\n", "")
