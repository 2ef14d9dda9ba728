"""Emulated hosts: for a first look, for tests and for pictures; they prove nothing about libvirt."""

from kvmtui.hypervisor.demo.backend import DemoBackend
from kvmtui.hypervisor.demo.clock import ManualClock

__all__ = ["DemoBackend", "ManualClock"]
