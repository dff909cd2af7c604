"""How much masks share, counted on their run lengths: exact, and no mask is ever decoded."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.boxes import overlapping_pairs


def mask_overlaps(
    size_hw: tuple[int, int],
    rle_counts: NDArray[np.uint32],
    rle_offsets: NDArray[np.int64],
    bbox_xyxy: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs of masks that share pixels, and how many.

    Args:
        size_hw: image height and width in px.
        rle_counts: (R,) uint32. Run lengths of all masks, one after the other.
        rle_offsets: (N + 1,) int64. Where each mask's runs start.
        bbox_xyxy: (N, 4) float32. Tightest boxes, half-open px.

    Returns:
        (P, 2) int64 pairs i < j in rising order, and (P,) int64 shared px, all above 0.
    """
    pairs = overlapping_pairs(bbox_xyxy)
    shared = mask_intersections(size_hw, rle_counts, rle_offsets, pairs)
    return pairs[shared > 0], shared[shared > 0]


def mask_intersections(
    size_hw: tuple[int, int],
    rle_counts: NDArray[np.uint32],
    rle_offsets: NDArray[np.int64],
    pairs: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return (P,) int64: pixels shared by the two masks of each pair.

    The masks are laid one after the other on one line. ``filled(x)`` is the number of foreground
    pixels before x on it; the pixels of mask i under a run [s, e) of mask j are
    ``filled(i * HW + e) - filled(i * HW + s)``. One sorted search answers all runs of all pairs.
    """
    if not len(pairs):
        return np.zeros(0, dtype=np.int64)
    starts, ends, first_run = _foreground_runs(size_hw[0] * size_hw[1], rle_counts, rle_offsets)
    n_runs = np.diff(first_run)
    fewer = n_runs[pairs[:, 0]] <= n_runs[pairs[:, 1]]
    moving = np.where(fewer, pairs[:, 0], pairs[:, 1])
    still = np.where(fewer, pairs[:, 1], pairs[:, 0])
    lengths = n_runs[moving]
    pair_of = np.repeat(np.arange(len(pairs)), lengths)
    within = np.arange(len(pair_of)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    run = first_run[moving][pair_of] + within
    shift = ((still - moving) * (size_hw[0] * size_hw[1]))[pair_of]
    shared = _filled(starts, ends, ends[run] + shift) - _filled(starts, ends, starts[run] + shift)
    return np.bincount(pair_of, weights=shared, minlength=len(pairs)).astype(np.int64)


def _foreground_runs(
    n_px: int, rle_counts: NDArray[np.uint32], rle_offsets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return starts, ends of all foreground runs on the common line, and each mask's first run."""
    ends = np.cumsum(rle_counts, dtype=np.int64)
    mask_of = np.repeat(np.arange(len(rle_offsets) - 1), np.diff(rle_offsets))
    # Every mask's runs add up to n_px (checked where batches are made), so the line is already laid.
    is_foreground = (np.arange(len(rle_counts)) - rle_offsets[mask_of]) % 2 == 1
    ends = ends[is_foreground]
    starts = ends - rle_counts[is_foreground].astype(np.int64)
    first_run = np.searchsorted(starts, np.arange(len(rle_offsets), dtype=np.int64) * n_px)
    return starts, ends, first_run.astype(np.int64)


def _filled(starts: NDArray[np.int64], ends: NDArray[np.int64], x: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the number of foreground pixels before each position x on the line."""
    total = np.concatenate([[0], np.cumsum(ends - starts)])
    before = np.searchsorted(starts, x, side="right")
    last_end = np.concatenate([[0], ends])[before]
    return np.asarray(total[before] - np.maximum(last_end - x, 0) * (before > 0), dtype=np.int64)
