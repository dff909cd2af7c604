"""Counts that ask for a look: more to see at another scale or on other pages, or limits kept all out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.contract import CountSettings, Exemplar, Region
from pipeline.segment.outline import join_pages
from pipeline.types import CandidateBatch, Candidates, Classification, TypeProbs
from tests.unit.test_count import BY_RULES, ROW, RULES, box, candidates, reasons, summary_of, with_effects

N = len(ROW)


SHOWN = CountSettings(exemplars=tuple(Exemplar(point_xy=(20 + 40 * i, 50)) for i in range(2)))


def seen_with(n_beside: tuple[int, ...], scales: tuple[float, ...] = (1.0,)):
    found = candidates(ROW)
    return replace(found, batch=replace(found.batch, n_beside=n_beside, scales=scales))


@pytest.mark.parametrize("n_beside", [(), (N,), (N - 1, N + 1)])
def test_scales_that_show_about_as_much_ask_for_no_look(n_beside: tuple[int, ...]) -> None:
    assert not summary_of(seen_with(n_beside)).needs_review


@pytest.mark.parametrize(("n_beside", "other"), [((N - 3, N), 1), ((N + 1, N + 5), 9), ((2,), 2)])
def test_the_scale_that_disagrees_most_is_named(n_beside: tuple[int, ...], other: int) -> None:
    reason = summary_of(seen_with(n_beside)).review_reason
    assert reason == f"a closer or wider look shows {other} things, not {N}"


def test_examples_say_which_scale_is_meant() -> None:
    assert "look shows" not in (summary_of(seen_with((1,)), SHOWN).review_reason or "")


@pytest.mark.parametrize("settings", [CountSettings(), SHOWN], ids=["named", "shown"])
def test_what_the_network_does_not_see_is_asked_about(settings: CountSettings) -> None:
    reason = summary_of(seen_with((0,), scales=()), settings).review_reason
    assert reason == "the network sees nothing here: counted by colour and edges alone"


def test_pages_that_were_not_looked_at_are_told_before_all_else() -> None:
    found = seen_with((1,))
    found = replace(found, batch=replace(found.batch, pages_left=2))
    assert summary_of(found).review_reason == "only the first of 3 pages was counted"


def test_what_the_border_of_a_page_cuts_is_cut() -> None:
    whole = [box(50, 20, 10, 10), box(50, 70, 10, 10), box(150, 20, 10, 10)]
    cut = [box(50, 40, 10, 10), box(90, 50, 10, 10), box(110, 60, 10, 10)]
    found = candidates([*whole, *cut])
    assert not reasons(found, CountSettings(exclude_edge=True)).count("edge")
    found = replace(found, batch=replace(found.batch, page_sizes_hw=((50, 200), (50, 120))))
    assert reasons(found, CountSettings(exclude_edge=True)) == ("", "", "", "edge", "edge", "edge")
    assert summary_of(found).review_reason == "3 of 6 objects are cut by the image border"


def test_a_page_on_which_nothing_was_found_asks_for_a_look_where_no_regions_leave_it_out() -> None:
    found = candidates([box(10 + 30 * i, 20, 10, 10) for i in range(6)])
    assert summary_of(found).review_reason is None
    found = replace(found, batch=replace(found.batch, page_sizes_hw=((50, 200), (25, 200), (25, 200))))
    assert summary_of(found).review_reason == "nothing was found on 2 of 3 pages"
    upper = Region(((0, 0), (200, 0), (200, 50), (0, 50)))
    assert summary_of(found, CountSettings(roi=(upper,))).review_reason is None


def test_what_the_next_scales_show_of_pages_adds_up() -> None:
    pages = [replace(candidates(ROW).batch, n_beside=beside) for beside in ((N - 2, N), (N + 1,), ())]
    assert join_pages(pages).n_beside == (3 * N - 2, 3 * N + 1)
    assert join_pages([candidates(ROW).batch] * 2).n_beside == ()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (CountSettings(min_area_px=500), "too small"),
        (CountSettings(max_area_px=50), "too large"),
        (CountSettings(roi=(Region(((0, 90), (9, 90), (9, 99), (0, 99))),)), "outside of the regions"),
        (CountSettings(confidence_threshold=1), "less sure than asked for"),
        (replace(SHOWN, confidence_threshold=1), "less sure than asked for"),
    ],
)
def test_a_count_of_zero_tells_of_the_limits_that_kept_everything_out(
    settings: CountSettings, why: str
) -> None:
    result = summary_of(candidates(ROW), settings)
    assert (result.count, result.review_reason) == (0, f"nothing is counted of what was found: {N} {why}")


def test_a_count_of_zero_says_that_rules_left_all_out() -> None:
    found = with_effects(candidates(ROW), RULES, rejected_by=("tiny",) * 3 + ("odd",))
    reason = summary_of(found, BY_RULES).review_reason
    assert reason == "nothing is counted of what was found: 4 left out by the rules"


def many(n: int) -> Candidates:
    """Return ``n`` squares of 9 px a side, 72 in a row, well apart and all alike."""
    height, side, step = 800, 9, 11
    x_min, y_min = step * (np.arange(n) % 72), step * (np.arange(n) // 72)
    body = [side, *[height - side, side] * (side - 1)]
    runs = [[before, *body, height**2 - before - sum(body)] for before in (x_min * height + y_min).tolist()]
    offsets = np.arange(n + 1) * len(runs[0])
    boxes = np.stack([x_min, y_min, x_min + side, y_min + side], axis=1).astype(np.float32)
    area, sure = np.full(n, side**2, np.int64), np.ones(n, np.float32)
    no_outline = np.zeros((0, 2), np.float32), np.zeros(n + 1, np.int64)
    batch = CandidateBatch(
        (height, height), np.array(runs, np.uint32).ravel(), offsets, boxes, area, sure, sure, *no_outline
    )
    nothing = np.zeros((n, 0), np.int16), np.zeros((n, 0), np.float32), np.ones((n, 3), np.float16)
    return Candidates(
        batch, Classification(*nothing, "handcrafted"), TypeProbs(("coin",), sure[:, None], "request")
    )


@pytest.mark.parametrize(("n", "reason"), [(5000, None), (5001, "too dense: 5001 objects")])
def test_more_objects_than_anybody_checks_ask_for_a_look(n: int, reason: str | None) -> None:
    result = summary_of(many(n))
    assert (result.count, result.needs_review, result.review_reason) == (n, reason is not None, reason)
