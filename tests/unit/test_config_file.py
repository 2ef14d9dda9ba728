"""The configuration file: what it may say, and that what it must not say is told with file, line and key."""

import os
from pathlib import Path

import pytest

from kvmtui.config import ConfigError, HostSetting, RecordSettings
from kvmtui.config_file import FileSettings, config_file, parse_config, read_config
from kvmtui.model.findings import Limits

H1 = 'uri = "qemu+ssh://h1/system"'


def test_what_it_may_say() -> None:
    text = f"""
    interval = 0.5
    low_bandwidth = true
    hosts = [{{{H1}, name = "rack 1", read_only = true}}, {{uri = "test:///default"}}]
    """
    hosts = (HostSetting("qemu+ssh://h1/system", "rack 1", True), HostSetting("test:///default"))
    assert parse_config(text, "f") == FileSettings(hosts, 0.5, True)
    assert parse_config("", "f") == FileSettings()


def test_limits_of_health() -> None:
    text = """
    [health]
    pool_full_percent = 80
    ready_percent = 2.5
    vcpus_per_cpu = 8
    ignore = ["iommu", "vm-agent"]
    """
    found = parse_config(text, "f").limits
    assert found == Limits(pool_full=0.8, ready=0.025, vcpus_per_cpu=8, ignore=frozenset({"iommu", "vm-agent"}))


def test_how_much_of_recordings_is_kept() -> None:
    assert parse_config("[record]\nmax_mb = 20\nmax_days = 0.5", "f").recordings == RecordSettings(20 << 20, 0.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("record = 1", "f, line 1: 'record' must be a table: write [record]"),
        ("[record]\nmax = 1", "f, line 2: 'max' of [record] is not known; known here: max_mb, max_days"),
        ("[record]\nmax_mb = 1", "f, line 2: 'max_mb' of [record] must be a number from 5 to 1000000"),
        ("[record]\nmax_days = nan", "f, line 2: 'max_days' of [record] must be a number from 0.01 to 10000"),
        ("health = 1", "f, line 1: 'health' must be a table: write [health]"),
        ("[health]\npool = 1", "f, line 2: 'pool' of [health] is not known; known here: pool_full_percent"),
        ("[health]\n\nready_percent = 0", "f, line 3: 'ready_percent' of [health] must be a number of percent"),
        ("[health]\nready_percent = nan", "line 2: 'ready_percent' of [health] must be a number of percent"),
        ("[health]\nready_percent = '5'", "line 2: 'ready_percent' of [health] must be a number of percent"),
        ("[health]\nignore = 'iommu'", "line 2: 'ignore' of [health] must be a list of rules"),
        ("[health]\nignore = ['x']", "line 2: 'ignore' of [health] has 'x', which is no rule; the rules are cg"),
        ("[health]\nignore = [[1]]", "line 2: 'ignore' of [health] has '[1]', which is no rule"),
        ("interval = 3\n\ninterval = 4\n", "f: Cannot overwrite a value (at line 3"),
        ("interval =", "f: Invalid value (at end of document)"),
        ("a = " + "[" * 100_000, "f: it is nested too deeply"),
        ("a = " + "1" * 10_000, "f: "),
        ("colour = 1", "f, line 1: 'colour' is not known; known here: hosts, interval, low_bandwidth, health"),
        ("\n[theme]\nx = 1", "f, line 2: 'theme' is not known"),
        ('"in\\u202everted" = 1', "f: 'in\ufffdverted' is not known"),
        ("interval = true", "f, line 1: 'interval' must be a number of seconds"),
        ('interval = "1"', "f, line 1: 'interval' must be a number of seconds"),
        ("interval = 0", "f, line 1: 'interval' cannot be used: the interval must be between 0.2 and 60 seconds"),
        ("interval = nan", "the interval must be between 0.2 and 60 seconds"),
        ("low_bandwidth = 1", "f, line 1: 'low_bandwidth' must be true or false"),
        ("hosts = 1", "f, line 1: 'hosts' must be tables: write [[hosts]]"),
        (f"[hosts]\n{H1}", "f, line 1: 'hosts' must be tables: write [[hosts]]"),
        ('hosts = ["qemu:///system"]', "f, line 1: 'hosts' must be tables"),
        ('[[hosts]]\nname = "h1"', "f, line 1: 'uri' of host 1 is missing"),
        (f"[[hosts]]\n{H1}\n[[hosts]]\nuri = 7", "f, line 4: 'uri' of host 2 must be a text"),
        (f"[[hosts]]\n{H1}\n[[hosts]]\nuri = 'x'", "line 4: 'uri' of host 2 cannot be used: 'x' is not a libvirt URI"),
        (f"[[hosts]]\n{H1}\n\n[[hosts]]\n{H1}", "f, line 5: 'uri' of host 2 is given twice"),
        (f"[[hosts]]\n{H1}\nname = 1", "f, line 3: 'name' of host 1 must be a text"),
        (f"[[hosts]]\n{H1}\nname = ' '", "f, line 3: 'name' of host 1 must be 1 to 60 characters"),
        (f'[[hosts]]\n{H1}\nname = "a\\u001bb"', "f, line 3: 'name' of host 1 must be 1 to 60 characters"),
        (f"[[hosts]]\n{H1}\nreadonly = true", "'readonly' of host 1 is not known; known here: uri, name, read"),
        (f"[[hosts]]\n{H1}\nread_only = 'yes'", "f, line 3: 'read_only' of host 1 must be true or false"),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_what_it_must_not_say(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "f")
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


def test_where_it_is(tmp_path: Path) -> None:
    assert config_file({}, tmp_path) == tmp_path / ".config/kvmtui/config.toml"
    assert config_file({"XDG_CONFIG_HOME": "/x"}, tmp_path) == Path("/x/kvmtui/config.toml")


def assert_refused(file: Path, *words: str, required: bool = False) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(file, required=required)
    for word in (str(file), *words):
        assert word in str(caught.value)


def test_a_file_that_is_not_there_is_missed_only_when_it_was_asked_for(tmp_path: Path) -> None:
    assert read_config(tmp_path / "none", required=False) == FileSettings()
    assert_refused(tmp_path / "none", "no such file", required=True)


def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("interval = 3")
    file.chmod(0o644)
    assert read_config(file, required=False).interval_s == 3
    for mode in (0o664, 0o646):
        file.chmod(mode)
        assert_refused(file, "others may write to it", '"chmod go-w"')


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("interval = 3")
    os.chown(file, 65534, 65534)
    assert_refused(file, "it belongs to somebody else")


def test_what_is_no_file_or_no_text_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path, "it is not a file")
    os.mkfifo(tmp_path / "pipe")
    assert_refused(tmp_path / "pipe", "it is not a file")
    (tmp_path / "latin").write_bytes(b"interval = 1\n# \xe9\n")
    assert_refused(tmp_path / "latin", "line 2: it is not UTF-8")
    (tmp_path / "large").write_bytes(b"#" * (1024 * 1024 + 1))
    assert_refused(tmp_path / "large", "larger than 1 MiB")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert_refused(tmp_path / "loop", "Too many levels of symbolic links")
