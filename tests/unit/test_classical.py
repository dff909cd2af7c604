"""The classical engine counts clean scenes, finds nothing in nothing, and says where it doubts."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.contract import CountSettings
from pipeline.ops.rle import rle_to_crop
from pipeline.segment.classical import load
from pipeline.segment.foreground import fit_background, noise_sigma, to_lab
from pipeline.segment.splitting import fill_holes, split_touching
from pipeline.types import Image
from tests.candidates import disc
from tests.drawn import CENTRES, SCENES, discs, ground, shaded


def found_in(pixels_hw3):
    return load().segment([Image("a", pixels_hw3)], CountSettings())[0]


@pytest.mark.parametrize("name", SCENES)
def test_clean_scenes_are_counted_exactly(name):
    draw, true = SCENES[name]
    assert len(found_in(draw())) == true


@pytest.mark.parametrize("sigma", [8, 25, 60])
def test_noise_is_not_counted(sigma):
    noise = np.random.default_rng(1).normal(128, sigma, (400, 600, 3)).clip(0, 255).astype(np.uint8)
    assert len(found_in(noise)) == 0


def test_objects_are_found_through_noise():
    scene = discs(ground(), CENTRES, 20).astype(np.float32)
    noise = np.random.default_rng(2).normal(0, 20, scene.shape)
    assert len(found_in((scene + noise).clip(0, 255).astype(np.uint8))) == len(CENTRES)


@pytest.mark.parametrize("shape", [(64, 64), (64, 900), (700, 64)])
def test_any_shape_of_image_is_taken(shape):
    assert len(found_in(np.full((*shape, 3), 90, np.uint8))) == 0


def test_the_same_pixels_give_the_same_masks():
    pixels = discs(shaded(ground()), CENTRES, 18)
    one, two = found_in(pixels), found_in(pixels)
    assert np.array_equal(one.rle_counts, two.rle_counts)
    assert np.array_equal(one.predicted_iou, two.predicted_iou)


@pytest.mark.parametrize("scale", [1, 3])
def test_masks_cover_the_objects_in_image_pixels(scale):
    centres = [(x * scale, y * scale) for x, y in CENTRES]
    batch = found_in(discs(ground(400 * scale, 600 * scale), centres, 20 * scale))
    assert len(batch) == len(centres)
    want = np.pi * (20.5 * scale) ** 2
    assert np.all(np.abs(batch.area - want) < 0.15 * want)
    crop, (x, y) = rle_to_crop(batch.rle(0), batch.size_hw)
    middle = x + crop.shape[1] / 2, y + crop.shape[0] / 2
    assert min(np.hypot(*np.subtract(middle, c)) for c in centres) < 2 * scale


def test_faint_objects_are_believed_less():
    strong = found_in(discs(ground(), CENTRES, 20))
    faint = found_in(discs(ground(), CENTRES, 20, (180, 175, 165)))
    assert len(faint) == len(strong)
    assert faint.predicted_iou.mean() < strong.predicted_iou.mean() - 0.1


def test_background_is_fitted_through_uneven_light():
    lab = to_lab(shaded(discs(ground(), CENTRES, 20)))
    plain = to_lab(shaded(ground()))
    assert np.abs(fit_background(lab, plain[200, 300]) - plain).max() < 6


@pytest.mark.parametrize("radius", [6, 40])
def test_noise_is_measured_beside_objects(radius):
    noise = np.random.default_rng(0).normal(0, 10, (300, 300, 3))
    step = 3 * radius
    centres = [(x, y) for x in range(step, 300 - radius, step) for y in range(step, 300 - radius, step)]
    empty = np.full((300, 300, 3), 128, np.uint8)
    clean, busy = (
        noise_sigma(to_lab((scene + noise).clip(0, 255).astype(np.uint8)))
        for scene in (empty, discs(empty, centres, radius, (60, 60, 60)))
    )
    assert 0.8 * clean < busy < 2 * clean


def test_holes_of_rings_are_filled_and_gaps_between_discs_are_not():
    size = (120, 240)
    ring = disc(size, 60, 60, 40) & ~disc(size, 60, 60, 20)
    centres = ((160, 40), (200, 40), (160, 80), (200, 80))
    heap = np.logical_or.reduce([disc(size, x, y, 20.6) for x, y in centres])
    filled = fill_holes((ring | heap).astype(np.uint8))
    assert filled[60, 60] == 1
    assert filled[60, 180] == 0


def test_a_rim_around_the_scene_is_not_filled():
    rim = np.ones((200, 200), np.uint8)
    rim[20:180, 20:180] = 0
    assert fill_holes(rim)[100, 100] == 0


@pytest.mark.parametrize("distance", [26, 32, 39])
def test_discs_that_overlap_are_cut_apart(distance):
    size = (80, 140)
    pair = disc(size, 40, 40, 20) | disc(size, 40 + distance, 40, 20)
    labels = split_touching(pair.astype(np.uint8), 20)
    assert labels.max() == 2
    assert labels[40, 30] != labels[40, 50 + distance]


def test_a_long_object_stays_one():
    rod = np.zeros((60, 200), np.uint8)
    rod[25:37, 10:190] = 1
    rod[25:28, 60:70] = 0  # a notch
    assert split_touching(rod, 20).max() == 1
