"""Images go through all seven stages; a bad one fails alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from pipeline.archive import read_candidates, write_candidates
from pipeline.classify import classify
from pipeline.contract import STAGES, CountRequest, CountSettings, ErrorCode, Exemplar, ObjectType
from pipeline.count import count
from pipeline.patches import extract_patches
from pipeline.preprocess import preprocess
from pipeline.rules import try_rules, why_refused
from pipeline.run import count_batch
from tests.drawn import CENTRES, DISCS, HALF, OBJECT, SQUARES, discs, grid, ground, tray

CLASSICAL = CountSettings(engine="classical")


@pytest.fixture
def scene(tmp_path):
    """A file of n discs."""

    def write(n: int, radius: int = 20, name: str = "") -> str:
        path = tmp_path / f"{name or n}.png"
        PillowImage.fromarray(discs(ground(), CENTRES[:n], radius)).save(path)
        return str(path)

    return write


def test_outcomes_come_in_the_order_of_the_requests(scene):
    requests = [CountRequest(f"img_{n}", scene(n), "disc", CLASSICAL) for n in (9, 4, 6)]
    outcomes = count_batch(requests)
    assert [(o.image_id, o.result.count) for o in outcomes] == [("img_9", 9), ("img_4", 4), ("img_6", 6)]
    assert all(o.error is None and not o.skipped for o in outcomes)


def test_an_outcome_holds_everything_that_is_stored(scene):
    (outcome,) = count_batch([CountRequest("img_1", scene(5), "disc", CLASSICAL)])
    assert outcome.candidates.batch.size_hw == (400, 600)
    assert len(outcome.candidates) == len(outcome.instances.rejections) >= 5
    assert set(outcome.pictures) == {"annotated", "heatmap", "rejected", "thumbnail"}
    assert set(outcome.result.timings_s) == set(STAGES)
    assert all(seconds > 0 for seconds in outcome.result.timings_s.values())
    assert outcome.result.by_type == {"disc": 5}
    made_by = outcome.result.provenance
    assert (made_by.engine, made_by.engine_reason, made_by.device) == ("classical", "asked for", "cpu")
    assert made_by.settings["engine"] == "classical"


def test_a_recount_of_the_stored_candidates_gives_the_same_decisions(scene):
    (outcome,) = count_batch([CountRequest("img_1", scene(7), "disc", CLASSICAL)])
    assert count(outcome.candidates, CLASSICAL).rejections == outcome.instances.rejections


def test_a_bad_image_fails_alone(scene, tmp_path):
    torn = tmp_path / "torn.png"
    torn.write_bytes(Path(scene(3)).read_bytes()[:2000])
    paths = [scene(3), str(torn), str(tmp_path / "none.png"), scene(4)]
    outcomes = count_batch([CountRequest(p, p, "disc", CLASSICAL) for p in paths])
    assert [o.result.count if o.result else o.error.code for o in outcomes] == [
        3,
        ErrorCode.CORRUPTED_FILE,
        ErrorCode.FILE_NOT_FOUND,
        4,
    ]


def test_an_engine_that_cannot_run_is_the_error_of_every_image(scene):
    settings = CountSettings(engine="classical", model="vit_b")
    outcomes = count_batch([CountRequest("a", scene(3), "disc", settings)] * 2)
    assert [o.error.code for o in outcomes] == [ErrorCode.MODEL_LOAD_ERROR] * 2


def test_unwanted_images_are_skipped_before_they_are_decoded(scene):
    requests = [
        CountRequest("a", scene(3), "disc", CLASSICAL),
        CountRequest("b", scene(4), "disc", CLASSICAL),
    ]
    seen = []
    outcomes = count_batch(
        requests, wanted=lambda image_id: image_id == "b", on_progress=lambda *event: seen.append(event)
    )
    assert [o.skipped for o in outcomes] == [True, False]
    assert outcomes[0].result is None
    assert outcomes[0].error is None
    assert {event[0] for event in seen} == {"b"}


def test_progress_names_every_stage_in_order_and_ends_at_one(scene):
    seen = []
    count_batch(
        [CountRequest("a", scene(3), "disc", CLASSICAL)], on_progress=lambda *event: seen.append(event)
    )
    told = [stage for _, stage, _ in seen]
    assert told == sorted(told, key=STAGES.index)
    assert [stage for stage in STAGES if stage in told] == list(STAGES)
    assert told.count("segment") == 2  # as it begins, and once classical is through
    fractions = [fraction for *_, fraction in seen]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0, 1)


def test_pages_of_a_tiff_add_up_in_one_tall_picture(tmp_path):
    pages = [PillowImage.fromarray(discs(ground(), CENTRES[:n], 20)) for n in (3, 5)]
    path = tmp_path / "stack.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    counted = {
        which: count_batch([CountRequest("a", str(path), "disc", CountSettings("classical", pages=which))])[0]
        for which in ("first", "all")
    }
    assert counted["first"].result.count == 3
    assert counted["all"].result.count == 8
    assert counted["all"].candidates.batch.size_hw == (800, 600)
    lower = counted["all"].candidates.batch.bbox_xyxy[:, 1] > 400
    assert lower.sum() == 5


def test_what_is_too_large_for_its_page_is_too_large_in_a_tiff_of_several(tmp_path):
    page = PillowImage.fromarray(discs(ground(), [(300, 200)], 180))
    path = tmp_path / "stack.tif"
    page.save(path, save_all=True, append_images=[page, page])
    for pages in ("first", "all"):
        request = CountRequest("a", str(path), "disc", CountSettings("mini", pages=pages))
        (outcome,) = count_batch([request])
        assert outcome.result.count == 0
        assert outcome.result.size_limits_px == (12, 96_000)
        assert set(outcome.instances.rejections) == {"too_large"}


def test_exemplars_on_the_second_page_of_a_tiff_say_there_what_one_object_is(tmp_path):
    pairs = [(x, y) for y in (80, 200, 320) for x in (80, 220, 360)]
    dots = discs(ground(), [(x + dx, y) for x, y in pairs for dx in (-18, 18)], 18)
    path = tmp_path / "stack.tif"
    pages = [PillowImage.fromarray(page) for page in (ground(), dots)]
    pages[0].save(path, save_all=True, append_images=pages[1:])
    counts = []
    for half_width in (37.0, 19.0):
        left = 80 + (0 if half_width > 20 else 18) - half_width
        top = len(ground()) + 80 - 19.0
        boxes = tuple(Exemplar((left + dx, top, 2 * half_width, 38.0)) for dx in (0, 140))
        settings = CountSettings("mini", pages="all", exemplars=boxes, count_what="exemplars")
        counts.append(count_batch([CountRequest("a", str(path), "dot", settings)])[0].result.count)
    assert counts == [9, 18]


def test_exemplars_may_lie_in_a_later_image(scene):
    small, large = CENTRES[:14], CENTRES[14:]
    mixed = discs(discs(ground(), small, 8), large, 20)
    path = scene(1).replace("1.png", "mixed.png")
    PillowImage.fromarray(mixed).save(path)
    x, y = CENTRES[0]
    exemplar = Exemplar(bbox_xywh=(x - 8, y - 8, 17, 17), file_id="later")
    settings = CountSettings(engine="classical", exemplars=(exemplar,))
    requests = [
        CountRequest("first", path, "disc", settings),
        CountRequest("later", scene(6, radius=8), "disc", settings),
    ]
    outcomes = count_batch(requests)
    assert [o.result.count for o in outcomes] == [14, 6]
    assert [list(o.exemplars_in) for o in outcomes] == [["later"], []]
    alone = count_batch(requests[:1])
    assert alone[0].error.code == ErrorCode.INVALID_CONFIG
    known = count_batch(requests[:1], known={"later": outcomes[1].candidates})
    assert known[0].result.count == 14


def test_images_whose_exemplars_lie_in_each_other_wait(scene):
    x, y = CENTRES[0]
    shown = tuple(Exemplar((x - 20, y - 20, 41, 41), file_id=name) for name in ("a", "b"))
    settings = CountSettings(engine="classical", exemplars=shown, count_what="exemplars")
    requests = [CountRequest(name, scene(n), "disc", settings) for name, n in (("a", 9), ("b", 6), ("c", 4))]
    assert [o.result.count for o in count_batch(requests)] == [9, 6, 4]


@pytest.mark.parametrize("order", [["bars", "pairs"], ["pairs", "bars"]], ids=["first", "last"])
def test_a_point_in_another_image_gives_the_size_of_what_lies_there(tmp_path, order):
    """Discs that touch two by two are pairs to who points at a bar as large as two."""
    middles, bars = grid(4, 3, 110, start=70), ground()
    for x, y in middles:
        cv2.rectangle(bars, (x - 37, y - 19), (x + 37, y + 19), OBJECT, -1)
    dots = [(x + dx, y) for x, y in middles for dx in (-18, 18)]
    for name, pixels in (("bars", bars), ("pairs", discs(ground(), dots, 18))):
        PillowImage.fromarray(pixels).save(tmp_path / f"{name}.png")

    def counts(names, **shown):
        settings = CountSettings("mini", **shown)
        asked = [CountRequest(name, str(tmp_path / f"{name}.png"), "thing", settings) for name in names]
        return {outcome.image_id: outcome.result.count for outcome in count_batch(asked)}

    assert counts(["pairs"]) == {"pairs": 24}
    point = Exemplar(point_xy=middles[0], file_id="bars")
    assert counts(order, exemplars=(point,), count_what="exemplars") == {"bars": 12, "pairs": 12}


@pytest.mark.parametrize("shown", [DISCS, SQUARES], ids=["discs", "squares"])
@pytest.mark.parametrize("n_examples", [1, 3])
def test_of_two_kinds_the_one_shown_is_counted(tmp_path, shown, n_examples):
    PillowImage.fromarray(tray()).save(path := tmp_path / "tray.png")
    boxes = tuple(Exemplar((x - HALF, y - HALF, 2.0 * HALF, 2.0 * HALF)) for x, y in shown[:n_examples])
    settings = CountSettings("mini", exemplars=boxes, count_what="exemplars")
    (outcome,) = count_batch([CountRequest("a", str(path), "thing", settings)])
    centres = outcome.candidates.batch.bbox_xyxy[outcome.instances.counted].reshape(-1, 2, 2).mean(1)
    assert len(centres) == len(shown)
    assert all(min(np.hypot(x - a, y - b) for a, b in shown) < 4 for x, y in centres)
    assert outcome.instances.rejections.count("unlike_exemplar") == len(DISCS + SQUARES) - len(shown)


def test_rules_are_run_once_and_their_effects_stored(scene):
    pytest.importorskip("clingo", reason="rules need the worker extra")
    rules = 'relabel(C, "left") :- cx(C, X), X < 200.  reject(C, right) :- cx(C, X), X > 400.'
    settings = CountSettings(engine="classical", rules=rules)
    (outcome,) = count_batch([CountRequest("a", scene(7), "disc", settings)])
    assert outcome.result.by_type == {"disc": 3, "left": 2}
    assert sum(why == "rule:right" for why in outcome.instances.rejections) == 2
    again = count(read_candidates(write_candidates(outcome.candidates)), settings)
    assert again.rejections == outcome.instances.rejections


@pytest.mark.parametrize(
    "rules", ["no_such_set", "reject(C, x) :- nonsense(", "p(0). p(X+1) :- p(X), edge(_)."]
)
def test_rules_that_cannot_run_are_tried_once_and_nothing_is_segmented(scene, monkeypatch, rules):
    pytest.importorskip("clingo", reason="rules need the worker extra")
    tried, stages = [], []
    monkeypatch.setattr("pipeline.rules.try_rules", lambda rules: (tried.append(rules), try_rules(rules)))
    settings = CountSettings(engine="classical", rules=rules)
    requests = [CountRequest(name, scene(2 + i), "disc", settings) for i, name in enumerate("ab")]
    requests.append(CountRequest("c", scene(5), "disc", CountSettings(engine="classical")))
    why_refused.cache_clear()
    for _ in range(2):
        outcomes = count_batch(requests, on_progress=lambda name, stage, _: stages.append((name, stage)))
        codes = [outcome.error and outcome.error.code for outcome in outcomes]
        assert codes == [ErrorCode.INVALID_CONFIG, ErrorCode.INVALID_CONFIG, None]
    assert tried == [rules]
    assert {name for name, _ in stages} == {"c"}


def test_rules_that_an_image_does_not_fit_fail_that_image(scene):
    pytest.importorskip("clingo", reason="rules need the worker extra")
    settings = CountSettings(engine="classical", rules=":- candidate(7). reject(C, x) :- candidate(C).")
    requests = [CountRequest(name, scene(n), "disc", settings) for name, n in (("a", 8), ("b", 2))]
    many, few = count_batch(requests)
    assert (many.error.code, few.result.count) == (ErrorCode.INVALID_CONFIG, 0)


def test_free_text_is_refused_where_nothing_can_judge_it(scene, tmp_path, monkeypatch):
    monkeypatch.setenv("TALLY_WEIGHTS_DIR", str(tmp_path / "none"))
    settings = CountSettings(engine="classical", count_what="text")
    (outcome,) = count_batch([CountRequest("a", scene(3), "a left-handed thing", settings)])
    assert outcome.result is None
    assert outcome.error.code == ErrorCode.INVALID_CONFIG
    assert "open_clip" in str(outcome.error)


def test_a_synonym_is_counted_as_its_type(scene):
    types = [ObjectType("coin", ("penny",)), ObjectType("pill")]
    (outcome,) = count_batch([CountRequest("a", scene(3), "pennies", CLASSICAL)], object_types=types)
    assert outcome.result.by_type == {"coin": 3}


@pytest.mark.parametrize(("radius", "want", "other"), [(14, 64, 96), (20, 64, 96), (39, 96, 64)])
def test_patches_are_cut_as_large_as_the_bundled_network_needs(
    scene, tmp_path, monkeypatch, radius, want, other
):
    monkeypatch.setenv("TALLY_WEIGHTS_DIR", str(tmp_path / "none"))
    path = scene(5, radius)
    (outcome,) = count_batch([CountRequest("a", path, "disc", CLASSICAL)])
    (image,) = preprocess("a", path, CLASSICAL)
    batch = outcome.candidates.batch
    right, wrong = (
        classify([extract_patches(image, batch, CLASSICAL, side_px=side)])[0].embeddings
        for side in (want, other)
    )
    assert np.array_equal(outcome.candidates.classification.embeddings, right)
    assert not np.array_equal(right, wrong)


def test_without_overlays_only_the_thumbnail_is_made(scene):
    settings = CountSettings(engine="classical", visualize=False)
    (outcome,) = count_batch([CountRequest("a", scene(3), "disc", settings)])
    assert set(outcome.pictures) == {"thumbnail"}


def test_no_requests_are_no_outcomes():
    assert count_batch([]) == []
