"""What is like exemplars in size, shape and clearness, from maps drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.segment.mini_likeness import UNLIKE, WEAKEST, Likeness, like_exemplars
from pipeline.segment.mini_maps import Maps
from pipeline.segment.mini_tree import build_tree
from tests.unit.test_mini_peaks import GRID, cone_at, maps_of

DISC = cone_at(32, 32, 9, 9)
FROM_MIDDLE, FROM_BESIDE = (np.hypot(GRID[0] - 32, GRID[1] - x) for x in (32, 38))
CRESCENT = np.where((FROM_MIDDLE < 14) & (FROM_BESIDE > 12), 0.6, 0).astype(np.float32)
ANY_SIZE, ROUND, SOLID = (0.0, 20.0), (0.0, 0.0), 1.0


def likeness(cone, **of):
    known = {"log_area": ANY_SIZE, "slenderness": (0.0, 9.0), "solidity": 0.0, "weakest": 1.0} | of
    tree = build_tree(maps_of(cone))
    return float(Likeness(**known).of(tree)[0])


@pytest.mark.parametrize(
    ("other", "asked"),
    [
        (cone_at(32, 32, 3, 3), {"log_area": (np.log(4 * np.pi * 81),) * 2}),
        (cone_at(32, 32, 18, 18), {"log_area": (np.log(4 * np.pi * 81),) * 2}),
        (cone_at(32, 32, 4, 20), {"slenderness": ROUND}),
        (CRESCENT, {"solidity": SOLID}),
    ],
    ids=["small", "large", "slender", "bent"],
)
def test_another_size_or_shape_is_less_like_the_exemplars(other, asked):
    assert likeness(DISC, **asked) > 0.9
    assert likeness(other, **asked) < likeness(other) == 1
    assert likeness(other, **asked) < 0.8


def faint(clearness):
    clear = maps_of(DISC)
    return Maps(1.0, clear.foreground * np.float32(clearness), clear.cone, clear.contact)


def of_any_shape(weakest, log_area=ANY_SIZE):
    return Likeness(log_area, (0.0, 9.0), 0.0, weakest)


def test_exemplars_vouch_for_things_as_faint_as_they_are():
    (clear,) = like_exemplars(faint(0.4), of_any_shape(0.9)).quality
    assert clear < 0.3
    assert like_exemplars(faint(0.4), of_any_shape(clear)).quality[0] == pytest.approx(WEAKEST)


def test_another_size_leaves_a_share_of_the_quality():
    clear = like_exemplars(maps_of(DISC), of_any_shape(0.9)).quality[0]
    other = like_exemplars(maps_of(DISC), of_any_shape(0.9, (20.0, 20.0))).quality
    assert other.tolist() == pytest.approx([UNLIKE * clear], rel=0.01)
