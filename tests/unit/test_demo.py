import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from math import isnan

import pytest

from kvmtui.hypervisor.demo import DemoBackend
from kvmtui.hypervisor.demo.clock import ManualClock
from kvmtui.hypervisor.demo.connection import DemoConnection
from kvmtui.hypervisor.demo.load import Dice, Shape, batch, bursty, daily, idle, steady
from kvmtui.hypervisor.errors import (
    ConnectFailed,
    ConsoleBusy,
    HypervisorError,
    InvalidState,
    JobCancelled,
    LinkLost,
    MigrationUnsafe,
    NotPermitted,
    VmBusy,
    VmGone,
)
from kvmtui.hypervisor.protocol import Backend
from kvmtui.hypervisor.samples import DeepVm, LightVm
from kvmtui.model.actions import Verb
from kvmtui.model.clean import clean
from kvmtui.model.migration_options import DiskMove, MigrationOptions
from kvmtui.model.rates import rate
from kvmtui.model.vm import VmState

H1, H2 = "demo://h1", "demo://h2"
SHARED = MigrationOptions()


class Demo:
    """A backend on a clock that stands still, with a connection for writing to each of its hosts."""

    def __init__(self, vms: int = 12) -> None:
        self.clock = ManualClock()
        self.backend = DemoBackend(vms, clock=self.clock)
        self.h1 = self.open(H1)
        self.h2 = self.open(H2)

    def open(self, uri: str, *, read_only: bool = False) -> DemoConnection:
        return self.backend.open(uri, read_only=read_only)

    def light(self, name: str) -> LightVm:
        uri, uuid = self.backend.find(name)
        return next(vm for vm in self.open(uri).light(1).vms if vm.uuid == uuid)

    def deep(self, name: str) -> DeepVm:
        uri, uuid = self.backend.find(name)
        return self.open(uri).deep([uuid])[0]


@pytest.fixture
def demo() -> Demo:
    return Demo()


class Background:
    """A call in a daemon thread, as a lane makes it."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self.error: BaseException | None = None
        self.result: object = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.result = self._call()
        except HypervisorError as error:
            self.error = error

    def finish(self) -> None:
        """Wait for its end and raise what it raised."""
        self.thread.join(10)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error


@contextmanager
def under_way(demo: Demo, uri: str, call: Callable[[], object]) -> Iterator[Background]:
    """Run a call that changes the host's state and then blocks; the body runs when it does."""
    changed = threading.Event()
    watch = demo.backend.open(uri, read_only=True, on_event=changed.set)
    running = Background(call)
    assert changed.wait(10)
    yield running
    watch.close()


class Sink:
    """A console sink that keeps everything."""

    def __init__(self) -> None:
        self.text = ""
        self.reason: str | None = None

    def output(self, data: bytes) -> None:
        self.text += data.decode()

    def ended(self, reason: str, *, by_host: bool) -> None:
        self.reason = reason


# Figures


def look_at_everything(vms: int, steps: int) -> list[object]:
    clock = ManualClock()
    backend = DemoBackend(vms, seed=7, clock=clock)
    connections = [backend.open(uri, read_only=True) for uri in backend.uris]
    seen: list[object] = []
    for _ in range(steps):
        clock.advance(1.7)
        for connection in connections:
            light = connection.light(1)
            seen += [light, connection.node(), connection.deep([vm.uuid for vm in light.vms])]
    return seen


def test_it_is_a_backend() -> None:
    backend: Backend = DemoBackend()
    assert backend.open(H1, read_only=True).facts().hostname == "h1"


@pytest.mark.parametrize("vms", [12, 120])
def test_same_seed_same_figures(vms: int) -> None:
    assert look_at_everything(vms, 3) == look_at_everything(vms, 3)


def test_another_seed_gives_other_figures() -> None:
    assert DemoBackend(seed=1).uuid("web1") != DemoBackend(seed=2).uuid("web1")


@pytest.mark.parametrize(("vms", "hosts"), [(0, 2), (12, 2), (300, 3), (1000, 6), (5000, 20)])
def test_a_fleet_has_the_size_asked_for(vms: int, hosts: int) -> None:
    backend = DemoBackend(vms, clock=ManualClock())
    samples = [backend.open(uri, read_only=True).light(1) for uri in backend.uris]
    assert len(samples) == hosts
    assert sum(len(sample.vms) for sample in samples) == vms
    assert len({vm.uuid for sample in samples for vm in sample.vms}) == vms


