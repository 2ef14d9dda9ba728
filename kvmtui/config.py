"""Settings, what they may be, and the URI that is meant when none is given."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from kvmtui.model.findings import Limits

_SCHEME = re.compile(r"[a-z][a-z0-9]*(\+[a-z0-9]+)?", re.ASCII)
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.2, 60.0
_MIN_WATCH_S, _MAX_WATCH_S = 2.0, 600.0
_MIN_TIMEOUT_S, _MAX_TIMEOUT_S = 1.0, 600.0
_MAX_DEMO_VMS = 20_000


class ConfigError(ValueError):
    """A setting cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class HostSetting:
    """One host to watch."""

    uri: str
    name: str = ""
    """What it is called on screen; empty: as it calls itself."""
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """How much a recording keeps; the oldest goes first."""

    most_bytes: int = 500 << 20
    most_days: float = 30.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user asked for on the command line and in the file."""

    hosts: tuple[HostSetting, ...] = ()
    read_only: bool = False
    interval_s: float = 1.0
    low_bandwidth: bool = False
    demo_vms: int | None = None
    """How many emulated VMs to show instead of real ones."""
    log: Path | None = None
    trust_uris: bool = False
    """Whether URIs that do more than connect are used without asking."""
    limits: "Limits | None" = None
    """From where on something is wrong; None: the usual."""
    record: Path | None = None
    """Where to record to."""
    recordings: RecordSettings = RecordSettings()


@dataclass(frozen=True, slots=True)
class BalanceSettings:
    """What `kvmtui balance` shall do on top of watching."""

    evacuate: str | None = None
    """The name or URI of the host to clear; None: even out all hosts."""
    as_json: bool = False
    run: bool = False
    """Make the moves, not only print them."""
    copy_disks: bool = False
    """Copy disks also to where a volume is already."""
    over_limits: bool = False
    """Empty a host although others come to be over their limits."""
    watch_s: float = 10.0
    """For how long the hosts are watched before anything is said of them."""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """What `kvmtui check` shall do."""

    hosts: Mapping[str, str] = field(default_factory=dict)
    """What each host is called, by URI; empty: as it calls itself."""
    timeout_s: float = 10.0
    as_json: bool = False
    nagios: bool = False
    everything: bool = False
    """Whether what is fine is printed, too."""


def check_uri(text: str) -> str:
    """Return a libvirt connection URI that has the right form; raises `ConfigError`."""
    example = "for example qemu:///system or qemu+ssh://root@host/system"
    if not text.isprintable() or " " in text:
        raise ConfigError(f"the URI {text!r} has a space or an unprintable character; {example}")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as error:
        raise ConfigError(f"the URI {text!r} cannot be read ({error}); {example}") from error
    if not _SCHEME.fullmatch(parts.scheme) or "://" not in text:
        raise ConfigError(f"{text!r} is not a libvirt URI; {example}")
    if parts.path in ("", "/") and not parts.query and parts.scheme.startswith("qemu"):
        raise ConfigError(f"the URI {text!r} says neither /system nor /session; {example}")
    return text


def check_interval(seconds: float) -> float:
    """Return an interval that makes sense; raises `ConfigError`."""
    if not MIN_INTERVAL_S <= seconds <= MAX_INTERVAL_S:
        raise ConfigError(f"the interval must be between {MIN_INTERVAL_S} and {MAX_INTERVAL_S:.0f} seconds")
    return seconds


def check_watch(seconds: float) -> float:
    """Return a time to watch hosts for that makes sense; raises `ConfigError`."""
    if not _MIN_WATCH_S <= seconds <= _MAX_WATCH_S:
        raise ConfigError(f"the time to watch must be between {_MIN_WATCH_S:.0f} and {_MAX_WATCH_S:.0f} seconds")
    return seconds


def check_timeout(seconds: float) -> float:
    """Return a time after which to end that makes sense; raises `ConfigError`."""
    if not _MIN_TIMEOUT_S <= seconds <= _MAX_TIMEOUT_S:
        raise ConfigError(f"the timeout must be between {_MIN_TIMEOUT_S:.0f} and {_MAX_TIMEOUT_S:.0f} seconds")
    return seconds


def check_demo(vms: int) -> int:
    """Return a number of emulated VMs that makes sense; raises `ConfigError`."""
    if not 1 <= vms <= _MAX_DEMO_VMS:
        raise ConfigError(f"the demo can show 1 to {_MAX_DEMO_VMS} VMs")
    return vms


def default_uri(environment: Mapping[str, str], home: Path, *, root: bool) -> str:
    """Return the URI that virsh would use.

    Order: virsh(1) "--connect" and libvirt's "Connection URIs" page: two variables, then `uri_default` of
    libvirt.conf, then the system daemon for root and the user's own for others.
    """
    for name in ("VIRSH_DEFAULT_CONNECT_URI", "LIBVIRT_DEFAULT_URI"):
        if environment.get(name):
            return environment[name]
    own = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "libvirt" / "libvirt.conf"
    for file in (Path("/etc/libvirt/libvirt.conf"),) if root else (own,):
        found = _uri_default(file)
        if found:
            return found
    return "qemu:///system" if root else "qemu:///session"


def _uri_default(file: Path) -> str | None:
    """Return `uri_default = "..."` of a libvirt.conf, or None."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    found = re.search(r"""^\s*uri_default\s*=\s*["']([^"'\n]+)["']""", text, re.MULTILINE)
    return found.group(1) if found else None


def this_default_uri() -> str:
    """Return the URI that virsh would use here and now."""
    return default_uri(os.environ, Path.home(), root=os.geteuid() == 0)
