"""Settings, the file they may stand in, and the URI that is meant when none is given."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kvmtui.model.clean import clean, clean_message

if TYPE_CHECKING:
    from kvmtui.model.findings import Limits

_SCHEME = re.compile(r"[a-z][a-z0-9]*(\+[a-z0-9]+)?", re.ASCII)
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.2, 60.0
_LEAST_MB, _MOST_MB, _LEAST_DAYS, _MOST_DAYS = 5, 1_000_000, 0.01, 10_000
_MIN_WATCH_S, _MAX_WATCH_S = 2.0, 600.0
_MIN_TIMEOUT_S, _MAX_TIMEOUT_S = 1.0, 600.0
_MAX_DEMO_VMS = 20_000
_MAX_FILE_BYTES = 1024 * 1024
_MAX_NAME = 60


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
class FileSettings:
    """What the configuration file says; None: nothing."""

    hosts: tuple[HostSetting, ...] = ()
    interval_s: float | None = None
    low_bandwidth: bool = False
    limits: "Limits | None" = None
    """From where on something is wrong."""
    recordings: RecordSettings = RecordSettings()


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


def config_file(environment: Mapping[str, str], home: Path) -> Path:
    """Return where the configuration file is looked for (XDG)."""
    return Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "kvmtui" / "config.toml"


def read_config(file: Path, *, required: bool) -> FileSettings:
    """Return what the file says; raises `ConfigError`, also where it is missing and `required`."""
    text = _private_text(file, required=required)
    return FileSettings() if text is None else parse_config(text, clean(str(file)))


def _private_text(file: Path, *, required: bool) -> str | None:
    """Return the text of a file that nobody else can have written; None where there is none and none is required."""
    where = clean(str(file))
    try:
        # Not blocking, should it be a pipe.
        number = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        if not required:
            return None
        raise ConfigError(f"{where}: no such file") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{where}: {getattr(error, 'strerror', None) or error}") from error
    try:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{where}: it is not a file")
        # It says which hosts are only looked at, and a URI may run a program.
        if found.st_uid not in (os.geteuid(), 0):
            raise ConfigError(f"{where}: it belongs to somebody else; make a copy of your own, or give it to yourself")
        if found.st_mode & 0o022:
            raise ConfigError(f'{where}: others may write to it; run "chmod go-w" on it')
        data = b""
        while len(data) <= _MAX_FILE_BYTES and (piece := os.read(number, _MAX_FILE_BYTES)):
            data += piece
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror}") from error
    finally:
        os.close(number)
    if len(data) > _MAX_FILE_BYTES:
        raise ConfigError(f"{where}: it is larger than 1 MiB")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{where}, line {line}: it is not UTF-8") from error


def parse_config(text: str, where: str) -> FileSettings:
    """Return what a configuration says; raises `ConfigError`, which names the file, the line and the key."""
    import tomllib  # noqa: PLC0415 - most starts have no file, and do not wait for it

    try:
        told = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        problem = clean_message(str(error)) if isinstance(error, ValueError) else "it is nested too deeply"
        raise ConfigError(f"{where}: {problem}") from error
    top = _Table(text, where, told, None)
    top.allow("hosts", "interval", "low_bandwidth", "health", "record")
    listed = told.get("hosts", [])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise top.error("hosts", "must be tables: write [[hosts]], and below it uri, name and read_only of one host")
    hosts = tuple(_host(_Table(text, where, each, number)) for number, each in enumerate(listed))
    for number, host in enumerate(hosts):
        if any(host.uri == other.uri for other in hosts[:number]):
            raise _Table(text, where, listed[number], number).error("uri", "is given twice; delete one of the two")
    interval_s = top.get("interval", (int, float), "a number of seconds, such as 2 or 0.5")
    try:
        interval_s = None if interval_s is None else check_interval(interval_s)
    except ConfigError as error:
        raise top.error("interval", f"cannot be used: {error}") from error
    low_bandwidth = top.get("low_bandwidth", bool, "true or false")
    told_health = top.get("health", dict, "a table: write [health], and below it its keys")
    limits = None if told_health is None else _limits(_Table(text, where, told_health, None, "health"))
    told_record = top.get("record", dict, "a table: write [record], and below it its keys")
    recordings = _recordings(_Table(text, where, told_record or {}, None, "record"))
    interval_s = None if interval_s is None else float(interval_s)
    return FileSettings(hosts, interval_s, bool(low_bandwidth), limits, recordings)


_PERCENT, _NUMBER, _DAYS = "a number of percent, from 1 to 100", "a number from 1 to 1000", "a number of days"
_LIMITS = {
    "pool_full_percent": ("pool_full", 0.01, 1, 100, _PERCENT),
    "ready_percent": ("ready", 0.01, 1, 100, _PERCENT),
    "pressure_percent": ("pressure", 0.01, 1, 100, _PERCENT),
    "vcpus_per_cpu": ("vcpus_per_cpu", 1, 1, 1000, _NUMBER),
    "snapshot_days": ("snapshot_days", 1, 0, 100_000, _DAYS),
}
"""Of each key of [health]: the limit it sets, what a 1 stands for, the least and the most, and what it shall be."""


def _limits(table: "_Table") -> "Limits":
    from kvmtui.model.findings import RULE_IDS, Limits  # noqa: PLC0415 - most starts have no such table

    table.allow(*_LIMITS, "ignore")
    given: dict[str, float] = {}
    for key, (name, unit, least, most, wanted) in _LIMITS.items():
        value = table.get(key, (int, float), wanted)
        if value is None:
            continue
        if not least <= value <= most:
            raise table.error(key, f"must be {wanted}")
        given[name] = value * unit
    ignore = table.get("ignore", list, 'a list of rules, such as ["iommu", "vm-agent"]') or []
    for rule in ignore:
        if not isinstance(rule, str) or rule not in RULE_IDS:
            known = ", ".join(sorted(RULE_IDS))
            raise table.error("ignore", f"has {clean(str(rule), 40)!r}, which is no rule; the rules are {known}")
    return Limits(**given, ignore=frozenset(ignore))


def _recordings(table: "_Table") -> RecordSettings:
    table.allow("max_mb", "max_days")
    usual = RecordSettings()
    wanted = "a number from {} to {}"
    megabytes = table.get("max_mb", (int, float), wanted.format(_LEAST_MB, _MOST_MB))
    days = table.get("max_days", (int, float), wanted.format(_LEAST_DAYS, _MOST_DAYS))
    if megabytes is not None and not _LEAST_MB <= megabytes <= _MOST_MB:
        raise table.error("max_mb", f"must be {wanted.format(_LEAST_MB, _MOST_MB)}")
    if days is not None and not _LEAST_DAYS <= days <= _MOST_DAYS:
        raise table.error("max_days", f"must be {wanted.format(_LEAST_DAYS, _MOST_DAYS)}")
    return RecordSettings(
        usual.most_bytes if megabytes is None else int(megabytes * 2**20),
        usual.most_days if days is None else float(days),
    )


def _host(table: "_Table") -> HostSetting:
    table.allow("uri", "name", "read_only")
    uri = table.get("uri", str, 'a text, such as "qemu+ssh://root@h1/system"')
    if uri is None:
        raise table.error("uri", "is missing")
    try:
        check_uri(uri)
    except ConfigError as error:
        raise table.error("uri", f"cannot be used: {error}") from error
    name = table.get("name", str, 'a text, such as "h1"')
    if name is not None and (not name.strip() or name != clean(name, _MAX_NAME)):
        problem = f"must be 1 to {_MAX_NAME} characters, none of them invisible"
        raise table.error("name", problem)
    return HostSetting(uri, name or "", bool(table.get("read_only", bool, "true or false")))


@dataclass(frozen=True, slots=True)
class _Table:
    """One table of the file, and where it stands."""

    text: str
    where: str
    values: dict[str, Any]
    number: int | None
    """Which of the [[hosts]], from 0; None: the top of the file, or the table `name`."""
    name: str = ""

    def allow(self, *keys: str) -> None:
        """Refuse every key but these."""
        for key in self.values:
            if key not in keys:
                raise self.error(key, f"is not known; known here: {', '.join(keys)}")

    def get(self, key: str, kind: type | tuple[type, ...], wanted: str) -> Any:
        """Return a value that is of the right type, or None where it is not given."""
        value = self.values.get(key)
        # To Python, true is a number.
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool)):
            raise self.error(key, f"must be {wanted}")
        return value

    def error(self, key: str, problem: str) -> ConfigError:
        """Return an error that says where."""
        line = self._line(key)
        place = self.where if line is None else f"{self.where}, line {line}"
        owner = f" of [{self.name}]" if self.name else "" if self.number is None else f" of host {self.number + 1}"
        return ConfigError(f"{place}: {clean(key, _MAX_NAME)!r}{owner} {problem}")

    def _line(self, key: str) -> int | None:
        """Return where the key stands, as far as that can be told without a parser."""
        number, host_line = None, None
        if self.name:
            return self._line_of_named(key)
        for count, line in enumerate(self.text.splitlines(), 1):
            header = re.match(r"\s*\[+\s*[\"']?([^\]\"']*?)[\"']?\s*\]", line)
            if header:
                number = (-1 if number is None else number) + (header.group(1) == "hosts")
                if number == self.number and host_line is None:
                    host_line = count
                if self.number is None and header.group(1) == key:
                    return count
            elif number == self.number and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*=""", line):
                return count
        return host_line

    def _line_of_named(self, key: str) -> int | None:
        header = ""
        for count, line in enumerate(self.text.splitlines(), 1):
            if found := re.match(r"\s*\[+\s*[\"']?([^\]\"']*?)[\"']?\s*\]", line):
                header = found.group(1)
            elif header == self.name and re.match(rf"""\s*["']?{re.escape(key)}["']?\s*=""", line):
                return count
        return None
