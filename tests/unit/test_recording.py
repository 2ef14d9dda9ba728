"""The file of a recording: what is in it, whatever happens to the process, the disk or the file."""

import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvmtui.config import RecordSettings
from kvmtui.engine.engine import Engine
from kvmtui.engine.recording.file import RecordingError, open_for_writing
from kvmtui.engine.recording.moves import _USUAL, move_of, said_of
from kvmtui.engine.recording.recorder import Recorder
from kvmtui.engine.recording.replay import Replay
from kvmtui.engine.recording.tape import Playhead, Tape
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.hypervisor.demo.clock import ManualClock
from kvmtui.model.fleet import Fleet
from kvmtui.model.history import Metric
from kvmtui.model.migration import Migration, MigrationRequest, Phase, Repair, RepairKind
from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.migration_progress import ProgressTracker, Verdict
from kvmtui.model.vm import Job, VmKey
from tests.unit.recordings import PATIENCE_S, Recorded


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes and a half, in which db2 is paused."""
    file = tmp_path_factory.mktemp("recording") / "a.rec"
    recorded = Recorded(file)
    recorded.look(80)
    recorded.act("pause", "db2")
    recorded.look(70)
    recorded.end()
    return file


def test_what_is_read_is_what_was_published(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    recorded = Recorded(file, vms=40)
    seen: list[tuple[float, Fleet]] = []
    for _ in range(130):
        recorded.look()
        seen.append((recorded.clock(), recorded.engine.fleet))
    recorded.flush()
    # What is in small pieces yet, and in whole ones; and gone to from anywhere.
    for moments in (seen, seen[::-17], seen[3::31]):
        head = Playhead(Tape(file))
        for at_s, fleet in moments:
            head.go_to(at_s)
            for host in head.hosts():
                before = fleet.hosts[host.key]
                assert dict(host.vms) == dict(before.vms)
                assert (host.figures, host.link, host.facts) == (before.figures, before.link, before.facts)
                assert (host.sampled_at_s, host.running) == (before.sampled_at_s, before.running)
    recorded.end()
    # All in one piece a minute now.
    head = Playhead(Tape(file))
    head.go_to(seen[100][0])
    assert {host.key: dict(host.vms) for host in head.hosts()} == {
        key: dict(host.vms) for key, host in seen[100][1].hosts.items()
    }


def test_only_its_owner_may_read_it(recording: Path) -> None:
    assert stat.S_IMODE(recording.stat().st_mode) == 0o600


def test_what_was_done_is_an_event_and_where_it_happened(recording: Path) -> None:
    tape = Tape(recording)
    (session,) = tape.sessions
    texts = {event.text: event for event in tape.events(session, 0.0, session.until_s)}
    assert texts["pause db2: done"].vm == texts["db2 on h2: paused"].vm
    assert texts["pause db2: done"].tone == "fine"
    first = tape.event(session.since_s - 1, later=True)
    assert first is not None
    assert tape.event(first.at_s, later=False) is None


def test_another_run_is_added_to_the_same_file(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    first = Recorded(file)
    first.look(5)
    first.end()
    # The monotonic clock goes on as long as the machine is up; here it begins anew.
    second = Recorded(file, began_s=500.0)
    second.look(5)
    second.end()
    with sqlite3.connect(file) as one:
        one.execute("UPDATE session SET boot = 'another' WHERE id = 2")
    tape = Tape(file)
    assert [session.until_s - session.since_s for session in tape.sessions] == [5.0, 5.0]
    before, after = tape.sessions
    assert after.since_s > before.until_s
    assert tape.next_recorded(before.until_s) == after.since_s
    head = Playhead(tape)
    head.go_to(after.until_s)
    assert all(host.sampled_at_s == after.until_s for host in head.hosts())


def test_a_killed_process_leaves_what_it_had_written(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    command = [sys.executable, "-m", "tests.unit.recordings", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        written_s = [float(process.stdout.readline()) for _ in range(12)][-1]
        with pytest.raises(RecordingError, match=f"process {process.pid} is recording to it"):
            open_for_writing(file)
        process.send_signal(signal.SIGKILL)
        process.wait()
        (session,) = Tape(file).sessions
        assert session.until_s >= written_s
    again = Recorded(file, began_s=session.until_s + 10)
    again.look(3)
    again.end()
    assert len(Tape(file).sessions) == 2


def test_a_full_disk_ends_the_recording_and_leaves_it_readable(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    code = (
        "import resource, sys; from pathlib import Path; from tests.unit.recordings import Recorded\n"
        "recorded = Recorded(Path(sys.argv[1])); recorded.look(20); recorded.flush()\n"
        "print(recorded.clock(), flush=True)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (80000, {resource.RLIM_INFINITY}))\n"
        "while not recorded.troubles: recorded.look()\n"
        "print(recorded.troubles[0]); print(recorded.engine.recording)\n"
        "recorded.look(); recorded.end()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, timeout=100)
    written, trouble, left = done.stdout.splitlines()
    assert (done.stderr, left) == ("", "None")
    assert trouble.startswith(f"not recorded any more: {file}: ")
    (session,) = Tape(file).sessions
    assert session.until_s >= float(written)


def test_one_that_fails_when_it_is_stopped_does_not_end_the_next(tmp_path: Path) -> None:
    troubles: list[str] = []
    told, go_on = threading.Event(), threading.Event()
    engine = Engine(demo := DemoBackend(), demo.uris)

    def trouble(text: str) -> None:
        troubles.append(text)
        told.set()

    engine.listeners.trouble = trouble
    engine.record(tmp_path / "a.rec")
    first = engine.recording
    assert first is not None
    first._do(lambda: go_on.wait(PATIENCE_S))  # type: ignore[arg-type]
    first._do(lambda: first._connection.execute("no SQL"))  # type: ignore[arg-type]
    engine.record(tmp_path / "b.rec")
    go_on.set()
    assert told.wait(PATIENCE_S)
    assert [text.partition(": ")[2].partition(": ")[0] for text in troubles] == [str(tmp_path / "a.rec")]
    assert engine.recording is not None
    assert engine.recording.flush(PATIENCE_S)
    engine.stop()


def test_a_disk_that_stands_still_costs_looks_and_holds_nobody_up(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "a.rec", ("demo://h1",), clock=ManualClock(), bounds=RecordSettings())
    recorder.start()
    go_on, standing = threading.Event(), threading.Event()

    def stand() -> None:
        standing.set()
        go_on.wait(PATIENCE_S)

    recorder._do(stand)
    assert standing.wait(PATIENCE_S)
    while not recorder.dropped:
        recorder.take(Fleet())
    recorder.take(Fleet())
    assert recorder.dropped == 2
    go_on.set()
    deadline_s = time.monotonic() + PATIENCE_S
    while not recorder.flush(PATIENCE_S):
        assert time.monotonic() < deadline_s
    recorder.stop(PATIENCE_S)


def test_the_oldest_goes_where_there_is_too_much(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    recorded = Recorded(file, bounds=RecordSettings(most_bytes=40_000))
    recorded.look(1500)
    recorded.end()
    (session,) = Tape(file).sessions
    assert session.until_s == recorded.clock()
    assert session.since_s > recorded.clock() - 1400
    assert file.stat().st_size < 140_000
    head = Playhead(Tape(file))
    head.go_to(session.since_s + 1)
    assert all(host.vms for host in head.hosts())


def test_what_is_older_than_the_days_it_shall_keep_goes(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    recorded = Recorded(file, bounds=RecordSettings(most_days=300 / 86400))
    recorded.look(1000)
    recorded.end()
    (session,) = Tape(file).sessions
    assert 300 <= session.until_s - session.since_s <= 420


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        (b"", "it is not a recording of kvmtui"),
        (b"hello, this is no database at all", "it is not a recording of kvmtui"),
        (b"SQLite format 3\0" + b"rubbish" * 1000, "it is not a recording of kvmtui"),
    ],
    ids=["missing", "empty", "text", "rubbish"],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    file = tmp_path / "a.rec"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RecordingError, match=f"a.rec: .*{words}"):
        Tape(file)
    if content:
        with pytest.raises(RecordingError, match=f"a.rec: .*{words}"):
            open_for_writing(file)
        assert file.read_bytes() == content
    with pytest.raises(RecordingError, match="Is a directory"):
        Tape(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("PRAGMA user_version = 1", "another version of kvmtui"),
        ("PRAGMA user_version = 3", "a newer version of kvmtui"),
        ("PRAGMA application_id = 7", "it is not a recording of kvmtui"),
        ("DROP TABLE session", "no such table"),
    ],
)
def test_another_database_is_neither_read_nor_added_to(
    tmp_path: Path, change: str, words: str, recording: Path
) -> None:
    file = tmp_path / "a.rec"
    shutil.copy(recording, file)
    one = sqlite3.connect(file)
    one.execute(change)
    one.commit()
    one.close()
    for use in (Tape, open_for_writing):
        with pytest.raises(RecordingError, match=words):
            use(file)


def test_a_recording_without_anything_says_so(tmp_path: Path) -> None:
    open_for_writing(tmp_path / "a.rec").close()
    with pytest.raises(RecordingError, match="nothing has been recorded yet"):
        Tape(tmp_path / "a.rec")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_told_of_or_shows_what_is_left(data: st.DataObject, tmp_path: Path, recording: Path) -> None:
    content = bytearray(recording.read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for _ in range(data.draw(st.integers(0, 5))):
        at = data.draw(st.integers(0, max(0, len(content) - 1)))
        content[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
    file = tmp_path / "b.rec"
    file.write_bytes(content)
    _look_at_everything(file)


@pytest.mark.parametrize("value", ["NULL", "'[[]]'", "9e999"])
def test_values_that_make_no_sense_are_told_of_or_left_out(value: str, tmp_path: Path, recording: Path) -> None:
    one = sqlite3.connect(recording)
    tables = [name for (name,) in one.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = [(table, row[1]) for table in tables for row in one.execute(f"PRAGMA table_info({table})") if not row[5]]
    one.close()
    for table, column in columns:
        file = tmp_path / f"{table}-{column}.rec"
        shutil.copy(recording, file)
        one = sqlite3.connect(file)
        one.execute(f"UPDATE OR IGNORE {table} SET {column} = {value}")  # noqa: S608 - all of it stands here
        one.commit()
        one.close()
        _look_at_everything(file)


def _look_at_everything(file: Path) -> None:
    """Do all that the screen does with a recording; that it cannot be read is the only error there may be."""
    try:
        replay = Replay(file)
        for at_s in (replay._until_s, replay._at_s, replay._until_s - 40):
            replay._move(at_s)
            for vm in list(replay.fleet.vms())[:2]:
                replay.history(vm.key, Metric.CPU_CORES, 1, 60)
                replay.read_config(vm.key).exception()
            replay._go_to_event(later=True)
            assert replay.time.year > 1900
            replay.events()
            replay.audit.read().result()
            for move in replay.migrations:
                replay.jobs(move, 600)
            assert replay.standing is None or all(each.evidence.isprintable() for each in replay.standing.findings)
        assert replay.go_to_time("03:12") == ""
        while not replay._steps.empty():
            step = replay._steps.get()
            assert step is not None
            step()
        replay.playing = True
        replay._go_on()
    except RecordingError:
        pass


def test_the_findings_of_days_are_read_once(tmp_path: Path, recording: Path) -> None:
    file = tmp_path / "a.rec"
    shutil.copy(recording, file)
    writer = open_for_writing(file)
    session, until_s = writer.execute("SELECT session, max(until) FROM piece").fetchone()
    # Each is there for nine minutes, and gone in the tenth.
    told = [
        (session, until_s - 60 * ago, key, None if ago % 10 == 0 else f"{key}{ago}")
        for ago in range(1000, 0, -1)
        for key in ("a", "b", "c")
    ]
    writer.execute("BEGIN")
    writer.execute("DELETE FROM finding")
    writer.executemany("INSERT INTO finding (session, at, key, data) VALUES (?, ?, ?, ?)", told)
    writer.execute("COMMIT")
    writer.close()
    tape = Tape(file)
    played = tape.sessions[0]
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def wrong(ago: float) -> dict[str, tuple[str, float]]:
        found = tape.findings(played, played.moved(until_s - 60 * ago))
        return {
            key: (data, round((played.moved(until_s) - since_s) / 60)) for key, data, since_s in found if key in "abc"
        }

    tape._reader._connection.set_progress_handler(count, 100)
    for ago, since in ((995.5, 999), (11.5, 19), (10.5, 19), (10, 0), (8.5, 9), (995.5, 999)):
        expected = {key: (f"{key}{int(ago + 0.5)}", since) for key in "abc"} if since else {}
        assert wrong(ago) == expected, ago
    # What a look at each minute of all of them would take is a hundred times as much.
    assert wrong(5) == {key: (f"{key}5", 9) for key in "abc"}
    before = steps
    for number in range(100):
        wrong(5 - number / 100)
    assert steps - before < 100 * 30
    tape.close()


def test_a_time_of_day_is_a_date_whatever_the_file_says(tmp_path: Path, recording: Path) -> None:
    file = tmp_path / "a.rec"
    shutil.copy(recording, file)
    writer = open_for_writing(file)
    writer.execute("UPDATE clock SET wall = 9.9e10, at = -9.9e10")
    writer.execute("UPDATE piece SET until = 9.9e10")
    writer.close()
    replay = Replay(file)
    replay._move(9e10)
    assert replay.time.year > 5000
    replay.stop()


def test_a_run_that_comes_while_it_is_played_is_looked_up_too(tmp_path: Path, recording: Path) -> None:
    file = tmp_path / "a.rec"
    shutil.copy(recording, file)
    replay = Replay(file)
    later = Recorded(file, began_s=2e6)
    later.look(5)
    later.end()
    replay._skip(1e7)
    assert replay.at_end
    now_s = replay._now()
    assert replay._shelf.session(now_s).id == replay._head.session.id == 2
    replay.stop()


def _packed(text: str) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(text.encode()) + packer.flush()


def test_moves_that_make_no_sense_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    recorded = Recorded(file)
    recorded.look(3)
    vm = recorded.engine.fleet.vm(recorded.key("web1"))
    assert vm is not None
    options = MigrationOptions(bandwidth_mib_per_s=100)
    recorded.engine.migrate(MigrationRequest(vm.key, vm.name, vm.id, recorded.backend.uris[1], options))
    deadline_s = time.monotonic() + PATIENCE_S
    while recorded.engine.migrations[0].job is None:
        assert time.monotonic() < deadline_s
        recorded.look()
    recorded.look(5)
    recorded.end()
    one = sqlite3.connect(file, isolation_level=None)
    (said,) = one.execute("SELECT data FROM move ORDER BY at DESC").fetchone()
    (figures,) = one.execute("SELECT data FROM move_figures ORDER BY at DESC").fetchone()
    for table, right, wrong in (
        (
            "move",
            said,
            ["", "[]", "{}", "null", "[" * 9999, said.replace('"to":1', '"to":7'), said.replace("run", "ran")],
        ),
        (
            "move_figures",
            figures,
            [None, 3, "", b"", b"rubbish", figures[:-9], *map(_packed, ("{}", "[3,3]", "[[1],[1]]"))],
        ),
    ):
        for what in wrong:
            one.execute(f"UPDATE {table} SET data = ?", (what,))  # noqa: S608
            _look_at_everything(file)
            replay = Replay(file)
            replay._skip(1e6)
            assert [move.progress for move in replay.migrations] == [None] * (table == "move_figures")
            replay.stop()
        one.execute(f"UPDATE {table} SET data = ?", (right,))  # noqa: S608
    one.close()
    replay = Replay(file)
    replay._skip(1e6)
    (move,) = replay.migrations
    assert move.progress is not None
    assert len(replay.jobs(move, 600)) > 1
    replay.stop()


def test_where_too_much_happened_the_newest_is_read(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "long.rec"
    shutil.copy(recording, file)
    with sqlite3.connect(file) as rows:
        number, at_s = rows.execute("SELECT session, max(since) FROM piece").fetchone()
        for text in "abc":
            rows.execute("INSERT INTO audit (session, at, data) VALUES (?, ?, ?)", (number, at_s, text))
            rows.execute(
                "INSERT INTO event (session, at, tone, text, uuid) VALUES (?, ?, '', ?, '')", (number, at_s, text)
            )
    rows.close()
    monkeypatch.setattr("kvmtui.engine.recording.tape._MOST_AUDITED", 2)
    monkeypatch.setattr("kvmtui.engine.recording.tape._MOST_EVENTS", 2)
    tape = Tape(file)
    assert tape.audit(at_s) == ["b", "c"]
    assert [each.text for each in tape.events(tape.sessions[0], 0, at_s)] == ["b", "c"]
    tape.close()


def test_what_figures_are_packed_by_has_what_is_said_of_moves() -> None:
    for verdict in Verdict:
        assert f'"{verdict.name}"'.encode() in _USUAL
    early = ProgressTracker().take(Job("migration", total_bytes=2, remaining_bytes=1), 0.0)
    assert early.why.encode() in _USUAL


@pytest.mark.parametrize("disks", DiskMove)
@pytest.mark.parametrize("phase", Phase)
def test_a_move_is_read_as_it_was_written(phase: Phase, disks: DiskMove) -> None:
    request = MigrationRequest(VmKey("a", "u"), "web1", 1, "b", MigrationOptions(disks=disks))
    repairs = tuple(Repair(kind, "it is safe", "virsh") for kind in RepairKind)
    move = Migration(request, phase, 1.0, repairs=repairs)
    said = said_of(move, {"a": 0, "b": 1})
    assert not any(f'"{each.value}"' in said for each in (phase, *RepairKind))
    assert move_of(said, ("a", "b"), 0.0) == move
