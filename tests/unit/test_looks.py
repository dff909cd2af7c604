"""The bundled network that says what patches look like, with its own weights."""

from __future__ import annotations

import importlib.util
import sys

import cv2
import numpy as np
import pytest
from skimage import data, measure

from pipeline import looks
from pipeline.classify import FULL_SIDE_PX, classifier_choice, classify, patch_side_px
from pipeline.contract import ErrorCode, PipelineError
from pipeline.embedding import handcrafted_embeddings
from pipeline.looks import (
    EMBEDDING_SIZE,
    HANDCRAFTED_WEIGHT,
    SIDE_PX,
    SMALL_SIDE_PX,
    looks_embeddings,
    side_px,
)
from pipeline.ops.kinds import KIND_DISTANCE, distances, kind_features, kind_tree
from pipeline.sessions import open_session
from pipeline.types import PatchBatch

needs_onnxruntime = pytest.mark.skipif(
    importlib.util.find_spec("onnxruntime") is None, reason="onnxruntime is not installed"
)
"""Only that, which CI refuses to lack: a missing model must fail."""


@pytest.fixture(autouse=True)
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("TALLY_WEIGHTS_DIR", str(tmp_path / "none"))


def batch_of(patches):
    return PatchBatch(patches, np.ones(patches.shape[:3], np.bool_))


def noise(n, side=64):
    return batch_of(np.random.default_rng(n).integers(0, 256, (n, side, side, 3), dtype=np.uint8))


def cosine(a, b):
    a, b = (rows.astype(np.float32) for rows in (a, b))
    return (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)


@needs_onnxruntime
@pytest.mark.parametrize("n", [0, 1, 65])
def test_every_patch_has_an_embedding(n):
    found = looks_embeddings(noise(n))
    assert (found.shape, found.dtype) == ((n, EMBEDDING_SIZE), np.float16)
    assert np.isfinite(found).all()
    assert found.any(axis=1).all()


@needs_onnxruntime
def test_chunks_do_not_change_the_answer():
    many = noise(130)
    alone = np.concatenate([looks_embeddings(batch_of(many.patches[i : i + 1])) for i in (0, 63, 64, 129)])
    beside = cosine(alone, looks_embeddings(many)[[0, 63, 64, 129]])
    assert np.diag(beside).min() >= 0.999
    assert beside[~np.eye(4, dtype=bool)].max() < 0.999


TILES = [(y, x, y + 96, x + 96) for y in (0, 96, 192) for x in (0, 96, 192, 288)]


def looks_of(pixels, boxes, side):
    """Return the embeddings of boxes (top, left, bottom, right) of a photo."""
    cut = [pixels[y0:y1, x0:x1] for y0, x0, y1, x1 in boxes]
    patches = [cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA) for crop in cut]
    return looks_embeddings(batch_of(np.stack(patches)))


def coins(side):
    """Return the embeddings of the coins that stand out in a photo."""
    grey = data.coins()
    boxes = [r.bbox for r in measure.regionprops(measure.label(grey > 110)) if 700 < r.area < 4000]
    assert len(boxes) >= 15
    return looks_of(np.stack([grey] * 3, axis=-1), boxes, side)


@needs_onnxruntime
@pytest.mark.parametrize("side", [SMALL_SIDE_PX, SIDE_PX, 56, 80])
@pytest.mark.parametrize("photo", [data.coffee, data.chelsea])
def test_coins_are_nearer_to_each_other_than_to_anything_in_another_photo(photo, side):
    found = coins(side)
    among, away = cosine(found, found), cosine(found, looks_of(photo(), TILES, side))
    assert (among.min(axis=1) > away.max(axis=1)).all()


def test_kinds_part_where_the_cosines_of_the_parts_fall_by_one_in_all():
    assert KIND_DISTANCE["looks"] == pytest.approx(1 / (1 + HANDCRAFTED_WEIGHT), abs=5e-4)


