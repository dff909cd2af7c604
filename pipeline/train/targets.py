"""What the network is taught about a scene, at half resolution."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.train.scenes import IGNORE

Array = NDArray[np.floating[Any]]


def _cone(labels: NDArray[np.int32]) -> Array:
    """Return 1 at each object's centre falling to 0 at the outline of the ellipse of equal moments.

    A slender object has one peak and not a ridge, so that a screw stays one seed.
    """
    ys, xs = np.nonzero(labels > 0)
    numbers = labels[ys, xs]
    n = int(labels.max(initial=0)) + 1
    area = np.maximum(np.bincount(numbers, minlength=n), 1).astype(np.float64)
    mx, my = (np.bincount(numbers, v, n) / area for v in (xs, ys))
    dx, dy = xs - mx[numbers], ys - my[numbers]
    sxx, syy, sxy = (np.bincount(numbers, v, n) / area for v in (dx * dx, dy * dy, dx * dy))
    sxx, syy = sxx + 0.1, syy + 0.1
    det = np.maximum(sxx * syy - sxy * sxy, 1e-3)
    m2 = (syy[numbers] * dx * dx - 2 * sxy[numbers] * dx * dy + sxx[numbers] * dy * dy) / det[numbers]
    out = np.zeros(labels.shape, np.float32)
    out[ys, xs] = np.clip(1 - np.sqrt(m2) / 2, 0.05, 1)
    return out


def make_targets(labels: NDArray[np.int32]) -> Array:
    """Return (4, S / 2, S / 2) float32: foreground, cone, contact, weight.

    Args:
        labels: (S, S) int32 of ``Scene.labels``.

    Returns:
        foreground 0 or 1; cone in [0, 1]; contact 1 where two objects touch; weight 0 where IGNORE.
    """
    half = labels[::2, ::2]
    value = np.where(half > 0, half, 0).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    highest = cv2.dilate(value, kernel)
    lowest = -cv2.dilate(np.where(value > 0, -value, -1e6).astype(np.float32), kernel)
    contact = (value > 0) & (highest != lowest)
    return np.stack([half > 0, _cone(half), contact, half != IGNORE]).astype(np.float32)
