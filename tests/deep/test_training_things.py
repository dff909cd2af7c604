"""Pictures of things in scenes: taken from a folder, outlined as they are, optional."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.train import things
from pipeline.train.cutouts import make_cutout
from pipeline.train.paint import LEAST_CONTRAST, draw_material, paste
from pipeline.train.scenes import draw_scene
from tools.collect_things import cut_out

pytestmark = pytest.mark.deep

GREEN = (30, 160, 40)


def thing(width=90, height=60):
    """Return a green ellipse on nothing, RGBA."""
    picture = np.zeros((height, width, 4), np.uint8)
    cv2.ellipse(picture, ((width / 2, height / 2), (width - 8, height - 8), 0), (*GREEN, 255), -1)
    return picture


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for k in range(5):
        cv2.imwrite(str(tmp_path / f"{k}.png"), cv2.cvtColor(thing(80 + 10 * k), cv2.COLOR_RGBA2BGRA))
    monkeypatch.setenv(things.VARIABLE, str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("radius", [7.0, 20.0, 60.0])
def test_a_thing_has_the_size_asked_for(radius):
    rng = np.random.default_rng(3)
    kind = make_cutout(rng, thing())
    sprite = kind.draw(rng, radius, 0.7, draw_material(rng))
    assert np.sqrt(sprite.filled.sum() / np.pi) == pytest.approx(radius, rel=0.12)
    edge = np.concatenate([sprite.filled[0], sprite.filled[-1], sprite.filled[:, 0], sprite.filled[:, -1]])
    assert not edge.any()


def test_scenes_show_things_where_there_are_some(folder, monkeypatch):
    monkeypatch.setattr(things, "SHARE", 1.0)
    counts = [len(np.unique(s.labels[s.labels > 0])) for s in (draw_scene(seed) for seed in range(20))]
    assert sum(n > 1 for n in counts) >= 5
    np.testing.assert_array_equal(draw_scene(4).image, draw_scene(4).image)


def test_scenes_of_several_kinds_show_things_too(folder, monkeypatch):
    monkeypatch.setattr(things, "SHARE", 1.0)
    kinds = [len(np.unique(draw_scene(seed, several=True).kinds[1:, 0])) for seed in range(20)]
    assert sum(n > 1 for n in kinds) >= 5


def test_a_thing_is_never_of_the_colour_of_its_ground():
    rng = np.random.default_rng(1)
    sprite = make_cutout(rng, thing()).draw(rng, 20.0, 0.0, draw_material(rng))
    inside = sprite.filled & (sprite.alpha > 0.9)
    for level in (0.0, 1.0):
        body = sprite.skin[inside].mean(0)
        image = np.broadcast_to(body + level * 20, (128, 128, 3)).astype(np.float32).copy()
        before, half = image[64, 64].copy(), len(sprite.alpha) // 2
        paste(image, sprite, (64, 64), (body, body))
        window = image[64 - half : 65 + half, 64 - half : 65 + half]
        assert np.abs(window[inside].mean(0) - before).max() > LEAST_CONTRAST


def test_without_a_folder_scenes_are_drawn_alone(monkeypatch):
    monkeypatch.delenv(things.VARIABLE, raising=False)
    monkeypatch.setattr(things, "SHARE", 1.0)
    assert things.folder() is None
    assert draw_scene(5).image.shape == (256, 256, 3)


def test_a_folder_without_things_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(things.VARIABLE, str(tmp_path))
    with pytest.raises(FileNotFoundError, match="PNG files"):
        things.draw_things(np.random.default_rng(0), 1)


def test_a_picture_without_an_outline_is_refused(folder):
    cv2.imwrite(str(folder / "0.png"), np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(ValueError, match=r"alpha channel, got 0\.png"):
        things.draw_things(np.random.default_rng(0), 1)


def test_what_is_collected_is_one_piece_with_some_colour():
    shaded = thing()
    shaded[..., 0] = np.linspace(0, 255, shaded.shape[1])
    shaded[:5, :5] = 255
    taken = cut_out(np.ascontiguousarray(shaded))
    assert taken is not None
    assert taken.shape[2] == 4
    assert max(taken.shape[:2]) < 90
    assert cut_out(thing()) is None, "one colour"
    assert cut_out(np.tile(shaded, (1, 2, 1))) is None, "two pieces"
    assert cut_out(np.zeros((40, 40, 4), np.uint8)) is None, "nothing"
