"""Who gives way to whom: suppression of duplicates and of parts, over sparse mask overlaps."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

KEPT = -1
"""Entry of a candidate that nothing suppressed."""


def suppress(
    rank: NDArray[np.int64], pairs: NDArray[np.int64], alive: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return which candidate suppresses each one; ``KEPT`` for the survivors and for the not alive.

    Greedy: candidates are met in rank order; one that conflicts with an earlier survivor goes.

    Args:
        rank: (N,) int64, a permutation: indices, strongest first.
        pairs: (P, 2) int64. Pairs of candidates that cannot both stay.
        alive: (N,) bool. Only these take part.

    Returns:
        (N,) int64: index of the strongest surviving rival, or ``KEPT``.
    """
    place = np.empty(len(rank), dtype=np.int64)
    place[rank] = np.arange(len(rank))
    rivals: dict[int, list[int]] = defaultdict(list)
    both = alive[pairs[:, 0]] & alive[pairs[:, 1]] if len(pairs) else np.zeros(0, dtype=np.bool_)
    for i, j in pairs[both].tolist():
        strong, weak = (i, j) if place[i] < place[j] else (j, i)
        rivals[weak].append(strong)
    by = np.full(len(rank), KEPT, dtype=np.int64)
    for weak in sorted(rivals, key=place.__getitem__):
        survivors = [strong for strong in rivals[weak] if by[strong] == KEPT]
        if survivors:
            by[weak] = min(survivors, key=place.__getitem__)
    return by
