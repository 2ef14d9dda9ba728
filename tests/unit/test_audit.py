"""The audit: what it says, where it keeps it, and that its own trouble is nobody else's."""

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvmtui.engine.audit import Audit, Record, find_who
from kvmtui.engine.engine import Engine
from kvmtui.engine.private_file import PrivateFile
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.model.actions import BY_ID, ActionRequest, ActionResult, Outcome
from kvmtui.model.vm import VmKey

KEY = VmKey("qemu+ssh://root:geheim@h1/system?keyfile=/root/.ssh/id&no_tty=1", "6b5e2f6e-0000-4000-8000-000000000001")
NAME = "web\x1b]52;c;x\x071"
PATIENCE_S = 60.0


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "kvmtui" / "audit.jsonl"


def told(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="ascii").splitlines()]


def write_one(audit: Audit, message: str = "") -> None:
    audit.intent("destroy", KEY, NAME, host_uuid="aaaa", flags=("--graceful",)).outcome("done", message)
    audit.flush(PATIENCE_S)


def test_a_write_is_two_lines_without_secrets_or_control_characters(file: Path) -> None:
    write_one(Audit(file), "it said \x1b[2J about qemu+ssh://root:geheim@h1/system")
    intent, outcome = told(file)
    assert (intent["event"], outcome["event"], outcome["result"]) == ("intent", "outcome", "done")
    assert intent["id"] == outcome["id"]
    assert intent["host"] == "qemu+ssh://root:***@h1/system?keyfile=***&no_tty=1"
    assert (intent["host_uuid"], intent["vm_uuid"], intent["verb"]) == ("aaaa", KEY.uuid, "destroy")
    assert (intent["vm"], intent["flags"]) == ("web\ufffd]52;c;x\ufffd1", ["--graceful"])
    assert isinstance(outcome["ms"], int)
    assert intent["at"].endswith("Z")
    assert intent["user"]
    text = file.read_bytes()
    assert b"geheim" not in text
    assert b"/root/.ssh" not in text
    assert b"\x1b" not in text
    assert b"\\u001b" not in text


