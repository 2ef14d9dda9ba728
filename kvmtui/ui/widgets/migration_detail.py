"""One move in detail as runs of text: its rates on one scale, its verdict, what can be repaired. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from textwrap import wrap

from kvmtui.model.format import UNKNOWN, percent, rate, size
from kvmtui.model.migration import Migration, Phase
from kvmtui.model.migration_progress import Verdict
from kvmtui.model.vm import Job
from kvmtui.ui.acting import left_words, proven
from kvmtui.ui.glyphs import Glyphs
from kvmtui.ui.move_options import in_a_line
from kvmtui.ui.moves import Trace
from kvmtui.ui.paint import Run, Tone, fit, fit_runs
from kvmtui.ui.steering import DEFAULT_DOWNTIME_MS
from kvmtui.ui.widgets.graph import area, columns_per_cell, meter, nice_maximum
from kvmtui.ui.widgets.migration_lines import HostName, route, span, standing, stands_still_s

_LABEL, _FIGURE = 11, 9
_GRAPH_LEAST, _GRAPH_MOST = 3, 12
Line = list[Run]


@dataclass(frozen=True, slots=True)
class MoveDetail:
    """What the lines are drawn from."""

    move: Migration
    trace: Trace
    asked_ms: int | None
    """The downtime that was asked for on the way."""
    host_name: HostName
    now_s: float
    glyphs: Glyphs


def detail_lines(detail: MoveDetail, width: int, height: int) -> list[Line]:
    """Return at most `height` lines about one move, the virsh line last."""
    move = detail.move
    head = [_title(detail), *_verdict(detail, width)]
    body = _repairs(detail, width) if move.phase.ended else _figures(detail, width)
    command = [[(line, Tone.MUTED)] for line in wrap(move.command, width, break_on_hyphens=False)]
    room = height - len(head) - len(body) - len(command) - 2
    graphs = _graphs(detail, width, room - 1) if not move.phase.ended else []
    lines: list[Line] = [*head, [], *body]
    lines += [[], *graphs] if graphs else []
    lines += [[], *command] if len(lines) + 1 + len(command) <= height else []
    glyphs = detail.glyphs
    known = [[(text.replace(UNKNOWN, glyphs.unknown), tone) for text, tone in line] for line in lines[:height]]
    return [fit_runs(line, width, glyphs.ellipsis) for line in known]


def _title(detail: MoveDetail) -> Line:
    move, dot = detail.move, detail.glyphs.dot
    end_s = move.ended_at_s if move.phase.ended and move.ended_at_s is not None else detail.now_s
    spent = "" if move.phase is Phase.QUEUED else span(end_s - move.started_at_s)
    facts = [route(move, detail.host_name, detail.glyphs), spent]
    if move.adopted:
        facts.append("begun elsewhere: its options are not known")
    else:
        facts += ["peer to peer" if move.peer_to_peer else "managed by kvmtui"]
        options = replace(move.request.options, peer_to_peer=None, bandwidth_mib_per_s=move.bandwidth_mib_per_s)
        facts += in_a_line(options, "no disks to copy" if move.diskless and not options.offline else "").split(" · ")
    if move.adopted and move.bandwidth_mib_per_s:
        facts.append(f"{move.bandwidth_mib_per_s} MiB/s")
    text = f"  {dot}  ".join(filter(None, facts))
    return [(f"{move.request.vm_name}  ", Tone.SORTED), (text, Tone.MUTED)]


def _verdict(detail: MoveDetail, width: int) -> list[Line]:
    """Return the sentence that says how it stands, and what else it tells."""
    move = detail.move
    stands, tone = standing(move, detail.now_s)
    said = [stands]
    progress = move.progress
    if move.phase is Phase.RUNNING and progress is not None:
        if stands_still_s(move, detail.now_s) is not None:
            said = [f"{stands}: it goes on at {detail.host_name(move.request.destination)} when the rest is there"]
        elif progress.why:
            said = [f"{stands}: {progress.why}"]
        if progress.fallen_to is not None:
            said.append(f"it had reached {percent(progress.fraction)} and fell back to {percent(progress.fallen_to)}")
    if shown := proven(move, detail.host_name):
        said.append(f"both hosts were asked: {shown}")
    if move.message and move.message not in stands:
        said.append(move.message)
    if left := left_words(move, detail.host_name):
        said.append(left)
    lines: list[Line] = []
    for number, sentence in enumerate(said):
        lines += [[(line, tone if not number else Tone.TEXT)] for line in wrap(sentence, width)[:3]]
    return lines


def _repairs(detail: MoveDetail, width: int) -> list[Line]:
    """Return what can be done about how it ended."""
    lines: list[Line] = []
    for number, repair in enumerate(detail.move.repairs, 1):
        lines.append([(f"{number}  ", Tone.SORTED), (repair.kind.value, Tone.TEXT)])
        lines += [[(f"   {line}", Tone.TEXT)] for line in wrap(repair.consequence, max(20, width - 3))]
        command = wrap(repair.command, max(20, width - 3), break_on_hyphens=False)
        lines += [[(f"   {line}", Tone.MUTED)] for line in command]
    if lines:
        lines.insert(0, [("What can be done about it:", Tone.TITLE)])
    elif detail.move.phase is Phase.UNKNOWN:
        lines.append([("Nothing is offered while a side is unknown: look at both hosts.", Tone.TEXT)])
    return lines


def _figures(detail: MoveDetail, width: int) -> list[Line]:
    job = detail.move.job
    if job is None:
        return []
    memory = (job.memory_total_bytes, job.memory_remaining_bytes)
    lines = []
    if memory == (None, None):
        lines.append(_left("data left", job.total_bytes, job.remaining_bytes, width, detail.glyphs))
    else:
        # Until the turn of the memory comes, after the disks, libvirt tells 0 of it.
        told = memory if memory[0] else (None, None)
        lines.append(_left("memory left", *told, width, detail.glyphs))
    if job.disk_total_bytes:
        lines.append(_left("disks left", job.disk_total_bytes, job.disk_remaining_bytes, width, detail.glyphs))
    lines += _rates(detail, job, width)
    return [*lines, _facts(detail, job)]


def _left(label: str, total: int | None, remaining: int | None, width: int, glyphs: Glyphs) -> Line:
    share = None if not total or remaining is None else remaining / total
    full, empty = meter(share, _bar_width(width), glyphs)
    return [
        (f"{label:<{_LABEL}}", Tone.MUTED),
        (f"{size(remaining)!s:>{_FIGURE}}  ", Tone.TEXT),
        (full, Tone.BUSY),
        (empty, Tone.MUTED),
        (f"  of {size(total)}", Tone.MUTED),
    ]


def _rates(detail: MoveDetail, job: Job, width: int) -> list[Line]:
    """Return what is sent above what the guest writes, on one scale."""
    sent, dirtied = job.bytes_per_s, job.dirty_bytes_per_s
    maximum = _scale(detail.trace, job)
    losing = detail.move.progress is not None and detail.move.progress.verdict is Verdict.NOT_CONVERGING
    lines: list[Line] = []
    for label, value, tone in (("sent", sent, Tone.GRAPH), ("dirtied", dirtied, Tone.GRAPH2)):
        full, empty = meter(None if value is None else value / maximum, _bar_width(width), detail.glyphs)
        figure = Tone.WARNING if losing and label != "sent" else Tone.TEXT
        lines.append(
            [
                (f"{label:<{_LABEL}}", Tone.MUTED),
                (f"{rate(value)!s:>{_FIGURE}}  ", figure),
                (full, tone),
                (empty, Tone.MUTED),
                (f"  of {rate(maximum)}" if label == "sent" else "", Tone.MUTED),
            ]
        )
    return lines


def _facts(detail: MoveDetail, job: Job) -> Line:
    move = detail.move
    facts: Line = []
    if job.iteration is not None:
        facts.append((f"round {job.iteration}", Tone.TEXT))
    # Before it is known what the guest writes, QEMU tells what it is allowed for what it expects.
    if job.expected_downtime_s is not None and job.dirty_bytes_per_s is not None:
        allowed = detail.asked_ms or move.request.options.downtime_ms
        if allowed is None and not move.adopted:
            allowed = DEFAULT_DOWNTIME_MS
        # Whether libvirt took it, the move's own message says.
        verb = "asked for" if detail.asked_ms else "allowed"
        long = allowed is not None and job.expected_downtime_s * 1000 > allowed
        text = f"would stand still {_moment(job.expected_downtime_s)}"
        of = "" if allowed is None else f", {_moment(allowed / 1000)} {verb}"
        facts.append((text + of, Tone.WARNING if long else Tone.TEXT))
    if job.throttle_fraction:
        facts.append((f"guest slowed by {percent(job.throttle_fraction)}", Tone.WARNING))
    if job.post_copy_requests is not None and (
        move.progress is not None and move.progress.verdict is Verdict.POST_COPY
    ):
        facts.append((f"{job.post_copy_requests} page requests", Tone.TEXT))
    eta = move.progress.eta_s if move.progress else None
    facts.append((f"about {span(eta)} left" if eta is not None else "time left not known", Tone.TEXT))
    line: Line = []
    for fact in facts:
        line += [(f"  {detail.glyphs.dot}  ", Tone.MUTED)] if line else []
        line.append(fact)
    return line


def _graphs(detail: MoveDetail, width: int, height: int) -> list[Line]:
    """Return both rates over time side by side on one scale, where there is room for it."""
    glyphs, trace = detail.glyphs, detail.trace
    if height < _GRAPH_LEAST or not glyphs.graphs or len(trace.sent) < 2:
        return []
    rows = min(height, _GRAPH_MOST) - 1
    half = (width - 3) // 2
    maximum = _scale(trace, detail.move.job)
    values = half * columns_per_cell(glyphs)
    sides = [
        (f"sent, scale {rate(maximum)}", list(trace.sent)[-values:]),
        (f"dirtied, scale {rate(maximum)}", list(trace.dirtied)[-values:]),
    ]
    titles = [fit(title, half + 3, glyphs.ellipsis) for title, _ in sides]
    lines: list[Line] = [[("".join(titles).rstrip(), Tone.MUTED)]]
    areas = [area(series, half, rows, maximum, glyphs) for _, series in sides]
    for left, right in zip(*areas, strict=True):
        lines.append([(left, Tone.GRAPH), ("   ", Tone.TEXT), (right, Tone.GRAPH2)])
    return lines


def _scale(trace: Trace, job: Job | None) -> float:
    """Return the maximum that both rates are drawn to."""
    now: Sequence[float | None] = () if job is None else (job.bytes_per_s, job.dirty_bytes_per_s)
    return nice_maximum(max((value for value in (*trace.sent, *trace.dirtied, *now) if value), default=0.0))


def _bar_width(width: int) -> int:
    return max(8, min(60, width - _LABEL - _FIGURE - 2 - 20))


def _moment(seconds: float | None) -> str:
    """Return a short time span: "300 ms", "1.4 s"."""
    if seconds is None:
        return UNKNOWN
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s" if seconds < 60 else span(seconds)
