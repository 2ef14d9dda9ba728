"""Opens libvirt connections for the lanes."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from kvmtui.hypervisor.library import open_uri
from kvmtui.hypervisor.libvirt_connection import LibvirtConnection
from kvmtui.model.uris import is_near


class LibvirtBackend:
    """Opens libvirt connections."""

    root = Path("/")
    """Where /proc, /sys and /dev of this machine are, for what its health is judged by."""

    def open(self, uri: str, *, read_only: bool, on_event: Callable[[], None] | None = None) -> LibvirtConnection:
        """Open a connection; blocks, so only lanes call it."""
        return LibvirtConnection(open_uri(uri, read_only=read_only), on_event, local=is_local(uri), root=self.root)


def is_local(uri: str) -> bool:
    """Return whether the URI speaks of this machine, so that psutil and /proc tell about the same host."""
    return is_near(uri) and urlsplit(uri).scheme != "test"
