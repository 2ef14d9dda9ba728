"""What hosts and VMs count and hold, as Prometheus metrics; a scrape reads what is known already and asks nobody.

Names are those of the libvirt exporters that people have, where these have one for the same. What is not known has no
sample. Base units: seconds, bytes, shares from 0 to 1.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import isnan

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from kvmtui.engine.engine import Engine
from kvmtui.hypervisor.samples import DeepVm, LightVm, NodeSample
from kvmtui.model.clean import clean
from kvmtui.model.findings import Severity
from kvmtui.model.host import Host
from kvmtui.model.uris import without_secrets
from kvmtui.model.vm import VmState

_NS_PER_S = 1e9
_TICKS_S = 1.0
"""A counter that steps back by less catches up at once."""
_STATE_NUMBERS = {state: number for number, state in enumerate(VmState)}
"""virDomainState of libvirt-domain.h, in whose order they stand."""
_SEVERITIES = (Severity.NOTE, Severity.UNKNOWN, Severity.WARNING, Severity.CRITICAL)

Labels = dict[str, str]
Told = Iterator[tuple[str, float]]
"""Names and values."""

_HOST = {
    "libvirt_up": "Whether the host answers",
    "libvirt_host_last_answer_age_seconds": "How long ago the host answered last",
    "libvirt_host_round_trip_seconds": "Round trip time of a call to the host's libvirt",
    "libvirt_host_cpus": "CPUs of the host",
    "libvirt_host_memory_total_bytes": "Memory of the host",
    "libvirt_host_memory_used_bytes": "Memory of the host that could not be had without swapping",
    "libvirt_host_domains": "Domains of the host",
    "libvirt_host_domains_running": "Domains of the host whose vCPUs run",
}
_DOMAIN = {
    "libvirt_domain_info_vstate": "State, by the numbers of virDomainState",
    "libvirt_domain_info_virtual_cpus": "vCPUs that the domain has at present",
    "libvirt_domain_info_memory_usage_bytes": "Memory that the domain is given at present",
    "libvirt_domain_uptime_seconds": "For how long its QEMU process has run; of this machine only",
    "libvirt_domain_monitor_silent_seconds": "For how long its QEMU has not answered; nothing where it does",
    "libvirt_domain_memory_stats_used_bytes": "Memory that the guest says it uses, without what it could free",
    "libvirt_domain_memory_stats_used_age_seconds": "How long ago the guest said so",
    "libvirt_domain_memory_stats_rss_bytes": "Memory of the host that its QEMU process holds",
    "libvirt_domain_stats_age_seconds": "Age of the memory, block and vCPU delay figures of the domain",
}
_DOMAIN_COUNTERS = {
    "libvirt_domain_info_cpu_time_seconds": "CPU time used by the domain",
    "libvirt_domain_vcpu_delay_seconds": "Time that its vCPUs, all together, waited for a CPU of the host",
}
_DEVICE_COUNTERS = {
    "libvirt_domain_interface_stats_receive_bytes": "Bytes that the guest received on an interface",
    "libvirt_domain_interface_stats_transmit_bytes": "Bytes that the guest sent on an interface",
    "libvirt_domain_block_stats_read_bytes": "Bytes read from a disk",
    "libvirt_domain_block_stats_write_bytes": "Bytes written to a disk",
}
_CPU, _PRESSURE = "libvirt_host_cpu_seconds", "libvirt_host_pressure_ratio"
_FINDINGS, _INFO = "kvmtui_findings", "libvirt_host"
_OTHERS = {
    _PRESSURE: ("gauge", "Share of the last 10 s in which tasks waited (Linux PSI); of this machine only"),
    _FINDINGS: ("gauge", "What kvmtui check would say of the host and its domains, by severity"),
    _CPU: ("counter", "CPU time of the host; idle includes waiting for disks"),
    _INFO: ("info", "Versions, and the address by which the host is reached"),
}


class Metrics:
    """The metrics of one scrape, by name."""

    def __init__(self) -> None:
        self._metrics = {name: Metric(name, help_, kind) for name, (kind, help_) in _OTHERS.items()}
        for names, kind in ((_HOST | _DOMAIN, "gauge"), (_DOMAIN_COUNTERS | _DEVICE_COUNTERS, "counter")):
            self._metrics |= {name: Metric(name, help_, kind) for name, help_ in names.items()}

    def add(self, name: str, labels: Labels, value: float) -> None:
        """Add a sample."""
        metric = self._metrics[name]
        suffix = {"counter": "_total", "info": "_info"}.get(metric.type, "")
        metric.add_sample(name + suffix, labels, value)

    def __iter__(self) -> Iterator[Metric]:
        return (metric for metric in self._metrics.values() if metric.samples)


@dataclass(frozen=True, slots=True)
class _Count:
    """A counter as it was read, of which run of its VM, and what is added to it so that it does not step back."""

    run: int
    read: float
    added: float = 0.0


_Counts = dict[tuple[str, str], _Count]
"""By uuid (the host itself: none) and name."""


class FleetCollector(Collector):
    """Gives the metrics of all hosts of an engine; any thread may scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counts: dict[str, _Counts] = {}
        """By host."""
        self._lock = threading.Lock()

    def collect(self) -> Iterator[Metric]:
        """Return the metrics of now; waits for no host."""
        metrics = Metrics()
        hosts = tuple(self._engine.fleet.hosts.values())
        # One at a time: a scrape must not tell less than the one before.
        with self._lock:
            for host, label in zip(hosts, _labels(hosts), strict=True):
                self._tell(metrics, host, {"host": label})
        return iter(metrics)

    def _tell(self, metrics: Metrics, host: Host, labels: Labels) -> None:
        now_s = self._engine.clock()
        up = not host.stale(now_s)
        metrics.add("libvirt_up", labels, up)
        if host.sampled_at_s is not None:
            metrics.add("libvirt_host_last_answer_age_seconds", labels, max(0.0, now_s - host.sampled_at_s))
        self._tell_findings(metrics, host, labels, up=up)
        if not up:
            return
        counters = self._engine.counters(host.key)
        _tell_host(metrics, host, labels)
        before, counts = self._counts.get(host.key, {}), _Counts()
        if counters.node is not None:
            for mode, value in _host_cpu(counters.node):
                told = _told(before, counts, ("", mode), 0, value)
                metrics.add(_CPU, labels | {"mode": mode}, told)
        for row in zip(*counters.light, strict=True):
            vm = LightVm._make(row)
            deep = counters.deep.get(vm.uuid)
            domain = labels | {"domain": vm.name, "uuid": vm.uuid}
            for name, value in _gauges(vm, deep, host.vms.silent.get(vm.uuid), now_s):
                metrics.add(name, domain, value)
            for name, value in _counted(vm, deep):
                told = _told(before, counts, (vm.uuid, name), vm.id, value)
                metrics.add(name, domain, told)
            for name, devices in _devices(vm, deep):
                for device, value in devices.items():
                    metrics.add(name, domain | {"target_device": device}, value)
        self._counts[host.key] = counts

    def _tell_findings(self, metrics: Metrics, host: Host, labels: Labels, *, up: bool) -> None:
        standing = self._engine.standing
        if standing is None:
            return
        counts = Counter(finding.severity for finding in standing.findings if finding.host == host.key)
        # That there is none can only be said of a host that was looked at.
        sure = up and self._engine.health.looked_at(host.key)
        for severity in _SEVERITIES:
            if counts[severity] or sure:
                metrics.add(_FINDINGS, labels | {"severity": severity.word}, counts[severity])


