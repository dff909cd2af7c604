"""Outlines are cut, shared out and wrapped without gaining or losing area."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.results.polygons import (
    clip_to_image,
    convex_hull,
    disc,
    nearest_cells,
    outline_iou,
    polygon_area,
    rectangle,
)

SIDE = st.floats(-50, 250).map(lambda v: round(v, 1))
POINTS = st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=30).map(lambda p: np.array(p, dtype=np.float64))


@given(SIDE, SIDE, st.floats(1, 5000))
def test_a_disc_has_the_area_that_was_asked_for(x: float, y: float, area: float) -> None:
    assert np.isclose(polygon_area(disc((x, y), area)), area)


@given(SIDE, SIDE, st.floats(1, 200), st.floats(1, 200))
def test_what_is_cut_at_the_border_is_the_overlap_with_the_image(
    x: float, y: float, w: float, h: float
) -> None:
    height, width = 100, 200
    cut = clip_to_image(rectangle(x, y, x + w, y + h), (height, width))
    overlap = max(0, min(x + w, width) - max(x, 0)) * max(0, min(y + h, height) - max(y, 0))
    assert np.isclose(polygon_area(cut), overlap, atol=1e-6)
    assert ((cut >= -1e-9) & (cut <= (width + 1e-9, height + 1e-9))).all()


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=2, max_size=6, unique=True))
def test_the_parts_of_a_split_have_the_area_of_the_whole(seeds: list[tuple[int, int]]) -> None:
    whole = disc((20, 20), 900)
    parts = nearest_cells(whole, np.array(seeds, dtype=np.float64))
    assert np.isclose(sum(polygon_area(part) for part in parts), polygon_area(whole), rtol=1e-6)


@given(POINTS)
def test_a_hull_wraps_all_points_and_is_its_own_hull(points: np.ndarray) -> None:
    hull = convex_hull(points)
    assert {tuple(p) for p in hull.tolist()} <= {tuple(p) for p in points.tolist()}
    assert np.isclose(polygon_area(convex_hull(hull)), polygon_area(hull))
    if polygon_area(hull) > 0:
        edges = np.roll(hull, -1, axis=0) - hull
        for p in points:
            across = edges[:, 0] * (p[1] - hull[:, 1]) - edges[:, 1] * (p[0] - hull[:, 0])
            assert (across >= -1e-6).all()


@given(SIDE, SIDE, st.floats(4, 100), st.floats(4, 100), st.floats(-60, 60), st.floats(-60, 60))
def test_outlines_of_boxes_meet_as_the_boxes_do(
    x: float, y: float, w: float, h: float, dx: float, dy: float
) -> None:
    one, other = rectangle(x, y, x + w, y + h), rectangle(x + dx, y + dy, x + dx + w, y + dy + h)
    shared = max(0, w - abs(dx)) * max(0, h - abs(dy))
    assert np.isclose(outline_iou(one, other), shared / (2 * w * h - shared), atol=0.07)
