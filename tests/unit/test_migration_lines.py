"""The lines of the screen of moves."""

from dataclasses import replace

import pytest

from kvmtui.model.fleet import Fleet
from kvmtui.model.migration import Migration, Phase, Steer
from kvmtui.model.migration_progress import Progress, Verdict
from kvmtui.model.vm import Job
from kvmtui.ui.acting import migration_words
from kvmtui.ui.glyphs import ASCII, UNICODE, Glyphs
from kvmtui.ui.moves import Moves, Trace, ident
from kvmtui.ui.paint import Run, runs_width
from kvmtui.ui.steering import next_downtime_ms, possible, question
from kvmtui.ui.widgets.detail_lines import job_runs
from kvmtui.ui.widgets.migration_detail import MoveDetail, detail_lines
from kvmtui.ui.widgets.migration_lines import header_runs, lay_out, progress_bar, row_runs, span
from tests.ui.played_moves import MIB, ended_with_repair, not_converging, running


def host_name(key: str) -> str:
    return key.removeprefix("demo://")


def text(runs: list[Run]) -> str:
    return "".join(piece for piece, _ in runs)


QUEUED = running("db2", 0.0, phase=Phase.QUEUED, job=None, progress=None, steers=frozenset({Steer.ABORT}))
DONE = running("mail", 0.0, phase=Phase.DONE, ended_at_s=200.0, steers=frozenset())
STOPPED = running("web1", 0.0, progress=Progress(Verdict.EARLY, 0.6, eta_s=18.0))
ALL = (running("web1", 0.0), not_converging("cache1", 0.0), QUEUED, ended_with_repair("db1", 0.0), DONE)


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_every_row_is_as_wide_as_the_screen(width: int, glyphs: Glyphs) -> None:
    long = running("a-name-that-is-much-longer-than-its-column", 0.0)
    layout = lay_out((*ALL, long), host_name, width, glyphs)
    for move in (*ALL, long):
        runs = row_runs(move, layout, host_name, 42.0, glyphs, cursor=True, calls=True)
        assert runs_width(runs) == width
        assert glyphs is UNICODE or text(runs).isascii()
    assert text(header_runs(layout, glyphs)).split()[0] == "VM"


@pytest.mark.parametrize(
    ("width", "row"),
    [
        (80, "failed: the daemon …; the guest runs at h1 and is not at h2"),
        (120, "failed: the daemon of h2 went away; the guest runs at h1 and is not at h2"),
    ],
)
def test_of_an_end_the_row_tells_where_the_vm_is(width: int, row: str) -> None:
    message = "the daemon of h2 went away; the guest runs at h1 and is not at h2"
    moves = [replace(ended_with_repair("db1", 0.0), message=message), running("web1", 0.0)]
    layout = lay_out(moves, host_name, width, UNICODE)
    line = text(row_runs(moves[0], layout, host_name, 42.0, UNICODE, cursor=False, calls=False))
    assert row in line, line


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (running("web1", 0.0), ("web1", "h1 → h2", "60 %", "~18 s", "converging")),
        (not_converging("cache1", 0.0), ("cache1", "41 %", "will not converge at this rate")),
        (QUEUED, ("db2", "waiting its turn")),
        (DONE, ("mail", "migrated in 3m 20s")),
        (ended_with_repair("db1", 0.0), ("db1", "failed: the daemon of h2 went away; the guest runs at h1")),
        (replace(STOPPED, paused_at_s=30.0), ("web1", "60 %", "guest paused for 12 s")),
        (replace(STOPPED, paused_at_s=30.0, adopted=True), ("guest paused for at least 12 s",)),
        (replace(STOPPED, paused_at_s=30.0, progress=Progress(Verdict.STALLED)), ("nothing is being sent",)),
        (
            replace(QUEUED, phase=Phase.UNKNOWN, message="h2 does not answer"),
            ("is not known: h2 does not",),
        ),
    ],
)
def test_a_row_says_how_a_move_stands(move: Migration, words: tuple[str, ...]) -> None:
    line = text(
        row_runs(move, lay_out([move], host_name, 120, UNICODE), host_name, 42.0, UNICODE, cursor=False, calls=False)
    )
    assert all(word in line for word in words), line


def test_a_bar_that_fell_back_shows_what_was_lost() -> None:
    fallen = Progress(Verdict.NOT_CONVERGING, 0.6, 0.4)
    assert text(progress_bar(fallen, 10, UNICODE)) == "━━━━╍╍────"
    assert text(progress_bar(fallen, 10, ASCII)) == "####==...."
    assert text(progress_bar(Progress(Verdict.CONVERGING, 0.6), 10, UNICODE)) == "━━━━━━────"
    assert text(progress_bar(None, 10, UNICODE)) == "──────────"


