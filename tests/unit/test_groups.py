"""Groups that a person names, keeps or leaves out after the count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.contract import CountSettings, Exemplar, GroupChoice, Half, SettingsError
from pipeline.count import clustered, count, summarise
from pipeline.groups import group
from pipeline.ops.kinds import SIZE_WEIGHT
from pipeline.types import Candidates, Classification, Instances, TypeProbs
from tests.candidates import PROVENANCE, batch_of, disc, looking

SIZE = (200, 400)
RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)

Kind = tuple[int, tuple[float, float, float], float]
"""How many, how they look, their radius in px."""


def tray(*kinds: Kind, quality: float = 0.9, source: str = "handcrafted") -> Candidates:
    """Candidates in the order of the kinds, well apart, all of the one type "part"."""
    looks = [(look, radius) for n, look, radius in kinds for _ in range(n)]
    masks = [disc(SIZE, 20 + 40 * (i % 10), 20 + 40 * (i // 10), r) for i, (_, r) in enumerate(looks)]
    nothing = np.zeros((len(looks), 0), np.int16), np.zeros((len(looks), 0), np.float32)
    embeddings = np.array([look for look, _ in looks], np.float16).reshape(len(looks), 3)
    seen = Classification(*nothing, embeddings, source)
    probs = np.full((len(looks), 1), quality / 0.9, np.float32)
    return Candidates(batch_of(masks, SIZE), seen, TypeProbs(("part",), probs, "request"))


TRAY = tray((9, RED, 8), (7, GREEN, 8), (6, BLUE, 8))
"""Groups 0, 1 and 2: nuts, washers, screws."""


def chosen(*groups: GroupChoice, scope: str = "image") -> CountSettings:
    return CountSettings(groups=groups, groups_scope=scope)


def summary(found: Candidates, settings: CountSettings, others: dict[str, Candidates] | None = None) -> str:
    """Return "9 nuts, 7 washers" and so on."""
    result = summarise(found, decided(found, settings, others), settings, {}, PROVENANCE)
    return ", ".join(f"{n} {name}" for name, n in result.by_type.items())


def test_chosen_images_clustered_once_decide_as_each_count_alone_does() -> None:
    settings = chosen(
        GroupChoice(1, "a", "washers", counted=False), GroupChoice(0, "b", "screws"), scope="job"
    )
    images = {
        "a": tray((9, RED, 8), (7, GREEN, 8)),
        "b": tray((8, BLUE, 8), (3, RED, 8)),
        "c": tray((5, GREEN, 8), (4, BLUE, 8)),
    }
    once = clustered(settings, images)
    assert list(once) == ["a", "b"]
    for found in images.values():
        alone, shared = (count(found, settings, others=images, chosen_in=known) for known in (None, once))
        assert (alone.rejections, alone.labels) == (shared.rejections, shared.labels)
    assert summary(images["c"], settings, images) == "4 screws"


def decided(
    found: Candidates, settings: CountSettings, others: dict[str, Candidates] | None = None
) -> Instances:
    return count(found, settings, others=others)


def test_named_groups_are_counted_under_their_names() -> None:
    named = chosen(GroupChoice(0, name="nuts"), GroupChoice(1, name="washers"), GroupChoice(2, name="screws"))
    assert summary(TRAY, CountSettings()) == "22 part"
    assert summary(TRAY, named) == "9 nuts, 7 washers, 6 screws"
    result = summarise(TRAY, decided(TRAY, named), named, {}, PROVENANCE)
    assert [(g.id, g.name, g.count) for g in result.groups] == [
        (0, "nuts", 9),
        (1, "washers", 7),
        (2, "screws", 6),
    ]
    assert not result.needs_review, "they are several kinds, and a person said so"


def test_two_groups_of_one_name_add_up() -> None:
    assert (
        summary(TRAY, chosen(GroupChoice(1, name="hardware"), GroupChoice(2, name="hardware")))
        == "13 hardware, 9 part"
    )


def test_a_group_that_is_left_out_says_so_and_the_count_falls_by_it() -> None:
    settings = chosen(GroupChoice(1, name="washers", counted=False), GroupChoice(2, counted=False))
    instances = decided(TRAY, settings)
    assert instances.rejections == ("",) * 9 + ("other_type:washers",) * 7 + ("other_type:group 3",) * 6
    assert instances.group_ids.tolist() == [0] * 9 + [1] * 7 + [2] * 6
    result = summarise(TRAY, instances, settings, {}, PROVENANCE)
    assert [(g.id, g.count, g.left_out, g.counted) for g in result.groups] == [
        (0, 9, 0, True),
        (1, 0, 7, False),
        (2, 0, 6, False),
    ]


@pytest.mark.parametrize("counted", [True, False])
def test_group_ids_do_not_depend_on_what_is_kept(counted: bool) -> None:
    before = decided(TRAY, CountSettings()).group_ids
    for i in range(3):
        after = decided(TRAY, chosen(GroupChoice(i, name="x", counted=counted))).group_ids
        assert np.array_equal(before, after)


def test_doubtful_members_of_a_group_that_is_left_out_do_not_widen_the_interval() -> None:
    doubtful = tray((9, RED, 8), (7, GREEN, 8))
    probs = doubtful.type_probs.probs.copy()
    probs[-3:] = 0.25
    found = Candidates(doubtful.batch, doubtful.classification, TypeProbs(("part",), probs, "request"))
    settings = chosen(GroupChoice(1, counted=False))
    instances = decided(found, settings)
    assert instances.rejections[-3:] == ("other_type:group 2",) * 3
    result = summarise(found, instances, settings, {}, PROVENANCE)
    assert (result.count, result.count_interval[1], result.groups[1].left_out) == (9, 9, 4)


def test_a_group_that_is_kept_counts_though_it_is_unlike_the_exemplar() -> None:
    exemplar = (Exemplar(point_xy=(20, 20)),)
    assert summary(TRAY, CountSettings(exemplars=exemplar)) == "9 part"
    for kept, total in ((True, "9 part, 7 washers"), (None, "9 part"), (False, "9 part")):
        both = CountSettings(exemplars=exemplar, groups=(GroupChoice(1, name="washers", counted=kept),))
        assert summary(TRAY, both) == total, "a name alone says nothing of what is counted"


def test_a_group_that_is_kept_counts_though_the_classifier_calls_it_something_else() -> None:
    probs = np.array([[0.9, 0.1]] * 9 + [[0.1, 0.9]] * 13, np.float32)
    found = Candidates(TRAY.batch, TRAY.classification, TypeProbs(("nut", "ring"), probs, "open_clip"))
    assert summary(found, CountSettings()) == "9 nut"
    assert summary(found, chosen(GroupChoice(1, name="washers", counted=True))) == "9 nut, 7 washers"


def test_a_group_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(SettingsError, match="want one of the groups 0 to 2 of this image, got 3") as caught:
        decided(TRAY, chosen(GroupChoice(0), GroupChoice(3)))
    assert caught.value.details[0]["field"] == "config.groups[1].id"
    with pytest.raises(SettingsError, match="want no group here, got 0"):
        decided(tray(), chosen(GroupChoice(0)))


def test_a_choice_in_another_image_means_nothing_here_unless_it_is_for_the_job() -> None:
    other = {"a": tray((4, BLUE, 8)), "b": TRAY}
    drop = GroupChoice(0, file_id="a", counted=False)
    assert summary(TRAY, chosen(drop), other) == "22 part"
    assert summary(TRAY, chosen(drop, scope="job"), other) == "16 part"


def test_things_alike_in_other_images_go_the_same_way_and_unknown_things_stay() -> None:
    other = {"a": tray((5, GREEN, 8), (4, BLUE, 8), (3, RED, 8))}
    choices = (
        GroupChoice(0, file_id="a", name="washers"),
        GroupChoice(1, file_id="a", name="screws", counted=False),
    )
    settings = chosen(*choices, scope="job")
    assert summary(TRAY, settings, other) == "9 part, 7 washers"
    result = summarise(TRAY, decided(TRAY, settings, other), settings, {}, PROVENANCE)
    assert [(g.name, g.count, g.left_out) for g in result.groups] == [
        ("group 1", 9, 0),
        ("washers", 7, 0),
        ("screws", 0, 6),
    ]
    large = tray((4, (0.6, 0.6, 0.6), 16))
    assert summary(large, settings, other) == "4 part", "like nothing that was chosen"


@pytest.mark.parametrize(("apart", "n_left"), [(0.9, 0), (1.1, 3)], ids=["within reach", "beyond it"])
def test_what_is_as_near_as_one_kind_goes_the_same_way_in_other_images(apart: float, n_left: int) -> None:
    chosen_in, here = tray((3, RED, 8)), tray((3, tuple(looking(apart)[0]), 8))
    settings = chosen(GroupChoice(0, file_id="a", counted=False), scope="job")
    assert len(decided(here, settings, {"a": chosen_in}).counted) == n_left


def test_a_group_that_is_left_out_in_part_is_called_what_is_counted_of_it() -> None:
    """Seven here are most like nuts, which were left out, two like washers, and they form one group."""
    there = tray((2, RED, 8), (2, tuple(looking(1.2)[0]), 8))
    here = tray((7, RED, 8), (2, tuple(looking(0.8)[0]), 8))
    nuts, washers = GroupChoice(0, "a", "nuts", counted=False), GroupChoice(1, "a", "washers")
    settings = chosen(nuts, washers, scope="job")
    result = summarise(here, decided(here, settings, {"a": there}), settings, {}, PROVENANCE)
    assert [(g.name, g.count, g.left_out) for g in result.groups] == [("washers", 2, 7)]
    assert result.by_type == {"washers": 2}


def test_how_much_larger_things_are_parts_them_too() -> None:
    assert decided(tray((4, RED, 8), (5, RED, 7)), CountSettings()).group_ids.tolist() == [0] * 9
    sized = tray((4, RED, 19), (5, RED, 2))
    assert SIZE_WEIGHT * np.log(sized.batch.area[0] / sized.batch.area[-1]) < 1
    assert decided(sized, CountSettings()).group_ids.tolist() == [1] * 4 + [0] * 5, "by the gap"


def test_what_is_said_of_a_group_itself_wins_over_what_is_said_elsewhere() -> None:
    other = {"a": tray((4, BLUE, 8)), "b": TRAY}
    settings = chosen(
        GroupChoice(0, file_id="a", counted=False), GroupChoice(2, file_id="b", name="screws"), scope="job"
    )
    assert summary(TRAY, settings, other) == "16 part, 6 screws"


def test_candidates_that_another_classifier_described_cannot_be_compared() -> None:
    settings = chosen(GroupChoice(0, file_id="a", counted=False), scope="job")
    for others in ({}, {"a": tray((4, BLUE, 8), source="resnet50")}):
        with pytest.raises(SettingsError, match=r"config\.groups\[0\]\.file_id.*described alike, got a"):
            decided(TRAY, settings, others)


def test_an_image_without_candidates_takes_no_harm_from_choices_elsewhere() -> None:
    settings = chosen(GroupChoice(0, file_id="a", counted=False), scope="job")
    assert summary(tray(), settings, {"a": TRAY}) == ""


def test_some_that_are_unlike_most_ask_for_a_look_and_widen_the_interval() -> None:
    found = tray((10, RED, 8), (2, BLUE, 8), quality=0.99)
    result = summarise(found, decided(found, CountSettings()), CountSettings(), {}, PROVENANCE)
    assert result.review_reason == "2 of 12 objects look unlike the others: they may not be meant"
    assert (result.count, result.count_interval[0]) == (12, 10)
    left_out = chosen(GroupChoice(1, counted=False))
    settled = summarise(found, decided(found, left_out), left_out, {}, PROVENANCE)
    assert (settled.count, settled.needs_review) == (10, False)


def test_one_that_is_unlike_the_others_asks_for_nothing() -> None:
    found = tray((11, RED, 8), (1, BLUE, 8), quality=0.99)
    result = summarise(found, decided(found, CountSettings()), CountSettings(), {}, PROVENANCE)
    assert (result.count, result.needs_review) == (12, False)


def test_a_choice_leaves_doubts_about_other_images_as_they_are() -> None:
    here, there = tray((9, RED, 8), (7, BLUE, 8)), tray((5, RED, 8), (4, GREEN, 8))
    others = {"a": here, "b": there}

    def asks(settings: CountSettings) -> str | None:
        found = decided(here, settings, others)
        return summarise(here, found, settings, {}, PROVENANCE).review_reason

    doubt = asks(CountSettings())
    assert doubt == "several kinds of things: 2 groups"
    assert asks(chosen(GroupChoice(0, file_id="b", name="nuts"))) == doubt
    assert asks(chosen(GroupChoice(1, file_id="b", counted=False), scope="job")) == doubt
    assert asks(chosen(GroupChoice(0, file_id="b", name="nuts"), scope="job")) is None
    assert asks(chosen(GroupChoice(0, file_id="a", name="nuts"))) is None


RIDGED = tray((9, RED, 8), (4, tuple(looking(0.3)[0]), 8), (6, GREEN, 8))
"""Group 0, with the halves 2 and 3: nuts, and four that differ a little. Group 1: washers."""
SPLIT = GroupChoice(0, split=True)


def test_a_group_that_is_split_falls_in_two_that_are_groups_themselves() -> None:
    assert decided(RIDGED, CountSettings()).group_ids.tolist() == [0] * 13 + [1] * 6
    settings = chosen(GroupChoice(3, name="ridged nuts"), SPLIT)
    instances = decided(RIDGED, settings)
    assert instances.group_ids.tolist() == [2] * 9 + [3] * 4 + [1] * 6
    result = summarise(RIDGED, instances, settings, {}, PROVENANCE)
    assert [(g.id, g.name, g.count, g.part_of) for g in result.groups] == [
        (2, "group 1.1", 9, 0),
        (1, "group 2", 6, None),
        (3, "ridged nuts", 4, 0),
    ]
    assert summary(RIDGED, chosen(SPLIT, GroupChoice(2, counted=False))) == "10 part"


def test_what_a_split_would_give_is_told_where_the_halves_differ() -> None:
    unlike = tray((9, RED, 8), (2, tuple(looking(0.7)[0]), 8), (6, GREEN, 8))

    def told(settings: CountSettings) -> dict[int, tuple[Half, Half] | None]:
        result = summarise(unlike, decided(unlike, settings), settings, {}, PROVENANCE)
        return {g.id: g.halves for g in result.groups}

    red, other = (tuple(f"c{i}" for i in ids) for ids in (range(9), range(9, 11)))
    halves = Half(2, "group 1.1", red, larger=True), Half(3, "group 1.2", other, larger=False)
    assert told(CountSettings()) == {0: halves, 1: None}
    assert told(chosen(GroupChoice(0, counted=False)))[0] == halves
    assert told(chosen(SPLIT)) == {1: None, 2: None, 3: None}
    assert decided(unlike, chosen(SPLIT, GroupChoice(3, name="x"))).group_ids.tolist()[8:12] == [2, 3, 3, 1]
    assert decided(RIDGED, CountSettings()).halves == {}


def test_no_half_is_told_of_that_nothing_shows() -> None:
    """The two that look otherwise are too faint to be counted."""
    kinds = (9, RED, 8), (2, tuple(looking(0.7)[0]), 8)
    batch = tray(*kinds).batch
    faint = replace(batch, predicted_iou=np.array([0.9] * 9 + [0.2] * 2, np.float32))
    assert list(decided(tray(*kinds), CountSettings()).halves) == [0]
    assert decided(replace(tray(*kinds), batch=faint), CountSettings(confidence_threshold=0.5)).halves == {}


def test_the_half_that_the_name_goes_with_is_the_one_told_of_as_the_larger_though_less_of_it_counts() -> None:
    kinds = tray((9, RED, 8), (2, tuple(looking(0.7)[0]), 8))
    faint = replace(kinds.batch, predicted_iou=np.array([0.9] + [0.45] * 8 + [0.9] * 2, np.float32))
    found = replace(kinds, batch=faint)
    told = decided(found, CountSettings(confidence_threshold=0.5)).halves[0]
    assert [(len(half.objects), half.larger) for half in told] == [(1, True), (2, False)]
    split = group(found, chosen(replace(SPLIT, name="nuts")), {})
    assert split.names[told[0].id] == "nuts"


@pytest.mark.parametrize(
    ("choices", "want"),
    [
        ((replace(SPLIT, counted=False),), "6 part"),
        ((replace(SPLIT, name="nuts"),), "10 part, 9 nuts"),
        ((replace(SPLIT, name="nuts", counted=False), GroupChoice(3)), "10 part"),
        ((replace(SPLIT, name="nuts"), GroupChoice(2, name="hex nuts")), "10 part, 9 hex nuts"),
        ((replace(SPLIT, name="nuts"), GroupChoice(2)), "19 part"),
        ((replace(SPLIT, name="nuts", counted=False), GroupChoice(2, split=True)), "6 part"),
        ((replace(SPLIT, counted=False), GroupChoice(2, split=True, counted=True)), "15 part"),
    ],
    ids=["dropped", "named", "one half kept", "renamed", "unnamed", "split again", "one kept, split again"],
)
def test_what_is_said_of_a_group_holds_for_its_halves(choices: tuple[GroupChoice, ...], want: str) -> None:
    assert summary(RIDGED, chosen(*choices)) == want


def test_a_kept_group_stays_kept_when_it_is_split() -> None:
    found = group(RIDGED, chosen(replace(SPLIT, counted=True)), {})
    assert found.kept.tolist() == [True] * 13 + [False] * 6


def test_the_ids_of_halves_do_not_depend_on_what_else_is_split() -> None:
    for others in ((), (GroupChoice(1, split=True),), (GroupChoice(2, split=True),)):
        ids = decided(RIDGED, chosen(*others, SPLIT)).group_ids
        assert set(ids[9:13].tolist()) == {3}
        assert set(ids[:9].tolist()) == ({6, 7} if others[:1] == (GroupChoice(2, split=True),) else {2})


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ((SPLIT, GroupChoice(0, name="nuts")), "or a half of one that is split, got 0"),
        ((SPLIT, GroupChoice(4)), "or a half of one that is split, got 4"),
        ((GroupChoice(2, split=True),), "or a half of one that is split, got 2"),
    ],
    ids=["the whole", "a half of another", "not yet there"],
)
def test_a_choice_for_what_is_not_there_once_groups_are_split_is_named(
    choices: tuple[GroupChoice, ...], message: str
) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        decided(RIDGED, chosen(*choices))
    assert caught.value.details[0]["field"] == f"config.groups[{len(choices) - 1}].id"


def test_one_thing_cannot_be_split() -> None:
    with pytest.raises(SettingsError, match="want a group of things that differ to split, got 0"):
        decided(tray((1, RED, 8)), chosen(SPLIT))


def test_where_nothing_was_found_there_is_no_group_to_split() -> None:
    with pytest.raises(SettingsError, match="want no group here, got 0"):
        decided(tray(), chosen(SPLIT))


def test_what_is_like_a_half_in_other_images_goes_its_way() -> None:
    here = tray((5, tuple(looking(0.3)[0]), 8), (4, RED, 8))
    half = GroupChoice(3, file_id="a", name="ridged nuts", counted=False)
    settings = chosen(GroupChoice(0, file_id="a", split=True), half, scope="job")
    others = {"a": RIDGED, "b": here}
    assert summary(here, settings, others) == "4 part"
    assert len(decided(RIDGED, settings, others).counted) == 15
