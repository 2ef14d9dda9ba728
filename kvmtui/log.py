"""The log: a file that --log names, without secrets."""

import logging
import os
import sys
from pathlib import Path

from kvmtui.config import ConfigError
from kvmtui.model.uris import without_secrets


class _Discreet(logging.Formatter):
    """Keeps secrets out of what is logged, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class _LogFile(logging.FileHandler):
    """Keeps what was wrong with the file, where logging itself would print over the screen."""

    failed = ""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Take note of the first failure, for the end."""
        error = sys.exception()
        self.failed = self.failed or str(getattr(error, "strerror", None) or error)


def start_log(file: Path | None) -> None:
    """Log to that file, or nowhere; raises `ConfigError`."""
    root = logging.getLogger("kvmtui")
    root.propagate = False
    if file is None:
        root.addHandler(logging.NullHandler())
        return
    try:
        # Created for its owner alone: it tells which VMs exist and what was done to them.
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
        handler = _LogFile(file, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the log {str(file)!r} cannot be written: {error.strerror}") from error
    handler.setFormatter(_Discreet("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)


def end_log() -> str:
    """Write what is left, and return what was wrong with the file; empty: nothing."""
    logging.shutdown()
    handlers = logging.getLogger("kvmtui").handlers
    return next((handler.failed for handler in handlers if isinstance(handler, _LogFile) and handler.failed), "")