def detail(move: Migration, width: int = 100, height: int = 30, trace: Trace | None = None) -> str:
    lines = detail_lines(MoveDetail(move, trace or Trace(), None, host_name, 42.0, UNICODE), width, height)
    assert len(lines) <= height
    assert all(runs_width(line) == width for line in lines)
    return "\n".join(text(line).rstrip() for line in lines)


def test_a_move_in_detail() -> None:
    shown = detail(not_converging("cache1", 0.0))
    assert "will not converge at this rate: dirties 121 MiB/s, sends 80" in shown
    assert "it had reached 62 % and fell back to 41 %" in shown
    assert "would stand still 29.6 s, 300 ms allowed" in shown
    assert "guest slowed by 40 %" in shown
    assert "virsh -c demo://h1 migrate cache1 demo://h2 --live" in shown
    sent, dirtied = (next(line for line in shown.splitlines() if line.startswith(word)) for word in ("sent", "dirtied"))
    assert 0 < sent.count("━") < dirtied.count("━"), "both on one scale"


def test_of_a_guest_that_stands_still_the_verdict_says_so() -> None:
    said = detail(replace(STOPPED, paused_at_s=30.0))
    assert "guest paused for 12 s: it goes on at h2 when the rest is there" in said
    assert "too early" not in said


def test_rates_over_time_where_there_is_room() -> None:
    trace = Trace()
    for _ in range(60):
        trace.sent.append(80.0 * MIB)
        trace.dirtied.append(120.0 * MIB)
    assert "⣿" in detail(not_converging("cache1", 0.0), trace=trace)
    assert "⣿" not in detail(not_converging("cache1", 0.0), height=12, trace=trace)


def test_in_ascii_nothing_else_is_drawn() -> None:
    for move in ALL:
        lines = detail_lines(MoveDetail(move, Trace(), None, host_name, 42.0, ASCII), 100, 30)
        assert all(text(line).isascii() for line in lines)


def test_unknown_figures_are_dashes() -> None:
    move = running("web1", 0.0)
    assert move.job is not None
    bare = replace(move, job=replace(move.job, bytes_per_s=None, dirty_bytes_per_s=None, expected_downtime_s=None))
    shown = detail(replace(bare, progress=Progress(Verdict.EARLY)))
    assert next(line for line in shown.splitlines() if line.startswith("sent")).split()[1] == "–"
    assert "would stand still" not in shown
    assert "time left not known" in shown


def test_memory_whose_turn_has_not_come_is_not_told_as_nothing() -> None:
    move = running("db1", 0.0)
    assert move.job is not None
    job = replace(move.job, memory_total_bytes=0, memory_remaining_bytes=0)
    job = replace(job, disk_total_bytes=64 * MIB, disk_remaining_bytes=48 * MIB)
    shown = next(line for line in detail(replace(move, job=job)).splitlines() if line.startswith("memory left"))
    assert shown.split()[2] == shown.split()[-1] == "–"


def test_the_table_foresees_the_end_that_the_moves_do() -> None:
    job = Job("migration", total_bytes=100 * MIB, remaining_bytes=50 * MIB, bytes_per_s=10.0 * MIB)
    assert "about 5 s left" in text(job_runs(job, 100, UNICODE))
    followed = replace(job, done_fraction=0.5, eta_s=42.0)
    assert "about 42 s left" in text(job_runs(followed, 100, UNICODE))
    assert "left" not in text(job_runs(replace(followed, eta_s=None), 100, UNICODE))


def test_what_can_be_repaired_is_numbered_with_consequence_and_command() -> None:
    shown = detail(ended_with_repair("db1", 0.0))
    assert "1  delete the unfinished disk copies at the destination" in shown
    assert "was not there before the migration" in shown
    assert "virsh -c demo://h2 vol-delete" in shown


def test_an_end_says_what_was_proven_and_no_more() -> None:
    assert "both hosts were asked: h2 has it, h1 does not run it" in detail(DONE)
    assert "both hosts were asked: h1 has it, h2 does not run it" in detail(replace(DONE, phase=Phase.CANCELLED))
    assert "both hosts" not in detail(replace(DONE, message="it is paused there"))
    assert "both hosts were asked" not in detail(replace(DONE, phase=Phase.UNKNOWN))


def test_an_end_names_the_old_copies_of_disks() -> None:
    shown = detail(replace(DONE, left_behind=("/images/mail.qcow2",)))
    assert "the old copy of its disk was left at h1: /images/mail.qcow2" in shown
    assert "both hosts were asked: h2 has it, h1 does not run it" in shown
    text, _ = migration_words(replace(DONE, left_behind=("/a", "/b")), Fleet())
    assert text.endswith("does not run it; the old copies of its disks were left at demo://h1: /a, /b")


