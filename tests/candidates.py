"""Candidates made from drawn masks, for tests of the stages after segmentation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import Provenance
from pipeline.ops.kinds import KIND_DISTANCE
from pipeline.ops.rle import mask_to_rle
from pipeline.types import CandidateBatch, Candidates, Classification, TypeProbs

Masks = Sequence[NDArray[np.bool_]]

PROVENANCE = Provenance("drawn", "test", None, None, "-", "cpu", "-", {})


def batch_of(masks: Masks, size_hw: tuple[int, int]) -> CandidateBatch:
    """Return the batch of whole (H, W) masks, each of quality 0.9 and without outline."""
    n = len(masks)
    rles = [mask_to_rle(mask) for mask in masks]
    runs = np.concatenate(rles) if n else np.zeros(0, np.uint32)
    offsets = np.cumsum([0] + [len(rle) for rle in rles]).astype(np.int64)
    boxes = np.array([tight_box(mask) for mask in masks], np.float32).reshape(n, 4)
    area = np.array([mask.sum() for mask in masks], np.int64).reshape(n)
    quality = np.full(n, 0.9, np.float32)
    no_outline = np.zeros((0, 2), np.float32), np.zeros(n + 1, np.int64)
    return CandidateBatch(size_hw, runs, offsets, boxes, area, quality, quality, *no_outline)


def tight_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return the half-open xyxy box of a mask in px."""
    y, x = np.nonzero(mask)
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


def candidates_of(
    masks: Masks, size_hw: tuple[int, int], types: tuple[str, ...] = ("coin",), prob: float = 0.8
) -> Candidates:
    """Return candidates that are all of the first type, with ``prob``."""
    n = len(masks)
    probs = np.zeros((n, len(types)), np.float32)
    probs[:, 0] = prob
    nothing = np.zeros((n, 0), np.int16), np.zeros((n, 0), np.float32), np.ones((n, 4), np.float16)
    seen = Classification(*nothing, source="handcrafted")
    return Candidates(batch_of(masks, size_hw), seen, TypeProbs(types, probs, "request"))


def looking(*apart: float) -> NDArray[np.float16]:
    """Return (N, 3) handcrafted looks so far from [1, 0, 0], up to 6 (at 1 kinds part); inf is [0, 0, 1]."""
    is_odd = np.isinf(apart)
    near = np.where(is_odd, 0, 1 - KIND_DISTANCE["handcrafted"] * np.where(is_odd, 0, apart))
    return np.stack([near, np.sqrt(1 - near**2) * ~is_odd, is_odd], axis=1).astype(np.float16)


def disc(size_hw: tuple[int, int], x: float, y: float, radius: float) -> NDArray[np.bool_]:
    """Return the mask of a filled circle."""
    rows, columns = np.ogrid[: size_hw[0], : size_hw[1]]
    return np.asarray((columns - x) ** 2 + (rows - y) ** 2 <= radius**2)
