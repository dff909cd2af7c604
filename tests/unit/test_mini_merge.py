"""Scales of one picture compared and joined, on maps drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.segment.mini_links import find_links
from pipeline.segment.mini_maps import Maps
from pipeline.segment.mini_merge import merge_levels
from pipeline.segment.mini_peaks import Found
from pipeline.segment.mini_scale import Levels

STEP = 2**0.5
SIDE_PX = 200


def found_at(scale, discs):
    """Return discs (x, y, radius, quality), in px of a square picture, as found at a scale."""
    n = round(SIDE_PX * scale / 2)
    y, x = (np.mgrid[:n, :n] * 2 + 0.5) / scale
    labels = np.zeros((n, n), np.int32)
    for number, (cx, cy, radius, _) in enumerate(discs, start=1):
        labels[np.hypot(x - cx, y - cy) <= radius] = number
    foreground = np.where(labels > 0, 0.9, 0.0).astype(np.float32)
    maps = Maps(scale, foreground, foreground, np.zeros_like(foreground))
    area = np.bincount(labels.ravel(), minlength=len(discs) + 1)[1:].astype(np.float32)
    quality = np.array([q for *_, q in discs], np.float32)
    return Found(maps, labels, area, quality, np.full(len(discs), 0.9, np.float32))


def levels_of(*discs_by_level):
    return Levels({k: found_at(STEP**k / 2, discs) for k, discs in enumerate(discs_by_level)})


def counted(found):
    return int((found.quality >= 0.38).sum())


ONE, OTHER = (60, 60, 30, 0.8), (140, 140, 30, 0.8)


def test_the_same_disc_at_two_scales_is_linked_with_full_overlap():
    links = find_links(found_at(0.5, [ONE, OTHER]), found_at(0.5 * STEP, [OTHER]))
    assert (links.coarse.tolist(), links.fine.tolist()) == ([1], [0])
    assert links.iou[0] > 0.85
    assert links.larger[0] == pytest.approx(1, abs=0.15)


def test_a_part_lies_in_its_whole():
    links = find_links(found_at(0.5, [ONE]), found_at(0.5 * STEP, [(60, 60, 12, 0.8)]))
    assert links.of_fine[0] == links.of_smaller[0] == 1
    assert links.larger[0] == pytest.approx(30**2 / 12**2, rel=0.15)


def test_what_the_next_scale_confirms_is_likelier():
    alone, confirmed = levels_of([ONE, OTHER], [OTHER]).chances(0)
    assert confirmed > alone + 0.2


def test_a_part_of_something_clear_is_less_likely():
    part = (60, 60, 8, 0.8)
    inside = levels_of([(60, 60, 30, 0.9)], [], [part])
    assert inside.chances(2)[0] < levels_of([], [], [part]).chances(2)[0]


def test_an_empty_scale_is_worth_nothing_and_loses():
    levels = levels_of([], [ONE, OTHER], [ONE, OTHER])
    assert levels.score(0) == -np.inf < levels.score(1)


def test_a_scale_that_its_neighbours_confirm_beats_one_of_texture():
    grains = [(x, y, 6, 0.75) for x in range(20, 190, 24) for y in range(20, 190, 24)]
    levels = levels_of([ONE, OTHER], [ONE, OTHER], [ONE, OTHER], [], [*grains])
    assert max(range(5), key=levels.score) in (0, 1, 2)


def test_things_seen_at_two_scales_are_there_once():
    assert counted(merge_levels(levels_of([ONE, OTHER], [ONE, OTHER]), 0)) == 2


def test_what_only_the_finer_scale_saw_is_added_with_its_mask():
    third = (140, 60, 30, 0.8)
    merged = merge_levels(levels_of([ONE, OTHER], [ONE, OTHER, third], [third]), 0)
    assert counted(merged) == len(merged.area) == 3
    x_cell, y_cell = 140 * 0.25, 60 * 0.25
    assert merged.labels[int(y_cell), int(x_cell)] == 3
    assert merged.maps.foreground[int(y_cell), int(x_cell)] > 0.5
    np.testing.assert_allclose(merged.area, merged.area[0], rtol=0.1)


def test_a_clump_gives_way_to_its_clearer_members():
    members = [(60, 60, 15, 0.9), (94, 60, 15, 0.9)]
    clump = (77, 60, 36, 0.3)
    others = [(x, 150, 15, 0.85) for x in (40, 100, 160)]
    merged = merge_levels(levels_of([clump, *others], [*members, *others], [*members, *others]), 0)
    assert counted(merged) == 5


def test_pieces_give_way_to_their_clearer_whole():
    pieces = [(52, 60, 12, 0.45), (70, 60, 10, 0.4)]
    levels = levels_of([ONE, OTHER], [ONE, OTHER], [*pieces, OTHER])
    assert counted(merge_levels(levels, 2)) == 2


def test_something_much_smaller_than_the_rest_is_not_taken_over():
    speck = (140, 60, 5, 0.8)
    merged = merge_levels(levels_of([ONE, OTHER], [ONE, OTHER, speck], [speck]), 0)
    assert counted(merged) == 2


def test_nothing_found_anywhere_stays_nothing():
    merged = merge_levels(levels_of([], []), 1)
    assert len(merged.area) == 0
    assert not merged.labels.any()
