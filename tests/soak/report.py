"""What a run comes to: the last checks, and the figures."""

from collections import Counter
from math import isnan

from tests.soak.field import Field
from tests.soak.storm import CALM_S, Storm
from tests.soak.vitals import Slope, Vitals, history_mb_per_h, slope
from tests.soak.witness import CALLS, judge_actions

MEMORY_MB_PER_H = 5.0
_WARM_UP_S = 60.0
_MORE_THREADS, _MORE_FILES = 6, 16
"""What may be open at a calm beyond the first third of them: lanes come and go as they are needed."""


def judge(field: Field, storm: Storm, calls: Counter[tuple[str, str]]) -> None:
    """Check what can only be told from the whole run."""
    for wrong in judge_actions(field.written(), calls, field.pressed):
        field.breach(wrong)
    for line in field.log_file.read_text().splitlines():
        if "Traceback" in line or " ERROR " in line:
            field.breach(f"in the log: {line}")
    growth = memory_growth(storm.vitals, [len(field.specs)] * len(field.hosts))
    if growth is not None and growth[0].least - growth[1] > MEMORY_MB_PER_H:
        field.breach(f"memory grows by {growth[0].per_h:.1f} MB/h")
    for what, more in (("threads", _MORE_THREADS), ("files", _MORE_FILES)):
        counts = [getattr(vitals, what) for vitals in storm.vitals]
        usual = max(counts[: max(2, len(counts) // 3)], default=0)
        if counts and counts[-1] > usual + more:
            field.breach(f"{what} grow: {counts}")


def memory_growth(vitals: list[Vitals], vms_per_host: list[int]) -> tuple[Slope, float] | None:
    """Return how memory grows after the warm-up, and how much of that the graphs' own history may be, in MB/h.

    None where the run is too short to tell.
    """
    if not vitals:
        return None
    warm_s = min(_WARM_UP_S, vitals[-1].at_s / 3)
    growth = slope([(each.at_s, each.memory_mb) for each in vitals if each.at_s >= warm_s])
    return None if growth is None else (growth, history_mb_per_h(vms_per_host))


def print_report(field: Field, storm: Storm, seed: int, calls: Counter[tuple[str, str]]) -> None:
    """Say what was done, what was measured, and what did not hold."""
    print(f"\nseed {seed}, {field.elapsed_s / 60:.1f} minutes, {len(storm.vitals)} calms")
    for kind in ("done", "not possible"):
        named = sorted((name, count) for name, count in field.counts.items() if name.startswith(kind))
        print(f"{kind}: " + ", ".join(f"{name.partition(': ')[2]} {count}" for name, count in named if count))
    by_verb = Counter((one.verb, (one.outcomes or ["none"])[-1]) for one in field.written().values())
    print("audit: " + ", ".join(f"{verb} {result} {count}" for (verb, result), count in sorted(by_verb.items())))
    made = {verb: sum(count for (_, name), count in calls.items() if name == call) for verb, call in CALLS.items()}
    print("calls in the daemons' logs: " + ", ".join(f"{verb} {count}" for verb, count in made.items()))
    waits = sorted(wait for wait in storm.calm_after_s if not isnan(wait))
    if waits:
        print(f"right after calm: median {waits[len(waits) // 2]:.1f} s, longest {waits[-1]:.1f} s (limit {CALM_S:g})")
    print(f"the clock stood still for {field.longest_still_s:.1f} s at the longest")
    _print_vitals(field, storm.vitals)
    print(f"{len(field.breaches)} breaches" if field.breaches else "everything held")
    for breach in field.breaches:
        print(f"\n--- {breach.at_s:.1f} s: {breach.what}\n{breach.screen}")


def _print_vitals(field: Field, vitals: list[Vitals]) -> None:
    if not vitals:
        return
    print(f"memory (USS): {', '.join(f'{each.memory_mb:.1f}' for each in vitals)} MB")
    print(f"threads: {', '.join(str(each.threads) for each in vitals)}")
    print(f"files: {', '.join(str(each.files) for each in vitals)}")
    growth = memory_growth(vitals, [len(field.specs)] * len(field.hosts))
    if growth is None:
        print("memory growth: too short a run to tell")
        return
    seen, history = growth
    print(
        f"memory growth after the warm-up: {seen.per_h:+.1f} MB/h (95 %: {seen.least:+.1f} to {seen.most:+.1f}), of "
        f"which the graphs' history is up to {history:.1f} until its ten minutes are full; "
        f"limit {MEMORY_MB_PER_H:g} for the rest"
    )
