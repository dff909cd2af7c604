"""A picture that shows only what the exemplars' colours tell from their surroundings.

Where the network sees no objects, because it was never taught such ones or because the ground is as busy as
they are, it may still see them in this picture: bright where a colour belongs to the exemplars, else dark.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

BINS = (24, 32, 32)
"""Of L, a and b."""
_BIN_SPREAD = (1.2, 1.0, 1.0)
_NOISE_PX = 1.0
CORE, NEAR, AROUND = 0.8, 1.05, 1.8
"""Ellipses in the boxes, as shares of these: the first is object, between the others are its surroundings."""
_RARE = 1e-7


def contrast_picture(image_hw3: NDArray[np.uint8], boxes_xyxy: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return (H, W, 3) uint8 grey: how much likelier each pixel's colour is inside of the boxes.

    Compared are the ellipses in the boxes with what is around them and with the whole picture, half and half.

    Args:
        image_hw3: (H, W, 3) uint8 RGB.
        boxes_xyxy: (E, 4) float32 image px, E at least 1.
    """
    blurred = cv2.GaussianBlur(image_hw3, (0, 0), _NOISE_PX)
    lab = np.asarray(cv2.cvtColor(blurred, cv2.COLOR_RGB2LAB), dtype=np.uint8)
    core, surroundings = np.zeros(lab.shape[:2], np.uint8), np.zeros(lab.shape[:2], np.uint8)
    for mask, share, value in ((surroundings, AROUND, 1), (surroundings, NEAR, 0), (core, CORE, 1)):
        for left, top, right, bottom in boxes_xyxy.tolist():
            axes = max(1.0, share * (right - left)), max(1.0, share * (bottom - top))
            cv2.ellipse(mask, (((left + right) / 2, (top + bottom) / 2), axes, 0.0), value, -1)
    inside = _colours(lab, core)
    outside = (_colours(lab, surroundings) + _colours(lab, None)) / np.float32(2)
    table = np.rint(255 * inside / (inside + outside + _RARE)).astype(np.uint8)
    bins = (lab[..., i].astype(np.intp) * n // 256 for i, n in enumerate(BINS))
    grey = cv2.GaussianBlur(table[tuple(bins)], (0, 0), _NOISE_PX)
    return np.repeat(grey[..., None], 3, axis=2)


def _colours(lab: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> NDArray[np.float32]:
    """Return the smoothed share of each colour bin under a mask."""
    counts = cv2.calcHist([lab], [0, 1, 2], mask, list(BINS), [0, 256] * 3)
    smooth = gaussian_filter(np.asarray(counts, np.float32), _BIN_SPREAD)
    return np.asarray(smooth / max(float(smooth.sum()), 1.0), dtype=np.float32)
