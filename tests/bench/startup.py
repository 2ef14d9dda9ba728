"""From the start of the process to something on the screen, and what it holds in memory."""

import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.bench.figures import Figure, NotMeasured, median
from tests.bench.keys import dashboard, settled
from tests.bench.program import REPOSITORY, Program, environment

KVMTUI = str(Path(sys.executable).parent / "kvmtui")
_MEMORY_S = 12.0
_COMPILED_S = 4.0
"""After this long all is compiled; what compiles itself holds 7 MB more, which an installed program never does."""
_INSTALLED = tempfile.TemporaryDirectory(prefix="kvmtui-installed-")


@cache
def installed() -> Path:
    """Return the folder of programs of an environment in which kvmtui is as a wheel installs it.

    `pip install -e`, which the tests run on, adds 8 ms to every start of this Python, also without kvmtui.
    """
    folder = Path(_INSTALLED.name)
    venv.create(folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    shutil.copytree(REPOSITORY / "kvmtui", packages / "kvmtui")
    shutil.copytree(REPOSITORY / "styles", packages / "kvmtui/styles")
    # A folder named here is searched, but what is named in that folder's own .pth files is not.
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    program = folder / "bin/kvmtui"
    program.write_text(f"#!{folder}/bin/python\nfrom kvmtui.__main__ import main\nmain()\n", encoding="utf-8")
    program.chmod(0o755)
    return folder / "bin"


def measure_start(rounds: int) -> Mapping[str, float]:
    """Start both in turn; the first start of each only compiles."""
    first: list[float] = []
    table: list[float] = []
    least: list[float] = []
    for number in range(4 * rounds + 1):
        seen_s, table_s = _first_paints((str(installed() / "kvmtui"), "--demo=1000"), "▸")
        # Run as a file: `-m` would add some milliseconds that the installed command does not have.
        bare = (str(installed() / "python"), "-P", str(REPOSITORY / "tests/bench/bare.py"))
        _, bare_s = _first_paints(bare, "pressed")
        if number:
            first.append(seen_s)
            table.append(table_s)
            least.append(bare_s)
    return {
        "start/demo-table": median(table) / median(least),
        "start/demo-table/ms": 1000 * median(table),
        "start/bare/ms": 1000 * median(least),
        "start/first-sign": 1000 * median(first),
    }


def _first_paints(command: Sequence[str], word: str) -> tuple[float, float]:
    """Return the seconds from the start to anything that can be seen, and to the word."""
    with Program(command, variables=environment(from_repository=False)) as program:
        seen_s = program.must_show(lambda: any(program.line(row) for row in range(program.rows)), "anything")
        if word in program.screen:
            return seen_s - program.started_s, seen_s - program.started_s
        at_s = program.must_show(lambda: any(word in program.line(row) for row in range(program.rows)), word)
        return seen_s - program.started_s, at_s - program.started_s


def measure_version(rounds: int) -> Mapping[str, float]:
    """Run both in turn."""
    ours: list[float] = []
    least: list[float] = []
    for number in range(7 * rounds + 1):
        pair = _run_s((str(installed() / "kvmtui"), "--version")), _run_s((str(installed() / "python"), "-c", "pass"))
        if number:
            ours.append(pair[0])
            least.append(pair[1])
    return {"start/version": median(ours) / median(least), "start/version/ms": 1000 * median(ours)}


def _run_s(command: Sequence[str]) -> float:
    started_s = time.perf_counter()
    subprocess.run(command, env=environment(from_repository=False), stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started_s


def measure_memory(_rounds: int) -> Mapping[str, float]:
    """Watch 1,000 VMs for a while with a history that is full, and libvirt loaded; the first start only compiles."""
    command = dashboard(1000, "--history", "1000", "--libvirt", ticks=0)
    with settled(command, _COMPILED_S):
        pass
    with settled(command, _MEMORY_S) as program:
        for line in Path(f"/proc/{program.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return {"memory/1000": int(line.split()[1]) * 1024 / 1e6}
    raise NotMeasured("/proc/PID/status tells no VmRSS")


FIGURES = (
    Figure("start/demo-table", "x", 1.1, "--demo=1000, start to table, against a bare app's paint", measure_start),
    Figure("start/first-sign", "ms", 13.0, "the same, start to anything on the screen", measure_start),
    Figure("start/demo-table/ms", "ms", None, "what the ratio is made of", measure_start),
    Figure("start/bare/ms", "ms", None, "what the ratio is made of", measure_start),
    Figure("start/version", "x", 1.1, "--version, against python -c pass", measure_version),
    Figure("start/version/ms", "ms", None, "what the ratio is made of", measure_version),
    Figure("memory/1000", "MB", 65.0, "RSS, 1,000 VMs with full history, libvirt loaded", measure_memory),
)
