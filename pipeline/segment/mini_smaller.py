"""Finds much smaller things beside those that the scale chosen for a picture shows."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.segment.mini_peaks import MIN_QUALITY, Found
from pipeline.segment.mini_scale import scale_score
from pipeline.segment.mini_search import ScaleSearch

APART = 4
"""Levels from one scale to another that shows other things: four times finer, and ground to the first."""
CLEAR, SEVERAL = 0.7, 5
"""So many instances of such a quality, beside all others, are things; fewer are specks, marks and parts."""
MOSTLY = 1 / 3
"""Share of those beside that is clear at least: most are doubtful in a street or a wall."""
MOST_INPUT_PX = 8_000_000
"""Scales with more input px are not looked at: a photo of 12 megapixels would take half a minute."""
CLEAR_RADII_PX = (7.0, 25.0)
"""Radii in input px of those that tell."""
COVERED = 0.1
"""What is covered more than this by things already found is a part of them."""


def smaller_beside(search: ScaleSearch, level: int) -> Found | None:
    """Return the instances of a finer scale; those not beside the things of ``level`` have a quality of 0.

    None where no finer scale clearly shows several. Fine scales are looked at in samples first.

    Args:
        search: the pyramid of the picture.
        level: of ``search.scales``, the one that explains the picture best.
    """
    known = search.at(level)
    things = things_of(known)
    if not things.any():
        return None
    scores = {}
    finest = sum(search.input_px(k) <= MOST_INPUT_PX for k in range(len(search.scales)))
    for finer in range(level + APART, finest, 2):
        samples = search.samples(finer, away_from=things)
        if any(_is_clear(found, beside(found, there)).any() for found, there in samples):
            scores[finer] = max(scale_score(found) for found, _ in samples)
    for finer in sorted(scores, key=lambda k: -scores[k]):
        found = search.at(finer)
        quality = beside(found, things)
        least = max(SEVERAL, MOSTLY * (quality >= MIN_QUALITY).sum())
        if _is_clear(found, quality).sum() >= least:
            return replace(found, quality=quality)
    return None


def _covered(found: Found, things: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return (N,) each instance's share that things cover; these are (h, w) of any resolution."""
    n = len(found.area)
    size_wh = found.labels.shape[1], found.labels.shape[0]
    under = cv2.resize(things.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST).ravel()
    labels = found.labels.ravel()
    cells = np.maximum(np.bincount(labels, minlength=n + 1)[1:], 1)
    return np.asarray(np.bincount(labels, under, n + 1)[1:] / cells, np.float64)


def things_of(found: Found, min_quality: float = MIN_QUALITY) -> NDArray[np.bool_]:
    """Return (h, w) where the instances that are proposed lie."""
    return np.concatenate([[False], found.quality >= min_quality])[found.labels]


def beside(found: Found, things: NDArray[np.bool_], most_covered: float = COVERED) -> NDArray[np.float32]:
    """Return (N,) the quality of the instances that things cover no more than so far, 0 for others."""
    return np.where(_covered(found, things) <= most_covered, found.quality, 0).astype(np.float32)


def _is_clear(found: Found, quality: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return (N,) which instances of such a quality, beside others, are clearly things themselves."""
    radius = found.radius_px
    fits = (radius >= CLEAR_RADII_PX[0]) & (radius <= CLEAR_RADII_PX[1])
    return np.asarray(fits & (quality >= CLEAR), np.bool_)
