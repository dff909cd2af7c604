"""Instances from maps drawn by hand."""

from __future__ import annotations

import numpy as np

from pipeline.segment.mini_maps import Maps
from pipeline.segment.mini_peaks import find_instances
from pipeline.segment.mini_scale import scale_score

GRID = np.mgrid[:64, :64].astype(np.float32)


def cone_at(row, column, height, width):
    y, x = (GRID[0] - row) / height, (GRID[1] - column) / width
    return np.clip(1 - np.hypot(y, x), 0, 1).astype(np.float32)


def maps_of(*cones):
    cone = np.max(cones, axis=0) if cones else np.zeros((64, 64), np.float32)
    foreground = np.where(cone > 0.02, 0.98, 0.01).astype(np.float32)
    return Maps(1.0, foreground, cone, np.zeros_like(cone))


def test_nothing_on_the_map_is_no_instance():
    found = find_instances(maps_of())
    assert len(found.area) == 0
    assert scale_score(found) == -np.inf


def test_two_touching_cones_are_two_instances():
    assert len(find_instances(maps_of(cone_at(30, 22, 8, 8), cone_at(30, 38, 8, 8))).area) == 2


def test_a_slender_cone_is_one_instance_of_its_area():
    found = find_instances(maps_of(cone_at(30, 30, 4, 25)))
    assert len(found.area) == 1
    np.testing.assert_allclose(found.area[0], np.pi * 4 * 25, rtol=0.1)


def test_two_peaks_without_a_valley_are_one_instance():
    assert len(find_instances(maps_of(cone_at(30, 30, 10, 10), cone_at(30, 33, 10, 10))).area) == 1


def test_contact_parts_what_has_no_valley():
    one = maps_of(np.where(cone_at(32, 32, 8, 24) > 0, np.float32(0.8), np.float32(0)))
    assert len(find_instances(one).area) == 1
    contact = np.where(np.abs(GRID[1] - 32) < 3, 1, 0).astype(np.float32)
    assert len(find_instances(Maps(1.0, one.foreground, one.cone, contact)).area) == 2


def test_specks_are_left_out():
    assert len(find_instances(maps_of(cone_at(30, 30, 2, 2))).area) == 0


def test_a_ragged_cone_has_less_quality_than_a_clean_one():
    clean = maps_of(cone_at(30, 30, 9, 9))
    flat = Maps(1.0, clean.foreground * 0.7, clean.cone * 0.6, clean.contact)
    assert find_instances(flat).quality[0] < 0.6 * find_instances(clean).quality[0]


def test_the_scale_with_objects_near_fifteen_px_radius_wins_at_equal_cover():
    near = maps_of(*(cone_at(r, c, 7.5, 7.5) for r in (12, 48) for c in (12, 48)))
    far = maps_of(cone_at(32, 32, 15, 15))
    assert scale_score(find_instances(near)) > scale_score(find_instances(far))
