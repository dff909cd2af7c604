"""From SAM's small mask logits to run lengths: enlarge, measure, filter, encode.

On a GPU and in ``mode: reference`` as the package does it, chunk by chunk; on a CPU mask by mask with OpenCV,
which gives the same logits to rounding in a quarter of the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.utils.amg import batched_mask_to_box, is_box_near_crop_edge, uncrop_masks
from torch import Tensor
from torch.nn import functional

from pipeline.ops.rle import mask_to_rle
from pipeline.portions import OnPart, split, unheard
from pipeline.segment.sam_settings import SamSettings

CHUNK_BYTES = {"cpu": 32 << 20, "cuda": 1 << 30}
"""Enlarged logits held at once: cache-sized on a CPU, large enough to fill a GPU."""

MOST_AT_ONCE = 1024
"""Masks enlarged at once, where memory never ran out."""

PREFILTER_MARGIN = 0.05
"""``fast`` drops a mask unenlarged only when its small logits are less stable than the limit by this."""

PREFILTER_MIN_AREA = 256
"""... and cover at least as many small pixels; the stability of fewer says too little."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of the image that is prompted by itself.

    Attributes:
        box_xyxy: px, image frame. layer: 0 is the whole image.
        image_hw: size of the whole image. input_hw: size of the crop in the model's padded input.
    """

    box_xyxy: tuple[int, int, int, int]
    layer: int
    image_hw: tuple[int, int]
    input_hw: tuple[int, int]

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the crop in px."""
        x0, y0, x1, y1 = self.box_xyxy
        return y1 - y0, x1 - x0


@dataclass(frozen=True, slots=True)
class MaskTable:
    """N masks and what SAM says of them, in SAM's order.

    Attributes:
        rles: N run lengths, image frame (see ``pipeline.ops.rle``).
        boxes_xyxy: (N, 4) int64 px. SAM's convention: the last pixel is the edge. Image frame.
        predicted_iou, stability_score: (N,) float32.
        source: (N,) int64. Row of the logits each mask came from.
    """

    rles: list[NDArray[np.uint32]]
    boxes_xyxy: Tensor
    predicted_iou: Tensor
    stability_score: Tensor
    source: Tensor

    def take(self, rows: Tensor) -> MaskTable:
        """Return the table of some rows, in their order."""
        columns = (self.boxes_xyxy, self.predicted_iou, self.stability_score, self.source)
        return MaskTable([self.rles[i] for i in rows.tolist()], *(c[rows] for c in columns))


def join(tables: Sequence[MaskTable]) -> MaskTable:
    """Return the masks of several rounds on one image as one; ``source`` then names rows of each round."""
    names = ("boxes_xyxy", "predicted_iou", "stability_score", "source")
    columns = (torch.cat([getattr(table, name) for table in tables]) for name in names)
    return MaskTable([rle for table in tables for rle in table.rles], *columns)


def enlarge(logits: Tensor, crop: Crop, input_side: int) -> Tensor:
    """Return (K, H, W) logits in the crop's pixels of (K, h, w) logits, as SAM does it: in two steps."""
    square = functional.interpolate(
        logits[None], (input_side, input_side), mode="bilinear", align_corners=False
    )
    inside = square[..., : crop.input_hw[0], : crop.input_hw[1]]
    return functional.interpolate(inside, crop.size_hw, mode="bilinear", align_corners=False)[0]


def stability(logits: Tensor, threshold: float, offset: float) -> Tensor:
    """Return (K,) float32: IoU of the masks cut at ``threshold`` + and - ``offset``; NaN for empty ones."""
    core = (logits > threshold + offset).flatten(1).sum(1, dtype=torch.int32)
    reach = (logits > threshold - offset).flatten(1).sum(1, dtype=torch.int32)
    return core / reach


def prefilter(logits: Tensor, crop: Crop, input_side: int, threshold: float, settings: SamSettings) -> Tensor:
    """Return (K,) bool: False where the small logits already show that a mask is not stable enough."""
    rows, columns = (math.ceil(n * logits.shape[-1] / input_side) for n in crop.input_hw)
    valid = logits[:, :rows, :columns]
    reach = (valid > threshold - settings.stability_score_offset).flatten(1).sum(1, dtype=torch.int32)
    score = stability(valid, threshold, settings.stability_score_offset)
    hopeless = score < settings.stability_score_thresh - PREFILTER_MARGIN
    return ~(hopeless & (reach >= PREFILTER_MIN_AREA))


