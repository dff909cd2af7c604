"""Candidates that look like the things a person pointed at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import Exemplar
from pipeline.ops.boxes import box_iou
from pipeline.ops.rle import rle_to_runs
from pipeline.types import CandidateBatch

MIN_MATCH_IOU = 0.3
"""A drawn box means the candidate whose box it meets best, when they meet at least this much."""

SIZE_FACTOR = 2.5
"""Areas from the smallest exemplar's over this to the largest one's times this fit."""

MIN_COSINE = {"handcrafted": 0.8}
DEFAULT_MIN_COSINE = 0.7
"""Where one exemplar alone sets the threshold (anchors: VIRG count-anything)."""

COSINE_SLACK = 0.05
"""Candidates may differ from the exemplars by this much more than the exemplars among themselves."""


@dataclass(frozen=True, slots=True)
class Looks:
    """E exemplars, as the candidates they point at look.

    Attributes:
        embeddings: (E, D) float32, unit length.
        area: (E,) float64 px.
    """

    embeddings: NDArray[np.float32]
    area: NDArray[np.float64]


def find_exemplar(batch: CandidateBatch, exemplar: Exemplar) -> int | None:
    """Return the candidate that an exemplar's box or point means, None when there is none."""
    if exemplar.bbox_xywh is not None:
        return match_box(batch.bbox_xyxy, exemplar.bbox_xywh)
    if exemplar.point_xy is None:
        return None
    rles = [batch.rle(i) for i in range(len(batch))]
    return match_point(batch.size_hw, rles, batch.area, exemplar.point_xy)


def match_box(bbox_xyxy: NDArray[np.float32], box_xywh: tuple[float, float, float, float]) -> int | None:
    """Return the index of the candidate that a drawn box means, None when none meets it.

    Args:
        bbox_xyxy: (N, 4) float32 half-open px.
        box_xywh: x, y, width, height in px, same image.
    """
    x, y, width, height = box_xywh
    drawn = np.array([[x, y, x + width, y + height]], dtype=np.float32)
    iou = box_iou(bbox_xyxy, drawn)[:, 0]
    return int(np.argmax(iou)) if len(iou) and iou.max() >= MIN_MATCH_IOU else None


def match_point(
    size_hw: tuple[int, int],
    rles: list[NDArray[np.uint32]],
    area: NDArray[np.int64],
    point_xy: tuple[float, float],
) -> int | None:
    """Return the index of the smallest candidate whose mask holds the point, None when none does."""
    x, y = int(np.floor(point_xy[0])), int(np.floor(point_xy[1]))
    if not (0 <= x < size_hw[1] and 0 <= y < size_hw[0]):
        return None
    flat = x * size_hw[0] + y
    hits = [i for i, rle in enumerate(rles) if _holds(rle, flat)]
    return min(hits, key=lambda i: int(area[i]), default=None)


def _holds(rle: NDArray[np.uint32], flat: int) -> bool:
    starts, ends = rle_to_runs(rle)
    run = int(np.searchsorted(starts, flat, side="right")) - 1
    return run >= 0 and flat < int(ends[run])


def are_alike(
    embeddings: NDArray[np.float16], area: NDArray[np.int64], wanted: Looks, unwanted: Looks, source: str
) -> NDArray[np.bool_]:
    """Return (N,) bool: the candidate looks like a wanted exemplar and not more like an unwanted one.

    Args:
        embeddings: (N, D) float16, any length.
        area: (N,) int64 px.
        wanted: at least one exemplar.
        unwanted: any number.
        source: of the embeddings, "resnet50" or "handcrafted": sets the threshold of a lone exemplar.
    """
    unit = unit_rows(embeddings)
    like = (unit @ wanted.embeddings.T).max(axis=1)
    alike = like >= _min_cosine(wanted, source)
    alike &= area >= wanted.area.min() / SIZE_FACTOR
    alike &= area <= wanted.area.max() * SIZE_FACTOR
    if len(unwanted.area):
        alike &= like >= (unit @ unwanted.embeddings.T).max(axis=1)
    return np.asarray(alike, dtype=np.bool_)


def unit_rows(embeddings: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return (N, D) float32 rows of unit length; zero rows stay zero."""
    wide = embeddings.astype(np.float32)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(length, 1e-9), dtype=np.float32)


def _min_cosine(wanted: Looks, source: str) -> float:
    lone = MIN_COSINE.get(source, DEFAULT_MIN_COSINE)
    if len(wanted.area) < 2:
        return lone
    between = wanted.embeddings @ wanted.embeddings.T
    return min(lone, float(between.min()) - COSINE_SLACK)
