"""The console's emulator survives what no honest program prints, in bounded memory."""

import json
import subprocess
import sys

import pytest

from tests.unit.hostile_bytes import CASES

# The scrollback's 4 MiB, 8 MiB that libghostty keeps of one string at most, and the decoded cells.
GROWTH_BYTES = 24 << 20

GROUPS = {
    "random": ["random"],
    "unterminated": [case for case in CASES if case.startswith("unterminated")],
    "other": [case for case in CASES if case != "random" and not case.startswith("unterminated")],
}


@pytest.mark.parametrize("group", GROUPS)
def test_hostile_bytes_raise_nothing_and_fill_no_memory(group: str) -> None:
    command = [sys.executable, "-m", "tests.unit.hostile_bytes", *GROUPS[group]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    growths = json.loads(done.stdout)
    assert growths.keys() == set(GROUPS[group])
    assert sum(growths.values()) < GROWTH_BYTES, growths
