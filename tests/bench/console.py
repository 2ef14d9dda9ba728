"""What a console costs while a guest floods it, and what gets through: a real guest, and virsh in tmux to compare."""

import contextlib
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import libvirt

from tests.bench.clocks import cpu_s
from tests.bench.figures import Figure, NotMeasured, median, percentile
from tests.bench.keys import cursor_keys
from tests.bench.program import CURSOR, Program
from tests.bench.startup import KVMTUI
from tests.lab import population
from tests.lab.guests import GuestSpec
from tests.lab.image import cache_folder, get_image
from tests.lab.lab import Host, check_machine, start_lab, stop_process
from tests.lab.tools import LabError

_GUEST = "aflood"
"""The first in the table, which is by name."""
_OTHERS = 12
_FLOOD = "yes The quick brown fox jumps over the lazy dog"
_FLOOD_S = 30.0
_SAMPLES = 102
"""Keys with and without a flood, over all rounds."""
_TO_THE_TABLE = "\x1dh"
"""Hides the console, which goes on."""
_FIRST, _LAST = 100_000, 145_000
"""What the guest counts through: 7 bytes a line and the end of it."""


@contextlib.contextmanager
def _host_with_guest() -> Iterator[tuple[Host, GuestSpec]]:
    """Give a host with a guest that has come up; it is gone in the end."""
    libvirt.registerErrorHandler(lambda *_: None, None)
    try:
        check_machine(_OTHERS)
        lab, process = start_lab(None, get_image(cache_folder(), lambda _: None))
    except LabError as error:
        raise NotMeasured(str(error)) from error
    spec = GuestSpec(_GUEST)
    try:
        population.add_tiny(lab.h1, _OTHERS)
        connection = lab.h1.connect()
        population.define(connection, spec).create()
        connection.close()
        population.wait_ready(lab.h1, spec)
        yield lab.h1, spec
    except (LabError, libvirt.libvirtError) as error:
        raise NotMeasured(str(error)) from error
    finally:
        stop_process(process, lab.folder)


def _open_console(program: Program) -> None:
    """Open the console of the guest, which is the first in the table, and see its prompt."""
    program.must_show_table()
    program.must_show(lambda: _shows(program, CURSOR, _GUEST, "running"), "the guest")
    program.press("c")
    program.must_show(lambda: _shows(program, "console of"), "the console")
    _prompt(program)


def _prompt(program: Program) -> None:
    # More than once: virsh forgets what is typed before it has set up its terminal.
    for _ in range(10):
        program.press("\x15\r")
        if program.wait(lambda: _shows(program, f"{_GUEST}:/#"), 3.0) is not None:
            return
    raise NotMeasured(f"the guest shows no prompt:\n{program.screen}")


def _shows(program: Program, *words: str) -> bool:
    return any(all(word in program.line(row) for word in words) for row in range(program.rows))


