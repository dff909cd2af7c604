"""Pictures show what was counted, and leave the photo as it is."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.contract import CountSettings, Region, Rejection
from pipeline.explain import (
    FAINT,
    MAX_SIDE_PX,
    REASON_RGB,
    DrawnObject,
    drawn_faint,
    drawn_objects,
    render,
)
from pipeline.ops.regions import points_in_polygon
from pipeline.types import Image, Instances
from tests.candidates import batch_of, candidates_of, disc
from tests.drawn import CENTRES, ground


def square(x, y, side=40, number=1, reason=""):
    corners = np.float32([[x, y], [x + side, y], [x + side, y + side], [x, y + side]])
    return DrawnObject(number, "thing", 0.9, corners, reason)


def decoded(data):
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def drawn(objects, rejected=(), pixels=None, **settings):
    image = Image("a", ground() if pixels is None else pixels)
    return {k: decoded(v) for k, v in render(image, objects, rejected, CountSettings(**settings)).items()}


def test_an_object_changes_its_place_and_nothing_far_away():
    plain, one = drawn([])["annotated"].astype(int), drawn([square(100, 100)])["annotated"].astype(int)
    change = np.abs(plain - one).max(axis=2)
    assert change[105:135, 105:135].mean() > 20
    assert change[:, 300:].max() < 12


def test_the_photo_itself_is_never_changed():
    pixels = ground()
    before = pixels.copy()
    drawn([square(100, 100)], [square(200, 200, reason="edge")], pixels=pixels)
    assert np.array_equal(pixels, before)


def test_numbers_are_white_on_black_whatever_is_below():
    for shade in (0, 128, 255):
        pixels = np.full((200, 200, 3), shade, np.uint8)
        inside = drawn([square(60, 60, side=80, number=8)], pixels=pixels)["annotated"][70:130, 70:130]
        assert inside.min(axis=2).max() > 215
        assert inside.max(axis=2).min() < 80


def test_labels_and_scores_are_written_only_on_request():
    with_words = drawn([square(100, 100, side=150)])["annotated"]
    without = drawn([square(100, 100, side=150)], show_labels=False, confidence_display=False)["annotated"]
    assert np.abs(with_words.astype(int) - without).max() > 100


def test_text_in_any_script_and_at_any_place_is_drawn():
    odd = [DrawnObject(12345, "œuf 卵", 1.0, square(x, y, 3).polygon_xy) for x, y in ((0, 0), (597, 397))]
    assert drawn(odd)["annotated"].shape == (400, 600, 3)


def test_rejected_objects_have_the_colour_of_their_reason():
    picture = drawn([], [square(300, 200, reason="inside:c3", number=0)])["rejected"]
    near = picture[195:245, 295:345].reshape(-1, 3).astype(int)
    assert np.abs(near - REASON_RGB["inside"]).sum(axis=1).min() < 90


def test_what_was_seen_too_faintly_is_circled_in_the_regions_where_nothing_is_counted():
    rows = [(x, 200, 400 * np.pi, 0.3) for x in (100, 300, 500)]
    batch = replace(batch_of([], (400, 600)), faint=np.array(rows, np.float32))
    found = replace(candidates_of([], (400, 600)), batch=batch)
    corners = ((0.0, 0.0), (400.0, 0.0), (400.0, 400.0), (0.0, 400.0))
    settings = CountSettings(roi=(Region(corners),))
    circles = drawn_faint(found, [square(80, 180)], settings)
    plain, picture = drawn([])["rejected"].astype(int), drawn([], circles)["rejected"].astype(int)
    change = np.abs(plain - picture).max(axis=2)
    for x, is_circled in ((100, False), (300, True), (500, False)):
        rim = np.concatenate([change[195:205, x + side - 2 : x + side + 2] for side in (-20, 20)])
        assert (rim.max() > 60) == is_circled
    assert change[190:210, 290:310].max() < 30, "the middle is left open"


def test_every_kind_of_rejection_has_a_colour():
    assert {str(kind).rstrip(":") for kind in Rejection} | {FAINT} == set(REASON_RGB)
    assert len(set(REASON_RGB.values())) == len(REASON_RGB)


def test_heat_is_where_the_objects_are():
    heat = drawn([square(x, y, 10) for x, y in CENTRES if x < 200])["heatmap"].astype(int)
    colour = heat.max(axis=2) - heat.min(axis=2)
    assert colour[:, :150].mean() > 40
    assert colour[:, 450:].mean() < 15


def test_no_objects_are_drawn_as_the_plain_photo():
    pixels = ground()
    assert np.abs(drawn([], pixels=pixels)["annotated"].astype(int) - pixels).mean() < 4


def test_what_lies_outside_of_the_regions_is_dark_in_the_picture_of_the_counted():
    pixels = np.full((100, 200, 3), 200, np.uint8)
    left, hole = ((0, 0), (100, 0), (100, 100), (0, 100)), ((20, 20), (60, 20), (60, 60), (20, 60))
    both = drawn([], pixels=pixels, roi=(Region(hole, include=False), Region(left)))
    bright = both["annotated"].mean(axis=2) > 150
    assert (bright[5:95, 5:15].all(), bright[70:95, 5:95].all()) == (True, True)
    assert not bright[25:55, 25:55].any()
    assert not bright[:, 110:].any()
    only_hole = drawn([], pixels=pixels, roi=(Region(hole, include=False),))["annotated"].mean(axis=2) > 150
    assert only_hole[:, 110:].all()
    assert not only_hole[25:55, 25:55].any()


def test_a_region_far_larger_than_the_picture_is_drawn_as_far_as_that(monkeypatch):
    """Else a picture takes minutes: OpenCV walks over every row of a polygon."""
    heights, fill = [], cv2.fillPoly

    def spy(picture, polygons, value):
        heights.append(np.ptp(polygons[0][:, 1]))
        return fill(picture, polygons, value)

    monkeypatch.setattr(cv2, "fillPoly", spy)
    corners = ((-1e6, -3e5), (90.0, 80.0), (5e5, -1e6), (160.0, 1e6), (40.0, 50.0), (10.0, 1e6))
    picture = drawn([], pixels=np.full((100, 200, 3), 200, np.uint8), roi=(Region(corners),))["annotated"]
    assert max(heights) <= 102
    y, x = np.mgrid[0:100, 0:200]
    inside = points_in_polygon(np.stack([x.ravel(), y.ravel()], axis=1) + 0.5, corners).reshape(100, 200)
    assert 0.1 < inside.mean() < 0.9
    assert ((picture.mean(axis=2) > 145) == inside).mean() > 0.97


@pytest.mark.parametrize("shape", [(8192, 64), (5000, 3000)])
def test_large_photos_make_smaller_pictures_with_outlines_in_place(shape):
    pixels = np.full((*shape, 3), 200, np.uint8)
    high = shape[0] - 60
    made = drawn([square(10, high, 50)], pixels=pixels)
    assert max(made["annotated"].shape) == MAX_SIDE_PX
    assert max(made["thumbnail"].shape) == 320
    scale = MAX_SIDE_PX / shape[0]
    spot = made["annotated"][int((high + 25) * scale), int(35 * scale)]
    assert np.abs(spot.astype(int) - 200).max() > 20


def test_objects_are_numbered_in_reading_order():
    size = (200, 300)
    places = [(250, 150), (50, 42), (150, 40), (250, 38), (50, 150)]
    found = candidates_of([disc(size, x, y, 20) for x, y in places], size)
    n = len(places)
    rejections = ("", "", "low_score", "", "")
    decided = Instances(
        np.full(n, 0.9, np.float32),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        rejections,
        (25, 10**6),
        labels=("coin",) * n,
        group_names={0: "group 1"},
        split_from={},
    )
    counted, rejected = drawn_objects(found, decided)
    assert [(d.number, d.reason) for d in (*counted, *rejected)] == [
        (1, ""),
        (2, ""),
        (3, ""),
        (4, ""),
        (0, "low_score"),
    ]
    for one, index in zip((*counted, *rejected), (1, 3, 4, 0, 2), strict=True):
        assert np.array_equal(one.polygon_xy, found.batch.polygon(index))
