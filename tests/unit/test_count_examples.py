"""Counts by examples: in the picture, in others, and what they leave open."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from pipeline.calibration import calibration_of
from pipeline.contract import CountSettings, Exemplar, GroupChoice, SettingsError
from pipeline.count import count
from pipeline.in_question import InQuestion, in_question
from pipeline.ops import kinds
from pipeline.ops.exemplars import NARROW, WIDE
from pipeline.summary import calibration_for, summarise
from tests.candidates import PROVENANCE, candidates_of, disc, looking

SIZE = (100, 200)
ROW = [disc(SIZE, 20 + 40 * i, 50, 12) for i in range(4)]
TWELVE = [disc(SIZE, 15 + 30 * x, 15 + 45 * y, 10) for y in range(2) for x in range(6)]
FIRST, SECOND = (Exemplar(point_xy=(15 + 30 * x, 15)) for x in range(2))
LAST = Exemplar(point_xy=(165, 60))

LIKE, LITTLE, HARDLY, UNLIKE = 0, (NARROW + 1) / 2, (1 + min(WIDE)) / 2, 6
"""Distances from the example: meant; meant, but little like it; left out, but perhaps meant; another kind."""


@pytest.fixture(autouse=True, scope="module")
def no_gaps():
    """Things of a kind are drawn exactly alike here, so that any distance would be a gap between kinds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "GAP", inf)
        yield


def looking_like(masks, apart, source="handcrafted"):
    found = candidates_of(masks, SIZE)
    seen = replace(found.classification, embeddings=looking(*apart), source=source)
    return replace(found, classification=seen)


def asked_for(*exemplars, **settings):
    return CountSettings(exemplars=exemplars, count_what="exemplars", **settings)


def result_of(found, *exemplars, others=None, is_corrected=False, **settings):
    asked = asked_for(*exemplars, **settings)
    decided = count(found, asked, others=others)
    return summarise(found, decided, asked, {}, PROVENANCE, is_corrected=is_corrected)


def is_not(exemplar):
    return replace(exemplar, positive=False)


def little_like(n, of):
    return f"{n} of {of} objects look little like the examples: mark one if it is not meant"


def left_out(n):
    return f"{n} things as large as those counted were left out as unlike: show one if meant"


def sure(found):
    """Return candidates that are as good as they can be."""
    best = np.ones(len(found), np.float32)
    return replace(found, batch=replace(found.batch, predicted_iou=best))


def assert_settled(result, n):
    """Assert that ``n`` are counted, the interval is that of ``n`` things alike, and nothing is asked."""
    alike = result_of(sure(looking_like(TWELVE[:n], [LIKE] * n)), FIRST).count_interval
    assert (result.count, result.count_interval, result.review_reason) == (n, alike, None)
    assert alike[1] == n


def test_what_is_all_like_the_examples_leaves_nothing_open():
    assert_settled(result_of(sure(looking_like(TWELVE, [LIKE] * 12)), FIRST), 12)
    assert_settled(result_of(sure(looking_like(TWELVE, [LIKE] * 8 + [UNLIKE] * 4)), FIRST), 8)


def test_counted_things_that_are_little_like_the_examples_ask_for_a_look():
    result = result_of(sure(looking_like(TWELVE, [LIKE] * 8 + [LITTLE] * 4)), FIRST)
    assert (result.count, result.count_interval, result.review_reason) == (12, (8, 12), little_like(4, 12))


def test_few_that_are_little_like_the_examples_ask_for_nothing():
    assert_settled(result_of(sure(looking_like(TWELVE, [LIKE] * 11 + [LITTLE])), FIRST), 12)
    assert_settled(result_of(sure(looking_like(ROW, [LIKE] * 3 + [LITTLE])), Exemplar(point_xy=(20, 50))), 4)


def test_an_example_of_what_is_little_like_the_others_settles_it():
    found = sure(looking_like(TWELVE, [LIKE] * 9 + [LITTLE] * 3))
    assert_settled(result_of(found, FIRST, LAST), 12)
    assert_settled(result_of(found, FIRST, is_not(LAST)), 9)


