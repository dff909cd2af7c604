"""Preparing pixels, tiles and scales for mini's network."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.segment import mini, mini_maps
from pipeline.segment.mini_input import stretch_contrast
from pipeline.segment.mini_search import COARSEST_PX, FINEST_SCALE, SMALL_INPUT_PX, pyramid
from tests.doubles.drawn_discs import drawn_discs


def test_a_dim_picture_is_stretched_to_the_full_range():
    dim = (drawn_discs(20) / 5 + 10).astype(np.uint8)
    stretched = stretch_contrast(dim)
    assert stretched.max() == 255
    assert stretched.min() == 0


def test_an_even_picture_keeps_its_noise_small():
    noise = np.random.default_rng(0).integers(120, 123, (90, 90, 3)).astype(np.uint8)
    assert np.ptp(stretch_contrast(noise)) <= 8 * 2


def test_tiles_give_the_maps_of_the_whole(monkeypatch):
    session = mini.load()._session
    image = drawn_discs(90, size_hw=(400, 520))
    whole = mini_maps.maps_at_scale(session, image, 1.0)
    monkeypatch.setattr(mini_maps, "TILE_PX", 160)
    tiled = mini_maps.maps_at_scale(session, image, 1.0)
    assert whole.foreground.shape == tiled.foreground.shape == (200, 260)
    assert np.mean((whole.foreground > 0.5) != (tiled.foreground > 0.5)) < 0.01


@pytest.mark.parametrize(
    ("size_hw", "finest"), [((64, 64), 4.0), ((480, 640), 4.0), ((1000, 1000), 8**0.5), ((8192, 8192), 2.0)]
)
def test_the_pyramid_reaches_from_half_the_picture_to_eight_px_and_less_in_small_ones(size_hw, finest):
    scales = pyramid(size_hw)
    assert scales[-1] == pytest.approx(finest)
    assert scales[-1] == FINEST_SCALE or scales[-1] ** 2 * size_hw[0] * size_hw[1] < 1.01 * SMALL_INPUT_PX
    assert COARSEST_PX <= scales[0] * max(size_hw) < 2 * COARSEST_PX
    np.testing.assert_allclose(np.diff(np.log2(scales)), 0.5)
