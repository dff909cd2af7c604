"""How pixels are prepared for mini's network; training and inference share it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LOW, _HIGH = 0.5, 99.5
_FLAT = 24
_LOWEST, _HIGHEST = 0.02, 99.98
_MAX_GAIN = 8.0


def stretch_contrast(image_hw3: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the image with its brightness range stretched to [0, 255], colours kept in proportion.

    The gain is at most 8, so that the noise of an empty picture stays small. Where the percentiles
    are close, few things lie on a flat ground, and the range is that of the few.

    Args:
        image_hw3: (H, W, 3) uint8 RGB.
    """
    step = max(1, int(np.sqrt(image_hw3.shape[0] * image_hw3.shape[1] / 160_000)))
    sample = image_hw3[::step, ::step]
    low, high = np.percentile(sample, _LOW), np.percentile(sample, _HIGH)
    if high - low < _FLAT:
        low, high = np.percentile(sample, _LOWEST), np.percentile(sample, _HIGHEST)
    gain = min(_MAX_GAIN, 255.0 / max(1.0, float(high - low)))
    table = np.clip((np.arange(256) - low) * gain, 0, 255).astype(np.uint8)
    return table[image_hw3]
