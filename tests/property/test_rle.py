"""Run lengths say exactly what the mask said, whatever the mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from pipeline.ops.boxes import overlapping_pairs
from pipeline.ops.overlap import mask_intersections, mask_overlaps
from pipeline.ops.rle import mask_to_rle, move_rle, rle_to_crop, rle_to_mask
from pipeline.segment.outline import candidates_from_masks

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


@given(MASKS)
def test_mask_survives_the_round_trip(mask):
    assert np.array_equal(rle_to_mask(mask_to_rle(mask), mask.shape), mask)


@given(MASKS)
def test_run_lengths_equal_those_of_pycocotools(mask):
    ours = {"size": list(mask.shape), "counts": mask_to_rle(mask).tolist()}
    reference = coco.encode(np.asfortranarray(mask.view(np.uint8)))
    assert coco.frPyObjects(ours, *mask.shape)["counts"] == reference["counts"]


@given(MASKS)
def test_crop_is_the_mask_in_its_tightest_box(mask):
    crop, (x, y) = rle_to_crop(mask_to_rle(mask), mask.shape)
    whole = np.zeros_like(mask)
    whole[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    assert np.array_equal(whole, mask)
    assert crop.size == 0 or (crop[0].any() and crop[-1].any() and crop[:, 0].any() and crop[:, -1].any())


@given(MASKS, st.integers(0, 5), st.integers(0, 5), st.integers(0, 4))
def test_moved_mask_is_the_mask_elsewhere(mask, x, y, margin):
    h, w = mask.shape
    size_hw = h + y + margin, w + x + margin
    want = np.zeros(size_hw, bool)
    want[y : y + h, x : x + w] = mask
    assert np.array_equal(rle_to_mask(move_rle(mask_to_rle(mask), (h, w), size_hw, (x, y)), size_hw), want)


@given(st.integers(0, 7), st.integers(0, 2**32 - 1))
def test_shared_pixels_equal_those_of_the_decoded_masks(n, seed):
    rng = np.random.default_rng(seed)
    masks = [rng.random((11, 13)) < rng.random() for _ in range(n)]
    batch = candidates_from_masks((11, 13), masks, [1.0] * n, [1.0] * n)
    pairs, shared = mask_overlaps(batch.size_hw, batch.rle_counts, batch.rle_offsets, batch.bbox_xyxy)
    kept = [m for m in masks if m.any()]
    want = {
        (i, j): int((kept[i] & kept[j]).sum())
        for i in range(len(kept))
        for j in range(i + 1, len(kept))
        if (kept[i] & kept[j]).any()
    }
    assert dict(zip(map(tuple, pairs.tolist()), shared.tolist(), strict=True)) == want


def test_no_pairs_share_nothing():
    none = mask_intersections((4, 4), np.array([16], np.uint32), np.array([0, 1]), np.zeros((0, 2), np.int64))
    assert none.shape == (0,)
    assert overlapping_pairs(np.zeros((0, 4), np.float32)).shape == (0, 2)


def test_crop_outside_its_image_is_refused():
    with pytest.raises(ValueError, match="want inside 4 x 4, got 3 x 3 at x=2"):
        mask_to_rle(np.ones((3, 3), bool), (4, 4), (2, 0))


def test_runs_that_do_not_fill_the_image_are_refused():
    with pytest.raises(ValueError, match="want 9 px, got 8"):
        rle_to_mask(np.array([3, 5], np.uint32), (3, 3))
