"""Groups of alike things: divisive clustering that splits only where there is a gap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_SEPARATION = 5.0
"""Ashman's D that a split must reach. The halves of one bell curve have 2.7, of one flat block 3.5."""

MIN_DISTANCE = 0.25
"""Distance of two centres below which they are one group, however tight."""

MIN_MEMBERS = 2
PROJECTED_WIDTH = 96
"""2048 columns take ten times as long as this and give the same groups."""


def cluster(features: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return a group id for each row: 0 is the largest group; equal sizes by their first row.

    Bisects along the line between two centres (2-means started at the first principal axis) as long as
    both sides are apart by ``MIN_SEPARATION`` and ``MIN_DISTANCE``. Deterministic; the number of groups
    follows from the data.

    Args:
        features: (N, D) float32, in units where 1 is a large difference.
    """
    features = _narrowed(features)
    ids = np.zeros(len(features), dtype=np.int64)
    todo = [np.arange(len(features))]
    groups: list[NDArray[np.int64]] = []
    while todo:
        rows = todo.pop()
        right = _split(features[rows])
        if right is None:
            groups.append(rows)
        else:
            todo += [rows[right], rows[~right]]
    groups.sort(key=lambda rows: (-len(rows), int(rows[0]) if len(rows) else 0))
    for group, rows in enumerate(groups):
        ids[rows] = group
    return ids


def _narrowed(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Project wide rows to fewer columns: a fixed random projection keeps distances to some percent."""
    width = features.shape[1]
    if width <= 2 * PROJECTED_WIDTH:
        return features
    axes = np.random.default_rng(0).normal(0, PROJECTED_WIDTH**-0.5, (width, PROJECTED_WIDTH))
    return np.asarray(features @ axes.astype(np.float32), dtype=np.float32)


def _split(x: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Return which rows go to the second half, None when the rows belong together."""
    if len(x) < 2 * MIN_MEMBERS:
        return None
    centred = x - x.mean(axis=0)
    side = centred @ _principal_axis(centred) > 0
    for _ in range(20):
        if not MIN_MEMBERS <= int(side.sum()) <= len(x) - MIN_MEMBERS:
            return None
        left, right = x[~side].mean(axis=0), x[side].mean(axis=0)
        moved = ((x - right) ** 2).sum(axis=1) < ((x - left) ** 2).sum(axis=1)
        if np.array_equal(moved, side):
            break
        side = moved
    return side if _are_apart(x, side) else None


def _principal_axis(centred: NDArray[np.float32]) -> NDArray[np.float32]:
    """Power iteration from the row farthest from the centre: deterministic, no N x N matrix."""
    axis = centred[int(np.argmax((centred**2).sum(axis=1)))]
    for _ in range(30):
        axis = centred.T @ (centred @ axis)
        axis = axis / max(float(np.linalg.norm(axis)), 1e-12)
    return np.asarray(axis, dtype=np.float32)


def _are_apart(x: NDArray[np.float32], side: NDArray[np.bool_]) -> bool:
    if not MIN_MEMBERS <= int(side.sum()) <= len(x) - MIN_MEMBERS:
        return False
    line = x[side].mean(axis=0) - x[~side].mean(axis=0)
    distance = float(np.linalg.norm(line))
    if distance < MIN_DISTANCE:
        return False
    along = x @ (line / distance)
    spread = float(np.sqrt(along[side].var() + along[~side].var()))
    return distance * 2**0.5 >= MIN_SEPARATION * spread
