"""The command line: what is wrong is said in one line, and only what a run needs is imported."""

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvmtui import __version__
from kvmtui.cli import run
from kvmtui.hypervisor.library import libvirt


class Tty(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Take away what a run adds to the log."""
    log = logging.getLogger("kvmtui")
    before = log.propagate, log.level, [*log.handlers]
    yield
    for handler in {*log.handlers} - {*before[2]}:
        log.removeHandler(handler)
        handler.close()
    log.propagate, log.level = before[:2]


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
    (["qemu:///system"], "unrecognized arguments: qemu:///system"),
    (["--\x1b[2J\nx"], "unrecognized arguments"),
    (["--demo", "--log", "/nowhere/at/all"], "the log '/nowhere/at/all' cannot be written: No such file or directory"),
    (["--demo", "--log", "/"], "the log '/' cannot be written: Is a directory"),
    (["--demo"], "needs a terminal"),
    ([], "needs a terminal"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=lambda value: repr(value)[:40])
def test_what_is_wrong_is_said_in_one_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("kvmtui: ")
    assert says in printed.err
    assert printed.err.count("\n") == 1
    assert printed.err.strip().isprintable()


def test_a_default_uri_that_makes_no_sense_is_told_where_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIRSH_DEFAULT_CONNECT_URI", "nonsense")
    assert run([]) == 2
    error = capsys.readouterr().err
    assert "'nonsense' is not a libvirt URI" in error
    assert "LIBVIRT_DEFAULT_URI" in error
    assert error.count("\n") == 1


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


def test_the_log_is_its_owners_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "log"
    assert run(["--demo", "--log", str(file)]) == 2
    assert "needs a terminal" in capsys.readouterr().err
    assert file.stat().st_mode & 0o777 == 0o600


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
kvmtui.engine.actions kvmtui.engine.consoles kvmtui.engine.migrations kvmtui.hypervisor.demo.console
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
