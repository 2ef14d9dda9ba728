"""The serial console of a demo VM: a small shell that answers the same to the same keys."""

from codecs import getincrementaldecoder
from collections.abc import Callable

from kvmtui.hypervisor.demo.vm import DemoVm
from kvmtui.hypervisor.demo.world import DemoHost, World
from kvmtui.hypervisor.protocol import ConsoleSink
from kvmtui.model.vm import VmState

_KERNEL = "6.1.0-18-amd64"
_BLUE, _GREEN, _YELLOW, _RED, _RESET = "\x1b[1;34m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
_MAX_LINE = 1000
_LINK_BROKE = "the connection to the host broke"
_FLOOD_EVERY_S = 0.02
_FLOOD_BYTES = 100_000
"""As much as a guest on a virtio console writes in that time."""


class Shell:
    """A shell as a terminal sees it: bytes in, bytes out, no time and no threads of its own."""

    def __init__(self, vm: DemoVm, clock: Callable[[], float]) -> None:
        self._vm = vm
        self._clock = clock
        self.flood = ""
        """What it writes again and again until ^C."""
        self._line = ""
        self._login = False
        """Whether it asks who is there."""
        self._history: list[str] = []
        self._recalled = 0
        self._escape = ""
        self._decoder = getincrementaldecoder("utf-8")("replace")

    def banner(self) -> str:
        """Return what a fresh login shows."""
        spec = self._vm.spec
        return (
            f"\r\nDebian GNU/Linux 12 {spec.hostname} ttyS0\r\n\r\n"
            f"{spec.hostname} login: root (automatic login)\r\n\r\n"
            f"Linux {spec.hostname} {_KERNEL} x86_64\r\n"
            f"{_GREEN}A demo console: try help, uptime, free, ls, dmesg.{_RESET}\r\n{self.prompt}"
        )

    def boot_log(self) -> str:
        """Return what the kernel writes before the login."""
        return "\r\n" + self._dmesg().replace("\n", "\r\n") + "\r\n"

    @property
    def prompt(self) -> str:
        """What stands before the cursor."""
        return f"{self._vm.spec.hostname} login: " if self._login else f"root@{self._vm.spec.hostname}:~# "

    def feed(self, data: bytes) -> str:
        """Return what the guest writes when it is sent `data`."""
        return "".join(map(self._key, self._decoder.decode(data)))

    def _key(self, key: str) -> str:
        if self._escape or key == "\x1b":
            return self._escaped(key)
        if self.flood:
            if key != "\x03":
                return ""
            self.flood = ""
        if key in "\r\n":
            line, self._line = self._line, ""
            answer = "\r\n" + self._run(line)
            return answer if self.flood else answer + self.prompt
        if key in "\x7f\b":
            if not self._line:
                return ""
            self._line = self._line[:-1]
            return "\b \b"
        if key == "\x03":
            self._line = ""
            return "^C\r\n" + self.prompt
        if key == "\x04":
            return "" if self._line else "\r\n" + self._run("exit") + self.prompt
        if key == "\x15":
            return self._replace("")
        if key == "\x0c":
            return "\x1b[H\x1b[2J" + self.prompt + self._line
        if key < " " or len(self._line) >= _MAX_LINE:
            return ""
        self._line += key
        return key

    def _escaped(self, key: str) -> str:
        """Take a key of an escape sequence; only the arrows up and down mean something."""
        self._escape += key
        if len(self._escape) < 2 or self._escape in ("\x1b[", "\x1bO"):
            return ""
        if len(self._escape) < 16 and self._escape[1] == "[" and not "@" <= key <= "~":
            return ""
        sequence, self._escape = self._escape, ""
        if sequence[1] not in "[O" or key not in "AB" or not self._history:
            return ""
        self._recalled = max(0, min(len(self._history), self._recalled + (-1 if key == "A" else 1)))
        return self._replace(self._history[self._recalled] if self._recalled < len(self._history) else "")

    def _replace(self, line: str) -> str:
        erased, self._line = "\b \b" * len(self._line), line
        return erased + line

    def _run(self, line: str) -> str:
        if self._login:
            self._login = not line.strip()
            return ""
        words = line.split()
        if not words:
            return ""
        self._history.append(line)
        self._recalled = len(self._history)
        name, arguments = words[0], words[1:]
        if name == "clear":
            return "\x1b[H\x1b[2J"
        if name == "yes":
            said = f"{' '.join(arguments) or 'y'}\r\n"
            self.flood = said * (_FLOOD_BYTES // len(said))
            return ""
        if name in ("exit", "logout"):
            self._login = True
            return "logout\r\n\r\n"
        answer = {
            "help": lambda: "commands: clear dmesg echo exit free help hostname ls uname uptime yes",
            "hostname": lambda: self._vm.spec.hostname,
            "echo": lambda: " ".join(arguments),
            "uname": lambda: self._uname(arguments),
            "uptime": self._uptime,
            "free": self._free,
            "ls": lambda: f"{_BLUE}backup{_RESET}  install.log  notes.txt  {_BLUE}scripts{_RESET}",
            "dmesg": self._dmesg,
        }.get(name)
        text = answer() if answer else f"-bash: {name}: command not found"
        return text.replace("\n", "\r\n") + "\r\n"

    def _uname(self, arguments: list[str]) -> str:
        if "-a" in arguments:
            return f"Linux {self._vm.spec.hostname} {_KERNEL} #1 SMP PREEMPT_DYNAMIC Debian x86_64 GNU/Linux"
        return _KERNEL if "-r" in arguments else "Linux"

    def _uptime(self) -> str:
        now = self._clock()
        days, rest = divmod(int(max(0, now - self._vm.booted_at_s)), 86_400)
        hours, minutes = rest // 3600, rest % 3600 // 60
        since, load = self._vm.executed_s(now), self._vm.spec.cpu
        loads = [(load.total(since) - load.total(max(0, since - span))) / span for span in (60, 300, 900)]
        return f" up {days} days, {hours:2d}:{minutes:02d},  1 user,  load average: " + ", ".join(
            f"{value:.2f}" for value in loads
        )

    def _free(self) -> str:
        total = int(self._vm.spec.memory_bytes * 0.97) // 1024
        used = self._vm.used_bytes(self._vm.executed_s(self._clock())) // 1024
        cached = (total - used) * 3 // 5
        return (
            "               total        used        free      shared  buff/cache   available\n"
            f"Mem:     {total:11d} {used:11d} {total - used - cached:11d} {4096:11d} {cached:11d} {total - used:11d}\n"
            f"Swap:    {0:11d} {0:11d} {0:11d}"
        )

    def _dmesg(self) -> str:
        spec = self._vm.spec
        lines = [
            ("0.000000", f"Linux version {_KERNEL} (debian-kernel@lists.debian.org)"),
            ("0.000000", "Hypervisor detected: KVM"),
            ("0.004211", f"smp: Brought up 1 node, {spec.vcpus} CPUs"),
            ("0.151007", f"Memory: {spec.memory_bytes // 1024}K available"),
            ("0.842330", f"virtio_blk virtio2: [vda] {spec.disk_bytes // 512} 512-byte logical blocks"),
            ("1.104518", "EXT4-fs (vda1): mounted filesystem with ordered data mode"),
            ("1.873902", f"{_YELLOW}systemd[1]: Configuration file is marked world-readable{_RESET}"),
            ("2.440150", f"{_RED}piix4_smbus 0000:00:01.3: SMBus base address uninitialized{_RESET}"),
        ]
        return "\n".join(f"{_GREEN}[{stamp:>12}]{_RESET} {text}" for stamp, text in lines)


class DemoConsole:
    """An open console. What is typed while the guest stands still waits for it, as in a UART."""

    def __init__(self, world: World, host: DemoHost, vm: DemoVm, sink: ConsoleSink, device: str) -> None:
        self._world = world
        self._host = host
        self.vm = vm
        self.device = device
        self.usurped = False
        self._run = vm.id
        self._booted_at_s = vm.booted_at_s
        self._links_lost = host.links_lost
        self._sink = sink
        self._shell = Shell(vm, world.clock)
        self._waiting = b""
        self._pending = ""
        """What the guest writes as soon as it executes."""
        self._greeted = False
        self._closed = False
        self._flooding = False

    def occupies(self, vm: DemoVm, device: str) -> bool:
        """Whether it is attached to that device of that VM."""
        return self.vm is vm and self.device == device and not self.usurped

    def write(self, data: bytes) -> int:
        """Send keys to the guest; the answer goes to the sink before this returns, unless the guest stands still."""
        with self._world.transact():
            self._waiting = (self._waiting + data)[-_MAX_LINE:]
            call = self.review()
        if call:
            call()
        return len(data)

    def send_break(self) -> str:
        """Let the guest see a break on the line, which its kernel answers."""
        with self._world.transact():
            self._pending += "\r\n[  314.159265] sysrq: HELP : loglevel(0-9) reboot(b) crash(c) sync(s) unmount(u)\r\n"
            call = self.review()
        if call:
            call()
        return "break sent"

    def close(self) -> None:
        """Detach; the guest does not notice."""
        with self._world.transact():
            self._detach()

    def review(self) -> Callable[[], None] | None:
        """Answer what was typed, or end because the guest or the link did; under the lock."""
        if self._closed:
            return None
        if (ending := self._ending()) is not None:
            self._detach()
            by_host = ending != _LINK_BROKE
            return lambda: self._sink.ended(ending, by_host=by_host)
        if not self.vm.responsive or self._host.hung:
            return None
        text, self._pending = self._pending, ""
        if self._booted_at_s != self.vm.booted_at_s:
            # The run goes on and with it the stream; what the guest ran does not.
            self._booted_at_s = self.vm.booted_at_s
            self._shell = Shell(self.vm, self._world.clock)
            text += self._shell.boot_log() + self._shell.banner()
        elif not self._greeted:
            text += self._shell.banner()
        self._greeted = True
        text += self._shell.feed(self._waiting)
        self._waiting = b""
        if self._shell.flood and not self._flooding:
            self._flooding = True
            self._world.schedule(self._world.clock() + _FLOOD_EVERY_S, self._flood)
        output = text.encode()
        return (lambda: self._sink.output(output)) if output else None

    def _flood(self, due_s: float) -> None:
        """Write as much as a fast guest does until the next time."""
        self._flooding = bool(self._shell.flood) and not self._closed
        if self._flooding:
            self._pending = self._shell.flood
            self._world.schedule(due_s + _FLOOD_EVERY_S, self._flood)
            self._world.wake()

    def _ending(self) -> str | None:
        if self.usurped:
            return "another client took the console over"
        if self._host.down is not None or self._host.links_lost != self._links_lost:
            return _LINK_BROKE
        if self.vm.id == self._run:
            return None
        if self.vm.state is VmState.SHUT_OFF and self.vm.reason == "migrated":
            return "the VM was migrated to another host"
        return "the VM was shut off"

    def _detach(self) -> None:
        self._closed = True
        if self in self._world.attachments:
            self._world.attachments.remove(self)
