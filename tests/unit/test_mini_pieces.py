"""What touches nothing else is one thing or several, from maps drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.segment.mini_peaks import find_instances
from pipeline.segment.mini_pieces import join_pieces
from tests.unit.test_mini_peaks import GRID, cone_at, maps_of


def bolt(at=24.0, dip=0.45, row=30):
    """A slender thing whose cone dips where the head ends."""
    return (cone_at(row, 32, 6, 26) * (1 - dip * np.exp(-(((GRID[1] - at) / 2) ** 2)))).astype(np.float32)


def test_a_head_and_its_shaft_are_one_thing():
    pieces = find_instances(maps_of(bolt()))
    whole = join_pieces(pieces)
    assert len(pieces.area) == 2
    assert len(whole.area) == 1 == whole.labels.max()
    assert whole.area[0] == pieces.area.sum()
    assert whole.quality[0] > pieces.quality.mean()


@pytest.mark.parametrize(
    "cones",
    [
        pytest.param([cone_at(30, 22, 8, 8), cone_at(30, 38, 8, 8)], id="two of a size"),
        pytest.param([cone_at(30, 22, 5, 5), cone_at(30, 37, 10, 10)], id="a small one at a large one"),
        pytest.param(
            [cone_at(30, 22, 9, 9), cone_at(30, 32, 4, 4)], id="a small one pressed into a large one"
        ),
        pytest.param([bolt(at=32.0)], id="two halves"),
        pytest.param([bolt(dip=0.97)], id="a deep valley"),
    ],
)
def test_things_that_touch_stay_apart(cones):
    pieces = find_instances(maps_of(*cones))
    assert len(pieces.area) == len(join_pieces(pieces).area) == 2


def test_what_touches_a_third_thing_is_left_as_it_is():
    pieces = find_instances(maps_of(bolt(), cone_at(44, 40, 9, 9)))
    assert len(join_pieces(pieces).area) == len(pieces.area) == 3


def test_others_keep_their_numbers_areas_and_qualities():
    pieces = find_instances(maps_of(bolt(row=20), cone_at(48, 12, 8, 8), cone_at(50, 44, 7, 7)))
    whole = join_pieces(pieces)
    assert (len(pieces.area), len(whole.area)) == (4, 3)
    assert set(whole.area.tolist()) > set(pieces.area[2:].tolist())
    for k in range(1, 4):
        assert (whole.labels == k).sum() >= whole.area[k - 1] > 0


def test_nothing_seen_stays_nothing():
    assert len(join_pieces(find_instances(maps_of())).area) == 0
