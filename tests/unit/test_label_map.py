"""How parts become one probability per label, with any subset of them present."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.consistency import HIGHEST
from pipeline.contract import ErrorCode, ObjectType, PipelineError, SettingsError
from pipeline.imagenet import taxonomy
from pipeline.label_map import map_labels
from pipeline.label_mix import imagenet_scores, pool, with_prior
from pipeline.labels import DISTRACTORS, SOMETHING_ELSE, label, relabelled
from pipeline.object_types import default_object_types
from pipeline.types import CandidateBatch, Candidates, Classification, PatchBatch, TypeProbs
from tests.candidates import batch_of, disc

SIZE = (80, 240)
CAB, SPORTS_CAR, GRANNY_SMITH, STRAWBERRY, BOTTLECAP, PICKUP = 468, 817, 948, 949, 455, 717
COIN, CAR, APPLE, CAP = (ObjectType(n) for n in ("coin", "car", "apple", "bottle cap"))
Floats = NDArray[np.float32]


def seen(rows: list[dict[int, float]]) -> Classification:
    """A classification whose best classes are given; the rest of five is spread over far classes."""
    ids = np.zeros((len(rows), 5), np.int16)
    probs = np.zeros((len(rows), 5), np.float32)
    for i, row in enumerate(rows):
        filled = list(row.items()) + [(900 + k, 0.0) for k in range(5 - len(row))]
        ids[i], probs[i] = [k for k, _ in filled], [p for _, p in filled]
    return Classification(ids, probs, np.ones((len(rows), 4), np.float16), "resnet50")


def unseen(n: int, source: str = "handcrafted") -> Classification:
    none = np.zeros((n, 0))
    return Classification(none.astype(np.int16), none.astype(np.float32), np.ones((n, 4), np.float16), source)


def alike(n: int) -> CandidateBatch:
    return batch_of([disc(SIZE, 20 + 40 * i, 40, 12) for i in range(n)], SIZE)


def blank(n: int) -> PatchBatch:
    return PatchBatch(np.zeros((n, 8, 8, 3), np.uint8), np.ones((n, 8, 8), np.bool_))


class FixedTexts:
    """Stands in for CLIP (which passes its own parity tests): says what it was told, by first phrase."""

    def __init__(self, rows: list[dict[str, float]]) -> None:
        self.rows = rows
        self.asked: list[str] = []

    def probabilities(self, prompts: Sequence[Sequence[str]]) -> Floats:
        self.asked = [phrases[0] for phrases in prompts]
        table = [[row.get(name, 0.0) for name in self.asked] for row in self.rows]
        return np.array(table, np.float32)


def mapped(
    requested: str, classification: Classification, texts: FixedTexts | None = None, count_what: str = "type"
) -> TypeProbs:
    n = len(classification.embeddings)
    by_text = texts.probabilities if texts else None
    return label(classification, alike(n), requested, default_object_types(), count_what, by_text)


@pytest.mark.parametrize("source", ["handcrafted", "looks"])
def test_without_any_classifier_the_request_is_the_only_label(source: str) -> None:
    found = map_labels(blank(4), unseen(4, source), alike(4), "coins", default_object_types())
    assert found.types == ("coin",)
    assert found.labelled_by == "request"
    np.testing.assert_allclose(found.probs[:, 0], HIGHEST, atol=0.01)


def test_free_text_without_open_clip_is_refused_with_what_to_do() -> None:
    with pytest.raises(PipelineError, match=r"free text needs.*open_clip") as caught:
        map_labels(blank(1), unseen(1), alike(1), "sprocket", (), count_what="text")
    assert caught.value.code == ErrorCode.INVALID_CONFIG


@pytest.mark.parametrize("count_what", ["exemplars", "everything"])
def test_without_a_classifier_appearance_judges_alike_whatever_is_asked_for(count_what: str) -> None:
    odd_one_out = batch_of([disc(SIZE, 20 + 40 * i, 40, r) for i, r in enumerate((12, 12, 12, 12, 3))], SIZE)
    named = map_labels(blank(5), unseen(5), odd_one_out, "coin", ())
    found = map_labels(blank(5), unseen(5), odd_one_out, "coin", (), count_what=count_what)
    assert found.probs[4, 0] < 0.5 < found.probs[0, 0]
    np.testing.assert_array_equal(found.probs, named.probs)


@pytest.mark.parametrize("requested", ["coin", "car", "flurbish"])
def test_no_candidates_are_legal(requested: str) -> None:
    assert mapped(requested, seen([])).probs.shape[0] == 0
    assert map_labels(blank(0), unseen(0), alike(0), requested, ()).probs.shape == (0, 1)


def test_imagenet_mass_goes_to_the_label_its_class_is_a_kind_of() -> None:
    scores = imagenet_scores(seen([{CAB: 0.5, SPORTS_CAR: 0.2, GRANNY_SMITH: 0.1}]), [CAR, APPLE], taxonomy())
    np.testing.assert_allclose(scores, [[0.7, 0.1]], atol=1e-6)


def test_labels_without_classes_share_what_imagenet_cannot_name() -> None:
    scores = imagenet_scores(seen([{CAB: 0.5}]), [COIN, CAR, ObjectType("flurbish")], taxonomy())
    np.testing.assert_allclose(scores, [[0.5, 0.5, 0.5]], atol=1e-6)


def test_a_class_speaks_for_the_request_before_any_narrower_label() -> None:
    fruit = ObjectType("fruit")
    scores = imagenet_scores(seen([{GRANNY_SMITH: 0.6, STRAWBERRY: 0.3}]), [fruit, APPLE], taxonomy())
    np.testing.assert_allclose(scores, [[0.9, 0.0]], atol=1e-6)


def test_the_narrower_of_two_other_labels_gets_the_class() -> None:
    vehicle = ObjectType("vehicle")
    scores = imagenet_scores(seen([{CAB: 0.8}]), [COIN, vehicle, CAR], taxonomy())
    np.testing.assert_allclose(scores[0, 1:], [0.0, 0.8], atol=1e-6)


def test_pooling_one_part_of_weight_one_gives_it_back() -> None:
    scores = np.array([[0.7, 0.2, 0.1], [0.0, 0.5, 0.5]], np.float32)
    np.testing.assert_allclose(pool({"open_clip": scores}), scores, atol=2e-3)


def test_pooled_parts_that_agree_are_surer_than_either() -> None:
    one = np.array([[0.7, 0.3]], np.float32)
    assert pool({"open_clip": one, "imagenet": one})[0, 0] > 0.7


def test_no_part_can_rule_out_a_label_alone() -> None:
    never, likely = np.array([[0.0, 1.0]], np.float32), np.array([[0.9, 0.1]], np.float32)
    assert pool({"imagenet": never, "open_clip": likely})[0, 0] > 0.2
    assert pool({"imagenet": likely, "open_clip": never})[0, 0] > 0.001


def test_the_prior_moves_the_request_and_keeps_the_proportions_of_the_rest() -> None:
    pooled = np.array([[0.4, 0.4, 0.2]], np.float32)
    for prior, direction in ((0.9, 1), (0.5, 0), (0.1, -1)):
        mixed = with_prior(pooled, np.array([prior], np.float32))
        assert np.sign(np.round(mixed[0, 0] - 0.4, 5)) == direction
        assert mixed[0, 1] / mixed[0, 2] == pytest.approx(2, rel=1e-4)
        assert mixed.sum() == pytest.approx(1, abs=1e-5)


def test_the_prior_is_monotone_in_both_sources() -> None:
    grid = np.linspace(0, 1, 11, dtype=np.float32)
    table = np.array(
        [with_prior(np.stack([grid, 1 - grid], axis=1), np.full(11, p, np.float32))[:, 0] for p in grid]
    )
    assert (np.diff(table, axis=0) >= -1e-6).all()
    assert (np.diff(table, axis=1) >= -1e-6).all()


def test_imagenet_alone_tells_cars_from_apples() -> None:
    found = mapped("car", seen([{CAB: 0.8}, {GRANNY_SMITH: 0.8}, {CAB: 0.7}]))
    assert found.labelled_by == "imagenet"
    best = [found.types[k] for k in found.probs.argmax(axis=1)]
    assert best == ["car", "apple", "car"]
    assert SOMETHING_ELSE.name in found.types


def test_imagenet_alone_does_not_deny_what_it_has_no_word_for() -> None:
    found = mapped("coin", seen([{900: 0.6}] * 4 + [{BOTTLECAP: 0.99}]))
    best = [found.types[k] for k in found.probs.argmax(axis=1)]
    assert best == ["coin"] * 4 + ["bottle cap"]
    assert found.probs[:4, 0].min() > 0.25


def test_open_clip_alone_and_both_together_are_named_in_the_result() -> None:
    texts = FixedTexts([{"metal coin": 0.9, "human hand": 0.1}, {"metal coin": 0.1, "human hand": 0.9}])
    alone = mapped("coin", unseen(2), texts)
    assert alone.labelled_by == "open_clip"
    assert [alone.types[k] for k in alone.probs.argmax(axis=1)] == ["coin", "hand"]
    assert mapped("coin", seen([{}, {}]), texts).labelled_by == "imagenet+open_clip"


def test_none_of_these_is_an_answer() -> None:
    for distractor in DISTRACTORS:
        found = mapped("coin", unseen(1), FixedTexts([{distractor.prompts[0]: 1.0}]))
        assert found.types[int(found.probs.argmax())] == distractor.name


def test_a_distractor_that_is_asked_for_is_not_a_distractor() -> None:
    found = mapped("hand", unseen(1), FixedTexts([{"hand": 1.0}]))
    assert found.types.count("hand") == 1
    assert found.probs.argmax() == 0


def test_kinds_of_the_request_do_not_compete_with_it() -> None:
    texts = FixedTexts([{}])
    mapped("fruit", unseen(1), texts)
    assert "apple" not in texts.asked
    assert "metal coin" in texts.asked
    mapped("chicken", unseen(1), texts)
    assert "bird" not in texts.asked


def test_rows_sum_to_one_and_labels_are_unique() -> None:
    rng = np.random.default_rng(0)
    rows = [
        {
            int(k): float(p)
            for k, p in zip(rng.choice(900, 4, False), rng.dirichlet(np.ones(5))[:4], strict=True)
        }
        for _ in range(20)
    ]
    for requested in ("coin", "car", "fruit", "flurbish"):
        found = label(
            seen(rows),
            batch_of([disc(SIZE, 40, 40, 12)] * 20, SIZE),
            requested,
            default_object_types(),
            "type",
        )
        np.testing.assert_allclose(found.probs.sum(axis=1), 1, atol=1e-4)
        assert len(set(found.types)) == len(found.types)


@pytest.mark.parametrize(
    ("requested", "count_what"), [("everything", "everything"), ("object", "type"), ("objects", "type")]
)
def test_everything_names_candidates_and_keeps_no_distractor(requested: str, count_what: str) -> None:
    texts = FixedTexts([{"metal coin": 0.8, "human hand": 0.1}, {"human hand": 0.9}])
    found = mapped(requested, unseen(2), texts, count_what=count_what)
    assert [found.types[k] for k in found.probs.argmax(axis=1)] == ["coin", requested]
    assert "hand" not in found.types


def test_for_everything_a_row_sums_to_what_appearance_says_with_or_without_a_classifier() -> None:
    texts = FixedTexts([{"metal coin": 0.8, "human hand": 0.1}] * 4)
    np.testing.assert_allclose(
        mapped("object", unseen(4), texts).probs.sum(axis=1),
        map_labels(blank(4), unseen(4), alike(4), "object", ()).probs[:, 0],
        atol=1e-3,
    )


def test_for_everything_what_is_recognised_counts_though_it_is_unlike_the_rest() -> None:
    odd_one_out = batch_of([disc(SIZE, 20 + 40 * i, 40, r) for i, r in enumerate((12, 12, 12, 12, 3))], SIZE)
    alone = map_labels(blank(5), unseen(5), odd_one_out, "object", ())
    rows = [{"metal coin": 0.9}] * 5, [{"human hand": 0.9}] * 5
    recognised, unknown = (
        label(
            unseen(5),
            odd_one_out,
            "object",
            default_object_types(),
            "everything",
            FixedTexts(told).probabilities,
        ).probs.sum(axis=1)
        for told in rows
    )
    assert alone.probs[4, 0] < 0.5 < 0.85 < recognised[4]
    np.testing.assert_allclose(unknown, alone.probs[:, 0], atol=1e-5)
    np.testing.assert_allclose(recognised[:4], alone.probs[:4, 0], atol=1e-5)


def test_a_thousand_candidates_are_mapped_in_well_under_a_second() -> None:
    many = seen([{CAB: 0.4, PICKUP: 0.2}] * 1000)
    batch = batch_of([disc(SIZE, 40, 40, 12)] * 1000, SIZE)
    start = time.perf_counter()
    label(many, batch, "car", default_object_types(), "type")
    assert time.perf_counter() - start < 1.0


CARS_AND_AN_APPLE = [{CAB: 0.8}, {GRANNY_SMITH: 0.8}, {CAB: 0.7}]


@pytest.mark.parametrize("classified", [seen(CARS_AND_AN_APPLE), unseen(3)])
@pytest.mark.parametrize(("request_type", "count_what"), [("apples", "type"), ("flurbish", "everything")])
def test_candidates_labelled_anew_are_those_of_a_new_count(
    classified: Classification, request_type: str, count_what: str
) -> None:
    def counted_as(wanted: str) -> Candidates:
        return Candidates(alike(3), classified, mapped(wanted, classified, count_what=count_what))

    found = relabelled(counted_as("car"), request_type, default_object_types(), count_what).type_probs
    new = counted_as(request_type).type_probs
    assert (found.types, found.labelled_by) == (new.types, new.labelled_by)
    np.testing.assert_array_equal(found.probs, new.probs)


def test_what_open_clip_named_is_labelled_anew_only_as_what_it_is() -> None:
    texts = FixedTexts([{"metal coin": 0.9, "human hand": 0.1}] * 2)
    known = Candidates(alike(2), unseen(2), mapped("coin", unseen(2), texts))
    assert relabelled(known, "coins", default_object_types(), "type") is known
    with pytest.raises(SettingsError, match=r"type: want 'coin'.*new job"):
        relabelled(known, "apple", default_object_types(), "type")


def test_names_that_rules_gave_are_gone_from_candidates_labelled_anew() -> None:
    known = Candidates(alike(2), unseen(2), mapped("coin", unseen(2)))
    with_name = TypeProbs(("coin", "hole"), np.pad(known.type_probs.probs, ((0, 0), (0, 1))), "request")
    found = relabelled(replace(known, type_probs=with_name), "apple", default_object_types(), "type")
    assert found.type_probs.types == ("apple",)