def test_things_as_large_that_are_left_out_ask_for_a_look():
    result = result_of(sure(looking_like(TWELVE, [LIKE] * 9 + [HARDLY] * 3)), FIRST)
    assert (result.count, result.count_interval[1], result.review_reason) == (9, 12, left_out(3))


def test_few_that_are_left_out_ask_for_nothing():
    assert_settled(result_of(sure(looking_like(TWELVE, [LIKE] * 11 + [HARDLY])), FIRST), 11)


def test_what_is_clearly_of_another_kind_is_not_asked_about():
    assert_settled(result_of(sure(looking_like(TWELVE, [LIKE] * 6 + [UNLIKE] * 6)), FIRST), 6)


@pytest.mark.parametrize(("radius", "is_asked"), [(10, True), (12.5, True), (16, False)])
def test_only_what_is_about_as_large_as_what_is_counted_may_have_been_meant(radius, is_asked):
    masks = [*TWELVE[:6], *(disc(SIZE, 30 + 60 * x, 60, radius) for x in range(3))]
    found = sure(looking_like(masks, [LIKE] * 6 + [1.17] * 3))
    asked = asked_for(FIRST)
    decided = count(found, asked)
    assert decided.rejections == ("",) * 6 + ("unlike_exemplar",) * 3
    assert decided.readings.wide.all()
    assert in_question(found, decided, asked) == InQuestion(left_out=3 * is_asked)


def test_several_candidates_of_one_thing_left_out_are_one():
    double = disc(SIZE, 165, 60, 9)
    found = looking_like([*TWELVE[:9], *[double] * 4], [LIKE] * 9 + [HARDLY] * 4)
    assert_settled(result_of(sure(found), FIRST), 9)


def test_parts_of_what_is_counted_are_not_what_was_left_out():
    parts = [disc(SIZE, 75 + 30 * x, 15, 8) for x in range(3)]
    found = looking_like([*TWELVE[:9], *parts], [LIKE] * 9 + [HARDLY] * 3)
    assert_settled(result_of(sure(found), FIRST), 9)


def test_what_a_person_settled_is_not_asked():
    found = sure(looking_like(TWELVE, [LIKE] * 9 + [HARDLY] * 3))
    assert_settled(result_of(found, FIRST, is_not(LAST)), 9)
    assert_settled(result_of(found, FIRST, is_corrected=True), 9)
    assert_settled(result_of(found, FIRST, groups=(GroupChoice(1, counted=False),)), 9)
    assert_settled(result_of(found, FIRST, groups=(GroupChoice(1, counted=True),)), 12)
    varied = sure(looking_like(TWELVE, [LIKE] * 9 + [LITTLE] * 3))
    assert_settled(result_of(varied, FIRST, is_corrected=True), 12)
    assert_settled(result_of(varied, FIRST, groups=(GroupChoice(0, name="all"),)), 12)


def test_only_an_example_of_what_was_left_out_settles_it():
    found = sure(looking_like(TWELVE, [LIKE] * 8 + [UNLIKE] + [HARDLY] * 3))
    of_unlike = Exemplar(point_xy=(75, 60))
    assert result_of(found, FIRST).review_reason == left_out(3)
    assert result_of(found, FIRST, is_not(of_unlike)).review_reason == left_out(3)
    assert_settled(result_of(found, FIRST, is_not(LAST)), 8)


def test_what_lies_between_two_examples_of_one_kind_is_open():
    found = sure(looking_like(TWELVE, [0] * 6 + [0.2] * 5 + [0.6]))
    result = result_of(found, FIRST, is_not(LAST))
    assert (result.count, result.count_interval[1], result.review_reason) == (6, 11, left_out(5))


def test_an_example_of_another_kind_that_is_not_meant_leaves_open_what_is_little_like():
    found = sure(looking_like(TWELVE, [LIKE] * 7 + [LITTLE] * 3 + [UNLIKE] * 2))
    result = result_of(found, FIRST, is_not(LAST))
    assert (result.count, result.count_interval, result.review_reason) == (10, (7, 10), little_like(3, 10))


