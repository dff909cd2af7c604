"""Counts bright and dark blobs of several sizes in a picture: what is left to count where things merge."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

WINDOWS = 16
"""Windows across and down the picture: the counts of those in a region add up to the region's."""
MIN_CONTRAST = 0.5
"""Extrema of the band-passed picture below this share of its standard deviation are ripples."""
_SHORTEST_PX = 16
_CORE = np.ones((3, 3), np.uint8)

Floats = NDArray[np.float32]


def blobs_by_size(image_hw3: NDArray[np.uint8]) -> Floats:
    """Return (B, 5) float32: x and y (px) of a window's centre, size, number of bright and of dark blobs.

    A blob is an extremum of the difference of two Gaussians, of ``size`` σ px and √2 times that; sizes
    double from 1 px until the picture is 16 of them wide. Windows without blobs are left out.

    Args:
        image_hw3: (H, W, 3) uint8 RGB.

    Complexity: linear in pixels; about 30 ms a megapixel.
    """
    grey = cv2.cvtColor(image_hw3, cv2.COLOR_RGB2GRAY).astype(np.float32)
    rows, size_px = [np.zeros((0, 5), np.float32)], 1.0
    while min(grey.shape) >= _SHORTEST_PX:
        fine = cv2.GaussianBlur(grey, (0, 0), 1.0)
        band = fine - cv2.GaussianBlur(grey, (0, 0), 2**0.5)
        rows.append(_rows(band, size_px, image_hw3.shape[:2]))
        # Half of the picture at twice the size: the next σ of 1 px is 2 px here.
        grey = np.asarray(cv2.GaussianBlur(fine, (0, 0), 3**0.5)[::2, ::2], np.float32)
        size_px *= 2
    return np.concatenate(rows)


def _rows(band: Floats, size_px: float, size_hw: tuple[int, ...]) -> Floats:
    """Return the rows of one size: extrema of ``band``, summed by windows of the picture."""
    least = MIN_CONTRAST * max(float(band.std()), 1e-3)
    bright = (band >= cv2.dilate(band, _CORE)) & (band > least)
    dark = (band <= cv2.erode(band, _CORE)) & (band < -least)
    counts = [_by_window(which) for which in (bright, dark)]
    y, x = ((np.indices((WINDOWS, WINDOWS)) + 0.5) / WINDOWS) * np.array(size_hw, float)[:, None, None]
    table = np.stack([x.ravel(), y.ravel(), np.full(x.size, size_px), *counts], axis=1)
    return table[table[:, 3:].any(axis=1)].astype(np.float32)


def _by_window(which: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (WINDOWS²,) numbers of True pixels, by rows of windows."""
    y, x = np.nonzero(which)
    height, width = which.shape
    window = (y * WINDOWS // height) * WINDOWS + x * WINDOWS // width
    return np.bincount(window, minlength=WINDOWS**2)
