"""Plausible loads whose totals are closed formulas: any counter at any time costs a microsecond and no memory."""

from collections.abc import Callable
from hashlib import blake2b
from math import cos, tau
from typing import Any, NamedTuple

_DAY_S = 86_400.0
_MASK = 0xFFFFFFFF
_RAMP_SHARE = 0.7
"""The part of its period in which a ramp rises; then it rests."""


class Dice:
    """Numbers that depend on nothing but a seed and a label, so that adding a VM changes no other."""

    def __init__(self, *seeds: object) -> None:
        self._prefix = "/".join(map(str, seeds))

    def of(self, part: str) -> "Dice":
        """Return dice of a part's own."""
        return Dice(self._prefix, part)

    def bits(self, label: str, count: int = 32) -> int:
        """Return `count` random bits, a multiple of 8 up to 512."""
        digest = blake2b(f"{self._prefix}/{label}".encode("utf-8", "surrogatepass"), digest_size=count // 8)
        return int.from_bytes(digest.digest(), "big")

    def between(self, label: str, low: float, high: float) -> float:
        """Return a number from `low` up to `high`."""
        return low + (high - low) * self.bits(label) / 2**32


class Load(NamedTuple):
    """A rate over time as a sum of simple curves, and its integral; never negative.

    All amplitudes are in units per second. `wave`, `daily` and `noise` together must not exceed `level`.
    """

    level: float = 0.0
    wave: float = 0.0
    wave_period_s: float = 60.0
    phase: float = 0.0
    daily: float = 0.0
    pulse: float = 0.0
    pulse_period_s: float = 60.0
    pulse_width_s: float = 1.0
    grain: float = 0.0
    """Noise while a pulse lasts; not more than `pulse`."""
    grain_pairs: int = 1
    """How many pairs of slow noise cells make a pulse."""
    ramp: float = 0.0
    ramp_period_s: float = 300.0
    noise: float = 0.0
    noise_cell_s: float = 2.0
    seed: int = 0

    def total(self, t: float) -> float:
        """Return how much has come together `t` seconds after the start; grows with `t`."""
        total = self.level * t
        if self.wave:
            omega = tau / self.wave_period_s
            total += self.wave / omega * (cos(self.phase) - cos(omega * t + self.phase))
        if self.daily:
            omega = tau / _DAY_S
            total += self.daily / omega * (cos(self.phase) - cos(omega * t + self.phase))
        if self.pulse:
            periods, x = divmod(t, self.pulse_period_s)
            width = self.pulse_width_s
            total += self.pulse * (periods * width + (x if x < width else width))
            if self.grain and x < width:
                # Whole pairs fill the pulse, so the pulses before have left nothing of it.
                cell = width / (2 * self.grain_pairs)
                seed = self.seed ^ int(periods) * 0x27D4EB2F
                total += self.grain * (0.5 * _tent(seed, x, cell / 3) + 0.5 * _tent(~seed, x, cell))
        if self.ramp:
            periods, x = divmod(t, self.ramp_period_s)
            rising = self.ramp_period_s * _RAMP_SHARE
            x = min(x, rising)
            total += self.ramp * (periods * rising / 2 + x * x / (2 * rising))
        if self.noise:
            cell = self.noise_cell_s
            total += self.noise * (0.5 * _tent(self.seed, t, cell) + 0.5 * _tent(self.seed ^ 0x5BD1E995, t, 9 * cell))
        return total

    @property
    def peak(self) -> float:
        """An upper bound of the rate."""
        return self.level + self.wave + self.daily + self.pulse + self.grain + self.ramp + self.noise

    @property
    def mean(self) -> float:
        """The rate over a long time."""
        return self.level + self.pulse * self.pulse_width_s / self.pulse_period_s + self.ramp * _RAMP_SHARE / 2

    def scaled(self, factor: float) -> "Load":
        """Return the same curve with other amplitudes."""
        return self._replace(
            level=self.level * factor,
            wave=self.wave * factor,
            daily=self.daily * factor,
            pulse=self.pulse * factor,
            grain=self.grain * factor,
            ramp=self.ramp * factor,
            noise=self.noise * factor,
        )


def _tent(seed: int, t: float, cell: float) -> float:
    """Return the integral of a random rate between -1 and 1 that changes every `cell` seconds.

    Two cells share one random number with opposite signs. So every pair adds up to nothing, and the integral is
    known without looking at the cells before.
    """
    pair, x = divmod(t, 2 * cell)
    mixed = (int(pair) * 0x9E3779B1 ^ seed) & _MASK
    mixed = (mixed ^ mixed >> 15) * 0x85EBCA6B & _MASK
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 & _MASK
    return (mixed / 2**31 - 1) * (x if x < cell else 2 * cell - x)


Shape = Callable[[float, Dice], Load]
"""Makes a load of a given mean."""


def steady(mean: float, dice: Dice, **more: Any) -> Load:
    """Return a load that wobbles around its mean; `more` are other fields of it."""
    return Load(
        level=mean,
        wave=0.2 * mean,
        wave_period_s=dice.between("wave", 40, 240),
        phase=dice.between("phase", 0, tau),
        noise=0.4 * mean,
        noise_cell_s=dice.between("cell", 1.6, 3.4),
        seed=dice.bits("noise"),
        **more,
    )


def daily(mean: float, dice: Dice) -> Load:
    """Return a load with busy hours: a day's wave, a minutes' wave and noise."""
    return steady(mean, dice, daily=0.35 * mean)


def bursty(mean: float, dice: Dice) -> Load:
    """Return a load that rests at a fifth of its mean and bursts to four times."""
    period, share = dice.between("pulse", 45, 150), 0.2
    pulse = 0.8 * mean / share
    return steady(
        0.2 * mean,
        dice,
        pulse=pulse,
        pulse_period_s=period,
        pulse_width_s=period * share,
        grain=0.5 * pulse,
        grain_pairs=_pairs(period * share),
    )


def idle(mean: float, dice: Dice) -> Load:
    """Return a load of next to nothing, with something small every minute."""
    return Load(
        level=0.8 * mean,
        pulse=0.2 * mean * 20,
        pulse_period_s=dice.between("pulse", 50, 70),
        pulse_width_s=dice.between("pulse", 50, 70) / 20,
        noise=0.5 * mean,
        noise_cell_s=dice.between("cell", 1.6, 3.4),
        seed=dice.bits("noise"),
    )


def batch(mean: float, dice: Dice) -> Load:
    """Return a load that rises for minutes and then rests."""
    period = dice.between("ramp", 150, 420)
    pulse = 0.35 * mean / _RAMP_SHARE
    return steady(
        0.1 * mean,
        dice,
        pulse=pulse,
        pulse_period_s=period,
        pulse_width_s=period * _RAMP_SHARE,
        grain=0.9 * pulse,
        grain_pairs=_pairs(period * _RAMP_SHARE),
        ramp=0.55 * mean / (_RAMP_SHARE / 2),
        ramp_period_s=period,
    )


def _pairs(width_s: float) -> int:
    """Return how many pairs of cells of about seven seconds fit into a pulse."""
    return max(1, round(width_s / 14))
