"""Much smaller things beside those that a picture's scale shows: the bundled model, drawn pictures."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image as PillowImage

from pipeline.contract import CountRequest, CountSettings, Exemplar
from pipeline.run import count_batch
from pipeline.segment import mini, mini_smaller
from pipeline.segment.mini_maps import STRIDE_PX, Maps
from pipeline.segment.mini_peaks import Found
from pipeline.types import Image
from tests.drawn import discs, grid, ground

LARGE = grid(3, 2, 250, start=150)
SMALL = [(60 + 80 * i, 600 + 70 * j) for i in range(10) for j in range(4)]


@pytest.fixture(scope="module")
def engine():
    return mini.load()


def large_and(centres, radius=8):
    return discs(discs(ground(900, 900), LARGE, 70), centres, radius)


def segment(engine, pixels, *exemplars):
    return engine.segment([Image("drawn", pixels)], CountSettings(exemplars=exemplars))[0]


@pytest.mark.parametrize("radius", [6, 8, 11])
def test_things_of_two_very_different_sizes_are_all_found_once(engine, radius):
    found = segment(engine, large_and(SMALL, radius))
    small = found.area < 1000
    assert (small.sum(), (~small).sum()) == (len(SMALL), len(LARGE))
    assert len(found.scales) == 2


@pytest.mark.parametrize("specks", [SMALL[:3], [(x + d, y + d) for x, y in LARGE for d in (-25, 0, 25)]])
def test_a_few_specks_and_marks_upon_things_are_not_things(engine, specks):
    pixels = large_and(specks) if len(specks) == 3 else discs(large_and([]), specks, 8, (200, 190, 180))
    found = segment(engine, pixels)
    assert (len(found), len(found.scales)) == (len(LARGE), 1)


def test_a_scale_that_would_take_half_a_minute_is_not_looked_at(engine, monkeypatch):
    monkeypatch.setattr(mini_smaller, "MOST_INPUT_PX", 900 * 900 / 3)
    assert len(segment(engine, large_and(SMALL)).scales) == 1


def test_what_is_faint_is_told_of_one_scale_and_once(engine, monkeypatch):
    monkeypatch.setattr(mini, "_faint_of", lambda found, _: np.full((1, 4), found.maps.scale, np.float32))
    found = segment(engine, large_and(SMALL))
    assert found.faint[:, 2].tolist() == pytest.approx([min(found.scales)])


def at_scale(scale, *things):
    """Return things, each its radius in input px and its quality, in a picture of 1,000 x 1,000 px."""
    labels = np.zeros((round(500 * scale),) * 2, np.int32)
    for k, _ in enumerate(things):
        labels[20 + 8 * (k // 10), 20 + 8 * (k % 10)] = k + 1
    radius, quality = np.array(things, np.float32).T
    empty = np.zeros(labels.shape, np.float32)
    return Found(
        Maps(scale, empty, empty, empty), labels, np.pi * (radius / STRIDE_PX) ** 2, quality, quality
    )


@pytest.mark.parametrize(
    ("clear", "doubtful", "is_shown"),
    [
        ([(12, 0.9)] * 5, [], True),
        ([(12, 0.9)] * 4, [], False),
        ([(12, 0.9)] * 5, [(12, 0.5)] * 9, True),
        ([(12, 0.9)] * 5, [(12, 0.5)] * 11, False),
        ([(12, 0.9)] * 5, [(12, 0.3)] * 30, True),
        ([(3, 0.9)] * 5, [], False),
        ([(40, 0.9)] * 5, [], False),
    ],
    ids=["five", "four", "a third", "less", "all others too weak", "specks", "large at that scale"],
)
def test_enough_must_be_clear_and_of_a_size_that_tells(clear, doubtful, is_shown):
    scales = [0.25 * 2 ** (k / 2) for k in range(5)]
    coarse, fine = at_scale(scales[0], (12, 0.9)), at_scale(scales[4], *clear, *doubtful)
    coarse.labels[100:, 100:] = 1
    search = SimpleNamespace(
        scales=scales,
        at=lambda level: fine if level else coarse,
        samples=lambda level, away_from: [(fine, away_from)],
        input_px=lambda level: 1e6 * scales[level] ** 2,
    )
    assert (mini_smaller.smaller_beside(search, 0) is not None) == is_shown


def test_examples_say_which_of_the_sizes(engine):
    x, y = SMALL[0]
    boxes = [Exemplar((x - 9.0 + 80 * i, y - 9.0, 18.0, 18.0)) for i in range(3)]
    found = segment(engine, large_and(SMALL), *boxes)
    assert (found.area < 1000).sum() == len(SMALL)


def test_such_a_count_says_how_many_are_much_smaller(tmp_path):
    PillowImage.fromarray(large_and(SMALL)).save(path := tmp_path / "two.png")
    result = count_batch([CountRequest("two.png", str(path), "disc", CountSettings(engine="mini"))])[0].result
    assert result.count == len(SMALL) + len(LARGE)
    assert result.review_reason == "things of very different sizes: 40 of 46 are much smaller"
    assert sorted(group.count for group in result.groups) == [len(LARGE), len(SMALL)]
    largest = CountSettings(engine="mini", min_area_px=1000)
    only = count_batch([CountRequest("two.png", str(path), "disc", largest)])[0].result
    assert only.count == len(LARGE)
    assert "sizes" not in (only.review_reason or "")
