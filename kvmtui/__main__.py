"""The program's first steps, before anything that takes time is imported."""

import gc
import os
import sys

from kvmtui import __version__

STARTING = "kvmtui: starting"


def main() -> None:
    """Run kvmtui with the arguments of the process; does not return."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        os.write(1, f"kvmtui {__version__}\n".encode())
        os._exit(0)
    # Importing Textual takes a quarter of a second, in which a slow link would show nothing at all.
    screen = not arguments or (arguments[0].startswith("-") and not {"-h", "--help", "--version"} & set(arguments))
    if screen and all(os.isatty(number) for number in (0, 1, 2)):
        os.write(2, f"\r{STARTING}\r".encode())
    # Next to nothing of what a start makes is garbage: the collector is turned on when the first picture is out.
    gc.disable()
    from kvmtui.cli import main as run  # noqa: PLC0415

    run()


if __name__ == "__main__":
    main()
