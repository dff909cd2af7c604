"""Chooses the scale at which a picture's objects fit mini's network."""

from __future__ import annotations

import numpy as np

from pipeline.segment.mini_peaks import Found

BEST_RADIUS_PX = 15.0
"""Radius at the network's input at which its quality is highest (it was taught 6 to 27)."""
SIZE_WEIGHT = 0.6
SURE = 0.4
"""Instances of a lower quality do not speak for a scale."""


def scale_score(found: Found) -> float:
    """Return how well a scale explains the picture: log(share explained) − 0.6·|log(radius / 15 px)|.

    The share is of the picture's area, each instance weighted by the square of its quality, which is
    low for clumps and pieces; −inf where nothing is found.
    """
    sure = found.quality >= SURE
    if not sure.any():
        return -np.inf
    explained = float((found.area * found.quality**2)[sure].sum()) / found.labels.size
    radius = float(np.median(found.radius_px[sure]))
    return float(np.log(explained) - SIZE_WEIGHT * abs(np.log(radius / BEST_RADIUS_PX)))
