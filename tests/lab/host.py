"""Turns fresh namespaces into one host with a libvirt of its own; runs inside them, started by the keeper."""

import json
import os
import shutil
import sys
import uuid
from pathlib import Path

import libvirt

from tests.lab import guests
from tests.lab.tools import CLEAN_ENVIRONMENT, LabError, run

#: The folders that are a host's own, by their name in the lab's folder.
OWN_FOLDERS = {
    "etc": Path("/etc/libvirt"),
    "lib": Path("/var/lib/libvirt"),
    "log": Path("/var/log/libvirt"),
    "cache": Path("/var/cache/libvirt"),
    "run": Path("/run/libvirt"),
}

SWITCH = "switch"
LINK = "lab0"


def migration_address(index: int) -> str:
    """Return the address of the host with this number (from 1) on the network that joins the hosts."""
    return f"10.77.0.{index}"


def main() -> None:
    """Set the host up, say on one line how that went, and hold its namespaces open for as long as the lab lives."""
    folder, name, index, image = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    # This /proc is still the machine's, so here and only here a process learns its number outside the lab.
    pid = int(os.readlink("/proc/self"))
    try:
        _write_configuration(folder, index)
        _isolate(folder, image)
        _join_network(name, index)
        start_daemon("virtlogd")
        start_daemon("libvirtd")
        _define_network_and_pool()
    except (LabError, OSError, libvirt.libvirtError) as error:
        print(json.dumps({"error": f"host {name}: {error}"}), flush=True)
        return
    print(json.dumps({"pid": pid}), flush=True)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    os.execvpe("sleep", ["sleep", "infinity"], CLEAN_ENVIRONMENT)  # noqa: S606


def daemon_command(name: str) -> list[str]:
    """Return the command that starts a daemon and returns when it accepts clients."""
    return [name, "--daemon", "--pid-file", f"/run/libvirt/{name}.pid"]


def start_daemon(name: str) -> None:
    """Start a daemon of this host."""
    run(*daemon_command(name))


def _write_configuration(folder: Path, index: int) -> None:
    for name in OWN_FOLDERS:
        (folder / name).mkdir(parents=True, mode=0o755)
    etc = folder / "etc"
    # Not a copy of the machine's folder: that could hold somebody's guests, set to start by themselves.
    if Path("/etc/libvirt/nwfilter").is_dir():
        shutil.copytree("/etc/libvirt/nwfilter", etc / "nwfilter")
    address = migration_address(index)
    _write(
        etc / "libvirtd.conf",
        # libvirt takes two hosts of one UUID for one host and refuses to migrate.
        host_uuid=str(uuid.uuid4()),
        auth_unix_rw="none",
        auth_unix_ro="none",
        # The lab's folder, closed to everybody but its user, guards the sockets.
        unix_sock_rw_perms="0777",
        unix_sock_ro_perms="0777",
        log_outputs="3:file:/var/log/libvirt/libvirtd.log",
    )
    _write(
        etc / "qemu.conf",
        migration_host=address,
        migration_address=address,
        # Profiles and huge pages belong to the machine, and the host has no other mounts to hide from its guests.
        security_driver="none",
        hugetlbfs_mount=[],
        namespaces=[],
        stdio_handler="logd",
        # What a cut between the hosts looks like is seen before they themselves give up, however slow the machine is.
        keepalive_interval=20,
    )
    hosts = "".join(f"{migration_address(number)} h{number}\n" for number in (1, 2))
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
    _write(etc / "virtlogd.conf", max_size=2 * 1024 * 1024, max_backups=1)


def _write(path: Path, **settings: str | int | list[str]) -> None:
    """Write settings in libvirt's syntax, which for these types is JSON's."""
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))


def _isolate(folder: Path, image: Path) -> None:
    """Mount the host's own folders over the machine's; `unshare` has made all mounts private before."""
    run("mount", "-t", "proc", "proc", "/proc")
    # Without cgroups in sight libvirt uses none: two hosts' guests of one name and number would share a group.
    if Path("/sys/fs/cgroup").is_mount():
        run("umount", "--recursive", "/sys/fs/cgroup")
    # The old one shows the network devices of the machine.
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    # Hides the machine's D-Bus, systemd, udev and libvirt.
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    # libvirt locks a console's pty there (/var/lock points to it).
    Path("/run/lock").mkdir()
    for name, target in OWN_FOLDERS.items():
        target.mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", folder / name, target)
    if guests.domain_type() == "qemu" and Path("/dev/kvm").exists():
        # A KVM that emulates, or that QEMU's user may not open, has libvirt probe QEMU anew at every turn: 10 s each.
        (folder / "etc/no-kvm").touch(mode=0o000)
        run("mount", "--bind", folder / "etc/no-kvm", "/dev/kvm")
    # libvirt looks its own name up, and there is nobody to ask but this file.
    run("mount", "--bind", folder / "etc/hosts", "/etc/hosts")
    guests.CONSOLE_FOLDER.mkdir()
    guests.BOOT_FOLDER.mkdir()
    run("mount", "--bind", "-o", "ro", image, guests.BOOT_FOLDER)


def _join_network(name: str, index: int) -> None:
    """Name the host and plug its link into the switch, which lives in the network namespace of the keeper (PID 1)."""
    run("hostname", name)
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", LINK, "type", "veth", "peer", "name", name, "netns", "1")
    run("nsenter", "--target", "1", "--net", "ip", "link", "set", name, "master", SWITCH, "up")
    run("ip", "address", "add", f"{migration_address(index)}/24", "dev", LINK)
    run("ip", "link", "set", LINK, "up")


def _define_network_and_pool() -> None:
    connection = libvirt.open("qemu:///system")
    try:
        network = connection.networkDefineXML(guests.network_xml())
        network.setAutostart(1)
        network.create()
        pool = connection.storagePoolDefineXML(guests.pool_xml())
        pool.build()
        pool.setAutostart(1)
        pool.create()
    finally:
        connection.close()


if __name__ == "__main__":
    main()
