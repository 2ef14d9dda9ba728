"""A bar that says when it falls back, a time that is left, and verdicts that have their evidence."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kvmtui.hypervisor.guest import job_of
from kvmtui.model.migration_progress import Progress, ProgressTracker, Verdict
from kvmtui.model.vm import Job

MIB = 1024**2


def job(
    left: int, *, sent: int = 0, rate: float = 100, dirty: float | None = None, number: int = 1, total: int = 1000
) -> Job:
    """Return memory figures in MiB."""
    return Job(
        "migration",
        total_bytes=total * MIB,
        remaining_bytes=left * MIB,
        bytes_per_s=rate * MIB,
        iteration=number,
        memory_total_bytes=total * MIB,
        memory_remaining_bytes=left * MIB,
        dirty_bytes_per_s=None if dirty is None else dirty * MIB,
        sent_bytes=sent * MIB,
    )


def follow(jobs: Sequence[Job], step_s: float = 1.0, tracker: ProgressTracker | None = None) -> list[Progress]:
    tracker = tracker or ProgressTracker()
    return [tracker.take(one, 100 + step_s * number) for number, one in enumerate(jobs)]


def test_the_bar_is_the_most_that_was_reached_and_says_when_it_falls() -> None:
    seen = follow([job(600), job(100), job(400, dirty=10, number=2), job(99, dirty=10, number=2)])
    assert [one.fraction for one in seen] == pytest.approx([0.4, 0.9, 0.9, 0.901])
    assert [one.fallen_to for one in seen] == [None, None, pytest.approx(0.6), None]


def test_memory_counts_while_only_disks_are_sent() -> None:
    disks = Job("migration", total_bytes=300 * MIB, remaining_bytes=0, disk_total_bytes=300 * MIB, memory_total_bytes=0)
    assert follow([disks], tracker=ProgressTracker(100 * MIB))[0].fraction == pytest.approx(0.75)
    both = Job(
        "migration",
        disk_total_bytes=300 * MIB,
        disk_remaining_bytes=0,
        memory_total_bytes=100 * MIB,
        memory_remaining_bytes=50 * MIB,
    )
    assert follow([both])[0].fraction == pytest.approx(0.875)


@pytest.mark.parametrize(
    ("figures", "eta_s"),
    [
        (job(500), 5),
        (job(500, dirty=50, number=2), 10),
        (job(500, dirty=100, number=2), None),
        (job(500, dirty=120, number=2), None),
        (job(500, rate=0), None),
        (Job("migration"), None),
    ],
)
def test_the_time_that_is_left(figures: Job, eta_s: float | None) -> None:
    assert follow([figures])[0].eta_s == (None if eta_s is None else pytest.approx(eta_s))


@pytest.mark.parametrize(
    ("figures", "verdict"),
    [
        (job(500), Verdict.EARLY),
        (job(500, dirty=20, number=2), Verdict.CONVERGING),
        (job(500, dirty=200, number=2), Verdict.EARLY),
        (job(0, number=2, dirty=20), Verdict.SWITCHING),
        (Job("migration", post_copy_requests=3), Verdict.POST_COPY),
        (Job("migration", post_copy_requests=0), Verdict.EARLY),
    ],
)
def test_what_one_look_can_say(figures: Job, verdict: Verdict) -> None:
    assert follow([figures])[0].verdict is verdict


def test_that_it_will_not_converge_is_said_after_some_seconds_of_it() -> None:
    seen = follow([job(500, sent=number, dirty=120, number=2 + number) for number in range(8)])
    assert [one.verdict for one in seen] == [Verdict.EARLY] * 5 + [Verdict.NOT_CONVERGING] * 3
    assert seen[-1].why == "dirties 120 MiB/s, sends 100 MiB/s"


def test_one_better_look_takes_it_back() -> None:
    bad = [job(500, sent=number, dirty=120, number=2) for number in range(7)]
    seen = follow([*bad, job(400, sent=9, dirty=80, number=3), job(500, sent=10, dirty=120, number=4)])
    assert [one.verdict for one in seen[-3:]] == [Verdict.NOT_CONVERGING, Verdict.CONVERGING, Verdict.EARLY]


def test_what_fits_into_the_downtime_converges_however_much_is_written() -> None:
    figures = [job(40, sent=number, dirty=120, number=2) for number in range(8)]
    tracker = ProgressTracker()
    seen = [tracker.take(one, number, downtime_s=0.5) for number, one in enumerate(figures)]
    assert {one.verdict for one in seen} == {Verdict.CONVERGING}


def test_what_stands_still_for_a_while_is_stalled() -> None:
    seen = follow([job(500, sent=7)] * 13)
    assert [one.verdict for one in seen] == [Verdict.EARLY] * 10 + [Verdict.STALLED] * 3
    assert seen[-1].eta_s is None
    assert "12 s" in seen[-1].why


def disks(sent: int, total: int = 1000, rate: float | None = None) -> Job:
    """Return figures in MiB of disks that are copied, before the memory's turn."""
    return Job(
        "migration",
        total_bytes=total * MIB,
        remaining_bytes=(total - sent) * MIB,
        bytes_per_s=rate,
        memory_total_bytes=0,
        disk_total_bytes=total * MIB,
        disk_remaining_bytes=(total - sent) * MIB,
        sent_bytes=sent * MIB,
    )


