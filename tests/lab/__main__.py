"""The lab's command line: `python -m tests.lab up | down | run -- COMMAND...`."""

import argparse
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import libvirt

from tests.lab.image import Image, cache_folder, get_image
from tests.lab.lab import (
    BASE,
    Lab,
    check_machine,
    detach,
    is_alive,
    lab_user,
    load_lab,
    start_lab,
    stop_lab,
    stop_process,
    sweep,
    wait_until,
)
from tests.lab.population import populate
from tests.lab.tools import REPO, LabError, need_root

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

#: How long a command that was sent a signal may take to end.
PATIENCE_S = 5.0


class Signalled(BaseException):
    """A signal asked this program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; 2 when the lab could not be had."""
    options = _parser().parse_args(arguments)
    libvirt.registerErrorHandler(lambda *_: None, None)
    try:
        return _dispatch(options)
    except (LabError, libvirt.libvirtError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    except Signalled as signalled:
        return 128 + signalled.number


def _dispatch(options: argparse.Namespace) -> int:
    match options.action:
        case "up":
            return up(options.load)
        case "down":
            return down()
        case "populate":
            populate(load_lab(options.folder), options.load, lambda _: None)
            return 0
        case _:
            return run_command(options.command, options.load)


def up(tiny_count: int) -> int:
    """Start this user's lab in the background, if it is not running, and print its hosts."""
    need_root()
    folder = _folder()
    if is_alive(folder):
        wait_until(
            lambda: (folder / "ready").exists() or not is_alive(folder), "the lab that is just being started", 300
        )
    if (folder / "ready").exists() and is_alive(folder):
        _tell(f"a lab is up already: started from {_origin(folder)}, kept in {folder}; 'down' ends it for all")
        _print_hosts(load_lab(folder))
        return 0
    image = _prepare(tiny_count)
    _tell("starting the hosts")
    lab, process = start_lab(folder.name, image)
    try:
        _tell("starting the guests")
        populate(lab, tiny_count, _tell)
        (folder / "ready").write_text(str(REPO))
        detach(process)
    except BaseException:
        stop_process(process, folder)
        raise
    _print_hosts(lab)
    return 0


def down() -> int:
    """End this user's lab, if one is running."""
    need_root()
    folder = _folder()
    if is_alive(folder):
        stop_lab(folder)
    elif BASE.is_dir():
        sweep()
    return 0


def run_command(command: Sequence[str], tiny_count: int) -> int:
    """Run a command on a lab of its own, with the hosts' URIs added, and return its exit code."""
    words = list(command[1:] if command[:1] == ["--"] else command)
    if not words:
        raise LabError("tell what to run: python -m tests.lab run -- COMMAND...")
    if shutil.which(words[0]) is None:
        raise LabError(f"cannot run {words[0]}: there is no such program")
    image = _prepare(tiny_count)
    _tell("starting the hosts")
    lab, process = start_lab(None, image)
    populating = None
    try:
        populating = _populate_meanwhile(lab, tiny_count)
        for host in lab.hosts:
            words += ["-c", host.uri]
        return _run_for_user(words)
    finally:
        with no_signals():
            if populating is not None:
                if populating.poll():
                    _tell(f"not all guests were started: {(lab.folder / 'populate.log').read_text().strip()}")
                populating.kill()
                populating.wait()
            stop_process(process, lab.folder)


def _populate_meanwhile(lab: Lab, tiny_count: int) -> subprocess.Popen[bytes]:
    """Start the guests from another process, so that the command has the screen at once and nothing waits for them."""
    with (lab.folder / "populate.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.lab", "populate", "--load", str(tiny_count), str(lab.folder)],
            cwd=REPO,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _run_for_user(words: Sequence[str]) -> int:
    """Run the command as whoever called sudo; hand on the signals that end this program."""
    user = pwd.getpwuid(lab_user())
    environment = dict(os.environ) | {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    groups = os.getgrouplist(user.pw_name, user.pw_gid)
    # Should this program be killed, its lab is gone, and so shall be what looked at it.
    bound = ["setpriv", "--pdeathsig", "TERM", "--", *words]
    process = subprocess.Popen(bound, user=user.pw_uid, group=user.pw_gid, extra_groups=groups, env=environment)
    try:
        code = process.wait()
    except Signalled as signalled:
        with no_signals():
            process.send_signal(signalled.number)
            try:
                code = process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
    return code if code >= 0 else 128 - code


def _prepare(tiny_count: int) -> Image:
    check_machine(tiny_count)
    return get_image(cache_folder(), _tell)


def _folder() -> Path:
    return BASE / f"u{lab_user()}"


def _origin(folder: Path) -> str:
    """Return the clone that a lab was started from."""
    return (folder / "ready").read_text() or "another clone"


def _print_hosts(lab: Lab) -> None:
    for host in lab.hosts:
        print(host.name, host.uri, flush=True)


def _tell(message: str) -> None:
    print(f"lab: {message}", file=sys.stderr, flush=True)


def _raise(number: int, _frame: FrameType | None) -> NoReturn:
    raise Signalled(number)


@contextlib.contextmanager
def no_signals() -> Iterator[None]:
    """Let nothing interrupt the cleaning up."""
    before = [signal.signal(number, signal.SIG_IGN) for number in ENDING_SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(ENDING_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=(__doc__ or "").splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True, metavar="up | down | run")
    starting = actions.add_parser("up", help="start a lab in the background and print the URIs of its hosts")
    actions.add_parser("down", help="end the lab that 'up' started")
    running = actions.add_parser("run", help="run a command on a lab of its own, with -c URI added for each host")
    populating = actions.add_parser("populate")  # What `run` calls; no business of the user.
    for action in (starting, running, populating):
        action.add_argument("--load", type=_count, default=0, metavar="N", help="so many idle guests more on h2")
    running.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    populating.add_argument("folder", type=Path)
    return parser


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() else -1
    if not 0 <= count <= 500:
        raise argparse.ArgumentTypeError("choose a number from 0 to 500")
    return count


def end_on_signals() -> None:
    """Have the signals that end a program raise `Signalled`, so that it cleans up."""
    for ending in ENDING_SIGNALS:
        signal.signal(ending, _raise)


if __name__ == "__main__":
    end_on_signals()
    sys.exit(main())