def test_where_only_what_is_not_meant_is_shown_nothing_is_open():
    found = sure(looking_like(TWELVE, [LIKE] * 7 + [LITTLE] * 2 + [UNLIKE] * 3))
    asked = asked_for(is_not(LAST))
    decided = count(found, asked)
    assert decided.readings is None
    assert in_question(found, decided, asked) == InQuestion()
    assert result_of(found, is_not(LAST)).count == 9


@pytest.mark.parametrize(("n", "reason"), [(3, "hardly anything was found beside the examples"), (4, None)])
def test_a_count_of_hardly_more_than_the_examples_asks_for_a_look(n, reason):
    found = sure(looking_like(ROW[:n], [LIKE] * n))
    shown = [Exemplar(point_xy=(x, 50)) for x in (20, 60)]
    result = result_of(found, *shown)
    assert (result.count, result.review_reason) == (n, reason)


def test_a_count_of_the_examples_alone_asks_for_a_look():
    found = looking_like([*ROW[:2], disc(SIZE, 150, 50, 40)], [LIKE, LIKE, UNLIKE])
    shown = [Exemplar(point_xy=(x, 50)) for x in (20, 60)]
    result = result_of(found, *shown)
    assert (result.count, result.review_reason) == (2, "nothing was found beside the examples")
    away = [replace(exemplar, file_id="img_2") for exemplar in shown]
    assert result_of(sure(found), *away, others={"img_2": replace(found)}).review_reason is None


def test_counts_by_examples_in_the_picture_have_their_own_interval():
    found = looking_like(TWELVE, [LIKE] * 12)
    elsewhere, nowhere = replace(FIRST, file_id="img_2"), Exemplar(point_xy=(190, 95))
    shown, away, unmet, no_example = (
        count(found, CountSettings(exemplars=exemplars), others={"img_2": replace(found)})
        for exemplars in ((FIRST,), (elsewhere,), (nowhere,), ())
    )
    plain, own = calibration_of("mini"), calibration_of("mini", is_shown=True)
    assert plain != own
    assert calibration_for(shown, "mini") == own
    assert {calibration_for(instances, "mini") for instances in (away, unmet, no_example)} == {plain}


def kept_of(found, *exemplars, others=None):
    return count(found, asked_for(*exemplars), others=others).counted.tolist()


def elsewhere(number, positive=True):
    """Return an example on the thing of that number in the row of image "img_2"."""
    return Exemplar(point_xy=(20 + 40 * number, 50), positive=positive, file_id="img_2")


def test_an_example_in_another_image_means_the_kind_here_that_it_joins():
    found = looking_like(ROW, [0, UNLIKE, 0, UNLIKE])
    others = {"img_2": looking_like(ROW, [0.2, UNLIKE, inf, inf])}
    assert kept_of(found, elsewhere(0), others=others) == [0, 2]
    assert kept_of(found, elsewhere(1), others=others) == [1, 3]
    assert kept_of(found, elsewhere(2), others=others) == []
    assert kept_of(found, elsewhere(0), elsewhere(1), others=others) == [0, 1, 2, 3]
    assert kept_of(found, Exemplar(point_xy=(20, 50)), elsewhere(0), others=others) == [0, 2]
    assert kept_of(found, Exemplar(point_xy=(20, 50)), elsewhere(1), others=others) == [0, 1, 2, 3]


def test_examples_in_other_images_are_heard_however_many_things_there_are(monkeypatch):
    monkeypatch.setattr("pipeline.ops.kinds.MOST_ROWS", 6)
    found = looking_like(TWELVE, [0, UNLIKE] * 6)
    others = {"img_2": looking_like(ROW, [1.5, inf, 0.2, UNLIKE])}
    assert kept_of(found, elsewhere(0), elsewhere(3, positive=False), others=others) == []
    assert kept_of(found, elsewhere(2), elsewhere(3, positive=False), others=others) == [0, 2, 4, 6, 8, 10]