def test_disks_that_are_told_of_in_steps_do_not_stall_between_them() -> None:
    # 1 MiB/s in steps of 32 MiB.
    seen = follow([disks(32 * (second // 32)) for second in range(200)])
    assert Verdict.STALLED not in {one.verdict for one in seen}
    stuck = follow([disks(32)] * 90)
    assert stuck[-1].verdict is Verdict.STALLED
    assert [one.verdict for one in stuck].index(Verdict.STALLED) == 75


def test_what_is_sent_of_disks_is_reckoned_from_how_it_grows() -> None:
    seen = follow([disks(32 * (second // 32), rate=0.0) for second in range(200)])
    assert seen[20].sent_per_s is None
    assert {round((one.sent_per_s or 0) / MIB, 2) for one in seen[64:]} == {1.0}
    # Who comes later sees the same: how old the first amount is that is told is not known.
    later = follow([disks(32 * (second // 32)) for second in range(20, 200)])
    assert later[30].sent_per_s is None
    assert {round((one.sent_per_s or 0) / MIB, 2) for one in later[64:]} == {1.0}
    stuck = follow([*(disks(32 * (second // 32)) for second in range(100)), *[disks(96)] * 100])
    assert (stuck[-1].sent_per_s or 0) < 0.6 * MIB
    # Of the memory the hypervisor tells it.
    assert follow([disks(32), job(500, rate=80)])[-1].sent_per_s == 80 * MIB


def test_no_time_is_foreseen_where_the_memory_has_another_limit_than_the_disks() -> None:
    tracker = ProgressTracker(300 * MIB)
    follow([disks(10 * second) for second in range(20)], tracker=tracker)
    seen = tracker.take(disks(200), 120)
    assert (seen.total_bytes, seen.remaining_bytes) == (1300 * MIB, 1100 * MIB)
    assert seen.eta_s == pytest.approx(110)
    assert tracker.take(disks(210), 121, one_limit=False).eta_s is None
    assert tracker.take(job(500), 122, one_limit=False).eta_s == pytest.approx(5)


def test_two_looks_at_one_moment_tell_of_no_rate() -> None:
    assert [one.sent_per_s for one in follow([disks(0), disks(100)], step_s=0)] == [None, None]


def test_post_copy_stalls_too() -> None:
    seen = follow([replace(job(500, sent=7), post_copy_requests=3)] * 12)
    assert [one.verdict for one in seen] == [Verdict.POST_COPY] * 10 + [Verdict.STALLED] * 2


def test_a_guest_that_writes_what_was_sent_is_not_stalled() -> None:
    seen = follow([job(500, sent=number, dirty=20, number=2) for number in range(20)])
    assert Verdict.STALLED not in {one.verdict for one in seen}


def test_it_goes_on_after_a_stall() -> None:
    seen = follow([*[job(500, sent=7)] * 12, job(490, sent=17)])
    assert [one.verdict for one in seen[-2:]] == [Verdict.STALLED, Verdict.EARLY]


def test_post_copy_that_was_seen_is_said_though_nothing_was_requested_yet() -> None:
    progress = ProgressTracker().take(job(500, dirty=120, number=3), 0, post_copy=True)
    assert progress.verdict is Verdict.POST_COPY
    assert progress.eta_s == pytest.approx(5)


def test_job_figures_as_libvirt_tells_them() -> None:
    stats = {
        "type": 2,
        "operation": 5,
        "time_elapsed": 1500,
        "downtime": 250,
        "data_total": 300,
        "data_remaining": 130,
        "memory_total": 200,
        "memory_processed": 90,
        "memory_remaining": 110,
        "memory_bps": 50,
        "memory_iteration": 3,
        "memory_dirty_rate": 7,
        "memory_page_size": 4096,
        "memory_postcopy_requests": 0,
        "disk_total": 100,
        "disk_processed": 80,
        "disk_remaining": 20,
        "disk_bps": 5,
        "auto_converge_throttle": 30,
    }
    assert job_of(stats) == Job(
        "migration",
        elapsed_s=1.5,
        total_bytes=300,
        remaining_bytes=130,
        bytes_per_s=55.0,
        iteration=3,
        memory_total_bytes=200,
        memory_remaining_bytes=110,
        disk_total_bytes=100,
        disk_remaining_bytes=20,
        dirty_bytes_per_s=7 * 4096.0,
        expected_downtime_s=0.25,
        throttle_fraction=0.3,
        post_copy_requests=0,
        sent_bytes=170,
    )
    # In the first pass QEMU has not counted yet: its 0 would be a promise.
    first = job_of(stats | {"memory_iteration": 1, "memory_dirty_rate": 0})
    assert first is not None
    assert first.dirty_bytes_per_s is None
    assert job_of({"type": 0}) is None
    assert job_of(stats | {"type": 3}) is None
    assert job_of({"type": 1}) == Job("job")
