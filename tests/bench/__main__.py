"""`python -m tests.bench [NAME...]`: measure, compare with the budgets, exit with 1 where one is exceeded."""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence

from tests.bench import balancing, console, hosts, keys, migration, recording, refresh, scrape, startup
from tests.bench.figures import Figure, Measure, NotMeasured
from tests.bench.program import REPOSITORY

FIGURES = (
    *keys.FIGURES,
    *refresh.FIGURES,
    *startup.FIGURES,
    *hosts.FIGURES,
    *console.FIGURES,
    *migration.FIGURES,
    *balancing.FIGURES,
    *recording.FIGURES,
    *scrape.FIGURES,
)
_REPORT = REPOSITORY / "bench.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 1 when a figure is over its budget or could not be measured, else 0."""
    options = _parser().parse_args(arguments)
    wanted = [figure for figure in FIGURES if not options.names or any(map(figure.name.startswith, options.names))]
    if not wanted:
        print(f"no figure is called {' or '.join(options.names)}; there are:", file=sys.stderr)
        print("\n".join(f"  {figure.name:<24}{figure.how}" for figure in FIGURES), file=sys.stderr)
        return 2
    started_s = time.monotonic()
    values: dict[Measure, Mapping[str, float] | NotMeasured] = {}
    report = []
    for figure in wanted:
        if figure.measure not in values:
            print(f"measuring: {(figure.measure.__doc__ or '').splitlines()[0]}", file=sys.stderr, flush=True)
            try:
                values[figure.measure] = figure.measure(options.rounds)
            except NotMeasured as reason:
                values[figure.measure] = reason
                print(f"  not measured: {_brief(str(reason))}", file=sys.stderr, flush=True)
        report.append(_row(figure, values[figure.measure]))
        print(_line(report[-1]), flush=True)
    took_s = time.monotonic() - started_s
    _REPORT.write_text(json.dumps({"rounds": options.rounds, "seconds": round(took_s), "figures": report}, indent=1))
    print(f"{took_s:.0f} s; also in {_REPORT.name}", file=sys.stderr)
    return int(any(row["verdict"] in ("NOT MET", "NOT MEASURED") for row in report))


def _row(figure: Figure, values: Mapping[str, float] | NotMeasured) -> dict[str, object]:
    row: dict[str, object] = {
        "name": figure.name,
        "value": None,
        "unit": figure.unit,
        "budget": figure.budget,
        "verdict": "",
        "how": figure.how,
    }
    if isinstance(values, NotMeasured):
        return {**row, "verdict": "NOT MEASURED", "reason": str(values)}
    value = values[figure.name]
    if figure.budget is not None:
        row["verdict"] = "met" if value <= figure.budget else "NOT MET"
    return {**row, "value": value}


def _line(row: Mapping[str, object]) -> str:
    value, budget = (_number(row[name]) for name in ("value", "budget"))
    return f"{row['name']:<28}{value:>9} {row['unit']:<3}{budget:>9}  {row['verdict']:<13}{row['how']}"


def _brief(reason: str) -> str:
    """Return the first line of a reason, and the last of the screen that follows it."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    return " … ".join(dict.fromkeys((lines[0], lines[-1])))


def _number(value: object) -> str:
    if not isinstance(value, int | float):
        return "–"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="measure only figures whose name begins like this")
    parser.add_argument("--rounds", type=_rounds, default=3, metavar="N", help="how often (default 3)")
    return parser


def _rounds(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError("choose a number from 1 to 100")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
