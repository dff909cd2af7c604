"""How many of N things are there, when each is there with its own probability, and some were not seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_LEVELS = 64
"""Probabilities that round to the same of so many steps are taken as their mean: 5,000 are as quick as 64."""
_SURE = 1e-4


def count_distribution(probs: Floats, spread: float = 0.0, missed: float = 0.0, shape: float = 1.0) -> Floats:
    """Return float64 probabilities of 0, 1, … objects in a picture.

    Trials that share an error (normal in log odds: pictures are easy or hard as a whole) and, added to
    them, misses (Poisson with a gamma-distributed mean).

    Args:
        probs: (N,) in [0, 1]. Alike ones are taken as equal, see ``_LEVELS``.
        spread: standard deviation of the shared error in log odds.
        missed: mean number of misses.
        shape: of the gamma distribution; its coefficient of variation is ``shape ** -0.5``.

    Complexity: N log N and at most 7 * 65 * N powers.
    """
    length = len(probs) + 1 + (32 + int(12 * missed * (1 + 1 / shape)) if missed else 0)
    turns = _turns(length)
    levels, times = _alike(probs)
    if spread:
        safe = np.clip(levels, _SURE, 1 - _SURE)
        odds = np.log(safe / (1 - safe))
        shared = [_trials(1 / (1 + np.exp(-odds - spread * node)), times, turns) for node in _NODES]
        spectrum = np.average(shared, axis=0, weights=_WEIGHTS)
    else:
        spectrum = _trials(levels, times, turns)
    return _mass(spectrum * (1 + missed / shape * (1 - turns)) ** -shape, length)


def central_interval(mass: Floats, level: float = 0.9) -> tuple[int, int]:
    """Return the inclusive interval that leaves at most (1 - level) / 2 on each side.

    Args:
        mass: (N + 1,) probabilities of 0, 1, … N.
        level: in (0, 1).
    """
    tail = (1 - level) / 2
    below = np.cumsum(mass)
    low = int(np.searchsorted(below, tail, side="right"))
    high = int(np.searchsorted(below, 1 - tail, side="left"))
    return min(low, len(mass) - 1), min(high, len(mass) - 1)


def total_interval(intervals: Iterable[Sequence[int]]) -> list[int] | None:
    """Return the interval of a sum of counts, from the inclusive [low, high] of each; None without any.

    Lows and highs are added up: errors in pictures of one kind of thing by one engine go the same way, so
    they do not cancel out as independent ones would.
    """
    known = list(intervals)
    return [sum(low for low, _ in known), sum(high for _, high in known)] if known else None


def _turns(length: int) -> NDArray[np.complex128]:
    """Return the points on the unit circle at which a distribution's transform is taken."""
    return np.asarray(np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length), dtype=np.complex128)


def _alike(probs: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Return the mean of each step that has probabilities in it, and how many those are."""
    steps = np.rint(probs * _LEVELS).astype(np.int64)
    times = np.bincount(steps)
    used = np.flatnonzero(times)
    return np.bincount(steps, probs)[used] / times[used], times[used]


def _trials(probs: Floats, times: NDArray[np.int64], turns: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Return the transform of the number of successes: a product over the trials, equal ones at once."""
    spectrum = np.ones(len(turns), dtype=np.complex128)
    for p, n in zip(probs, times, strict=True):
        spectrum *= (1 - p + p * turns) ** int(n)
    return spectrum


def _mass(spectrum: NDArray[np.complex128], length: int) -> Floats:
    mass = np.maximum(np.fft.irfft(spectrum, length), 0.0) if length > 1 else np.ones(1)
    return np.asarray(mass / mass.sum(), dtype=np.float64)