@pytest.mark.parametrize("shape", [steady, daily, bursty, idle, batch])
def test_a_load_is_never_negative_and_keeps_its_mean(shape: Shape) -> None:
    for seed in range(5):
        load = shape(2.0, Dice(seed))
        totals = [load.total(1_000_000 + step / 4) for step in range(4 * 3600)]
        rates = [4 * (new - old) for old, new in pairwise(totals)]
        assert min(rates) > -1e-6
        assert max(rates) <= load.peak + 1e-6
        assert load.mean == pytest.approx(2.0)
        assert load.total(30 * 86_400) / (30 * 86_400) == pytest.approx(2.0, rel=0.02)


def test_counters_only_grow(demo: Demo) -> None:
    uuids = [vm.uuid for vm in demo.h1.light(1).vms]

    def counters() -> list[float]:
        light, deep, node = demo.h1.light(1), demo.h1.deep(uuids), demo.h1.node()
        found: list[float] = [node.cpu_idle_ns or 0, (node.cpu_total_ns or 0) - (node.cpu_idle_ns or 0)]
        for vm in light.vms:
            found += [0 if isnan(each) else each for each in (vm.cpu_time_ns, *vm.net_in_bytes, *vm.net_out_bytes)]
        for figures in deep:
            found.append(figures.ready_ns or 0)
            found += [*(figures.disk_read_bytes or {}).values(), *(figures.disk_write_bytes or {}).values()]
        return found

    before = counters()
    for step in range(400):
        demo.clock.advance((0.0, 0.0004, 0.01, 1.0, 13.0)[step % 5])
        after = counters()
        assert all(new >= old for old, new in zip(before, after, strict=True))
        before = after


