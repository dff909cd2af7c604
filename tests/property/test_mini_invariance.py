"""Counts of mini do not hang on things that do not change what is in the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.contract import CountSettings
from pipeline.segment import mini
from pipeline.types import Image
from tests.doubles.drawn_discs import drawn_discs
from tests.drawn import DARK, OBJECT, RED, ground

ENGINE = mini.load()
N = 40
CORNERS_XY = {
    "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "diamond": [(0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)],
    "rectangle": [(-1.6, -0.6), (1.6, -0.6), (1.6, 0.6), (-1.6, 0.6)],
    "triangle": [(-1.2, 0.9), (1.2, 0.9), (0, -1.2)],
}
"""In units of 16 px, about the middle."""


def counted(pixels):
    return len(ENGINE.segment([Image("drawn", np.ascontiguousarray(pixels))], CountSettings())[0])


def jpeg(pixels, quality):
    return cv2.imdecode(
        cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
    )


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 300), st.integers(0, 1000))
def test_things_well_apart_are_counted_exactly(n, seed):
    """Well apart from the edge too: beyond it the picture is mirrored, and the twin lies twice as far."""
    image = drawn_discs(n, seed, size_hw=(640, 640))
    assert counted(np.pad(image, ((8, 8), (8, 8), (0, 0)), mode="edge")) == n


@pytest.mark.parametrize("colour", [OBJECT, RED, DARK, (40, 90, 200), (250, 240, 90)])
@pytest.mark.parametrize("shape", CORNERS_XY)
def test_plain_shapes_are_all_counted(shape, colour):
    image = ground()
    for x in range(60, 560, 80):
        for y in range(60, 360, 80):
            corners = np.rint(np.array(CORNERS_XY[shape]) * 16 + (x, y)).astype(np.int32)
            cv2.fillPoly(image, [corners], colour, cv2.LINE_AA)
    assert counted(image) == 28


@pytest.mark.parametrize("joint", [0.1, 0.15, 0.25])
@pytest.mark.parametrize(("across", "down"), [(2, 1), (4, 3), (9, 6)])
def test_tiles_with_narrow_joints_are_counted_and_asked_about(across, down, joint):
    image = ground(480, 640)
    pitch = np.array([620 / across, 460 / down])
    for corner in np.stack(np.mgrid[0:across, 0:down], -1).reshape(-1, 2) * pitch + 10:
        low, high = corner + pitch * joint / 2, corner + pitch * (1 - joint / 2)
        cv2.rectangle(image, np.rint(low).astype(int).tolist(), np.rint(high).astype(int).tolist(), RED, -1)
    (found,) = ENGINE.segment([Image("drawn", image)], CountSettings())
    assert len(found) == across * down
    assert found.n_beside == (0,), "the network shows none"


@pytest.mark.parametrize("share", [0.2, 0.25, 0.33])
def test_two_plain_squares_that_fill_most_of_a_picture_are_two(share):
    image, side = ground(600, 1200), int(np.sqrt(share * 600 * 1200))
    for x in (300, 900):
        corners = [(x - side // 2, 300 - side // 2), (x + side // 2, 300 + side // 2)]
        cv2.rectangle(image, *corners, DARK, -1)
    assert counted(image) == 2


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("radius", [14, 20, 28])
def test_a_row_that_the_edge_cuts_in_half_is_counted(radius, turns):
    image = ground()
    places = range(2 * radius, 560, 3 * radius)
    for x in places:
        cv2.circle(image, (x, 0), radius, OBJECT, -1, cv2.LINE_AA)
        cv2.circle(image, (x, 200), radius, OBJECT, -1, cv2.LINE_AA)
    assert counted(np.rot90(image, turns)) == 2 * len(places)


@pytest.mark.parametrize("sigma", [8, 25, 60])
@pytest.mark.parametrize("enlarged", [1, 4, 10])
def test_noise_is_nothing(sigma, enlarged):
    side = 600 // enlarged
    noise = np.clip(128 + np.random.default_rng(0).normal(0, sigma, (side, side, 3)), 0, 255)
    assert counted(cv2.resize(noise.astype(np.uint8), (600, 600), interpolation=cv2.INTER_CUBIC)) <= 1


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_turns_and_flips_do_not_change_the_count(turns, mirrored):
    image = np.rot90(drawn_discs(N, 5), turns)
    assert counted(image[:, ::-1] if mirrored else image) == N


@pytest.mark.parametrize("gain", [0.3, 0.6, 1.1])
def test_brightness_does_not_change_the_count(gain):
    assert counted((drawn_discs(N, 6) * gain).clip(0, 255).astype(np.uint8)) == N


@pytest.mark.parametrize("quality", [95, 75, 50, 30])
def test_jpeg_quality_does_not_change_the_count(quality):
    assert counted(jpeg(drawn_discs(N, 7), quality)) == N


@pytest.mark.parametrize("margin", [1, 7, 60])
def test_padding_does_not_change_the_count(margin):
    image = drawn_discs(N, 8)
    ground = np.median(image, axis=(0, 1)).tolist()
    assert (
        counted(cv2.copyMakeBorder(image, margin, margin, margin, 0, cv2.BORDER_CONSTANT, value=ground)) == N
    )
