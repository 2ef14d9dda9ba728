"""kvmtui: a text-mode dashboard for KVM hosts."""

__version__ = "0.1.0"
