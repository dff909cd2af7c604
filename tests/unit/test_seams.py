"""What happens to masks of neighbouring tiles, case by case: two 100 x 60 tiles that share columns 60…100."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.ops.rle import rle_to_mask
from pipeline.segment.outline import CandidateBuilder
from pipeline.segment.seams import join_at_seams
from pipeline.types import CandidateBatch

SIZE_HW = (60, 160)
TILES = np.array([[0, 0, 100, 60], [60, 0, 160, 60]])
Box = tuple[int, int, int, int]


def tile(*found: tuple[Box, float]) -> CandidateBatch:
    """Filled boxes (x0, y0, x1, y1) in the tile's frame, each with its predicted IoU."""
    builder = CandidateBuilder((60, 100))
    for (x0, y0, x1, y1), quality in found:
        builder.add(np.ones((y1 - y0, x1 - x0), dtype=bool), (x0, y0), quality, quality)
    return builder.finish()


def joined(left: CandidateBatch, right: CandidateBatch) -> list[Box]:
    batch = join_at_seams([left, right], TILES, SIZE_HW)
    return sorted((int(a), int(b), int(c), int(d)) for a, b, c, d in batch.bbox_xyxy)


def test_a_cut_mask_gives_way_to_the_whole_one() -> None:
    assert joined(tile(((70, 10, 100, 30), 0.99)), tile(((10, 10, 60, 30), 0.5))) == [(70, 10, 120, 30)]


def test_a_cut_mask_stays_when_the_neighbour_saw_nothing() -> None:
    assert joined(tile(((70, 10, 100, 30), 0.9)), tile()) == [(70, 10, 100, 30)]


def test_pieces_of_an_object_larger_than_the_overlap_are_joined() -> None:
    batch = join_at_seams([tile(((20, 10, 100, 30), 0.9)), tile(((0, 10, 80, 30), 0.7))], TILES, SIZE_HW)
    assert len(batch) == 1
    expected = np.zeros(SIZE_HW, dtype=bool)
    expected[10:30, 20:140] = True
    assert np.array_equal(rle_to_mask(batch.rle(0), SIZE_HW), expected)
    assert batch.predicted_iou[0] == pytest.approx(0.8)


def test_a_whole_object_seen_twice_is_kept_from_the_tile_that_shows_more_around_it() -> None:
    left, right = tile(((80, 10, 95, 30), 0.9)), tile(((20, 11, 35, 30), 0.8))
    assert joined(left, right) == [(80, 11, 95, 30)]


def test_a_part_is_not_taken_for_its_whole() -> None:
    """A button (whole in both tiles) on a shirt (cut in the left tile, whole in the right)."""
    left = tile(((65, 5, 100, 55), 0.9), ((80, 20, 90, 30), 0.9))
    right = tile(((5, 5, 80, 55), 0.9), ((20, 20, 30, 30), 0.9))
    assert joined(left, right) == [(65, 5, 140, 55), (80, 20, 90, 30)]


@pytest.mark.parametrize(
    ("left", "right", "objects"),
    [
        ((70, 10, 90, 30), (10, 16, 30, 36), 1),
        ((70, 10, 90, 30), (10, 18, 30, 38), 2),
        ((80, 10, 100, 30), (15, 19, 60, 39), 1),
        ((80, 10, 100, 30), (15, 21, 60, 41), 2),
        ((80, 10, 100, 30), (0, 15, 35, 35), 1),
        ((80, 10, 100, 30), (0, 18, 35, 38), 2),
    ],
    ids=[
        "both whole, IoU 0.54", "both whole, IoU 0.43", "0.55 of the cut in the whole",
        "0.45 of the cut in the whole", "both cut, IoS 0.56", "both cut, IoS 0.45",
    ],
)  # fmt: skip
def test_two_tiles_need_not_agree_on_every_pixel_of_one_object(left: Box, right: Box, objects: int) -> None:
    assert len(joined(tile((left, 0.9)), tile((right, 0.9)))) == objects


def test_neighbours_that_touch_but_do_not_overlap_stay_two() -> None:
    assert joined(tile(((70, 10, 100, 30), 0.9)), tile(((5, 30, 40, 50), 0.9))) == [
        (65, 30, 100, 50),
        (70, 10, 100, 30),
    ]


def test_objects_at_the_image_border_are_not_cut() -> None:
    assert joined(tile(((0, 0, 30, 60), 0.9)), tile(((70, 20, 100, 60), 0.9))) == [
        (0, 0, 30, 60),
        (130, 20, 160, 60),
    ]


def test_tiles_without_candidates_give_none() -> None:
    assert len(join_at_seams([tile(), tile()], TILES, SIZE_HW)) == 0
