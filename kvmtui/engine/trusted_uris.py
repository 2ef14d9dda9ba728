"""URIs that do more than connect, and that the user has agreed to once; kept as hashes, for a URI may hold a secret."""

import hashlib
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from kvmtui.config import ConfigError
from kvmtui.engine.private_file import PrivateFile, state_folder
from kvmtui.model.clean import clean
from kvmtui.model.uris import risks, without_secrets

_log = logging.getLogger(__name__)
_CLEAR_LINE = "\r\x1b[K"


class TrustedUris:
    """The URIs that were agreed to; a file that cannot be used means being asked again."""

    def __init__(self, folder: Path | None = None) -> None:
        """Keep them in the user's state folder unless told otherwise."""
        self._file = PrivateFile((folder or state_folder(os.environ, Path.home())) / "trusted-uris")

    def __contains__(self, uri: str) -> bool:
        """Return whether this very URI was agreed to."""
        try:
            return _hash(uri) in self._file.last_lines()
        except OSError as error:
            _log.warning("the trusted URIs cannot be read: %s", error)
            return False

    def add(self, uri: str) -> None:
        """Remember a URI; raises `OSError` where that cannot be."""
        self._file.append(_hash(uri) + b"\n")


def confirm(uris: Iterable[str]) -> None:
    """Ask at the terminal about each that was not agreed to; raises `ConfigError` unless all are."""
    trusted = TrustedUris()
    for uri in uris:
        if uri in trusted:
            continue
        shown = clean(without_secrets(uri), 1000)
        reasons = [f"it {clean(risk, 1000)}" for risk in risks(uri)]
        if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
            raise ConfigError(f"{shown}: {'; '.join(reasons)}; where nobody can be asked, --trust-uris allows it")
        lines = [f"{_CLEAR_LINE}{shown}", *(f"  {reason}" for reason in reasons), "Connect to it from now on? [y/N] "]
        sys.stderr.write("\n".join(lines))
        sys.stderr.flush()
        try:
            answer = sys.stdin.readline()
        except (KeyboardInterrupt, UnicodeDecodeError):
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            raise ConfigError(f"{shown} was not agreed to; nothing was connected")
        try:
            trusted.add(uri)
        except OSError as error:
            sys.stderr.write(f"That cannot be remembered, and will be asked again: {error.strerror}\n")


def _hash(uri: str) -> bytes:
    return hashlib.sha256(uri.encode(errors="surrogateescape")).hexdigest().encode()
