"""The faults as a table: what breaks, how it is chosen, and how it is mended."""

import contextlib
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

import libvirt

from tests.lab.lab import Host
from tests.lab.tools import LabError
from tests.soak.field import COLUMNS, LEAST_COLUMNS, LEAST_ROWS, ROWS, Field, define

#: A fault does its harm and tells whether it could.
Begin = Callable[[Field, Random], bool]


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table."""

    name: str
    begin: Begin
    weight: int = 2
    at_terminal: bool = False
    """Whether it is done by the thread that reads the terminal."""


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _hang_qemu(field: Field, pick: Random) -> bool:
    name, seconds = pick.choice(field.real), pick.uniform(2, 12)
    host = field.host_of(name)
    if host is None or field.is_broken(f"qemu {name}"):
        return False
    pid = host.qemu_pid(name)
    _send(pid, signal.SIGSTOP)
    field.break_for(f"qemu {name}", f"QEMU of {name} stopped", seconds, partial(_send, pid, signal.SIGCONT))
    return True


def _kill_qemu(field: Field, pick: Random) -> bool:
    name = pick.choice(field.real)
    host = field.host_of(name)
    if host is None:
        return False
    _send(host.qemu_pid(name), signal.SIGKILL)
    return True


def _kill_daemon(field: Field, pick: Random) -> bool:
    host, seconds = pick.choice(field.hosts), pick.uniform(0, 12)
    if not field.reachable(host):
        return False
    _send(host.libvirtd_pid, signal.SIGKILL)
    field.break_for(f"daemon {host.name}", f"libvirtd of {host.name} killed", seconds, partial(_start_daemon, host))
    return True


def _start_daemon(host: Host) -> None:
    try:
        host.start_libvirtd()
    except LabError:
        # It is slow to start beside many others; what is there by then is what counts.
        host.restart_libvirtd()


def _restart_daemon(field: Field, pick: Random) -> bool:
    host = pick.choice(field.hosts)
    if not field.reachable(host):
        return False
    _send(host.libvirtd_pid, signal.SIGTERM)
    field.break_for(f"daemon {host.name}", f"libvirtd of {host.name} ended", 0.0, host.restart_libvirtd)
    return True


def _stop_daemon(field: Field, pick: Random) -> bool:
    host, seconds = pick.choice(field.hosts), pick.uniform(1, 16)
    if not field.reachable(host):
        return False
    pid = host.libvirtd_pid
    _send(pid, signal.SIGSTOP)
    mend = partial(_send, pid, signal.SIGCONT)
    field.break_for(f"daemon {host.name}", f"libvirtd of {host.name} stopped", seconds, mend)
    return True


def _cut_link(field: Field, pick: Random) -> bool:
    host, seconds = pick.choice(field.hosts), pick.uniform(1, 8)
    if field.is_broken(f"link {host.name}"):
        return False
    host.link(False)
    field.break_for(f"link {host.name}", f"link of {host.name} cut", seconds, partial(host.link, True))
    return True


def _undefine(field: Field, pick: Random) -> bool:
    name, seconds = pick.choice(sorted(field.specs)), pick.uniform(0.5, 5)
    if field.is_broken(f"definition {name}"):
        return False
    for host in filter(field.reachable, field.hosts):
        field.taken_away.add(name)
        try:
            host.virsh("undefine", name, timeout_s=10)
        except LabError:
            continue
        mend = partial(redefine, field, host, name)
        field.break_for(f"definition {name}", f"{name} undefined on {host.name}", seconds, mend)
        return True
    return False


def redefine(field: Field, host: Host, name: str) -> None:
    """Define a VM again, where its host answers and no other has it by now."""
    if not field.reachable(host):
        return
    with contextlib.suppress(LabError, libvirt.libvirtError):
        others = [other for other in field.hosts if other is not host and field.reachable(other)]
        if any(name in other.virsh("list", "--all", "--name", timeout_s=10).split() for other in others):
            return
        connection = host.connect()
        try:
            define(connection, field.specs[name], real=name in field.real)
        finally:
            connection.close()


def _behind(command: str, *options: str) -> Begin:
    def begin(field: Field, pick: Random) -> bool:
        name = pick.choice(field.real)
        for host in filter(field.reachable, field.hosts):
            with contextlib.suppress(LabError):
                host.virsh(command, name, *options, timeout_s=30)
                return True
        return False

    return begin


def _resize(field: Field, pick: Random) -> bool:
    sizes = [(1, 1), (20, 5), (LEAST_COLUMNS, LEAST_ROWS), (100, 30), (250, 70)]
    columns, rows = pick.choice(sizes)
    seconds = pick.uniform(0.5, 4)
    if field.is_broken("terminal"):
        return False
    field.resize(columns, rows)
    mend = partial(field.resize, COLUMNS, ROWS)
    field.break_for("terminal", f"terminal of {columns}x{rows}", seconds, mend)
    return True


def _hold_program(field: Field, pick: Random) -> bool:
    seconds = pick.uniform(0.5, 6)
    if field.is_broken("program"):
        return False
    field.hold(True)
    field.break_for("program", "kvmtui stopped", seconds, partial(field.hold, False))
    return True


FAULTS = (
    Fault("QEMU stopped", _hang_qemu, 3),
    Fault("QEMU killed", _kill_qemu, 1),
    Fault("libvirtd killed", _kill_daemon),
    Fault("libvirtd restarted", _restart_daemon),
    Fault("libvirtd stopped", _stop_daemon),
    Fault("link cut", _cut_link),
    Fault("undefined behind its back", _undefine),
    Fault("destroyed behind its back", _behind("destroy")),
    # Another call than kvmtui's own, so that the daemons' log tells them apart.
    Fault("started behind its back", _behind("start", "--force-boot"), 3),
    Fault("terminal resized", _resize, at_terminal=True),
    Fault("kvmtui stopped", _hold_program, at_terminal=True),
)
