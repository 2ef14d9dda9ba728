"""URIs that do more than connect, and that the user has agreed to once; kept as hashes, for a URI may hold a secret."""

import hashlib
import logging
import os
from pathlib import Path

from kvmtui.engine.private_file import PrivateFile, state_folder

_log = logging.getLogger(__name__)


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


def _hash(uri: str) -> bytes:
    return hashlib.sha256(uri.encode(errors="surrogateescape")).hexdigest().encode()
