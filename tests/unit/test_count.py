"""Every candidate is counted, or has a reason; a recount needs nothing but the candidates."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest

from pipeline.contract import CountSettings, Exemplar, ObjectType, Region, SettingsError
from pipeline.count import count, summarise
from pipeline.rules import program_sha256
from pipeline.segment.outline import candidates_from_masks
from pipeline.types import Candidates, Classification, RuleEffects, TypeProbs
from tests.candidates import PROVENANCE, disc, looking

SIZE = (100, 200)


def candidates(masks, quality=None, embeddings=None, types=("coin",), probs=None, stability=None):
    """Candidates in the order given: quality falls from 0.99 unless it is said."""
    n = len(masks)
    quality = quality if quality is not None else np.linspace(0.99, 0.9, n) if n else []
    batch = candidates_from_masks(SIZE, masks, quality, np.ones(n) if stability is None else stability)
    looks = np.ones((n, 3), np.float16) if embeddings is None else np.array(embeddings, np.float16)
    seen = Classification(np.zeros((n, 0), np.int16), np.zeros((n, 0), np.float32), looks, "handcrafted")
    chance = np.full((n, 1), 1.0) if probs is None else np.array(probs)
    return Candidates(batch, seen, TypeProbs(types, chance.astype(np.float32), "request"))


def box(x, y, w, h):
    mask = np.zeros(SIZE, bool)
    mask[y : y + h, x : x + w] = True
    return mask


ROW = [disc(SIZE, 20 + 40 * i, 50, 12) for i in range(4)]


def reasons(found, settings=None, **kwargs):
    return count(found, settings or CountSettings(), **kwargs).rejections


def test_separate_objects_are_all_counted():
    assert reasons(candidates(ROW)) == ("", "", "", "")


def test_no_candidates_is_a_count_of_zero():
    found = candidates([])
    result = summarise(found, count(found, CountSettings()), CountSettings(), {}, PROVENANCE)
    assert (result.count, result.count_interval, result.by_type, result.groups) == (0, (0, 0), {}, ())
    assert result.review_reason == "nothing was found"


def test_weak_and_unstable_candidates_say_so():
    found = candidates(ROW, quality=[0.9, 0.8, 0.7, 0.2], stability=[1, 0.3, 1, 1])
    assert reasons(found) == ("", "low_stability", "", "low_score")


def test_of_two_masks_of_one_object_the_stronger_stays():
    found = candidates([ROW[0], disc(SIZE, 22, 50, 12), ROW[1]])
    assert reasons(found) == ("", "duplicate_of:c0", "")


def test_what_a_suppressed_mask_overlaps_is_still_counted():
    chain = [disc(SIZE, 50, 50, 20), disc(SIZE, 58, 50, 20), disc(SIZE, 66, 50, 20)]
    assert reasons(candidates(chain)) == ("", "duplicate_of:c0", "")


def test_what_was_taken_for_a_double_of_a_dropped_whole_is_counted():
    halves = [box(10, 10, 20, 20), box(30, 10, 30, 20)]
    assert reasons(candidates([halves[0], box(10, 10, 50, 20), halves[1]])) == ("", "duplicate_of:c0", "")


def test_touching_objects_are_counted_apart():
    assert reasons(candidates([box(10, 10, 20, 20), box(30, 10, 20, 20)])) == ("", "")


WHOLE, PARTS = box(10, 10, 80, 40), [box(12, 12, 20, 30), box(60, 12, 20, 30)]


@pytest.mark.parametrize(
    ("granularity", "first", "want"),
    [
        ("auto", WHOLE, ("", "inside:c0", "inside:c0")),
        ("auto", PARTS[0], ("", "duplicate_of:c0", "")),
        ("whole", PARTS[0], ("inside:c1", "", "inside:c1")),
        ("part", WHOLE, ("duplicate_of:c1", "", "")),
    ],
    ids=["stronger whole", "stronger part", "wholes wanted", "parts wanted"],
)
def test_parts_and_wholes_follow_the_granularity(granularity, first, want):
    rest = [m for m in (WHOLE, *PARTS) if m is not first]
    assert reasons(candidates([first, *rest]), CountSettings(granularity=granularity)) == want


def test_overlap_thresholds_are_those_of_the_settings():
    pair = candidates([box(10, 10, 20, 20), box(20, 10, 20, 20)])  # IoU 1/3, IoS 1/2
    assert reasons(pair) == ("", "")
    assert reasons(pair, CountSettings(iou_threshold=0.3)) == ("", "duplicate_of:c0")
    assert reasons(pair, CountSettings(max_overlap=0.4)) == ("", "inside:c0")


def test_size_limits_come_from_settings_then_type_then_defaults():
    found = candidates([box(0, 0, 3, 3), box(10, 10, 10, 10), box(40, 0, 100, 99)])
    assert reasons(found) == ("too_small", "", "too_large")
    coin = ObjectType("coin", min_area_px=200)
    assert reasons(found, object_types=[coin]) == ("too_small", "too_small", "too_large")
    loose = CountSettings(min_area_px=9, max_area_px=9900)
    assert reasons(found, loose, object_types=[coin]) == ("", "", "")


def test_objects_at_the_border_are_left_out_on_request():
    found = candidates([box(0, 10, 10, 10), box(190, 10, 10, 10), box(50, 90, 10, 10), box(50, 50, 10, 10)])
    assert reasons(found) == ("",) * 4
    assert reasons(found, CountSettings(exclude_edge=True)) == ("edge", "edge", "edge", "")


def test_regions_include_and_exclude_by_centre():
    left = Region(((0, 0), (100, 0), (100, 100), (0, 100)))
    hole = Region(((0, 0), (40, 0), (40, 100), (0, 100)), include=False)
    found = candidates(ROW)
    assert reasons(found, CountSettings(roi=(left,))) == ("", "", "outside_roi", "outside_roi")
    assert reasons(found, CountSettings(roi=(left, hole)))[0] == "outside_roi"
    assert reasons(found, CountSettings(roi=(hole,))) == ("outside_roi", "", "", "")


def test_other_types_are_shown_but_not_counted():
    probs = [[0.9, 0.1], [0.2, 0.8], [0.9, 0.1], [0.4, 0.5]]
    found = candidates(ROW, types=("coin", "button"), probs=probs)
    assert reasons(found) == ("", "other_type:button", "", "other_type:button")
    everything = count(found, CountSettings(count_what="everything"))
    assert everything.rejections == ("",) * 4
    assert everything.type_ids.tolist() == [0, 1, 0, 1]
    unnamed = count(candidates(ROW, types=("object", "button"), probs=probs), CountSettings())
    assert unnamed.rejections == ("",) * 4
    np.testing.assert_array_equal(unnamed.scores, everything.scores)


def test_every_object_is_scored_and_reviewed_alike_however_it_is_asked_for():
    found = candidates(ROW, types=("object",), probs=[[0.95], [0.6], [0.9], [0.5]])
    unnamed, everything = (summary_of(found, CountSettings(count_what=w)) for w in ("type", "everything"))
    assert unnamed.count_interval[0] < unnamed.count
    assert unnamed == replace(everything, provenance=unnamed.provenance, timings_s=unnamed.timings_s)


def test_a_mask_of_another_type_does_not_suppress():
    pair = [ROW[0], disc(SIZE, 21, 50, 12)]
    found = candidates(pair, types=("coin", "button"), probs=[[0.1, 0.9], [0.9, 0.1]])
    assert reasons(found) == ("other_type:button", "")


RED, BLUE = [1, 0, 0], [0, 0, 1]


def test_exemplars_keep_what_looks_like_them():
    found = candidates(ROW, embeddings=[RED, BLUE, RED, BLUE])
    like_first = CountSettings(exemplars=(Exemplar(bbox_xywh=(8, 38, 25, 25)),))
    assert reasons(found, like_first) == ("", "unlike_exemplar", "", "unlike_exemplar")
    by_point = CountSettings(exemplars=(Exemplar(point_xy=(60, 50)),))
    assert reasons(found, by_point) == ("unlike_exemplar", "", "unlike_exemplar", "")


def test_negative_exemplars_take_away_what_looks_more_like_them():
    brownish = [0.9, 0, 0.35]
    found = candidates(ROW, embeddings=[RED, brownish, RED, [0.95, 0, 0.3]])
    wanted, unwanted = Exemplar(point_xy=(20, 50)), Exemplar(point_xy=(60, 50), positive=False)
    assert reasons(found, CountSettings(exemplars=(wanted,))) == ("",) * 4
    both = CountSettings(exemplars=(wanted, unwanted))
    assert reasons(found, both) == ("", "unlike_exemplar", "", "unlike_exemplar")


def test_negative_exemplars_alone_take_away_what_is_like_them():
    found = candidates(ROW, embeddings=[RED, BLUE, RED, BLUE], probs=[[0.6]] * 4)
    not_blue = Exemplar(point_xy=(60, 50), positive=False)
    decided = count(found, CountSettings(exemplars=(not_blue,)))
    assert decided.rejections == ("", "unlike_exemplar", "", "unlike_exemplar")
    np.testing.assert_array_equal(decided.scores, count(found, CountSettings()).scores)
    elsewhere = CountSettings(exemplars=(Exemplar(point_xy=(60, 50), positive=False, file_id="img_2"),))
    assert (
        reasons(candidates(ROW[::-1], embeddings=[BLUE] * 4), elsewhere, others={"img_2": found})
        == ("unlike_exemplar",) * 4
    )


def test_a_negative_exemplar_alone_takes_only_what_is_surely_like_it_where_nothing_parts_them():
    first = Exemplar(point_xy=(20, 50))
    found = candidates(ROW, embeddings=looking(0, 0.1, 0.9, 0.95))
    assert reasons(found, CountSettings(exemplars=(first,))) == ("",) * 4
    not_first = CountSettings(exemplars=(replace(first, positive=False),))
    assert reasons(found, not_first) == ("unlike_exemplar",) * 2 + ("",) * 2


def test_exemplars_set_the_size():
    found = candidates([*ROW[:3], disc(SIZE, 160, 50, 30)])
    assert reasons(found, CountSettings(exemplars=(Exemplar(point_xy=(20, 50)),)))[3] == "unlike_exemplar"


def test_exemplars_mean_the_kind_that_they_have_in_common():
    first, second, third = (Exemplar(point_xy=(20 + 40 * i, 50)) for i in range(3))
    found = candidates(ROW, embeddings=looking(0, 2, 0.4, inf))
    assert reasons(found, CountSettings(exemplars=(first,))) == ("", "unlike_exemplar", "", "unlike_exemplar")
    assert reasons(found, CountSettings(exemplars=(first, third)))[1] == "unlike_exemplar"
    assert reasons(found, CountSettings(exemplars=(first, second))) == ("", "", "", "unlike_exemplar")


def test_an_object_pointed_at_is_counted_however_weak():
    found = candidates(ROW, quality=[0.9, 0.8, 0.7, 0.1], stability=[1, 1, 1, 0.2])
    assert reasons(found)[3] == "low_score"
    assert reasons(found, CountSettings(exemplars=(Exemplar(point_xy=(140, 50)),)))[3] == ""


def test_exemplars_may_lie_in_another_image():
    other = candidates(ROW[:1], embeddings=[BLUE])
    found = candidates(ROW, embeddings=[RED, BLUE, RED, BLUE])
    settings = CountSettings(exemplars=(Exemplar(point_xy=(20, 50), file_id="img_2"),))
    want = ("unlike_exemplar", "", "unlike_exemplar", "")
    assert reasons(found, settings, others={"img_2": other}) == want
    with pytest.raises(SettingsError, match=r"config.exemplars\[0\].file_id.*img_2"):
        count(found, settings)


def test_where_nothing_is_like_the_exemplars_the_count_of_none_says_what_was_seen():
    other = {"img_2": candidates(ROW[:1], embeddings=[BLUE])}
    settings = CountSettings(exemplars=(Exemplar(point_xy=(20, 50), file_id="img_2"),))
    found = candidates(ROW, embeddings=[RED] * 4)
    result = summarise(found, count(found, settings, others=other), settings, {}, PROVENANCE)
    assert (result.count, result.review_reason) == (
        0,
        "nothing is as the examples say, 4 other things left out",
    )


def test_an_exemplar_that_meets_nothing_is_said_where_another_says_what_is_not_meant():
    found = candidates(ROW, embeddings=[RED, RED, BLUE, BLUE])
    exemplars = Exemplar(bbox_xywh=NOWHERE), Exemplar(point_xy=(20, 50), positive=False)
    settings = CountSettings(exemplars=exemplars)
    result = summarise(found, count(found, settings), settings, {}, PROVENANCE)
    assert (result.review_reason or "").endswith(": what is meant is not known from them")


NOWHERE = (100, 0, 10, 10)
FIRST = (8, 38, 24, 24)


@pytest.mark.parametrize(
    ("exemplars", "want"),
    [
        ([Exemplar(bbox_xywh=NOWHERE)], 1),
        ([Exemplar(bbox_xywh=NOWHERE, file_id="img_1")], 1),
        ([Exemplar(point_xy=(1e5, -3), file_id="img_1")], 1),
        ([Exemplar(bbox_xywh=NOWHERE, file_id="img_2")], 1),
        ([Exemplar(bbox_xywh=NOWHERE, file_id="img_1"), Exemplar(bbox_xywh=NOWHERE, file_id="img_2")], 2),
        ([Exemplar(bbox_xywh=FIRST, file_id="img_1"), Exemplar(bbox_xywh=NOWHERE, file_id="img_1")], 1),
        ([Exemplar(bbox_xywh=FIRST, file_id="img_1"), Exemplar(bbox_xywh=NOWHERE, file_id="img_2")], 0),
        ([Exemplar(bbox_xywh=NOWHERE, file_id="img_1", positive=False)], 0),
    ],
)
def test_exemplars_that_meet_nothing_ask_for_a_look_whichever_image_they_name(exemplars, want):
    found, other = candidates(ROW), candidates(ROW)
    settings = CountSettings(exemplars=tuple(exemplars))
    decided = count(found, settings, others={"img_1": found, "img_2": other})
    assert (decided.unmet_exemplars, len(decided.counted)) == (want, 4)
    reason = summarise(found, decided, settings, {}, PROVENANCE).review_reason
    n = sum(exemplar.positive for exemplar in exemplars)
    what = ": all that was found is counted" if want == n else ""
    assert reason == (f"{want} of {n} examples meet no object that the engine sees{what}" if want else None)


def test_groups_keep_their_ids_when_settings_change():
    small = [box(10 + 14 * i, 80, 8, 8) for i in range(5)]
    found = candidates([*ROW, *small], embeddings=[RED] * 4 + [BLUE] * 5)
    every = count(found, CountSettings())
    assert every.group_ids.tolist() == [1] * 4 + [0] * 5
    only_large = count(found, CountSettings(min_area_px=100))
    assert only_large.group_ids.tolist() == [1] * 4 + [-1] * 5


def summary_of(found, settings=None):
    settings = settings or CountSettings()
    return summarise(found, count(found, settings), settings, {"count": 0.1}, PROVENANCE)


def test_summary_counts_types_sizes_and_density():
    found = candidates([box(10, 10, 10, 10), box(50, 10, 20, 20)], quality=[0.9, 0.8])
    result = summary_of(found)
    assert (result.count, result.by_type, result.labelled_by) == (2, {"coin": 2}, "request")
    assert result.stats.median_area_px == 250
    assert result.stats.coverage_percent == pytest.approx(2.5)
    assert result.stats.density_per_megapixel == pytest.approx(100)
    assert result.average_confidence == pytest.approx(0.85)


def test_interval_follows_the_scores_and_holds_the_count():
    assert summary_of(candidates(ROW, quality=[1, 1, 1, 1])).count_interval == (4, 4)
    low, high = summary_of(candidates(ROW, quality=[0.5, 0.5, 0.5, 0.5])).count_interval
    assert low <= 1
    assert high == 4


def test_candidates_just_below_the_threshold_widen_the_interval():
    found = candidates(ROW, quality=[1, 1, 1, 0.24])
    assert summary_of(found).count_interval == (3, 4)
    noise = replace(found, batch=replace(found.batch, predicted_iou=np.float32([1, 1, 1, 0.1])))
    assert summary_of(noise).count_interval == (3, 3)


@pytest.mark.parametrize(
    ("masks", "quality", "reason"),
    [
        (ROW, [0.9, 0.5, 0.5, 0.5], "wide interval"),
        (ROW, [0.45] * 4, "wide interval"),
        ([box(10 + 15 * i, 10, 20, 20) for i in range(8)], [0.85] * 8, "touch or overlap"),
        ([box(50 * i, 0, 20, 20) for i in range(4)], [1] * 4, "cut by the image border"),
        ([box(5 + 12 * i, 10, 9, 9) for i in range(8)] + [box(5 + 40 * i, 40, 30, 30) for i in range(2)],
         [1] * 10, "much larger"),
        ([box(10 + 15 * i, 10, 6, 6) for i in range(8)], [1] * 8, "very small"),
    ],
)  # fmt: skip
def test_doubtful_counts_ask_for_a_look(masks, quality, reason):
    result = summary_of(candidates(masks, quality=quality))
    assert result.needs_review
    assert reason in result.review_reason


def test_kinds_that_the_request_cannot_tell_apart_ask_for_a_look():
    few = [box(10 + 40 * i, 10, 12, 12) for i in range(4)]
    sure = np.ones(8)
    found = candidates([*ROW, *few], quality=sure, embeddings=[RED] * 4 + [BLUE] * 4)
    assert summary_of(found).review_reason == "several kinds of things: 2 groups"
    by_exemplar = CountSettings(exemplars=(Exemplar(point_xy=(20, 50)),), count_what="exemplars")
    told = summary_of(found, by_exemplar)
    assert (told.count, told.needs_review) == (4, False)
    not_these = CountSettings(exemplars=(Exemplar(point_xy=(20, 50), positive=False),))
    assert (summary_of(found, not_these).count, summary_of(found, not_these).needs_review) == (4, False)
    named = replace(found, type_probs=replace(found.type_probs, labelled_by="open_clip"))
    assert not summary_of(named).needs_review


def test_so_few_that_the_many_may_have_been_missed_ask_for_a_look():
    assert summary_of(candidates(ROW[:2])).review_reason == "hardly anything was found: 2 objects"
    assert not summary_of(candidates(ROW[:3])).needs_review
    shown = CountSettings(exemplars=tuple(Exemplar(point_xy=(20 + 40 * i, 50)) for i in range(2)))
    assert "hardly" not in (summary_of(candidates(ROW[:2]), shown).review_reason or "")


def test_there_is_one_reason_and_the_cause_comes_before_the_interval():
    touching = [box(10 + 15 * i, 10, 20, 20) for i in range(8)]
    result = summary_of(candidates(touching, quality=[0.5] * 8))
    assert result.count_interval[1] - result.count_interval[0] > 4
    assert result.review_reason == "8 of 8 objects touch or overlap"


def test_touching_objects_that_are_sure_need_no_look():
    touching = [box(10 + 15 * i, 10, 20, 20) for i in range(8)]
    assert not summary_of(candidates(touching, quality=[1] * 8)).needs_review


def test_a_plain_count_needs_no_look():
    result = summary_of(candidates(ROW, quality=[1, 1, 1, 1]))
    assert (result.needs_review, result.review_reason) == (False, None)


def with_effects(found, program, **parts):
    n = len(found)
    made = {"boosts": np.zeros(n, np.float32), "rejected_by": ("",) * n, "relabels": ("",) * n} | parts
    return replace(found, rule_effects=RuleEffects(**made, program_sha256=program_sha256(program)))


RULES = "reject(C, tiny) :- area(C, A), A < 5."
BY_RULES = CountSettings(rules=RULES)


def test_rules_boost_reject_and_name_what_is_counted():
    found = candidates(ROW, quality=[0.9, 0.8, 0.3, 0.2], types=("coin", "token"), probs=[[1, 0]] * 4)
    found = with_effects(
        found,
        RULES,
        boosts=np.float32([0, 0, -0.2, 0.2]),
        rejected_by=("tiny", "", "", ""),
        relabels=("", "token", "", ""),
    )
    decided = count(found, BY_RULES)
    assert decided.rejections == ("rule:tiny", "", "low_score", "")
    assert decided.scores.tolist() == pytest.approx([0.9, 0.8, 0.1, 0.4])
    assert summary_of(found, BY_RULES).by_type == {"token": 1, "coin": 1}
    assert reasons(found) == ("", "", "", "low_score")  # with the rules switched off again


def test_what_a_rule_rejects_suppresses_nothing():
    pair = candidates([ROW[0], disc(SIZE, 22, 50, 12)])
    assert reasons(with_effects(pair, RULES, rejected_by=("tiny", "")), BY_RULES) == ("rule:tiny", "")


def test_other_rules_than_those_that_were_run_are_refused():
    found = candidates(ROW)
    for stored in (found, with_effects(found, "reject(C, x) :- area(C, 1).")):
        with pytest.raises(SettingsError, match=r"config\.symbolic_reasoning\.rules"):
            count(stored, BY_RULES)
