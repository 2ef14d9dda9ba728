"""What is checked before a VM moves: each check passes, warns, fails or cannot be made, with its evidence. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from kvmtui.model import preflight_devices as devices
from kvmtui.model import preflight_disks as disks
from kvmtui.model import preflight_host as host
from kvmtui.model import preflight_machine as machine
from kvmtui.model.clean import clean
from kvmtui.model.migration_options import MigrationOptions
from kvmtui.model.preflight_shared import default_disks, part_copy, shared
from kvmtui.model.preflight_values import Check, Finding, Grade, GuestNeeds, HostOffers

__all__ = ["Check", "Grade", "GuestNeeds", "HostOffers", "default_disks", "part_copy", "preflight", "summary"]


class _Row(NamedTuple):
    """One check: what it is called and what makes it; None is returned where it does not apply."""

    id: str
    title: str
    look: Callable[[GuestNeeds, HostOffers, MigrationOptions], Finding | None]
    matters_off: bool = True
    """Whether it is made for a VM that is off."""


_ROWS = (
    _Row("state", "state", host.state),
    _Row("other-host", "other host", host.other_host),
    _Row("name", "name and UUID", host.namesakes),
    _Row("job", "running job", host.job, matters_off=False),
    _Row("snapshots", "snapshots", host.snapshots),
    _Row("machine", "machine type", machine.machine),
    _Row("cpu", "CPU", machine.cpu),
    _Row("tsc", "time stamp counter", machine.tsc, matters_off=False),
    _Row("networks", "networks", devices.networks),
    _Row("disks", "disks", disks.visible),
    _Row("copies", "disk copies", disks.copies, matters_off=False),
    _Row("shared", "shared storage", shared),
    _Row("cache", "disk cache", disks.cache, matters_off=False),
    _Row("transient", "transient disks", disks.transient, matters_off=False),
    _Row("media", "media", disks.media),
    _Row("block-jobs", "block jobs", disks.block_jobs, matters_off=False),
    _Row("io-error", "I/O errors", disks.io_error, matters_off=False),
    _Row("memory", "memory", machine.memory),
    _Row("hugepages", "huge pages", machine.hugepages),
    _Row("vcpus", "vCPUs", machine.vcpus),
    _Row("pins", "CPU pins", machine.pins),
    _Row("numa", "NUMA nodes", machine.numa),
    _Row("host-devices", "host devices", devices.host_devices),
    _Row("shared-memory", "shared memory", devices.shared_memory, matters_off=False),
    _Row("file-systems", "shared folders", devices.file_systems, matters_off=False),
    _Row("tpm", "TPM", devices.tpm),
    _Row("firmware", "firmware", devices.firmware),
    _Row("host-files", "host files", devices.host_files),
    _Row("secrets", "secrets", devices.secrets),
    _Row("launch-security", "encrypted memory", devices.launch_security, matters_off=False),
    _Row("saved", "saved state", host.saved),
    _Row("versions", "versions", host.versions),
    _Row("round-trip", "round trip", host.round_trip),
    _Row("reach", "link between them", host.reach),
)
# What a destination lacks only when the VM runs; its definition alone can be there without it.
_ONLY_TO_RUN = frozenset({"machine", "cpu", "networks", "memory", "hugepages", "vcpus", "pins", "numa", "secrets"})


def preflight(needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> tuple[Check, ...]:
    """Return all checks of a move with these options, worst first."""
    checks = [check for row in _ROWS if (check := _check(row, needs, offers, options)) is not None]
    return tuple(sorted(checks, key=lambda check: -check.grade))


def summary(checks: Iterable[Check]) -> str:
    """Return how the checks came out on one line: "12 checks pass, 1 warns, 2 unknown"."""
    counts = dict.fromkeys(Grade, 0)
    for check in checks:
        counts[check.grade] += 1
    passed = counts[Grade.PASS]
    parts = [f"{passed} check passes" if passed == 1 else f"{passed} checks pass"]
    for grade, one, many in _WORDS:
        if count := counts[grade]:
            parts.append(f"{count} {one if count == 1 else many}")
    return ", ".join(parts)


_WORDS = ((Grade.FAIL, "fails", "fail"), (Grade.WARN, "warns", "warn"), (Grade.UNKNOWN, "unknown", "unknown"))


def _check(row: _Row, needs: GuestNeeds, offers: HostOffers, options: MigrationOptions) -> Check | None:
    if not needs.active and not row.matters_off:
        return None
    found = row.look(needs, offers, options)
    if found is None:
        return None
    if not needs.active and found.grade is Grade.FAIL and row.id in _ONLY_TO_RUN:
        found = replace(found, grade=Grade.WARN, evidence=f"it could not start there: {found.evidence}")
    return Check(row.id, row.title, found.grade, clean(found.evidence, 300), clean(found.advice, 300))
