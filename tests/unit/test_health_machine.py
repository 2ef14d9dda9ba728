"""What is read of a machine from a made-up /proc, /sys and /dev."""

from pathlib import Path

import pytest

from kvmtui.hypervisor.health_machine import CONTROLLERS, ksm_running, process_state, read_machine

FILES = {
    "proc/cpuinfo": "processor : 0\nflags\t\t: fpu vmx sse\n",
    "proc/self/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
    "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
    "proc/meminfo": "MemTotal: 1000 kB\nSwapTotal:       2048 kB\nSwapFree:        512 kB\n",
    "proc/vmstat": "nr_free_pages 1\npswpin 77\npswpout 3\n",
    "proc/loadavg": "1.00 2.00 3.50 1/100 12345\n",
    "proc/stat": "cpu  90 0 0 0 0 0 0 10 0 0\ncpu0 1 1\ncpu1 1 1\nintr 5\n",
    "proc/pressure/cpu": "some avg10=1.00 avg60=25.00 avg300=0.00 total=0\n",
    "proc/pressure/memory": "some avg10=1.00 avg60=0.50 avg300=0.00 total=0\n",
    "proc/pressure/io": "some avg10=1.00 avg60=0.00 avg300=0.00 total=0\n",
    "sys/module/kvm_intel/parameters/nested": "Y\n",
    "sys/firmware/acpi/tables/DMAR": "x",
    "sys/kernel/iommu_groups/0/type": "DMA",
    "sys/class/hwmon/hwmon0/name": "coretemp\n",
    "sys/class/hwmon/hwmon0/temp1_input": "91000\n",
    "sys/class/hwmon/hwmon0/temp1_label": "Package id 0\n",
    "sys/class/hwmon/hwmon0/temp1_crit": "90000\n",
    "sys/class/hwmon/hwmon0/temp2_input": "n/a\n",
    "sys/kernel/mm/ksm/run": "1\n",
    "proc/42/stat": "42 (qemu) T (x) 1) T 1 2 3\n",
    "dev/net/tun": "",
    "dev/kvm": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "dev/kvm").chmod(0o666)
    return tmp_path


def test_what_is_there(root: Path) -> None:
    machine = read_machine(root)
    assert (machine.virtualisation, machine.kvm_device, machine.nested) == ("VT-x", "", True)
    assert (machine.vhost_net, machine.tun, machine.iommu_table, machine.iommu_groups) == (False, True, True, True)
    assert machine.cgroups == dict.fromkeys(CONTROLLERS, True)
    assert machine.pressure == {"cpu": 0.25, "memory": 0.005, "io": 0.0}
    assert (machine.swap_total_bytes, machine.swap_used_bytes) == (2048 * 1024, 1536 * 1024)
    assert (machine.swapped_pages, machine.load_15, machine.cpus, machine.steal_fraction) == (77, 3.5, 2, 0.1)
    assert machine.temperatures is not None
    assert [(each.name, each.celsius, each.high_celsius) for each in machine.temperatures] == [
        ("coretemp Package id 0", 91.0, 90.0)
    ]
    assert ksm_running(root) is True
    assert process_state(42, root) == "is stopped (SIGSTOP)"
    assert process_state(43, root) == ""


def test_where_nothing_is_there_nothing_is_claimed(tmp_path: Path) -> None:
    machine = read_machine(tmp_path)
    unknown = (machine.virtualisation, machine.nested, machine.cgroups, machine.pressure, machine.swap_used_bytes)
    assert unknown == (None,) * 5
    assert (machine.load_15, machine.cpus, machine.steal_fraction, machine.iommu_table) == (None,) * 4
    assert not machine.temperatures
    assert machine.kvm_device == "is missing"
    assert ksm_running(tmp_path) is None


@pytest.mark.parametrize("name", ["proc/meminfo", "proc/stat", "proc/loadavg", "proc/pressure/io", "proc/self/mounts"])
def test_a_strange_file_is_unknown(root: Path, name: str) -> None:
    (root / name).write_bytes(b"\xff\x00 nonsense\n\n")
    machine = read_machine(root)
    told = {
        "proc/meminfo": machine.swap_total_bytes,
        "proc/stat": machine.steal_fraction,
        "proc/loadavg": machine.load_15,
        "proc/pressure/io": machine.pressure,
        "proc/self/mounts": machine.cgroups,
    }
    assert told[name] is None


def test_a_device_that_qemu_cannot_open(root: Path) -> None:
    (root / "dev/kvm").chmod(0o600)
    assert (read_machine(root).kvm_device or "").startswith("has mode 600 and group ")


def test_old_cgroups_and_a_missing_one(root: Path) -> None:
    (root / "proc/self/mounts").write_text(
        "cgroup /c/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\ncgroup /c/memory cgroup rw,memory 0 0\n"
    )
    there = {"cpu": True, "cpuacct": True, "cpuset": False, "memory": True, "devices": False, "blkio": False}
    assert read_machine(root).cgroups == there


def test_an_amd_without_an_iommu(root: Path) -> None:
    (root / "proc/cpuinfo").write_text("flags : svm\n")
    machine = read_machine(root)
    assert (machine.virtualisation, machine.iommu_table) == ("AMD-V", False)
    (root / "proc/cpuinfo").write_text("flags : sse\n")
    machine = read_machine(root)
    assert (machine.virtualisation, machine.iommu_table) == ("", None)
