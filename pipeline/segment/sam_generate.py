"""Automatic mask generation as the SAM paper does it: crops, grids of points, filters, two rounds of NMS."""

from __future__ import annotations

import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.utils.amg import (
    batched_mask_to_box,
    build_all_layer_point_grids,
    generate_crop_boxes,
    remove_small_regions,
)
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor
from torchvision.ops.boxes import batched_nms, box_area

from pipeline.ops.rle import mask_to_rle, rle_to_mask
from pipeline.portions import OnPart, span, unheard
from pipeline.segment.sam_masks import Crop, MaskTable, join, measure
from pipeline.segment.sam_package import SamNet
from pipeline.segment.sam_prompts import Points, Prompter, first_round, second_round
from pipeline.segment.sam_settings import SamSettings

Answer = tuple[MaskTable, Points]
"""Masks of one round, and for each the px of the crop that it was asked at."""

ENCODED, FIRST_ROUND, DECODED = 0.4, 0.7, 0.8
"""Shares that are told as done: of crops once encoded; of a crop's points after the first of two rounds; of a
round once decoded, before its masks are measured."""

COLUMNS = ("boxes_xyxy", "predicted_iou", "stability_score", "points_xy", "crop_boxes")


@dataclass(frozen=True, slots=True)
class Generated:
    """N kept masks of one image, in SAM's order.

    Attributes:
        size_hw: px. rles: N run lengths. boxes_xyxy: (N, 4) int64, SAM's convention (last pixel).
        predicted_iou, stability_score: (N,) float32.
        points_xy: (N, 2) float64 px, image frame. The prompt each mask answers.
        crop_boxes: (N, 4) int64 px. The crop each prompt was asked in.
    """

    size_hw: tuple[int, int]
    rles: list[NDArray[np.uint32]]
    boxes_xyxy: NDArray[np.int64]
    predicted_iou: NDArray[np.float32]
    stability_score: NDArray[np.float32]
    points_xy: NDArray[np.float64]
    crop_boxes: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> Generated:
        """Return some of the masks, in the order of ``rows``."""
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        return Generated(size_hw=self.size_hw, rles=[self.rles[i] for i in rows], **columns)


