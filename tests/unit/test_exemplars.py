"""Which candidates are like the exemplars, by their looks and sizes alone."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.ops.exemplars import Looks, are_alike, unit_rows


def looking(*distances):
    """Return embeddings at these cosine distances from the first axis."""
    near = 1 - np.array(distances)
    return np.stack([near, np.sqrt(1 - near**2)], axis=1).astype(np.float16)


def looks(*distances, area=()):
    return Looks(unit_rows(looking(*distances)).reshape(-1, 2), np.array(area or [100.0] * len(distances)))


NONE = looks()
PAIR = looks(0, 0)


def seen(distances, area=None):
    return looking(*distances), np.array(area or [100] * len(distances), np.int64)


def alike(distances, wanted, unwanted=NONE, area=None, source="handcrafted", homes=()):
    return are_alike(seen(distances, area), wanted, unwanted, source, homes).tolist()


def test_an_example_means_the_same_in_other_images_as_in_its_own():
    home = [seen([0, 0.02, 0.03, 0.09, 0.1])]
    assert alike([0.04, 0.05, 0.065, 0.085], PAIR) == [True] * 4
    assert alike([0.04, 0.05, 0.065, 0.085], PAIR, homes=home) == [True, True, False, False]


def test_things_that_differ_by_and_by_are_of_one_kind():
    assert alike([0, 0.02, 0.03, 0.044, 0.065, 0.09, 0.12], PAIR) == [True] * 7


def test_a_gap_parts_what_is_alike_from_the_rest():
    assert alike([0, 0.02, 0.03, 0.09, 0.1], PAIR) == [True, True, True, False, False]


def test_no_gap_parts_what_is_no_further_off_than_the_exemplars_are_from_each_other():
    assert alike([0, 0.001, 0.08, 0.1], looks(0, 0.1)) == [True] * 4
    assert alike([0, 0.001, 0.08, 0.1], PAIR) == [True, True, False, False]


def test_what_is_very_far_off_is_unlike_without_any_gap():
    ladder = [0, 0.024, 0.037, 0.055, 0.08, 0.11, 0.14, 0.17, 0.2]
    assert alike(ladder, PAIR) == [True] * 7 + [False] * 2


def test_a_lone_exemplar_leaves_more_room():
    distances = [0, 0.02, 0.09, 0.3]
    assert alike(distances, looks(0)) == [True, True, True, False]
    assert alike(distances, PAIR) == [True, True, False, False]


def test_another_size_adds_to_the_distance_and_a_very_different_one_is_unlike_alone():
    assert alike([0, 0.02, 0.02], PAIR, area=[100, 100, 380]) == [True, True, False]
    assert alike([0, 0, 0], looks(0), area=[100, 490, 510]) == [True, True, False]
    several = looks(0, 0.08, area=[100.0, 300.0])
    assert alike([0, 0, 0], several, area=[22, 1400, 1600]) == [True, True, False]


def test_what_is_more_like_a_negative_exemplar_goes():
    distances = [0, 0.02, 0.05, 0.06]
    assert alike(distances, looks(0)) == [True] * 4
    assert alike(distances, looks(0), looks(0.1)) == [True, True, False, False]


@pytest.mark.parametrize("source", ["handcrafted", "resnet50"])
def test_no_candidates_are_no_matter(source):
    assert alike([], PAIR, source=source) == []