@needs_onnxruntime
@pytest.mark.parametrize("seed", range(3))
def test_beans_alike_in_all_but_colour_are_of_as_many_kinds_as_colours(seed):
    rng, side = np.random.default_rng(seed), SMALL_SIDE_PX
    patches, masks = [], []
    for colour in np.repeat([(150, 95, 65), (45, 42, 48), (225, 175, 60)], 8, axis=0):
        tilt, axes = rng.uniform(0, 180), (rng.uniform(22, 28), rng.uniform(14, 18))
        bean = cv2.ellipse(
            np.zeros((side, side), np.uint8), ((32, 32), (2 * axes[0], 2 * axes[1]), tilt), 1, -1
        )
        light = rng.uniform(0.85, 1.15) * np.linspace(0.8, 1.2, side)[:, None, None]
        patch = np.where(bean[..., None] > 0, colour * light, (190, 185, 210)) + rng.normal(
            0, 5, (side, side, 3)
        )
        patches.append(patch.clip(0, 255).astype(np.uint8))
        masks.append(bean > 0)
    found = looks_embeddings(PatchBatch(np.stack(patches), np.stack(masks)))
    features = kind_features((found, np.full(24, 1500)), "looks")
    assert kind_tree(features).groups().tolist() == [0] * 8 + [1] * 8 + [2] * 8
    apart = distances(features, features).reshape(3, 8, 3, 8).mean(axis=(1, 3))
    assert apart[~np.eye(3, dtype=np.bool_)].min() > 0.5, "half of what parts kinds, by colour alone"


@needs_onnxruntime
@pytest.mark.parametrize("side", [SMALL_SIDE_PX, SIDE_PX])
def test_coins_are_of_one_kind_on_average_and_a_cat_is_of_another(side):
    found = coins(side)
    among, away = (1 - cosine(found, other) for other in (found, looks_of(data.chelsea(), TILES, side)))
    assert among.mean() < KIND_DISTANCE["looks"] < away.mean()


@pytest.mark.parametrize(
    ("sides", "want"),
    [
        ([], 96),
        ([5], 64),
        ([63.5], 64),
        ([64], 96),
        ([500], 96),
        ([20, 20, 300], 64),
        ([20, 300, 300], 96),
    ],
    ids=str,
)
def test_the_patch_side_follows_the_longer_side_of_the_usual_thing(sides, want):
    box = np.array([(7, 5, 7 + 10, 5 + side) for side in sides], np.float32).reshape(-1, 4)
    assert side_px(box) == side_px(box[:, [1, 0, 3, 2]]) == want
    assert patch_side_px(box) == want


def test_patches_for_the_large_networks_have_their_side(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr("pipeline.weights.available", lambda name: (True, ""))
    assert patch_side_px(np.zeros((0, 4), np.float32)) == FULL_SIDE_PX


@needs_onnxruntime
def test_without_resnet_the_bundled_network_describes_what_is_seen():
    assert classifier_choice()[0] == "looks"
    told = []
    batches = [noise(3), noise(0), noise(2, 96)]
    first, nothing, last = classify(batches, told.append)
    assert [len(found.embeddings) for found in (first, nothing, last)] == [3, 0, 2]
    assert first.source == last.source == "looks"
    assert first.class_ids.shape == (3, 0)
    np.testing.assert_array_equal(last.embeddings, looks_embeddings(batches[2]))
    assert told == sorted(told)
    assert told[-1] == 1


def described_by_hand():
    """Return whether patches are described by hand, and are so as ``handcrafted_embeddings`` does."""
    (found,) = classify([noise(3)])
    np.testing.assert_array_equal(found.embeddings, handcrafted_embeddings(noise(3)))
    return classifier_choice()[0] == found.source == "handcrafted"


@needs_onnxruntime
def test_a_missing_file_leaves_what_is_made_by_hand(tmp_path, monkeypatch):
    monkeypatch.setattr(looks, "MODEL", tmp_path / "looks.onnx")
    assert looks.available() == (False, "looks.onnx not in this installation")
    assert described_by_hand()


def test_without_onnxruntime_it_is_said_and_patches_are_described_by_hand(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert looks.available() == (False, "onnxruntime is not installed")
    assert described_by_hand()


@needs_onnxruntime
@pytest.mark.parametrize("content", [None, b"no model"], ids=["missing", "damaged"])
def test_a_file_that_is_no_model_is_named(tmp_path, content):
    path = tmp_path / "odd.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PipelineError, match=r"want a model in odd\.onnx") as caught:
        open_session(path)
    assert caught.value.code == ErrorCode.MODEL_LOAD_ERROR


def test_what_is_done_is_told_between_passes_and_may_stop_them():
    told = []
    looks_embeddings(noise(130), told.append)
    assert told == pytest.approx([1 / 3, 2 / 3, 1])
    told.clear()
    classify([noise(70), noise(10)], told.append)
    assert told == pytest.approx([0.25, 0.5, 1])

    def stop(share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        looks_embeddings(noise(70), stop)
