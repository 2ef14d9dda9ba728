"""A recording stays as it was, whoever reads it: nothing is written to it, and nothing appears beside it."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from kvmtui.engine.recording.file import RecordingError, open_for_writing
from kvmtui.engine.recording.replay import Replay
from kvmtui.engine.recording.tape import Tape
from kvmtui.model.history import Metric
from tests.unit.recordings import Recorded

_READ = """
import sys
from pathlib import Path
from kvmtui.engine.recording.replay import Replay
replay = Replay(Path(sys.argv[1]))
print(len(list(replay.fleet.vms())))
replay.stop()
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording whose recorder has ended."""
    folder = tmp_path_factory.mktemp("ended")
    recorded = Recorded(folder / "a.rec")
    recorded.look(20)
    recorded.end()
    return folder


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording whose recorder was killed, with what SQLite had beside it."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-m", "tests.unit.recordings", str(folder / "a.rec")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(3):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert {*_files(folder)} == {"a.rec", "a.rec-wal", "a.rec-shm"}
    return folder


@pytest.fixture(params=["ended", "killed", "killed and copied"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, ended: Path, killed: Path) -> Path:
    """A copy of one of these."""
    shutil.copytree(ended if request.param == "ended" else killed, tmp_path, dirs_exist_ok=True)
    if request.param == "killed and copied":
        # Who copies a recording does not know of it.
        (tmp_path / "a.rec-shm").unlink()
    return tmp_path


def _files(folder: Path) -> dict[str, bytes]:
    """Return what is there; -shm is SQLite's own memory, not the recording."""
    return {file.name: b"" if file.name.endswith("-shm") else file.read_bytes() for file in folder.iterdir()}


def test_a_replay_leaves_it_as_it_was(folder: Path) -> None:
    before = _files(folder)
    replay = Replay(folder / "a.rec")
    replay._skip(10)
    (vm, *_) = replay.fleet.vms()
    replay.history(vm.key, Metric.CPU_CORES, 1, 60)
    assert _files(folder) == before
    replay.stop()
    assert _files(folder) == before


def test_it_is_read_where_nothing_can_be_written(folder: Path) -> None:
    read_only = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && "
    shell = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*shell, f"{read_only} ! touch {folder}/b"], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    command = f'{read_only} exec "{sys.executable}" -c "$0" "{folder}/a.rec"'
    done = subprocess.run([*shell, command, _READ], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_nothing_stays_behind_when_the_recorder_ends_while_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    recorded = Recorded(file)
    recorded.look(5)
    recorded.flush()
    replay = Replay(file)
    recorded.look(5)
    recorded.end()
    replay._skip(100)
    assert replay._until_s == recorded.clock()
    replay.stop()
    assert {*_files(tmp_path)} == {"a.rec"}
    assert len(Tape(file).sessions) == 1


def test_a_reader_does_not_disturb_the_recorder(tmp_path: Path) -> None:
    file = tmp_path / "a.rec"
    recorded = Recorded(file)
    recorded.look(5)
    recorded.flush()
    Replay(file).stop()
    # Whoever wants to record to it, too, opens it, is refused, and closes it: it must not be the last one then.
    other = "import sys; from pathlib import Path; from kvmtui.engine.recording.file import open_for_writing\n"
    refused = subprocess.run(
        [sys.executable, "-c", f"{other}open_for_writing(Path(sys.argv[1]))", str(file)], capture_output=True, text=True
    )
    assert "is recording to it" in refused.stderr
    recorded.look(5)
    recorded.flush()
    assert Tape(file).sessions[-1].until_s == recorded.clock()
    recorded.end()


def test_one_that_is_begun_and_ended_meanwhile_is_noticed(tmp_path: Path, ended: Path) -> None:
    file = tmp_path / "a.rec"
    shutil.copy(ended / "a.rec", file)
    tape = Tape(file)
    for number in (2, 3):
        later = Recorded(file, began_s=number * 1e6)
        later.look(3)
        if number == 3:
            later.flush()
            tape.look_again()
            assert len(tape.sessions) == 3
        later.end()
        tape.look_again()
        assert len(tape.sessions) == number
    tape.close()
    assert {*_files(tmp_path)} == {"a.rec"}


def test_another_database_is_left_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with sqlite3.connect(file) as one:
        one.execute("CREATE TABLE mine (text TEXT)")
    one.close()
    before = _files(tmp_path)
    for use in (Tape, open_for_writing):
        with pytest.raises(RecordingError, match="it is not a recording of kvmtui"):
            use(file)
    assert _files(tmp_path) == before
