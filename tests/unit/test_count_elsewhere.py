"""Counts by examples that all lie in another photo, of other light, ground and camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.contract import CountSettings, Exemplar
from pipeline.count import count
from pipeline.embedding import WEIGHTS, handcrafted_embeddings
from pipeline.ops.kinds import PARTS
from pipeline.summary import summarise
from pipeline.types import PatchBatch
from tests.candidates import PROVENANCE, candidates_of, disc

SIZE = (100, 400)
NETWORK, COLOUR = PARTS["looks"]
SAME, MOVED = (1.0, 1.0, 1), (0.5, 0.5, 1)
"""Cosines with the example's looks, and with its colour, and a way to differ from it: nothing lies between
them; about what light moves."""
UNLIKE, RECOLOURED = (0.1, 0.5, 2), (0.9, 0.1, 2)


def towards(cosine, way):
    """Return (3,) of unit length, so alike [1, 0, 0]."""
    return np.array([cosine, *(np.array([way == 1, way == 2]) * (1 - cosine**2) ** 0.5)])


def photo(*things, radius=12, source="looks"):
    """Return the candidates of a row of things."""
    found = candidates_of([disc(SIZE, 20 + 40 * i, 50, radius) for i in range(len(things))], SIZE)
    rows = np.zeros((len(things), 378), np.float16)
    for row, (looks, colour, way) in zip(rows, things, strict=True):
        row[NETWORK][:3] = towards(looks, way)
        row[COLOUR][:3] = WEIGHTS["chroma"] ** 0.5 * towards(colour, 1)
    seen = replace(found.classification, embeddings=rows, source=source)
    best = np.ones(len(found), np.float32)
    return replace(found, classification=seen, batch=replace(found.batch, predicted_iou=best))


def on(number, positive=True, file_id="img_2"):
    return Exemplar(point_xy=(20 + 40 * number, 50), positive=positive, file_id=file_id)


def result_of(here, there, *exemplars):
    asked = CountSettings(exemplars=exemplars or (on(0),), count_what="exemplars")
    decided = count(here, asked, others={"img_2": there})
    return decided.counted.tolist(), summarise(here, decided, asked, {}, PROVENANCE)


def counted_of(*given):
    return result_of(*given)[0]


def test_what_other_light_moves_is_counted_and_asked_about():
    counted, result = result_of(photo(*[MOVED] * 3, *[UNLIKE] * 3), photo(SAME))
    assert counted == [0, 1, 2]
    assert result.count_interval[0] == 0
    assert result.review_reason == (
        "nothing is closely like the examples in another photo, what is nearest was counted: "
        "mark one if it is not meant"
    )
    counted, result = result_of(photo(MOVED), photo(SAME))
    assert (counted, result.needs_review) == ([0], True), "one thing too"


def test_three_examples_are_worth_no_less_than_one():
    shown = on(0), on(1), on(2)
    assert counted_of(photo(*[MOVED] * 3, *[UNLIKE] * 3), photo(SAME, SAME, SAME), *shown) == [0, 1, 2]


def test_how_large_things_are_depends_on_the_camera():
    assert counted_of(photo(*[MOVED] * 3, radius=18), photo(SAME, radius=3)) == [0, 1, 2]
    assert counted_of(photo(*[SAME] * 3, radius=18), photo(SAME, radius=3)) == [], "by the same camera"


def test_what_a_network_finds_unlike_the_examples_is_not_there():
    counted, result = result_of(photo(*[UNLIKE] * 3), photo(SAME))
    assert (counted, result.needs_review) == ([], True)


def test_what_differs_in_colour_alone_is_not_meant():
    assert counted_of(photo(*[RECOLOURED] * 3), photo(SAME)) == []
    assert counted_of(photo(*[RECOLOURED] * 3, *[SAME] * 3), photo(SAME)) == [3, 4, 5]


def test_what_is_nearer_to_what_is_not_meant_is_not_counted():
    here = photo(*[MOVED] * 3)
    assert counted_of(here, photo(SAME, MOVED), on(0), on(1, positive=False)) == []
    assert counted_of(here, photo(SAME, UNLIKE), on(0), on(1, positive=False)) == [0, 1, 2]
    assert counted_of(here, photo(SAME), on(0), on(1, positive=False, file_id=None)) == []


def test_other_embeddings_are_not_known_to_move_with_light():
    here, there = (photo(*cosines, source="resnet50") for cosines in ([MOVED] * 3, [SAME]))
    assert counted_of(here, there) == []


@pytest.mark.parametrize(("nearest", "others", "n"), [(0.9, 0.28, 1), (0.5, 0.4, 4)], ids=["same", "other"])
def test_in_the_same_light_one_example_is_read_as_closely_as_three(nearest, others, n):
    here = photo((nearest, 1, 1), *[(others, 1, 2)] * 3)
    counted, result = result_of(here, photo(SAME))
    assert len(counted) == n
    assert result.count_interval[1] >= 4, "what is less like it may be meant"
    assert result.needs_review


def test_colour_has_the_columns_that_the_embeddings_put_it_in():
    patch = np.full((1, 32, 32, 3), (200, 40, 40), np.uint8)
    (red,) = handcrafted_embeddings(PatchBatch(patch, np.ones((1, 32, 32), np.bool_))).astype(np.float32)
    own = red[COLOUR.start - NETWORK.stop : COLOUR.stop - NETWORK.stop]
    assert own @ own == pytest.approx(WEIGHTS["chroma"] / sum(WEIGHTS.values()), abs=0.01)