def measure_flood(rounds: int) -> Mapping[str, float]:
    """Let a guest run `yes` while its console is open behind the table, and press keys there."""
    quiet: list[float] = []
    flooded: list[float] = []
    shares: list[float] = []
    samples, seconds = -(-_SAMPLES // rounds), _FLOOD_S / rounds
    with _host_with_guest() as (host, spec), Program([KVMTUI, "-c", host.uri]) as program:
        _open_console(program)
        # What grows to its full size once, such as the scrollback, is not the flood's.
        program.press(f"{_FLOOD}\r")
        program.must_show(lambda: _shows(program, "quick brown fox"), "the flood")
        program.read(3.0)
        program.press(_TO_THE_TABLE)
        before = _rss_bytes(program.pid)
        for _ in range(rounds):
            # As busy as before, for an emulated guest takes a core from whoever paints.
            _run_in_guest(program, f"{_FLOOD} >/dev/null", floods=False)
            quiet += _keys(program, samples)
            _run_in_guest(program, _FLOOD, floods=True)
            used_s = cpu_s(program.pid)
            program.read(seconds)
            shares.append((cpu_s(program.pid) - used_s) / seconds)
            flooded += _keys(program, samples)
            _must_be_held(host, spec)
        grown = _rss_bytes(program.pid) - before
    return {
        "console/flood/keys": percentile(flooded, 0.95) / percentile(quiet, 0.95),
        "console/flood/keys/ms": 1000 * percentile(flooded, 0.95),
        "console/quiet/keys/ms": 1000 * percentile(quiet, 0.95),
        "console/flood/memory": grown / 1e6,
        "console/flood/cpu": 100 * median(shares),
    }


def _run_in_guest(program: Program, command: str, *, floods: bool) -> None:
    """Show the hidden console, end what runs there, run a command instead, and go back to the table."""
    program.press("g")
    program.must_show(lambda: _shows(program, CURSOR, _GUEST), "the guest")
    program.press("c")
    program.must_show(lambda: _shows(program, "console of"), "the console")
    program.press("\x03")
    # The shell forgets what is typed right behind an interrupt.
    program.read(1.0)
    program.press(f"clear; {command}\r")
    program.read(1.0)
    if ("quick brown fox" in program.screen) is not floods:
        raise NotMeasured(f"the guest does not do what it should:\n{program.screen}")
    program.press(_TO_THE_TABLE)
    program.must_show(lambda: not _shows(program, "console of"), "the table alone")
    program.read(1.0)


def _keys(program: Program, samples: int) -> list[float]:
    return cursor_keys(
        program,
        samples,
        lambda: random.uniform(0.05, 0.25),  # noqa: S311 - a phase, guards nothing
        name=lambda number: f"idle{number:03d}" if number else _GUEST,
    )


def _must_be_held(host: Host, spec: GuestSpec) -> None:
    """Raise unless the console is still the dashboard's, for otherwise nothing is measured."""
    connection = host.connect()
    try:
        stream = connection.newStream()
        connection.lookupByUUIDString(spec.uuid).openConsole(None, stream, libvirt.VIR_DOMAIN_CONSOLE_SAFE)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_FAILED:
            raise
    else:
        stream.abort()
        raise NotMeasured("nobody holds the console")
    finally:
        connection.close()


def _rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise NotMeasured("/proc/PID/status tells no VmRSS")


def measure_throughput(rounds: int) -> Mapping[str, float]:
    """Let a guest count in the dashboard's console and in virsh's in tmux, in turn."""
    tmux, virsh = shutil.which("tmux"), shutil.which("virsh")
    if tmux is None or virsh is None:
        raise NotMeasured("this machine has no tmux, or no virsh")
    ours: list[float] = []
    theirs: list[float] = []
    with _host_with_guest() as (host, spec), tempfile.TemporaryDirectory() as folder:
        server = [tmux, "-S", f"{folder}/tmux", "-f", "/dev/null"]
        console = [virsh, "-c", host.uri, "console", "--force", spec.uuid]
        for _ in range(3 * rounds):
            with Program([KVMTUI, "-c", host.uri]) as program:
                _open_console(program)
                ours.append(_counting_s(program))
            try:
                with Program([*server, "new-session", *console]) as program:
                    program.must_show(lambda program=program: _shows(program, "Escape character"), "virsh")  # type: ignore[misc]
                    _prompt(program)
                    theirs.append(_counting_s(program))
            finally:
                subprocess.run([*server, "kill-server"], check=False, capture_output=True)
    size = 8 * (_LAST - _FIRST + 1)
    return {
        "console/throughput": median([first / second for first, second in zip(ours, theirs, strict=True)]),
        "console/throughput/kB-s": size / median(ours) / 1000,
        "console/virsh-tmux/kB-s": size / median(theirs) / 1000,
    }


def _counting_s(program: Program) -> float:
    """Return the seconds from the command to its last word on the screen."""
    at_s = program.press(f"seq {_FIRST} {_LAST}; echo end-$((6 * 7))\r")
    return program.must_show(lambda: _shows(program, "end-42"), "the end", 60.0) - at_s


FIGURES = (
    Figure("console/flood/keys", "x", 2.0, "key to paint, 95 of 100, while a guest floods its console", measure_flood),
    Figure("console/flood/memory", "MB", 20.0, f"what {_FLOOD_S:.0f} s of it add to RSS", measure_flood),
    Figure("console/flood/cpu", "%", None, "of a core, for the dashboard meanwhile", measure_flood),
    Figure("console/flood/keys/ms", "ms", None, "what the ratio is made of", measure_flood),
    Figure("console/quiet/keys/ms", "ms", None, "the same while that guest is as busy and silent", measure_flood),
    Figure("console/throughput", "x", 1.0, "time of 360 kB of text, against virsh console in tmux", measure_throughput),
    Figure("console/throughput/kB-s", "kB/s", None, "what the ratio is made of", measure_throughput),
    Figure("console/virsh-tmux/kB-s", "kB/s", None, "what the ratio is made of", measure_throughput),
)
