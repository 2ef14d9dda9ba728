"""`kvmtui export` on the demo hosts: what a scrape tells, read again by Prometheus' own parser."""

import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from kvmtui.cli import run
from kvmtui.config import ConfigError
from kvmtui.engine.engine import Engine
from kvmtui.engine.sampler import Counters
from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.report import export
from kvmtui.report.export import serve
from kvmtui.report.listen import Address, parse_listen
from kvmtui.report.metrics import FleetCollector, _Count, _told

H1, H2 = "demo://h1", "demo://h2"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Bench:
    """The demo in a time of its own."""

    def __init__(self, **how: Any) -> None:
        self.clock = Clock()
        self.demo = DemoBackend(clock=self.clock)
        self.engine = Engine(self.demo, self.demo.uris, clock=self.clock, **how)
        self.registry = CollectorRegistry()
        self.registry.register(FleetCollector(self.engine))

    def look(self) -> None:
        self.clock.now_s += 1
        self.engine.tick()

    def look_deeply(self) -> None:
        """Look until a VM of h1 has deep figures."""
        self.engine.show_interest(self.demo.find("web1"), ())
        for _ in range(100):
            self.look()
            if self.demo.uuid("web1") in self.engine.counters(H1).deep:
                return
        raise AssertionError("no deep figures")

    def scrape(self) -> Samples:
        text: bytes = generate_latest(self.registry)  # type: ignore[no-untyped-call]
        families = text_string_to_metric_families(text.decode())  # type: ignore[no-untyped-call]
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def of(self, samples: Samples, name: str, **labels: str) -> dict[str, float]:
        """Return the samples of that name with these labels, by domain and device."""
        return {
            "/".join(value for key, value in sorted(rest) if key in ("domain", "target_device")): number
            for (found, rest), number in samples.items()
            if found == name and labels.items() <= dict(rest).items()
        }


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.engine.stop()


def test_counters_are_those_that_the_host_tells_and_grow(bench: Bench) -> None:
    bench.look_deeply()
    first = bench.scrape()
    cpu = "libvirt_domain_info_cpu_time_seconds_total"
    light = bench.engine.counters(H1).light
    told = dict(zip(light.name, light.cpu_time_ns, strict=True))
    assert bench.of(first, cpu, host="h1") == {name: pytest.approx(ns / 1e9) for name, ns in told.items()}
    assert bench.of(first, "libvirt_domain_block_stats_read_bytes_total", domain="web1").keys() == {"web1/vda"}
    uuid = bench.demo.uuid("web1")
    assert bench.of(first, "libvirt_domain_info_virtual_cpus", uuid=uuid) == {"web1": 4}
    assert bench.of(first, "libvirt_domain_info_memory_usage_bytes", domain="web1") == {"web1": 4 * 1024**3}
    assert bench.of(first, "libvirt_domain_memory_stats_used_bytes", domain="web1")
    bench.look()
    second = bench.scrape()
    counters = {key: value for key, value in first.items() if key[0].endswith("_total")}
    assert all(second[key] >= value for key, value in counters.items())
    assert bench.of(second, cpu)["web1"] > bench.of(first, cpu)["web1"]


def test_what_is_not_known_has_no_sample(bench: Bench) -> None:
    bench.look()
    samples = bench.scrape()
    # VMs that are off are given and count nothing, and no QEMU was asked yet.
    assert bench.of(samples, "libvirt_domain_info_vstate", domain="old") == {"old": 5}
    assert not bench.of(samples, "libvirt_domain_info_virtual_cpus", domain="old")
    assert not bench.of(samples, "libvirt_domain_info_memory_usage_bytes", domain="old")
    assert not bench.of(samples, "libvirt_domain_info_cpu_time_seconds_total", domain="old")
    assert not bench.of(samples, "libvirt_domain_interface_stats_receive_bytes_total", domain="old")
    assert not [name for name, _ in samples if "block" in name or "memory_stats" in name]
    assert not [name for name, _ in samples if name == "kvmtui_findings"]