def _labels(hosts: Iterable[Host]) -> list[str]:
    """Return what each host is called: its name, and where two have the same, the address of the second."""
    labels: dict[str, None] = {}
    for number, host in enumerate(hosts):
        address = clean(without_secrets(host.key))
        names = (host.name, address, f"{address} {number}")
        labels[next(name for name in names if name not in labels)] = None
    return list(labels)


def _told(
    before: Mapping[tuple[str, str], _Count], counts: _Counts, key: tuple[str, str], run: int, read: float
) -> float:
    """Return what is told of a counter: Prometheus takes every step back for a counter that began anew.

    CPU times come of the process or of its control group, ready times of vCPUs that may be unplugged, and a host's idle
    time may step back by a tick: these go on from what was told. A host that was started anew really begins at 0, and
    its VMs have the ids of before.
    """
    old, new = before.get(key), _Count(run, read)
    if old is not None and old.run == run:
        back = old.read - read
        if 0 < back < _TICKS_S:
            new = old
        elif back <= old.read / 2:
            new = _Count(run, read, old.added + max(0.0, back))
    counts[key] = new
    return new.read + new.added


def _tell_host(metrics: Metrics, host: Host, labels: Labels) -> None:
    figures, facts = host.figures, host.facts
    for name, value in (
        ("libvirt_host_round_trip_seconds", host.round_trip_s),
        ("libvirt_host_cpus", None if facts is None else facts.cpus),
        ("libvirt_host_memory_total_bytes", figures.memory_total_bytes),
        ("libvirt_host_memory_used_bytes", figures.memory_used_bytes),
        ("libvirt_host_domains", len(host.vms)),
        ("libvirt_host_domains_running", host.running),
    ):
        if value is not None:
            metrics.add(name, labels, value)
    pressure = figures.pressure
    for resource in ("cpu", "memory", "io") if pressure is not None else ():
        metrics.add(_PRESSURE, labels | {"resource": resource}, getattr(pressure, resource))
    if facts is not None:
        versions = {
            "uri": clean(without_secrets(host.key)),
            "libvirt_version": clean(facts.libvirt_version),
            "hypervisor_version": clean(facts.hypervisor_version),
        }
        metrics.add(_INFO, labels | versions, 1)


