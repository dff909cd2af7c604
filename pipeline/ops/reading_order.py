"""The order in which objects get their numbers: rows from the top, each from the left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROW_SHARE = 0.6
"""A box whose centre lies further below the first of its row than this share of the median height
starts a new row."""


def reading_order(bbox_xyxy: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return (N,) int64: indices of the boxes in reading order.

    Args:
        bbox_xyxy: (N, 4) float32 half-open px.
    """
    if not len(bbox_xyxy):
        return np.zeros(0, dtype=np.int64)
    x, y = ((bbox_xyxy[:, :2] + bbox_xyxy[:, 2:]) / 2).T
    reach = ROW_SHARE * float(np.median(bbox_xyxy[:, 3] - bbox_xyxy[:, 1]))
    rows = np.zeros(len(y), dtype=np.int64)
    row, row_top = -1, -np.inf
    for place in np.argsort(y, kind="stable").tolist():
        if y[place] - row_top > reach:
            row, row_top = row + 1, float(y[place])
        rows[place] = row
    return np.lexsort((x, rows)).astype(np.int64)
