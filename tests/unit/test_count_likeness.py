"""Counts where the engine was told of the exemplars, and says how much candidates are like them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pipeline.contract import CountSettings, Exemplar
from pipeline.count import count
from pipeline.ops.exemplars import exemplar_key
from tests.candidates import candidates_of, disc

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