def test_nothing_is_offered_while_a_side_is_unknown() -> None:
    assert "look at both hosts" in detail(replace(DONE, phase=Phase.UNKNOWN, message="h2 does not answer"))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "–"), (41.9, "41 s"), (60, "1m 00s"), (200, "3m 20s"), (7300, "2 h")],
)
def test_spans(seconds: float | None, words: str) -> None:
    assert span(seconds) == words


# Steering


def test_downtime_grows_in_steps() -> None:
    steps: list[int | None] = [None]
    while (longer := next_downtime_ms(steps[-1])) is not None:
        steps.append(longer)
    assert steps[:4] == [None, 400, 500, 750]
    assert steps[-1] == 30_000
    assert next_downtime_ms(450) == 500
    assert next_downtime_ms(100) == 200


def test_only_what_is_possible_has_a_key() -> None:
    assert [key.key for key in possible(QUEUED)] == ["X"]
    assert [key.key for key in possible(not_converging("web1", 0.0))] == ["d", "D", "b", "o", "p", "X"]
    assert possible(DONE) == []


@pytest.mark.parametrize(
    ("steer", "words"),
    [
        (Steer.ABORT, "goes on at h1"),
        (Steer.POST_COPY, "no way back"),
        (Steer.PAUSE_GUEST, "stands still while the rest is sent: 1.6 G, about 14 s"),
    ],
)
def test_what_hurts_asks_first_and_names_vm_and_hosts(steer: Steer, words: str) -> None:
    asked = question(running("web1", 0.0), steer, host_name)
    assert asked is not None
    assert all(word in asked.text for word in ("web1", "h1", "h2"))
    assert words in asked.consequence
    assert question(running("web1", 0.0), Steer.DOWNTIME, host_name) is None


def test_an_abort_promises_no_more_than_happens_to_copies_of_disks() -> None:
    move = running("web1", 0.0)
    assert move.job is not None
    copying = replace(move, job=replace(move.job, disk_total_bytes=MIB))
    texts = [question(one, Steer.ABORT, host_name) for one in (move, copying, replace(copying, adopted=True))]
    said = [text.consequence for text in texts if text is not None]
    assert said[0] == "The guest goes on at h1."
    assert "Unfinished copies of its disks stay at h2 until they are deleted; that is offered afterwards" in said[1]
    assert said[2].endswith("stay at h2 until they are deleted.")


def test_the_title_has_the_present_limit() -> None:
    move = running("web1", 0.0, bandwidth_mib_per_s=50)
    detail = MoveDetail(move, Trace(), None, host_name, 60.0, UNICODE)
    assert "50 MiB/s" in "".join(text for text, _ in detail_lines(detail, 120, 20)[0])


# What is remembered


def test_moves_that_ended_badly_call_until_somebody_looked() -> None:
    bad = ended_with_repair("db1", 0.0)
    moves = Moves(lambda: (*ALL[:3], bad, DONE))
    assert (moves.under_way, moves.calling) == (3, 1)
    moves.look_at(bad)
    assert moves.calling == 0
    assert Moves(lambda: (replace(DONE, phase=Phase.UNKNOWN),)).calling == 1


def test_the_same_news_is_told_once_and_figures_are_kept_once() -> None:
    move = running("web1", 0.0, message="trying managed by kvmtui")
    moves = Moves(lambda: (move,))
    assert moves.take(move)
    assert not moves.take(move)
    assert list(moves.trace(move).sent) == [112.0 * MIB]
    assert move.job is not None
    moves.take(replace(move, job=replace(move.job, elapsed_s=43.0, bytes_per_s=None)))
    assert list(moves.trace(move).sent) == [112.0 * MIB, None]


def test_what_is_gone_from_the_list_is_forgotten() -> None:
    shown = [running("web1", 0.0)]
    moves = Moves(lambda: shown)
    moves.take(shown[0])
    moves.asked_ms[ident(shown[0])] = 500
    shown[0] = running("web2", 5.0)
    moves.take(shown[0])
    assert not moves.asked_ms
    assert set(moves._traces) == {ident(shown[0])}


def test_a_vm_is_on_its_way_at_both_hosts() -> None:
    move = running("web1", 0.0)
    moves = Moves(lambda: (move, DONE))
    key = move.request.key
    assert moves.of(key) is move
    assert moves.of(key._replace(host=move.request.destination)) is move
    assert moves.of(key._replace(host="demo://h3")) is None
    assert moves.of(DONE.request.key) is None