def test_rates_look_like_a_fleet_at_work() -> None:
    demo = Demo(300)
    connections = [demo.open(uri) for uri in demo.backend.uris]
    before = [connection.light(1) for connection in connections]
    nodes = [connection.node() for connection in connections]
    demo.clock.advance(1)
    cores: list[float] = []
    for connection, old, node in zip(connections, before, nodes, strict=True):
        new, later = connection.light(1), connection.node()
        used = 0.0
        for was, is_now in zip(old.vms, new.vms, strict=True):
            grown = is_now.cpu_time_ns - was.cpu_time_ns
            if not isnan(grown):
                assert 0 <= grown / 1e9 <= is_now.vcpus
                used += grown / 1e9
                cores.append(grown / 1e9)
        facts = connection.facts()
        busy = facts.cpus - (rate(node.cpu_idle_ns, later.cpu_idle_ns, 1.0, 3.0) or 0) / 1e9
        # The host spends what its VMs spend, and a little itself.
        assert used < busy < used + 1
        assert 0.05 < busy / facts.cpus < 0.95
        assert sum(vm.memory_allocated_bytes for vm in new.vms) < facts.memory_bytes
        assert 0.1 < (later.memory_used_bytes or 0) / facts.memory_bytes < 0.95
        assert (later.pressure is not None) == (facts.hostname == "h1")
    assert sorted(cores)[len(cores) // 2] < 0.1
    assert 1 <= sum(value > 1.5 for value in cores) < 30


def test_the_usual_dozen_shows_everything_once(demo: Demo) -> None:
    states = {vm.name: vm.state for vm in (*demo.h1.light(1).vms, *demo.h2.light(1).vms)}
    assert {"web1", "db1", "cache1", "build3", "mail"} < states.keys()
    assert [name for name, state in states.items() if state is VmState.PAUSED] == ["batch1"]
    assert [name for name, state in states.items() if state is VmState.SHUT_OFF] == ["old", "dev2"]
    assert demo.backend.uuid("dev2") in demo.h2.flags().saved
    started = demo.light("db1").started_at_s
    assert started is not None
    assert 3600 < demo.clock() - started < 90 * 86_400
    assert isnan(demo.light("old").cpu_time_ns)


def test_one_database_waits_for_a_cpu(demo: Demo) -> None:
    before = demo.deep("db1")
    demo.clock.advance(600)
    after = demo.deep("db1")
    grown = rate(before.ready_ns, after.ready_ns, 600, 1000)
    assert grown is not None
    assert grown / 1e9 / after.vcpus == pytest.approx(0.06, rel=0.1)


def test_memory_is_told_by_balloon_or_only_as_rss(demo: Demo) -> None:
    ballooned, other = demo.deep("web1"), demo.deep("win1")
    assert ballooned.memory_used_bytes is not None
    assert ballooned.memory_age_s is not None
    assert 0 <= ballooned.memory_age_s < 5
    assert ballooned.memory_used_bytes < (ballooned.rss_bytes or 0) <= 1.2 * demo.light("web1").memory_allocated_bytes
    assert (other.memory_used_bytes, other.memory_age_s) == (None, None)
    assert other.rss_bytes


def test_a_paused_guest_stands_still_and_its_memory_figure_ages(demo: Demo) -> None:
    before, age = demo.light("batch1").cpu_time_ns, demo.deep("batch1").memory_age_s
    demo.clock.advance(60)
    assert demo.light("batch1").cpu_time_ns == before
    assert demo.deep("batch1").memory_age_s == pytest.approx((age or 0) + 60)


# Writes


def test_a_shutdown_takes_seconds_and_a_start_begins_anew(demo: Demo) -> None:
    events: list[float] = []
    demo.backend.open(H1, read_only=True, on_event=lambda: events.append(demo.clock()))
    uuid, before = demo.backend.uuid("web2"), demo.light("web2")
    demo.h1.perform(Verb.SHUTDOWN, uuid)
    demo.clock.advance(0.5)
    assert demo.light("web2").state is VmState.RUNNING
    assert events == []
    demo.clock.advance(10)
    assert (demo.light("web2").state, demo.light("web2").id) == (VmState.SHUT_OFF, -1)
    assert len(events) >= 1
    demo.h1.perform(Verb.START, uuid)
    demo.clock.advance(2)
    after = demo.light("web2")
    assert after.id > before.id
    assert after.started_at_s == demo.clock() - 2
    assert after.cpu_time_ns is not None
    assert before.cpu_time_ns is not None
    assert 0 < after.cpu_time_ns < min(before.cpu_time_ns, 8e9)


def test_the_host_keeps_the_cpu_time_of_a_run_that_ended(demo: Demo) -> None:
    before = demo.h1.node()
    demo.h1.perform(Verb.FORCE_OFF, demo.backend.uuid("db1"))
    demo.clock.advance(1)
    after = demo.h1.node()
    idle_ns = (after.cpu_idle_ns or 0) - (before.cpu_idle_ns or 0)
    assert 0 < idle_ns < (after.cpu_total_ns or 0) - (before.cpu_total_ns or 0)


def test_pause_resume_and_reboot(demo: Demo) -> None:
    uuid = demo.backend.uuid("web1")
    demo.h1.perform(Verb.PAUSE, uuid)
    assert demo.h1.identity(uuid).state is VmState.PAUSED
    demo.h1.perform(Verb.RESUME, uuid)
    before = demo.light("web1")
    assert before.state is VmState.RUNNING
    demo.h1.perform(Verb.REBOOT, uuid)
    demo.clock.advance(1)
    down = demo.light("web1")
    demo.clock.advance(2)
    assert demo.light("web1").cpu_time_ns == down.cpu_time_ns
    demo.clock.advance(2)
    after = demo.light("web1")
    # A reboot is none to QEMU: the run and its counters go on.
    assert (after.id, after.started_at_s) == (before.id, before.started_at_s)
    assert (after.cpu_time_ns or 0) > (down.cpu_time_ns or 0)


def test_a_managed_save_blocks_and_is_resumed_by_start(demo: Demo) -> None:
    uuid = demo.backend.uuid("web1")
    with under_way(demo, H1, lambda: demo.open(H1).perform(Verb.SAVE, uuid)) as saving:
        job = demo.h1.job(uuid)
        assert job is not None
        assert job.operation == "saving"
        assert demo.light("web1").reason == "saving"
        demo.clock.advance(60)
        saving.finish()
    assert demo.light("web1").state is VmState.SHUT_OFF
    assert uuid in demo.h1.flags().saved
    demo.h1.perform(Verb.START, uuid)
    assert uuid not in demo.h1.flags().saved


def test_a_cancelled_save_lets_the_guest_go_on(demo: Demo) -> None:
    uuid = demo.backend.uuid("web1")
    with under_way(demo, H1, lambda: demo.open(H1).perform(Verb.SAVE, uuid)) as saving:
        demo.h1.perform(Verb.CANCEL_JOB, uuid)
        with pytest.raises(JobCancelled):
            saving.finish()
    assert demo.light("web1").state is VmState.RUNNING


def test_autostart_is_a_flag(demo: Demo) -> None:
    uuid = demo.backend.uuid("win1")
    demo.h1.perform(Verb.AUTOSTART_ON, uuid)
    assert uuid in demo.h1.flags().autostart
    demo.h1.perform(Verb.AUTOSTART_OFF, uuid)
    assert not demo.h1.identity(uuid).autostart


def test_a_transient_vm_is_gone_when_it_ends(demo: Demo) -> None:
    uuid = demo.backend.uuid("ci7")
    with pytest.raises(InvalidState):
        demo.h2.perform(Verb.SAVE, uuid)
    demo.h2.perform(Verb.FORCE_OFF, uuid)
    with pytest.raises(VmGone):
        demo.h2.identity(uuid)


@pytest.mark.parametrize(
    ("verb", "name", "error"),
    [
        (Verb.START, "web1", InvalidState),
        (Verb.SHUTDOWN, "old", InvalidState),
        (Verb.RESUME, "web1", InvalidState),
        (Verb.CANCEL_JOB, "web1", InvalidState),
        (Verb.FORCE_OFF, "dev2", InvalidState),
    ],
)
def test_what_makes_no_sense_is_refused(demo: Demo, verb: Verb, name: str, error: type[Exception]) -> None:
    uri, uuid = demo.backend.find(name)
    with pytest.raises(error):
        demo.open(uri).perform(verb, uuid)


def test_a_read_only_connection_refuses_every_write(demo: Demo) -> None:
    uuid, looking = demo.backend.uuid("web1"), demo.open(H1, read_only=True)
    for verb in Verb:
        with pytest.raises(NotPermitted):
            looking.perform(verb, uuid)
    with pytest.raises(NotPermitted):
        looking.migrate(uuid, H2, SHARED, peer_to_peer=True)
    with pytest.raises(NotPermitted):
        looking.open_console(uuid, Sink())
    assert looking.identity(uuid).state is VmState.RUNNING


# Migration


def migration(demo: Demo, name: str, *, peer_to_peer: bool = True) -> Callable[[], None]:
    uri, uuid = demo.backend.find(name)
    target = H2 if uri == H1 else H1
    connection = demo.open(uri)
    return lambda: connection.migrate(uuid, target, SHARED, peer_to_peer=peer_to_peer)


def test_a_migration_moves_the_vm(demo: Demo) -> None:
    uuid, before = demo.backend.uuid("web1"), demo.light("web1")
    with under_way(demo, H1, migration(demo, "web1")) as moving:
        first = demo.h1.job(uuid)
        demo.clock.advance(1)
        second = demo.h1.job(uuid)
        assert first is not None
        assert second is not None
        assert (first.operation, first.iteration) == ("migration", 1)
        assert first.remaining_bytes == first.total_bytes
        assert (second.remaining_bytes or 0) < (first.remaining_bytes or 0)
        assert second.bytes_per_s == pytest.approx(1.2 * 1024**3, rel=0.1)
        assert demo.h1.identity(uuid).state is VmState.RUNNING
        arriving = next(vm for vm in demo.h2.light(1).vms if vm.uuid == uuid)
        assert (arriving.state, arriving.reason) == (VmState.PAUSED, "migrating")
        assert not demo.h2.identity(uuid).persistent
        demo.clock.advance(30)
        moving.finish()
    with pytest.raises(VmGone):
        demo.h1.identity(uuid)
    demo.clock.advance(1)
    after = demo.light("web1")
    assert demo.backend.find("web1").host == H2
    assert after.state is VmState.RUNNING
    assert 0 < (after.cpu_time_ns or 0) < (before.cpu_time_ns or 0)
    assert demo.h2.identity(uuid).persistent
    assert demo.h2.job(uuid) is None


def test_a_cancelled_migration_leaves_the_vm_where_it_was(demo: Demo) -> None:
    uuid, before = demo.backend.uuid("web1"), demo.light("web1")
    with under_way(demo, H1, migration(demo, "web1")) as moving:
        with pytest.raises(VmBusy):
            demo.h1.perform(Verb.SHUTDOWN, uuid)
        demo.h1.perform(Verb.CANCEL_JOB, uuid)
        with pytest.raises(JobCancelled):
            moving.finish()
    demo.clock.advance(60)
    assert demo.light("web1").id == before.id
    assert demo.backend.find("web1").host == H1
    with pytest.raises(VmGone):
        demo.h2.identity(uuid)


def test_a_migration_ends_when_the_destination_dies(demo: Demo) -> None:
    uuid = demo.backend.uuid("web1")
    with under_way(demo, H1, migration(demo, "web1")) as moving:
        demo.backend.host_down(H2)
        with pytest.raises(HypervisorError, match="destination"):
            moving.finish()
    assert demo.h1.identity(uuid).state is VmState.RUNNING


@pytest.mark.parametrize(("peer_to_peer", "where"), [(True, H2), (False, H1)])
def test_only_peer_to_peer_outlives_the_client(demo: Demo, peer_to_peer: bool, where: str) -> None:
    with under_way(demo, H1, migration(demo, "web1", peer_to_peer=peer_to_peer)) as moving:
        demo.backend.host_down(H1)
        with pytest.raises(LinkLost):
            moving.finish()
    demo.clock.advance(60)
    assert demo.backend.find("web1").host == where


def test_a_local_disk_has_to_be_copied(demo: Demo) -> None:
    uuid = demo.backend.uuid("db1")
    paths = [disk.path or "" for disk in demo.h1.config(uuid).disks]
    assert demo.h1.known_paths(paths) == frozenset(paths)
    assert demo.h2.known_paths(paths) == frozenset()
    with pytest.raises(MigrationUnsafe):
        migration(demo, "db1")()
    connection = demo.open(H1)
    copying = MigrationOptions(disks=DiskMove.COPY)
    with under_way(demo, H1, lambda: connection.migrate(uuid, H2, copying, peer_to_peer=True)) as moving:
        demo.clock.advance(300)
        moving.finish()
    assert demo.h2.known_paths(paths) == frozenset(paths)


# Misbehaviour


def test_a_host_that_goes_down_and_comes_back(demo: Demo) -> None:
    events: list[str] = []
    demo.backend.open(H1, read_only=True, on_event=lambda: events.append("h1"))
    demo.backend.open(H2, read_only=True, on_event=lambda: events.append("h2"))
    demo.backend.host_down(H1, "No route to host")
    assert events == ["h1"]
    with pytest.raises(LinkLost):
        demo.h1.light(1)
    with pytest.raises(ConnectFailed, match="No route to host"):
        demo.open(H1)
    demo.backend.host_up(H1)
    with pytest.raises(LinkLost):
        demo.h1.light(1)
    assert demo.open(H1).light(1).vms


def test_a_hung_vm_blocks_the_first_who_asks_and_not_the_second(demo: Demo) -> None:
    uuids = [demo.backend.uuid("web1"), demo.backend.uuid("web2")]
    demo.backend.hang_vm(H1, uuids[0])
    other = demo.open(H1, read_only=True)
    assert other.silent(uuids) == {}
    first = Background(lambda: demo.h1.deep(uuids))
    while not other.silent(uuids):
        assert first.thread.is_alive()
    demo.clock.advance(42)
    assert other.silent(uuids) == {uuids[0]: 42}
    (answered,) = other.deep(uuids)
    assert answered.uuid == uuids[1]
    assert answered.disk_read_bytes
    before = demo.light("web1")
    demo.clock.advance(1)
    assert (demo.light("web1").state, demo.light("web1").cpu_time_ns) == (VmState.RUNNING, before.cpu_time_ns)
    writer = demo.open(H1)
    with pytest.raises(VmBusy):
        writer.perform(Verb.PAUSE, uuids[0])
    assert first.thread.is_alive()
    demo.backend.release_vm(H1, uuids[0])
    first.finish()
    assert isinstance(first.result, tuple)
    assert [figures.uuid for figures in first.result] == uuids
    assert first.result[0].taken_at_s == demo.clock() - 43
    assert other.silent(uuids) == {}


def test_killing_a_hung_vm_frees_who_waits_for_it(demo: Demo) -> None:
    uuid = demo.backend.uuid("web1")
    demo.backend.hang_vm(H1, uuid)
    reader = demo.open(H1, read_only=True)
    waiting = Background(lambda: reader.deep([uuid]))
    while not demo.h1.silent([uuid]):
        assert waiting.thread.is_alive()
    demo.h1.perform(Verb.FORCE_OFF, uuid)
    waiting.finish()


def test_a_hung_host_lets_everyone_wait(demo: Demo) -> None:
    demo.backend.hang_host(H1)
    calls = [Background(lambda: demo.h1.light(1)), Background(lambda: demo.open(H1, read_only=True))]
    for call in calls:
        call.thread.join(0.05)
        assert call.thread.is_alive()
    assert demo.h2.light(1).vms
    demo.backend.release_host(H1)
    for call in calls:
        call.finish()


def test_writes_can_be_denied_and_made_to_fail(demo: Demo) -> None:
    uuid = demo.backend.uuid("web1")
    demo.backend.fail(Verb.PAUSE, VmBusy("no"))
    with pytest.raises(VmBusy, match="no"):
        demo.h1.perform(Verb.PAUSE, uuid)
    demo.h1.perform(Verb.PAUSE, uuid)
    demo.backend.deny_writes(H1)
    with pytest.raises(NotPermitted):
        demo.h1.perform(Verb.RESUME, uuid)
    with pytest.raises(NotPermitted):
        demo.open(H1)
    assert demo.open(H1, read_only=True).light(1).vms


def test_a_guest_can_ignore_a_shutdown(demo: Demo) -> None:
    uuid = demo.backend.uuid("web1")
    demo.backend.ignore_shutdown(uuid)
    demo.h1.perform(Verb.SHUTDOWN, uuid)
    demo.clock.advance(600)
    assert demo.light("web1").state is VmState.RUNNING


@pytest.mark.parametrize("name", ["\x1b]52;c;aGk=\x07", "db\u202e1bew", "[red]x[/]", "x" * 5000, "e" + "\u0301" * 500])
def test_hostile_names_are_cleaned_at_the_border(demo: Demo, name: str) -> None:
    uuid = demo.backend.add_vm(H1, name)
    shown = next(vm.name for vm in demo.h1.light(1).vms if vm.uuid == uuid)
    assert shown == clean(name)
    assert demo.backend.uuid(name) == uuid


def test_the_fleet_changes_under_way(demo: Demo) -> None:
    uuid = demo.backend.add_vm(H2, "fresh", state=VmState.PAUSED, reason="I/O error", vcpus=3, memory_bytes=3 * 1024**3)
    added = demo.light("fresh")
    assert (added.vcpus, added.memory_allocated_bytes, added.reason) == (3, 3 * 1024**3, "I/O error")
    demo.backend.remove_vm(H2, uuid)
    with pytest.raises(VmGone):
        demo.h2.identity(uuid)
    with pytest.raises(KeyError):
        demo.backend.find("fresh")


# Console


def test_a_console_echoes_and_answers(demo: Demo) -> None:
    sink = Sink()
    console = demo.h1.open_console(demo.backend.uuid("web1"), sink)
    assert sink.text.endswith("root@web1:~# ")
    sink.text = ""
    console.write(b"ecko\x7f\x7fho hi")
    assert sink.text == "ecko\b \b\b \bho hi"
    sink.text = ""
    console.write(b"\r")
    assert sink.text == "\r\nhi\r\nroot@web1:~# "


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (b"uname\r", "Linux\r\n"),
        (b"uptime\r", "load average: "),
        (b"free\r", "Mem:"),
        (b"ls\r", "notes.txt"),
        (b"dmesg\r", "Hypervisor detected: KVM"),
        (b"help\r", "uptime"),
        (b"clear\r", "\x1b[H\x1b[2J"),
        (b"exit\r", "web1 login: "),
        (b"rm -rf /\r", "-bash: rm: command not found"),
        (b"echo a\x15uname\r", "Linux\r\n"),
        (b"uname\r\x1b[A\r", "uname\r\nLinux\r\n"),
        (b"abc\x03", "^C\r\nroot@web1:~# "),
        ("echo grüße\r".encode(), "\r\ngrüße\r\n"),
        (b"echo \xff\x00\x1b[999z\r", "\r\n\ufffd\r\n"),
    ],
)
def test_console_commands(demo: Demo, typed: bytes, answer: str) -> None:
    sink = Sink()
    console = demo.h1.open_console(demo.backend.uuid("web1"), sink)
    for byte in typed:
        console.write(bytes([byte]))
    assert answer in sink.text.rsplit("dmesg.\x1b[0m", 1)[1]


