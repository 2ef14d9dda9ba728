"""`python -m tests.soak [--minutes N] [--seed S]`: the storm over the real program on real hosts."""

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import libvirt

from tests.lab.__main__ import Signalled, end_on_signals, no_signals
from tests.lab.image import cache_folder, get_image
from tests.lab.lab import check_machine, start_lab, stop_process
from tests.lab.tools import LabError
from tests.soak.deeds import warm_up
from tests.soak.field import COLUMNS, ROWS, Field, ProgramEnded, furnish
from tests.soak.report import judge, print_report
from tests.soak.storm import Storm
from tests.soak.witness import called
from tests.terminal import Terminal

REAL = ("alpha", "bravo", "carol", "delta", "ember", "flint")
STILL = ("quiet1", "quiet2", "quiet3", "quiet4")
_END_S = 100.0
"""How long actions may take to be answered in the end: the longest deadline there is, and some."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when all held, 1 where something did not, 2 where the lab could not be had."""
    options = _parser().parse_args(arguments)
    libvirt.registerErrorHandler(lambda *_: None, None)
    try:
        return _soak(options.minutes * 60, options.seed, options.log)
    except LabError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    except Signalled as signalled:
        return 128 + signalled.number


def _soak(seconds: float, seed: int, kept_log: Path | None) -> int:
    check_machine(len(STILL))
    image = get_image(cache_folder(), _say)
    _say(f"seed {seed}, {seconds / 60:g} minutes")
    lab, process = start_lab(None, image)
    try:
        with tempfile.TemporaryDirectory(prefix="kvmtui-soak-") as folder:
            home = Path(folder)
            specs = furnish(lab, REAL, STILL)
            log = kept_log or home / "kvmtui.log"
            arguments = [word for host in lab.hosts for word in ("-c", host.uri)]
            variables = {"XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder, "XDG_CACHE_HOME": folder}
            with Terminal([*arguments, "--log", str(log)], columns=COLUMNS, rows=ROWS, variables=variables) as terminal:
                field = Field(lab, terminal, specs, REAL, home / "kvmtui/audit.jsonl", log)
                storm = Storm(field, seed)
                try:
                    for name in specs:
                        terminal.see(name, seconds=60)
                    _say("warming up")
                    warm_up(field)
                    field.began_s = time.monotonic()
                    storm.run(seconds)
                    field.until(lambda: all(one.outcomes for one in field.written().values()), _END_S)
                except ProgramEnded:
                    field.breach("the program has ended by itself")
                finally:
                    # Whatever is stopped would not end with the lab as quickly.
                    field.mend(everything=True)
                    field.hands.shutdown(wait=False, cancel_futures=True)
                calls = sum((called(host) for host in lab.hosts), Counter[tuple[str, str]]())
                judge(field, storm, calls)
                print_report(field, storm, seed, calls)
                return 1 if field.breaches else 0
    finally:
        with no_signals():
            stop_process(process, lab.folder)


def _say(text: str) -> None:
    print(f"soak: {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").strip())
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the storm lasts (default 10)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 20), help="what is thrown")
    parser.add_argument("--log", type=Path, help="keep the program's log in this file")
    return parser


if __name__ == "__main__":
    end_on_signals()
    sys.exit(main())
