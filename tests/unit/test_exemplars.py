"""Which candidates are like the exemplars, by their looks and sizes alone."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.contract import Exemplar
from pipeline.ops.exemplars import (
    Looks,
    are_alike,
    are_another_kind,
    are_like,
    are_nearer,
    exemplar_key,
    unit_rows,
)


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


def like(likeness, shown=(0, 1)):
    return are_like(np.array(likeness, np.float32), list(shown)).tolist()


def test_a_gap_in_the_engines_likeness_parts_what_is_like_from_the_rest():
    assert like([0.9, 0.8, 0.7, 0.1, 0.02]) == [True, True, True, False, False]


def test_likenesses_that_fall_by_and_by_are_of_one_kind():
    assert like([0.9, 0.75, 0.5, 0.3, 0.14, 0.05]) == [True] * 6


def test_no_gap_above_the_exemplars_own_likeness_parts_anything():
    assert like([0.95, 0.3, 0.28]) == [True] * 3
    assert like([0.95, 0.3, 0.05]) == [True, True, False]


def test_likenesses_that_are_all_high_are_not_parted():
    assert like([0.99, 0.99, 0.6]) == [True] * 3


def other_kind(distances, wanted=PAIR):
    return are_another_kind(seen(distances), wanted, "handcrafted").tolist()


def test_another_kind_lies_beyond_a_clear_gap_and_is_more_than_an_odd_one():
    near = [0, 0.02, 0.04, 0.05]
    assert other_kind([*near, 0.2, 0.22]) == [False] * 4 + [True] * 2
    assert other_kind([*near, 0.01, 0.03, 0.2]) == [False] * 7
    assert other_kind([*near, 0.1, 0.12, 0.2]) == [False] * 7
    assert other_kind([*near, 0.2, 0.22], looks(0, 0.3)) == [False] * 6
    assert not are_another_kind(seen([*near, 0.2, 0.22]), PAIR, "resnet50").any()


def test_the_nearer_exemplar_decides():
    wanted, unwanted = looks(0), looks(0.5)
    assert are_nearer(seen([0.1, 0.45]), wanted, unwanted).tolist() == [True, False]
    assert are_nearer(seen([0.1, 0.45]), wanted, NONE).tolist() == [True, True]


def test_the_key_of_exemplars_holds_all_positive_ones_in_any_order():
    box, point = Exemplar((1, 2, 3.5, 4)), Exemplar(point_xy=(5.0, 6))
    assert exemplar_key([box, point]) == exemplar_key([point, box]) == "1,2,3.5,4 5,6"
    assert exemplar_key([box, Exemplar(point_xy=(7, 8), positive=False)]) == exemplar_key([box])
    assert exemplar_key([]) == ""
