"""What is not meant is no doubtful object, however low its score."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.contract import CountSettings, Exemplar, Region
from tests.candidates import disc
from tests.unit.test_count import ROW, SIZE, candidates, reasons, summary_of

LEFT = (Region(((0, 0), (70, 0), (70, 100), (0, 100))),)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (CountSettings(roi=LEFT), "outside_roi"),
        (CountSettings(min_area_px=300), "too_small"),
        (CountSettings(max_area_px=450), "too_large"),
        (CountSettings(exemplars=(Exemplar(point_xy=(20, 50)),)), "unlike_exemplar"),
    ],
)
def test_what_is_not_meant_is_no_doubtful_object_and_widens_no_interval(settings, why):
    radius = {"too_small": (12, 6), "too_large": (12, 18)}.get(why, (12, 12))
    masks = [disc(SIZE, 20 + 40 * i, 50, radius[i > 1]) for i in range(4)]
    found = candidates(masks, quality=[0.9, 0.8, 0.2, 0.2], embeddings=[[1, 0], [1, 0], [0, 1], [0, 1]])
    for threshold in (0.25, 0.85):
        decided = replace(settings, confidence_threshold=threshold)
        assert reasons(found, decided)[2:] == (why, why)
        assert summary_of(found, decided).count_interval[1] == 2


def test_a_doubtful_thing_of_another_type_may_not_be_meant():
    probs = [[0.9, 0], [0.9, 0], [0, 0.2], [0, 0.2]]
    found = candidates(ROW, quality=[1] * 4, types=("coin", "token"), probs=probs)
    assert reasons(found) == ("", "", "other_type:token", "other_type:token")
    assert summary_of(found).count_interval[1] == 2
