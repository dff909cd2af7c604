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

ENGINE = mini.load(None)
N = 40


def counted(pixels):
    return len(ENGINE.segment([Image("drawn", np.ascontiguousarray(pixels))], CountSettings())[0])


def jpeg(pixels, quality):
    return cv2.imdecode(
        cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
    )


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 300), st.integers(0, 1000))
def test_things_well_apart_are_counted_exactly(n, seed):
    assert counted(drawn_discs(n, seed, size_hw=(640, 640))) == n


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
