"""How connections are opened: nothing is ever asked on the terminal, and what is missing is said."""

from pathlib import Path

import pytest

from kvmtui.hypervisor import library
from kvmtui.hypervisor.errors import ConnectFailed, NotPermitted
from kvmtui.hypervisor.library import open_uri

NODE = """
<node><auth><user password="geheim">alice</user></auth>
<domain type="test"><name>a</name><memory>1</memory><os><type>hvm</type></os></domain></node>
"""
AUTH = "[credentials-t]\n{}\n[auth-test-default]\ncredentials=t\n"


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A host of libvirt's test driver that lets nobody in without a password."""
    (tmp_path / "node.xml").write_text(NODE)
    monkeypatch.setenv("LIBVIRT_AUTH_FILE", str(tmp_path / "auth.conf"))
    return f"test://{tmp_path}/node.xml"


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("known", "says"), [("authname=bob", "user name"), ("username=alice", "asks for a password: use an ssh key")]
)
def test_what_a_host_asks_for_is_said_and_not_waited_for(
    guarded: str, tmp_path: Path, read_only: bool, known: str, says: str
) -> None:
    (tmp_path / "auth.conf").write_text(AUTH.format(known))
    with pytest.raises(NotPermitted) as caught:
        open_uri(guarded, read_only=read_only)
    assert says in str(caught.value)
    assert "auth.conf" in str(caught.value)


def test_what_libvirt_has_in_its_own_file_lets_in(guarded: str, tmp_path: Path) -> None:
    (tmp_path / "auth.conf").write_text(AUTH.format("username=alice\npassword=geheim"))
    assert open_uri(guarded, read_only=False).getType() == "TEST"


def test_a_prompt_is_cleaned() -> None:
    questions: list[str] = []
    assert library._answer_nothing([[6, "trust \x1b[2J\u202e?", "", "", None]], questions) == -1
    assert library._answer_nothing([[99, None, None, None, None]], questions) == -1
    assert questions == [
        "the host asks something that kvmtui does not answer: trust \ufffd[2J\ufffd?",
        "the host asks something that kvmtui does not answer",
    ]


@pytest.mark.parametrize("said", ["ssh: connect to host h1 port 22: No route to host", "connect to host h1"])
def test_who_speaks_is_named_once(said: str) -> None:
    shown = library._of_ssh(f"Cannot recv data: {said}: Connection reset by peer")
    assert shown == f"ssh: {said.removeprefix('ssh: ')}"


def test_a_scheme_that_nobody_has_is_named() -> None:
    with pytest.raises(ConnectFailed, match="foo:// with a host stands for TLS; over ssh it is foo"):
        open_uri("foo://127.0.0.1/system?pkipath=/nonexistent", read_only=True)


def test_ssh_never_asks_and_its_complaint_has_no_secret_and_an_advice(tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    # It ends after libvirt has sent something: before that, libvirt may tell only that it is gone.
    ssh.write_text(
        '#!/bin/sh\necho "$@" > "$0.log"\nhead -c 4 > "$0.got"\necho "Permission denied (publickey)." >&2\nexit 255\n'
    )
    ssh.chmod(0o700)
    with pytest.raises(ConnectFailed) as caught:
        open_uri(f"qemu+ssh://u:geheim@h/system?command={ssh}&keyfile=/root/.ssh/id&no_tty=0", read_only=True)
    said = str(caught.value)
    assert "Permission denied" in said
    assert "kvmtui gives no password: use an ssh key with ssh-agent" in said
    assert "geheim" not in said
    assert "/root/.ssh" not in said
    words = (tmp_path / "ssh.log").read_text()
    assert "BatchMode=yes" in words
    assert "StrictHostKeyChecking=no" not in words