def test_a_console_belongs_to_one_and_ends_with_its_vm(demo: Demo) -> None:
    uuid, sink = demo.backend.uuid("web1"), Sink()
    console = demo.h1.open_console(uuid, sink)
    with pytest.raises(ConsoleBusy):
        demo.open(H1).open_console(uuid, Sink())
    console.close()
    demo.open(H1).open_console(uuid, sink)
    demo.h1.perform(Verb.FORCE_OFF, uuid)
    assert sink.reason == "the VM was shut off"
    with pytest.raises(InvalidState):
        demo.h1.open_console(uuid, Sink())


def test_a_console_that_is_forced_open_ends_the_other(demo: Demo) -> None:
    uuid, first, second = demo.backend.uuid("web1"), Sink(), Sink()
    demo.h1.open_console(uuid, first)
    demo.open(H1).open_console(uuid, second, force=True)
    assert first.reason == "another client took the console over"
    assert "login" in second.text


def test_a_guest_floods_until_it_is_interrupted(demo: Demo) -> None:
    sink = Sink()
    console = demo.h1.open_console(demo.backend.uuid("web1"), sink)
    console.write(b"yes no\r")
    sink.text = ""
    demo.clock.advance(0.1)
    assert len(sink.text) > 90_000
    assert set(sink.text.split()) == {"no"}
    console.write(b"\x03")
    sink.text = ""
    demo.clock.advance(1)
    assert sink.text == ""
    console.write(b"echo on\r")
    assert "\r\non\r\n" in sink.text


