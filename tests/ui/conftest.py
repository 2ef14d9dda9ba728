"""What all tests of the dashboard need."""

import os

import pytest

_ABOUT_THE_TERMINAL = ("COLORTERM", "COLUMNS", "FORCE_COLOR", "LINES", "NO_COLOR", "TERM_PROGRAM", "TMUX")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no picture depend on the terminal the tests are started from."""
    for name in [*os.environ]:
        if name in _ABOUT_THE_TERMINAL or (name.startswith("TEXTUAL_") and "SNAPSHOT" not in name):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TERM", "xterm-256color")
