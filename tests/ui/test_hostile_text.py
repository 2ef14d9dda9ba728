"""Names, errors and paths that attack the terminal: what the real program writes to it holds no byte of theirs that
does anything.

libvirt's own test driver is the host; its binding is made to tell what no honest host tells.
"""

import io
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvmtui.hypervisor.errors import LibraryMissing
from kvmtui.hypervisor.library import libvirt
from tests.terminal import Terminal

#: Their sequences have this number, which no sequence of the program's own has.
MARK = "7777"
NASTY = (
    f"a\x1b[{MARK}m",
    f"b\x1b]52;c;{MARK}\x07",
    f"c\x1bP{MARK}\x1b\\",
    f"d\x9b{MARK}m",
    f"e\x9d0;{MARK}\x9c",
    "f\u202eexe.gpj",
    "g\u2066x\u2069\u200f",
    "h\r\n\t\x08\x7f\x00x",
    "i[b]bold[/b]",
    "j[@click=app.bell]z[/]",
    "k[/]",
    "l\\[x]",
    "m" * 300,
    "n\U0001f600\u200d\U0001f525",
    "o" + "\u0301" * 50,
    "-c",
    "..",
    "p\"q'r`$(id)",
    "s\ufeff\u2028\u2029\u0085t",
    "t\ud800u",
    "u\U000e0041v",
    "  w ",
)
EVERYTHING = "".join(f"{name}|" for name in NASTY[:12])

_SPACE, _OFF = "xmlns:test='http://libvirt.org/schemas/domain/test/1.0'", "<test:runstate>5</test:runstate>"

HOST = """
import sys
import libvirt
import kvmtui.engine.audit
from tests.ui.test_hostile_text import EVERYTHING, NASTY, definition

kvmtui.engine.audit._SYSLOG = None

def fail(*arguments):
    raise libvirt.libvirtError(EVERYTHING)

open_auth = libvirt.openAuth
libvirt.openAuth = lambda uri, *rest: fail() if "down" in uri else open_auth(uri, *rest)
libvirt.virConnect.getHostname = lambda self: NASTY[0] + "host" if "h1" in self.getURI() else "h2"
libvirt.virConnect.storageVolLookupByPath = fail
libvirt.virDomain.name = lambda self: NASTY[int(self.UUIDString()[-4:], 16)]
libvirt.virDomain.XMLDesc = lambda self, flags: definition()
for verb in ("suspend", "destroy", "destroyFlags", "openConsole"):
    setattr(libvirt.virDomain, verb, fail)
from kvmtui.cli import main
main()
"""


def definition() -> str:
    """Return a definition with several consoles, all its words nasty as far as XML allows."""
    words = [re.sub("[\x00-\x1f\ud800]", "\x9b", name).replace("&", "").replace("<", "") for name in NASTY]
    quoted = [word.replace('"', "") for word in words]
    disks = "".join(f'<disk><source file="/x/{word}"/><target dev="{word}"/></disk>' for word in quoted[:6])
    cards = "".join(f'<interface><mac address="{word}"/><source network="{word}"/></interface>' for word in quoted[:6])
    consoles = "".join(f'<serial type="pty"><alias name="{word}"/></serial>' for word in quoted[:6])
    return f"<domain type='qemu'><devices>{disks}{cards}{consoles}</devices></domain>"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """The program on two such hosts and one that is down, all its output kept."""
    try:
        libvirt()
    except LibraryMissing:
        pytest.skip("the libvirt binding is missing")
    domains = "".join(
        f"<domain type='test' {_SPACE}><name>vm{number}</name><uuid>00000000-0000-4000-8000-00000000{number:04x}</uuid>"
        f"<memory>65536</memory><os><type>hvm</type></os>{_OFF if number == 1 else ''}</domain>"
        for number in range(len(NASTY))
    )
    nodes = {"h1": domains, "h2": "", "down": ""}
    for name, held in nodes.items():
        (tmp_path / f"{name}.xml").write_text(f"<node>{held}</node>")
    arguments = [word for name in nodes for word in ("-c", f"test://{tmp_path}/{name}.xml")]
    variables = {"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    with Terminal(arguments, columns=160, rows=50, code=HOST, variables=variables) as made:
        made.process.logfile_read = io.BytesIO()
        yield made


# What the program itself sends: control sequences, the shape of the mouse pointer, and what moves the cursor.
_SEQUENCE = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b]22;[a-z]+\x07")
_MOVES = "\r\n\b\v"


def assert_harmless(output: bytes) -> None:
    text = output.decode()
    assert not re.search(f"\x1b\\[[0-?]*{MARK}", text)
    left = _SEQUENCE.sub("", text)
    acts = {f"U+{ord(character):04X}" for character in left if _acts(character)}
    assert not acts


def _acts(character: str) -> bool:
    return character not in _MOVES and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def test_nothing_nasty_reaches_the_terminal(terminal: Terminal) -> None:
    for words in (("i[b]bold[/b]", "running"), ("j[@click=app.bell]z[/]",), ("k[/]",), ("l\\[x]",), ("p\"q'r`$(id)",)):
        terminal.see(*words)
    terminal.see(f"a\ufffd[{MARK}mhost")
    terminal.see("down", f"a\ufffd[{MARK}m|b\ufffd]52;c;{MARK}\ufffd|")
    # Through all of them, with their details.
    for _ in NASTY:
        terminal.press("j")
    terminal.press("gjjjj")
    # Of one that is off, disks and networks are shown.
    terminal.see("disks", f"a\ufffd[{MARK}m /x/a\ufffd[{MARK}m")
    terminal.press("g")
    terminal.see("▸   w ")

    def act(keys: str, *words: str) -> None:
        terminal.press(keys)
        terminal.see(*words)

    def leave(keys: str, *words: str) -> None:
        terminal.press(keys)
        terminal.wait(lambda: not terminal.line(*words), f"no {words}")

    act("/", "filter")
    act("mm", "1 of 22 VMs")
    # Whatever follows at once would be taken for a part of Esc's own sequence.
    leave("\x1b", "of 22 VMs")
    act("*", "marked")
    act("K", "Yes", "No")
    terminal.see("and 13 more")
    leave("\x1b", "and 13 more")
    act("U", "i[b]bold[/b]")
    for down in range(0, len(NASTY), 3):
        terminal.press("g" + "j" * down)
        act("p", "pause", "failed")
        act("K", "Yes", "No")
        act("y", "force off", "failed")
        act("\r", "Enter does it")
        leave("\x1b", "Enter does it")
    act("m", "CHECKS")
    leave("\x1b", "CHECKS")
    # Its consoles are known when its definition has been read.
    terminal.see("emulated, no KVM")
    act("c", "Which console of")
    act("\r", "f\ufffdexe.gpj|")
    terminal.press("\x1d")
    terminal.press("q")
    act("J", "What was done", "")
    terminal.press("G")
    terminal.press("q")
    act("A", "What was done, in all sessions")
    act("f", "What was done to")
    terminal.press("q")
    terminal.press("q")
    terminal.end()
    assert_harmless(terminal.process.logfile_read.getvalue())


@pytest.mark.parametrize("name", NASTY[:8] + NASTY[18:21])
def test_the_check_sees_each_of_them(name: str) -> None:
    with pytest.raises((AssertionError, UnicodeError)):
        assert_harmless(f"\x1b[1;1H{name}\x1b[0m".encode())
