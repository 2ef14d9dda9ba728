"""What can be provoked on real hosts is found, and gone when it is mended."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kvmtui.engine.checkup import Checked, check_up
from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.health_machine import read_machine
from kvmtui.hypervisor.libvirt_backend import LibvirtBackend
from kvmtui.model import findings_vms
from kvmtui.model.findings import Finding, Limits, Severity
from kvmtui.model.vm import VmKey
from tests.lab.conftest import GuestFactory, TinyFactory, connected
from tests.lab.guests import POOL_FOLDER, GuestSpec, guest_xml, tiny_xml, volume_xml
from tests.lab.lab import Host, Lab, wait_until
from tests.lab.population import console_output, remove, wait_ready
from tests.lab.processes import stopped

ROOT = Path(__file__).parents[2]
TMPFS = "/run/kvmtui-small"
NOBODY = "qemu+unix:///system?socket=/nonexistent/libvirt-sock"


def look(*hosts: Host, backend: LibvirtBackend | None = None, timeout_s: float = 10.0) -> Checked:
    """Look once, over the sockets of those who may only look."""
    return check_up(backend or LibvirtBackend(), [host.ro_uri for host in hosts], Limits(), timeout_s, {})


def found(checked: Checked, rule: str, least: Severity = Severity.NOTE) -> list[Finding]:
    return [each for each in checked.findings if each.rule == rule and each.severity >= least]


def see(host: Host, rule: str, here: Callable[[list[Finding]], object], what: str) -> list[Finding]:
    """Look until a rule says what it shall."""
    last: list[Finding] = []

    def says() -> object:
        last[:] = found(look(host), rule)
        return here(last)

    wait_until(says, f"{rule} to say {what}")
    return last


@pytest.fixture
def small_pool(lab: Lab) -> Iterator[Host]:
    """A pool on a file system of 8 MiB on h1."""
    lab.h1.inside("mkdir", "-p", TMPFS)
    lab.h1.inside("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", TMPFS)
    lab.h1.virsh("pool-define-as", "small", "dir", "--target", TMPFS)
    lab.h1.virsh("pool-start", "small")
    lab.h1.virsh("pool-autostart", "small")
    yield lab.h1
    if "small" in lab.h1.virsh("pool-list", "--name").split():
        lab.h1.virsh("pool-destroy", "small")
    lab.h1.virsh("pool-undefine", "small")
    lab.h1.inside("umount", TMPFS)


def test_pools_full_and_down(small_pool: Host) -> None:
    host = small_pool
    assert not found(look(host), "pool-full")
    host.inside("dd", "if=/dev/zero", f"of={TMPFS}/big", "bs=1M", "count=8")
    host.virsh("pool-refresh", "small")
    full = found(look(host), "pool-full")
    assert [(each.subject, each.severity) for each in full] == [("pool small", Severity.CRITICAL)]
    assert "100% full" in full[0].evidence
    host.inside("rm", f"{TMPFS}/big")
    host.virsh("pool-refresh", "small")
    assert not found(look(host), "pool-full")
    host.virsh("pool-destroy", "small")
    down = found(look(host), "pool-down")
    assert [(each.subject, each.advice) for each in down] == [("pool small", "virsh pool-start small")]
    host.virsh("pool-start", "small")
    assert not found(look(host), "pool-down")


@pytest.fixture
def watched(small_pool: Host) -> Iterator[tuple[GuestSpec, Engine]]:
    """A guest whose disk may grow beyond the small pool, and an engine that watches its host."""
    host, spec = small_pool, GuestSpec("full1", disk=True)
    xml = guest_xml(spec).replace(str(POOL_FOLDER), TMPFS).replace('period="2"', 'period="1"')
    engine = Engine(LibvirtBackend(), [host.ro_uri], read_only=True, limits=Limits())
    with connected(host) as connection:
        connection.storagePoolLookupByName("small").createXML(volume_xml(spec.volume))
        connection.defineXML(xml).create()
        try:
            engine.start()
            engine.show_interest(VmKey(host.ro_uri, spec.uuid), ())
            wait_ready(host, spec)
            yield spec, engine
        finally:
            engine.stop()
            remove(connection, spec.name)


def test_a_guest_that_tells_no_memory_and_a_disk_that_is_full(
    small_pool: Host, watched: tuple[GuestSpec, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, (spec, engine) = small_pool, watched
    monkeypatch.setattr(findings_vms, "_BALLOON_LATE_S", 2.0)

    def said(rule: str) -> set[tuple[str, Severity]]:
        return {(each.vm_name, each.severity) for each in engine.health.everything() if each.rule == rule}

    # Once is not enough to know how old its figures are.
    assert [each.severity for each in found(look(host), "vm-balloon", Severity.FINE)] == [Severity.UNTOLD]
    engine.health.look()
    wait_until(lambda: said("vm-balloon") == {("", Severity.FINE)}, "the guest to tell its memory")
    with connected(host) as connection:
        console = connection.newStream(0)
        connection.lookupByName(spec.name).openConsole(None, console, 0)
        wait_until(lambda: f"{spec.name}:/#" in console_output(host, spec), "its prompt")
        console.send(b"rmmod virtio_balloon\r")
        wait_until(lambda: said("vm-balloon") == {(spec.name, Severity.NOTE)}, "it to be found that it does not")
        console.send(b"insmod /modules/virtio_balloon.ko\r")
        wait_until(lambda: said("vm-balloon") == {("", Severity.FINE)}, "the guest to tell its memory again")

        checked = look(host)
        assert not found(checked, "vm-ended")
        assert [each.subject for each in found(checked, "pool-promised")] == ["pool small"]
        console.send(b"dd if=/dev/zero of=/dev/vda bs=1M count=20\r")
        paused = see(host, "vm-ended", len, "that it is paused")
        assert [(each.vm_name, each.severity, each.evidence) for each in paused] == [
            (spec.name, Severity.CRITICAL, "it is paused: I/O error")
        ]

        # QEMU says which disk it was, to those who listen.
        def named() -> bool:
            engine.health.look()
            return (spec.name, Severity.WARNING) in said("vm-disk-errors")

        wait_until(named, "the disk to be named")
        host.inside("mount", "-o", "remount,size=64m", TMPFS)
        host.virsh("resume", spec.name)
        wait_until(lambda: "20+0 records out" in console_output(host, spec), "the guest to have written it all")
        assert not found(look(host), "vm-ended")

        # It was told once; the next connection hears nothing of it.
        def listened_s() -> float:
            now = engine.health._looked[host.ro_uri].now
            return 0.0 if now is None or now.listened_s is None else now.listened_s

        before_s = listened_s()
        engine._pollers[host.ro_uri].lanes.drop("health")

        def connected_anew() -> bool:
            engine.health.look()
            return listened_s() < before_s

        wait_until(connected_anew, "a look over another connection")
        assert named()
        console.abort()
        host.virsh("destroy", spec.name)
        host.virsh("start", spec.name)
        wait_until(lambda: not named(), "it to be forgotten with the run that it happened in")


def test_a_network_that_is_down(lab: Lab) -> None:
    lab.h2.virsh("net-destroy", "default")
    try:
        assert [each.subject for each in found(look(lab.h2), "network-down")] == ["network default"]
    finally:
        lab.h2.virsh("net-start", "default")
    assert not found(look(lab.h2), "network-down")


def test_what_befalls_a_vm(lab: Lab, tiny: TinyFactory, tmp_path: Path) -> None:
    (name,) = tiny(lab.h1, 1)
    host = lab.h1
    # A change that waits for a restart.
    host.virsh("setvcpus", name, "2", "--maximum", "--config")
    host.virsh("setvcpus", name, "2", "--config")
    waiting = found(look(host), "vm-waiting")
    assert [(each.vm_name, "vCPUs 1 → 2" in each.evidence) for each in waiting] == [(name, True)]
    host.virsh("autostart", name)
    assert not found(look(host), "vm-autostart")
    host.virsh("destroy", name)
    checked = look(host)
    assert [each.vm_name for each in found(checked, "vm-autostart")] == [name]
    assert not found(checked, "vm-waiting")
    host.virsh("start", name, "--paused")
    checked = look(host)
    assert not found(checked, "vm-autostart")
    assert not found(checked, "vm-waiting")
    host.virsh("autostart", name, "--disable")
    # Somebody has talked to QEMU behind libvirt's back.
    assert not found(checked, "vm-tainted")
    host.virsh("qemu-monitor-command", name, "--hmp", "info status")
    assert [each.vm_name for each in found(look(host), "vm-tainted")] == [name]
    host.virsh("managedsave", name)
    assert [(each.vm_name, each.severity) for each in found(look(host), "vm-saved")] == [(name, Severity.NOTE)]
    host.virsh("managedsave-remove", name)
    # Nobody wants to go back to 2023.
    snapshot = tmp_path / "snapshot.xml"
    domain = host.virsh("dumpxml", name)
    snapshot.write_text(
        f"<domainsnapshot><name>old</name><state>shutoff</state><creationTime>1700000000</creationTime>{domain}"
        "</domainsnapshot>"
    )
    host.virsh("snapshot-create", name, str(snapshot), "--redefine")
    checked = look(host)
    assert not found(checked, "vm-saved")
    assert [each.vm_name for each in found(checked, "vm-snapshots")] == [name]
    host.virsh("snapshot-delete", name, "old")
    host.virsh("start", name, "--paused")
    assert not found(look(host), "vm-snapshots")
    os.kill(host.qemu_pid(name), signal.SIGKILL)
    ended = see(host, "vm-ended", len, "that its QEMU has ended")
    assert [(each.vm_name, each.evidence) for each in ended] == [(name, "it is shut off: crashed")]
    host.virsh("start", name, "--paused")
    assert not found(look(host), "vm-ended")


def test_a_qemu_that_stands_still_is_named_and_holds_nobody_up(
    lab: Lab, guest: GuestFactory, tiny: TinyFactory
) -> None:
    hung = guest(lab.h1, "hung1", wait=False)
    (other,) = tiny(lab.h1, 1)
    pid = lab.h1.qemu_pid(hung.name)
    assert not found(look(lab.h1), "vm-silent")
    with stopped(pid):
        # A busy machine lets it come to that a little later.
        wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", "it to stop")
        checked = look(lab.h1, lab.h2)
        assert [(each.vm_name, each.severity) for each in found(checked, "vm-silent")] == [("hung1", Severity.CRITICAL)]
        assert "SIGSTOP" in found(checked, "vm-silent")[0].evidence
        # Everything was told, for QEMU was not asked.
        assert not [each for each in checked.findings if each.severity is Severity.UNKNOWN]
        check_export_and_top(lab, hung.name, other)
    see(lab.h1, "vm-silent", lambda told: not told, "nothing")


def check_export_and_top(lab: Lab, hung: str, other: str) -> None:
    """See that a host that is not there, and a QEMU that hangs, cost the other figures nothing."""
    hosts = ["-c", NOBODY, "-c", lab.h1.ro_uri, "--interval", "1"]
    command = [sys.executable, "-m", "kvmtui", "export", "--prometheus", "--listen", "127.0.0.1:0", *hosts]
    export = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert export.stderr is not None
        url = export.stderr.readline().split()[-1]
        before = cpu_time_s(lab.h1, other)
        command = [sys.executable, "-m", "kvmtui", "top", "--json", "-n", "2", *hosts]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
        assert (ended.returncode, ended.stderr) == (1, "")
        told = [json.loads(line) for line in ended.stdout.splitlines()]
        assert [each["link"] for each in told if each["kind"] == "host"] == ["down", "up"] * 2
        last = {each["name"]: each for each in told if each["kind"] == "vm" and each["look"] == 2}
        assert {hung, other} <= last.keys()
        stats = lab.h1.virsh("domstats", "--balloon", other)
        allocated = 1024 * int(stats.partition("balloon.current=")[2].split()[0])
        assert last[other]["memory_allocated_bytes"] == allocated

        samples: dict[str, float] = {}

        def tells() -> bool:
            samples.clear()
            samples.update(scrape(url))
            silent = of(samples, "libvirt_domain_monitor_silent_seconds")
            return bool(silent) and other in of(samples, "libvirt_domain_stats_age_seconds")

        wait_until(tells, "a scrape to name the QEMU that hangs, and to tell what only the other's knows")
        assert of(samples, "libvirt_domain_monitor_silent_seconds").keys() == {hung}
        assert hung not in of(samples, "libvirt_domain_stats_age_seconds")
        assert sorted(of(samples, "libvirt_up").values()) == [0, 1]
        assert of(samples, "libvirt_domain_info_memory_usage_bytes")[other] == allocated
        # libvirt tells it in hundredths of a second.
        counted = of(samples, "libvirt_domain_info_cpu_time_seconds_total")[other]
        assert before - 0.02 <= counted <= cpu_time_s(lab.h1, other) + 0.02
    finally:
        export.terminate()
        export.communicate(timeout=60)
    assert export.returncode == -signal.SIGTERM


def cpu_time_s(host: Host, name: str) -> float:
    return int(host.virsh("domstats", "--cpu-total", name).partition("cpu.time=")[2].split()[0]) / 1e9


def scrape(url: str) -> dict[str, float]:
    """Return the samples of a scrape, by their names with labels; it waits for nobody."""
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310
        lines = answer.read().decode().splitlines()
    return {key: float(value) for key, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def of(samples: dict[str, float], name: str) -> dict[str, float]:
    """Return the samples of that name by domain, or by host where they are of hosts."""
    return {
        key.partition('domain="' if "domain=" in key else 'host="')[2].partition('"')[0]: value
        for key, value in samples.items()
        if key.startswith(f"{name}{{")
    }


def test_a_vm_that_runs_twice(lab: Lab) -> None:
    xml = tiny_xml("twice1")
    try:
        for host in lab.hosts:
            with connected(host) as connection:
                connection.defineXML(xml).create()
        twice = found(look(*lab.hosts), "vm-twice")
        assert [(each.vm_name, each.host_name, each.severity) for each in twice] == [
            ("twice1", "h1", Severity.CRITICAL),
            ("twice1", "h2", Severity.CRITICAL),
        ]
        lab.h2.virsh("destroy", "twice1")
        assert not found(look(*lab.hosts), "vm-twice")
    finally:
        for host in lab.hosts:
            with connected(host) as connection:
                remove(connection, "twice1")


def test_a_machine_that_swaps_and_waits(lab: Lab, tmp_path: Path) -> None:
    files = {
        "proc/meminfo": "SwapTotal: 1000 kB\nSwapFree: 50 kB\n",
        "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        "proc/pressure/memory": "some avg10=0.00 avg60=31.00 avg300=0.00 total=0\n",
        "proc/pressure/io": "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    backend = LibvirtBackend()
    backend.root = tmp_path
    checked = look(lab.h1, backend=backend)
    assert "95% of swap" in found(checked, "swap", Severity.CRITICAL)[0].evidence
    assert [each.subject for each in found(checked, "pressure", Severity.WARNING)] == ["memory"]
    (tmp_path / "proc/meminfo").write_text("SwapTotal: 1000 kB\nSwapFree: 900 kB\n")
    (tmp_path / "proc/pressure/memory").write_text(files["proc/pressure/io"])
    checked = look(lab.h1, backend=backend)
    assert not found(checked, "swap")
    assert not found(checked, "pressure")


def test_a_host_that_hangs_and_one_that_is_not_there(lab: Lab) -> None:
    command = [sys.executable, "-m", "kvmtui", "check", "--json", "--timeout", "2", "-c", NOBODY]
    for host in lab.hosts:
        command += ["-c", host.ro_uri]
    with stopped(lab.h2.libvirtd_pid):
        ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    told: dict[str, Any] = json.loads(ended.stdout)
    assert [host["answered"] for host in told["hosts"]] == [False, True, False]
    links = {each["host_uri"]: each["evidence"] for each in told["findings"] if each["rule"] == "link"}
    assert "Failed to connect socket" in links[NOBODY]
    assert "no answer for 2 s" in links[lab.h2.ro_uri]
    assert told["exit_code"] == ended.returncode
    assert ended.returncode in (2, 3)


_SHARED = {
    "hardware virtualization": "virtualisation",
    "device /dev/vhost-net": "vhost-net",
    "device /dev/net/tun": "tun",
    "device assignment IOMMU": "iommu",
    "secure guest": "secure-guests",
    "/dev/kvm": "kvm-device",
    "cgroup": "cgroups",
}


def test_it_agrees_with_virt_host_validate(lab: Lab) -> None:
    validated = subprocess.run(["virt-host-validate", "qemu"], capture_output=True, text=True, check=False)
    checked = look(lab.h1)
    ours = {rule: max(each.severity for each in found(checked, rule, Severity.FINE)) for rule in _SHARED.values()}
    # It says of each cgroup controller what we say of all.
    theirs: dict[str, list[bool]] = {}
    for line in validated.stdout.splitlines():
        rule = next((rule for words, rule in _SHARED.items() if words in line), None)
        if rule is not None:
            theirs.setdefault(rule, []).append(": PASS" in line)
    assert {"virtualisation", "vhost-net", "tun", "cgroups"} <= theirs.keys(), validated.stdout
    for rule, passes in theirs.items():
        assert all(passes) is (ours[rule] is Severity.FINE), (rule, validated.stdout, ours)
    # On this machine nothing is left out.
    assert read_machine().cgroups is not None