def test_a_host_that_does_not_answer_is_down_and_has_no_domains(bench: Bench) -> None:
    bench.look_deeply()
    bench.demo.host_down(H2)
    bench.look()
    bench.clock.now_s += 4
    bench.engine.tick([H1])
    samples = bench.scrape()
    assert bench.of(samples, "libvirt_up", host="h1") == {"": 1}
    assert bench.of(samples, "libvirt_up", host="h2") == {"": 0}
    assert bench.of(samples, "libvirt_host_last_answer_age_seconds", host="h2") == {"": 5}
    assert {dict(labels)["host"] for name, labels in samples if name.startswith("libvirt_domain")} == {"h1"}
    # A link that seems to be up and has not told for three looks is no better.
    bench.clock.now_s += 4
    assert bench.of(bench.scrape(), "libvirt_up", host="h1") == {"": 0}


def test_a_silent_vm_is_named_and_its_deep_figures_go(bench: Bench) -> None:
    bench.look_deeply()
    uuid = bench.demo.uuid("web1")
    bench.demo.hang_vm(H1, uuid)
    try:
        who_hangs, who_asks = (bench.demo.open(H1, read_only=True) for _ in range(2))
        threading.Thread(target=who_hangs.deep, args=([uuid],), daemon=True).start()
        deadline_s = time.monotonic() + 60
        while not who_asks.silent([uuid]):
            assert time.monotonic() < deadline_s
        bench.engine._pollers[H1].sampler.silent[uuid] = bench.clock.now_s
        # An answer from before it hung may come in yet.
        deadline_s = time.monotonic() + 60
        bench.look()
        while uuid in bench.engine.counters(H1).deep:
            assert time.monotonic() < deadline_s
            bench.look()
        samples = bench.scrape()
    finally:
        bench.demo.release_vm(H1, uuid)
    assert bench.of(samples, "libvirt_domain_monitor_silent_seconds").keys() == {"web1"}
    assert not bench.of(samples, "libvirt_domain_block_stats_read_bytes_total", domain="web1")
    assert not bench.of(samples, "libvirt_domain_memory_stats_used_bytes", domain="web1")
    assert bench.of(samples, "libvirt_domain_info_cpu_time_seconds_total", domain="web1")


def test_findings_are_counted_of_hosts_that_were_looked_at(bench: Bench) -> None:
    bench.look()
    bench.demo.host_down(H2)
    health, deadline_s = bench.engine.health, time.monotonic() + 60
    while not health.looked_at(H1):
        assert time.monotonic() < deadline_s
        bench.look()
    samples = bench.scrape()
    assert bench.of(samples, "kvmtui_findings", host="h1", severity="critical") == {"": 0}
    assert bench.of(samples, "kvmtui_findings", host="h2", severity="unknown") == {"": 1}
    # Of a host that does not answer nobody knows that nothing is wrong.
    assert not bench.of(samples, "kvmtui_findings", host="h2", severity="critical")


def test_hostile_names_are_cleaned_and_escaped(bench: Bench) -> None:
    bench.demo.add_vm(H1, 'a"b\\c}\n\x1b[2J\u202e# EOF')
    bench.look()
    states = bench.of(bench.scrape(), "libvirt_domain_info_vstate", host="h1")
    assert 'a"b\\c}\ufffd\ufffd[2J\ufffd# EOF' in states
    assert len(states) == 7


def test_two_hosts_of_one_name_are_told_apart() -> None:
    bench = Bench(names={H1: "rack", H2: "rack"})
    bench.look()
    samples = bench.scrape()
    assert bench.of(samples, "libvirt_up", host="rack") == {"": 1}
    assert bench.of(samples, "libvirt_up", host=H2) == {"": 1}
    bench.engine.stop()


@pytest.mark.parametrize(
    ("run", "reads", "tells"),
    [
        (7, [9.5, 9.8, 10.0, 11.0], [10.0, 10.0, 10.0, 11.0]),
        # Another run.
        (8, [0.5, 1.0], [0.5, 1.0]),
        # One of four vCPUs is unplugged: nothing is lost and nothing stands still.
        (7, [100.0, 75.0, 76.0, 77.0], [100.0, 100.0, 101.0, 102.0]),
        # The host was started anew, and its VMs have the ids of before.
        (7, [100.0, 2.0, 3.0, 200.0], [100.0, 2.0, 3.0, 200.0]),
    ],
)
def test_what_is_told_of_a_counter_that_steps_back(run: int, reads: list[float], tells: list[float]) -> None:
    counts, told = {("u", "cpu"): _Count(7, 10.0)}, []
    for read in reads:
        before, counts = counts, {}
        told.append(_told(before, counts, ("u", "cpu"), run, read))
    assert told == tells


