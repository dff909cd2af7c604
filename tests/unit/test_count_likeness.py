"""Counts where the engine was told of the exemplars, and says how much candidates are like them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.calibration import calibration_of
from pipeline.contract import CountSettings, Exemplar, GroupChoice
from pipeline.count import count
from pipeline.ops.exemplars import exemplar_key
from pipeline.summary import calibration_for, summarise
from tests.candidates import PROVENANCE, candidates_of, disc

SIZE = (100, 200)
ROW = [disc(SIZE, 20 + 40 * i, 50, 12) for i in range(4)]
RED, BLUE = [1, 0, 0], [0, 0, 1]


def looking_like(masks, embeddings):
    found = candidates_of(masks, SIZE)
    seen = replace(found.classification, embeddings=np.array(embeddings, np.float16))
    return replace(found, classification=seen)


def reasons(found, *exemplars, others=None):
    settings = CountSettings(exemplars=exemplars, count_what="exemplars")
    return count(found, settings, others=others).rejections


def told(found, likeness, *exemplars):
    """Return the candidates as an engine gives them that was told of exemplars."""
    known = {"likeness": np.array(likeness, np.float32), "likeness_to": exemplar_key(exemplars)}
    return replace(found, batch=replace(found.batch, **known))


def test_what_the_engine_was_told_of_goes_before_looks():
    shown, other = [Exemplar(point_xy=(x, 50)) for x in (20, 140)], Exemplar(point_xy=(60, 50))
    found = told(looking_like(ROW, [RED, BLUE, RED, BLUE]), [0.9, 0.8, 0.01, 0.7], *shown)
    assert reasons(found, *shown) == ("", "", "unlike_exemplar", "")
    by_looks = ("unlike_exemplar", "", "unlike_exemplar", "")
    assert reasons(found, other) == by_looks
    away = looking_like(ROW, [RED, BLUE, RED, BLUE])
    elsewhere = replace(other, file_id="img_2")
    assert reasons(told(away, [0.9] * 4, other), elsewhere, others={"img_2": away}) == by_looks


def test_of_a_lone_exemplar_looks_decide():
    shown = Exemplar(point_xy=(20, 50))
    found = told(looking_like(ROW, [RED, BLUE, RED, BLUE]), [0.9, 0.8, 0.01, 0.7], shown)
    assert reasons(found, shown) == ("", "unlike_exemplar", "", "unlike_exemplar")


def test_negative_exemplars_and_sizes_act_on_what_the_engine_holds_for_like():
    shown = [Exemplar(point_xy=(x, 50)) for x in (20, 100)]
    not_these = Exemplar(point_xy=(60, 50), positive=False)
    row = [*ROW[:3], disc(SIZE, 160, 50, 30)]
    found = told(looking_like(row, [RED, BLUE, RED, RED]), [0.9] * 4, *shown)
    assert reasons(found, *shown) == ("", "", "", "unlike_exemplar")
    assert reasons(found, *shown, not_these) == ("", "unlike_exemplar", "", "unlike_exemplar")


TWELVE = [disc(SIZE, 15 + 30 * x, 15 + 45 * y, 10) for y in range(2) for x in range(6)]
LARGE = [disc(SIZE, 15 + 30 * x, 15, 10) for x in range(6)] + [
    disc(SIZE, 30 + 60 * x, 70, 25) for x in range(3)
]
FIRST, SECOND = (Exemplar(point_xy=(15 + 30 * x, 15)) for x in range(2))
LITTLE_LIKE = "6 of 12 objects look little like the examples: mark one if it is not meant"
LEFT_OUT = "3 things as large as those counted were left out as unlike: show one if meant"


def result_of(found, *exemplars, others=None, engine="drawn", is_corrected=False, **settings):
    settings = CountSettings(exemplars=exemplars, count_what="exemplars", **settings)
    decided = count(found, settings, others=others)
    made = replace(PROVENANCE, engine=engine)
    return summarise(found, decided, settings, {}, made, is_corrected=is_corrected)


def asked(result):
    """Return the reason for a look if examples are it."""
    words = ("little like", "left out", "beside the examples")
    return next((result.review_reason for word in words if word in (result.review_reason or "")), None)


def varied():
    """Return twelve alike, of which the engine holds seven for little like the first two."""
    likeness = [0.9] * 5 + [0.4, 0.25, 0.22, 0.2, 0.18, 0.16, 0.15]
    return told(looking_like(TWELVE, [RED] * 12), likeness, FIRST, SECOND)


def test_counted_things_that_are_little_like_the_examples_ask_for_a_look():
    result = result_of(varied(), FIRST, SECOND)
    assert (result.count, result.count_interval, asked(result)) == (12, (6, 12), LITTLE_LIKE)
    two = told(looking_like(TWELVE, [RED] * 12), [0.9] * 9 + [0.4, 0.25, 0.22], FIRST, SECOND)
    result = result_of(two, FIRST, SECOND)
    assert (result.count, result.count_interval, asked(result)) == (12, (8, 12), None)


def test_of_two_examples_on_one_thing_likeness_says_nothing():
    again = Exemplar(point_xy=(16, 15))
    likeness = [0.9] * 8 + [0.01] * 4
    found = told(looking_like(TWELVE, [RED] * 12), likeness, FIRST, again)
    assert asked(result_of(found, FIRST, again)) is None


def test_things_as_large_that_are_left_out_ask_for_a_look():
    result = result_of(looking_like(TWELVE, [RED] * 9 + [BLUE] * 3), FIRST)
    assert (result.count, result.count_interval[1], asked(result)) == (9, 12, LEFT_OUT)
    result = result_of(looking_like(TWELVE, [RED] * 11 + [BLUE]), FIRST)
    assert (result.count, result.count_interval[1], asked(result)) == (11, 11, None)
    assert asked(result_of(looking_like(LARGE, [RED] * 6 + [BLUE] * 3), FIRST, SECOND)) is None


def test_several_candidates_of_one_thing_left_out_are_one():
    double = disc(SIZE, 165, 60, 9)
    result = result_of(looking_like([*TWELVE[:9], *[double] * 4], [RED] * 9 + [BLUE] * 4), FIRST)
    assert (result.count, result.count_interval[1], asked(result)) == (9, 9, None)
    parts = [disc(SIZE, 75 + 30 * x, 15, 8) for x in range(3)]
    result = result_of(looking_like([*TWELVE[:9], *parts], [RED] * 9 + [BLUE] * 3), FIRST)
    assert (result.count, result.count_interval[1], asked(result)) == (9, 9, None)


def test_what_is_no_more_like_the_examples_than_one_that_is_not_meant_goes_with_it():
    found = varied()
    not_this = Exemplar(point_xy=(105, 60), positive=False)
    found = replace(
        found,
        classification=replace(found.classification, embeddings=np.float16([RED] * 9 + [BLUE] + [RED] * 2)),
    )
    result = result_of(found, FIRST, SECOND, not_this)
    assert (result.count, asked(result)) == (9, LITTLE_LIKE.replace("6 of 12", "3 of 9"))
    like = Exemplar(point_xy=(135, 15), positive=False)
    blue = np.float16([RED] * 4 + [BLUE] + [RED] * 7)
    found = replace(found, classification=replace(found.classification, embeddings=blue))
    assert result_of(found, FIRST, SECOND, like).count == 11


def test_what_is_settled_is_not_asked():
    found = looking_like(TWELVE, [RED] * 9 + [BLUE] * 3)
    not_this = Exemplar(point_xy=(165, 60), positive=False)
    settled = (
        result_of(found, FIRST, not_this),
        result_of(found, FIRST, is_corrected=True),
        result_of(found, FIRST, groups=(GroupChoice(1, counted=False),)),
    )
    for result in settled:
        assert (result.count, result.count_interval[1], asked(result)) == (9, 9, None)
    assert result_of(varied(), FIRST, SECOND, is_corrected=True).count_interval == (8, 12)


def test_a_count_of_the_examples_alone_asks_for_a_look():
    found = looking_like([*ROW[:2], disc(SIZE, 150, 50, 40)], [RED, RED, BLUE])
    shown = [Exemplar(point_xy=(x, 50)) for x in (20, 60)]
    result = result_of(found, *shown)
    assert (result.count, result.review_reason) == (2, "nothing was found beside the examples")
    away = [replace(exemplar, file_id="img_2") for exemplar in shown]
    assert asked(result_of(found, *away, others={"img_2": replace(found)})) is None


def test_counts_by_examples_that_the_engine_was_told_of_have_their_own_interval():
    found = looking_like(TWELVE, [RED] * 12)
    told_of = replace(found, batch=replace(found.batch, likeness_to=exemplar_key([FIRST])))
    shown, unmet = (
        count(found, CountSettings(exemplars=(exemplar,)))
        for exemplar in (FIRST, Exemplar(point_xy=(190, 95)))
    )
    plain, own = calibration_of("mini"), calibration_of("mini", is_shown=True)
    assert plain != own
    assert calibration_for(told_of, shown, "mini") == own
    assert calibration_for(told_of, unmet, "mini") == plain
    assert calibration_for(found, shown, "mini") == plain
