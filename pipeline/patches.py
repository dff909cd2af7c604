"""Stage 3 of 7: cut one square patch per candidate.

In: Image, CandidateBatch.  Out: PatchBatch.  Device: CPU.  Settings: CountSettings.mask_background.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.contract import CountSettings
from pipeline.types import CandidateBatch, Image, PatchBatch

PATCH_SIDE_PX = 224
CONTEXT = 0.05
FILL_RGB = (124, 116, 104)
"""ImageNet's mean colour: what letterbox bars and a neutralised background become (0 after normalising)."""

MAX_PATCH_BYTES = 256 * 2**20
_BYTES_PER_PX = 4  # three colours and the mask
_SMALLER_PX = (160, 112, 80, 56)


def bounded_side_px(n_candidates: int, side_px: int = PATCH_SIDE_PX) -> int:
    """Return the wanted patch side, or less when the patches of one image would pass 256 MB.

    More than about 1,300 objects in one image are small ones, so that less than 224 px still holds what
    the photo shows of them. The models resize what they get to their own input.

    Returns:
        ``side_px``, or the largest of 160, 112, 80, 56 px that fits; 56 for any larger number.
    """
    for side in (side_px, *(s for s in _SMALLER_PX if s < side_px)):
        if n_candidates * side * side * _BYTES_PER_PX <= MAX_PATCH_BYTES:
            return side
    return min(side_px, _SMALLER_PX[-1])


def extract_patches(
    image: Image, batch: CandidateBatch, settings: CountSettings, *, side_px: int = PATCH_SIDE_PX
) -> PatchBatch:
    """Cut every candidate's box with 5 % context on each side, aspect kept, letterboxed to a square.

    Shrinking averages (area interpolation), growing is bilinear; bars beyond the box are ``FILL_RGB``.

    Args:
        image: the pixels the boxes lie in.
        batch: N candidates of that image.
        settings: with ``mask_background``, pixels outside the mask become ``FILL_RGB`` too.
        side_px: wanted side; see ``classify.patch_side_px``.

    Returns:
        N patches in candidate order; S from ``bounded_side_px``.
    """
    side = bounded_side_px(len(batch), side_px)
    patches = np.full((len(batch), side, side, 3), FILL_RGB, np.uint8)
    masks = np.zeros((len(batch), side, side), np.bool_)
    crop_boxes = context_boxes(batch.bbox_xyxy, batch.size_hw)
    for index, box in enumerate(crop_boxes.tolist()):
        _cut(image.pixels_hw3, batch.rle(index), box, patches[index], masks[index])
    if settings.mask_background:
        patches[~masks] = FILL_RGB
    return PatchBatch(patches, masks)


def context_boxes(bbox_xyxy: NDArray[np.float32], size_hw: tuple[int, int]) -> NDArray[np.int64]:
    """Return the boxes grown by 5 % of their size on each side, to whole px, inside the image.

    Args:
        bbox_xyxy: (N, 4) float32 half-open px.
        size_hw: image height and width in px.

    Returns:
        (N, 4) int64 half-open px, at least 1 px wide and high.
    """
    box = bbox_xyxy.astype(np.float64)
    margin = CONTEXT * (box[:, 2:] - box[:, :2])
    limit = np.array(size_hw[::-1])
    low = np.clip(np.floor(box[:, :2] - margin), 0, limit - 1)
    high = np.clip(np.ceil(box[:, 2:] + margin), low + 1, limit)
    return np.concatenate([low, high], axis=1).astype(np.int64)


def _cut(
    pixels_hw3: NDArray[np.uint8],
    rle: NDArray[np.uint32],
    box: list[int],
    patch: NDArray[np.uint8],
    mask: NDArray[np.bool_],
) -> None:
    """Write one resized crop and its mask into the middle of ``patch`` and ``mask``."""
    x0, y0, x1, y1 = box
    side = len(patch)
    scale = side / max(x1 - x0, y1 - y0)
    width, height = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    left, top = (side - width) // 2, (side - height) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    window = np.s_[top : top + height, left : left + width]
    patch[window] = cv2.resize(pixels_hw3[y0:y1, x0:x1], (width, height), interpolation=how)
    coverage = cv2.resize(_mask_crop(rle, box, pixels_hw3.shape[0]), (width, height), interpolation=how)
    inside = coverage > 127
    mask[window] = inside if inside.any() else coverage > 0


def _mask_crop(rle: NDArray[np.uint32], box: list[int], image_height: int) -> NDArray[np.uint8]:
    """Decode only the columns of a box: (h, w) uint8, 255 inside the mask."""
    x0, y0, x1, y1 = box
    ends = np.concatenate([[0], np.cumsum(rle, dtype=np.int64)])
    lengths = np.diff(np.clip(ends, x0 * image_height, x1 * image_height))
    values = (np.arange(len(lengths)) % 2 * 255).astype(np.uint8)
    columns = np.repeat(values, lengths).reshape(x1 - x0, image_height)
    return np.ascontiguousarray(columns.T[y0:y1])