def test_counters_go_on_after_a_host_was_started_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.look()
    real = bench.engine.counters(H1)
    assert real.node is not None
    days = [0.0]

    def counters(_: str) -> Counters:
        ns = int(days[0] * 86400e9)
        light = real.light._replace(cpu_time_ns=(float(ns),) * len(real.light.uuid))
        return replace(real, light=light, node=replace(real.node, cpu_total_ns=2 * ns, cpu_idle_ns=ns))  # type: ignore[type-var]

    monkeypatch.setattr(bench.engine, "counters", counters)
    for each in (30.0, 0.001, 0.002, 1.0):
        days[0] = each
        samples = bench.scrape()
        assert bench.of(samples, "libvirt_host_cpu_seconds_total", host="h1", mode="idle") == {"": each * 86400}
        assert bench.of(samples, "libvirt_domain_info_cpu_time_seconds_total")["web1"] == each * 86400


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9177", Address("127.0.0.1", 9177)),
        ("[::1]:9177", Address("::1", 9177)),
        (":9177", Address("", 9177)),
        ("localhost:1", Address("localhost", 1)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_listen(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["", "9177", "::1:9177", "h:", "h:65536", "h:-1", "[::1]", "[]:1", "h:9177/metrics", "h:²"]
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="is not an address and port such as"):
        parse_listen(text)


def fetch(url: str, **headers: str) -> tuple[str, str]:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - it is http
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        return answer.headers["Content-Type"], answer.read().decode()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", ""])
def test_it_is_served(bench: Bench, host: str) -> None:
    if host == "::1" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    bench.look()
    server = serve(bench.engine, Address(host, 0))
    try:
        where = Address(host or "127.0.0.1", server.server_port)
        kind, text = fetch(f"http://{where}/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert kind.startswith("application/openmetrics-text; version=1.0.0")
        assert text.endswith("# EOF\n")
        assert 'libvirt_up{host="h1"} 1.0' in text
        kind, text = fetch(f"http://{where}/metrics")
        assert kind.startswith("text/plain")
        assert 'libvirt_up{host="h1"} 1.0' in text
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def served(bench: Bench) -> Iterator[Address]:
    bench.look()
    server = serve(bench.engine, Address("127.0.0.1", 0))
    yield Address("127.0.0.1", server.server_port)
    server.shutdown()
    server.server_close()


def test_only_the_metrics_are_there(served: Address) -> None:
    kind, text = fetch(f"http://{served}/")
    assert (kind, 'href="/metrics"' in text) == ("text/html", True)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(f"http://{served}/other")


def test_only_so_many_clients_at_once(served: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_AT_ONCE", 2)
    where = (served.host, served.port)
    # They are taken in the order in which they came.
    with (
        socket.create_connection(where, 30),
        socket.create_connection(where, 30),
        socket.create_connection(where, 30) as third,
    ):
        assert third.recv(1) == b""
    deadline_s = time.monotonic() + 60
    while True:
        try:
            assert "libvirt_up" in fetch(f"http://{served}/metrics")[1]
            break
        except OSError:
            assert time.monotonic() < deadline_s


def test_who_takes_too_long_is_hung_up_on(served: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_PATIENCE_S", 0.1)
    with socket.create_connection((served.host, served.port), 30) as client:
        client.send(b"GET /metr")
        assert client.recv(1) == b""


def test_a_port_in_use_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["export", "--prometheus", "--demo", "--listen", f"127.0.0.1:{port}"]) == 2
    said = capsys.readouterr().err
    assert said == (
        f"kvmtui: cannot listen at 127.0.0.1:{port}: Address already in use; --listen takes another address or port\n"
    )


def test_without_the_client_library_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith(("prometheus_client", "kvmtui.report.export"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert run(["export", "--prometheus", "--demo"]) == 2
    assert "pip install 'kvmtui[export]'" in capsys.readouterr().err


def test_it_wants_to_be_told_which_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", "--demo"]) == 2
    assert "--prometheus" in capsys.readouterr().err
