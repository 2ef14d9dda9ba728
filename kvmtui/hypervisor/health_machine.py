"""What /proc and /sys of this machine say of its health; what a file does not say is unknown."""

import ctypes
import grp
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from kvmtui.hypervisor.local import parse_pressure
from kvmtui.model.clean import clean
from kvmtui.model.health import Machine, Temperature

T = TypeVar("T")
CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "blkio")
"""The cgroup controllers that libvirt uses, by their names in the first version of cgroups."""
_UNSYNCHRONISED = 0x40
_WRITABLE = stat.S_IROTH | stat.S_IWOTH, stat.S_IRGRP | stat.S_IWGRP
_TABLES = {"VT-x": "DMAR", "AMD-V": "IVRS"}
_MOST_SENSORS = 200


def read_machine(root: Path = Path("/")) -> Machine:
    """Return what is told below `root`."""
    virtualisation = _maybe(lambda: _virtualisation(root))
    swap = _maybe(lambda: _swap(root)) or (None, None)
    return Machine(
        virtualisation=virtualisation,
        kvm_device=_maybe(lambda: _kvm_device(root)),
        nested=_maybe(lambda: _nested(root)),
        vhost_net=(root / "dev/vhost-net").exists(),
        tun=(root / "dev/net/tun").exists(),
        cgroups=_maybe(lambda: _cgroups(root)),
        iommu_table=_maybe(lambda: _iommu_table(root, virtualisation)),
        iommu_groups=bool(_maybe(lambda: os.listdir(root / "sys/kernel/iommu_groups"))),
        secure_guests=_maybe(lambda: _flag(root / "sys/module/kvm_amd/parameters/sev")),
        pressure=_maybe(lambda: _pressure(root)),
        swap_total_bytes=swap[0],
        swap_used_bytes=swap[1],
        swapped_pages=_maybe(lambda: int(_table(root / "proc/vmstat")["pswpin"])),
        load_15=_maybe(lambda: float((root / "proc/loadavg").read_text().split()[2])),
        cpus=_maybe(lambda: sum(line.startswith("cpu") for line in _lines(root / "proc/stat")) - 1),
        steal_fraction=_maybe(lambda: _steal(root)),
        temperatures=_maybe(lambda: _temperatures(root)),
        clock_synchronised=_maybe(_clock_synchronised),
    )


def ksm_running(root: Path = Path("/")) -> bool | None:
    """Return whether the kernel merges equal pages now."""
    return _maybe(lambda: int((root / "sys/kernel/mm/ksm/run").read_text()) == 1)


def process_state(pid: int, root: Path = Path("/")) -> str:
    """Return what is out of the ordinary with a process, as the end of "its process ..."; empty: nothing."""
    stopped = _maybe(lambda: (root / f"proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0])
    return {"T": "is stopped (SIGSTOP)", "t": "is held by a debugger", "Z": "has ended"}.get(stopped or "", "")


def _maybe(read: Callable[[], T]) -> T | None:
    """Return what is read, or None where that is not there or makes no sense."""
    try:
        return read()
    except (OSError, ValueError, LookupError, AttributeError):
        return None


def _lines(file: Path) -> list[str]:
    return file.read_text(errors="replace").splitlines()


def _table(file: Path) -> dict[str, str]:
    words = (line.partition(" ") for line in _lines(file))
    return {name.rstrip(":"): value for name, _, value in words}


def _flag(file: Path) -> bool:
    return file.read_text().strip() in ("1", "Y", "y")


def _virtualisation(root: Path) -> str | None:
    flags = next((set(line.split()) for line in _lines(root / "proc/cpuinfo") if line.startswith("flags")), None)
    if flags is None:
        return None
    return "VT-x" if "vmx" in flags else "AMD-V" if "svm" in flags else ""


def _kvm_device(root: Path) -> str:
    try:
        found = (root / "dev/kvm").stat()
    except FileNotFoundError:
        return "is missing"
    others, group = _WRITABLE
    owner = _maybe(lambda: grp.getgrgid(found.st_gid).gr_name) or str(found.st_gid)
    if found.st_mode & others == others or (found.st_mode & group == group and found.st_gid != 0):
        return ""
    return f"has mode {stat.S_IMODE(found.st_mode):03o} and group {owner}: QEMU's user cannot open it"


def _nested(root: Path) -> bool:
    files = [root / f"sys/module/{module}/parameters/nested" for module in ("kvm_intel", "kvm_amd")]
    return _flag(next((file for file in files if file.exists()), files[0]))


def _cgroups(root: Path) -> Mapping[str, bool]:
    mounts = [line.split() for line in _lines(root / "proc/self/mounts")]
    old = {option for mount in mounts if mount[2] == "cgroup" for option in mount[3].split(",")}
    unified = next((mount[1] for mount in mounts if mount[2] == "cgroup2"), None)
    new: set[str] = set()
    if unified is not None:
        new = set((root / unified.lstrip("/") / "cgroup.controllers").read_text().split())
        if new:
            # libvirt's own reading: accounting needs no controller any more, devices are guarded by BPF.
            new |= {"cpuacct", "devices"} | ({"blkio"} if "io" in new else set())
    return {name: name in old or name in new for name in CONTROLLERS}


def _iommu_table(root: Path, virtualisation: str | None) -> bool | None:
    table = _TABLES.get(virtualisation or "")
    return None if table is None else (root / "sys/firmware/acpi/tables" / table).exists()


def _pressure(root: Path) -> Mapping[str, float]:
    return {
        name: parse_pressure((root / "proc/pressure" / name).read_text(), "avg60") for name in ("cpu", "memory", "io")
    }


def _swap(root: Path) -> tuple[int, int]:
    amounts = _table(root / "proc/meminfo")
    total, free = (int(amounts[name].split()[0]) * 1024 for name in ("SwapTotal", "SwapFree"))
    return total, total - free


def _steal(root: Path) -> float:
    # user nice system idle iowait irq softirq steal guest guest_nice (proc(5)); the last two are in the first two.
    times = [int(word) for word in _lines(root / "proc/stat")[0].split()[1:9]]
    return times[7] / sum(times)


def _temperatures(root: Path) -> tuple[Temperature, ...]:
    found: list[Temperature] = []
    for file in sorted((root / "sys/class/hwmon").glob("hwmon*/temp*_input"))[:_MOST_SENSORS]:
        start = file.name.removesuffix("input")
        celsius, *limits = [_degrees(file.with_name(f"{start}{kind}")) for kind in ("input", "crit", "max")]
        if celsius is None:
            continue
        chip, label = [_word(file.with_name(name)) for name in ("name", f"{start}label")]
        # Some chips give 0, or what no chip survives.
        high = next((limit for limit in limits if limit is not None and 20 < limit < 150), None)
        found.append(Temperature(clean(" ".join(filter(None, (chip, label))) or file.parent.name, 40), celsius, high))
    return tuple(found)


def _degrees(file: Path) -> float | None:
    return _maybe(lambda: int(file.read_text()) / 1000)


def _word(file: Path) -> str | None:
    return _maybe(lambda: file.read_text().strip())


class _Timex(ctypes.Structure):
    """The beginning of the kernel's struct timex, and room for the rest (adjtimex(2))."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def _clock_synchronised() -> bool:
    asked = _Timex()
    # With no modes it only tells.
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(asked)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    return not asked.status & _UNSYNCHRONISED
