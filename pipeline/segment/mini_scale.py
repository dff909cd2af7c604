"""Chooses the scale at which a picture's objects fit mini's network."""

from __future__ import annotations

import numpy as np

from pipeline.segment.mini_peaks import Found

BEST_RADIUS_PX = 11.0
"""Of scales that explain equally much, the one that shows things this large (it was taught 6 to 27)."""
SIZE_WEIGHT = 0.6
AREA_POWER = 0.75
"""Below 1, many things explain more than one as large as all of them: a heap, or the dish they lie in."""
FEW = 4
"""Of this many things, half is believed: one alone is mostly their holder, their heap or a part of one."""
SURE = 0.4
"""Instances of a lower quality do not speak for a scale."""


def scale_score(found: Found) -> float:
    """Return how well a scale explains the picture, −inf where nothing is found.

    log Σ quality²·share^0.75 + log(n / (n + 4)) − 0.6·|log(radius / 11 px)| over the n sure instances;
    share is of the picture's area, radius their median in input px. Clumps and pieces have a low quality.
    """
    sure = found.quality >= SURE
    n = int(sure.sum())
    if not n:
        return -np.inf
    share = (found.area[sure] / found.labels.size).astype(np.float64) ** AREA_POWER
    explained = float((share * found.quality[sure] ** 2).sum())
    radius = float(np.median(found.radius_px[sure]))
    return float(np.log(explained * n / (n + FEW)) - SIZE_WEIGHT * abs(np.log(radius / BEST_RADIUS_PX)))