def test_file_and_folder_are_their_owners_alone(file: Path) -> None:
    file.parent.mkdir(parents=True, mode=0o755)
    file.touch(mode=0o644)
    write_one(Audit(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_it_grows_no_larger_than_two_files(file: Path) -> None:
    audit = PrivateFile(file, max_bytes=1000)
    for number in range(100):
        audit.append(b"%099d\n" % number)
    sizes = {path.name: path.stat().st_size for path in file.parent.iterdir()}
    assert sizes == {"audit.jsonl": 1000, "audit.jsonl.1": 1000}
    assert [int(line) for line in audit.last_lines()] == list(range(80, 100))


def test_sessions_at_once_lose_nothing(file: Path) -> None:
    files = [PrivateFile(file) for _ in range(4)]

    def append(own: PrivateFile) -> None:
        for _ in range(50):
            own.append(b"x" * 500 + b"\n")

    threads = [threading.Thread(target=append, args=(own,)) for own in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read_bytes() == (b"x" * 500 + b"\n") * 200


class Trouble:
    """What an audit told of its own trouble."""

    def __init__(self, audit: Audit) -> None:
        self.texts: list[str] = []
        audit.listener.trouble = self.texts.append


def assert_told_once_and_kept_in_memory(audit: Audit, *words: str) -> None:
    trouble = Trouble(audit)
    write_one(audit)
    write_one(audit)
    (text,) = trouble.texts
    for word in ("the audit is kept in memory only", *words):
        assert word in text
    assert text.isprintable()
    assert [record.event for record in audit.read().result(PATIENCE_S)] == ["intent", "outcome"] * 2


def test_a_symbolic_link_is_refused(tmp_path: Path, file: Path) -> None:
    file.parent.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    file.symlink_to(victim)
    assert_told_once_and_kept_in_memory(Audit(file), "audit.jsonl")
    assert victim.read_text() == "untouched"


def test_a_folder_that_is_a_symbolic_link_is_refused(tmp_path: Path, file: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file.parent.parent.mkdir()
    file.parent.symlink_to(elsewhere)
    assert_told_once_and_kept_in_memory(Audit(file))
    assert not list(elsewhere.iterdir())


def test_a_pipe_is_refused_without_waiting_for_its_reader(file: Path) -> None:
    file.parent.mkdir(parents=True)
    os.mkfifo(file, 0o600)
    assert_told_once_and_kept_in_memory(Audit(file))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("given_away", ["file", "folder"])
def test_what_belongs_to_somebody_else_is_refused(file: Path, given_away: str) -> None:
    file.parent.mkdir(parents=True)
    file.touch()
    os.chown(file if given_away == "file" else file.parent, 65534, 65534)
    assert_told_once_and_kept_in_memory(Audit(file), "it belongs to somebody else")
    assert file.read_bytes() == b""


def test_a_home_that_cannot_be_written_is_one_notice(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    assert_told_once_and_kept_in_memory(Audit(tmp_path / "state" / "kvmtui" / "audit.jsonl"))


def test_a_full_disk_leaves_no_half_line(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = Audit(file)
    write_one(audit)
    before = file.read_bytes()
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda number, data: write(number, data[:10]))
        trouble = Trouble(audit)
        write_one(audit)
    assert file.read_bytes() == before
    assert "No space left on device" in trouble.texts[0]
    # When there is room again, it goes on.
    write_one(audit)
    assert len(told(file)) == 4


def test_it_is_read_over_the_sessions_and_what_is_no_record_is_left_out(file: Path) -> None:
    write_one(Audit(file))
    with file.open("ab") as stream:
        stream.write(b'half a li\n[]\n{"event":"else"}\n' + b"[" * 100_000 + b"\n\xff\xfe\n")
        stream.write(b'{"event":"intent","vm":"\\u001b[2J\\u202e","flags":7,"ms":"x","at":{"a":1}}\n')
    later = Audit(file)
    write_one(later)
    records = later.read().result(PATIENCE_S)
    assert sorted(record.event for record in records) == ["intent"] * 3 + ["outcome"] * 2
    assert all(word.isprintable() for record in records for word in (record.vm, record.at))


@pytest.mark.parametrize("ms", ["1" + "0" * 400, "-1", "1.5", "null", '"x"'])
def test_a_time_that_cannot_be_is_not_known(ms: str) -> None:
    record = Record.read(b'{"event": "outcome", "id": "1", "ms": %s}' % ms.encode())
    assert record is not None
    assert record.ms is None


def test_the_systems_log_gets_each_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        log.settimeout(PATIENCE_S)
        audit = Audit(syslog=path)
        write_one(audit)
        received = [log.recv(65536) for _ in range(2)]
    for message in received:
        prefix, _, record = message.partition(b": ")
        assert prefix == b"<86>kvmtui[%d]" % os.getpid()
        assert json.loads(record)["verb"] == "destroy"
    # Restarted, it is a new socket under the old name.
    path.unlink()
    write_one(audit)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        log.settimeout(PATIENCE_S)
        write_one(audit)
        assert b"intent" in log.recv(65536)


def test_a_log_that_nobody_reads_holds_nothing_up(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        audit = Audit(syslog=path)
        for _ in range(2000):
            audit.intent("start", KEY, NAME)
        audit.flush(PATIENCE_S)
        assert len(audit.read().result(PATIENCE_S)) == 1000


def test_who_it_was(tmp_path: Path) -> None:
    loginuid = tmp_path / "loginuid"
    loginuid.write_text("0")
    client = "10.0.0.1 51234 10.0.0.2 22\x1b"
    root = find_who({"SUDO_USER": "alice", "SSH_CONNECTION": client}, loginuid)
    assert (root.user, root.ssh) == ("root", client[:-1] + "\ufffd")
    loginuid.write_text(str(2**32 - 1))
    assert find_who({"SUDO_USER": "alice"}, loginuid).user == "alice"
    assert find_who({}, loginuid).user == find_who({}, loginuid).acting_as
    assert find_who({}, tmp_path / "none").user == find_who({}, tmp_path / "none").acting_as


class Acted:
    """An engine over the demo, its audit, and what came of actions."""

    def __init__(self) -> None:
        self.demo = DemoBackend()
        self.engine = Engine(self.demo, self.demo.uris)
        self.results: list[ActionResult] = []
        self.engine.listeners.action_finished = self.results.append
        self.engine.tick()

    def do(self, action: str, name: str) -> ActionResult:
        vm = self.engine.fleet.vm(self.demo.find(name))
        assert vm is not None
        count = len(self.results)
        self.engine.submit(ActionRequest(BY_ID[action], vm.key, vm.name, vm.id))
        deadline_s = time.monotonic() + PATIENCE_S
        while len(self.results) == count:
            assert time.monotonic() < deadline_s
            threading.Event().wait(0.002)
        return self.results[-1]

    def records(self) -> tuple[Record, ...]:
        return self.engine.audit.read().result(PATIENCE_S)


@pytest.fixture
def acted() -> Iterator[Acted]:
    made = Acted()
    yield made
    made.engine.stop()


def test_actions_are_audited_with_the_host_and_how_they_ended(acted: Acted) -> None:
    assert acted.do("autostart_off", "web1").outcome is Outcome.DONE
    assert acted.do("pause", "web1").outcome is Outcome.DONE
    # The screen has not seen yet that it is paused.
    assert acted.do("pause", "web1").outcome is Outcome.REFUSED
    records = acted.records()
    assert [(record.verb, record.flags, record.event, record.result) for record in records] == [
        ("autostart", ("--disable",), "intent", ""),
        ("autostart", ("--disable",), "outcome", "done"),
        ("suspend", (), "intent", ""),
        ("suspend", (), "outcome", "done"),
        ("suspend", (), "intent", ""),
        ("suspend", (), "outcome", "refused"),
    ]
    facts = acted.engine.fleet.hosts[acted.demo.find("web1").host].facts
    assert facts is not None
    assert {record.host_uuid for record in records} == {facts.uuid}


def test_the_intent_is_written_before_the_host_is_told(acted: Acted, file: Path) -> None:
    acted.engine._audit = Audit(file)
    seen: list[int] = []

    def perform(connection: Any, verb: Any, uuid: str) -> None:
        seen.append(len(told(file)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kvmtui.hypervisor.demo.connection.DemoConnection.perform", perform)
        acted.do("pause", "web1")
    assert seen == [1]
