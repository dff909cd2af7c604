"""Masks of any engine → CandidateBatch: run lengths, boxes, areas and outlines in one place.

Only the crop of one mask is in memory at a time, whatever the number of masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.ops.rle import mask_to_rle, move_rle, rle_to_crop
from pipeline.types import CandidateBatch

OUTLINE_TOLERANCE = 0.004
"""Outline points are thinned to within this share of the outline's length (at least 0.5 px)."""


class CandidateBuilder:
    """Collects masks one by one; ``finish`` makes the batch. Empty masks are left out.

    Args:
        size_hw: image height and width in px.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        """Start with no mask."""
        self.size_hw = size_hw
        self._rles: list[NDArray[np.uint32]] = []
        self._polygons: list[NDArray[np.float32]] = []
        self._boxes: list[tuple[int, int, int, int]] = []
        self._areas: list[int] = []
        self._scores: list[tuple[float, float]] = []

    def add(
        self,
        crop: NDArray[np.bool_],
        offset_xy: tuple[int, int] = (0, 0),
        predicted_iou: float = 1.0,
        stability_score: float = 1.0,
    ) -> None:
        """Add one mask.

        Args:
            crop: (h, w) bool, any crop of the image that holds the whole mask.
            offset_xy: px, image frame. Where the crop's first pixel lies.
            predicted_iou: clipped to [0, 1].
            stability_score: clipped to [0, 1].
        """
        rows, columns = np.flatnonzero(crop.any(axis=1)), np.flatnonzero(crop.any(axis=0))
        if not len(rows):
            return
        tight = crop[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        x, y = offset_xy[0] + int(columns[0]), offset_xy[1] + int(rows[0])
        self._rles.append(mask_to_rle(tight, self.size_hw, (x, y)))
        self._polygons.append(outline_xy(tight) + np.array([x, y], dtype=np.float32))
        self._boxes.append((x, y, x + tight.shape[1], y + tight.shape[0]))
        self._areas.append(int(np.count_nonzero(tight)))
        self._scores.append((predicted_iou, stability_score))

    def finish(self) -> CandidateBatch:
        """Return the batch, best ``predicted_iou`` first; equal ones keep the order they came in."""
        scores = np.clip(np.array(self._scores, dtype=np.float32).reshape(-1, 2), 0, 1)
        order = np.argsort(-scores[:, 0], kind="stable")
        rles, polygons = [self._rles[i] for i in order], [self._polygons[i] for i in order]
        return CandidateBatch(
            size_hw=self.size_hw,
            rle_counts=np.concatenate([np.zeros(0, np.uint32), *rles]),
            rle_offsets=_offsets(rles),
            bbox_xyxy=np.array(self._boxes, dtype=np.float32).reshape(-1, 4)[order],
            area=np.array(self._areas, dtype=np.int64)[order],
            predicted_iou=scores[order, 0],
            stability_score=scores[order, 1],
            polygon_xy=np.concatenate([np.zeros((0, 2), np.float32), *polygons]),
            polygon_offsets=_offsets(polygons),
        )


def candidates_from_masks(
    size_hw: tuple[int, int],
    masks: Iterable[NDArray[np.bool_] | NDArray[np.uint32]],
    predicted_iou: Iterable[float],
    stability_score: Iterable[float],
) -> CandidateBatch:
    """Return one candidate for each mask, best first; masks may be a generator, read once.

    Args:
        size_hw: image height and width in px.
        masks: each (H, W) bool, or its (R,) uint32 uncompressed COCO run lengths.
        predicted_iou: one value in [0, 1] a mask.
        stability_score: the same for the stability.
    """
    builder = CandidateBuilder(size_hw)
    for mask, iou, stability in zip(masks, predicted_iou, stability_score, strict=True):
        if mask.ndim == 1:
            crop, offset_xy = rle_to_crop(mask.astype(np.uint32), size_hw)
            builder.add(crop, offset_xy, iou, stability)
        else:
            builder.add(mask.astype(np.bool_), (0, 0), iou, stability)
    return builder.finish()


def stack_batches(
    batches: Sequence[CandidateBatch], size_hw: tuple[int, int], offsets_xy: Sequence[tuple[int, int]]
) -> CandidateBatch:
    """Return the candidates of pages or tiles in the frame of the image they belong to, in order.

    Args:
        batches: one a page or tile, in its own frame.
        size_hw: height and width of the whole image in px.
        offsets_xy: px, image frame. Where each page or tile starts.
    """
    rles, polygons, boxes, faint = [], [], [], [np.zeros((0, 4), np.float32)]
    for batch, offset_xy in zip(batches, offsets_xy, strict=True):
        shift = np.array(offset_xy, dtype=np.float32)
        rles += [move_rle(batch.rle(i), batch.size_hw, size_hw, offset_xy) for i in range(len(batch))]
        polygons += [batch.polygon(i) + shift for i in range(len(batch))]
        boxes.append(batch.bbox_xyxy + np.tile(shift, 2))
        faint.append(batch.faint + np.append(shift, [0, 0]).astype(np.float32))
    return CandidateBatch(
        size_hw=size_hw,
        rle_counts=np.concatenate([np.zeros(0, np.uint32), *rles]),
        rle_offsets=_offsets(rles),
        bbox_xyxy=np.concatenate([np.zeros((0, 4), np.float32), *boxes]),
        area=np.concatenate([np.zeros(0, np.int64), *(b.area for b in batches)]),
        predicted_iou=np.concatenate([np.zeros(0, np.float32), *(b.predicted_iou for b in batches)]),
        stability_score=np.concatenate([np.zeros(0, np.float32), *(b.stability_score for b in batches)]),
        polygon_xy=np.concatenate([np.zeros((0, 2), np.float32), *polygons]),
        polygon_offsets=_offsets(polygons),
        faint=np.concatenate(faint),
        scales=tuple(sorted({scale for batch in batches for scale in batch.scales})),
    )


def join_pages(batches: Sequence[CandidateBatch]) -> CandidateBatch:
    """Return the candidates of pages as those of one tall picture, page below page.

    The next scales show together as few, and as many, as they show of each page.
    """
    if len(batches) == 1:
        return batches[0]
    sizes = tuple(batch.size_hw for batch in batches)
    heights, widths = zip(*sizes, strict=True)
    tops = [sum(heights[:i]) for i in range(len(heights))]
    joined = stack_batches(batches, (sum(heights), max(widths)), [(0, top) for top in tops])
    beside = [(len(batch), *batch.n_beside) for batch in batches]
    n_beside = (sum(map(min, beside)), sum(map(max, beside)))
    return replace(joined, page_sizes_hw=sizes, n_beside=n_beside if any(b.n_beside for b in batches) else ())


def outline_xy(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the outer outline of a mask's largest part, along pixel edges.

    Args:
        mask: (h, w) bool with at least one True pixel.

    Returns:
        (P, 2) float32 (x, y) px, mask frame, P >= 3; a single pixel at (0, 0) gives the corners of
        [0, 1) x [0, 1).
    """
    doubled = np.repeat(np.repeat(mask.view(np.uint8), 2, axis=0), 2, axis=1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    longest = max(contours, key=cv2.contourArea)
    # In the doubled mask pixel 2x is the left edge of pixel x, and 2x + 1 its right edge.
    corners = ((longest + 1) // 2).astype(np.float32)
    tolerance = max(0.5, OUTLINE_TOLERANCE * cv2.arcLength(corners, closed=True))
    thinned = cv2.approxPolyDP(corners, tolerance, closed=True).reshape(-1, 2)
    kept = thinned if len(thinned) >= 3 else corners.reshape(-1, 2)
    return np.asarray(kept, dtype=np.float32)


def _offsets(rows: Sequence[NDArray[np.generic]]) -> NDArray[np.int64]:
    """Return (N + 1,) int64: where each of N arrays starts when they are joined."""
    return np.cumsum([0, *(len(r) for r in rows)], dtype=np.int64)
