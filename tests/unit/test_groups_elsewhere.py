"""What choices of groups in another photo leave open of this one."""

from __future__ import annotations

import pytest

from pipeline.contract import GroupChoice
from pipeline.count import summarise
from pipeline.ops.exemplars import SAME_LIGHT
from pipeline.types import Candidates
from tests.candidates import PROVENANCE, looking
from tests.unit.test_groups import BLUE, GREEN, RED, chosen, decided, tray


def doubt_of(
    here: Candidates, there: Candidates, *groups: GroupChoice
) -> tuple[int, tuple[int, int], str | None]:
    settings, others = chosen(*groups, scope="job"), {"here": here, "there": there}
    result = summarise(here, decided(here, settings, others), settings, {}, PROVENANCE)
    return result.count, result.count_interval, result.review_reason


@pytest.mark.parametrize(("apart", "is_little"), [(SAME_LIGHT - 0.05, False), (SAME_LIGHT + 0.05, True)])
def test_what_is_little_like_what_was_chosen_in_another_photo_is_asked_about(
    apart: float, is_little: bool
) -> None:
    there = tray((6, RED, 8), quality=0.99)
    here = tray((6, tuple(looking(apart)[0]), 8), quality=0.99)
    nuts = GroupChoice(0, "there", "nuts")
    asks = " look little like what was chosen in another photo: choose groups here"
    n, (low, _), why = doubt_of(here, there, nuts)
    assert (n, low == 0, why) == (6, is_little, f"6 of 6 objects{asks}" if is_little else None)
    assert doubt_of(here, there, GroupChoice(0, "there"))[2] is None, "nothing is said of half a group"
    own = GroupChoice(0, "here", "washers")
    assert doubt_of(here, there, nuts, own)[2] is None, "who chose here has seen it"
    some = tray((6, RED, 8), (4, tuple(looking(apart)[0]), 8), quality=0.99)
    left_out = doubt_of(some, tray((6, RED, 8), (4, BLUE, 8)), nuts)
    assert left_out[0] == 10
    assert (left_out[2] == f"4 of 10 objects{asks}") == is_little


@pytest.mark.parametrize(("apart", "is_little"), [(SAME_LIGHT - 0.05, False), (SAME_LIGHT + 0.05, True)])
def test_what_goes_as_elsewhere_though_little_alike_may_be_meant(apart: float, is_little: bool) -> None:
    there = tray((6, RED, 8), (6, GREEN, 8))
    here = tray((9, GREEN, 8), (4, tuple(looking(apart)[0]), 8), quality=0.99)
    dropped, kept = GroupChoice(0, "there", counted=False), GroupChoice(1, "there", "nuts")
    n, (_, high), why = doubt_of(here, there, dropped, kept)
    said = "4 things left out look little like what was chosen in another photo: choose groups here"
    assert (n, high >= 13, why) == (9, is_little, said if is_little else None)


def test_a_photo_without_what_was_named_in_another_one_is_asked_about() -> None:
    here, there = tray((6, BLUE, 8), quality=0.99), tray((6, RED, 8), (6, GREEN, 8))
    n, (low, _), why = doubt_of(here, there, GroupChoice(0, "there", "part"))
    assert (n, low) == (6, 0)
    assert why == "6 of 6 objects look little like what was chosen in another photo: choose groups here"
    assert doubt_of(here, there, GroupChoice(0, "there", "nuts"))[2] is None, "nobody named what is asked for"
    left_out = GroupChoice(0, "there", "part", counted=False)
    assert doubt_of(here, there, left_out)[2] is None, "what has the name is not what is meant"


def test_a_count_of_nothing_says_that_the_things_are_of_another_kind() -> None:
    found, settings = tray((6, BLUE, 8)), chosen(GroupChoice(0, counted=False))
    result = summarise(found, decided(found, settings), settings, {}, PROVENANCE)
    assert result.review_reason == "nothing is counted of what was found: 6 of another kind"