def _host_cpu(node: NodeSample) -> Told:
    if node.cpu_total_ns is not None and node.cpu_idle_ns is not None:
        yield "idle", node.cpu_idle_ns / _NS_PER_S
        yield "busy", (node.cpu_total_ns - node.cpu_idle_ns) / _NS_PER_S


def _gauges(vm: LightVm, deep: DeepVm | None, silent_since_s: float | None, now_s: float) -> Told:
    yield "libvirt_domain_info_vstate", _STATE_NUMBERS[vm.state]
    # A VM that is off is given nothing yet; 0 stands for not known.
    if vm.state.active and vm.vcpus:
        yield "libvirt_domain_info_virtual_cpus", vm.vcpus
    if vm.state.active and vm.memory_allocated_bytes:
        yield "libvirt_domain_info_memory_usage_bytes", vm.memory_allocated_bytes
    if vm.started_at_s is not None:
        yield "libvirt_domain_uptime_seconds", max(0.0, now_s - vm.started_at_s)
    if silent_since_s is not None:
        yield "libvirt_domain_monitor_silent_seconds", max(0.0, now_s - silent_since_s)
    if deep is None:
        return
    age_s = max(0.0, now_s - deep.taken_at_s)
    yield "libvirt_domain_stats_age_seconds", age_s
    if deep.memory_used_bytes is not None:
        yield "libvirt_domain_memory_stats_used_bytes", deep.memory_used_bytes
        yield "libvirt_domain_memory_stats_used_age_seconds", age_s + (deep.memory_age_s or 0.0)
    if deep.rss_bytes is not None:
        yield "libvirt_domain_memory_stats_rss_bytes", deep.rss_bytes


def _counted(vm: LightVm, deep: DeepVm | None) -> Told:
    if not isnan(vm.cpu_time_ns):
        yield "libvirt_domain_info_cpu_time_seconds", vm.cpu_time_ns / _NS_PER_S
    if deep is not None and deep.ready_ns is not None:
        yield "libvirt_domain_vcpu_delay_seconds", deep.ready_ns / _NS_PER_S


def _devices(vm: LightVm, deep: DeepVm | None) -> Iterator[tuple[str, dict[str, float]]]:
    """Return counters by device."""
    for name, counts in (
        ("libvirt_domain_interface_stats_receive_bytes", vm.net_in_bytes),
        ("libvirt_domain_interface_stats_transmit_bytes", vm.net_out_bytes),
    ):
        interfaces = zip(vm.net_names, counts, strict=True)
        yield name, {clean(device, 80): count for device, count in interfaces if not isnan(count)}
    if deep is not None:
        for name, disks in (
            ("libvirt_domain_block_stats_read_bytes", deep.disk_read_bytes),
            ("libvirt_domain_block_stats_write_bytes", deep.disk_write_bytes),
        ):
            yield name, {clean(device, 80): count for device, count in (disks or {}).items()}
