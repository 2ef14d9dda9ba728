from pathlib import Path

import pytest

from kvmtui.hypervisor.local import node_sample, parse_pressure, read_pressure


def test_parse_pressure() -> None:
    text = "some avg10=12.50 avg60=0.00 avg300=0.00 total=0\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=0\n"
    assert parse_pressure(text) == 0.125


@pytest.mark.parametrize("text", ["", "some\n", "full avg10=1.00\n", "some avg10=x\n"])
def test_a_strange_file_is_unknown(text: str, tmp_path: Path) -> None:
    for name in ("cpu", "memory", "io"):
        (tmp_path / name).write_text(text)
    assert read_pressure(tmp_path) is None


def test_a_kernel_without_pressure_is_unknown(tmp_path: Path) -> None:
    assert read_pressure(tmp_path) is None


def test_this_machine() -> None:
    sample = node_sample()
    assert sample.cpu_total_ns is not None
    assert sample.cpu_idle_ns is not None
    assert 0 < sample.cpu_idle_ns <= sample.cpu_total_ns
    assert sample.memory_total_bytes is not None
    assert sample.memory_used_bytes is not None
    assert 0 < sample.memory_used_bytes < sample.memory_total_bytes
