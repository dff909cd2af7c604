"""What is said of heaps and crowds, and when nothing is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.archive import read_candidates, write_candidates
from pipeline.contract import CountSettings, DensityEstimate, Exemplar, Provenance, Region
from pipeline.count import count, summarise
from pipeline.density import EVIDENCE, DensityModel, density_model, estimate_density, seen_in
from pipeline.segment.outline import stack_batches
from pipeline.types import Candidates, ShapeError
from tests.candidates import candidates_of, disc

SIZE_HW = (400, 400)
RADIUS = 12
CLEAR = [(x, y) for y in range(20, 200, 40) for x in range(20, 400, 40)]
"""50 centres in the upper half."""


def heap(n_faint: int, area: float = 450.0, step: float = 12.0) -> Candidates:
    """Return 50 clear discs in the upper half and ``n_faint`` faint ones in rows of 30 in the lower one."""
    found = candidates_of([disc(SIZE_HW, x, y, RADIUS) for x, y in CLEAR], SIZE_HW)
    row, column = np.divmod(np.arange(n_faint), 30)
    places = 10 + step * column, 260 + step * row, np.full(n_faint, area), np.full(n_faint, 0.3)
    faint = np.stack(places, axis=1).astype(np.float32)
    return replace(found, batch=replace(found.batch, faint=faint))


def estimate(found: Candidates, settings: CountSettings | None = None) -> DensityEstimate | None:
    settings = settings or CountSettings()
    return estimate_density(found, count(found, settings), settings, "mini")


def square(low: float, high: float) -> tuple[tuple[float, float], ...]:
    """Return the whole width of the picture between two heights."""
    return ((0.0, low), (400.0, low), (400.0, high), (0.0, high))


def sure(found: DensityEstimate | None) -> DensityEstimate:
    assert found is not None
    return found


def test_clear_things_get_no_estimate() -> None:
    assert estimate(heap(0)) is None


def test_few_faint_ones_among_many_clear_ones_get_no_estimate() -> None:
    assert estimate(heap(10)) is None


def test_a_heap_gets_an_estimate_that_holds_itself_and_lies_above_the_count() -> None:
    about = sure(estimate(heap(60)))
    assert about.low < about.count < about.high
    assert about.count > 50
    assert about.method == "heap"
    assert "60 of 110" in about.reason


def test_the_more_is_faint_the_more_there_is_and_the_wider_the_interval() -> None:
    some, many = sure(estimate(heap(60))), sure(estimate(heap(300)))
    assert many.count > 2 * some.count
    assert many.high - many.low > some.high - some.low


def test_the_interval_begins_at_the_count_or_below_for_nothing_may_be_hidden() -> None:
    assert sure(estimate(heap(300))).low == 50 < sure(estimate(heap(300))).count / 2


@pytest.mark.parametrize(("diameters", "is_heap"), [(1.05, True), (1.15, False)])
def test_faint_things_that_stand_apart_are_no_heap(diameters: float, is_heap: bool) -> None:
    apart = heap(60, step=diameters * np.sqrt(4 / np.pi * 450))
    assert (estimate(apart) is not None) == is_heap


def test_few_counted_things_tell_nothing_of_a_crowd() -> None:
    lone = candidates_of([disc(SIZE_HW, x, y, RADIUS) for x, y in CLEAR[:9]], SIZE_HW)
    found = replace(lone, batch=replace(lone.batch, faint=heap(90).batch.faint))
    assert estimate(found) is None


@pytest.mark.parametrize(("n_clear", "is_told"), [(11, False), (12, True)])
def test_few_seen_things_tell_nothing_of_a_crowd(n_clear: int, is_told: bool) -> None:
    few = candidates_of([disc(SIZE_HW, x, y, RADIUS) for x, y in CLEAR[:n_clear]], SIZE_HW)
    found = replace(few, batch=replace(few.batch, faint=heap(28).batch.faint))
    assert (estimate(found) is not None) == is_told


def test_an_estimate_near_the_count_says_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    for about, is_told in ((57.0, False), (58.0, True), (43.0, False), (42.0, True)):
        monkeypatch.setattr(DensityModel, "interval", lambda *_, best=about: (best, best - 5, best + 5))
        assert (estimate(heap(60)) is not None) == is_told


def test_what_is_typical_is_told_by_what_is_sure() -> None:
    settings = CountSettings()
    found = heap(70, area=200.0)
    crowd = seen_in(found, count(found, settings), settings)
    assert crowd is not None
    assert crowd.evidence[2] == pytest.approx(np.log((50 * 450 + 70 * 200) / 120 / 450), abs=0.02)


def test_an_engine_that_tells_nothing_of_the_faint_gets_no_estimate() -> None:
    found, settings = heap(60), CountSettings()
    assert density_model("sam") is None
    assert estimate_density(found, count(found, settings), settings, "sam") is None


def test_exemplars_get_no_estimate_because_the_faint_have_no_looks() -> None:
    settings = CountSettings(count_what="exemplars", exemplars=(Exemplar(bbox_xywh=(8, 8, 24, 24)),))
    assert estimate(heap(60), settings) is None


def test_a_region_without_the_heap_gets_no_estimate() -> None:
    assert estimate(heap(60), CountSettings(roi=(Region(square(0, 200)),))) is None
    assert estimate(heap(60), CountSettings(roi=(Region(square(250, 400), include=False),))) is None


def test_a_region_with_all_of_it_changes_nothing() -> None:
    assert estimate(heap(60), CountSettings(roi=(Region(square(0, 400)),))) == estimate(heap(60))


def test_a_threshold_takes_from_the_count_and_not_from_the_estimate() -> None:
    found = heap(60)
    quality = np.where(np.arange(50) < 15, 0.9, 0.5).astype(np.float32)
    found = replace(found, batch=replace(found.batch, predicted_iou=quality))
    strict = CountSettings(confidence_threshold=0.6)
    assert len(count(found, strict).counted) == 15
    assert sure(estimate(found, strict)).count == sure(estimate(found)).count


def test_size_limits_hold_for_what_is_faint() -> None:
    assert estimate(heap(60, area=5000.0), CountSettings(max_area_px=1000)) is None


def test_things_of_another_kind_among_the_candidates_take_their_share_of_the_faint() -> None:
    found = heap(60)
    probs = np.tile(np.array([[0.9, 0.0]], np.float32), (50, 1))
    probs[25:] = [0.0, 0.9]
    mixed = replace(found, type_probs=replace(found.type_probs, types=("coin", "stone"), probs=probs))
    settings = CountSettings()
    crowd = seen_in(mixed, count(mixed, settings), settings)
    assert crowd is not None
    assert crowd.share == 0.5
    assert crowd.n_seen == 85


def test_the_table_has_a_weight_for_each_name_of_the_evidence() -> None:
    model = density_model("mini")
    assert model is not None
    assert len(model.weights) == len(model.spread) == len(EVIDENCE)
    assert model.below < 0 < model.above


def test_the_result_states_the_estimate_beside_the_count_and_asks_for_a_look() -> None:
    found, settings = heap(60), CountSettings()
    made_by = Provenance("mini", "", None, None, "float32", "cpu", "", {})
    result = summarise(found, count(found, settings), settings, {}, made_by)
    about = sure(result.density_estimate)
    assert result.count == 50
    assert result.count_interval[0] <= 50
    assert result.review_reason is not None
    assert result.review_reason.startswith(f"a heap or crowd, about {about.count}")
    assert result.to_json()["density_estimate"]["low"] == about.low


def test_what_was_faint_survives_the_archive_and_the_estimate_with_it() -> None:
    found = heap(60)
    again = read_candidates(write_candidates(found))
    np.testing.assert_array_equal(again.batch.faint, found.batch.faint)
    assert estimate(again) == estimate(found)


def test_pages_below_each_other_shift_what_is_faint() -> None:
    batch = heap(2).batch
    both = stack_batches([batch, batch], (800, 400), [(0, 0), (0, 400)])
    assert both.faint[:, 1].tolist() == [260, 260, 660, 660]
    assert both.faint[:, 2].tolist() == [450] * 4


@pytest.mark.parametrize("faint", [np.zeros((3, 3), np.float32), np.zeros((3, 4), np.float64)])
def test_another_shape_of_the_faint_is_refused(faint: NDArray[np.float32]) -> None:
    with pytest.raises(ShapeError, match="faint"):
        replace(heap(0).batch, faint=faint)
