"""Trees of regions from maps drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.segment.mini_maps import STRIDE_PX
from pipeline.segment.mini_tree import build_tree, choose, label_map
from tests.unit.test_mini_peaks import cone_at, maps_of

PAIR = maps_of(cone_at(30, 22, 8, 8), cone_at(30, 36, 8, 8))


def of_area(tree, cells):
    """Return how near each region's area is to a number of cells: 1 when equal."""
    area = tree.area / STRIDE_PX**2
    return np.exp(-0.5 * (np.log(area / cells) / 0.3) ** 2)


def test_nothing_on_the_map_is_an_empty_tree():
    tree = build_tree(maps_of())
    assert len(tree) == 0
    assert not label_map(tree, choose(tree, np.zeros(0))).any()


def test_two_touching_cones_are_two_leaves_and_their_union():
    tree = build_tree(PAIR)
    assert tree.children.tolist() == [[-1, -1], [-1, -1], [0, 1]]
    assert tree.area[2] == pytest.approx(tree.area[:2].sum())
    np.testing.assert_allclose(tree.box_xyxy[2], [28, 44, 90, 76], atol=4)


@pytest.mark.parametrize(("cells", "n"), [(200, 2), (400, 1)])
def test_what_is_one_object_follows_from_its_worth(cells, n):
    tree = build_tree(PAIR)
    labels = label_map(tree, choose(tree, of_area(tree, cells)))
    assert labels.max() == n
    np.testing.assert_array_equal(labels > 0, tree.basins > 0)


def test_pieces_with_a_narrow_gap_can_be_joined_and_others_cannot():
    near = build_tree(maps_of(cone_at(30, 20, 6, 6), cone_at(30, 34, 6, 6)))
    far = build_tree(maps_of(cone_at(30, 14, 6, 6), cone_at(30, 44, 6, 6)))
    assert len(near) == 3
    assert len(far) == 2


def test_areas_are_in_image_px_at_every_scale():
    coarse, fine = (build_tree(maps_of(cone_at(30, 30, r, r))) for r in (6, 12))
    double = type(fine.maps)(2.0, fine.maps.foreground, fine.maps.cone, fine.maps.contact)
    assert build_tree(double).area[0] == pytest.approx(coarse.area[0], rel=0.1)


def test_shape_tells_slender_and_hollow_things_from_discs():
    disc, rod = (build_tree(maps_of(cone)) for cone in (cone_at(30, 30, 9, 9), cone_at(30, 30, 4, 16)))
    assert disc.slenderness[0] == pytest.approx(0, abs=0.1)
    assert rod.slenderness[0] == pytest.approx(np.log(4), abs=0.2)
    assert disc.solidity[0] == pytest.approx(1, abs=0.05)
    assert build_tree(PAIR).solidity[2] < 0.95
