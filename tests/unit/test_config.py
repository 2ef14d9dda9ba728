"""Settings and the default URI."""

from pathlib import Path

import pytest

from kvmtui import config
from kvmtui.config import ConfigError, check_demo, check_interval, check_uri, default_uri


@pytest.mark.parametrize(
    "uri",
    [
        "qemu:///system",
        "qemu:///session",
        "qemu+ssh://root@host/system",
        "qemu+ssh://root@host:2222/system?keyfile=/root/.ssh/id",
        "qemu+tcp://[::1]:16509/system",
        "qemu+unix:///system?socket=/run/libvirt/libvirt-sock",
        "qemu+unix:///?socket=/run/x",
        "test:///default",
    ],
)
def test_uris_that_are_taken(uri: str) -> None:
    assert check_uri(uri) == uri


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", "is not a libvirt URI"),
        ("host", "is not a libvirt URI"),
        ("qemu:/system", "is not a libvirt URI"),
        ("/system", "is not a libvirt URI"),
        ("qemu+ssh://host", "neither /system nor /session"),
        ("qemu:///", "neither /system nor /session"),
        ("qemu+ssh://host:port/system", "cannot be read"),
        ("qemu+ssh://[::1/system", "cannot be read"),
        ("qemu+ssh://host:99999/system", "cannot be read"),
        ("qemu:///system ", "a space or an unprintable character"),
        ("qemu:///sys\ntem", "a space or an unprintable character"),
        ("qemu:///\x1b[2Jsystem", "a space or an unprintable character"),
    ],
)
def test_uris_that_are_not(uri: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_uri(uri)
    text = str(caught.value)
    assert says in text
    assert "for example qemu:///system" in text
    assert text.isprintable()


def test_bounds() -> None:
    assert check_interval(0.2) == 0.2
    assert check_demo(20_000) == 20_000
    for seconds in (0, 0.1, -1, 61, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match=r"between 0\.2 and 60 seconds"):
            check_interval(seconds)
    for vms in (0, -1, 20_001):
        with pytest.raises(ConfigError, match="1 to 20000 VMs"):
            check_demo(vms)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    """An empty libvirt.conf of the user's own."""
    file = tmp_path / ".config" / "libvirt" / "libvirt.conf"
    file.parent.mkdir(parents=True)
    file.touch()
    return file


def test_the_variables_come_first_virshs_own_before_libvirts(tmp_path: Path, conf: Path) -> None:
    conf.write_text('uri_default = "qemu:///conf"\n')
    both = {"VIRSH_DEFAULT_CONNECT_URI": "qemu:///virsh", "LIBVIRT_DEFAULT_URI": "qemu:///libvirt"}
    assert default_uri(both, tmp_path, root=False) == "qemu:///virsh"
    assert default_uri(both | {"VIRSH_DEFAULT_CONNECT_URI": ""}, tmp_path, root=True) == "qemu:///libvirt"


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ('uri_default = "qemu+ssh://h/system"', "qemu+ssh://h/system"),
        ("# about\nuri_aliases = []\n  uri_default='qemu:///x'\n", "qemu:///x"),
        ('#uri_default = "qemu:///system"', "qemu:///session"),
        ("uri_default = \n", "qemu:///session"),
        ("", "qemu:///session"),
    ],
)
def test_then_the_users_configuration(tmp_path: Path, conf: Path, text: str, uri: str) -> None:
    conf.write_text(text)
    assert default_uri({}, tmp_path, root=False) == uri


def test_the_configuration_folder_can_be_elsewhere(tmp_path: Path, conf: Path) -> None:
    conf.write_text('uri_default = "qemu:///conf"\n')
    assert default_uri({"XDG_CONFIG_HOME": str(tmp_path / ".config")}, Path("/nowhere"), root=False) == "qemu:///conf"


def test_a_configuration_that_cannot_be_read_is_none(tmp_path: Path, conf: Path) -> None:
    conf.write_bytes(b'uri_default = "qemu:///\xff"\n')
    assert default_uri({}, tmp_path, root=False) == "qemu:///session"
    assert default_uri({}, tmp_path / "nowhere", root=False) == "qemu:///session"


def test_root_reads_the_systems_configuration_and_means_the_system(
    tmp_path: Path, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf.write_text('uri_default = "qemu:///users"\n')
    read: list[Path] = []
    monkeypatch.setattr(config, "_uri_default", read.append)
    assert default_uri({}, tmp_path, root=True) == "qemu:///system"
    assert read == [Path("/etc/libvirt/libvirt.conf")]
