"""Running the machine's own tools, and the one kind of error the lab shows its user."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]

#: Daemons and tools get this and nothing else: no D-Bus address, no socket activation, no proxy of the caller.
CLEAN_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class LabError(Exception):
    """What stops the lab, as one line that says what to do."""


def run(
    *command: str | Path,
    feed: bytes | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] = CLEAN_ENVIRONMENT,
    timeout_s: float = 120.0,
) -> str:
    """Return what a tool printed; raise LabError with its last line of complaint when it fails."""
    arguments = [str(part) for part in command]
    try:
        done = subprocess.run(
            arguments,
            input=feed,
            cwd=folder,
            env=dict(environment),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError:
        raise LabError(f"{arguments[0]} is not installed: run 'make setup'") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(arguments[:3])} did not end within {timeout_s:.0f} s") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise LabError(f"{' '.join(arguments[:3])} failed: {said[-1] if said else f'exit code {done.returncode}'}")
    return done.stdout.decode(errors="replace")


def need_tools(names: Sequence[str]) -> None:
    """Raise LabError naming every one of the tools that this machine lacks."""
    missing = [name for name in names if shutil.which(name, path=CLEAN_ENVIRONMENT["PATH"]) is None]
    if missing:
        raise LabError(f"this machine lacks {', '.join(missing)}: run 'make setup'")


def need_root() -> None:
    """Raise LabError unless this process may make namespaces."""
    if os.geteuid() != 0:
        raise LabError("the lab makes namespaces and needs root: put 'sudo' before the command")
