"""Boxes, suppression, intervals, regions and what exemplars point at, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.contract import Exemplar
from pipeline.ops.boxes import box_area, box_iou
from pipeline.ops.exemplars import find_exemplar, match_box, match_point
from pipeline.ops.interval import central_interval, count_distribution
from pipeline.ops.nms import suppress
from pipeline.ops.regions import points_in_polygon
from pipeline.ops.rle import mask_to_rle
from tests.candidates import batch_of, disc


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_areas_are_taken_row_by_row(n):
    low, sides = np.arange(4 * n, dtype=np.float32).reshape(2, n, 2) + 1
    assert np.array_equal(box_area(np.concatenate([low, low + sides], axis=1)), sides[:, 0] * sides[:, 1])


def test_box_iou_by_hand():
    a = np.float32([[0, 0, 2, 2], [5, 5, 5, 5]])
    b = np.float32([[1, 0, 3, 2], [0, 0, 2, 2], [9, 9, 10, 10]])
    assert box_iou(a, b)[0].tolist() == pytest.approx([1 / 3, 1, 0])
    assert box_iou(a, b)[1].tolist() == [0, 0, 0]


def test_a_suppressed_rival_suppresses_nobody():
    pairs = np.array([[0, 1], [1, 2]])
    assert suppress(np.array([0, 1, 2]), pairs, np.ones(3, bool)).tolist() == [-1, 0, -1]
    assert suppress(np.array([1, 0, 2]), pairs, np.ones(3, bool)).tolist() == [1, -1, 1]


def test_the_strongest_of_several_rivals_is_named():
    pairs = np.array([[0, 2], [1, 2]])
    assert suppress(np.array([1, 0, 2]), pairs, np.ones(3, bool)).tolist() == [-1, -1, 1]


def test_the_dead_take_no_part():
    pairs = np.array([[0, 1]])
    assert suppress(np.array([0, 1]), pairs, np.array([False, True])).tolist() == [-1, -1]
    assert suppress(np.zeros(0, np.int64), np.zeros((0, 2), np.int64), np.zeros(0, bool)).tolist() == []


def test_two_coins_are_binomial():
    assert count_distribution(np.array([0.5, 0.5])) == pytest.approx([0.25, 0.5, 0.25])


def test_unequal_chances_by_hand():
    assert count_distribution(np.array([0.1, 0.8])) == pytest.approx([0.18, 0.74, 0.08])


def test_thousands_of_chances_keep_their_mean_and_variance():
    probs = np.random.default_rng(0).random(3000)
    mass = count_distribution(probs)
    numbers = np.arange(3001)
    mean = mass @ numbers
    assert mass.sum() == pytest.approx(1)
    assert mean == pytest.approx(probs.sum())
    assert mass @ (numbers - mean) ** 2 == pytest.approx((probs * (1 - probs)).sum(), rel=1e-3)


@pytest.mark.parametrize(
    ("probs", "want"),
    [([], (0, 0)), ([1.0] * 5, (5, 5)), ([0.0] * 5, (0, 0)), ([0.5] * 100, (42, 58)), ([0.04], (0, 0))],
)
def test_interval_holds_ninety_percent(probs, want):
    mass = count_distribution(np.array(probs))
    low, high = central_interval(mass)
    assert (low, high) == want
    assert mass[low : high + 1].sum() >= 0.9


def test_points_in_a_concave_polygon():
    arrow = [(0, 0), (10, 0), (10, 10), (5, 5), (0, 10)]
    points = np.array([(5.0, 2.0), (5.0, 7.0), (1.0, 7.0), (11.0, 1.0)])
    assert points_in_polygon(points, arrow).tolist() == [True, False, True, False]


def test_a_drawn_box_means_the_candidate_it_meets_best():
    boxes = np.float32([[0, 0, 10, 10], [8, 0, 20, 10]])
    assert match_box(boxes, (9, 1, 10, 9)) == 1
    assert match_box(boxes, (40, 40, 5, 5)) is None
    assert match_box(boxes[:0], (0, 0, 5, 5)) is None


@pytest.mark.parametrize(
    ("drawn", "meant"),
    [((0, 0, 25, 25), 0), ((0, 0, 45, 25), None), ((0, 0, 34, 34), None), ((12, 5, 25, 15), None)],
    ids=["one in it", "two in it", "far too loose", "half of one in it"],
)
def test_a_loose_box_means_the_only_candidate_in_it(drawn, meant):
    boxes = np.float32([[5, 5, 16, 15], [30, 5, 40, 15]])
    assert match_box(boxes, drawn) == meant


def test_a_point_means_the_smallest_mask_under_it():
    large, small = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    large[2:18, 2:28] = True
    small[5:9, 6:10] = True
    rles, area = [mask_to_rle(large), mask_to_rle(small)], np.array([large.sum(), small.sum()])
    assert match_point((20, 30), rles, area, (6.0, 8.9)) == 1
    assert match_point((20, 30), rles, area, (6.0, 9.0)) == 0
    assert match_point((20, 30), rles, area, (0.5, 0.5)) is None
    assert match_point((20, 30), rles, area, (30.0, 5.0)) is None


def test_looking_near_a_point_alone_finds_the_candidate_that_looking_everywhere_finds():
    size, random = (60, 90), np.random.default_rng(5)
    places = random.uniform((0, 0, 2), (90, 60, 20), (40, 3)).round()
    batch = batch_of([disc(size, x, y, radius) for x, y, radius in places], size)
    rles = [batch.rle(i) for i in range(len(batch))]
    points = random.uniform(-5, 95, (300, 2)).tolist() + random.integers(0, 60, (300, 2)).tolist()
    found = [find_exemplar(batch, Exemplar(point_xy=(x, y))) for x, y in points]
    assert found == [match_point(size, rles, batch.area, (x, y)) for x, y in points]
    assert len(set(found)) > 20
