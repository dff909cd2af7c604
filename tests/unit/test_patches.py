"""Patches against a slow obvious twin, and what they promise."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.contract import CountSettings
from pipeline.ops.rle import rle_to_mask
from pipeline.patches import (
    CONTEXT,
    FILL_RGB,
    MAX_PATCH_BYTES,
    bounded_side_px,
    context_boxes,
    extract_patches,
)
from pipeline.types import CandidateBatch, Image, PatchBatch
from tests.candidates import batch_of, disc

SIZE = (150, 240)


def photo(seed: int = 0) -> Image:
    return Image("a", np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8))


def bar(x0: int, y0: int, x1: int, y1: int) -> NDArray[np.bool_]:
    mask = np.zeros(SIZE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


SHAPES = [
    disc(SIZE, 60, 60, 30),
    disc(SIZE, 0, 0, 20),  # cut by two borders
    disc(SIZE, 239, 149, 9),
    bar(10, 100, 200, 104),  # wide and flat
    bar(100, 0, 102, 150),  # as high as the image
    bar(50, 50, 51, 51),  # one pixel
    np.ones(SIZE, np.bool_),  # everything
    np.eye(*SIZE, dtype=np.bool_),  # a scratch that shrinking all but averages away
]


def slow_twin(image: Image, batch: CandidateBatch, side: int) -> PatchBatch:
    """One candidate at a time from its whole mask: crop, resize, paste on a square."""
    height, width = image.size_hw
    patches, masks = [], []
    for i in range(len(batch)):
        x0, y0, x1, y1 = (float(v) for v in batch.bbox_xyxy[i])
        left, top = (
            max(0, int(np.floor(x0 - CONTEXT * (x1 - x0)))),
            max(0, int(np.floor(y0 - CONTEXT * (y1 - y0)))),
        )
        right = min(width, int(np.ceil(x1 + CONTEXT * (x1 - x0))))
        bottom = min(height, int(np.ceil(y1 + CONTEXT * (y1 - y0))))
        pixels = image.pixels_hw3[top:bottom, left:right]
        inside = rle_to_mask(batch.rle(i), batch.size_hw)[top:bottom, left:right].astype(np.uint8) * 255
        longest = max(right - left, bottom - top)
        new_w = max(1, round((right - left) * side / longest))
        new_h = max(1, round((bottom - top) * side / longest))
        how = cv2.INTER_AREA if longest > side else cv2.INTER_LINEAR
        patch = np.empty((side, side, 3), np.uint8)
        patch[:] = FILL_RGB
        mask = np.zeros((side, side), np.bool_)
        at_x, at_y = (side - new_w) // 2, (side - new_h) // 2
        patch[at_y : at_y + new_h, at_x : at_x + new_w] = cv2.resize(
            pixels, (new_w, new_h), interpolation=how
        )
        cover = cv2.resize(inside, (new_w, new_h), interpolation=how)
        mask[at_y : at_y + new_h, at_x : at_x + new_w] = (cover > 127) if (cover > 127).any() else cover > 0
        patches.append(patch)
        masks.append(mask)
    return PatchBatch(np.stack(patches), np.stack(masks))


@pytest.mark.parametrize("side", [224, 64])
def test_patches_equal_those_of_the_slow_twin(side: int) -> None:
    image, batch = photo(), batch_of(SHAPES, SIZE)
    expected = slow_twin(image, batch, side)
    found = extract_patches(image, batch, CountSettings(), side_px=side)
    np.testing.assert_array_equal(found.patches, expected.patches)
    np.testing.assert_array_equal(found.masks, expected.masks)


def test_no_candidates_give_no_patches() -> None:
    found = extract_patches(photo(), batch_of([], SIZE), CountSettings())
    assert found.patches.shape == (0, 224, 224, 3)
    assert found.masks.shape == (0, 224, 224)


def test_context_boxes_grow_by_a_twentieth_and_stay_inside() -> None:
    boxes = np.array([[100, 50, 140, 90], [0, 0, 240, 150]], np.float32)
    np.testing.assert_array_equal(context_boxes(boxes, SIZE), [[98, 48, 142, 92], [0, 0, 240, 150]])


def test_the_object_keeps_its_aspect_and_bars_are_the_fill_colour() -> None:
    found = extract_patches(photo(), batch_of([bar(20, 60, 120, 80)], SIZE), CountSettings())
    rows, columns = np.nonzero(found.masks[0])
    width, height = np.ptp(columns) + 1, np.ptp(rows) + 1
    assert width / height == pytest.approx(5, rel=0.1)
    assert (found.patches[0, 0] == FILL_RGB).all()


def test_every_mask_survives_shrinking() -> None:
    found = extract_patches(photo(), batch_of(SHAPES, SIZE), CountSettings(), side_px=56)
    assert found.masks.any(axis=(1, 2)).all()


def test_mask_background_neutralises_all_but_the_object() -> None:
    image, batch = photo(), batch_of(SHAPES[:2], SIZE)
    plain = extract_patches(image, batch, CountSettings())
    found = extract_patches(image, batch, CountSettings(mask_background=True))
    assert (found.patches[~found.masks] == FILL_RGB).all()
    np.testing.assert_array_equal(found.patches[found.masks], plain.patches[plain.masks])


def test_the_original_pixels_are_never_altered() -> None:
    image = photo()
    before = image.pixels_hw3.copy()
    extract_patches(image, batch_of(SHAPES, SIZE), CountSettings(mask_background=True))
    np.testing.assert_array_equal(image.pixels_hw3, before)


@pytest.mark.parametrize("n", [0, 1, 1_000, 1_400, 5_000, 20_000])
def test_the_side_shrinks_so_that_patches_of_one_image_stay_within_256_mb(n: int) -> None:
    side = bounded_side_px(n)
    assert n * side * side * 4 <= MAX_PATCH_BYTES
    assert (side == 224) == (n <= 1_337)


def test_a_small_wanted_side_is_never_grown() -> None:
    assert bounded_side_px(100_000, 32) == 32
    assert bounded_side_px(10, 64) == 64
