"""The console where there is no terminal emulator for the platform: the screen is given to `virsh console`."""

import shutil
import signal
import subprocess
import sys
from typing import Any

from textual.app import App, SuspendNotSupported

# virsh hands the guest's bytes to the terminal as they are: undo what a program there may have set. Leave the
# alternate screen, reset softly, no mouse, no bracketed paste.
_CALM = "\x18\x1b[?1049l\x1b[!p\x1b[?1000;1002;1003;1006;2004l\x1b[m"


def run_virsh_console(app: App[Any], uri: str, uuid: str, device: str | None, where: str, why: str) -> str:
    """Suspend the app, attach to the console in the foreground, and return what to say afterwards.

    `device` is one of its `VmConfig.consoles`, None: the first; `where` is "web1 on h1", `why` says why there is no
    console inside. No shell is involved.
    """
    virsh = shutil.which("virsh")
    if virsh is None:
        return f"no console: {why}; and virsh is not installed"
    # Safe: only where libvirt sees to it that nobody else has the console.
    command = [virsh, "-c", uri, "console", uuid, "--safe", *(("--devname", device) if device else ())]
    try:
        with app.suspend():
            sys.stdout.write(f"{why}.\nvirsh console of {where}; ^] leaves and returns to kvmtui.\n")
            sys.stdout.flush()
            # ^C before virsh has the terminal ends virsh, not kvmtui. An ignored signal would be inherited.
            before = signal.signal(signal.SIGINT, lambda *_: None)
            try:
                code = _run(command)
            finally:
                signal.signal(signal.SIGINT, before)
            sys.stdout.write(_CALM)
            sys.stdout.flush()
    except SuspendNotSupported:
        return f"no console: {why}; and this terminal cannot be given to virsh"
    return f"virsh console of {where}: {'left' if code == 0 else f'ended with code {code}'}"


def _run(command: list[str]) -> int:
    """Run a command until it ends, or a signal that ends kvmtui; the app's loop, which stands still, takes that up."""
    process: subprocess.Popen[bytes] | None = None
    told = False

    def end(*_: object) -> None:
        nonlocal told
        told = True
        if process is not None:
            process.terminate()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        process = subprocess.Popen(command)  # noqa: S603 - virsh by its path, and no shell
        if told:
            process.terminate()
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
