"""What exemplars mean among things that are told apart by looks and size alone."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ops import exemplars, kinds
from pipeline.ops.exemplars import ALL_ALIKE, CLOSER, NARROW, SIZE_FACTOR, SURE, WIDE, what_is_meant
from pipeline.ops.kinds import SIZE_WEIGHT, distances, kind_features, kind_tree
from tests.candidates import looking

INSIDE, OUTSIDE = (NARROW + 1) / 2, (1 + min(WIDE)) / 2
"""Distances of what is meant but not read closely, and of what is meant only if read less so."""


@pytest.fixture(autouse=True, scope="module")
def no_gaps():
    """Things of a kind are drawn exactly alike here, so that any distance would be a gap between kinds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "GAP", inf)
        yield


def readings(features, wanted, unwanted=(), n_here=None):
    sides = (np.array(side, np.int64) for side in (wanted, unwanted))
    return what_is_meant(kind_tree(features), features, *sides, n_here or len(features.rows))


def things(apart, area=None):
    areas = [100] * len(apart) if area is None else area
    return kind_features((looking(*apart), np.array(areas, np.int64)), "handcrafted")


def any_things(rng, n):
    rows, area = rng.normal(0, 1, (n, 3)).astype(np.float16), rng.integers(50, 800, n)
    return kind_features((rows, area), "looks")


def meant(apart, wanted, unwanted=(), area=None):
    return np.flatnonzero(readings(things(apart, area), wanted, unwanted).meant).tolist()


def test_an_example_means_the_kind_it_is_of():
    two_kinds = [0, 6, 0, 6, 0.4]
    assert meant(two_kinds, [0]) == [0, 2, 4]
    assert meant(two_kinds, [3]) == [1, 3]
    assert meant(two_kinds, [4]) == [0, 2, 4]


def test_an_example_on_something_that_is_alone_of_its_kind_means_it_alone():
    assert meant([0, 6, 0], [1]) == [1]
    assert meant([6], [0]) == [0]


def test_examples_of_several_kinds_mean_what_these_have_in_common():
    three_kinds = [0, 0, 1.2, 1.2, inf, inf]
    assert meant(three_kinds, [0, 2]) == [0, 1, 2, 3]
    assert meant(three_kinds, [0, 1]) == [0, 1]


def test_examples_of_kinds_that_have_nothing_in_common_mean_each_of_these_and_nothing_between():
    three_kinds = [0, 0, 2, 2, inf, inf]
    assert meant(three_kinds, [1, 5]) == [0, 1, 4, 5]
    assert meant(three_kinds, [0, 2, 4]) == [0, 1, 2, 3, 4, 5]


def test_what_is_shown_as_not_meant_goes_though_it_is_just_like_what_is():
    assert meant([0, 0, 0], [0, 2], [1]) == [0, 2]
    assert meant([0, 0, 0, 0, inf, inf], [0, 4], [1]) == [0, 2, 3, 4, 5], "and only that one"


def test_what_differs_by_a_pixel_or_two_stays_though_one_just_like_it_is_not_meant():
    nearly_alike = [0.001 * k for k in range(0, 60, 3)]
    everything = list(range(20))
    assert meant(nearly_alike, [0]) == everything
    assert meant(nearly_alike, [0], [1]) == [0, *everything[2:]]
    assert meant([*nearly_alike, inf], [19], [0]) == everything[1:]


def test_not_everything_here_goes_however_many_others_are_shown_as_not_meant_elsewhere():
    here_and_away = things([0, 0, 0.6, 0.6, 0, inf])
    left = readings(here_and_away, [], [4, 5], n_here=4).meant
    assert np.flatnonzero(left[:4]).tolist() == [2, 3]


def test_what_is_many_times_as_large_or_as_small_does_not_fit():
    sizes = [100, round(100 * SIZE_FACTOR) - 1, round(100 * SIZE_FACTOR) + 1, 21, 19]
    assert meant([0] * 5, [0], area=sizes) == [0, 1, 3]


