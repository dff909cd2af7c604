"""Which things are of one kind: the tree by hand, and beside a slow one."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ops import kinds
from pipeline.ops.kinds import (
    DEFAULT_DISTANCE,
    GROUP_DISTANCE,
    KIND_DISTANCE,
    SIZE_WEIGHT,
    distances,
    kind_features,
    kind_tree,
    unit_rows,
)
from tests.candidates import looking

NONE = np.zeros(0, np.int64)


def things(apart, area=None):
    areas = [100] * len(apart) if area is None else area
    return kind_features((looking(*apart), np.array(areas, np.int64)), "handcrafted")


def groups(apart, area=None):
    return kind_tree(things(apart, area)).groups().tolist()


def kind_of(features, shown, unwanted=(), limit=1.0):
    tree = kind_tree(features)
    held = tree.kind_of(np.array(shown), np.array(unwanted, np.int64), limit)
    return np.flatnonzero(held).tolist()


def larger_by(distance):
    """Return the area in px that is so far from 100 px."""
    return 100 * np.exp(distance / SIZE_WEIGHT)


def test_distances_add_looks_and_size():
    some, others = things([0, 1, 0.5], [100, 100, 272]), things([0])
    np.testing.assert_allclose(
        distances(some, others)[:, 0], [0, 1, 0.5 + SIZE_WEIGHT * np.log(2.72)], atol=0.01
    )
    assert distances(others, some).shape == (1, 3)
    np.testing.assert_allclose(distances(some, some), distances(some, some).T, atol=1e-6)


@pytest.mark.parametrize("source", ["handcrafted", "looks", "resnet50", "nobody measured it"])
def test_where_kinds_part_depends_on_who_describes_them(source):
    part = KIND_DISTANCE.get(source, DEFAULT_DISTANCE)
    for share, n_groups, like_the_first in ((0.95, 1, 2), (1.05, 1, 1), (GROUP_DISTANCE + 0.05, 2, 1)):
        distance = share * part
        rows = np.array([[1, 0], [1 - distance, np.sqrt(1 - (1 - distance) ** 2)]], np.float16)
        pair = kind_features((rows, np.array([100, 100])), source)
        assert len(set(kind_tree(pair).groups())) == n_groups
        assert len(kind_of(pair, [0])) == like_the_first
    assert KIND_DISTANCE["handcrafted"] < KIND_DISTANCE["looks"]


def test_the_most_frequent_kind_comes_first():
    assert groups([6, 0, inf, 0, 6, 0]) == [1, 0, 2, 0, 1, 0]


def test_of_equally_frequent_kinds_the_first_one_comes_first():
    assert groups([6, inf, 0, inf, 0]) == [2, 0, 1, 0, 1]
    assert groups([inf, 0, 6]) == [0, 1, 2]


def test_things_that_all_differ_from_each_other_are_of_one_kind():
    rows = 1.3 + np.random.default_rng(0).normal(0, 1, (30, 64))
    varied = kind_features((rows.astype(np.float16), np.full(30, 100)), "looks")
    apart = distances(varied, varied)[np.triu_indices(30, 1)]
    assert apart.max() > 0.95
    assert apart.min() > 0.4
    assert set(kind_tree(varied).groups()) == {0}


def test_a_gap_parts_plain_things_that_differ_little():
    rng = np.random.default_rng(0)
    plain = [*rng.uniform(0, 0.03, 5), *rng.uniform(0.6, 0.63, 4)]
    assert groups(plain) == [0] * 5 + [1] * 4
    assert kind_of(things(plain), [1]) == [0, 1, 2, 3, 4]
    assert kind_of(things(plain), [1], limit=3.0) == list(range(9))
    assert groups(plain[:5] + plain[-2:]) == [0] * 7, "two are too few to be a kind by a gap alone"
    assert groups([*rng.uniform(0, 0.03, 5), *rng.uniform(0.3, 0.33, 4)]) == [0] * 9, "hardly apart"


def test_one_thing_between_two_kinds_does_not_join_them():
    apart = [0] * 5 + [2] * 5 + [0.45]
    between = distances(things(apart), things(apart))[-1]
    assert between.max() < 0.8
    assert groups(apart) == [0] * 5 + [1] * 5 + [0]


def test_size_parts_what_looks_alike():
    assert groups([0, 0, 0, 0], [100, 90, larger_by(0.9), larger_by(2.2)]) == [0, 0, 0, 1]
    assert groups([0, 0.9], [100, 100]) == [0, 0]
    assert groups([0, 0.9], [100, larger_by(0.3)]) == [0, 1]


def test_one_shown_thing_means_its_group():
    apart = [6, 0, inf, 0, 6, 0, 0.5]
    ids = np.array(groups(apart))
    for i in range(len(apart)):
        assert kind_of(things(apart), [i]) == np.flatnonzero(ids == ids[i]).tolist()


def test_several_shown_things_mean_what_they_have_in_common():
    two_kinds_and_a_third = things([0, 0, 1.3, 1.3, inf])
    assert kind_of(two_kinds_and_a_third, [0, 1]) == [0, 1]
    assert kind_of(two_kinds_and_a_third, [0, 2]) == [0, 1, 2, 3]
    assert kind_of(two_kinds_and_a_third, [3, 0, 3]) == [0, 1, 2, 3]
    assert kind_of(two_kinds_and_a_third, [0, 4]) == [0, 1, 4], "these have nothing in common"


def test_a_kind_ends_before_something_unwanted_comes_with_it():
    near_and_off = things([0, 0, 0.6, 0.6])
    assert kind_of(near_and_off, [0]) == [0, 1, 2, 3]
    assert kind_of(near_and_off, [0], [2]) == [0, 1]
    assert kind_of(near_and_off, [0], [2], limit=9) == [0, 1]
    assert kind_of(near_and_off, [0], [1]) == [0]


def test_something_unwanted_amid_what_is_shown_keeps_out_only_what_brings_another_one():
    features = things([0, 0, 0.55, 0.55, 0], [100] * 4 + [larger_by(0.65)])
    assert kind_of(features, [0, 3], [2]) == [0, 1, 2, 3, 4]
    assert kind_of(features, [0, 3], [2, 4]) == [0, 1, 2, 3]


@pytest.mark.parametrize(("limit", "held"), [(0.4, [0]), (0.8, [0, 1]), (1, [0, 1, 2]), (1.25, [0, 1, 2, 3])])
def test_a_lower_limit_means_less_and_a_higher_one_more(limit, held):
    sizes = [10_000 * larger_by(distance) for distance in (0, 0.5, -0.6, 1.15)]
    features = things([0] * 4, sizes)
    assert kind_of(features, [0], limit=limit) == held


def test_one_thing_alone_is_a_kind():
    assert groups([3]) == [0]
    assert kind_of(things([3]), [0]) == [0]


def test_things_that_are_the_same_are_one_kind():
    assert groups([0.7] * 5) == [0] * 5
    assert kind_of(things([0.7] * 5), [2], limit=0.01) == [0, 1, 2, 3, 4]


def test_things_that_nothing_is_known_of_are_like_nothing_and_do_no_harm():
    rows = np.array([[1, 0], [0, 0], [1, 0], [0, 0], [1, 0.1]], np.float16)
    features = kind_features((rows, np.array([100, 100, 100, 0, 100])), "handcrafted")
    assert np.isfinite(distances(features, features)).all()
    tree = kind_tree(features)
    assert tree.groups().tolist() == [0, 1, 0, 2, 0]
    assert tree.kind_of(np.array([1]), NONE).tolist() == [False, True, False, False, False]


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_rows_are_brought_to_unit_length_one_by_one(n):
    rows = np.random.default_rng(n).normal(0, 9, (n, 4)).astype(np.float16)
    unit = unit_rows(rows)
    assert (unit.shape, unit.dtype) == ((n, 4), np.float32)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
    assert unit_rows(np.zeros((1, 4), np.float16)).tolist() == [[0, 0, 0, 0]]


def crowd():
    """Return 300 things of three kinds, of which the last two are each like nothing else."""
    rng = np.random.default_rng(4)
    middles = np.array([[9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 0], [0, 0, 0, 9], [0, 0, 0, -9]])
    kind = np.concatenate([rng.permutation(np.repeat([0, 1, 2], [150, 100, 48])), [3, 4]])
    rows = (middles[kind] + rng.normal(0, 0.5, (300, 4))).astype(np.float16)
    return kind, kind_features((rows, np.full(300, 100)), "handcrafted")


def test_many_things_are_told_apart_by_some_of_them(monkeypatch):
    kind, features = crowd()
    whole = kind_tree(features)
    assert whole.groups().tolist() == kind.tolist()
    monkeypatch.setattr(kinds, "MOST_ROWS", 40)
    some = kind_tree(features, n_last=2)
    assert len(some.height) == 41
    assert some.groups().tolist() == kind.tolist()
    shown = np.flatnonzero(kind == 2)[3:5]
    assert np.array_equal(some.kind_of(shown, NONE), whole.kind_of(shown, NONE))


def test_the_last_ones_that_matter_are_in_the_tree_however_many_there_are(monkeypatch):
    kind, features = crowd()
    monkeypatch.setattr(kinds, "MOST_ROWS", 40)
    kept, lost = kind_tree(features, n_last=2), kind_tree(features)
    assert kept.row[-2:].tolist() == [40, 41]
    assert kept.groups().max() == 4
    assert lost.groups().max() == 3
    assert lost.groups()[-2] in lost.groups()[kind < 3]


def test_so_many_that_all_of_them_fit_are_all_in_the_tree(monkeypatch):
    monkeypatch.setattr(kinds, "MOST_ROWS", 4)
    assert kind_tree(things([0, 6, inf, 0])).row.tolist() == [0, 1, 2, 3]
    assert kind_tree(things([0, 6, inf, 0, 6, inf]), n_last=2).row.tolist() == [0, 1, 2, 3, 4, 5]
    assert kind_tree(things([0, 6, inf, 0, 6]), n_last=2).row.tolist() == [0, 1, 2, 3, 4]
    assert len(kind_tree(things([0, 6, inf, 0, 6])).height) == 3


def slow_merges(apart):
    """Return (height, one, other) of each merge: always of the two groups that are nearest on average."""
    found, merges = [frozenset([i]) for i in range(len(apart))], []
    while len(found) > 1:
        pairs = [(a, b) for k, a in enumerate(found) for b in found[:k]]
        heights = [float(np.mean([apart[i, j] for i in a for j in b])) for a, b in pairs]
        a, b = pairs[int(np.argmin(heights))]
        found = [c for c in found if c not in (a, b)] + [a | b]
        merges.append((min(heights), a, b))
    return merges


def slow_parts(merge, merges, far, limit):
    height, *sides = merge
    inner = [next((h for h, a, b in merges if a | b == side), 0.0) for side in sides]
    has_gap = height > kinds.GAP * limit * max(*inner, kinds.GAP_FLOOR)
    return height > far or (min(map(len, sides)) >= kinds.GAP_LEAST and has_gap)


def slow_groups(merges, n):
    torn = [a | b for height, a, b in merges if slow_parts((height, a, b), merges, GROUP_DISTANCE, 1.0)]
    sets = [frozenset([i]) for i in range(n)] + [a | b for _, a, b in merges]
    sets = [s for s in sets if not any(t <= s for t in torn)]
    tops = [s for s in sets if not any(s < other for other in sets)]
    tops.sort(key=lambda s: (-len(s), min(s)))
    return [next(k for k, s in enumerate(tops) if i in s) for i in range(n)]


def slow_kind(merges, n, shown, unwanted, limit):
    nodes = [(0.0, frozenset([i])) for i in range(n)] + [(height, a | b) for height, a, b in merges]
    height, kind = min((node for node in nodes if shown <= node[1]), key=lambda node: len(node[1]))
    if height > kinds.FAR:
        return sorted({i for one in shown for i in slow_kind(merges, n, {one}, unwanted, limit)})
    for height, a, b in merges:
        if kind < a | b:
            if slow_parts((height, a, b), merges, limit, limit) or (a | b) & unwanted != kind & unwanted:
                break
            kind = a | b
    return sorted(kind)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32 - 1), st.sampled_from([0.5, 1.0, 2.0]))
def test_the_tree_equals_the_slow_obvious_one(n, seed, limit):
    rng = np.random.default_rng(seed)
    rows, area = rng.normal(0, 1, (n, 3)), rng.integers(20, 2000, n)
    features = kind_features((rows.astype(np.float16), area), "nobody measured it")
    merges = slow_merges(distances(features, features).astype(np.float64))
    tree = kind_tree(features)
    np.testing.assert_allclose(tree.height, [height for height, *_ in merges], atol=1e-5)
    assert tree.groups().tolist() == slow_groups(merges, n)
    shown, unwanted = (frozenset(rng.integers(0, n, size).tolist()) for size in rng.integers(1, 4, 2))
    want = slow_kind(merges, n, shown, unwanted, limit)
    assert kind_of(features, sorted(shown), sorted(unwanted), limit) == want


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_the_order_of_things_does_not_matter(n, seed):
    rng = np.random.default_rng(seed)
    rows, area = rng.normal(0, 1, (n, 3)).astype(np.float16), rng.integers(20, 2000, n)
    order = rng.permutation(n)
    ids, shuffled = (
        kind_tree(kind_features((rows[o], area[o]), "looks")).groups() for o in (np.arange(n), order)
    )
    same = ids[order][:, None] == ids[order]
    assert np.array_equal(same, shuffled[:, None] == shuffled)


def halves(apart, some=None, weight=None):
    chosen = np.arange(len(apart)) if some is None else np.array(some)
    found = kind_tree(things(apart)).halves(chosen, np.ones(len(chosen)) if weight is None else weight)
    return found and [np.flatnonzero(half).tolist() for half in found]


def test_things_fall_in_two_halves_the_heavier_first():
    apart = [0, 0.01, 0.5, 0.51, 0.52]
    assert halves(apart) == [[2, 3, 4], [0, 1]]
    assert halves(apart, weight=[1, 1, 0.5, 0.6, 0.7]) == [[0, 1], [2, 3, 4]]
    assert halves(apart, [2, 3, 4]) == [[3, 4], [2]]


def test_one_that_falls_off_above_is_in_neither_half():
    apart = [0, 0.01, 0.5, 0.51, 5]
    assert halves(apart, weight=[0.9, 0.9, 0.8, 0.8, 0.9]) == [[0, 1], [2, 3]]
    assert halves([*[0, 0.01] * 9, *[0.5] * 3, 5, 5.01]) == [[*range(18)], [18, 19, 20]], "less than a tenth"


def test_where_no_half_weighs_enough_the_most_even_ones_are_taken():
    assert halves([0, 1, 5], weight=[0.3, 0.2, 0.1]) == [[0], [1]]
    assert halves([0]) is None
    assert halves([0, 1, 5], [2]) is None
    assert halves([0, 1], weight=[1, 0]) is None
