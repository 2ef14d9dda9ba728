"""Findings and definitions out of a recording; what is in the file is taken for hostile."""

from math import isfinite
from typing import Any

from kvmtui.model.clean import clean, clean_message
from kvmtui.model.findings import Finding, Severity
from kvmtui.model.vm import Disk, Interface, VmConfig, VmKey


def number(value: Any) -> float:
    """Return a number; raises `ValueError` where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return value


def moment(value: Any, shift_s: float) -> float | None:
    """Return a time, moved; None stands for none."""
    return None if value is None else number(value) + shift_s


def finding_of(told: Any, shift_s: float) -> Finding:
    """Return a finding; raises `ValueError`, `TypeError` or `KeyError` where it is none."""
    vm, since_s = told["vm"], told["since_s"]
    return Finding(
        severity=Severity(told["severity"]),
        **{name: clean(str(told[name])) for name in ("rule", "title", "host", "host_name", "vm_name", "subject")},
        evidence=clean_message(str(told["evidence"])),
        advice=clean_message(str(told["advice"])),
        vm=None if vm is None else VmKey(clean(str(vm[0])), clean(str(vm[1]))),
        since_s=None if since_s is None or not isfinite(since_s) else since_s + shift_s,
    )


def config_of(told: Any) -> VmConfig:
    """Return a definition; raises as `finding_of` does."""
    period_s = told["balloon_period_s"]
    return VmConfig(
        disks=tuple(
            Disk(
                target=clean(str(disk["target"])),
                path=None if disk["path"] is None else str(disk["path"]),
                writable=bool(disk["writable"]),
                kind=clean(str(disk["kind"])),
            )
            for disk in told["disks"]
        ),
        interfaces=tuple(
            Interface(*(clean(str(each[name])) for name in ("mac", "source", "model"))) for each in told["interfaces"]
        ),
        consoles=tuple(clean(str(each)) for each in told["consoles"]),
        addresses=tuple(clean(str(each)) for each in told["addresses"]),
        balloon_period_s=None if period_s is None else int(period_s),
        emulated=bool(told["emulated"]),
        taken_at_s=0.0,
        pinned=bool(told["pinned"]),
        apart=tuple(clean(str(each)) for each in told["apart"]),
    )