def test_examples_of_several_sizes_span_a_range():
    sizes = [100, 300, 21, 19, 1490, 1510]
    assert meant([0] * 6, [0, 1], area=sizes) == [0, 1, 2, 4]


def test_what_is_not_meant_takes_along_its_part_of_the_kind():
    apart = [0, 0, 0.6, 0.6]
    assert meant(apart, [0]) == [0, 1, 2, 3]
    assert meant(apart, [0], [2]) == [0, 1]
    assert meant(apart, [2], [0]) == [2, 3]


def test_what_goes_with_what_is_not_meant_goes_though_it_is_nearer_to_the_example():
    sizes = [round(1000 * np.exp(distance / SIZE_WEIGHT)) for distance in (0, 0.62, 0.7, 1.25)]
    apart = distances(*(things([0] * 4, sizes),) * 2)
    assert apart[1, 0] < apart[1, 3]
    with pytest.MonkeyPatch.context() as any_size:
        any_size.setattr(exemplars, "SIZE_FACTOR", inf)
        assert meant([0] * 4, [0], area=sizes) == [0, 1, 2, 3]
        assert meant([0] * 4, [0], [3], sizes) == [0]


def test_one_of_the_same_kind_that_is_not_meant_takes_along_only_what_is_much_more_like_it():
    sizes = [round(1000 * np.exp(distance / SIZE_WEIGHT)) for distance in (0, 0.1, 0.16, 0.2125)]
    assert meant([0] * 4, [0], [3], sizes) == [0, 1]


def test_what_is_not_meant_amid_the_examples_takes_along_what_is_more_like_it():
    apart = [0, 0.1, 1.2, 1.3, 1.4, 3]
    assert meant(apart, [0, 5]) == [0, 1, 2, 3, 4, 5]
    assert meant(apart, [0, 5], [3]) == [0, 1, 5]


def test_what_is_more_like_it_in_size_goes_too():
    sizes = [100, 110, 120, 380, 400]
    assert meant([0] * 5, [0, 2], [4], sizes) == [0, 1, 2]
    assert meant([0] * 5, [0, 4], [3], sizes) == [0, 1, 2, 4]


def test_what_an_example_points_at_is_meant_though_another_says_it_is_not():
    assert meant([0, 0, 6], [0], [0, 2]) == [0, 1]


def test_without_a_wanted_one_all_but_the_kind_of_each_unwanted_one_is_meant():
    three_kinds = [0, 0, 6, 6, inf]
    assert meant(three_kinds, [], [1]) == [2, 3, 4]
    assert meant(three_kinds, [], [1, 4]) == [2, 3]
    assert meant(three_kinds, [], []) == [0, 1, 2, 3, 4]


def test_where_all_would_go_only_what_is_surely_alike_goes():
    near, off = 0.2 * SURE, 0.95
    assert meant([0, 0, off, off], [], [0]) == [2, 3]
    assert meant([0, near, off], [], [0]) == [2]
    assert meant([0, near, off, inf], [], [0]) == [3], "another kind is left, so the whole kind goes"


def test_where_nothing_differs_all_goes_with_what_is_not_meant():
    assert meant([0, 0, 0], [], [1]) == []
    assert meant([0], [], [0]) == []


@pytest.mark.parametrize(
    ("apart", "counts"),
    [(INSIDE, (4, 7, 7)), (OUTSIDE, (4, 4, 7)), (2 * max(WIDE), (4, 4, 4)), (NARROW / 2, (7, 7, 7))],
    ids=["little like", "not quite like", "unlike", "alike"],
)
def test_a_kind_that_just_does_or_does_not_belong_parts_the_readings(apart, counts):
    found = readings(things([0] * 4 + [apart] * 3), [1])
    assert (found.narrow.sum(), found.meant.sum(), found.wide.sum()) == counts
    assert found.narrow[:4].all()


