"""`kvmtui check` on the demo hosts: what it prints in each form, and its exit codes."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from kvmtui.cli import run
from kvmtui.config import CheckSettings
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.model.findings import RULES, Limits
from kvmtui.report.check import CRITICAL, FINE, UNKNOWN, WARNING, report_check

H1, H2 = "demo://h1", "demo://h2"


@pytest.fixture
def demo() -> Iterator[DemoBackend]:
    made = DemoBackend()
    yield made
    made.release_host(H2)


def check(demo: DemoBackend, *hosts: str, limits: Limits | None = None, **how: bool) -> tuple[int, str]:
    out = io.StringIO()
    wanted = CheckSettings(
        dict.fromkeys(hosts or demo.uris, ""), timeout_s=1.5 if how.pop("short", False) else 10, **how
    )
    return report_check(demo, wanted, limits or Limits(), out), out.getvalue()


def test_a_warning_is_said_with_its_figure_and_what_to_do(demo: DemoBackend) -> None:
    code, said = check(demo)
    assert code == WARNING
    assert said.startswith("WARNING: 1 warning, ")
    assert "warning   pool full: h2: pool backup: 93% full" in said
    assert "-> virsh vol-list backup --details" in said
    assert "virtualisation" not in said


def test_all_shows_what_is_fine_and_what_is_not_told(demo: DemoBackend) -> None:
    _, said = check(demo, everything=True)
    assert "fine      swap: h1: 12% used" in said
    assert "unknown   swap: h2: libvirt does not tell it of another machine" in said


def test_exit_codes(demo: DemoBackend) -> None:
    assert check(demo, H1)[0] == FINE
    assert check(demo, limits=Limits(ignore=frozenset({"pool-full"})))[0] == FINE
    assert check(demo, limits=Limits(pool_full=0.3))[0] == WARNING
    demo.hang_item(H2, "pool backup")
    assert check(demo, short=True)[0] in (CRITICAL, UNKNOWN)
    demo.hang_item(H2, "pool backup", hangs=False)
    demo.host_down(H2, "Connection refused")
    code, said = check(demo)
    assert code == UNKNOWN
    assert "1 of 2 hosts" in said
    assert "unknown   link: h2: not connected: Connection refused" in said


def test_one_vm_is_one_vm() -> None:
    assert "(1 host, 1 VM, " in check(DemoBackend(1), H1)[1]


def test_json_has_every_rule_and_units_in_its_names(demo: DemoBackend) -> None:
    code, said = check(demo, as_json=True)
    told = json.loads(said)
    assert (told["exit_code"], told["status"]) == (code, "warning")
    assert {each["rule"] for each in told["findings"]} >= {row.id for row in RULES}
    full = next(each for each in told["findings"] if each["rule"] == "pool-full" and each["severity"] == "warning")
    assert (full["host"], full["subject"], full["vm"]) == ("h2", "pool backup", None)
    assert {host["name"]: host["answered"] for host in told["hosts"]} == {"h1": True, "h2": True}
    # What is not told is never fine.
    assert all(each["severity"] == "unknown" for each in told["findings"] if not each["told"])


_FIGURE = re.compile(r"('[^'=|]+'|[a-z]+)=[0-9.]+(s|B)?(;[0-9]*){0,4}")


def test_nagios_is_one_line_with_figures_and_the_rest_below(demo: DemoBackend) -> None:
    _, said = check(demo, nagios=True)
    first, *rest = said.splitlines()
    text, bar, figures = first.partition(" | ")
    assert bar
    assert text.startswith("WARNING: ")
    assert "pool backup" in text
    assert "|" not in figures + "".join(rest)
    for figure in re.findall(r"(?:'[^']*'|[a-z]+)=\S+", figures):
        assert _FIGURE.fullmatch(figure), figure
    assert "warning=1" in figures
    assert "'h2 pool backup'=" in figures


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--demo", "--json"]) == WARNING
    assert json.loads(capsys.readouterr().out)["status"] == "warning"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--timeout", "0"], "the timeout must be between 1 and 600 seconds"),
        (["--json", "--nagios"], "not allowed with"),
        (["--run"], "unrecognized arguments: --run"),
        (["-c", "nonsense"], "is not a libvirt URI"),
    ],
)
def test_wrong_arguments_are_unknown_and_not_critical(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", *arguments]) == UNKNOWN
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err
    assert printed.err.count("\n") == 1


def test_a_reader_that_has_gone_and_a_plain_locale_end_without_a_traceback() -> None:
    command = [sys.executable, "-m", "kvmtui", "check", "--demo"]
    plain = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ended = subprocess.run(command, capture_output=True, env=plain, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (WARNING, b"")
    assert b"vCPUs 4 ? 6" in ended.stdout
    reader, writer = os.pipe()
    os.close(reader)
    try:
        gone = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
    finally:
        os.close(writer)
    assert (gone.returncode, gone.stderr) == (UNKNOWN, b"")


@pytest.mark.parametrize("form", [[], ["--json"], ["--nagios"]])
def test_a_full_disk_is_said_and_is_no_warning(form: list[str]) -> None:
    command = [sys.executable, "-m", "kvmtui", "check", "--demo", *form]
    with open("/dev/full", "w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (
        UNKNOWN,
        b"kvmtui: the output cannot be written: No space left on device\n",
    )


def test_control_c_ends_it() -> None:
    command = [sys.executable, "-c", _INTERRUPTED]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.stdout, ended.stderr) == ("3\n", "")


_INTERRUPTED = """
from kvmtui import cli
from kvmtui.report import check
def interrupt(*_): raise KeyboardInterrupt
check.report_check = interrupt
print(cli.run(["check", "--demo"]))
"""
