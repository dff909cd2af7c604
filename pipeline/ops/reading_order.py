"""The order in which objects get their numbers: rows from the top, each from the left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def reading_order(bbox_xyxy: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return (N,) int64: indices of the boxes in reading order; rows are as high as the median box.

    Args:
        bbox_xyxy: (N, 4) float32 half-open px.
    """
    if not len(bbox_xyxy):
        return np.zeros(0, dtype=np.int64)
    centre = (bbox_xyxy[:, :2] + bbox_xyxy[:, 2:]) / 2
    row = np.floor(centre[:, 1] / max(1.0, float(np.median(bbox_xyxy[:, 3] - bbox_xyxy[:, 1]))))
    return np.lexsort((centre[:, 0], row)).astype(np.int64)
