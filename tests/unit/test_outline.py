"""Masks of any engine become candidates with run lengths, boxes, areas and outlines."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.ops.rle import rle_to_mask
from pipeline.segment.outline import candidates_from_masks, outline_xy, stack_batches


def test_masks_give_one_candidate_each_best_first():
    masks = np.zeros((2, 20, 30), dtype=np.bool_)
    masks[0, 2:5, 3:10] = True
    masks[1, 10:20, 20:30] = True
    batch = candidates_from_masks((20, 30), masks, [0.5, 0.9], [0.4, 0.8])
    assert batch.bbox_xyxy.tolist() == [[20, 10, 30, 20], [3, 2, 10, 5]]
    assert batch.area.tolist() == [100, 21]
    assert batch.predicted_iou.tolist() == pytest.approx([0.9, 0.5])
    assert np.array_equal(rle_to_mask(batch.rle(1), (20, 30)), masks[0])


def test_masks_and_their_run_lengths_give_the_same_candidates():
    rng = np.random.default_rng(3)
    masks = [rng.random((17, 9)) < p for p in (0.1, 0.5, 0.95)]
    from_masks = candidates_from_masks((17, 9), masks, [0.9, 0.8, 0.7], [1, 1, 1])
    rles = [from_masks.rle(i) for i in range(3)]
    from_rles = candidates_from_masks((17, 9), iter(rles), [0.9, 0.8, 0.7], [1, 1, 1])
    assert np.array_equal(from_masks.rle_counts, from_rles.rle_counts)
    assert np.array_equal(from_masks.polygon_xy, from_rles.polygon_xy)


def test_empty_masks_are_left_out_and_none_at_all_is_a_batch_of_zero():
    batch = candidates_from_masks((8, 8), [np.zeros((8, 8), bool)], [0.9], [0.9])
    assert len(batch) == 0
    assert batch.bbox_xyxy.shape == (0, 4)
    assert len(candidates_from_masks((4, 4), [], [], [])) == 0


@pytest.mark.parametrize(("shape", "area"), [((1, 1), 1), ((1, 5), 5), ((4, 6), 24)])
def test_outline_follows_pixel_edges(shape, area):
    points = outline_xy(np.ones(shape, dtype=bool))
    x, y = points.T
    assert abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2 == area


def test_outline_of_a_mask_in_parts_is_that_of_the_largest():
    mask = np.zeros((10, 20), bool)
    mask[0, 0] = True
    mask[2:9, 8:18] = True
    points = outline_xy(mask)
    assert points.min(axis=0).tolist() == [8, 2]
    assert points.max(axis=0).tolist() == [18, 9]


def test_stacked_pages_keep_masks_where_their_page_lies():
    page = np.zeros((6, 5), dtype=np.bool_)
    page[1:3, 2:4] = True
    batch = candidates_from_masks((6, 5), [page], [0.7], [0.6])
    stacked = stack_batches([batch, batch], (12, 8), [(0, 0), (0, 6)])
    assert stacked.bbox_xyxy.tolist() == [[2, 1, 4, 3], [2, 7, 4, 9]]
    want = np.zeros((12, 8), bool)
    want[7:9, 2:4] = True
    assert np.array_equal(rle_to_mask(stacked.rle(1), (12, 8)), want)
    assert stacked.polygon(1)[:, 1].min() == 7
