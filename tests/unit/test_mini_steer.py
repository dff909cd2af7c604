"""By which view and level exemplars steer mini, from maps that no network made."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from pipeline.contract import Exemplar
from pipeline.segment import mini_exemplars
from pipeline.segment.mini_exemplars import Steered, View, steer
from pipeline.segment.mini_maps import Maps, resized
from pipeline.segment.mini_peaks import Found
from pipeline.segment.mini_search import pyramid


def picture(side, radius):
    """Return (side, side, 3): one white disc in the middle, and its box."""
    pixels = np.zeros((side, side, 3), np.uint8)
    cv2.circle(pixels, (side // 2, side // 2), radius, (255, 255, 255), -1)
    low, high = side // 2 - radius, side // 2 + radius + 1
    return pixels, np.array([[low, low, high, high]], np.float32)


def seen(pixels, clearness):
    """Return a view that shows what is white so clearly."""

    def maps(scale, image_hw3):
        white = np.ascontiguousarray(resized(image_hw3, scale)[::2, ::2, 0] > 128)
        depth = cv2.distanceTransform(white.astype(np.uint8), cv2.DIST_L2, 5)
        cone = (clearness * depth / max(1.0, float(depth.max()))).astype(np.float32)
        return Maps(scale, np.where(white, np.float32(clearness), np.float32(0)), cone, np.zeros_like(cone))

    return View(pixels, maps)


@pytest.mark.parametrize(
    ("plain", "apart", "alike", "taken"),
    [
        (0.95, 1.0, 1.0, 0.95),
        (0.5, 0.95, 0.5, 0.95),
        (0.5, 0.5, 0.95, 0.95),
        (0.5, 0.8, 0.95, 0.95),
        (0.5, 0.52, 0.52, 0.5),
        (0.0, 0.95, 0.0, 0.95),
        (0.0, 0.0, 0.95, 0.95),
    ],
    ids=["plain", "colours", "told", "the better of both", "no better", "colours alone", "told alone"],
)
def test_where_the_picture_shows_exemplars_badly_the_view_that_shows_them_better_is_taken(
    plain, apart, alike, taken
):
    pixels, boxes = picture(256, 24)
    views = SimpleNamespace(
        boxes=boxes,
        plain=lambda: seen(pixels, plain),
        apart=lambda: seen(pixels, apart),
        alike=lambda: seen(pixels, alike),
    )
    steered = mini_exemplars._steer_by_boxes(views, pyramid((256, 256)))
    assert steered.found.maps.foreground.max() == np.float32(taken)
    assert len(steered.found.area) == 1


def test_a_level_that_takes_long_must_meet_the_boxes_better():
    scales = {}
    for side in (300, 3000):
        pixels, boxes = picture(side, 15)
        levels = pyramid((side, side))
        scales[side] = levels[mini_exemplars._best_scale(seen(pixels, 0.95), levels, boxes)[1]]
    assert scales[3000] < scales[300]


def found_at(*corners_xy, side=10):
    """Return squares of so many cells at scale 1, each a clear thing."""
    labels, ones = np.zeros((100, 100), np.int32), np.ones(len(corners_xy), np.float32)
    for k, (x, y) in enumerate(corners_xy):
        labels[y : y + side, x : x + side] = k + 1
    empty = np.zeros((100, 100), np.float32)
    return Found(Maps(1.0, empty, empty, empty), labels, ones * side**2, ones * np.float32(0.9), ones)


ROW = [(0, 0), (20, 0), (40, 0), (60, 0)]
SHOWN = [Exemplar((2.0 * x, 2.0 * y, 24.0, 24.0)) for x, y in ROW[:2]]
"""As large as the squares, which fill 70 % of them."""


@pytest.mark.parametrize(("anyway", "steered"), [(4, 4), (4, 3), (3, 4)])
def test_what_is_seen_anyway_is_kept_unless_examples_steer_to_more_of_their_size(
    monkeypatch, anyway, steered
):
    plain, by_boxes = found_at(*ROW[:anyway]), Steered(found_at(*ROW[:steered]), 0.3)
    pyramid_of_it = SimpleNamespace(
        scales=[1.0], best=lambda: 0, at=lambda _: plain, pieces_at=lambda _: plain
    )
    monkeypatch.setattr(mini_exemplars, "Views", lambda *_: None)
    monkeypatch.setattr(mini_exemplars, "_steer_by_boxes", lambda *_: by_boxes)
    taken = steer(None, None, np.zeros((200, 200, 3), np.uint8), pyramid_of_it, SHOWN)
    assert taken[0].found is (plain if anyway >= steered else by_boxes.found)


def test_of_what_sizes_from_elsewhere_show_and_all_there_is_nothing_is_proposed_twice(monkeypatch):
    of_size, plain = found_at(ROW[0]), found_at(*ROW, side=12)
    pyramid_of_it = SimpleNamespace(scales=[1.0], best=lambda: 0, at=lambda _: plain)
    monkeypatch.setattr(mini_exemplars, "maps_at_scale", lambda *_: None)
    monkeypatch.setattr(mini_exemplars, "like_exemplars", lambda *_: of_size)
    sides = np.array([[20, 20]], np.float32)
    rest, best = mini_exemplars._steer_by_size(None, np.zeros((200, 200, 3), np.uint8), pyramid_of_it, sides)
    assert best is of_size
    assert (rest.quality > 0).tolist() == [False, True, True, True]