def test_what_an_example_in_another_image_says_is_not_meant_goes_here():
    found = looking_like(ROW, [0, UNLIKE, 0, UNLIKE])
    others = {"img_2": looking_like(ROW, [0, UNLIKE, inf, inf])}
    assert kept_of(found, elsewhere(1, positive=False), others=others) == [0, 2]
    assert kept_of(found, elsewhere(2, positive=False), others=others) == [0, 1, 2, 3]
    nearer = looking_like(ROW, [0, UNLIKE, 0, 5])
    others = {"img_2": looking_like(ROW, [5, 5, 5, 5])}
    both = Exemplar(point_xy=(20, 50)), Exemplar(point_xy=(60, 50))
    assert kept_of(nearer, *both, others=others) == [0, 1, 2, 3]
    assert kept_of(nearer, *both, elsewhere(1, positive=False), others=others) == [0, 1, 2]


def test_sizes_of_examples_in_another_image_count_too():
    found = looking_like([*ROW[:3], disc(SIZE, 160, 50, 30)], [0] * 4)
    small, large = ({"img_2": looking_like([disc(SIZE, 20, 50, r)], [0])} for r in (12, 19))
    assert kept_of(found, elsewhere(0), others=small) == [0, 1, 2]
    assert kept_of(found, elsewhere(0), others=large) == [0, 1, 2, 3]


def test_examples_in_another_image_read_this_one_and_point_at_nothing_in_it():
    others = {"img_2": looking_like(ROW[:1], [0])}
    for apart, wanted in ((LITTLE, (2, 4, 4)), (HARDLY, (2, 2, 4)), (UNLIKE, (2, 2, 2))):
        decided = count(looking_like(ROW, [0, 0, apart, apart]), asked_for(elsewhere(0)), others=others)
        readings = decided.readings
        assert tuple(len(r) for r in (readings.narrow, readings.meant, readings.wide)) == (4, 4, 4)
        assert tuple(r.sum() for r in (readings.narrow, readings.meant, readings.wide)) == wanted
        assert decided.shown == frozenset()


def test_an_image_without_candidates_takes_no_harm_from_examples_elsewhere():
    nothing = candidates_of([], SIZE)
    others = {"img_2": looking_like(ROW, [0] * 4)}
    for exemplar in (elsewhere(0), elsewhere(0, positive=False)):
        decided = count(nothing, asked_for(exemplar), others=others)
        assert decided.rejections == ()
        assert result_of(nothing, exemplar, others=others).review_reason == "nothing was found"


@pytest.mark.parametrize(
    "others", [{}, {"img_2": looking_like(ROW, [0] * 4, "looks")}], ids=["unknown", "described otherwise"]
)
def test_examples_in_images_that_are_not_described_alike_cannot_be_compared(others):
    found = looking_like(ROW, [0] * 4)
    with pytest.raises(
        SettingsError, match=r"config\.exemplars\[1\]\.file_id.*known and described alike, got img_2"
    ):
        count(found, asked_for(Exemplar(point_xy=(20, 50)), elsewhere(0)), others=others)


def interval_of(found, *exemplars, there=(0, 0.2, inf, inf)):
    return result_of(found, *exemplars, others={"img_2": looking_like(ROW, there)}).count_interval


def test_where_nothing_is_like_an_example_elsewhere_all_that_is_left_out_may_be_meant():
    found = sure(looking_like(ROW, [UNLIKE] * 4))
    assert result_of(found, elsewhere(0), others={"img_2": looking_like(ROW, [0] * 4)}).count == 0
    assert interval_of(found, elsewhere(0)) == (0, 4)
    assert interval_of(found, elsewhere(0), elsewhere(3, positive=False)) == (0, 0), "what is not, was said"
    some = sure(looking_like(ROW, [LIKE, UNLIKE, UNLIKE, UNLIKE]))
    assert interval_of(some, elsewhere(0))[1] == 1, "what is like the example says what is meant"
    double = sure(looking_like([*ROW, ROW[0]], [UNLIKE] * 5))
    assert interval_of(double, elsewhere(0)) == (0, 4), "one thing"
    assert interval_of(sure(looking_like([], [])), elsewhere(0)) == (0, 0)
