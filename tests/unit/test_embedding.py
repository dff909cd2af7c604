"""The handcrafted embedding and what consistency makes of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data, measure

from pipeline.classify import classify
from pipeline.consistency import HIGHEST, consistency
from pipeline.contract import CountSettings
from pipeline.embedding import EMBEDDING_SIZE, handcrafted_embeddings
from pipeline.label_map import map_labels
from pipeline.patches import extract_patches
from pipeline.types import Classification, Image, PatchBatch
from tests.candidates import batch_of, disc

SIZE = (320, 480)
RED, GREEN, GREY = (200, 40, 40), (40, 170, 60), (128, 128, 128)
Mask = NDArray[np.bool_]
Describe = Callable[[PatchBatch], Classification]


def scene(things: list[tuple[Mask, tuple[int, int, int]]]) -> tuple[Image, list[Mask]]:
    """A noisy pale ground with flat coloured things on it."""
    noise = np.random.default_rng(0).normal(0, 6, (*SIZE, 3))
    pixels = np.full((*SIZE, 3), 225.0)
    for mask, colour in things:
        pixels[mask] = colour
    return Image("a", np.clip(pixels + noise, 0, 255).astype(np.uint8)), [mask for mask, _ in things]


def patches_of(image: Image, masks: list[Mask]) -> PatchBatch:
    return extract_patches(image, batch_of(masks, SIZE), CountSettings(), side_px=64)


def embed(image: Image, masks: list[Mask]) -> NDArray[np.float32]:
    return handcrafted_embeddings(patches_of(image, masks)).astype(np.float32)


def described(patches: PatchBatch) -> Classification:
    """Return what there is to go by where no network can be run."""
    n = len(patches.patches)
    nothing = np.zeros((n, 0), np.int16), np.zeros((n, 0), np.float32)
    return Classification(*nothing, handcrafted_embeddings(patches), "handcrafted")


def judge(image: Image, masks: list[Mask]) -> NDArray[np.float32]:
    return consistency(batch_of(masks, SIZE), described(patches_of(image, masks)))


def discs(n: int, radius: float) -> list[Mask]:
    return [disc(SIZE, 40 + 60 * (i % 7), 40 + 60 * (i // 7), radius) for i in range(n)]


def bar(x: int, y: int) -> Mask:
    mask = np.zeros(SIZE, np.bool_)
    mask[y : y + 10, x : x + 50] = True
    return mask


def test_embeddings_are_unit_vectors_of_the_stated_size() -> None:
    vectors = embed(*scene([(m, RED) for m in discs(4, 15)]))
    assert vectors.shape == (4, EMBEDDING_SIZE)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)


def test_things_of_one_kind_are_nearer_than_things_of_another_colour_or_shape() -> None:
    circles = discs(3, 15)
    vectors = embed(*scene([(circles[0], RED), (circles[1], RED), (circles[2], GREEN), (bar(50, 200), RED)]))
    cosine = vectors @ vectors.T
    assert cosine[0, 1] > 0.99
    assert cosine[0, 2] < 0.8
    assert cosine[0, 3] < cosine[0, 1] - 0.02


def test_a_quarter_turn_changes_almost_nothing() -> None:
    image, masks = scene([(bar(50, 100), RED)])
    turned = Image("b", np.ascontiguousarray(np.rot90(image.pixels_hw3)))
    upright = extract_patches(turned, batch_of([np.rot90(masks[0])], SIZE[::-1]), CountSettings(), side_px=64)
    cosine = embed(image, masks)[0] @ handcrafted_embeddings(upright).astype(np.float32)[0]
    assert cosine > 0.99


def test_the_ground_around_a_thing_does_not_matter() -> None:
    masks = discs(1, 20)
    on_white, _ = scene([(masks[0], RED)])
    on_black = Image("b", np.where(masks[0][..., None], on_white.pixels_hw3, 0).astype(np.uint8))
    assert embed(on_white, masks)[0] @ embed(on_black, masks)[0] > 0.97


def test_no_patches_give_no_vectors_and_an_empty_mask_is_legal() -> None:
    nothing = PatchBatch(np.zeros((0, 64, 64, 3), np.uint8), np.zeros((0, 64, 64), np.bool_))
    assert handcrafted_embeddings(nothing).shape == (0, EMBEDDING_SIZE)
    empty = PatchBatch(np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 64, 64), np.bool_))
    assert np.isfinite(handcrafted_embeddings(empty)).all()


def test_chunks_do_not_change_the_answer() -> None:
    one = patches_of(*scene([(m, RED) for m in discs(3, 15)]))
    many = PatchBatch(np.tile(one.patches, (200, 1, 1, 1)), np.tile(one.masks, (200, 1, 1)))
    np.testing.assert_array_equal(
        handcrafted_embeddings(many), np.tile(handcrafted_embeddings(one), (200, 1))
    )


def test_true_objects_of_a_clean_scene_are_probable_and_debris_is_not() -> None:
    things = [(m, RED) for m in discs(14, 16)]
    debris = [(disc(SIZE, 30 + 40 * i, 280, 2.5), GREY) for i in range(6)]
    probs = judge(*scene(things + debris))
    assert probs[:14].min() > 0.9
    assert probs[14:].max() < 0.25


def test_twice_as_many_specks_as_things_do_not_become_the_kind_that_is_meant() -> None:
    things = [(m, RED) for m in discs(12, 18)]
    specks = [(disc(SIZE, 20 + 10 * i, 300, 2), GREY) for i in range(40)]
    probs = judge(*scene(things + specks))
    assert probs[:12].min() > 0.8 > 0.25 > probs[12:].max()


def test_one_huge_thing_is_not_the_kind_that_is_meant() -> None:
    tray = np.zeros(SIZE, np.bool_)
    tray[100:310, 20:460] = True
    probs = judge(*scene([(tray, GREY)] + [(m, RED) for m in discs(7, 12)]))
    assert probs[0] < 0.3 < 0.9 < probs[1:].min()


def test_a_thing_of_another_colour_is_less_probable_than_its_neighbours() -> None:
    masks = discs(9, 16)
    probs = judge(*scene([(m, RED) for m in masks[:8]] + [(masks[8], GREEN)]))
    assert probs[8] < 0.75 < 0.9 < probs[:8].min()


def test_probability_falls_as_size_departs_from_the_usual() -> None:
    usual = [(m, RED) for m in discs(10, 16)]
    odd = [(disc(SIZE, 60 + 100 * i, 250, r), RED) for i, r in enumerate((14, 9, 5, 3))]
    probs = judge(*scene(usual + odd))[10:]
    assert (np.diff(probs) < 0).all()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_few_candidates_are_given_the_benefit_of_the_doubt(n: int) -> None:
    masks = [disc(SIZE, 100, 100, 40), disc(SIZE, 300, 100, 8)][:n]
    probs = judge(*scene([(m, RED) for m in masks]))
    assert probs.shape == (n,)
    assert (probs > 0.5).all()
    assert (probs <= HIGHEST).all()


def test_the_order_of_candidates_does_not_matter() -> None:
    things = [(m, RED) for m in discs(9, 16)] + [(disc(SIZE, 30, 280, 4), GREY)]
    forwards, backwards = judge(*scene(things)), judge(*scene(things[::-1]))
    np.testing.assert_allclose(forwards, backwards[::-1], atol=1e-6)


@pytest.mark.parametrize(
    "describe", [described, lambda patches: classify([patches])[0]], ids=["by hand", "best"]
)
def test_all_coins_of_a_real_photo_pass_the_default_threshold(describe: Describe) -> None:
    grey = data.coins()
    labels = measure.label(grey > 110)
    regions = [r for r in measure.regionprops(labels) if r.area > 25]
    masks = [labels == r.label for r in regions]
    image = Image("coins", np.stack([grey] * 3, axis=-1))
    batch = batch_of(masks, grey.shape)
    patches = extract_patches(image, batch, CountSettings(), side_px=64)
    probs = map_labels(patches, describe(patches), batch, "coin", ()).probs[:, 0]
    areas = np.array([r.area for r in regions])
    coins = (areas > 700) & (areas < 4000)
    assert coins.sum() >= 15
    assert probs[coins].min() > 0.3


def test_identical_embeddings_leave_only_size_to_judge_by() -> None:
    masks = [*discs(6, 16), disc(SIZE, 30, 280, 4)]
    same = Classification(
        np.zeros((7, 0), np.int16), np.zeros((7, 0), np.float32), np.ones((7, 4), np.float16), "handcrafted"
    )
    probs = consistency(batch_of(masks, SIZE), same)
    assert probs[:6].min() > 0.9 > 0.45 > probs[6]
