"""What of a URI is secret, and what it does besides connecting."""

import pytest

from kvmtui.model.actions import virsh_line
from kvmtui.model.uris import hide_secrets_of, is_near, risks, with_parameter, without_secrets


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("qemu:///system", "qemu:///system"),
        ("test:///default", "test:///default"),
        ("qemu+tcp://[::1]:16509/system", "qemu+tcp://[::1]:16509/system"),
        ("qemu+ssh://root@h1:22/system?no_tty=1", "qemu+ssh://root@h1:22/system?no_tty=1"),
        ("qemu+libssh2://root:geheim@h1/system", "qemu+libssh2://root:***@h1/system"),
        ("qemu+libssh2://root:ge@:heim@h1/system", "qemu+libssh2://root:***@h1/system"),
        ("qemu+ssh://h1/system?KeyFile=/k;x=1&pkipath=/p", "qemu+ssh://h1/system?KeyFile=***;x=1&pkipath=***"),
        ("cannot connect to 'esx://u:p@h/?x' or esx://v:q@i/", "cannot connect to 'esx://u:***@h/?x' or esx://v:***@i/"),
        ("no URI: at all", "no URI: at all"),
    ],
)  # fmt: skip
def test_secrets(uri: str, shown: str) -> None:
    assert without_secrets(uri) == shown
    assert without_secrets(shown) == shown


def test_secrets_of_a_uri_are_hidden_in_what_is_said_about_it() -> None:
    uri = "qemu+libssh://root:geh%20eim@h1/system?keyfile=/root/.ssh/id"
    said = "'geh%20eim' or 'geh eim' is wrong, and /root/.ssh/id is not accessible; see qemu+tcp://x:y@z/"
    assert hide_secrets_of(uri, said) == "'***' or '***' is wrong, and *** is not accessible; see qemu+tcp://x:***@z/"
    assert hide_secrets_of("qemu:///system", said) == without_secrets(said)


def test_the_virsh_line_has_no_secrets() -> None:
    assert (
        virsh_line("qemu+libssh://u:p@h/system", "start", "web1", "")
        == "virsh -c 'qemu+libssh://u:***@h/system' start web1"
    )


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("qemu:///system", ()),
        ("qemu+ssh://h1/system?keyfile=/k&no_tty=1&no_verify=0", ()),
        ("qemu+libssh://h1/system?known_hosts_verify=normal", ()),
        ("qemu+unix:///system?socket=/run/x", ()),
        ("qemu+ext:///system?command=/bin/tunnel", ("runs the program /bin/tunnel on this machine",)),
        ("QEMU+EXT:///system", ("runs the program (none is named) on this machine",)),
        ("qemu+ssh://h1/system?command=/bin/x", ("runs the program /bin/x on this machine",)),
        ("qemu+ssh://h1/system?a=1;COMM%61ND=%2Fbin%2Fx", ("runs the program /bin/x on this machine",)),
        ("qemu+ssh://u@h1/system?netcat=/bin/nc", ("runs the program /bin/nc on h1",)),
        ("qemu+ssh://h1/system?no_verify=1", ("accepts any host key",)),
        ("qemu+libssh2://h1/system?known_hosts_verify=auto", ("accepts any host key",)),
        ("qemu+ssh://h1/system?netcat=a&no_verify=1&command=b", ("program b", "program a", "accepts")),
    ],
)  # fmt: skip
def test_what_a_uri_does_besides_connecting(uri: str, words: tuple[str, ...]) -> None:
    found = risks(uri)
    assert len(found) == len(words)
    for risk, word in zip(found, words, strict=True):
        assert word in risk


@pytest.mark.parametrize(
    ("uri", "quiet"),
    [
        ("qemu+ssh://h1/system", "qemu+ssh://h1/system?no_tty=1"),
        ("qemu+ssh://h1/system?keyfile=a%20b", "qemu+ssh://h1/system?keyfile=a%20b&no_tty=1"),
        ("qemu+ssh://h1/system?no_tty=0;command=x#f", "qemu+ssh://h1/system?command=x&no_tty=1#f"),
        ("qemu+ssh://h1/system?NO%5FTTY=0", "qemu+ssh://h1/system?no_tty=1"),
    ],
)
def test_a_parameter_is_set_whatever_stood_there(uri: str, quiet: str) -> None:
    assert with_parameter(uri, "no_tty", "1") == quiet


@pytest.mark.parametrize(
    ("uri", "near"),
    [
        ("qemu:///system", True),
        ("qemu+unix:///system?socket=/run/x/libvirt-sock", True),
        ("qemu+ssh://h1/system", False),
        ("qemu+ssh:///system", False),
        ("qemu+ext:///system?command=/bin/x", False),
        ("qemu+tcp://127.0.0.1/system", False),
        ("qemu://h1/system", False),
        ("demo://h1", False),
    ],
)
def test_what_is_reached_by_a_socket_of_this_machine(uri: str, near: bool) -> None:
    assert is_near(uri) is near
