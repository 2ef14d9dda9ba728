"""What every test leaves as it found it."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Take away what a run adds to the log."""
    log = logging.getLogger("kvmtui")
    before = log.propagate, log.level, [*log.handlers]
    yield
    for handler in {*log.handlers} - {*before[2]}:
        log.removeHandler(handler)
        handler.close()
    log.propagate, log.level = before[:2]
