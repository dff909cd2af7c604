"""Counts of mini at the ends of its range, by the whole pipeline: a thousand things, and a few huge ones."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PillowImage

from pipeline.contract import CountRequest, CountSettings
from pipeline.run import count_batch
from tests.drawn import discs, grid, ground


@pytest.fixture
def counted(tmp_path):
    def count(pixels):
        PillowImage.fromarray(pixels).save(path := tmp_path / "drawn.png")
        settings = CountSettings(engine="mini", visualize=False)
        return count_batch([CountRequest("drawn", str(path), "object", settings)])[0]

    return count


def test_a_thousand_things_apart_are_all_counted(counted):
    shift = np.random.default_rng(0).integers(-3, 4, (33 * 33, 2))
    centres = (np.array(grid(33, 33, 24, start=28)) + shift).tolist()
    outcome = counted(discs(ground(824, 824), centres, 6))
    assert outcome.result.count == 1_089
    low, high = outcome.result.count_interval
    assert low <= 1_089 <= high


def test_two_things_of_a_third_of_the_picture_each_are_counted(counted):
    outcome = counted(discs(ground(400, 800), [(200, 200), (600, 200)], 180))
    assert outcome.result.count == 2
    np.testing.assert_allclose(outcome.candidates.batch.area, np.pi * 180**2, rtol=0.15)


def test_a_thing_of_nearly_half_the_picture_is_seen_and_asked_about(counted):
    outcome = counted(discs(ground(400, 600), [(300, 200)], 185))
    assert outcome.result.count == 0
    assert outcome.result.review_reason == "nothing is counted of what was found: 1 too large"
