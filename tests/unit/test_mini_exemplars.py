"""Exemplars steer mini: scale, size, what one object is. With the bundled model, on drawn pictures."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.contract import CountSettings, Exemplar
from pipeline.ops.boxes import box_iou
from pipeline.segment import mini, mini_exemplars
from pipeline.segment.exemplar_contrast import contrast_picture
from pipeline.segment.mini_maps import Maps
from pipeline.types import Image
from tests.drawn import discs, grid, ground


@pytest.fixture(scope="module")
def engine():
    return mini.load()


def segment(engine, pixels, *exemplars, image_id="drawn"):
    return engine.segment([Image(image_id, pixels)], CountSettings(exemplars=exemplars))[0]


def around(centre, half_width, half_height, **where):
    x, y = centre
    return Exemplar((x - half_width, y - half_height, 2.0 * half_width, 2.0 * half_height), **where)


def same(a, b):
    return np.array_equal(a.rle_counts, b.rle_counts) and np.array_equal(a.predicted_iou, b.predicted_iou)


@pytest.mark.parametrize("radius", [6, 15, 45])
def test_each_exemplar_is_found_exactly_once(engine, radius):
    centres = grid(6, 4, 3 * radius, start=2 * radius)
    pixels = discs(ground(15 * radius, 21 * radius), centres, radius)
    boxes = [around(c, radius, radius) for c in centres[3:6]]
    found = segment(engine, pixels, *boxes)
    drawn = np.array([e.bbox_xywh for e in boxes], np.float32)
    drawn[:, 2:] += drawn[:, :2]
    assert ((box_iou(found.bbox_xyxy, drawn) > 0.7).sum(axis=0) == 1).all()
    assert len(found) == len(centres)


PAIRS = grid(4, 3, 110, start=70)
DOTS = [(x + dx, y) for x, y in PAIRS for dx in (-18, 18)]


PAIR_BOXES, DOT_BOXES = [around(c, 37, 19) for c in PAIRS[:2]], [around(c, 19, 19) for c in DOTS[:2]]


@pytest.mark.parametrize(("exemplars", "n"), [(PAIR_BOXES, 12), (DOT_BOXES, 24)], ids=["pairs", "dots"])
def test_exemplars_say_what_one_object_is(engine, exemplars, n):
    found = segment(engine, discs(ground(), DOTS, 18), *exemplars)
    assert len(found) == n


def bent(pixels, middle, bend, turn):
    """Draw a band of two colours, 110 px long and 16 px wide, and return an exemplar around it."""
    way = turn + bend * np.linspace(-0.5, 0.5, 40)
    xy = np.cumsum(np.stack([np.cos(way), np.sin(way)], axis=1) * 110 / 40, axis=0)
    xy += np.array(middle) - xy.mean(axis=0)
    for points, colour in ((xy, (60, 120, 50)), (xy[20:], (170, 60, 60))):
        cv2.polylines(pixels, [np.rint(points * 8).astype(np.int32)], False, colour, 16, cv2.LINE_AA, 3)
    return Exemplar((*(xy.min(axis=0) - 9), *(np.ptp(xy, axis=0) + 18)))


def test_straight_exemplars_mean_bent_ones_too(engine):
    pixels, bends = ground(420, 560), (0, 2.5, 3.5, 0, 3, -3, 2, -2.5, 0, 3.3, -3.5, 1.5)
    middles = [(x, y) for y in (70, 205, 340) for x in (80, 210, 340, 470)]
    drawn = [bent(pixels, middles[k], bends[k], 0.5 * k) for k in range(12)]
    found = segment(engine, pixels, drawn[0], drawn[3])
    boxes = np.array([e.bbox_xywh for e in drawn], np.float32)
    boxes[:, 2:] += boxes[:, :2]
    assert (box_iou(found.bbox_xyxy, boxes).max(axis=0) > 0.8).sum() >= 10  # 3 where only straight ones are


@pytest.mark.parametrize(
    "box",
    [DOT_BOXES[0], PAIR_BOXES[0], around((DOTS[0][0] + 9, DOTS[0][1]), 19, 19), around(DOTS[0], 14, 14)],
    ids=["a dot", "a pair", "beside a dot", "the middle of a dot"],
)
def test_a_lone_box_that_meets_something_seen_anyway_changes_no_outline(engine, box):
    pixels = discs(ground(), DOTS, 18)
    assert same(segment(engine, pixels, box), segment(engine, pixels))


def test_several_boxes_that_meet_what_is_seen_anyway_change_no_outline(engine):
    pixels = discs(ground(), DOTS, 18)
    assert same(segment(engine, pixels, *DOT_BOXES), segment(engine, pixels))
    assert len(segment(engine, pixels, DOT_BOXES[0], PAIR_BOXES[1])) < len(DOTS), "it does not meet one"


@pytest.mark.parametrize("n_boxes", [1, 2])
def test_boxes_drawn_loosely_around_one_thing_each_mean_it(engine, n_boxes):
    pixels = discs(ground(), grid(6, 4, 90), 12)
    loose = [around(c, 28, 28) for c in grid(6, 4, 90)[:n_boxes]]
    assert len(segment(engine, pixels, *loose)) == 24
    assert same(segment(engine, pixels, *loose), segment(engine, pixels))


def test_what_only_the_plain_view_shows_is_counted_beside(engine, monkeypatch):
    """The level that meets the exemplars best may show less of the rest."""
    pixels = discs(ground(), DOTS, 18)
    whole = segment(engine, pixels)
    steer_by_boxes = mini_exemplars._steer_by_boxes

    def one_side(views, scales):
        steered = steer_by_boxes(views, scales)
        found = steered.found
        right = np.unique(found.labels[:, found.labels.shape[1] // 2 :])
        found.quality[right[right > 0] - 1] = 0
        return steered

    monkeypatch.setattr(mini_exemplars, "_steer_by_boxes", one_side)
    monkeypatch.setattr(mini_exemplars, "_seen_anyway", lambda boxes, pyramid: None)
    found = segment(engine, pixels, *DOT_BOXES)
    assert len(found) == len(whole) == len(DOTS)
    assert (box_iou(found.bbox_xyxy, whole.bbox_xyxy).max(axis=0) > 0.7).all()
    large = segment(engine, pixels, *PAIR_BOXES)
    assert (large.area > 1.5 * whole.area.max()).any()
    assert not (large.area < whole.area.max() / 2).any(), "parts of what was steered to"


class Watched:
    """An onnxruntime session that remembers what it was asked."""

    def __init__(self, session):
        self.session, self.asked = session, []

    def run(self, names, feeds):
        self.asked.append(feeds["image"].tobytes())
        return self.session.run(names, feeds)


def test_what_was_looked_at_without_boxes_is_not_looked_at_again(monkeypatch):
    engine = mini.load()
    watched = Watched(engine._session)
    monkeypatch.setattr(engine, "_session", watched)
    segment(engine, discs(ground(), DOTS, 18), *DOT_BOXES)
    assert len(set(watched.asked)) == len(watched.asked) > 5


@pytest.mark.parametrize("scale", [0.5, 0.71, 1.0])
def test_the_part_around_a_box_shows_it_where_the_whole_does(scale):
    cells = np.arange(300 * 400, dtype=np.float32).reshape(300, 400)
    box = np.array([230, 210, 270, 260], np.float32)
    part, moved = mini_exemplars._part_around(Maps(scale, cells, cells, cells), box)
    assert part.cone.shape < cells.shape
    for x, y in (0, 1), (2, 3), (2, 1):
        column, row = (box[[x, y]] * scale / 2).astype(int)
        u, v = (moved[[x, y]] * scale / 2 + 1e-3).astype(int)
        assert part.cone[v, u] == cells[row, column]


def test_a_lone_box_of_what_is_not_seen_as_one_thing_says_what_one_object_is(engine):
    rows = grid(3, 3, 190, start=100)
    pixels = discs(ground(580, 640), [(x + dx, y) for x, y in rows for dx in (-54, -18, 18, 54)], 18)
    assert len(segment(engine, pixels)) == 36
    assert len(segment(engine, pixels, around(rows[4], 73, 19))) == 9


def test_a_point_means_the_thing_under_it(engine):
    pixels = discs(ground(), grid(5, 4, 90), 20)
    found = segment(engine, pixels, Exemplar(point_xy=(50.0, 50.0)))
    assert len(found) == 20


@pytest.mark.parametrize(
    "exemplar",
    [
        Exemplar(point_xy=(95.0, 95.0)),
        Exemplar((84.0, 84.0, 22.0, 22.0)),
        Exemplar((900.0, 30.0, 40.0, 40.0)),
        around((50, 50), 20, 20, positive=False),
        Exemplar(point_xy=(50.0, 50.0), file_id="other"),
    ],
    ids=[
        "a point on the ground",
        "a box of ground",
        "a box off it",
        "only a negative one",
        "a point elsewhere",
    ],
)
def test_exemplars_that_say_nothing_change_nothing(engine, exemplar):
    pixels = discs(ground(), grid(5, 4, 90), 20)
    assert same(segment(engine, pixels, exemplar), segment(engine, pixels))


def test_boxes_in_another_image_give_the_size(engine):
    pixels = discs(ground(), DOTS, 18)
    assert len(segment(engine, pixels, around((300, 20), 37, 19, file_id="other"))) == 12
    assert len(segment(engine, pixels, around((300, 20), 19, 19, file_id="other"))) == 24


def test_sizes_that_this_image_has_nothing_of_are_not_used(engine):
    pixels = discs(ground(), grid(5, 4, 90), 20)
    far_too_large = around((200, 200), 190, 190, file_id="other")
    assert same(segment(engine, pixels, far_too_large), segment(engine, pixels))


def test_the_images_own_name_means_the_image_itself(engine):
    pixels = discs(ground(), DOTS, 18)
    found = segment(engine, pixels, *(replace(box, file_id="drawn") for box in PAIR_BOXES))
    assert same(found, segment(engine, pixels, *PAIR_BOXES))
    assert not same(found, segment(engine, pixels))


def test_the_contrast_picture_is_bright_where_the_exemplars_colours_are():
    rng = np.random.default_rng(3)
    busy = cv2.resize(
        rng.integers(0, 255, (60, 80, 1), np.uint8), (640, 480), interpolation=cv2.INTER_NEAREST
    )
    pixels = np.repeat(busy[..., None], 3, axis=2)
    centres = grid(5, 4, 110, start=60)
    pixels = discs(pixels, centres, 30, (30, 120, 40))
    grey = contrast_picture(pixels, np.array([[30, 30, 90, 90]], np.float32))[..., 0]
    mask = discs(np.zeros((480, 640, 3), np.uint8), centres, 26, (255, 255, 255))[..., 0] > 0
    apart = discs(np.zeros((480, 640, 3), np.uint8), centres, 36, (255, 255, 255))[..., 0] == 0
    assert np.percentile(grey[mask], 5) > 2 * np.percentile(grey[apart], 95)
