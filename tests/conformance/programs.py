"""What is recorded: each program's files, how it is started, and what is typed."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.lab.image import cache_folder, get_image


class Step(Protocol):
    """Types `keys` (`<down>` is that key), waits until the screen at rest shows `see`, and keeps the output."""

    def __call__(self, label: str, keys: str = "", see: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Program:
    """One recording: `prepare` fills an empty folder and returns the command, `play` types."""

    name: str
    prepare: Callable[[Path], list[str]]
    play: Callable[[Step], None]
    tools: tuple[str, ...]
    term: str = "xterm-256color"
    environment: Mapping[str, str] = field(default_factory=dict)


SHELL = ["busybox", "ash", "-i"]

SAMPLE = '''\
"""Greets the world; 世界 is wide, and e\u0301 and a\u0308 are two characters each."""

import sys

NAMES = {"en": "world", "zh": "世界", "ko": "세계", "ja": "せかい"}
FRAME = "┌─┬─┐ │ ├─┼─┤ └─┴─┘ ░▒▓█"


def greet(name: str, times: int = 3) -> None:
\tfor number in range(times):  # a tab
\t\tprint(f"{number:>5} Hello, {name}!", file=sys.stderr)


class Greeter:
    """A class, for its colour."""

    def __init__(self) -> None:
        self.count = 0x2A + 1_000


if __name__ == "__main__":
    for key, value in NAMES.items():
        greet(value)
'''

VIMRC = r"""
syntax on
set number hlsearch incsearch laststatus=2 ruler showcmd noswapfile viminfo= background=dark
set list listchars=tab:»·,trail:· fillchars=vert:│
let &t_SI = "\e[6 q"
let &t_SR = "\e[4 q"
let &t_EI = "\e[2 q"
highlight Search cterm=reverse,bold
highlight Comment cterm=italic ctermfg=245
highlight Identifier cterm=underline ctermfg=39
"""


def _vim(folder: Path) -> list[str]:
    (folder / "sample.py").write_text(SAMPLE + "".join(f"# line {n}: {'=' * (n % 60)}\n" for n in range(60)))
    (folder / "vimrc").write_text(VIMRC)
    return SHELL


def _play_vim(step: Step) -> None:
    step("a shell", see="$")
    step("vim opens", "vim -N -u vimrc -i NONE sample.py<enter>", see="Greets")
    step("a split", ":vsplit\r", see="│")
    step("a search", "/name\r", see="/name")
    step("selected lines", "ggV3j", see="VISUAL")
    step("scrolled by a page", "<escape>\x06", see="line")
    step("scrolled by lines", "\x05\x05\x05\x19")
    step("lines deleted and put", "5ddkp")
    step("a second split", ":split\r", see="│")
    step("scrolled inside the small window", "\x05\x05\x05\x05")
    step("only one", ":only\rgg", see="Greets")
    step("scrolled at full width", "\x05\x05\x05\x05\x19")
    step("lines deleted", "gg5dd", see="FRAME")
    step("lines put back", "P", see="Greets")
    step("insert", "Onew 世界 e\u0301 text", see="INSERT")
    step("replace", "<escape>0Rold", see="REPLACE")
    step("true colours", "<escape>:set termguicolors\r:colorscheme desert\r\x0c", see="old")
    step("help", ":help\r", see="help.txt")
    step("back in the shell", ":qa!\r", see="$")


def _htop(folder: Path) -> list[str]:
    """A namespace with processes, host name and figures of its own: nothing of this machine is in the recording."""
    (folder / "meminfo").write_text(
        "MemTotal: 8000000 kB\nMemFree: 3000000 kB\nMemAvailable: 5000000 kB\nBuffers: 300000 kB\n"
        "Cached: 1500000 kB\nSReclaimable: 200000 kB\nShmem: 90000 kB\nSwapTotal: 2000000 kB\nSwapFree: 1500000 kB\n"
    )
    cpu = "700 20 300 4000 30 0 10 0 0 0"
    (folder / "stat").write_text(
        f"cpu {cpu}\ncpu0 {cpu}\ncpu1 {cpu}\nbtime 1700000000\nprocesses 99\nprocs_running 1\n"
    )
    (folder / "loadavg").write_text("0.42 0.23 0.08 1/9 9\n")
    (folder / "uptime").write_text("123456.00 200000.00\n")
    (folder / "htoprc").write_text(
        "hide_kernel_threads=1\nshow_program_path=0\nhighlight_base_name=1\nupdate_process_names=0\n"
    )
    (folder / "start").write_text(
        "hostname guest\n"
        "for file in meminfo stat loadavg uptime; do mount --bind $file /proc/$file; done\n"
        "for name in worker writer 'w 世界'; do (exec -a \"$name\" sleep 1000) & done\n"
        "(exec -a supervisor bash -c 'exec -a child sleep 1000 & wait') &\n"
        "exec -a init htop --delay=1000\n"
    )
    return ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--uts", "bash", "start"]


def _play_htop(step: Step) -> None:
    step("htop opens", see="supervisor")
    step("the tree", "<f5>", see="F5List")
    step("a line further", "<down><down>")
    step("signals", "<f9>", see="SIGTERM")
    step("no signal", "<escape><escape>", see="supervisor")
    step("setup", "<f2>", see="Categories")
    step("colours", "<down><down>", see="Colors")
    step("back", "<f10>", see="supervisor")


def _dialog(folder: Path) -> list[str]:
    (folder / "gauge").write_text("for percent in 10 35 60; do echo $percent; done; sleep 1000\n")
    return SHELL


def _play_dialog(step: Step) -> None:
    step("a shell", see="$")
    step(
        "a menu",
        "dialog --backtitle 'Conformance' --title 'A menu' --menu 'Choose one:' 12 50 4"
        " 1 First 2 Second 3 Third 4 Fourth\r",
        see="Fourth",
    )
    step("a choice", "<down><down>")
    step("chosen", "<enter>", see="$")
    step(
        "a checklist",
        "clear; dialog --colors --checklist '\\Z1red \\Zbbold\\Zn \\Zuunderlined' 12 50 3"
        " a Apples on b Pears off c Plums off\r",
        see="Plums",
    )
    step("checked", "<down> ")
    step("agreed", "<enter>", see="$")
    step("an input box", "clear; dialog --inputbox 'A name:' 8 40 guest\r", see="A name")
    step("typed", "-1<left><left>x")
    step("entered", "<enter>", see="$")
    step("a calendar", "clear; dialog --calendar 'A day' 3 40 24 11 2026\r", see="November")
    step("a day", "<tab><right><down>")
    step("given up", "<escape><escape>", see="$")
    step("a gauge", "clear; sh gauge | dialog --gauge 'Working' 8 50\r", see="60%")


def _ls(folder: Path) -> list[str]:
    for name in ("a", "b.txt", "archive.tar.gz", "picture.png", "世界.txt", "e\u0301te\u0301", "with space", "run.sh"):
        (folder / name).write_text("x" * len(name))
    (folder / "run.sh").chmod(0o755)
    (folder / "setuid").write_text("")
    (folder / "setuid").chmod(0o4755)
    (folder / "folder").mkdir()
    (folder / "sticky").mkdir()
    (folder / "sticky").chmod(0o1777)
    (folder / "link").symlink_to("a")
    (folder / "broken").symlink_to("nowhere")
    os.mkfifo(folder / "fifo")
    for number in range(30):
        (folder / "folder" / f"file{number:02}.{('c', 'zip', 'mp3', 'txt')[number % 4]}").write_text("")
    for path in sorted(folder.rglob("*")):
        os.utime(path, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
    return SHELL


def _play_ls(step: Step) -> None:
    step("a shell", see="$")
    step("colours", "eval $(dircolors -b); /bin/ls --color=auto -CF\r", see="folder")
    step("the long form", "/bin/ls --color=auto -lgo --time-style=+%F\r", see="nowhere")
    step("a folder", "/bin/ls --color=auto -C folder; /bin/ls --color=auto -x folder/*.c\r", see="file28.c")


def _busybox(folder: Path) -> list[str]:
    (folder / "poem").write_text("".join(f"{n:3} the quick brown fox jumps over the lazy dog\n" for n in range(1, 61)))
    return SHELL


def _play_busybox(step: Step) -> None:
    step("a shell", see="$")
    step("typed and mended", "ecco one<home><right><right><delete>h<end> two", see="echo one two")
    step("a word deleted", "\x17<enter>", see="\none")
    step("a line longer than the screen", "echo " + "0123456789" * 12, see="0123456789")
    step("its beginning, mended", "<home><right><right><right><right><right>INSERTED ")
    step("run", "<enter>", see="\nINSERTED")
    step("history", "<up><up>", see="echo one")
    step("completion", "\x15cat po\t", see="poem")
    step("scrolled", "<enter>", see=" 60 the")
    step("a search in the history", "\x12echo 0", see="echo 0")
    step("interrupted", "\x03", see="$")
    step("sleep", "sleep 1000\r")
    step("sleep interrupted", "\x03", see="$")
    step("less", "busybox less poem\r", see=" 20 the")
    step("less, further", "jjjj\x20k", see=" 40 the")
    step("less, search", "/60\r", see=" 60 the")
    step("no less", "q", see="$")
    step("vi", "busybox vi poem\r", see="poem")
    step("vi edits", "ddp5jonew 'line'<escape>", see="new 'line'")
    step("vi scrolls", "\x06\x05\x05G", see=" 60 the")
    step("vi saves", ":wq\r", see="$")


def _boot(folder: Path) -> list[str]:
    image = get_image(cache_folder(), print).folder
    command = [
        "qemu-system-x86_64", "-machine", "q35,graphics=off", "-accel", "tcg", "-cpu", "qemu64", "-m", "128",
        "-display", "none", "-chardev", "stdio,id=line,signal=off", "-serial", "chardev:line", "-monitor", "none",
        "-nic", "none", "-no-reboot", "-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initramfs"),
        "-append", "console=ttyS0 panic=1 mitigations=off nokaslr audit=0 no_timer_check lab.name=guest",
    ]  # fmt: skip
    # The guest ends its lines itself, as on a real serial line.
    return ["sh", "-c", 'stty raw -echo; exec "$@"', "sh", *command]


def _play_boot(step: Step) -> None:
    step("booted", see="guest:/#")
    step("ls", "ls --color=always -la / | head -40\r", see="sys")
    step("top", "top -d 100\r", see="COMMAND")
    step("no top", "q", see="guest:/#")
    step("vi", "vi /etc/profile\r", see="PS1")
    step("vi edits", "oexport EDITOR=vi<escape>", see="EDITOR")
    step("back in the shell", ":q!\r", see="guest:/#")
    step("cat", "yes | head -30; cat\r", see="y")
    step("interrupted", "\x03", see="guest:/#")
    step("cleared", "clear; dmesg | tail -5\r", see="guest:/#")


PROGRAMS = (
    Program("vim", _vim, _play_vim, ("vim", "busybox")),
    Program("htop", _htop, _play_htop, ("htop", "unshare", "bash"), environment={"HTOPRC": "htoprc"}),
    Program("dialog", _dialog, _play_dialog, ("dialog", "busybox")),
    # What a getty on a serial line offers: no UTF-8, lines by the DEC special character set.
    Program("dialog-vt220", _dialog, _play_dialog, ("dialog", "busybox"), "vt220", {"LANG": "C"}),
    Program("ls", _ls, _play_ls, ("ls", "dircolors", "busybox")),
    Program("busybox", _busybox, _play_busybox, ("busybox",), "linux"),
    Program("boot", _boot, _play_boot, ("qemu-system-x86_64", "busybox"), "linux"),
)