@pytest.mark.parametrize(("n", "limit"), [(1, CLOSER[0]), (2, CLOSER[1]), (3, CLOSER[2]), (5, CLOSER[2])])
def test_the_more_examples_there_are_the_more_closely_they_are_read(n, limit):
    near, away = (meant([0] * 6 + [limit + off] * 3 + [6], range(n)) for off in (-0.04, 0.04))
    assert (len(near), len(away)) == (9, 6)
    assert list(CLOSER) == sorted(CLOSER, reverse=True)


@pytest.mark.parametrize(("n", "factor"), [(1, 1.7), (2, 1.4), (3, 1.4)])
def test_one_example_leaves_more_in_question_than_several(n, factor):
    limit = CLOSER[n - 1] * factor
    near, away = (readings(things([0] * 6 + [limit + off] * 3 + [6]), range(n)) for off in (-0.04, 0.04))
    assert (near.meant.sum(), near.wide.sum(), away.wide.sum()) == (6, 9, 6)


def test_where_nothing_else_is_there_nearly_alike_is_meant():
    limit = CLOSER[2] * (1 + ALL_ALIKE) / 2
    many = [0] * 30 + [limit] * 9
    assert len(meant(many, [0, 1, 2])) == 39
    assert len(meant([*many, 6, 6], [0, 1, 2])) == 39, "one in twenty may be another thing"
    assert len(meant([*many, 6, 6, 6], [0, 1, 2])) == 30
    assert len(meant(many, [0, 1, 2], [38])) == 30, "an example says what it is to be told from"
    dust = [1] * 3
    assert len(meant([*many, 6, 6, 6], [0, 1, 2], area=[100] * 39 + dust)) == 39, "what does not fit in size"
    assert len(readings(things([*many, 6, 6, 6]), [0, 1, 2], n_here=39).meant.nonzero()[0]) == 39


def test_size_and_what_is_not_meant_bound_the_wider_reading_too():
    large = round(100 * SIZE_FACTOR) + 10
    assert np.log(large / 100) * SIZE_WEIGHT < NARROW
    assert readings(things([0] * 3, [100, 100, large]), [0]).wide.tolist() == [True, True, False]
    found = readings(things([0, 0, OUTSIDE, OUTSIDE]), [0], [3])
    assert found.wide.tolist() == [True, True, False, False]


def test_nothing_is_read_in_two_ways_where_no_example_is_wanted():
    found = readings(things([0, 0, INSIDE, OUTSIDE]), [], [0])
    assert np.array_equal(found.narrow, found.meant)
    assert np.array_equal(found.wide, found.meant)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 15), st.integers(0, 2**32 - 1))
def test_readings_lie_in_each_other_and_hold_the_examples(n, seed):
    rng = np.random.default_rng(seed)
    features = any_things(rng, n)
    wanted, unwanted = (rng.integers(0, n, size) for size in rng.integers((1, 0), 4))
    found = readings(features, wanted, unwanted)
    assert found.narrow.dtype == found.meant.dtype == found.wide.dtype == np.bool_
    assert found.narrow[wanted].all()
    assert (found.narrow <= found.meant).all()
    assert (found.meant <= found.wide).all()
    if set(unwanted) - set(wanted):
        assert not found.wide[sorted(set(unwanted) - set(wanted))].any()


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 15), st.integers(0, 2**32 - 1))
def test_what_is_not_meant_never_adds_anything(n, seed):
    rng = np.random.default_rng(seed)
    features = any_things(rng, n)
    wanted, unwanted = rng.integers(0, n, 2), rng.integers(0, n, 2)
    before, after = readings(features, wanted), readings(features, wanted, unwanted)
    assert (after.meant <= before.meant).all()
    assert (readings(features, [], unwanted).meant <= readings(features, [], unwanted[:1]).meant).all()
