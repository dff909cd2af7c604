"""Boxes as half-open pixels: pixel (0, 0) spans [0, 1) x [0, 1), the name says the order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ROWS_AT_ONCE = 512
"""Rows of the box-by-box table held at once: bounds memory at 512 * N."""


def box_area(bbox_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (...) float32 areas in px of (..., 4) boxes; 0 for inverted ones."""
    sides = np.maximum(bbox_xyxy[..., 2:] - bbox_xyxy[..., :2], 0)
    return np.asarray(sides[..., 0] * sides[..., 1], dtype=np.float32)


def box_intersection(a_xyxy: NDArray[np.float32], b_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N, M) float32 intersection areas in px of (N, 4) and (M, 4) boxes."""
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    sides = np.maximum(high - low, 0)
    return np.asarray(sides[..., 0] * sides[..., 1], dtype=np.float32)


def box_iou(a_xyxy: NDArray[np.float32], b_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N, M) float32 in [0, 1]: intersection over union; 0 where both boxes are empty."""
    inter = box_intersection(a_xyxy, b_xyxy)
    union = box_area(a_xyxy)[:, None] + box_area(b_xyxy)[None, :] - inter
    return np.asarray(np.divide(inter, union, out=np.zeros_like(inter), where=union > 0), dtype=np.float32)


def overlapping_pairs(bbox_xyxy: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return (P, 2) int64 index pairs i < j, in rising order, of boxes that share area.

    Complexity: N² comparisons in numpy, ``ROWS_AT_ONCE`` rows at a time.
    """
    found = [np.zeros((0, 2), dtype=np.int64)]
    for first in range(0, len(bbox_xyxy), ROWS_AT_ONCE):
        rows = bbox_xyxy[first : first + ROWS_AT_ONCE]
        rest = bbox_xyxy[first:]
        meet = rows[:, None, 0] < rest[None, :, 2]
        meet &= rest[None, :, 0] < rows[:, None, 2]
        meet &= rows[:, None, 1] < rest[None, :, 3]
        meet &= rest[None, :, 1] < rows[:, None, 3]
        i, j = np.nonzero(np.triu(meet, k=1))
        found.append(np.stack([i, j], axis=1) + first)
    return np.concatenate(found)
