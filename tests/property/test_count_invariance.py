"""Decisions do not depend on the order of the candidates, and repeat."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract import CountSettings
from pipeline.count import SCORE_DIGITS, count
from pipeline.ops.nms import KEPT, suppress
from pipeline.segment.outline import CandidateBuilder
from pipeline.types import Candidates, Classification, TypeProbs

SIZE = (80, 80)
boxes = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(5, 19), st.integers(5, 19))


def candidates(places, quality):
    """Rectangles; equal quality keeps the order they come in."""
    builder = CandidateBuilder(SIZE)
    for (x, y, w, h), q in zip(places, quality, strict=True):
        builder.add(np.ones((h, w), bool), (x, y), q)
    n = len(places)
    seen = Classification(
        np.zeros((n, 0), np.int16), np.zeros((n, 0), np.float32), np.ones((n, 2), np.float16), "handcrafted"
    )
    return Candidates(builder.finish(), seen, TypeProbs(("box",), np.ones((n, 1), np.float32), "request"))


def counted_boxes(found, granularity):
    decided = count(found, CountSettings(granularity=granularity, min_area_px=0))
    return sorted(map(tuple, found.batch.bbox_xyxy[decided.counted].tolist()))


@settings(max_examples=60)
@given(st.lists(boxes, max_size=12, unique=True), st.randoms(), st.sampled_from(["auto", "whole", "part"]))
def test_the_order_of_candidates_does_not_matter(places, random, granularity):
    quality = np.linspace(0.4, 0.99, len(places)).tolist()
    area = [w * h for *_, w, h in places]
    if len(set(area)) < len(area):
        return  # ties are decided by order
    shuffled = list(zip(places, quality, strict=True))
    random.shuffle(shuffled)
    one = candidates(places, quality)
    two = candidates([p for p, _ in shuffled], [q for _, q in shuffled])
    assert counted_boxes(one, granularity) == counted_boxes(two, granularity)


@settings(max_examples=60)
@given(st.lists(boxes, max_size=12))
def test_every_rejected_double_names_one_that_is_counted(places):
    found = candidates(places, [0.9] * len(places))
    rejections = count(found, CountSettings(iou_threshold=0.3, max_overlap=0.6, min_area_px=0)).rejections
    for why in rejections:
        if why.startswith(("duplicate_of:c", "inside:c")):
            winner = int(why.split(":c")[1])
            assert rejections[winner] == ""


@settings(max_examples=60)
@given(st.floats(0, 1, width=32))
def test_a_threshold_that_is_an_objects_stated_score_counts_it(quality):
    found = candidates([(0, 0, 9, 9)], [quality])
    stated = round(float(count(found, CountSettings()).scores[0]), SCORE_DIGITS)
    assert count(found, CountSettings(confidence_threshold=stated)).rejections == ("",)


@given(st.integers(0, 15), st.integers(0, 2**32 - 1))
def test_suppression_equals_the_slow_obvious_way(n, seed):
    rng = np.random.default_rng(seed)
    rank = rng.permutation(n)
    alive = rng.random(n) < 0.8
    conflict = np.triu(rng.random((n, n)) < 0.3, 1)
    winners = suppress(rank, np.argwhere(conflict), alive)
    survivors: list[int] = []
    for i in (int(i) for i in rank if alive[i]):
        rivals = [j for j in survivors if conflict[min(i, j), max(i, j)]]
        assert winners[i] == (rivals[0] if rivals else KEPT)
        if not rivals:
            survivors.append(i)
    assert all(winners[~alive] == KEPT)
