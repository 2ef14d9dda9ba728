"""The arguments of `kvmtui top` and `kvmtui export`."""

import argparse
from collections.abc import Callable
from typing import TypeVar

from kvmtui.config import ConfigError
from kvmtui.model.filter import FilterError, parse_filter
from kvmtui.model.order import SORT_KEYS
from kvmtui.report.listen import PORT, Address, parse_listen

T = TypeVar("T")

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


def add_top(parser: argparse.ArgumentParser) -> None:
    """Add what only `kvmtui top` takes."""
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
        type=_read(lambda text: parse_filter(text, finished=True)),
        help='only these VMs, as / on the dashboard: "web !old host=h1 cpu>50"',
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON lines: an object for each host and VM")
    form.add_argument("--csv", action="store_true", help="print the same as CSV, with a header")


def add_export(parser: argparse.ArgumentParser) -> None:
    """Add what only `kvmtui export` takes."""
    parser.add_argument(
        "--prometheus", action="store_true", required=True, help="serve OpenMetrics for Prometheus to fetch"
    )
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        type=_read(parse_listen),
        default=Address("127.0.0.1", PORT),
        help=f"where: 127.0.0.1:{PORT} (default), [::1]:{PORT}, or :{PORT} for all addresses; who reaches it may read",
    )


def _looks(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of looks, 1 or more")
    return int(text)


def _read(parse: Callable[[str], T]) -> Callable[[str], T]:
    def read(text: str) -> T:
        try:
            return parse(text)
        except (ConfigError, FilterError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read
