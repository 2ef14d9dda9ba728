"""Figures as text, as the screen and the reports have them."""

from kvmtui.model.format import UNKNOWN, Part, Quantity, age, duration, part, percent, rate, round_trip, size

__all__ = ["UNKNOWN", "Part", "Quantity", "age", "duration", "part", "percent", "rate", "round_trip", "size"]
