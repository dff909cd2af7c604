"""Joins the pieces of one thing that touches no other: a bolt's head and shaft, the bends of a worm."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.segment.mini_peaks import Found, highest_in, judge, peak_field
from pipeline.segment.mini_tree import touching

LONE_SADDLE = 0.4
"""Between the neighbours in a clump that is one thing the cone stays above this share of the lower peak."""
LOSS = 0.03
"""So much lower than that of its pieces, on average, its quality may be."""
MOST_PIECES = 6
HALF = 0.43
"""Two pieces that both have this share of the area are two things of a size."""


def join_pieces(found: Found) -> Found:
    """Return the instances with the clumps that are one thing as one instance each.

    A clump is what touches and touches nothing else. The limits were chosen on drawn scenes and photos
    (docs/mini.md).
    """
    n, field = len(found.area), peak_field(found.maps)
    pairs, saddle = touching(found.labels, field)
    if not len(pairs):
        return found
    a, b = pairs.T + 1
    touch = coo_array((np.ones(len(pairs)), (a, b)), shape=(n + 1, n + 1))
    clump = connected_components(touch, directed=False)[1].astype(np.int32)  # clump 0 is the ground
    pieces = np.bincount(clump)
    peak = highest_in(found.labels, n, field)
    lowest = np.ones(len(pieces))
    np.minimum.at(lowest, clump[a], saddle / np.maximum(np.minimum(peak[a], peak[b]), 1e-6))
    total = np.bincount(clump[1:], found.area, len(pieces))
    theirs = np.bincount(clump[1:], found.area * found.quality, len(pieces)) / np.maximum(total, 1)
    _, quality, stability = judge(clump[found.labels], len(pieces) - 1, found.maps, field)
    least = total.copy()
    np.minimum.at(least, clump[1:], found.area)
    is_one = (pieces > 1) & (pieces <= MOST_PIECES) & (lowest >= LONE_SADDLE) & (least < HALF * total)
    is_one[1:] &= quality >= theirs[1:] - LOSS
    numbers, table = np.unique(np.where(is_one[clump], n + clump, np.arange(n + 1)), return_inverse=True)
    each = ((found.area, total[1:]), (found.quality, quality), (found.stability, stability))
    told = (np.concatenate(pair)[numbers[1:] - 1].astype(np.float32) for pair in each)
    return Found(found.maps, table.astype(np.int32)[found.labels], *told)
