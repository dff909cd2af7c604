"""What the names that a person gives to groups say of what is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.contract import CountSettings, Exemplar, GroupChoice, ObjectType
from pipeline.count import count, summarise
from pipeline.types import Candidates, TypeProbs
from tests.candidates import PROVENANCE
from tests.unit.test_groups import BLUE, GREEN, RED, RIDGED, TRAY, chosen, summary, tray

WASHER = (ObjectType("part", ("washer", "ring washer")),)
"""What a tray is asked for, with its synonyms."""
THREE = (GroupChoice(0, name="nut"), GroupChoice(1, name="washer"), GroupChoice(2, name="screw"))


@pytest.mark.parametrize("word", ["part", "Parts", "washer", "WASHERS", "ring-washers"])
def test_a_group_with_the_name_asked_for_is_what_is_meant(word: str) -> None:
    settings = chosen(GroupChoice(0, name="nut"), GroupChoice(1, name=word))
    instances = count(TRAY, settings, WASHER)
    assert instances.rejections == ("other_type:nut",) * 9 + ("",) * 7 + ("other_type:group 3",) * 6
    result = summarise(TRAY, instances, settings, {}, PROVENANCE)
    assert (result.count, result.by_type, result.needs_review) == (7, {word: 7}, False)
    assert result.count_interval[1] < 9, "what is left out is not in doubt"
    assert [(g.id, g.count, g.left_out, g.counted) for g in result.groups] == [
        (1, 7, 0, True),
        (0, 0, 9, False),
        (2, 0, 6, False),
    ]


def test_a_request_in_free_text_is_named_in_the_singular_or_the_plural() -> None:
    for asked, word in (("flange washers", "Flange washer"), ("flange washer", "flange washers")):
        probs = TypeProbs((asked,), TRAY.type_probs.probs, "request")
        found = replace(TRAY, type_probs=probs)
        assert summary(found, chosen(GroupChoice(1, name=word))) == f"7 {word}"


@pytest.mark.parametrize(
    ("changed", "want"),
    [
        ((GroupChoice(2, name="screw", counted=True),), "7 washer, 6 screw"),
        ((GroupChoice(0, counted=True),), "9 part, 7 washer"),
        ((GroupChoice(1, name="washer", counted=False),), "9 nut, 6 screw"),
        ((GroupChoice(2, name="washers"),), "7 washer, 6 washers"),
        ((GroupChoice(2, name="washers"), GroupChoice(1, name="washer", counted=False)), "6 washers"),
    ],
)
def test_what_is_said_to_count_or_not_wins_over_the_name_asked_for(
    changed: tuple[GroupChoice, ...], want: str
) -> None:
    choices = {one.id: one for one in (*THREE, *changed)}
    assert _by_type(TRAY, chosen(*choices.values())) == want


def _by_type(found: Candidates, settings: CountSettings) -> str:
    result = summarise(found, count(found, settings, WASHER), settings, {}, PROVENANCE)
    return ", ".join(f"{n} {name}" for name, n in result.by_type.items())


def test_names_leave_nothing_out_where_everything_is_asked_for_or_examples_say_what_is_meant() -> None:
    assert _by_type(TRAY, chosen(*THREE)) == "7 washer"
    assert _by_type(TRAY, replace(chosen(*THREE), count_what="everything")) == "9 nut, 7 washer, 6 screw"
    shown = replace(chosen(*THREE), exemplars=(Exemplar(point_xy=(20, 20)),))
    assert _by_type(TRAY, shown) == "9 nut"
    unwanted = replace(chosen(*THREE), exemplars=(Exemplar(point_xy=(20, 20), positive=False),))
    assert _by_type(TRAY, unwanted) == "7 washer, 6 screw"
    probs = TypeProbs(("object",), TRAY.type_probs.probs, "request")
    assert summary(replace(TRAY, type_probs=probs), chosen(GroupChoice(1, name="object"))) == "22 object"


def test_a_group_with_the_name_asked_for_counts_though_the_classifier_calls_it_something_else() -> None:
    probs = np.array([[0.9, 0.1]] * 9 + [[0.1, 0.9]] * 13, np.float32)
    found = replace(TRAY, type_probs=TypeProbs(("part", "ring"), probs, "open_clip"))
    assert _by_type(found, CountSettings()) == "9 part"
    assert _by_type(found, chosen(GroupChoice(1, name="washers"))) == "7 washers"


def test_the_smaller_half_of_a_group_with_the_name_asked_for_is_left_out_until_it_is_said_to_count() -> None:
    whole = GroupChoice(0, name="part")
    assert _by_type(RIDGED, chosen(whole)) == "13 part"
    split = replace(whole, split=True)
    assert _by_type(RIDGED, chosen(split)) == "9 part"
    assert _by_type(RIDGED, chosen(split, GroupChoice(3, counted=True))) == "13 part"


def test_what_a_name_leaves_out_is_left_out_in_other_images_where_that_is_asked() -> None:
    named = (GroupChoice(0, file_id="a", name="nut"), GroupChoice(1, file_id="a", name="washer"))
    images = {"a": tray((9, RED, 8), (7, GREEN, 8)), "b": tray((5, RED, 8), (4, GREEN, 8), (3, BLUE, 8))}
    images["c"] = tray((6, RED, 8), (2, BLUE, 8))

    def in_image(name: str, *more: GroupChoice, scope: str = "job") -> dict[str, int]:
        settings = chosen(*named, *more, scope=scope)
        instances = count(images[name], settings, WASHER, others=images)
        return summarise(images[name], instances, settings, {}, PROVENANCE).by_type

    assert in_image("b", scope="image") == {"part": 12}
    assert in_image("b") == {"washer": 4}
    assert in_image("c") == {"part": 2}, "nuts are none, and nobody said anything of what is blue"
    own = GroupChoice(0, file_id="b", name="hex nut")
    assert in_image("b", own) == {"washer": 4}
    assert in_image("b", replace(own, counted=True)) == {"hex nut": 5, "washer": 4}
