"""Masks as run lengths: COCO order (column-major), uncompressed, first run background.

A run-length code here is a (R,) uint32 array whose runs alternate background, foreground, background …
and add up to H * W. A mask that starts with foreground has a first run of 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mask_to_rle(
    mask: NDArray[np.bool_], size_hw: tuple[int, int] | None = None, offset_xy: tuple[int, int] = (0, 0)
) -> NDArray[np.uint32]:
    """Return the run lengths of one mask, given whole or as a crop of a larger image.

    Args:
        mask: (h, w) bool, a crop of the image; the rest of the image is background.
        size_hw: image height and width in px; None: the mask is the whole image.
        offset_xy: px, image frame. Where the crop's first pixel lies.

    Returns:
        (R,) uint32. Equal to pycocotools' ``counts`` of the whole mask, uncompressed.

    Raises:
        ValueError: the crop does not lie inside the image.
    """
    h, w = mask.shape
    height, width = size_hw or mask.shape
    x0, y0 = offset_xy
    if min(x0, y0) < 0 or x0 + w > width or y0 + h > height:
        raise ValueError(f"crop: want inside {height} x {width}, got {h} x {w} at x={x0}, y={y0}")
    padded = np.zeros((w, h + 1), dtype=np.bool_)  # one column of the crop a row, so no run spans two
    padded[:, 1:] = mask.T
    line = np.append(padded, False)
    x, y = np.divmod(np.flatnonzero(line[1:] != line[:-1]), h + 1)  # where runs start and end, in turn
    at = (x + x0) * height + y + y0
    return runs_to_rle(at[::2], at[1::2], height * width)


def runs_to_rle(starts: NDArray[np.int64], ends: NDArray[np.int64], n_px: int) -> NDArray[np.uint32]:
    """Return run lengths of half-open foreground runs.

    Args:
        starts: (F,) int64, rising. Column-major pixel index of the first pixel of each run.
        ends: (F,) int64. One past the last pixel; a run may end where the next starts.
        n_px: H * W.
    """
    if len(starts):
        apart = starts[1:] > ends[:-1]
        starts, ends = np.append(starts[:1], starts[1:][apart]), np.append(ends[:-1][apart], ends[-1:])
    bounds = np.empty(2 * len(starts) + 2, dtype=np.int64)
    bounds[0], bounds[-1] = 0, n_px
    bounds[1:-1:2], bounds[2:-1:2] = starts, ends
    counts = np.diff(bounds).astype(np.uint32)
    return counts[:-1] if len(counts) > 1 and counts[-1] == 0 else counts


def rle_to_runs(counts: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (starts, ends) of the foreground runs, half-open column-major pixel indices, int64."""
    bounds = np.cumsum(counts, dtype=np.int64)
    starts = bounds[0 : len(bounds) - 1 : 2]
    return starts, bounds[1::2][: len(starts)]


def rle_holds(counts: NDArray[np.uint32], at: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (P,) bool: whether a mask, never unpacked, holds each of (P,) column-major pixel indices."""
    starts, ends = rle_to_runs(counts)
    run = np.searchsorted(starts, at, side="right") - 1
    return np.asarray((run >= 0) & (at < np.append(ends, 0)[run]), dtype=np.bool_)


def rle_to_mask(counts: NDArray[np.uint32], size_hw: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the whole (H, W) bool mask.

    Raises:
        ValueError: the runs do not add up to H * W.
    """
    height, width = size_hw
    if int(counts.sum(dtype=np.int64)) != height * width:
        raise ValueError(f"rle: want {height * width} px, got {int(counts.sum(dtype=np.int64))}")
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def rle_to_crop(
    counts: NDArray[np.uint32], size_hw: tuple[int, int]
) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """Return the mask inside its tightest box, and where that box starts; never a whole mask.

    Returns:
        (h, w) bool and (x, y) px, image frame. An empty mask gives (0, 0) bool and (0, 0).
    """
    height = size_hw[0]
    starts, ends = rle_to_runs(counts)
    if not len(starts):
        return np.zeros((0, 0), dtype=np.bool_), (0, 0)
    x0, x1 = int(starts[0] // height), int((ends[-1] - 1) // height) + 1
    steps = np.zeros((x1 - x0) * height + 1, dtype=np.int8)
    np.add.at(steps, starts - x0 * height, 1)
    np.add.at(steps, ends - x0 * height, -1)
    columns = np.cumsum(steps[:-1], dtype=np.int8).view(np.bool_).reshape(x1 - x0, height)
    rows = np.flatnonzero(columns.any(axis=0))
    y0, y1 = int(rows[0]), int(rows[-1]) + 1
    return np.ascontiguousarray(columns[:, y0:y1].T), (x0, y0)


def move_rle(
    counts: NDArray[np.uint32],
    size_hw: tuple[int, int],
    new_size_hw: tuple[int, int],
    offset_xy: tuple[int, int],
) -> NDArray[np.uint32]:
    """Return the run lengths of a tile's or page's mask in the frame of the image it belongs to.

    Args:
        counts: (R,) uint32, run lengths in the old frame.
        size_hw: height and width of the old frame in px.
        new_size_hw: height and width of the new frame in px.
        offset_xy: px, new frame. Where the old frame's first pixel lies.
    """
    crop, (x, y) = rle_to_crop(counts, size_hw)
    return mask_to_rle(crop, new_size_hw, (x + offset_xy[0], y + offset_xy[1]) if crop.size else (0, 0))