def test_a_closed_console_floods_nobody(demo: Demo) -> None:
    sink = Sink()
    console = demo.h1.open_console(demo.backend.uuid("web1"), sink)
    console.write(b"yes\r")
    console.close()
    sink.text = ""
    demo.clock.advance(1)
    assert sink.text == ""


def test_what_is_typed_to_a_paused_guest_waits(demo: Demo) -> None:
    uuid, sink = demo.backend.uuid("web1"), Sink()
    console = demo.h1.open_console(uuid, sink)
    demo.h1.perform(Verb.PAUSE, uuid)
    sink.text = ""
    console.write(b"echo late\r")
    assert sink.text == ""
    demo.h1.perform(Verb.RESUME, uuid)
    assert "\r\nlate\r\n" in sink.text


def test_with_a_clock_that_runs_everything_moves_by_itself() -> None:
    # Faster than real, so that the test is not slow; like the real one, it wakes nobody.
    backend = DemoBackend(clock=lambda: 20 * time.monotonic())
    uuid = backend.uuid("mail")
    connection = backend.open(H1, read_only=False)
    Background(lambda: connection.migrate(uuid, H2, SHARED, peer_to_peer=True)).finish()
    assert backend.find("mail").host == H2
    events = threading.Semaphore(0)
    watching = backend.open(H2, read_only=True, on_event=events.release)
    backend.open(H2, read_only=False).perform(Verb.SHUTDOWN, uuid)
    # In shutdown, then off: told while nobody asks, maybe both at once.
    assert events.acquire(timeout=60)
    while watching.identity(uuid).state is not VmState.SHUT_OFF:
        assert events.acquire(timeout=60)


def test_a_hosts_vms_are_made_when_somebody_looks() -> None:
    backend = DemoBackend(1000)
    first, second = (host for host in list(backend._world.hosts.values())[:2])
    backend.open(first.uri, read_only=True).light(1.0)
    assert "vms" in vars(first)
    assert "vms" not in vars(second)
    spec = next(iter(first.vms.values())).spec
    assert "reads" not in vars(spec)
