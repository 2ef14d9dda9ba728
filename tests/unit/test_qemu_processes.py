"""Finding QEMU processes, on a /proc of the test's own."""

import os
import time
from math import isnan
from pathlib import Path

import pytest

from kvmtui.hypervisor.qemu_processes import QemuFinder, QemuProcess, find_qemus

UUID = "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "self").symlink_to(str(os.getpid()))
    return tmp_path


def add_process(proc: Path, pid: int, *, name: str = "qemu-system-x86", uuid: str = UUID, started_s: float = 0) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    started = int(started_s * os.sysconf("SC_CLK_TCK"))
    (folder / "stat").write_text(f"{pid} ({name}) S {' '.join(str(field) for field in range(4, 22))} {started} 0 0\n")
    (folder / "cmdline").write_bytes(b"\0".join([b"/usr/bin/qemu", b"-uuid", uuid.encode(), b"-m", b"16", b""]))


def add_thread(proc: Path, pid: int, thread: int, name: str, waited_ns: int) -> None:
    folder = proc / str(pid) / "task" / str(thread)
    folder.mkdir(parents=True)
    (folder / "comm").write_text(f"{name}\n")
    (folder / "schedstat").write_text(f"1000 {waited_ns} 7\n")


def test_a_qemu_is_found_by_its_uuid(proc: Path) -> None:
    add_process(proc, 10, name="a) b (qemu", uuid=UUID.upper())
    add_process(proc, 11, name="bash", uuid="0" * 36)
    add_process(proc, 12, uuid="f" * 36)
    (proc / "12/cmdline").write_bytes(b"")
    found = find_qemus(proc)
    assert {uuid: [process.pid for process in processes] for uuid, processes in found.items()} == {UUID: [10]}


def test_the_start_is_told_in_monotonic_time(proc: Path) -> None:
    add_process(proc, 10, started_s=time.clock_gettime(time.CLOCK_BOOTTIME) - 100)
    assert find_qemus(proc)[UUID][0].started_at_s == pytest.approx(time.monotonic() - 100, abs=5)


def test_another_namespaces_numbers_are_not_taken_for_ours(proc: Path) -> None:
    add_process(proc, 10)
    (proc / "self").unlink()
    (proc / "self").symlink_to("1" if os.getpid() != 1 else "2")
    assert find_qemus(proc) == {}


def test_of_two_with_one_uuid_nothing_is_said(proc: Path) -> None:
    add_process(proc, 10)
    add_process(proc, 11)
    add_process(proc, 12, uuid="f" * 36)
    assert set(QemuFinder(proc).find([UUID, "f" * 36, "0" * 36]) or ()) == {"f" * 36}


def test_it_is_not_looked_at_all_processes_all_the_time(proc: Path) -> None:
    finder = QemuFinder(proc)
    assert finder.find([]) is None
    assert finder.find([UUID]) == {}
    add_process(proc, 10)
    assert finder.find([UUID]) is None


def test_ready_time_is_that_of_the_vcpus(proc: Path) -> None:
    add_thread(proc, 10, 10, "qemu-system-x86", 999)
    add_thread(proc, 10, 11, "CPU 0/KVM", 1500)
    add_thread(proc, 10, 12, "IO mon_iothread", 888)
    process = QemuProcess(10, 0.0)
    assert process.ready(proc) == (1500, 1)
    add_thread(proc, 10, 13, "CPU 1/KVM", 500)
    assert process.ready(proc) == (2000, 2)
    for file in (proc / "10/task/11").iterdir():
        file.unlink()
    (proc / "10/task/11").rmdir()
    assert process.ready(proc) == (500, 1)


def test_ready_time_of_threads_without_names_or_of_none_is_unknown(proc: Path) -> None:
    add_thread(proc, 10, 10, "qemu-system-x86", 999)
    assert QemuProcess(10, 0.0).ready(proc) is None
    assert QemuProcess(11, 0.0).ready(proc) is None


def test_cpu_time_of_a_process() -> None:
    before_ns = time.process_time_ns()
    used_ns = QemuProcess(os.getpid(), 0.0).cpu_time_ns()
    assert before_ns <= used_ns <= time.process_time_ns()
    # The greatest pid is below 2**22.
    assert isnan(QemuProcess(2**22 + 1, 0.0).cpu_time_ns())
