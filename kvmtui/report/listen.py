"""Where an endpoint listens."""

import re
from dataclasses import dataclass

from kvmtui.config import ConfigError

PORT = 9177
"""What libvirt exporters listen at (the list of default port allocations in Prometheus' wiki)."""
_ADDRESS = re.compile(r"(?:\[([0-9a-fA-F:.%a-z0-9]+)\]|([^\[\]:]*)):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port."""

    host: str
    """Empty: all addresses of this machine."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(text: str) -> Address:
    """Return the address that `HOST:PORT`, `[IPv6]:PORT` or `:PORT` stands for; raises `ConfigError`."""
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 <= int(found[3]) <= 65535:
        raise ConfigError(f"{text!r} is not an address and port such as 127.0.0.1:{PORT}, [::1]:{PORT} or :{PORT}")
    return Address(found[1] or found[2], int(found[3]))
