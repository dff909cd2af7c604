"""How many of N things are there, when each is there with its own probability."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def poisson_binomial(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N + 1,) float64: probability of 0, 1, … N successes of independent trials.

    Args:
        probs: (N,) in [0, 1].

    Complexity: N² / 2 multiplications, exact to rounding.
    """
    mass = np.zeros(len(probs) + 1)
    mass[0] = 1.0
    for n, p in enumerate(np.sort(probs.astype(np.float64))):
        mass[1 : n + 2] = mass[1 : n + 2] * (1 - p) + mass[: n + 1] * p
        mass[0] *= 1 - p
    return mass


def central_interval(mass: NDArray[np.float64], level: float = 0.9) -> tuple[int, int]:
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
