"""Where mini sees nothing: what colour and edges show is taken only where it is surely things of a size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.segment.mini_plain import plain_things
from pipeline.types import Image
from tests.drawn import DARK, ground

SIDE = 40


def drawn(*boxes):
    """Return a picture with dark boxes: x, y, width, height."""
    image = ground()
    for x, y, width, height in boxes:
        cv2.rectangle(image, (x, y), (x + width - 1, y + height - 1), DARK, -1)
    return Image("drawn", image)


def test_things_of_a_size_are_taken_and_said_to_be_seen_by_nothing_else():
    found = plain_things(drawn(*((x, 100, SIDE, SIDE) for x in range(50, 500, 100))))
    assert found is not None
    assert (len(found), found.n_beside) == (5, (0,))
    assert found.area == pytest.approx(SIDE * SIDE, rel=0.05)


def test_one_thing_is_not_taken():
    assert plain_things(drawn((200, 100, SIDE, SIDE))) is None


def test_things_of_several_sizes_are_not_taken():
    assert plain_things(drawn((50, 50, 40, 40), (200, 50, 60, 60), (400, 50, 90, 90))) is None


def test_what_the_edge_cuts_all_around_is_not_taken():
    corners = [(x, y, SIDE, SIDE) for x in (0, 600 - SIDE) for y in (0, 400 - SIDE)]
    assert plain_things(drawn(*corners)) is None


@pytest.mark.parametrize("sigma", [0, 8, 40])
def test_nothing_and_noise_are_nothing(sigma):
    noise = np.random.default_rng(3).normal(128, sigma, (400, 600, 3))
    assert plain_things(Image("drawn", np.clip(noise, 0, 255).astype(np.uint8))) is None
