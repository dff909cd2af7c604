"""Which scale is chosen where clumps and what they are made of are both things the network knows."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.contract import CountSettings
from pipeline.segment import mini, mini_search
from pipeline.segment.mini_input import stretch_contrast
from pipeline.segment.mini_maps import Maps
from pipeline.segment.mini_peaks import MIN_QUALITY, Found
from pipeline.segment.mini_search import ScaleSearch
from pipeline.types import Image

CLUMPS, IN_CLUMP, RADIUS_PX = 36, 7, 9


def clumps_of_discs():
    """Return (1024, 1024, 3) RGB, clumps of seven discs that touch, well apart."""
    image = np.full((1024, 1024, 3), 215, np.uint8)
    around = np.linspace(0, 2 * np.pi, IN_CLUMP - 1, endpoint=False)
    middles = [(0.0, 0.0), *zip(np.cos(around), np.sin(around), strict=True)]
    for y in range(85, 1024, 170):
        for x in range(85, 1024, 170):
            for dx, dy in middles:
                at = round(x + 2.3 * RADIUS_PX * dx), round(y + 2.3 * RADIUS_PX * dy)
                cv2.circle(image, at, RADIUS_PX, (90, 60, 40), -1, cv2.LINE_AA)
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(cv2.GaussianBlur(image, (0, 0), 0.7) + noise, 0, 255).astype(np.uint8)


def test_a_clump_is_not_taken_for_one_thing_because_finer_scales_are_dear(monkeypatch):
    monkeypatch.setattr(mini_search, "DEAR_PX", 140_000)  # as all but the coarsest are in a large picture
    monkeypatch.setattr(mini_search, "CHEAP_PX", 140_000)
    search = ScaleSearch(mini.load()._session, stretch_contrast(clumps_of_discs()))
    assert (search.at(search.best()).quality >= MIN_QUALITY).sum() == CLUMPS * IN_CLUMP


def test_what_the_next_scales_show_is_told_where_they_were_looked_at():
    search = ScaleSearch(mini.load()._session, stretch_contrast(clumps_of_discs()))
    best = search.best()
    beside = [k for k in (best - 1, best + 1) if k in search._done]
    shown = tuple(int((search.at(k).quality >= MIN_QUALITY).sum()) for k in beside)
    assert beside
    assert search.n_beside(best) == shown
    image = Image("clumps", clumps_of_discs())
    assert mini.load().segment([image], CountSettings())[0].n_beside == shown
    fresh = ScaleSearch(search._session, stretch_contrast(clumps_of_discs()))
    assert fresh.n_beside(best) == ()


def shown_at(scale: float, n: int, cells: int, quality: float) -> Found:
    """Return n things of so many cells in a picture of 1,000 x 1,000 px."""
    side, values = round(500 * scale), np.full(n, 1, np.float32)
    empty = np.zeros((side, side), np.float32)
    maps = Maps(scale, empty, empty, empty)
    return Found(maps, empty.astype(np.int32), values * cells, values * np.float32(quality), values)


@pytest.mark.parametrize(
    ("n", "quality", "chosen"), [(8, 0.8, "colonies"), (8, 0.45, "dish"), (3, 0.8, "dish")]
)
def test_several_clear_things_win_over_the_one_that_holds_them(monkeypatch, n, quality, chosen):
    search = ScaleSearch(None, np.zeros((1000, 1000, 3), np.uint8))
    monkeypatch.setattr(mini_search, "CHEAP_PX", 10**9)
    dish, last = 1, len(search.scales) - 3

    def pieces_at(level: int) -> Found:
        scale = search.scales[level]
        side = round(500 * scale)
        if level == dish:
            return shown_at(scale, 1, round(0.4 * side**2), 0.8)
        return shown_at(scale, n if level == last else 0, 95, quality)

    monkeypatch.setattr(search, "pieces_at", pieces_at)
    assert search.best() == {"dish": dish, "colonies": last}[chosen]
