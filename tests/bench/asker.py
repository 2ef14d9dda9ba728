"""Looks at one host once for every line on standard input, as the dashboard does every second."""

import sys

from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.libvirt_backend import LibvirtBackend

_ROWS = 40


def main() -> None:
    """Look until standard input ends."""
    uri = sys.argv[1]
    engine = Engine(LibvirtBackend(), [uri], read_only=True)
    engine.tick()
    keys = sorted((vm.key for vm in engine.fleet.vms()), key=lambda key: key.uuid)
    engine.show_interest(keys[0], keys[:_ROWS])
    print("ready", flush=True)
    for _ in sys.stdin:
        engine.tick()


if __name__ == "__main__":
    main()