def measure(
    logits: Tensor,
    predicted_iou: Tensor,
    crop: Crop,
    input_side: int,
    threshold: float,
    settings: SamSettings,
    at_once: int = MOST_AT_ONCE,
    on_part: OnPart = unheard,
) -> MaskTable:
    """Return the masks that are stable and not cut by the crop's edge, in order, with their run lengths.

    Args:
        logits: (K, h, w) small logits of the masks that passed ``pred_iou_thresh``.
        predicted_iou: (K,) float32.
        crop: where the points were.
        input_side: px, side of the model's square input.
        threshold: logit above which a pixel is in the mask.
        settings: as of the generator.
        at_once: masks enlarged at once, at most.
        on_part: told the share of the masks that is measured, after each chunk.
    """
    source = torch.arange(len(logits), device=logits.device)
    if settings.mode == "fast" and settings.stability_score_thresh > 0:
        source = source[prefilter(logits, crop, input_side, threshold, settings)]
    on_cpu = logits.device.type == "cpu" and settings.mode != "reference"
    measure_some = _measure_one_by_one if on_cpu else _measure_chunk
    parts = [
        measure_some(logits[rows].float(), rows, crop, input_side, threshold, settings)
        for rows in _chunks(source, crop, input_side, at_once, on_part)
    ]
    if not parts:
        empty = torch.zeros(0, device=logits.device)
        boxes = torch.zeros(0, 4, dtype=torch.int64, device=logits.device)
        return MaskTable([], boxes, empty, empty, source)
    rows = torch.cat([p[0] for p in parts])
    rles = [rle for p in parts for rle in p[3]]
    boxes, scores = torch.cat([p[1] for p in parts]), torch.cat([p[2] for p in parts])
    return MaskTable(rles, boxes, predicted_iou[rows], scores, rows)


def _chunks(rows: Tensor, crop: Crop, input_side: int, at_once: int, on_part: OnPart) -> Iterator[Tensor]:
    """Yield the rows in pieces of at most ``at_once``, whose enlarged logits fit ``CHUNK_BYTES``."""
    per_mask = 4 * (input_side**2 + crop.size_hw[0] * crop.size_hw[1])
    n = max(1, min(at_once, CHUNK_BYTES[rows.device.type] // per_mask))
    return (some for _, some in split(rows, n, on_part) if len(some))


def _measure_chunk(
    logits: Tensor, rows: Tensor, crop: Crop, input_side: int, threshold: float, settings: SamSettings
) -> tuple[Tensor, Tensor, Tensor, list[NDArray[np.uint32]]]:
    """Return rows, boxes, stability and run lengths of the masks of one chunk that stay."""
    large = enlarge(logits, crop, input_side)
    scores = stability(large, threshold, settings.stability_score_offset)
    masks = large > threshold
    if settings.stability_score_thresh > 0.0:
        stable = (scores >= settings.stability_score_thresh).nonzero().flatten()
        masks, rows, scores = masks[stable], rows[stable], scores[stable]
    boxes = batched_mask_to_box(masks).long()
    height, width = crop.image_hw
    if crop.layer:
        near = is_box_near_crop_edge(boxes, list(crop.box_xyxy), [0, 0, width, height])
        inner = (~near).nonzero().flatten()
        masks, rows, scores, boxes = masks[inner], rows[inner], scores[inner], boxes[inner]
    boxes[:, ::2] += crop.box_xyxy[0]
    boxes[:, 1::2] += crop.box_xyxy[1]
    return rows, boxes, scores, masks_to_rles(uncrop_masks(masks, list(crop.box_xyxy), height, width))


def _measure_one_by_one(
    logits: Tensor, rows: Tensor, crop: Crop, input_side: int, threshold: float, settings: SamSettings
) -> tuple[Tensor, Tensor, Tensor, list[NDArray[np.uint32]]]:
    """Return what ``_measure_chunk`` returns, made with OpenCV."""
    offset, (height, width) = settings.stability_score_offset, crop.size_hw
    x0, y0 = crop.box_xyxy[:2]
    image_box = [0, 0, crop.image_hw[1], crop.image_hw[0]]
    kept, boxes, scores, rles = [], [], [], []
    for row, small in enumerate(logits.numpy()):
        square = cv2.resize(small, (input_side, input_side))
        large = cv2.resize(square[: crop.input_hw[0], : crop.input_hw[1]], (width, height))
        core, reach = (np.count_nonzero(large > threshold + shift) for shift in (offset, -offset))
        score = core / reach if reach else math.nan
        if settings.stability_score_thresh > 0.0 and not score >= settings.stability_score_thresh:
            continue
        mask = large > threshold
        x, y, w, h = cv2.boundingRect(mask.view(np.uint8))
        box = [x, y, x + w - 1, y + h - 1] if w else [0, 0, 0, 0]
        if crop.layer and is_box_near_crop_edge(torch.tensor([box]), list(crop.box_xyxy), image_box):
            continue
        rles.append(mask_to_rle(mask[y : y + h, x : x + w], crop.image_hw, (x + x0, y + y0)))
        kept.append(row)
        boxes.append([box[0] + x0, box[1] + y0, box[2] + x0, box[3] + y0])
        scores.append(score)
    return (
        rows[kept],
        torch.tensor(boxes).reshape(-1, 4).long(),
        torch.tensor(scores, dtype=torch.float32),
        rles,
    )


def masks_to_rles(masks: Tensor) -> list[NDArray[np.uint32]]:
    """Return the run lengths of (K, H, W) bool masks; one copy leaves the device for all of them."""
    n, h, w = masks.shape
    if n == 0:
        return []
    line = masks.transpose(1, 2).reshape(n, h * w)
    changes = torch.cat([line[:, :1], line[:, 1:] ^ line[:, :-1]], dim=1)  # a mask starts from background
    at = changes.flatten().nonzero().flatten().cpu().numpy()
    last = np.searchsorted(at, np.arange(1, n + 1) * (h * w))
    first = np.concatenate([[0], last[:-1]])
    return [
        np.diff(at[a:b] - i * h * w, prepend=0, append=h * w).astype(np.uint32)
        for i, (a, b) in enumerate(zip(first, last, strict=True))
    ]
