"""What is like exemplars in size, shape and clearness, from maps drawn by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.segment.mini_likeness import (
    UNLIKE,
    WEAKEST,
    Likeness,
    like_exemplars,
    likeness_of,
    region_met,
)
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


def band(bend):
    """Return the maps of a band of eight pieces, a straight line or a part of a circle."""
    angle = np.cumsum(np.full(8, bend / 8)) - bend / 2
    x, y = (np.cumsum(6.0 * v) for v in (np.cos(angle), np.sin(angle)))
    return maps_of(
        *(cone_at(32 + dy, 32 + dx, 5, 5) for dx, dy in zip(x - x.mean(), y - y.mean(), strict=True))
    )


@pytest.mark.parametrize("bend", [1.5, 3.0, 4.5])
def test_what_is_slender_may_be_bent(bend):
    straight, bent = build_tree(band(0)), build_tree(band(bend))
    (box,) = straight.box_xyxy[[-1]].astype(np.float32)
    _, shown = likeness_of(box[None], [region_met(straight, box)], 1.0)
    assert shown.of(bent)[-1] > 0.9
    assert replace(shown, extents=()).of(bent)[-1] < 0.8


def test_what_is_more_divided_than_the_slender_exemplars_is_several_things():
    straight = build_tree(band(0))
    (box,) = straight.box_xyxy[[-1]].astype(np.float32)
    _, shown = likeness_of(box[None], [region_met(straight, box)], 1.0)
    two = build_tree(maps_of(cone_at(24, 20, 5, 12), cone_at(36, 34, 5, 12)))
    assert replace(shown, saddle=0.0).of(two)[-1] > shown.of(two)[-1]


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
