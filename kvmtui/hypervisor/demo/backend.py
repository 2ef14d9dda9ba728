"""Demo hosts: an emulated fleet behind the same protocol as libvirt, for trying kvmtui out and for its tests."""

import time
from collections.abc import Callable

from kvmtui.hypervisor.demo.connection import DemoConnection
from kvmtui.hypervisor.demo.fleet import host_count, host_name
from kvmtui.hypervisor.demo.spec import VmSpec
from kvmtui.hypervisor.demo.vm import DemoVm
from kvmtui.hypervisor.demo.world import DemoHost, World
from kvmtui.hypervisor.errors import ConnectFailed, HypervisorError, NotPermitted
from kvmtui.model.actions import Verb
from kvmtui.model.vm import VmKey, VmState


class DemoBackend:
    """A backend whose hosts `demo://h1`, `demo://h2`, ... exist in this process only.

    The same seed, clock and sequence of calls give the same answers. `latency_s` is really slept in every call.
    Everything below `open` is for tests and for looking at faults; it may be called from any thread.
    """

    def __init__(
        self,
        vms: int = 12,
        seed: int = 1,
        clock: Callable[[], float] = time.monotonic,
        latency_s: float = 0.0,
    ) -> None:
        self._world = World(clock)
        self._seed = seed
        self._latency_s = latency_s
        self._added = 0
        now = clock()
        for index in range(host_count(vms)):
            uri = f"demo://{host_name(index)}"
            self._world.hosts[uri] = DemoHost(uri, index, vms, seed, now)
        self._uris = tuple(self._world.hosts)

    @property
    def uris(self) -> tuple[str, ...]:
        """The URIs of the hosts."""
        return self._uris

    def open(self, uri: str, *, read_only: bool, on_event: Callable[[], None] | None = None) -> DemoConnection:
        """Open a connection; blocks while the host hangs."""
        host = self._world.hosts.get(uri)
        if host is None:
            raise ConnectFailed(f"no such demo host: {uri}")
        self._world.wait_until(lambda: not host.hung)
        if self._latency_s:
            time.sleep(self._latency_s)
        with self._world.transact():
            if host.down is not None:
                raise ConnectFailed(host.down)
            if host.writes_denied and not read_only:
                raise NotPermitted("authentication unavailable: no polkit agent available to authenticate")
            return DemoConnection(self._world, host, self._latency_s, read_only=read_only, on_event=on_event)

    def find(self, name: str) -> VmKey:
        """Return where the VM of that name is; during a migration its source. Raises KeyError."""
        with self._world.transact():
            for host in self._world.hosts.values():
                for uuid, vm in host.vms.items():
                    if vm.incoming is None and name in (vm.spec.name, vm.spec.shown_name):
                        return VmKey(host.uri, uuid)
        raise KeyError(name)

    def uuid(self, name: str) -> str:
        """Return the uuid of the VM of that name."""
        return self.find(name).uuid

    def add_vm(
        self,
        uri: str,
        name: str,
        *,
        role: str = "web",
        state: VmState = VmState.RUNNING,
        reason: str = "",
        vcpus: int | None = None,
        memory_bytes: int | None = None,
        age_s: float = 0.0,
        persistent: bool = True,
        autostart: bool = False,
        uuid: str | None = None,
        consoles: tuple[str, ...] = ("serial0",),
    ) -> str:
        """Define a VM on a host and bring it into a state; returns its uuid."""
        with self._world.transact() as now:
            host = self._world.hosts[uri]
            self._added += 1
            spec = VmSpec(
                self._seed,
                name,
                role,
                serial=self._added,
                vcpus=vcpus,
                memory_bytes=memory_bytes,
                persistent=persistent,
                uuid=uuid,
                consoles=consoles,
            )
            vm = host.vms[spec.uuid] = DemoVm(spec, autostart=autostart)
            if state.active:
                vm.launch(host.next_id(), now, state, reason, age_s)
            else:
                vm.change(now, state, reason)
            self._world.changed(host)
            return spec.uuid

    def remove_vm(self, uri: str, uuid: str) -> None:
        """Destroy and undefine a VM."""
        from kvmtui.hypervisor.demo.verbs import abort

        with self._world.transact() as now:
            host = self._world.hosts[uri]
            vm = host.vm(uuid)
            abort(self._world, host, vm, now, HypervisorError("operation failed: domain is gone"))
            self._world.stop(host, vm, now, VmState.SHUT_OFF, "forced off")
            host.vms.pop(uuid, None)

    def host_down(self, uri: str, reason: str = "Connection refused") -> None:
        """Break the link to a host: its VMs go on, but nobody reaches them."""
        from kvmtui.hypervisor.demo.verbs import abort

        with self._world.transact() as now:
            host = self._world.hosts[uri]
            host.down = reason
            host.hung = False
            host.links_lost += 1
            self._world.changed(host)
            for other in self._world.hosts.values():
                for vm in tuple(other.vms.values()):
                    arriving = host.vms.get(vm.spec.uuid)
                    if vm.job is not None and arriving is not None and arriving.incoming is vm.job:
                        lost = HypervisorError("operation failed: Lost connection to destination host")
                        abort(self._world, other, vm, now, lost)

    def host_up(self, uri: str) -> None:
        """Let a host be reached again; connections opened before stay broken."""
        with self._world.transact():
            self._world.hosts[uri].down = None
            self._world.wake()

    def hang_host(self, uri: str) -> None:
        """Let every call to the host, and every attempt to connect, block until `release_host`."""
        with self._world.transact():
            self._world.hosts[uri].hung = True

    def release_host(self, uri: str) -> None:
        """Let the host answer again."""
        with self._world.transact():
            self._world.hosts[uri].hung = False
            self._world.wake()

    def hang_vm(self, uri: str, uuid: str) -> None:
        """Stop a VM's QEMU as SIGSTOP does: the first deep sample that asks it blocks until `release_vm`."""
        self._set_hung(uri, uuid, True)

    def release_vm(self, uri: str, uuid: str) -> None:
        """Let the QEMU answer again."""
        self._set_hung(uri, uuid, False)

    def cut_migrations(self, uri: str, *, cut: bool = True) -> None:
        """Let nothing of a migration reach or leave a host any more, while its daemon still answers."""
        with self._world.transact() as now:
            self._world.hosts[uri].cut_off = cut
            for host in self._world.hosts.values():
                for vm in host.vms.values():
                    if vm.job is not None:
                        others = [other for other in self._world.hosts.values() if vm.spec.uuid in other.vms]
                        vm.job.settle(now, stopped=any(other.cut_off for other in others))
                        vm.job.rearrange()

    def ignore_shutdown(self, uuid: str) -> None:
        """Let a guest ignore requests to shut down or to reboot from now on."""
        with self._world.transact():
            self._world.stubborn.add(uuid)

    def fail(self, verb: Verb | str, error: HypervisorError) -> None:
        """Let the next call of `verb`, of "migrate" or of a part of it (see `demo.migration`), raise `error`."""
        with self._world.transact():
            self._world.failures[verb] = error

    def tag(self, name: str, *, pinned: bool = False, apart: tuple[str, ...] = ()) -> None:
        """Tag a VM in its definition, as an administrator would by virsh."""
        key = self.find(name)
        with self._world.transact():
            spec = self._world.hosts[key.host].vm(key.uuid).spec
            spec.pinned, spec.apart = pinned, apart

    def leave_volume(self, uri: str, path: str) -> None:
        """Put a volume that no VM uses on a host."""
        with self._world.transact():
            self._world.hosts[uri].volumes.add(path)

    def hang_item(self, uri: str, item: str, *, hangs: bool = True) -> None:
        """Let a look at a host's health hang in an item, such as "pool backup", or answer again."""
        with self._world.transact():
            hanging = self._world.hosts[uri].hanging
            hanging.add(item) if hangs else hanging.discard(item)
            self._world.wake()

    def deny_writes(self, uri: str) -> None:
        """Let a host refuse connections for writing, and writes on those that are open."""
        with self._world.transact():
            self._world.hosts[uri].writes_denied = True

    def take_away(self, uri: str, *names: str) -> None:
        """Let a host lack these networks, bridges, pools or machine types: none by default."""
        with self._world.transact():
            self._world.hosts[uri].lacks = frozenset(names)

    def _set_hung(self, uri: str, uuid: str, hung: bool) -> None:
        with self._world.transact() as now:
            host = self._world.hosts[uri]
            vm = host.vm(uuid)
            vm.hung = hung
            if not hung:
                vm.owed_since_s = None
            vm.settle(now)
            # SIGSTOP is no event to libvirt; this only wakes those who wait for the VM, and its console.
            self._world.wake()
