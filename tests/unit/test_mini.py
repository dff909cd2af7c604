"""The engine mini, with its bundled model."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest

from pipeline.contract import CountSettings, ErrorCode, PipelineError
from pipeline.ops.rle import rle_to_crop
from pipeline.segment import mini
from pipeline.segment.mini_maps import Maps
from pipeline.segment.mini_peaks import Found
from pipeline.types import Image
from tests.doubles.drawn_discs import drawn_discs


@pytest.fixture(scope="module")
def engine():
    return mini.load()


def segment(engine, pixels):
    return engine.segment([Image("drawn", pixels)], CountSettings())[0]


def test_it_says_that_it_can_run_here():
    assert mini.available() == (True, "")


def test_it_says_so_when_its_model_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(mini, "MODEL", tmp_path / "mini.onnx")
    usable, why = mini.available()
    assert not usable
    assert "mini.onnx" in why


@pytest.mark.parametrize("content", [None, b"no model"], ids=["missing", "broken"])
def test_a_missing_or_broken_model_is_a_model_load_error(tmp_path, content):
    path = tmp_path / "other.onnx"
    if content:
        path.write_bytes(content)
    with pytest.raises(PipelineError) as caught:
        mini.load(path)
    assert caught.value.code == ErrorCode.MODEL_LOAD_ERROR


def test_provenance_names_the_model_files_by_their_hash(engine):
    both = mini.MODEL.read_bytes() + mini.LIKE_MODEL.read_bytes()
    assert engine.info.engine == "mini"
    assert engine.info.weights_sha256 == hashlib.sha256(both).hexdigest()


def test_the_bundled_model_is_small_and_says_how_it_was_made():
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(mini.MODEL), providers=["CPUExecutionProvider"])
    history = session.get_modelmeta().custom_metadata_map
    assert mini.MODEL.stat().st_size <= 10_000_000
    assert {"seed", "steps", "commit", "scenes"} <= set(history)


def test_a_disc_is_masked_to_its_outline(engine):
    image = np.full((200, 200, 3), 210, np.uint8)
    cv2.circle(image, (120, 80), 20, (60, 40, 30), -1, cv2.LINE_AA)
    found = segment(engine, image)
    crop, (x, y) = rle_to_crop(found.rle(0), found.size_hw)
    mask = np.zeros((200, 200), bool)
    mask[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    true = np.hypot(*(np.mgrid[:200, :200] - np.array([80, 120])[:, None, None])) <= 20
    assert (mask & true).sum() / (mask | true).sum() > 0.8


@pytest.mark.parametrize("kind", ["flat", "black", "noise", "slope"])
def test_an_empty_picture_has_no_candidates(engine, kind):
    rng = np.random.default_rng(3)
    picture = {
        "flat": np.full((240, 320, 3), 128.0),
        "black": np.zeros((240, 320, 3)),
        "noise": rng.normal(120, 10, (240, 320, 3)),
        "slope": np.broadcast_to(np.linspace(60, 200, 320)[None, :, None], (240, 320, 3)),
    }[kind]
    assert len(segment(engine, picture.clip(0, 255).astype(np.uint8))) == 0


def test_what_is_too_weak_to_propose_is_told_as_faint_unless_another_scale_shows_it():
    labels, empty = np.zeros((20, 40), np.int32), np.zeros((20, 40), np.float32)
    for k in range(3):
        labels[4:8, 10 * k : 10 * k + 6] = k + 1
    area, quality = np.full(3, 24, np.float32), np.array([0.9, 0.0, 0.3], np.float32)
    found = Found(Maps(0.5, empty, empty, empty), labels, area, quality, area)
    assert mini._faint_of(found, 0.42) == pytest.approx(np.array([[4 * 22.5, 4 * 5.5, 24 * 16, 0.3]]))


def test_the_same_picture_gives_the_same_masks(engine):
    image = drawn_discs(20)
    first, second = segment(engine, image), segment(engine, image)
    np.testing.assert_array_equal(first.rle_counts, second.rle_counts)
    np.testing.assert_array_equal(first.predicted_iou, second.predicted_iou)


@pytest.mark.parametrize("radius", [4, 16, 60], ids=["tiny", "small", "large"])
def test_the_scale_follows_the_size_of_the_objects(engine, radius):
    side, centres = 480, (100, 240, 380)
    image = np.full((side, side, 3), 205, np.uint8)
    for x in centres:
        for y in centres:
            cv2.circle(image, (x, y), radius, (70, 50, 120), -1, cv2.LINE_AA)
    found = segment(engine, image)
    assert len(found) == 9
    np.testing.assert_allclose(np.sqrt(np.median(found.area) / np.pi), radius, rtol=0.3)


def test_several_pictures_are_answered_in_their_order(engine):
    few, many = drawn_discs(3), drawn_discs(30)
    counts = [len(b) for b in engine.segment([Image("a", few), Image("b", many)], CountSettings())]
    assert counts == [3, 30]


@pytest.mark.parametrize("size_hw", [(300, 400), (301, 403), (600, 800)], ids=str)
@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_what_the_border_cuts_reaches_it(engine, size_hw, side):
    (height, width), radius = size_hw, size_hw[0] // 19
    along = width if side in ("top", "bottom") else height
    image = np.full((height, width, 3), 210, np.uint8)
    for t in ((np.arange(6) + 0.5) * along / 6).astype(int).tolist():
        cut = {"top": (t, 0), "bottom": (t, height - 1), "left": (0, t), "right": (width - 1, t)}[side]
        whole = (t, height // 2) if along == width else (width // 2, t)
        for centre in (cut, whole):
            cv2.circle(image, centre, radius, (50, 45, 60), -1, cv2.LINE_AA)
    x0, y0, x1, y1 = segment(engine, image).bbox_xyxy.T
    reaching = {"top": y0 <= 0, "bottom": y1 >= height, "left": x0 <= 0, "right": x1 >= width}
    assert {name: int(there.sum()) for name, there in reaching.items() if there.any()} == {side: 6}
