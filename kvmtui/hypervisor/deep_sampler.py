"""Deep samples: ready time, guest memory and disk counters, which mostly only QEMU can tell."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kvmtui.hypervisor.library import libvirt
from kvmtui.hypervisor.qemu_processes import QemuFinder, QemuProcess
from kvmtui.hypervisor.samples import DeepVm
from kvmtui.hypervisor.sampling import deep_vm, left_out


class DeepSampler:
    """Takes deep samples over one connection.

    For a vCPU's ready time libvirt reads a file of the host, but asks QEMU first how the vCPU fares. Where that file
    is this machine's, it is read here and QEMU is left alone.
    """

    def __init__(self, connection: Any, finder: QemuFinder | None) -> None:
        """`finder` finds QEMU processes, on this machine only."""
        self._module = libvirt()
        self._connection = connection
        self._finder = finder
        self._processes: dict[str, tuple[int, QemuProcess]] = {}
        """By uuid; with the id of the run it belongs to."""
        self._sought: dict[str, int] = {}
        """Ids of the runs without a process, by uuid."""

    def sample(self, domains: Sequence[Any]) -> list[DeepVm]:
        """Tell of the domains but for those that other clients' calls have.

        Raises `libvirtError`, and blocks for ever on a QEMU that hangs.
        """
        samples: list[DeepVm] = []
        groups = self._module.VIR_DOMAIN_STATS_BALLOON | self._module.VIR_DOMAIN_STATS_BLOCK
        ready = self._read_ready(domains)
        told = [domain for domain in domains if domain.UUIDString() in ready]
        others = [domain for domain in domains if domain.UUIDString() not in ready]
        for asked, wanted in ((told, groups), (others, groups | self._module.VIR_DOMAIN_STATS_VCPU)):
            if not asked:
                continue
            taken_at_s, wall_s = time.monotonic(), time.time()
            rows = self._connection.domainListGetStats(
                asked, wanted, self._module.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
            )
            for domain, stats in rows:
                if left_out(stats):
                    continue
                uuid, run = domain.UUIDString(), domain.ID()
                known = self._processes.get(uuid)
                if known is None or known[0] != run:
                    self._processes.pop(uuid, None)
                    ready.pop(uuid, None)
                    self._sought[uuid] = run
                samples.append(replace(deep_vm(uuid, taken_at_s, wall_s, stats, ready.get(uuid)), id=run))
        self._seek()
        return samples

    def _read_ready(self, domains: Sequence[Any]) -> dict[str, tuple[int, int]]:
        """Return the ready times that the kernel of this machine tells."""
        found: dict[str, tuple[int, int]] = {}
        for domain in domains:
            uuid = domain.UUIDString()
            known = self._processes.get(uuid)
            ready = None if known is None else known[1].ready()
            if ready is not None:
                found[uuid] = ready
        return found

    def _seek(self) -> None:
        # After libvirt named the runs, so that a process that is found now is not one of a run before.
        found = None if self._finder is None else self._finder.find(self._sought)
        if found is not None:
            self._processes.update((uuid, (self._sought[uuid], process)) for uuid, process in found.items())
            self._sought.clear()
