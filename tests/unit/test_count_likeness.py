"""Counts where the engine was told of the exemplars, and says how much candidates are like them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.contract import CountSettings, Exemplar
from pipeline.count import count
from pipeline.ops.exemplars import exemplar_key
from pipeline.summary import summarise
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
FIRST_TWO = [Exemplar(point_xy=(15 + 30 * x, 15)) for x in range(2)]


def result_of(found, *exemplars):
    settings = CountSettings(exemplars=exemplars, count_what="exemplars")
    return summarise(found, count(found, settings), settings, {}, PROVENANCE)


def test_counted_things_that_are_little_like_the_examples_ask_for_a_look():
    likeness = [0.9] * 5 + [0.4, 0.25, 0.22, 0.2, 0.18, 0.16, 0.15]
    found = looking_like(TWELVE, [RED] * 12)
    result = result_of(told(found, likeness, *FIRST_TWO), *FIRST_TWO)
    assert result.count == 12
    assert (
        result.review_reason
        == "6 of 12 objects are less like the examples: if they are not meant, show one as such"
    )
    assert result.count_interval == (6, 12)
    sure = result_of(told(found, [0.9] * 12, *FIRST_TWO), *FIRST_TWO)
    assert (sure.count, sure.count_interval) == (12, (8, 12))
    assert "examples" not in sure.review_reason


def test_things_of_that_size_that_are_left_out_ask_for_a_look_until_one_is_said_not_to_be_meant():
    found = looking_like(TWELVE, [RED] * 9 + [BLUE] * 3)
    result = result_of(found, FIRST_TWO[0])
    assert (result.count, result.count_interval[1]) == (9, 12)
    assert (
        result.review_reason
        == "3 things of that size are left out as unlike the examples: if meant, show one more"
    )
    not_this = Exemplar(point_xy=(165, 60), positive=False)
    told_apart = result_of(found, FIRST_TWO[0], not_this)
    assert (told_apart.count, told_apart.count_interval[1]) == (9, 9)
    assert "examples" not in told_apart.review_reason


def test_things_of_another_size_that_are_left_out_do_not():
    result = result_of(looking_like(LARGE, [RED] * 6 + [BLUE] * 3), *FIRST_TWO)
    assert (result.count, result.review_reason) == (6, None)


def test_a_count_of_the_examples_alone_asks_for_a_look():
    found = looking_like([*ROW[:2], disc(SIZE, 150, 50, 40)], [RED, RED, BLUE])
    result = result_of(found, *(Exemplar(point_xy=(x, 50)) for x in (20, 60)))
    assert (result.count, result.review_reason) == (2, "nothing was found beside the examples")
