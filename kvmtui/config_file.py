"""The configuration file: where it is, what it may say, and every mistake in it named with its line."""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kvmtui.config import ConfigError, HostSetting, RecordSettings, check_interval, check_uri
from kvmtui.model.clean import clean, clean_message

if TYPE_CHECKING:
    from kvmtui.model.findings import Limits

_LEAST_MB, _MOST_MB, _LEAST_DAYS, _MOST_DAYS = 5, 1_000_000, 0.01, 10_000
_MAX_FILE_BYTES = 1024 * 1024
_MAX_NAME = 60


@dataclass(frozen=True, slots=True)
class FileSettings:
    """What the configuration file says; None: nothing."""

    hosts: tuple[HostSetting, ...] = ()
    interval_s: float | None = None
    low_bandwidth: bool = False
    limits: "Limits | None" = None
    """From where on something is wrong."""
    recordings: RecordSettings = field(default_factory=RecordSettings)


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
        mine = self.name or ("" if self.number is None else "hosts")
        assigned = re.compile(rf"""\s*["']?{re.escape(key)}["']?\s*=""")
        header, number, first = "", -1, None
        for count, line in enumerate(self.text.splitlines(), 1):
            if found := re.match(r"\s*\[+\s*[\"']?([^\]\"']*?)[\"']?\s*\]", line):
                header = found.group(1)
                number += header == "hosts"
                if not mine and header == key:
                    return count
                if header == mine == "hosts" and number == self.number:
                    first = count
            elif header == mine and self.number in (None, number) and assigned.match(line):
                return count
        return first
