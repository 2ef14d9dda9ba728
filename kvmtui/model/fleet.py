"""All hosts with their VMs as one frozen value."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from kvmtui.model.host import Host
from kvmtui.model.vm import Vm, VmKey


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """What the screen is drawn from."""

    hosts: Mapping[str, Host] = field(default_factory=lambda: MappingProxyType({}))
    """Hosts by key, in the order the user gave them."""
    pending: Mapping[VmKey, str] = field(default_factory=lambda: MappingProxyType({}))
    """What has been asked of a VM and not been answered yet: "starting", "shutting down"."""
    version: int = 0

    def vm(self, key: VmKey | None) -> Vm | None:
        """Return the VM, or None when it is no longer there."""
        if key is None:
            return None
        host = self.hosts.get(key.host)
        return host.vms.get(key.uuid) if host else None

    def vms(self) -> Iterator[Vm]:
        """Iterate over all VMs of all hosts."""
        for host in self.hosts.values():
            yield from host.vms.values()

    def with_host(self, host: Host) -> "Fleet":
        """Return a fleet in which `host` has taken the place of its older self."""
        return replace(self, hosts=MappingProxyType({**self.hosts, host.key: host}), version=self.version + 1)

    def with_pending(self, pending: Mapping[VmKey, str]) -> "Fleet":
        """Return a fleet with other pending actions."""
        return replace(self, pending=MappingProxyType(dict(pending)), version=self.version + 1)