class Generator:
    """Generates the masks of images with one SAM; remembers the features of the latest images.

    Args:
        net: the model. settings: how masks are made.
        prompter: proposes points, so that not every point of a grid is asked; None: all are.
        cache_images: features kept, least recently used first out (4 MiB each for SAM's own sizes).
    """

    def __init__(
        self,
        net: SamNet,
        settings: SamSettings,
        prompter: Prompter | None = None,
        cache_images: int = 64,
    ) -> None:
        """Build the point grids."""
        self.net, self.settings = net, settings
        self._prompter = prompter if settings.point_grids is None else None
        self.side = int(net.sam.image_encoder.img_size)
        self._resize = ResizeLongestSide(self.side)
        self._grids = settings.point_grids or build_all_layer_point_grids(
            settings.points_per_side, settings.crop_n_layers, settings.crop_n_points_downscale_factor
        )
        self._resized: dict[int, NDArray[np.uint8]] = {}  # by id of the image's pixels, while these live
        self._cache: OrderedDict[bytes, Tensor] = OrderedDict()
        self._cache_images = cache_images

    def prepare(self, image: NDArray[np.uint8]) -> None:
        """Resize an (H, W, 3) uint8 RGB image ahead, for as long as it lives. Any thread may call this."""
        self._resized[id(image)] = self._resize.apply_image(image)
        weakref.finalize(image, self._resized.pop, id(image), None)

    @torch.inference_mode()
    def generate(
        self,
        images: Sequence[NDArray[np.uint8]],
        images_at_once: int,
        points_at_once: int,
        on_part: OnPart = unheard,
    ) -> list[Generated]:
        """Return the masks of each (H, W, 3) uint8 RGB image; encoded together, decoded one by one.

        ``on_part`` is told the share that is done after each call of the encoder and each portion of points.
        """
        crops = [self._crops((im.shape[0], im.shape[1])) for im in images]
        flat = [(im, crop) for im, cs in zip(images, crops, strict=True) for crop in cs]
        found: list[Generated] = []
        for start in range(0, len(flat), images_at_once):
            batch = flat[start : start + images_at_once]
            own = span(on_part, start / len(flat), (start + len(batch)) / len(flat))
            features = self._encode([_cut(im, crop) for im, crop in batch])
            own(ENCODED)
            asked = span(own, ENCODED, 1.0)
            for k, ((im, crop), one) in enumerate(zip(batch, features, strict=True)):
                part = span(asked, k / len(batch), (k + 1) / len(batch))
                found.append(self._one_crop(one, _cut(im, crop), crop, points_at_once, part))
                part(1.0)
        masks = iter(found)
        return [self._finish([next(masks) for _ in cs]) for cs in crops]

    def _crops(self, size_hw: tuple[int, int]) -> list[Crop]:
        """Return the whole image and the crops of every layer."""
        settings = self.settings
        boxes, layers = generate_crop_boxes(size_hw, settings.crop_n_layers, settings.crop_overlap_ratio)
        return [
            Crop(
                (x0, y0, x1, y1),
                layer,
                size_hw,
                self._resize.get_preprocess_shape(y1 - y0, x1 - x0, self.side),
            )
            for (x0, y0, x1, y1), layer in zip(boxes, layers, strict=True)
        ]

    def _encode(self, crops: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
        """Return (C, h, w) features of each crop; only those not seen lately are computed, in one batch."""
        small = [self._small(c) for c in crops]
        keys = [hashlib.blake2b(repr(s.shape).encode() + s.tobytes(), digest_size=16).digest() for s in small]
        known = {k: self._cache[k] for k in keys if k in self._cache}
        new = {k: s for k, s in zip(keys, small, strict=True) if k not in known}
        if new:
            pixels = torch.cat([self._input(s) for s in new.values()])
            known |= dict(zip(new, self.net.encode(pixels), strict=True))
        for key in keys:
            self._cache[key] = known[key]
            self._cache.move_to_end(key)
        while len(self._cache) > self._cache_images:
            self._cache.popitem(last=False)
        return [known[k] for k in keys]

    def _small(self, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a crop resized as segment-anything does it: now, unless it is an image that was prepared."""
        ready = self._resized.get(id(crop))
        return self._resize.apply_image(crop) if ready is None else ready

    def _input(self, small: NDArray[np.uint8]) -> Tensor:
        """Return (1, 3, S, S) float32: normalised and padded as segment-anything does it."""
        resized = torch.as_tensor(small, device=self.net.device)
        padded: Tensor = self.net.sam.preprocess(resized.permute(2, 0, 1).contiguous()[None])
        return padded

    def _one_crop(
        self, features: Tensor, pixels: NDArray[np.uint8], crop: Crop, points_at_once: int, on_part: OnPart
    ) -> Generated:
        """Return the masks of one crop after its own NMS; with a prompter, of up to two rounds of points."""
        grid = self._grids[crop.layer]
        if self._prompter is None:
            return self._best([self._ask(features, grid, crop, points_at_once, on_part)], crop)
        proposed = self._prompter(pixels)
        early, late = span(on_part, 0.0, FIRST_ROUND), span(on_part, FIRST_ROUND, 1.0)
        first = self._ask(features, first_round(proposed, grid), crop, points_at_once, early)
        kept = self._best([first], crop)
        left = second_round(proposed, grid, kept.rles, crop.size_hw) if crop.layer == 0 else grid[:0]
        if not len(left):
            return kept
        return self._best([first, self._ask(features, left, crop, points_at_once, late)], crop)

    def _ask(
        self, features: Tensor, points: Points, crop: Crop, points_at_once: int, on_part: OnPart
    ) -> Answer:
        """Return the good and stable masks of points in [0, 1] of the crop, and the point of each mask."""
        settings, (height, width) = self.settings, crop.size_hw
        points = points * np.array([[width, height]])
        asked = torch.as_tensor(self._resize.apply_coords(points, crop.size_hw), device=self.net.device)
        at_once = min(settings.points_per_batch or points_at_once, points_at_once)
        early, late = span(on_part, 0.0, DECODED), span(on_part, DECODED, 1.0)
        decoded = self.net.decode(features, asked, settings.pred_iou_thresh, at_once, early)
        threshold = float(self.net.sam.mask_threshold)
        table = measure(
            decoded.logits, decoded.predicted_iou, crop, self.side, threshold, settings, at_once, late
        )
        return table, points[decoded.points[table.source].cpu().numpy()]

    def _best(self, answers: Sequence[Answer], crop: Crop) -> Generated:
        """Return the masks of one or several rounds that NMS leaves, in the image's frame."""
        table = join([table for table, _ in answers])
        kept = _nms(table.boxes_xyxy, table.predicted_iou, self.settings.box_nms_thresh)
        points = np.concatenate([points for _, points in answers])[kept.cpu().numpy()]
        return _generated(table.take(kept), points + np.array(crop.box_xyxy[:2]), crop)

    def _finish(self, crops: list[Generated]) -> Generated:
        """Return the masks of one image: crops joined, duplicates between crops and small regions gone."""
        masks = _join(crops)
        if len(crops) > 1:
            scores = 1 / box_area(torch.as_tensor(masks.crop_boxes).float())
            kept = _nms(torch.as_tensor(masks.boxes_xyxy), scores, self.settings.crop_nms_thresh)
            masks = masks.take(kept.numpy())
        if self.settings.min_mask_region_area > 0 and masks.rles:
            masks = _without_small_regions(masks, self.settings)
        return masks


def _cut(image: NDArray[np.uint8], crop: Crop) -> NDArray[np.uint8]:
    """Return the crop's pixels; of the whole image, the image itself, which may be prepared."""
    x0, y0, x1, y1 = crop.box_xyxy
    return image if (y1 - y0, x1 - x0) == image.shape[:2] else image[y0:y1, x0:x1]


def _nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Return the rows that stay, best first: torchvision's class-wise NMS with one class, as SAM calls it."""
    kept: Tensor = batched_nms(boxes.float(), scores, torch.zeros(len(boxes), device=boxes.device), threshold)
    return kept


def _generated(table: MaskTable, points_xy: NDArray[np.float64], crop: Crop) -> Generated:
    """Return a crop's table on the host."""
    n = len(table.rles)
    return Generated(
        size_hw=crop.image_hw,
        rles=table.rles,
        boxes_xyxy=table.boxes_xyxy.cpu().numpy(),
        predicted_iou=table.predicted_iou.float().cpu().numpy(),
        stability_score=table.stability_score.cpu().numpy(),
        points_xy=points_xy,
        crop_boxes=np.tile(np.array(crop.box_xyxy, dtype=np.int64), (n, 1)),
    )


def _join(parts: list[Generated]) -> Generated:
    """Return the masks of several crops of one image as one."""
    columns = {name: np.concatenate([getattr(p, name) for p in parts]) for name in COLUMNS}
    return Generated(size_hw=parts[0].size_hw, rles=[rle for p in parts for rle in p.rles], **columns)


def _without_small_regions(masks: Generated, settings: SamSettings) -> Generated:
    """Remove small islands and holes, then duplicates that arise; untouched masks win over mended ones."""
    mended, untouched = [], []
    for rle in masks.rles:
        mask, holes = remove_small_regions(
            rle_to_mask(rle, masks.size_hw), settings.min_mask_region_area, "holes"
        )
        mask, islands = remove_small_regions(mask, settings.min_mask_region_area, "islands")
        mended.append(rle if not holes and not islands else mask_to_rle(mask))
        untouched.append(not holes and not islands)
    boxes = np.stack([_box(rle, masks.size_hw) for rle in mended])
    threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
    kept = _nms(torch.as_tensor(boxes), torch.as_tensor(untouched).float(), threshold).numpy()
    return replace(masks, rles=mended, boxes_xyxy=boxes).take(kept)


def _box(rle: NDArray[np.uint32], size_hw: tuple[int, int]) -> NDArray[np.int64]:
    """Return the (4,) int64 xyxy box of a mask, SAM's convention."""
    box: NDArray[np.int64] = batched_mask_to_box(torch.as_tensor(rle_to_mask(rle, size_hw).copy())).numpy()
    return box
